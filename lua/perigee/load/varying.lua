--- Open loads whose rate changes with time, or whose gaps are more or less even than
--- Poisson's. An arrival comes when the rate, summed up over time since the last one,
--- reaches a goal: 1 for even arrivals, an exponential number of mean 1 for Poisson's
--- (the inverse of the cumulative rate: Cinlar, Introduction to Stochastic Processes, 1975).
local define = require "perigee.load.define"
local engine = require "perigee.engine"
local knob = require "perigee.load.knob"
local schema = require "perigee.schema"
local stream = require "perigee.stream"
local where = require "perigee.where"

local varying = {}

--- What loads take whose rate changes.
---@class perigee.VaryingOptions: perigee.LoadOptions
---@field arrivals? "poisson"|"even"  ("poisson") an arrival comes when the rate, summed up since the last one, reaches an
---   exponential number of mean 1, or 1

---@class perigee.RampOptions: perigee.VaryingOptions
---@field over? perigee.Duration  (the phase's duration) how long the way takes

---@class perigee.SineOptions: perigee.VaryingOptions
---@field mean number  requests per second on average
---@field amplitude number  requests per second, at most `mean`
---@field period perigee.Duration  of one swing
local ARRIVALS = schema.default(schema.one_of { "poisson", "even" }, "poisson")

-- The goals, one for each arrival.
local function goals(args, context)
   if args.arrivals == "even" then return function() return 1 end end
   local random = engine.rng(context.seed or 0, context.number or 1, stream.schedule)
   return function() return random:exponential(1) end
end

-- A schedule from following(t, goal) -> the time of the next arrival, nil at the end. The first even
-- arrival is at 0, as of a constant rate.
local function schedule(args, context, following)
   local goal = goals(args, context)
   return { schedule = function(i, t)
      if i == 0 and args.arrivals == "even" then return 0 end
      local at = following(t, goal())
      return at and math.max(0, at - t)
   end }
end

-- Straight pieces { t0, r0, t1, r1 } of a rate over time, one after the other; behind the last comes nothing.
local function along(pieces)
   local at = 1
   return function(t, goal)
      while at <= #pieces do
         local p = pieces[at]
         local slope = p.t1 < math.huge and (p.r1 - p.r0) / (p.t1 - p.t0) or 0
         local from = math.max(t, p.t0)
         local rate = p.r0 + slope * (from - p.t0)
         local left = p.t1 < math.huge and (rate + p.r1) / 2 * (p.t1 - from) or math.huge
         if goal <= left then
            -- The root of rate * x + slope / 2 * x^2 = goal, in the form that loses no digits.
            return from + 2 * goal / (rate + math.sqrt(math.max(0, rate * rate + 2 * slope * goal)))
         end
         goal, t, at = goal - left, p.t1, at + 1
      end
   end
end

--- Open: from one rate to another in a straight line, then on at the second.
---@param from number  requests per second at the beginning, 0 is allowed
---@param to number  requests per second at the end
---@param opts? perigee.RampOptions
varying.ramp = define.open("ramp", { "from", "to" }, {
   from = schema.required(schema.not_negative), to = schema.required(schema.positive),
   over = schema.duration, arrivals = ARRIVALS,
}, function(args, context, place)
   local over = args.over or context.duration
   if not over then where.fail("load.ramp: it needs `over`, or a phase with a duration", place) end
   return schedule(args, context, along {
      { t0 = 0, r0 = args.from, t1 = over, r1 = args.to }, { t0 = over, r0 = args.to, t1 = math.huge, r1 = args.to },
   })
end)

local function steps(v)
   local words = "a list of { rate, duration }, each above 0"
   if type(v) ~= "table" or getmetatable(v) or #v == 0 then return false, words end
   local list = {}
   for i, step in ipairs(v) do
      local here = ("%s, as [%d] is not,"):format(words, i)
      if type(step) ~= "table" then return false, here end
      local good_rate, rate = schema.positive(step.rate or step[1])
      local good_time, duration = schema.duration(step.duration or step[2])
      if not (good_rate and good_time) then return false, here end
      list[i] = { rate = rate, duration = duration }
   end
   return true, list
end

--- Open: one rate after the other; the phase ends after the last.
---@param steps { [1]: number, [2]: perigee.Duration }[]  the rate in requests per second and the duration of each
---@param opts? perigee.VaryingOptions
varying.steps = define.open("steps", { "steps" }, { steps = schema.required(steps), arrivals = ARRIVALS }, function(args, context)
   local pieces, t = {}, 0
   for i, step in ipairs(args.steps) do
      pieces[i] = { t0 = t, r0 = step.rate, t1 = t + step.duration, r1 = step.rate }
      t = t + step.duration
   end
   return schedule(args, context, along(pieces))
end)

--- Open: a rate that swings around its mean: mean + amplitude * sin(2 pi t / period).
---@param opts perigee.SineOptions
varying.sine = define.open("sine", {}, {
   mean = schema.required(schema.positive), amplitude = schema.required(schema.positive),
   period = schema.required(schema.duration), arrivals = ARRIVALS,
}, function(args, context, place)
   local mean, amplitude, period = args.mean, args.amplitude, args.period
   if amplitude > mean then where.fail("load.sine: the amplitude must not be above the mean: rates are not negative", place) end
   local w = 2 * math.pi / period
   local function sum(t) return mean * t + amplitude / w * (1 - math.cos(w * t)) end
   return schedule(args, context, function(t, goal)
      local want = sum(t) + goal
      local low, high = t, t + (math.ceil(goal / (mean * period)) + 1) * period -- a period adds mean * period
      for _ = 1, 60 do
         local middle = (low + high) / 2
         if sum(middle) < want then low = middle else high = middle end
      end
      return high
   end)
end)

--- Open: gaps of a gamma distribution, burstier or more even than Poisson's.
---@param rate number  requests per second on average
---@param burstiness number  the shape of the distribution: burstier than Poisson below 1, Poisson at 1, more even above
---@param opts? perigee.LoadOptions
varying.gamma = define.open("gamma", { "rate", "burstiness" }, {
   rate = schema.required(schema.positive), burstiness = schema.required(schema.positive),
}, function(args, context)
   local shape, rate = args.burstiness, knob.rate(args.rate)
   local random = engine.rng(context.seed or 0, context.number or 1, stream.schedule)
   local function gap(now) return random:gamma(shape, 1 / (now * shape)) end
   return { schedule = knob.renewal(rate, gap), knobs = rate.knobs }
end)

return varying
