-- The interface of strategies, on simulated time.
local perigee = require "perigee"
local report_table = require "perigee.report.table"
local support = require "tests.unit.support"

local load = perigee.load
local TENTH = { ttft = "100ms", tokens = 1 }

local function run(fn, phase, endpoint, options)
   local definition = { "only", load = type(fn) == "function" and load.strategy(fn, options or {}) or fn }
   for name, value in pairs(phase or {}) do definition[name] = value end
   return perigee.test.run(perigee.scenario {
      name = "strategy", seed = 3, target = perigee.target.openai_chat { url = "http://x", model = "m" },
      dataset = { "a", "b", "c" }, phases = { definition },
   }, { endpoint = endpoint or TENTH })
end

local function near(expected, got)
   assert(got and math.abs(expected - got) < 2e-9, ("%s expected, got %s"):format(expected, tostring(got)))
end

local function between(result, from, to)
   local n = 0
   for _, r in ipairs(result.requests) do
      if r.scheduled >= from and r.scheduled < to then n = n + 1 end
   end
   return n
end

describe("a strategy that watches over an open load", function()
   it("turns its rate, and ends the phase when it returns", function()
      local result = run(function(p)
         for _, rate in ipairs { 10, 50, 20 } do
            p:set_rate(rate)
            p:sleep(2)
         end
      end, nil, nil, { load = load.constant(1) })
      assert.equal(0, result.exit_code)
      assert.equal("schedule", result.phases.only.end_reason)
      assert.same({ 20, 100, 40 }, { between(result, 0, 2), between(result, 2, 4), between(result, 4, 6) })
      for _, r in ipairs(result.requests) do assert.equal(r.scheduled, r.issued) end
      assert.near(160 / 6, result.phases.only.rate_asked_per_s, 0.3) -- it is an open load
   end)

   it("ends with the load as well", function()
      local told
      local result = run(function(p)
         while p:running() do p:wait() end
         told = p:running()
      end, nil, nil, { load = load.burst(5) })
      assert.equal("schedule", result.phases.only.end_reason)
      assert.equal(5, result.phases.only.completed)
      assert.is_false(told)
   end)

   it("may ask for requests besides, and stop it", function()
      local result = run(function(p)
         for i = 1, 10 do
            p:sleep(1)
            p:issue(i % 3 + 1)
         end
         p:wait()
         p:stop()
      end, nil, nil, { load = load.constant(2) })
      assert.equal(31, result.phases.only.issued) -- 21 of the load, from 0 to 10 s, and 10
      assert.equal("script", result.phases.only.end_reason)
   end)

   it("keeps the limits of the load", function()
      local dropped
      local result = run(function(p)
         p:sleep(10)
         dropped = p.dropped
      end, nil, { ttft = "1s", tokens = 1 }, { load = load.constant(10, { max_inflight = 2, overload = "drop" }) })
      assert.equal(result.phases.only.dropped, dropped)
      assert.is_true(dropped > 70)
      assert.equal(0, result.exit_code)
   end)

   it("gets all that was due before a turn, also when the limit held back more than a batch", function()
      for name, l in pairs { constant = load.constant, poisson = load.poisson } do
         local at_turn
         local result = run(function(p)
            p:sleep(2)
            at_turn = p.issued
            p:set_rate(0)
            while not p.idle do p:wait() end
         end, nil, { ttft = "10ms", tokens = 1 }, { load = l(1000, { max_inflight = 4 }) })
         assert.is_true(at_turn < 900, at_turn) -- 400 per second were let through
         assert.is_true(math.abs(result.phases.only.issued - 2000) <= (name == "constant" and 1 or 225), result.phases.only.issued)
         for _, r in ipairs(result.requests) do assert.is_true(r.scheduled <= 2) end
      end
   end)

   it("takes loads with a schedule only", function()
      support.contains("load: a load with a schedule", support.refusal(load.strategy, print, { load = load.concurrency(2) }))
      support.contains("load: a load with a schedule", support.refusal(load.strategy, print, { load = 5 }))
   end)
end)

