-- What the report says of a run whose truth is known to the nanosecond: on simulated time.
local perigee = require "perigee"

local load = perigee.load

local function run(phase, endpoint)
   local written = { "only", deadline = "60s" }
   for name, value in pairs(phase) do written[name] = value end
   return perigee.test.run(perigee.scenario {
      name = "statistics", seed = 3, target = perigee.target.openai_chat { url = "mock:", model = "m" },
      dataset = { { prompt = "a" } }, phases = { written },
   }, { clock = "virtual", endpoint = endpoint })
end

-- A bound that is null leaves all open.
local function within(value, pair)
   local low, high = tonumber(pair[1]), tonumber(pair[2])
   return (not low or low <= value) and (not high or value <= high)
end

describe("the steady window", function()
   it("leaves out a slow start, and stands beside the whole", function()
      local result = run({ load = load.constant(20), duration = "60s" }, function(request)
         return { ttft = request.time < 12 and "1500ms" or "100ms", tokens = 1 }
      end)
      local phase = result.phases.only
      local steady = phase.steady
      assert.is_true(steady.from_s >= 12 and steady.from_s <= 15, steady.from_s)
      assert.equal(59, steady.to_s) -- the last second has no whole bin before its last issue
      assert.is_true(math.abs(steady.qps - 20) < 0.1, steady.qps)
      assert.is_true(within(steady.qps, steady.qps_ci95))
      assert.is_true(math.abs(steady.latency_ms.p50 - 100) <= 3.2)
      assert.is_true(math.abs(steady.latency_ms.p99 - 100) <= 3.2)
      assert.equal(1500, phase.latency_ms.p99) -- of the whole
      assert.equal(1200, phase.latency_ms.count)
   end)

   it("is there from the first second when nothing changes", function()
      local result = run({ load = load.constant(10), duration = "30s" }, { ttft = "50ms", tokens = 1 })
      local steady = result.phases.only.steady
      assert.same({ 0, 29, 290, 10, { 10, 10 } }, { steady.from_s, steady.to_s, steady.completed, steady.qps, steady.qps_ci95 })
   end)

   it("is not there when the latency only grows", function()
      local result = run({ load = load.constant(10), duration = "40s" }, function(request)
         return { ttft = 0.05 * request.time, tokens = 1 }
      end)
      assert.equal(perigee.json.null, result.phases.only.steady)
   end)

   it("is not looked for in less than 10 seconds", function()
      local result = run({ load = load.constant(10), duration = "9s" }, { ttft = "50ms", tokens = 1 })
      assert.equal(perigee.json.null, result.phases.only.steady)
   end)
end)

