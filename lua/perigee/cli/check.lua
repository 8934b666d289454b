--- perigee check: does the scenario load, and do its options resolve?
local command = require "perigee.cli.command"

local check = {
   name = "check",
   usage = "usage: perigee check FILE [--option value ...]",
   definitions = { { name = "help", help = "show this text and the scenario's options" } },
}

function check.run(args)
   local loaded, code = command.scenario(check, args)
   if not loaded then return code end
   local n = #loaded.plan.phases
   io.stdout:write(("%s: scenario '%s', %d phase%s\n"):format(loaded.file, loaded.plan.name, n, n == 1 and "" or "s"))
   return 0
end

return check
