--- The highest rate, or number of requests in flight, at which an SLO still holds.
local engine = require "perigee.engine"
local files = require "perigee.report.files"
local schema = require "perigee.schema"
local stepping = require "perigee.load.stepping"
local where = require "perigee.where"

local json = engine.json

---@class perigee.SearchOptions: perigee.SteppingOptions
---@field slo string|string[]  a check such as `"ttft.p99 < 500ms"`, or a list of them, all of which must
---   hold in a window. One without data does not; metrics of the script count for the whole phase
---@field tolerance? number  (0.05) share of the value to which it is found; whole numbers of `concurrency` at best
---@field repeats? integer  (1) how often a step that does not hold is repeated before that is believed
---@field state? string  a file in which the search is kept after each step. Where it exists the search goes on from it; that of a
---   finished one, or of another range or SLO, is refused

-- Where to look next: upwards from the low end, doubling, until a step fails; then between the highest that holds
-- (found) and the lowest that does not (failed). nil: nothing is left to look at.
local function following(state, tolerance)
   local good, bad = state.found, state.failed
   if not good then return not bad and state.low or nil end
   if not bad then return good < state.high and math.min(state.high, 2 * good) or nil end
   local whole = state.knob == "concurrency"
   if bad - good <= math.max(whole and 1 or 0, tolerance * bad) then return nil end
   return whole and math.floor((good + bad) / 2) or math.sqrt(good * bad)
end

local function sentence(state)
   local function show(v) return stepping.show(state.knob, v) end
   if not state.done then
      local low, high = state.found or state.low, state.failed or state.high
      return ("search of %s: not finished, between %s and %s"):format(state.slo, show(low), show(high))
   end
   if not state.found then return ("%s does not hold at %s, the low end"):format(state.slo, show(state.failed)) end
   return ("%s holds up to %s, %s"):format(state.slo, show(state.found),
      state.failed and "not at " .. show(state.failed) or "the high end")
end

local function new_state(args, knob, range)
   local slo = type(args.slo) == "table" and table.concat(args.slo, " and ") or args.slo
   return { kind = "search", knob = knob, low = range[1], high = range[2], slo = slo, steps = json.array {} }
end

-- As an earlier run left it in the file, or from the begin.
local function load_state(args, knob, range, place)
   local fresh, file = new_state(args, knob, range), args.state and io.open(args.state)
   if not file then return fresh end
   local state, message = json.decode(file:read "*a")
   file:close()
   local function fail(...) where.fail(("load.search: %s: "):format(args.state) .. (...):format(select(2, ...)), place) end
   if type(state) ~= "table" then fail("%s", message or "an object expected") end
   for _, key in ipairs { "kind", "knob", "low", "high", "slo" } do
      if state[key] ~= fresh[key] then fail("is of another search: its %s is %s", key, schema.show(state[key])) end
   end
   if state.done then fail("the search is finished: %s; without the file it begins anew", tostring(state.text)) end
   return state
end

-- A step that fails is repeated: one bad moment is not the endpoint's limit. nil: the phase was ended.
local function judge(stepper, state, value, repeats)
   for _ = 0, repeats do
      local step = stepper:measure(value)
      if not step then return nil end
      table.insert(state.steps, stepper:told(step, true))
      if step.passed then return true end
   end
   return false
end

--- In steps: the highest rate, or number in flight, at which an SLO holds; the phase ends with it.
---@param opts perigee.SearchOptions
return stepping.define("search", {
   slo = schema.required(stepping.slo), state = schema.text, tolerance = schema.default(schema.positive, 0.05),
   repeats = schema.default(schema.not_negative, 1),
}, function(args, knob, range, place)
   local state = load_state(args, knob, range, place)
   return function(p, stepper)
      repeat
         local value = following(state, args.tolerance)
         local passed = judge(stepper, state, value, args.repeats)
         if passed ~= nil then state[passed and "found" or "failed"] = value end
         state.done = passed ~= nil and following(state, args.tolerance) == nil
         state.columns, state.text = stepper:columns("passed", "detail"), sentence(state)
         p:conclude(state)
         if args.state then assert(files.write(args.state, json.encode(state, 2) .. "\n")) end
      until state.done or passed == nil
   end
end)
