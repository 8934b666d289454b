--- perigee check: does the scenario load, do its options resolve, and can its phases be put together?
local command = require "perigee.cli.command"
local load = require "perigee.cli.load"
local runner = require "perigee.runner"

local check = {
   name = "check",
   usage = "usage: perigee check FILE [--option value ...]",
   definitions = { { name = "help", help = "show this text and the scenario's options" } },
}

function check.run(args)
   local loaded, code = command.scenario(check, args)
   if not loaded then return code end
   local ok, message = load.guarded(loaded.scenario.place, runner.rehearse, loaded.plan)
   if not ok then return command.refuse(check, message) end
   local n = #loaded.plan.phases
   io.stdout:write(("%s: scenario '%s', %d phase%s\n"):format(loaded.file, loaded.plan.name, n, n == 1 and "" or "s"))
   return 0
end

return check
