--- What loads share that go from step to step: each step turns a knob, lets the endpoint settle, measures a window,
--- stops sending, and waits until all that was sent has come back. All of it stands on what any strategy has: p:set_rate,
--- p:issue, p:wait, p:window, p:conclude.
local checks = require "perigee.checks"
local define = require "perigee.load.define"
local open = require "perigee.load.open"
local opt = require "perigee.opt"
local schema = require "perigee.schema"
local units = require "perigee.units"

local stepping = {}
local Stepper = {}
local Stepper_mt = { __name = "perigee.load.stepper", __index = Stepper }

local SLICES = 10 -- of a window, to see whether it is steady

--- What all loads take that go in steps.
---@class perigee.SteppingOptions: perigee.LoadOptions
---@field rate? number[]  the range `{ low, high }` of requests per second; either this or `concurrency` is required
---@field concurrency? integer[]  the range `{ low, high }` of requests in flight
---@field window? perigee.Duration  (30 s) how long a step is measured. A p99 needs some hundreds of requests to be more than their
---   maximum
---@field settle? perigee.Duration  (5 s) before it
---@field arrivals? "poisson"|"even"  ("poisson") of rates

-- { low, high }, each accepted by `check`.
local function range(check, words)
   local expected = ("a range { low, high } of %s"):format(words)
   return function(v)
      local ok, list = schema.list(check, expected)(v)
      if not ok or #list ~= 2 then return false, expected end
      local known = not (opt.is(list[1]) or opt.is(list[2]))
      if known and list[1] > list[2] then return false, expected .. ", the lower one first" end
      return true, list
   end
end

local function slo(v)
   if type(v) == "string" or type(v) == "table" and not getmetatable(v) and #v > 0 then return true, v end
   return false, "a check such as \"ttft.p99 < 500ms\", or a list of them"
end

stepping.slo = slo

---@private
--- A constructor of such a load. fields: what it has besides `rate` or `concurrency`, `arrivals`, `window`, `settle` and the
--- limits of the load; make(args, knob, range, place) gives its strategy, run(p, stepper).
function stepping.define(kind, fields, make)
   fields.rate = range(schema.positive, "rates above 0")
   fields.concurrency = range(schema.count, "whole numbers >= 1")
   fields.arrivals = schema.default(schema.one_of { "poisson", "even" }, "poisson")
   fields.window, fields.settle = schema.default(schema.duration, 30), schema.default(schema.duration, 5)
   fields.max_inflight, fields.overload = schema.count, schema.one_of { "queue", "drop", "abort" }
   local function check(args)
      if (args.rate ~= nil) == (args.concurrency ~= nil) then return "one of 'rate' and 'concurrency' is needed, as { low, high }" end
      if args.overload and not args.max_inflight then return "overload needs max_inflight, the limit it is about" end
      if args.max_inflight and args.concurrency then return "max_inflight is a limit of rates, concurrency is one itself" end
      if args.slo and not opt.is(args.slo) then checks.holds(args.slo, "load." .. kind .. ": slo") end
   end
   return define.closed(kind, {}, fields, function(args, context, place)
      local built = {}
      if args.rate then
         built = (args.arrivals == "even" and open.constant or open.poisson)(args.rate[1]):build(context)
      end
      local run = make(args, args.rate and "rate" or "concurrency", args.rate or args.concurrency, place)
      built.strategy = function(p) run(p, stepping.new(p, args)) end
      return built
   end, check)
end

---@param p table     the phase
---@param args table  of the load
function stepping.new(p, args)
   return setmetatable({
      p = p, args = args, knob = args.rate and "rate" or "concurrency",
      window = p:window(), holds = args.slo and checks.holds(args.slo, "slo"),
   }, Stepper_mt)
end

--- Send at this rate, or keep so many in flight.
---@param value number  0: send no more
function Stepper:turn(value)
   self.value = value
   if self.knob == "rate" then self.p:set_rate(value) end
end

--- Go on like that for so long.
---@param seconds number
---@return boolean running  false: the phase was ended before
function Stepper:hold(seconds)
   local p = self.p
   if self.knob == "rate" then return p:sleep(seconds) end
   local over = p.elapsed + seconds
   while p:running() and p.elapsed < over do
      while p.total_inflight < self.value and p:issue() do end
      p:wait(over - p.elapsed)
   end
   return p:running()
end

--- Send no more, and wait until all has come back.
---@return boolean running
function Stepper:drain()
   local p = self.p
   self:turn(0)
   while p:running() and not p.idle do p:wait() end
   return p:running()
end

--- One step: the window's numbers with all that was sent in it, also what came back later.
---@param value number
---@return table? step  { [knob] = value, per_s = completions per second of the window, slices =, report =, passed =, detail = };
---nil: the phase was ended before
function Stepper:measure(value)
   local p, slices = self.p, {}
   self:turn(value)
   if not self:hold(self.args.settle) then return nil end
   self.window:restart()
   local completed = p.completed
   for i = 1, SLICES do
      local before = p.completed
      if not self:hold(self.args.window / SLICES) then return nil end
      slices[i] = self.knob == "rate" and p.inflight or p.completed - before
   end
   local per_s = (p.completed - completed) / self.args.window
   if not self:drain() then return nil end
   local step = { [self.knob] = value, per_s = per_s, slices = slices, report = self.window:report() }
   if self.holds then step.passed, step.detail = self.holds(step.report) end
   return step
end

-- In ms; nil when no request of the step told one.
local function percentiles(d)
   return d and { p50 = d.p50 / 1e6, p90 = d.p90 / 1e6, p99 = d.p99 / 1e6 }
end

--- What is told of a step in a conclusion.
---@param step table
---@param times? boolean  also its percentiles: of a load that takes few steps
---@return table
function Stepper:told(step, times)
   return {
      [self.knob] = step[self.knob], requests = step.report.issued, completed_per_s = step.per_s,
      latency_ms = times and percentiles(step.report.latency) or nil, ttft_ms = times and percentiles(step.report.ttft) or nil,
      passed = step.passed, detail = step.detail,
   }
end

--- The columns of the table of steps, in order.
function Stepper:columns(...)
   return { self.knob, "requests", "completed_per_s", ... }
end

--- "40/s", "16 in flight".
---@param knob string
---@param value number
function stepping.show(knob, value)
   return units.number(value) .. (knob == "rate" and "/s" or " in flight")
end

--- How a list of numbers goes on: the growth from its first to its last, by a straight line (least squares), and
--- how many standard errors of the slope it is (Student's t with n - 2 degrees of freedom).
---@param list number[]
---@return number growth, number t
function stepping.trend(list)
   local n, mean = #list, 0
   for _, y in ipairs(list) do mean = mean + y / n end
   local sxx, sxy, syy = 0, 0, 0
   for x, y in ipairs(list) do
      local dx, dy = x - (n + 1) / 2, y - mean
      sxx, sxy, syy = sxx + dx * dx, sxy + dx * dy, syy + dy * dy
   end
   local slope = sxy / sxx
   local rest = math.max(0, syy - slope * sxy) / (n - 2)
   if sxy == 0 then return 0, 0 end
   return slope * (n - 1), rest > 0 and slope / math.sqrt(rest / sxx) or slope * math.huge
end

return stepping