describe("the intervals of percentiles", function()
   -- exp:100ms: the q-quantile is -100 ms * ln(1 - q). Each of 60 runs is one draw; 95 % of them should hold it.
   it("hold the true value about as often as they say", function()
      local held = { p50 = 0, p90 = 0, p99 = 0 }
      local truth = { p50 = -100 * math.log(0.5), p90 = -100 * math.log(0.1), p99 = -100 * math.log(0.01) }
      for seed = 1, 60 do
         local result = perigee.test.run(perigee.scenario {
            name = "ci", target = perigee.target.openai_chat { url = "mock:", model = "m" }, dataset = { { prompt = "a" } },
            load = load.constant(100), requests = 600,
         }, { clock = "virtual", seed = seed, endpoint = { ttft = "exp:100ms", tokens = 1 } })
         local d = result.phases.performance.ttft_service_ms
         for name, value in pairs(truth) do held[name] = held[name] + (within(value, d.ci95[name]) and 1 or 0) end
      end
      -- Of 60 with 95 % at least: fewer than 50 would happen less often than once in 10^3 runs, and the seeds are fixed.
      for name, n in pairs(held) do assert.is_true(n >= 50, name .. " " .. n) end
   end)

   -- Latencies of a server that stays slow or fast for a while: lognormal, each 0.9 of the logarithm before. Truth: 100 ms.
   local function correlated(seed, correlation)
      local rng, x = perigee.rng(seed), 0
      for _ = 1, 60 do x = correlation * x + math.sqrt(1 - correlation ^ 2) * rng:normal() end
      local result = perigee.test.run(perigee.scenario {
         name = "ci", target = perigee.target.openai_chat { url = "mock:", model = "m" }, dataset = { { prompt = "a" } },
         load = perigee.load.constant(1), requests = 200,
      }, { clock = "virtual", seed = seed, endpoint = function()
         x = correlation * x + math.sqrt(1 - correlation ^ 2) * rng:normal()
         return { ttft = 0.1 * math.exp(0.3 * x), tokens = 1 }
      end })
      return result.phases.performance.ttft_ms.ci95.p50
   end

   it("hold the true median also when requests are like those before them, and are not needlessly wide else", function()
      local held, independent, width, runs = 0, 0, 0, 200
      for seed = 1, runs do
         held = held + (within(100, correlated(seed, 0.9)) and 1 or 0)
         local pair = correlated(seed, 0)
         independent, width = independent + (within(100, pair) and 1 or 0), width + (pair[2] - pair[1]) / runs
      end
      assert.is_true(held / runs >= 0.9, held / runs)
      assert.is_true(independent / runs >= 0.93 and independent / runs <= 0.99, independent / runs)
      -- 1.96 standard errors of a median to both sides: sqrt(pi / 2 / n) of 30 %.
      local right = 2 * 1.96 * 30 * math.sqrt(math.pi / 2 / 200)
      assert.is_true(width <= 1.35 * right, width / right)
   end)

   it("have no upper bound when there are too few requests", function()
      local d = run({ load = load.constant(10), requests = 300 }, { ttft = "exp:100ms", tokens = 1 }).phases.only.ttft_ms
      assert.equal(perigee.json.null, d.ci95.p99[2])
      assert.is_number(d.ci95.p99[1])
      assert.is_true(within(d.p50, d.ci95.p50))
   end)
end)

describe("the series", function()
   it("has a bin for each second, and bins of two when the phase is longer than ten minutes", function()
      local function bins(duration)
         local endpoint = { ttft = "50ms", tokens = 3, tpot = "10ms" }
         return run({ load = load.constant(2), duration = duration }, endpoint).report.phases[1].series
      end
      local list = bins "30s"
      assert.equal(30, #list)
      for i, bin in ipairs(list) do
         assert.same({ (i - 1) * 1e9, 1e9, 2, 2, 2, 0, 6 },
            { bin.from_ns, bin.width_ns, bin.asked, bin.issued, bin.completed, bin.failed, bin.tokens_out })
         assert.same({ 0, 1 }, { bin.inflight, bin.inflight_max })
         assert.is_true(math.abs(bin.latency_p50 - 70e6) <= 0.032 * 70e6 and math.abs(bin.ttft_p99 - 50e6) <= 0.032 * 50e6)
      end
      list = bins "1000s"
      assert.same({ 500, 2e9, 4 }, { #list, list[1].width_ns, list[500].completed })
   end)
end)

describe("MLPerf's verdict", function()
   it("is valid after ten minutes and 100 requests that keep the target", function()
      local function verdict(duration, ttft)
         local phase = { load = load.constant(2), duration = duration, mlperf = { ttft = "100ms" } }
         return run(phase, { ttft = ttft, tokens = 2 }).summary.mlperf[1]
      end
      local good = verdict("601s", "50ms")
      assert.same({ true, true, true, true, 0 }, { good.valid, good.min_duration_met, good.min_queries_met, good.early_stopping_met,
         #good.findings })
      -- 1202 requests at 2/s: 1201 gaps of the window end 60 ms after the last issue
      assert.is_true(math.abs(good.result_summary.qps - 1201 / (600.5 + 0.06)) < 1e-6)
      local short = verdict("599s", "50ms")
      assert.same({ false, false, true, true }, { short.valid, short.min_duration_met, short.min_queries_met, short.early_stopping_met })
      local slow = verdict("601s", "uniform:80ms,101ms")
      assert.same({ false, true, false }, { slow.valid, slow.min_duration_met, slow.early_stopping_met })
   end)
end)
