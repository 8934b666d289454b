--- Open loads: requests are sent on a schedule, whatever comes back. A schedule is
--- called with the number of the last arrival and its scheduled time (0, 0 before the
--- first) and returns the seconds to the next one; nil ends the phase, math.huge means that nothing comes until
--- a knob is turned.
local define = require "perigee.load.define"
local engine = require "perigee.engine"
local knob = require "perigee.load.knob"
local schema = require "perigee.schema"
local stream = require "perigee.stream"
local where = require "perigee.where"

local open = {}

local function rng(context)
   return engine.rng(context.seed or 0, context.number or 1, stream.schedule)
end

--- Open: requests at even distances, the first at 0.
---@param rate number  requests per second
---@param opts? perigee.LoadOptions
open.constant = define.open("constant", { "rate" }, { rate = schema.required(schema.positive) }, function(args)
   local rate = knob.rate(args.rate)
   local base_i, base_t = 0, 0 -- arrival base_i + 1 is at base_t
   local function schedule(i, t)
      while true do
         -- From the arrival's number, so that no rounding adds up.
         local at = rate.current > 0 and base_t + (i - base_i) / rate.current or math.huge
         local since = rate:turned_before(at)
         if not since then return math.max(0, at - t) end
         -- One distance after the last arrival, but not in the past.
         base_i, base_t = i, i == 0 and since or math.max(since, t + 1 / rate.current)
      end
   end
   return { schedule = schedule, knobs = rate.knobs }
end)

--- Open: requests at random, independent distances, as of many users who know nothing of each other.
---@param rate number  requests per second on average
---@param opts? perigee.LoadOptions
open.poisson = define.open("poisson", { "rate" }, { rate = schema.required(schema.positive) }, function(args, context)
   local rate, random = knob.rate(args.rate), rng(context)
   -- The distances have no memory: a new rate begins when it was set.
   local schedule = knob.renewal(rate, function(now) return random:exponential(1 / now) end)
   return { schedule = schedule, knobs = rate.knobs }
end)

--- Open: n requests at once; then the phase ends.
---@param n integer  requests
---@param opts? perigee.LoadOptions
open.burst = define.open("burst", { "n" }, { n = schema.required(schema.count) }, function(args)
   local n = args.n
   return { schedule = function(i) return i < n and 0 or nil end }
end)

--- Open: a delay function says how long it is to the next request.
---@param fn fun(i: integer, t: number, rng: perigee.Rng): number?  gets arrival i (from 1), its scheduled time t in seconds and
---   random numbers; returns the seconds to the next arrival, nil ends the phase. The first arrival is at 0
---@param opts? perigee.LoadOptions
open.gaps = define.open("gaps", { "fn" }, { fn = schema.required(schema.func) }, function(args, context)
   local fn, random = args.fn, rng(context)
   local function schedule(i, t)
      if i == 0 then return 0 end
      local gap = fn(i, t, random)
      if gap ~= nil and not (type(gap) == "number" and gap >= 0 and gap < math.huge) then
         where.fail(("load.gaps: the delay function returned %s for arrival %d; seconds >= 0 or nil expected"):format(
            schema.show(gap), i), where.of(fn))
      end
      return gap
   end
   return { schedule = schedule }
end)

return open
