-- Loads that go from step to step, on simulated time against endpoints whose limits are known.
local perigee = require "perigee"
local stepping = require "perigee.load.stepping"
local support = require "tests.unit.support"

local load = perigee.load

after_each(support.clean)

local function run(l, endpoint, phase, seed)
   local definition = { "only", load = l }
   for name, value in pairs(phase or {}) do definition[name] = value end
   local result = perigee.test.run(perigee.scenario {
      name = "stepping", seed = seed or 1, target = perigee.target.openai_chat { url = "http://x", model = "m" },
      dataset = { "a" }, phases = { definition },
   }, { endpoint = endpoint })
   return result.phases and result.phases.only and result.phases.only.conclusion, result
end

local function steps_of(conclusion, key)
   local list = {}
   for i, step in ipairs(conclusion.steps) do list[i] = step[key] end
   return list
end

describe("load.search", function()
   it("finds the capacity of an endpoint that queues, to the tolerance that was asked for", function()
      for _, case in ipairs {
         { slots = 1, ttft = 0.1 }, { slots = 4, ttft = 0.1 }, { slots = 16, ttft = 0.5 }, { slots = 3, ttft = 0.033 },
      } do
         for _, tolerance in ipairs { 0.2, 0.02 } do
            local truth = case.slots / case.ttft
            local found, result = run(
               load.search {
                  slo = ("ttft.p99 < %gms"):format(3000 * case.ttft), rate = { 5, 150 }, arrivals = "even",
                  window = 200 * case.ttft, settle = 1, tolerance = tolerance, repeats = 0,
               }, { ttft = case.ttft, tokens = 1, slots = case.slots })
            assert.equal(0, result.exit_code)
            assert.is_true(found.done)
            -- Beyond the capacity a queue grows: by 2 service times within the window when it is 1 % beyond.
            assert.is_true(found.found <= truth * 1.015, ("%g of %g"):format(found.found, truth))
            assert.is_true(found.found >= truth * (1 - tolerance), ("%g of %g"):format(found.found, truth))
            assert.is_true(found.failed - found.found <= tolerance * found.failed)
         end
      end
   end)

   it("finds what queueing theory says, for several seeds", function()
      -- M/M/1, first come first served: the time in the system is exponential with rate mu - lambda, so its p90 is
      -- below x as long as lambda < mu - ln(10) / x.
      local mu, x = 20, 0.5
      local truth = mu - math.log(10) / x
      for seed = 1, 2 do
         local found = run(
            load.search { slo = "ttft.p90 < 500ms", rate = { 6, 24 }, window = 400, settle = 20, tolerance = 0.03 },
            { ttft = "exp:50ms", tokens = 1, slots = 1 }, nil, seed)
         assert.is_true(math.abs(found.found / truth - 1) < 0.08, ("seed %d: %g of %g"):format(seed, found.found, truth))
      end
   end)

   it("finds the highest number in flight", function()
      for _, slots in ipairs { 2, 5 } do
         -- n in flight take n / slots turns of 100 ms
         local found = run(load.search { slo = "latency.p99 < 450ms", concurrency = { 1, 50 }, window = 10, settle = 1, tolerance = 1e-9 },
            { ttft = "100ms", tokens = 1, slots = slots })
         assert.equal(4 * slots, found.found)
         assert.equal(4 * slots + 1, found.failed)
      end
   end)

   it("stays within its range", function()
      local endless = { ttft = "10ms", tokens = 1 }
      local found = run(load.search { slo = "ttft.p99 < 1s", rate = { 7, 100 }, window = 5, settle = 1 }, endless)
      assert.same({ 100, nil }, { found.found, found.failed })
      assert.same({ 7, 14, 28, 56, 100 }, steps_of(found, "rate"))
      assert.equal("ttft.p99 < 1s holds up to 100/s, the high end", found.text)
      found = run(load.search { slo = "ttft.p99 < 1ms", rate = { 7, 100 }, window = 5, settle = 1, repeats = 2 }, endless)
      assert.is_nil(found.found)
      assert.same({ 7, 7, 7 }, steps_of(found, "rate"))
      assert.equal("ttft.p99 < 1ms does not hold at 7/s, the low end", found.text)
   end)

   it("repeats a step that fails, so that one bad moment is not the limit", function()
      local function endpoint(request)
         return { ttft = request.time > 20 and request.time < 22 and 3 or 0.01, tokens = 1 }
      end
      local search = { slo = "ttft.p90 < 1s", rate = { 10, 40 }, window = 10, settle = 1, arrivals = "even" }
      local found = run(load.search(search), endpoint)
      assert.equal(40, found.found)
      assert.same({ true, false, true, true }, steps_of(found, "passed"))
      search.repeats = 0
      found = run(load.search(search), endpoint)
      assert.is_true(found.found < 40)
   end)

   it("drains each step before the next one begins", function()
      local _, result = run(load.search { slo = "ttft.p99 < 1s", rate = { 10, 100 }, window = 20, settle = 2, arrivals = "even" },
         { ttft = "100ms", tokens = 1, slots = 2 })
      local inflight, most, emptied, overloaded = 0, 0, 0, 0
      for _, e in ipairs(result.events) do
         if e.type == "sample.issued" then inflight = inflight + 1 end
         if e.type == "sample.complete" then inflight = inflight - 1 end
         most = math.max(most, inflight)
         if inflight == 0 then
            if most > 100 then emptied = emptied + 1 end
            most = 0
         end
      end
      for _, step in ipairs(result.phases.only.conclusion.steps) do
         if step.rate > 26 then overloaded = overloaded + 1 end -- of 20/s, for 22 s
      end
      assert.is_true(overloaded > 2)
      assert.equal(overloaded, emptied)
      -- The step after an overloaded one is measured from an empty endpoint.
      for i, step in ipairs(result.phases.only.conclusion.steps) do
         if step.passed then assert.matches("ms$", step.detail, i) end
      end
   end)

   it("tells each step, and goes on from its file where the run was ended", function()
      local path = support.file("search.json", "")
      os.remove(path)
      local function search(file)
         return load.search {
            slo = "ttft.p99 < 1s", rate = { 1, 200 }, arrivals = "even", window = 20, settle = 2, state = file,
         }
      end
      local endpoint = { ttft = "100ms", tokens = 1, slots = 4 }
      local whole = run(search(nil), endpoint)
      local part, result = run(search(path), endpoint, { max_duration = "100s" })
      assert.equal(0, result.exit_code)
      assert.is_false(part.done)
      assert.matches("not finished, between 8/s and 200/s", part.text)
      assert.same(part, perigee.json.decode(support.read(path)))
      local told = 0
      for _, e in ipairs(result.events) do
         if e.type == "custom.conclusion" then told = told + 1 end
      end
      assert.equal(5, told) -- four steps and the end
      local rest = run(search(path), endpoint)
      assert.equal(whole.found, rest.found)
      assert.equal(#whole.steps, #rest.steps)
      assert.same(steps_of(whole, "rate"), steps_of(rest, "rate"))
      local _, again = run(search(path), endpoint)
      assert.equal(2, again.exit_code)
      support.contains("the search is finished: ttft.p99 < 1s holds up to", again.error)
   end)

   it("refuses the file of another search", function()
      local path = support.file("search.json", '{"kind":"search","knob":"rate","low":1,"high":9,"slo":"ttft.p99 < 1s","steps":[]}')
      local function error_of(more)
         local args = { slo = "ttft.p99 < 1s", rate = { 1, 9 }, state = path }
         for k, v in pairs(more) do args[k] = v end
         local _, result = run(load.search(args), { tokens = 1 }, { max_duration = "1s" })
         return result.error
      end
      assert.is_nil(error_of {})
      support.contains("search.json: is of another search: its high is 9", error_of { rate = { 1, 8 } })
      support.contains("its slo is 'ttft.p99 < 1s'", error_of { slo = "ttft.p50 < 1s" })
      path = support.file("broken.json", "{")
      support.contains("broken.json: ", error_of {})
   end)

   it("takes several conditions, all of which must hold", function()
      local found = run(load.search {
         slo = { "ttft.p99 < 10s", "error_rate < 1%" }, rate = { 1, 64 }, window = 20, settle = 2, arrivals = "even",
      }, function(request)
         return { ttft = "10ms", tokens = 1, status = request.time > 100 and request.number % 50 == 0 and 503 or 200 }
      end)
      assert.is_true(found.found < 64)
      assert.matches("0%%", found.steps[1].detail)
   end)

   it("is refused with the reason", function()
      for _, row in ipairs {
         { {}, "'slo' is missing" },
         { { slo = "ttft.p99 < 1s" }, "one of 'rate' and 'concurrency' is needed" },
         { { slo = "ttft.p99 < 1s", rate = { 1, 2 }, concurrency = { 1, 2 } }, "one of 'rate' and 'concurrency'" },
         { { slo = "ttft.p99 < 1s", rate = 5 }, "rate: a range { low, high } of rates above 0 expected" },
         { { slo = "ttft.p99 < 1s", rate = { 5, 1 } }, "the lower one first" },
         { { slo = "ttft.p99 < 1s", rate = { 0, 1 } }, "rates above 0" },
         { { slo = "ttft.p99 < 1s", concurrency = { 1, 1.5 } }, "whole numbers" },
         { { slo = "ttft.p98 < 1s", rate = { 1, 2 } }, "unknown statistic 'p98'" },
         { { slo = 5, rate = { 1, 2 } }, "slo: a check such as" },
         { { slo = "ttft.p99 < 1s", rate = { 1, 2 }, windw = 5 }, "did you mean 'window'?" },
         { { slo = "ttft.p99 < 1s", concurrency = { 1, 2 }, max_inflight = 5 }, "max_inflight is a limit of rates" },
         { { slo = "ttft.p99 < 1s", rate = { 1, 2 }, overload = "drop" }, "overload needs max_inflight" },
      } do support.contains(row[2], support.refusal(load.search, row[1])) end
   end)

   it("takes options of the command line", function()
      local s = perigee.scenario {
         name = "opts", target = perigee.target.openai_chat { url = "http://x", model = "m" }, dataset = { "a" },
         options = { high = { 20, "of the search" }, slo = { "ttft.p99 < 1s", "to hold" } },
         load = load.search { slo = perigee.opt "slo", rate = { 5, perigee.opt "high" }, window = 5, settle = 1 },
      }
      local result = perigee.test.run(s, { options = { high = 10 }, endpoint = { ttft = "1ms", tokens = 1 } })
      assert.equal(10, result.phases.performance.conclusion.found)
      support.contains("unknown metric", support.refusal(perigee.test.run, s, { options = { slo = "tft.p99 < 1s" } }))
   end)
end)

describe("load.aimd", function()
   it("stays near the capacity, and follows it when it changes", function()
      local function mean(steps, from, to)
         local sum, n = 0, 0
         for i = from, to do
            if steps[i].passed then sum, n = sum + steps[i].rate, n + 1 end
         end
         return sum / n
      end
      for seed = 1, 2 do
         local found, result = run(load.aimd { slo = "ttft.p99 < 1s", rate = { 5, 200 }, window = 20, settle = 5, increase = 2 },
            { ttft = "100ms", tokens = 1, slots = 4 }, { duration = "10m" }, seed) -- 40/s
         assert.equal("duration", result.phases.only.end_reason)
         local n = #found.steps
         local level = mean(found.steps, math.floor(n / 2), n)
         assert.is_true(level > 0.65 * 40 and level < 40, level)
         for i = 2, n do
            local before, now = found.steps[i - 1], found.steps[i]
            assert.near(before.passed and before.rate + 2 or before.rate * 0.7, now.rate, 1e-9)
         end
      end
   end)

   it("goes in whole steps within its range", function()
      local found = run(load.aimd { slo = "latency.p99 < 250ms", concurrency = { 2, 9 }, window = 5, settle = 1 },
         { ttft = "100ms", tokens = 1, slots = 4 }, { duration = "5m" })
      local highest, lowest = 0, 100
      for _, step in ipairs(found.steps) do
         assert.equal(step.concurrency, math.floor(step.concurrency))
         highest, lowest = math.max(highest, step.concurrency), math.min(lowest, step.concurrency)
      end
      assert.same({ 2, 9 }, { lowest, highest })
      assert.is_false(found.steps[8].passed)
      assert.equal(6, found.steps[9].concurrency) -- 0.7 * 9
   end)

   it("needs to know when it ends", function()
      support.contains("nothing ends this phase", support.refusal(run, load.aimd { slo = "qps > 1", rate = { 1, 2 } }))
      support.contains("between 0 and 1", support.refusal(load.aimd, { slo = "qps > 1", rate = { 1, 2 }, decrease = 1 }))
   end)
end)

describe("load.saturate", function()
   it("ends at the first rate that is not followed", function()
      for _, case in ipairs { { slots = 2, ttft = "exp:50ms" }, { slots = 8, ttft = "100ms" }, { slots = 1, ttft = "uniform:5ms,35ms" } } do
         local mean = case.ttft:find "100" and 0.1 or case.ttft:find "exp" and 0.05 or 0.02
         local truth = case.slots / mean
         for seed = 1, 2 do
            local found = run(load.saturate { rate = { 10, 1000 }, window = 60, settle = 5, factor = 1.3 },
               { ttft = case.ttft, tokens = 1, slots = case.slots }, nil, seed)
            -- Saturated is what answers less than 95 % of what was asked.
            assert.is_true(found.found < 1.1 * truth, ("%g of %g"):format(found.found, truth))
            assert.is_true(found.failed > 0.93 * truth, ("%g of %g"):format(found.failed, truth))
            assert.is_true(math.abs(found.capacity_per_s / truth - 1) < 0.1, ("%g of %g"):format(found.capacity_per_s, truth))
         end
      end
   end)

   it("finds the number in flight from which throughput does not rise", function()
      local found = run(load.saturate { concurrency = { 1, 1000 }, window = 30, settle = 2, factor = 2 },
         { ttft = "100ms", tokens = 1, slots = 8 })
      assert.same({ 8, 16 }, { found.found, found.failed })
      assert.near(80, found.capacity_per_s, 0.5)
      assert.same({ 1, 2, 4, 8, 16 }, steps_of(found, "concurrency"))
   end)

   it("says when it did not saturate", function()
      local found = run(load.saturate { rate = { 10, 20 }, window = 5, settle = 1 }, { ttft = "1ms", tokens = 1 })
      assert.equal(20, found.found)
      assert.is_nil(found.failed)
      assert.matches("followed up to 20/s, .*, not saturated$", found.text)
   end)

   it("measures a step again until it is steady", function()
      -- An endpoint that warms up: its answers get faster for a minute.
      local found = run(load.saturate { concurrency = { 20, 20 }, window = 20, settle = 1 }, function(request)
         local mean = math.max(0.4, 2 - request.time / 20)
         return { ttft = mean * (0.5 + request.number * 0.618 % 1), tokens = 1 }
      end)
      assert.equal(1, #found.steps)
      assert.equal("followed", found.steps[1].detail)
      assert.near(50, found.steps[1].completed_per_s, 1)
      local latency, ttft = found.steps[1].latency_ms, found.steps[1].ttft_ms
      assert.is_true(latency.p50 > 150 and latency.p50 < latency.p90 and latency.p90 <= latency.p99, latency.p50)
      assert.same(latency, ttft) -- of one token
   end)
end)

describe("a trend", function()
   it("is the growth along a straight line, and how sure it is", function()
      local growth, t = stepping.trend { 1, 2, 3, 4, 5 }
      assert.equal(4, growth)
      assert.equal(math.huge, t)
      growth, t = stepping.trend { 3, 3, 3, 3 }
      assert.same({ 0, 0 }, { growth, t })
      -- y = 2, 4, 5, 4, 5: slope 0.6, residual sum 2.4, so t = 0.6 / sqrt(0.8 / 10)
      growth, t = stepping.trend { 2, 4, 5, 4, 5 }
      assert.near(2.4, growth, 1e-12)
      assert.near(0.6 / math.sqrt(0.08), t, 1e-12)
   end)

   it("is seldom seen in what has none", function()
      local rng, seen = perigee.rng(4), 0
      for _ = 1, 2000 do
         local list = {}
         for i = 1, 10 do list[i] = rng:normal(100, 20) end
         local _, t = stepping.trend(list)
         if math.abs(t) > 3.36 then seen = seen + 1 end
      end
      assert.near(20, seen, 20) -- one in a hundred
   end)
end)
