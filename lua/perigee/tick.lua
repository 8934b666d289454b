--- One timer of the engine for two: on.tick at its own interval, and a look at the checks about once a second.
local tick = {}

local LOOK = 1 -- seconds

--- How often the engine ticks, and what it calls.
---@param interval number  seconds between two calls of on.tick
---@param on_tick? function
---@param look? function
---@return number seconds
---@return function? handler
function tick.combine(interval, on_tick, look)
   if not on_tick then return look and LOOK or interval, look end
   if not look then return interval, on_tick end
   local calls = math.max(1, math.ceil(interval / LOOK)) -- of the engine, for one of on.tick
   local seconds = interval / calls
   local looks, n = math.max(1, math.floor(LOOK / seconds + 0.5)), 0
   return seconds, function(p)
      n = n + 1
      if n % looks == 0 then look(p) end
      if n % calls == 0 then on_tick(p) end
   end
end

return tick
