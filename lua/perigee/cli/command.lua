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

--- The values of a command that takes options and at most one thing more, as values[1];
--- nil and the exit code when it is already done.
---@param self table
---@param args string[]
---@param thing? string  what the command needs beside its options, in words
---@return table? values
---@return integer? exit_code
function command.values(self, args, thing)
   local values, positional = options.parse(args, self.definitions)
   if not values then return nil, command.refuse(self, positional) end
   if values.help then return help(self) end
   local extra = positional[thing and 2 or 1]
   if extra then return nil, command.refuse(self, ("unexpected argument '%s'"):format(extra)) end
   if thing and not positional[1] then return nil, command.refuse(self, thing .. " is missing") end
   values[1] = positional[1]
   return values
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
