--- perigee check: does the scenario load, and do its options resolve?
local load = require "perigee.cli.load"
local options = require "perigee.cli.options"

local check = {
   name = "check",
   summary = "load a scenario and resolve its options, without traffic",
   usage = "usage: perigee check FILE [--option value ...]",
}

local DEFINITIONS = { { name = "help", help = "show this text" } }

function check.run(args)
   local command, message = load.command(args, DEFINITIONS)
   if not command then return load.refuse(check.name, message) end
   if command.values.help then
      io.stdout:write(load.help_text(check.usage, options.help(DEFINITIONS), command))
      return 0
   end
   io.stdout:write(("%s: scenario '%s', %d phases\n"):format(command.file, command.plan.name, #command.plan.phases))
   return 0
end

return check
