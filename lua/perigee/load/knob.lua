--- What can be turned while a load runs: p.rate and p:set_rate(n), p.concurrency and
--- p:set_concurrency(n). A knob holds the value; its `knobs` go to the engine.
local knob = {}

local Knob = {}
local Knob_mt = { __name = "perigee.load.knob", __index = Knob }

-- value: as it was turned last; current: what the schedule has come to; turns: those on the way there.
local function new(name, value, problem)
   local self = setmetatable({ value = value, current = value, turns = {} }, Knob_mt)
   self.knobs = { [name] = {
      get = function() return self.value end,
      -- now: seconds from the phase's start; reached: does the engine have all arrivals until now?
      set = function(n, now, reached)
         local message = problem(n)
         if message then return nil, message end
         self.value = n
         if reached then self.turns = {} end
         table.insert(self.turns, { value = n, since = now, reached = reached })
         return true
      end,
   } }
   return self
end

--- The next arrival would be at `at`: when the knob was turned before that. Its value is `current` from then on, and
--- the arrival has to be found anew; nil: it was not turned. What was due before a turn, and is only now
--- asked for, since many were held back, still comes at the old rate.
---@param at number
---@return number? since
function Knob:turned_before(at)
   local turn = self.turns[1]
   if not turn or not turn.reached and at < turn.since then return nil end
   table.remove(self.turns, 1)
   self.current = turn.value
   return turn.since
end

--- Requests per second of an open load, 0 for a pause. What is scheduled after the turn is asked for anew.
---@param value number
function knob.rate(value)
   return new("rate", value, function(n)
      return not (n >= 0 and n < math.huge) and "a rate of at least 0 expected" or nil
   end)
end

--- A schedule of independent gaps: gap(rate) gives one in seconds. A new rate begins with a whole gap, when it was set.
---@param rate table  a knob
---@param gap fun(rate: number): number
---@return fun(i: integer, t: number): number
function knob.renewal(rate, gap)
   return function(_, t)
      local from = t
      while true do
         local at = rate.current > 0 and from + gap(rate.current) or math.huge
         local since = rate:turned_before(at)
         if not since then return at - t end
         from = math.max(t, since)
      end
   end
end

--- Requests in flight of a closed load.
---@param value integer
function knob.concurrency(value)
   return new("concurrency", value, function(n)
      return not (n >= 1 and n < 2 ^ 31 and n == math.floor(n)) and "a whole number of at least 1 expected" or nil
   end)
end

return knob