describe("a rate of 0", function()
   it("is a pause of every load that has a rate, from any handler", function()
      for name, l in pairs { constant = load.constant(100), poisson = load.poisson(100), gamma = load.gamma(100, 0.5) } do
         local result = run(l, { duration = "10s", tick = "1s", on = { tick = function(p)
            if p.elapsed == 2 then p:set_rate(0) end
            if p.elapsed == 5 then p:set_rate(200) end
            if p.elapsed == 7 then p:set_rate(0) end
         end } })
         assert.equal(0, result.exit_code)
         assert.equal("duration", result.phases.only.end_reason)
         -- What is due at the moment of the turn is still sent.
         assert.is_true(math.abs(between(result, 0, 2) - 200) <= (name == "constant" and 0 or 100), name)
         assert.equal(0, between(result, 2 + 1e-6, 5), name)
         assert.is_true(math.abs(between(result, 5, 7) - 400) <= (name == "constant" and 0 or 150), name)
         assert.equal(0, between(result, 7 + 1e-6, 10), name)
      end
   end)

   it("may be the first thing, and a pause ends a phase only by its rules", function()
      local result = run(load.constant(10), { duration = "5s", tick = "1s", on = {
         phase_start = function(p) p:set_rate(0) end,
         tick = function(p) if p.elapsed == 3 then p:set_rate(10) end end,
      } })
      assert.equal(20, #result.requests)
      near(3, result.requests[1].scheduled)
      near(4.9, result.requests[20].scheduled)
   end)

   it("leaves a strategy that waits for nothing an error", function()
      local result = run(function(p)
         p:set_rate(0)
         p:wait()
      end, nil, nil, { load = load.constant(10) })
      assert.equal(2, result.exit_code)
      support.contains("nothing is in flight and no duration ends the phase", result.error)
   end)

   it("is what p.rate tells", function()
      local seen = {}
      run(function(p)
         for _, rate in ipairs { 0, 5, 0.25 } do
            p:set_rate(rate)
            seen[#seen + 1] = p.rate
         end
      end, { kind = "warmup" }, nil, { load = load.poisson(10) })
      assert.same({ 0, 5, 0.25 }, seen)
   end)
end)

describe("the rate of a load", function()
   -- Arrivals after the rate was turned in the middle of the schedule, by each kind of handler.
   for _, handler in ipairs { "issue", "first", "complete", "error", "tick", "chunk" } do
      it("may be turned by on." .. handler .. " in the middle of the schedule", function()
         local turned
         local function turn(_, p)
            p = p or _
            if not turned and p.elapsed >= 2 then
               turned = p.elapsed
               p:set_rate(5)
            end
         end
         local result = run(load.constant(20), { duration = "6s", on = { [handler] = turn } }, function(request)
            return { ttft = "100ms", tpot = "1ms", tokens = 3, status = handler == "error" and request.number % 7 == 0 and 500 or 200 }
         end)
         assert.is_true(turned ~= nil)
         local before, after, last = 0, 0, nil
         for _, r in ipairs(result.requests) do
            if r.scheduled <= turned then before = before + 1 else after = after + 1 end
            if r.scheduled > turned and last then
               assert.is_true(r.scheduled - last >= 0.2 - 1e-6, r.scheduled - last)
            end
            last = r.scheduled
         end
         assert.near(20 * turned, before, 1)
         assert.near(5 * (6 - turned), after, 1)
      end)
   end
end)

describe("p:wait(seconds)", function()
   it("returns at the end of a request or after that time", function()
      local times = {}
      run(function(p)
         p:issue()
         for _, s in ipairs { 0.04, 1, 2, 0 } do
            p:wait(s)
            times[#times + 1] = p.elapsed
         end
         assert(not pcall(p.wait, p, -1))
      end)
      near(0.04, times[1])
      near(0.1, times[2])
      near(2.1, times[3])
      near(2.1, times[4])
   end)

   it("is cut by the end of the phase", function()
      local running, at
      run(function(p)
         p:issue()
         p:wait()
         running = p:wait(100)
         at = p.elapsed
      end, { max_duration = "3s" })
      assert.is_false(running)
      near(3, at)
   end)
end)

describe("p:window()", function()
   it("has what came since its begin", function()
      local one, two, all
      local result = run(function(p)
         for _ = 1, 10 do
            p:issue()
            p:wait()
         end
         local w = p:window()
         assert.equal(0, w:report().completed)
         for _ = 1, 4 do
            p:issue()
            p:wait()
         end
         one = w:report()
         w:restart()
         p:issue()
         p:wait()
         two, all = w:report(), p:report()
      end, nil, function(request)
         return { ttft = request.number <= 10 and "1s" or "200ms", tokens = 2, tpot = "10ms", status = request.number == 12 and 503 or 200 }
      end)
      assert.equal(0, result.exit_code)
      assert.same({ 4, 3, 1, 1 }, { one.issued, one.completed, one.failed, one.errors.http_503 })
      assert.equal(1, two.completed)
      assert.equal(15, all.issued)
      assert.near(200e6, one.ttft.p99, 1e6)
      assert.near(1000e6, all.ttft.p50, 1e6)
      assert.near(0.61e9 + 0.2e9, one.duration_ns, 0.03e9)
      assert.is_true(perigee.slo "ttft.p99 < 250ms"(one))
      local passed, detail = perigee.slo { "error_rate < 20%", "ttft.p99 < 250ms" }(one)
      assert.same({ false, "25%, 200 ms" }, { passed, detail })
   end)

   it("may be looked at by handlers, several at a time, and not after the run", function()
      local windows, last = {}, nil
      run(load.constant(10), { duration = "3s", tick = "1s", on = {
         tick = function(p)
            for i, w in ipairs(windows) do assert.equal(10 * (#windows - i + 1), w:report().issued) end
            windows[#windows + 1] = p:window()
            last = windows[1]
         end,
      } }, { ttft = "1ms", tokens = 1 })
      assert.is_true(#windows >= 2)
      support.contains("perigee.phase is closed", support.refusal(last.report, last))
   end)
end)

describe("p:conclude(value)", function()
   it("goes into the report and to who watches", function()
      local result = run(function(p)
         p:issue()
         p:wait()
         p:conclude { found = 1 }
         p:conclude { found = 2.5, text = "it is 2.5", columns = { "a", "b" }, steps = { { a = 1, b = true }, { a = 2.25 } } }
      end)
      assert.equal(2.5, result.phases.only.conclusion.found)
      local told = {}
      for _, e in ipairs(result.events) do
         if e.type == "custom.conclusion" then told[#told + 1] = perigee.json.decode(e.text).found end
      end
      assert.same({ 1, 2.5 }, told)
      support.contains("  conclusion: it is 2.5\n    a       b\n    1     yes\n    2.25    -\n", report_table.render(result.summary))
   end)

   it("takes any value that JSON has, from any handler", function()
      local result = run(load.burst(3), { on = { complete = function(r, p) p:conclude(r.id) end } })
      assert.equal(2, result.phases.only.conclusion)
      support.contains("  conclusion: 2\n", report_table.render(result.summary))
      assert.equal(perigee.json.null, run(load.burst(1)).phases.only.conclusion)
   end)

   it("is seen by checks that are functions, at the end and while the phase runs", function()
      local function conclude(p)
         for n = 1, 9 do
            p:issue()
            p:sleep(1)
            p:conclude { found = n }
         end
      end
      local result = run(conclude, { checks = { function(phase) return phase.conclusion.found == 9 end } })
      assert.equal(0, result.exit_code, result.error)
      result = run(conclude, { checks = { { abort = true, function(phase)
         return phase.conclusion == perigee.json.null or phase.conclusion.found < 4
      end } } })
      assert.equal(3, result.exit_code, result.error)
      assert.is_true(result.phases.only.conclusion.found < 9)
   end)

   it("refuses others where it is called", function()
      local result = run(function(p) p:conclude { print } end)
      assert.equal(2, result.exit_code)
      assert.matches("cannot write a value of type function as JSON.*strategy_spec.lua:%d+", result.error)
   end)
end)

describe("closed loads", function()
   it("have no max_inflight: their number is the limit", function()
      support.contains("unknown field 'max_inflight'", support.refusal(load.concurrency, 4, { max_inflight = 2 }))
      support.contains("unknown field 'overload'", support.refusal(load.strategy, print, { overload = "drop" }))
   end)

   it("never exceed their number after a warmup that was not drained", function()
      local slow = { ttft = "uniform:10ms,2s", tokens = "uniform:1,20", tpot = "20ms" }
      for _, endpoint in ipairs { { ttft = "exp:200ms", tokens = 1 }, slow } do
         for before = 1, 13, 6 do
            local result = perigee.test.run(perigee.scenario {
               name = "handover", target = perigee.target.openai_chat { url = "http://x", model = "m" }, dataset = { "a" },
               phases = {
                  { "warmup", kind = "warmup", load = load.concurrency(before), requests = 40, drain = false },
                  { "steady", load = load.concurrency(5), requests = 60 },
               },
            }, { endpoint = endpoint })
            local inflight, steady = 0, false
            for _, e in ipairs(result.events) do
               if e.type == "sample.issued" then
                  inflight = inflight + 1
                  steady = steady or e.phase == "steady"
                  assert.is_true(inflight <= (steady and 5 or before))
               end
               if e.type == "sample.complete" then inflight = inflight - 1 end
            end
            assert.equal(60, result.phases.steady.completed)
         end
      end
   end)
end)
