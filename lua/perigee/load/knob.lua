--- What can be turned while a load runs: p.rate and p:set_rate(n), p.concurrency and
--- p:set_concurrency(n). A knob holds the value; its `knobs` go to the engine.
local knob = {}

local Knob = {}
local Knob_mt = { __name = "perigee.load.knob", __index = Knob }

local function new(name, value, problem)
   local self = setmetatable({ value = value }, Knob_mt)
   self.knobs = { [name] = {
      get = function() return self.value end,
      set = function(n, now)
         local message = problem(n)
         if message then return nil, message end
         self.value, self.since = n, now
         return true
      end,
   } }
   return self
end

--- When it was turned, in seconds from the phase's start, told once; nil when it was not.
---@return number?
function Knob:changed()
   local since = self.since
   self.since = nil
   return since
end

--- Requests per second of an open load. What is scheduled after the turn is asked for anew.
---@param value number
function knob.rate(value)
   return new("rate", value, function(n)
      return not (n > 0 and n < math.huge) and "a rate above 0 expected" or nil
   end)
end

--- Requests in flight of a closed load.
---@param value integer
function knob.concurrency(value)
   return new("concurrency", value, function(n)
      return not (n >= 1 and n < 2 ^ 31 and n == math.floor(n)) and "a whole number of at least 1 expected" or nil
   end)
end

return knob
