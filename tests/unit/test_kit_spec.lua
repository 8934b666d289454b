-- Sessions on simulated time: every number here is exact, no matter how busy the machine is.
local perigee = require "perigee"
local support = require "tests.unit.support"

local load = perigee.load
local TENTH = { ttft = "100ms", tokens = 1 } -- an endpoint that takes 100 ms

-- A scenario of one phase.
local function scenario(phase, more)
   local definition = {
      name = "kit", seed = 7,
      target = perigee.target.openai_chat { url = "mock:", model = "m" },
      dataset = { { prompt = "a" }, { prompt = "b" }, { prompt = "c" } },
      phases = { { "only", load = load.constant(10) } },
   }
   for name, value in pairs(phase or {}) do definition.phases[1][name] = value end
   for name, value in pairs(more or {}) do definition[name] = value end
   return perigee.scenario(definition)
end

local function run(phase, endpoint, more)
   return perigee.test.run(scenario(phase, more), { clock = "virtual", endpoint = endpoint or TENTH })
end

local function near(expected, got)
   assert(got and math.abs(expected - got) < 2e-9, ("%s expected, got %s"):format(expected, got))
end

-- The events of a type, and of a phase when one is named.
local function events(result, kind, phase)
   local list = {}
   for _, e in ipairs(result.events) do
      if e.type == kind and (not phase or e.phase == phase) then list[#list + 1] = e end
   end
   return list
end

local function ended(result, phase)
   local e = events(result, "custom.phase_end", phase or "only")
   assert.equal(1, #e)
   return e[1].reason, e[1].time
end

-- Issued requests, the reason of the end, and when the phase ended.
local function assert_end(result, issued, reason, time)
   local why, at = ended(result)
   assert.equal(reason, why)
   assert.equal(issued, result.phases.only.issued)
   assert.equal(issued, #result.requests)
   near(time, at)
end

describe("perigee.test.load", function()
   after_each(support.clean)

   it("reads a scenario as `perigee run` does", function()
      local path, folder = support.file("walk.lua", [[return require("walk_base"):with {}]])
      local base = io.open(folder .. "/walk_base.lua", "w")
      base:write [[local perigee = require "perigee"
         return perigee.scenario { target = perigee.target.http { url = "x" }, requests = 3 }]]
      base:close()
      local before = package.path
      local loaded = perigee.test.load(path)
      os.remove(folder .. "/walk_base.lua")
      package.path = before
      assert.equal("scenario 'walk'", tostring(loaded))
      assert.equal(3, perigee.test.run(loaded).phases.performance.completed)
   end)

   it("says what is wrong, at the caller's line", function()
      local message = support.refusal(function() perigee.test.load "nowhere.lua" end)
      support.contains("test_kit_spec.lua:", message)
      support.contains("perigee.test.load: nowhere.lua: No such file or directory", message)
   end)
end)

describe("perigee.test", function()
   describe("a phase ends", function()
      it("after its requests", function()
         assert_end(run { requests = 5 }, 5, "requests", 0.5)
      end)

      it("after its duration", function()
         assert_end(run { duration = "1s" }, 10, "duration", 1)
      end)

      it("by what comes first of requests and duration", function()
         assert_end(run { requests = 5, duration = "1s" }, 5, "requests", 0.5)
         assert_end(run { requests = 50, duration = "1s" }, 10, "duration", 1)
      end)

      it("not before min_requests", function()
         assert_end(run { duration = "1s", min_requests = 30 }, 30, "duration", 3)
      end)

      it("not before min_duration", function()
         assert_end(run { requests = 5, min_duration = "2s" }, 20, "requests", 2)
      end)

      it("when both minimums are met", function()
         assert_end(run { duration = "1s", min_requests = 15, min_duration = "3s" }, 30, "duration", 3)
         assert_end(run { duration = "1s", min_requests = 45, min_duration = "3s" }, 45, "duration", 4.5)
      end)

      it("at max_duration, whatever the minimums say", function()
         assert_end(run { requests = 1000, max_duration = "1s" }, 10, "max_duration", 1)
         assert_end(run { requests = 5, min_requests = 1000, max_duration = "1s" }, 10, "max_duration", 1)
      end)

      it("with its schedule", function()
         local three = load.gaps(function(i) return i < 3 and 2 or nil end)
         assert_end(run { load = three }, 3, "schedule", 4.1)
      end)

      it("when nothing completes for the time of stall", function()
         local result = run({ duration = "1m", stall = "2s" }, function(request)
            return { ttft = request.number <= 10 and "100ms" or "1h", tokens = 1 }
         end)
         local reason, time = ended(result)
         assert.equal("stall", reason)
         near(1 + 2, time) -- the tenth, issued at 0.9 s, was the last that came back
         assert.equal(10, result.phases.only.completed)
         assert.equal(result.phases.only.issued - 10, result.phases.only.abandoned)
         assert.equal(1, result.exit_code)
         assert.equal("failed", result.summary.verdict)
      end)

      it("by the strategy's own hand", function()
         local result = run { load = load.strategy(function(p)
            p:issue()
            p:sleep(3600)
            p:issue()
            p:wait()
            p:stop()
         end) }
         assert_end(result, 2, "script", 3600.1)
      end)

      it("also when a strategy never lets time go on", function()
         local result = run { duration = "2ms", load = load.strategy(function(p)
            while p:running() do p:sleep(0) end
         end), kind = "warmup" }
         assert.equal("duration", (ended(result)))
         assert.equal(0, result.exit_code)
      end)
   end)

   it("says that nothing will ever happen again", function()
      local result = run { requests = 20, on = { complete = function(_, p) p:set_rate(0) end } }
      assert.same({ 1, "failed" }, { result.exit_code, result.outcome })
      support.contains("simulated time stands still: nothing is due, and no rule ends the phase",
         table.concat(result.summary.failures, "\n"))
   end)

   describe("what is in flight at the end", function()
      local SLOW = { ttft = "10s", tokens = 1 }

      it("is waited for", function()
         local result = run({ duration = "1s" }, SLOW)
         assert_end(result, 10, "duration", 10.9)
         assert.equal(10, result.phases.only.completed)
      end)

      it("is abandoned when the drain takes too long", function()
         local result = run({ duration = "1s", drain = "9.45s" }, SLOW)
         assert_end(result, 10, "duration", 10.45)
         assert.equal(5, result.phases.only.completed)
         assert.equal(5, result.phases.only.abandoned)
         assert.equal(1, result.exit_code)
         assert.equal("abandoned", result.requests[10].error)
      end)

      it("does not hold up the next phase with drain = false, and counts for its own", function()
         local result = run({ duration = "1s", drain = false }, SLOW, { phases = {
            { "only", load = load.constant(10), duration = "1s", drain = false },
            { "next", load = load.constant(1), requests = 2 },
         } })
         near(1, select(2, ended(result, "only")))
         near(1, events(result, "custom.phase_start", "next")[1].time)
         assert.equal(10, result.phases.only.completed)
         assert.equal(2, result.phases.next.completed)
         near(0.9, result.requests[10].scheduled)
         near(10.9, result.requests[10].finished)
         near(0, result.requests[11].scheduled)
      end)

      it("is cut by the deadline of each", function()
         local result = run({ duration = "1s", deadline = "2s" }, SLOW)
         assert_end(result, 10, "duration", 2.9)
         assert.same({ timeout = 10 }, result.phases.only.errors)
         for _, r in ipairs(result.requests) do near(r.issued + 2, r.finished) end
      end)

      it("is met by the drain before the deadline when that is nearer", function()
         local result = run({ duration = "1s", deadline = "5s", drain = "4.55s" }, SLOW)
         assert_end(result, 10, "duration", 5.55)
         assert.same({ timeout = 6, abandoned = 4 }, result.phases.only.errors)
      end)
   end)

   describe("the schedule", function()
      it("is met to the nanosecond", function()
         local result = run({ load = load.constant(8), requests = 1000 })
         for i, r in ipairs(result.requests) do
            near((i - 1) / 8, r.scheduled)
            assert.equal(r.scheduled, r.issued)
         end
         assert.equal(0, result.phases.only.lateness_us.max)
      end)

      it("is that of any load", function()
         local result = run { load = load.poisson(100), duration = "100s" }
         local issued = result.phases.only.issued
         assert.is_true(math.abs(issued - 10000) < 5 * 100, issued) -- 5 standard deviations
         for _, r in ipairs(result.requests) do assert.equal(r.scheduled, r.issued) end
      end)

      it("can be turned by a handler", function()
         local result = run { load = load.constant(10), requests = 30, on = { complete = function(r, p)
            if r.id == 9 then p:set_rate(1) end
         end } }
         near(0.9, result.requests[10].scheduled)
         local last = result.requests[30].scheduled - result.requests[29].scheduled
         near(1, last)
      end)
   end)

   describe("latency", function()
      it("counts from the intended time when the endpoint is saturated", function()
         local result = run({ load = load.constant(20), requests = 40 }, { ttft = "100ms", tokens = 1, slots = 1 })
         for i, r in ipairs(result.requests) do
            near((i - 1) / 20, r.issued)
            near(i / 10, r.finished)
            near(i / 10 - (i - 1) / 20, r.latency)
         end
      end)

      it("counts from the intended time when the client holds back", function()
         local result = run({ load = load.constant(20, { max_inflight = 1 }), requests = 40 })
         for i, r in ipairs(result.requests) do
            near(0.1, r.service_time)
            near((i - 1) / 10, r.issued)
            near(i / 10 - (i - 1) / 20, r.latency)
         end
         near(1950, result.phases.only.lateness_us.max / 1e3)
      end)

      it("does not change the rate that was asked for, whatever is dropped or held back", function()
         for overload, dropped in pairs { drop = 40, queue = 0 } do
            local result = run({ load = load.constant(10, { max_inflight = 1, overload = overload }), requests = 10, duration = "5s" },
               { ttft = overload == "drop" and "1s" or "100ms", tokens = 1 })
            assert.is_true(result.phases.only.dropped >= dropped)
            assert.is_true(math.abs(result.phases.only.rate_asked_per_s - 10) < 1e-6, result.phases.only.rate_asked_per_s)
         end
      end)

      it("is told of arrivals that were held back until the end", function()
         local phase = { load = load.constant(10, { max_inflight = 1 }), duration = "5s" }
         local result = run(phase, { ttft = "1s", tokens = 1 })
         assert.same({ 5, 0, 45 }, { result.phases.only.issued, result.phases.only.dropped, result.phases.only.unsent })
         assert.same({ kind = "unsent", phase = "only", detail = "45 arrivals were due and not sent when the phase ended" },
            result.summary.warnings[1])
         assert.equal(0, run({ load = load.constant(10), duration = "5s" }).phases.only.unsent)
         phase.requests = 3 -- no more were asked for
         assert.equal(0, run(phase, { ttft = "1s", tokens = 1 }).phases.only.unsent)
         -- A schedule without an end is not counted for ever.
         phase = { load = load.gaps(function() return 0 end, { max_inflight = 1 }), duration = "1s" }
         local endless = run(phase, { ttft = "1s", tokens = 1 })
         assert.equal(2 ^ 20, endless.phases.only.unsent)
      end)

      it("ends at the throughput of the slots", function()
         local result = run({ load = load.concurrency(64), duration = "100s" }, { ttft = "100ms", tokens = 1, slots = 8 })
         assert.is_true(math.abs(result.phases.only.completed / 100 - 80) < 1, result.phases.only.completed)
         local dropped = run({ load = load.constant(100, { max_inflight = 16, overload = "drop" }), duration = "100s" },
            { ttft = "100ms", tokens = 1, slots = 8 })
         assert.is_true(math.abs(dropped.phases.only.dropped / 100 - 20) < 1, dropped.phases.only.dropped)
      end)

      it("has its parts", function()
         local r = run({ requests = 1 }, { ttft = "50ms", tpot = "5ms", tokens = 21 }).requests[1]
         near(0.05, r.ttft)
         near(0.005, r.tpot)
         near(0.15, r.latency)
         assert.equal(21, r.tokens_out)
         assert.equal(21, r.chunks)
         assert.equal("stop", r.finish_reason)
      end)
   end)

   describe("the endpoint", function()
      it("may be a function of the request", function()
         local seen = {}
         local result = run({ requests = 3, request = function(sample) return sample.prompt:upper() end }, function(request)
            seen[#seen + 1] = request
            return { ttft = request.index / 10, text = "one two three", tokens_in = 5 }
         end)
         for i, r in ipairs(result.requests) do
            near(i / 10, r.ttft)
            assert.equal("one two three", r.text)
            assert.equal(3, r.tokens_out)
            assert.equal(5, r.tokens_in)
            assert.equal("only", seen[i].phase)
            assert.equal(i - 1, seen[i].id)
            near((i - 1) / 10, seen[i].time)
         end
         support.contains('"content":"B"', seen[2].body)
      end)

      it("fails as often as it should", function()
         local result = run({ requests = 2000, load = load.burst(2000) }, { error_rate = 0.1, status = 429 })
         local failed = result.phases.only.errors.http_429
         assert.is_true(math.abs(failed - 200) < 5 * math.sqrt(2000 * 0.09), failed)
         assert.equal(2000 - failed, result.phases.only.completed)
         result = run({ requests = 10 }, { error_rate = 1, error = "reset" })
         assert.same({ reset = 10 }, result.phases.only.errors)
      end)

      it("draws times, each request for itself", function()
         local result = run({ requests = 1000 }, { ttft = "uniform:10ms,20ms", tpot = "exp:1ms", tokens = "uniform:2,9" })
         local sum = 0
         for _, r in ipairs(result.requests) do
            assert.is_true(r.ttft >= 0.01 and r.ttft < 0.02)
            assert.is_true(r.tokens_out >= 2 and r.tokens_out <= 9)
            sum = sum + r.ttft
         end
         assert.is_true(math.abs(sum / 1000 - 0.015) < 5 * 0.0029 / math.sqrt(1000))
      end)

      it("serves a target that does not stream, and one of plain HTTP", function()
         local whole = run({ requests = 1, target = perigee.target.openai_completions { url = "x", model = "m", stream = false } },
            { ttft = "50ms", tpot = "10ms", tokens = 6 })
         near(0.1, whole.requests[1].latency)
         assert.equal(6, whole.requests[1].tokens_out)
         local plain = run({ requests = 1, target = perigee.target.http { url = "x", body = "ping" } }, { text = "pong", tokens = 1 })
         assert.equal("pong", plain.requests[1].body)
      end)

      it("numbers the requests of all targets, and has slots for each", function()
         local numbers = {}
         local function phase(name)
            local target = perigee.target.openai_chat { url = name, model = "m" }
            return { name, target = target, load = load.burst(3), drain = false }
         end
         local result = perigee.test.run(scenario({}, { phases = { phase "a", phase "b" } }), { endpoint = {
            ttft = "1s", tokens = 1, slots = 1, answer = function(request) numbers[#numbers + 1] = request.number end,
         } })
         assert.same({ 1, 2, 3, 4, 5, 6 }, numbers)
         for i = 1, 3 do
            near(i, result.requests[i].finished)
            near(i, result.requests[i + 3].finished)
         end
      end)

      it("needs no secrets", function()
         local target = perigee.target.openai_chat { url = "x", model = "m", api_key_env = "PERIGEE_NO_SUCH_VARIABLE" }
         assert.equal(1, run({ requests = 1, target = target }).phases.only.completed)
      end)

      it("is checked where it is written", function()
         support.contains("did you mean 'tokens'", support.refusal(run, { requests = 1 }, { token = 3 }))
         support.contains("endpoint: ttft: a time", support.refusal(run, { requests = 1 }, { ttft = "soon" }))
         local function answer(fields)
            local result = run({ requests = 1 }, function() return fields end)
            assert.equal(2, result.exit_code)
            assert.equal("script_error", result.outcome)
            return result.error
         end
         support.contains("did you mean 'tpot'", answer { tpit = 1 })
         support.contains("endpoint: tpot: a duration", answer { tpot = "soon" })
         support.contains("the class of a failure expected", answer { error = "nonsense" })
         support.contains("the function returned 'x'", answer "x")
         assert.matches("test_kit_spec.lua:%d+", answer { tpit = 1 })
      end)
   end)

   describe("a run", function()
      local function lively()
         return run({ load = load.poisson(50), duration = "20s", deadline = "80ms" },
            { ttft = "exp:30ms", tpot = "uniform:1ms,4ms", tokens = "uniform:1,16", error_rate = 0.05, slots = 4 })
      end

      it("is the same each time", function()
         local a, b = lively(), lively()
         assert.is_true(#a.requests > 500)
         assert.is_true(a.phases.only.failed > 20)
         assert.same(a.requests, b.requests)
         assert.same(a.events, b.events)
         assert.same(a.summary, b.summary)
         assert.same(a.report, b.report)
      end)

      it("is another one with another seed", function()
         local s = scenario { load = load.poisson(50), duration = "1s" }
         local a, b = perigee.test.run(s, { seed = 1 }), perigee.test.run(s, { seed = 2 })
         assert.not_equal(a.requests[1].scheduled, b.requests[1].scheduled)
      end)

      it("tells its events in order, those of a request as they must be", function()
         local result, types, time = run { requests = 2 }, {}, 0
         for i, e in ipairs(result.events) do
            types[i] = e.type:gsub("custom%.", "")
            assert.is_true(e.time >= time)
            time = e.time
         end
         assert.same({
            "session.started", "run_config", "phase_start", "session.start_performance_tracking",
            "sample.issued", "sample.recv_first", "sample.complete", "sample.issued", "session.stop_loadgen",
            "sample.recv_first", "sample.complete",
            "session.stop_performance_tracking", "phase_end", "session.ended",
         }, { unpack(types, 1, 14) })
         local issued = events(result, "sample.issued", "only")
         assert.equal(2, issued[2].index)
         near(0.1, issued[2].time)
      end)

      it("lasts as long as it likes", function()
         local result = run({ load = load.constant(0.01), duration = "240h" })
         assert.equal(8640, result.phases.only.completed)
      end)

      it("judges the checks", function()
         local result = run({ requests = 5, checks = { "latency.p50 < 50ms", "error_rate < 1%" } })
         assert.equal(3, result.exit_code)
         assert.is_false(result.checks.only[1].passed)
         assert.is_true(result.checks.only[2].passed)
      end)

      it("tells what a handler raises", function()
         local result = run { requests = 5, on = { complete = function() error "no" end } }
         assert.equal(2, result.exit_code)
         assert.matches("on.complete: .*test_kit_spec.lua:%d+: no", result.error)
      end)

      it("takes the options of the scenario", function()
         local s = scenario({ load = load.constant(perigee.opt "rate"), requests = 3 }, { options = { rate = { 10, "of it" } } })
         near(0.2, perigee.test.run(s, { options = { rate = 5 } }).requests[2].scheduled)
         support.contains("unknown option", support.refusal(perigee.test.run, s, { options = { rat = 5 } }))
      end)

      it("is refused without a scenario or with another clock", function()
         support.contains("a scenario expected", support.refusal(perigee.test.run, {}))
         support.contains("'virtual'", support.refusal(perigee.test.run, scenario(), { clock = "real" }))
      end)

      it("may follow one whose handler began another", function()
         local inner
         local outer = run { requests = 1, on = { complete = function() inner = run { requests = 2 } end } }
         assert.equal(0, outer.exit_code)
         assert.equal(2, #inner.requests)
      end)
   end)

   it("leaves handlers what they do: retries, cancels, tags", function()
      local retried = run({ requests = 4, on = { complete = function(r, p)
         if not r.ok and r.tag == nil then p:issue(r.index) end
      end } }, function(request) return { status = request.number == 1 and 503 or 200 } end)
      assert.equal(4, #retried.requests)
      assert.equal(1, retried.requests[2].index)
      local cancelled = run({ requests = 3, on = { first = function(r) r:cancel() end } }, { ttft = "10ms", tpot = "1s", tokens = 5 })
      assert.same({ cancelled = 3 }, cancelled.phases.only.errors)
      near(0.01, cancelled.requests[1].finished)
   end)
end)
