--- The number of the library's interface, and what a script may ask of it.
--- It grows by one with each release that adds a name to what scripts can use. Names keep their meaning,
--- so a script asks for the least number that has all it uses.
local engine = require "perigee.engine"
local where = require "perigee.where"

local api = {}

--- perigee.api
api.NUMBER = 1

-- 2 and ">= 2" mean the same. nil: it is neither.
local function read(need)
   local number = type(need) == "number" and need or type(need) == "string" and tonumber(need:match "^%s*>=%s*(%d+)%s*$")
   return number and number >= 1 and number == math.floor(number) and number or nil
end

--- Refuse to go on when the script needs a newer interface than there is.
---@param need any       a number, or a text such as ">= 2"
---@param at string      what was written, e.g. "scenario.api"
---@param place? string  "file:line" of the user's
function api.demand(need, at, place)
   local least = read(need)
   if not least then
      where.fail(('%s: a comparison such as ">= 1" expected, got %s'):format(at, type(need) == "string" and "'" .. need .. "'"
         or tostring(need)), place)
   end
   if least > api.NUMBER then
      where.fail(("%s: perigee.api >= %d is needed, and perigee %s has %d: it is too old for this script"):format(
         at, least, engine.version, api.NUMBER), place)
   end
end

return api
