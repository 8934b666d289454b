--- The requests of a run, one after another, from its requests.jsonl.
local engine = require "perigee.engine"

local json = engine.json
local requests = {}

--- Call fn(request) for each line. A last line that is torn is left out: the run was killed in it.
---@param path string
---@param fn fun(request: table)
---@return boolean? ok
---@return string? message  names the path, and the line that cannot be read
function requests.each(path, fn)
   local file, message = io.open(path, "rb")
   if not file then return nil, message end
   local number = 0
   for line in file:lines() do
      number = number + 1
      local request, problem = json.decode(line)
      if request then
         fn(request)
      elseif file:read(0) then
         file:close()
         return nil, ("%s:%d: %s"):format(path, number, problem)
      end
   end
   file:close()
   return true
end

return requests
