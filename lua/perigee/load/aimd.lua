--- Additive increase, multiplicative decrease: the load feels its way to what an SLO allows and follows it when
--- the endpoint changes (the rule of TCP's congestion avoidance: Chiu and Jain, 1989).
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local stepping = require "perigee.load.stepping"

local json = engine.json

---@class perigee.AimdOptions: perigee.SteppingOptions
---@field slo string|string[]  a check, or a list of them, as of `load.search`
---@field increase? number  (a twentieth of the range) added after a window in which the SLO holds
---@field decrease? number  (0.7) factor after one in which it does not

local MOST = 1000 -- steps that are told; of a longer run the latest ones

local function below_one(v)
   if schema.positive(v) and v < 1 then return true, v end
   return false, "a number between 0 and 1"
end

-- Rounded to what the knob takes, within its range.
local function within(value, knob, range)
   if knob == "concurrency" then value = math.floor(value + 0.5) end
   return math.max(range[1], math.min(range[2], value))
end

local function conclude(p, stepper, steps, held)
   local sum = 0
   for _, v in ipairs(held) do sum = sum + v end
   local mean = held[1] and sum / #held
   p:conclude {
      kind = "aimd", knob = stepper.knob, slo = stepper.args.slo, found = mean, steps = json.array(steps),
      columns = stepper:columns("passed", "detail"),
      text = mean and ("the SLO held in %d windows, at %s on average"):format(#held, stepping.show(stepper.knob, mean))
         or "the SLO held in no window",
   }
end

--- In steps: additive increase, multiplicative decrease under an SLO, until the phase ends.
---@param opts perigee.AimdOptions
return stepping.define("aimd", {
   slo = schema.required(stepping.slo), increase = schema.positive, decrease = schema.default(below_one, 0.7),
}, function(args, knob, range)
   local increase = args.increase or math.max((range[2] - range[1]) / 20, knob == "concurrency" and 1 or 0)
   return function(p, stepper)
      local value, steps, held = range[1], {}, {}
      while p:running() do
         local step = stepper:measure(value)
         if not step then return end
         steps[#steps + 1] = stepper:told(step)
         if #steps > MOST then table.remove(steps, 1) end
         if step.passed then held[#held + 1] = value end
         conclude(p, stepper, steps, held)
         value = within(step.passed and value + increase or value * args.decrease, knob, range)
      end
   end
end)
