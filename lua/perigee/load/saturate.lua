--- Step by step up to saturation: where more load brings no more answers.
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local stepping = require "perigee.load.stepping"
local units = require "perigee.units"

local json = engine.json

---@class perigee.SaturateOptions: perigee.SteppingOptions
---@field factor? number  (1.5) from step to step
---@field threshold? number  (0.05) a rate is saturated when more than this share of it is not answered in its window, or the
---   requests in flight pile up by as much; a number in flight, when it brings less than this share more than the best step before

local SIGNIFICANT = 3.36 -- Student's t with 8 degrees of freedom: one in a hundred by chance, both sides
local ATTEMPTS = 3 -- windows of a step until it is steady

-- Is the window steady, and did the step still bring what it should? Of a rate the requests in flight must not
-- pile up, and answers have to follow it; of a concurrency the throughput must not drift, and has to rise.
local function judge(step, knob, best, threshold, window)
   local growth, t = stepping.trend(step.slices)
   if knob == "rate" then
      local asked = step.rate * window
      local piling = t > SIGNIFICANT and growth > threshold * asked
      return true, not piling and step.report.issued > 0 and step.per_s >= (1 - threshold) * step.report.issued / window
   end
   local drifting = math.abs(t) > SIGNIFICANT and math.abs(growth) * #step.slices > threshold * step.per_s * window
   return not drifting, step.per_s >= (1 + threshold) * best
end

-- Measure until it is steady, or often enough; nil: the phase was ended.
local function steady_step(stepper, value, best, args)
   for attempt = 1, ATTEMPTS do
      local step = stepper:measure(value)
      if not step then return nil end
      step.steady, step.passed = judge(step, stepper.knob, best, args.threshold, args.window)
      step.detail = not step.steady and "not steady" or step.passed and "followed" or "saturated"
      if step.steady or attempt == ATTEMPTS then return step end
   end
end

local function conclude(p, stepper, state)
   state.columns = stepper:columns("passed", "detail")
   local at = state.found and "followed up to " .. stepping.show(stepper.knob, state.found) or "followed at no step"
   state.text = ("%s, at most %s answers/s%s"):format(at, units.number(state.capacity_per_s),
      state.failed and "" or ", not saturated")
   p:conclude(state)
end

--- In steps: upwards until more load brings no more answers; the phase ends with it.
---@param opts perigee.SaturateOptions
return stepping.define("saturate", {
   factor = schema.default(function(v)
      if schema.number(v) and v > 1 then return true, v end
      return false, "a number above 1"
   end, 1.5),
   threshold = schema.default(schema.positive, 0.05),
}, function(args, knob, range)
   return function(p, stepper)
      local state = { kind = "saturate", knob = knob, capacity_per_s = 0, steps = json.array {} }
      local value = range[1]
      while value and not state.failed do
         local step = steady_step(stepper, value, state.capacity_per_s, args)
         if not step then return end
         table.insert(state.steps, stepper:told(step, true))
         state[step.passed and "found" or "failed"] = value
         state.capacity_per_s = math.max(state.capacity_per_s, step.per_s)
         conclude(p, stepper, state)
         local higher = value * args.factor
         if knob == "concurrency" then higher = math.max(value + 1, math.floor(higher)) end
         value = value < range[2] and math.min(range[2], higher) or nil
      end
   end
end)
