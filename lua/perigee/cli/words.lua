--- The first steps of commands that take options and words, but no scenario.
local options = require "perigee.cli.options"

local words = {}

--- Print a failure. Returns the exit code: of bad usage, when none is given.
function words.refuse(command, message, code)
   io.stderr:write(("perigee %s: %s\n"):format(command.name, message))
   return code or 2
end

--- The values and words of a command line; nil and the exit code when it is already done.
---@param command table  name, usage, definitions, notes; fewest and most words
---@param args string[]
---@return table? values
---@return string[]|integer
function words.read(command, args)
   local values, list = options.parse(args, command.definitions)
   if not values then return nil, words.refuse(command, list) end
   if values.help then
      io.stdout:write(command.usage, "\n\noptions:\n", options.help(command.definitions), "\n")
      if command.notes then io.stdout:write("\n", command.notes, "\n") end
      return nil, 0
   end
   if #list > (command.most or 0) then
      return nil, words.refuse(command, ("unexpected argument '%s'"):format(list[(command.most or 0) + 1]))
   end
   if #list < (command.fewest or 0) then
      return nil, words.refuse(command, "arguments are missing\n" .. command.usage)
   end
   return values, list
end

return words
