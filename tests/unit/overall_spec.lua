-- Checks of the whole run: what their metrics are, and what they are told.
local engine = require "perigee_engine"
local perigee = require "perigee"
local support = require "tests.unit.support"

local load = perigee.load
local marks = { perigee.metric.histogram("overall_marks"), perigee.metric.counter("overall_count"), perigee.metric.gauge("overall_last") }

-- low: 10 requests of 0.1 s, high: 30 of 0.2 s, 6 of which fail; before them a warmup that is in no sum.
local function run(overall, more)
   local definition = {
      target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" }, overall = overall,
      on = { complete = function(r)
         marks[1]:add(r.phase == "high" and 2000 or 10)
         marks[2]:inc()
         marks[3]:set(r.id)
      end },
      phases = {
         { "warm", kind = "warmup", load = load.constant(10), requests = 50 },
         { "low", load = load.constant(10), requests = 10 },
         { "high", load = load.constant(10), requests = 30 },
      },
   }
   for k, v in pairs(more or {}) do definition[k] = v end
   return perigee.test.run(perigee.scenario(definition), { endpoint = function(request)
      local slow = request.phase == "high"
      return { ttft = slow and 0.2 or 0.1, tokens = 1, status = slow and request.index and request.number % 5 == 0 and 500 or 200 }
   end })
end

describe("a check of the whole run", function()
   for _, row in ipairs {
      -- check, value
      { "issued == 40", "40" }, { "completed == 34", "34" }, { "failed == 6", "6" }, { "error_rate < 20%", "15%" },
      { "latency.min < 101ms", "100 ms" }, { "latency.max > 199ms", "200 ms" }, { "ttft.p50 < 201ms", "200 ms" },
      { "ttft.mean > 150ms", "171 ms" }, { "qps > 8", "8.29/s" }, -- in 1 s and 3.1 s
      { "latency_with_failures.p50 < 201ms", "200 ms" }, { "latency_with_failures.p90 > 1h", "for ever" }, -- 6 of 40 failed
      { "overall_marks.count == 40", "40" }, { "overall_marks.sum == 60100", "60100" }, { "overall_marks.max == 2000", "2000" },
      { "overall_marks.p50 > 1500", "2000" }, { "overall_count == 40", "40" }, { "overall_last == 89", "89" },
   } do
      it("is about all performance phases: " .. row[1], function()
         local result = run { row[1] }
         assert.same({ check = row[1], passed = true, detail = row[2], aborted = false }, result.overall[1])
         assert.equal(0, result.exit_code)
         assert.same({ check = row[1], passed = true, detail = row[2], aborted = false }, result.summary.checks[1])
      end)
   end

   it("fails the run with status 3", function()
      local result = run { "completed == 34", "error_rate < 1%" }
      assert.equal(3, result.exit_code)
      assert.equal("failed", result.summary.verdict)
      assert.is_false(result.overall[2].passed)
      assert.same({}, result.checks.low)
   end)

   it("may be a function of all phases, by number and by name", function()
      local seen
      local result = run { function(whole)
         seen = whole
         return whole.phases.high.latency_ms.p99 < 3 * whole.phases.low.latency_ms.p99, "fine"
      end }
      assert.equal(0, result.exit_code)
      assert.equal("fine", result.overall[1].detail)
      assert.equal(3, #seen.phases)
      assert.equal(seen.phases[3], seen.phases.high)
      assert.equal(6, seen.phases.high.errors.http_500)
   end)

   it("tells its function what the strategies found", function()
      local seen
      run({ function(whole)
         seen = whole.phases.only.conclusion
         return true
      end }, { phases = { { "only", load = load.strategy(function(p) p:conclude { found = 7 } p:issue() end) } } })
      assert.same({ found = 7 }, seen)
   end)

   it("tells what its function raises", function()
      local result = run { function(whole) return whole.phases.hgih.latency_ms end }
      assert.equal(2, result.exit_code)
      assert.matches("overall check: [^\n]*overall_spec.lua:%d+: attempt to index field 'hgih'", result.error)
   end)

   it("holds no data when no performance phase ran", function()
      local result = run({ "completed == 0", "latency.p50 < 1s", "overall_count == 0" }, {
         phases = { { "warm", kind = "warmup", load = load.constant(10), requests = 5 } },
      })
      assert.same({ true, false, true }, { result.overall[1].passed, result.overall[2].passed, result.overall[3].passed })
      assert.equal("no data", result.overall[2].detail)
   end)

   it("is refused at load when it cannot be", function()
      local function refused(overall) return support.refusal(run, overall) end
      support.contains("unknown metric 'latncy', did you mean 'latency'?", refused { "latncy.p50 < 1s" })
      support.contains("scenario.overall[1]: 'abort' and 'after' belong to checks of a phase", refused { { "qps > 1", abort = true } })
      support.contains("scenario.overall: a list of checks expected", refused { first = "qps > 1" })
      support.contains("scenario: overall: a table expected, got 'qps > 1'", refused "qps > 1")
   end)
end)

describe("a histogram", function()
   it("takes in another one as if each number had been added", function()
      local rng = perigee.rng(3)
      for _ = 1, 50 do
         local parts, whole = { engine.histogram(), engine.histogram() }, engine.histogram()
         for i = 1, 2 do
            for _ = 1, rng:int(0, 40) do
               local v = rng:lognormal(5, 3)
               parts[i]:add(v)
               whole:add(v)
            end
         end
         parts[1]:merge(parts[2])
         assert.equal(whole:count(), parts[1]:count())
         for _, key in ipairs { "min", "max" } do assert.equal(whole[key](whole), parts[1][key](parts[1])) end
         for _, key in ipairs { "sum", "mean", "std" } do
            local a, b = whole[key](whole) or 0, parts[1][key](parts[1]) or 0
            assert.is_true(math.abs(a - b) <= 1e-9 * math.abs(a), key)
         end
         for _, q in ipairs { 0, 0.5, 0.9, 1 } do assert.equal(whole:quantile(q), parts[1]:quantile(q)) end
      end
   end)
end)
