--- What the commands share: their first steps, their help and their refusals.
--- A command: { name, usage, definitions (of perigee.cli.options), notes, run }.
local load = require "perigee.cli.load"
local options = require "perigee.cli.options"

local command = {}

--- Print a failure. Returns the exit code: of bad usage, when none is given.
---@param self table       the command
---@param message string
---@param code? integer
---@return integer exit_code
function command.refuse(self, message, code)
   io.stderr:write(("perigee %s: %s\n"):format(self.name, message))
   return code or 2
end

--- The text of --help: usage, the command's options, its notes, and the options of the scenario when a file was given.
---@param self table
---@param loaded? table  of load.command()
---@return string
function command.help(self, loaded)
   local parts = { self.usage, "\n\noptions:\n", options.help(self.definitions), "\n" }
   if self.notes then parts[#parts + 1] = "\n" .. self.notes .. "\n" end
   if loaded and loaded.scenario then
      local of_scenario = options.help(loaded.definitions)
      parts[#parts + 1] = ("\noptions of scenario '%s':\n%s\n"):format(
         loaded.scenario.name, of_scenario ~= "" and of_scenario or "  none")
   end
   return table.concat(parts)
end

local function help(self, loaded)
   io.stdout:write(command.help(self, loaded))
   return nil, 0
end

--- The values and the words of a command without a scenario; nil and the exit code when it is already done.
---@param self table    its words: fewest and most (default 0), and missing, what is said when there are too few
---@param args string[]
---@return table? values
---@return string[]|integer words
function command.values(self, args)
   local values, words = options.parse(args, self.definitions)
   if not values then return nil, command.refuse(self, words) end
   if values.help then return help(self) end
   local extra = words[(self.most or 0) + 1]
   if extra then return nil, command.refuse(self, ("unexpected argument '%s'"):format(extra)) end
   if #words < (self.fewest or 0) then return nil, command.refuse(self, self.missing or "arguments are missing\n" .. self.usage) end
   return values, words
end

--- The scenario of a command, as load.command() gives it; nil and the exit code when it is already done.
---@param self table
---@param args string[]
---@return table? loaded
---@return integer? exit_code
function command.scenario(self, args)
   local loaded, message = load.command(args, self.definitions)
   if not loaded then return nil, command.refuse(self, message) end
   if loaded.values.help then return help(self, loaded) end
   return loaded
end

return command
