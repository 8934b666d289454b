local compare = require "perigee.compare"
local engine = require "perigee.engine"
local metrics = require "perigee.compare.metrics"
local summary = require "perigee.report.summary"
local support = require "tests.unit.support"

local null = engine.json.null

local OPTIONS = { thresholds = { all = 0.05, share = 0.01 } }

local function options(names, changes)
   local o = { thresholds = OPTIONS.thresholds, metrics = {} }
   for i, name in ipairs(names) do o.metrics[i] = assert(metrics.find(name)) end
   for key, value in pairs(changes or {}) do o[key] = value end
   return o
end

-- What perigee.compare.results makes of a run; `changes` of the summary's top level.
local function run_of(phases, changes)
   local configs, by_name, requests = {}, {}, {}
   for i, phase in ipairs(phases) do
      configs[i] = phase.config or { name = phase.summary.name, load = { kind = "concurrency", n = 8 } }
      by_name[phase.summary.name] = { summary = phase.summary, number = i, config = configs[i] }
      requests[phase.summary.name] = phase.requests
   end
   local s = {
      schema_version = 1, scenario = "chat", verdict = "ok", failures = {}, warnings = {}, plan_checksum = "p", dataset_sha256 = "d",
      host = { name = "h", usable_cpus = 4 }, versions = { perigee = "1" },
      config = { seed = 1, workers = { count = 0 }, phases = configs },
      phases = {},
   }
   for i, phase in ipairs(phases) do s.phases[i] = phase.summary end
   for key, value in pairs(changes or {}) do s[key] = value end
   return { path = "run/summary.json", summary = s, phases = by_name, requests = requests }
end

local function side(...)
   return { name = "x", runs = { ... } }
end

-- A phase with these numbers alone.
local function numbers(fields, name)
   local phase = summary.phase(support.phase_report { name = name or "steady" })
   for key, value in pairs(fields) do phase[key] = value end
   return { summary = phase }
end

local function latency(p50, low, high)
   return { latency_ms = { count = 100, p50 = p50, ci95 = { p50 = { low or null, high or null } } } }
end

-- Requests whose latencies are those of a server with a memory: lognormal, correlated.
local function simulated(n, seed, factor, correlation)
   local rng, x, values, finished, marks, tokens = engine.rng(seed), 0, {}, {}, {}, {}
   for i = 1, n do
      x = correlation * x + math.sqrt(1 - correlation ^ 2) * rng:normal(0, 1)
      values[i], marks[i], tokens[i] = factor * 100 * math.exp(0.3 * x), rng:uniform(0, 1) < 0.02 and 1 or 0, 10
      finished[i] = (finished[i - 1] or 0) + rng:exponential(1e7)
   end
   local sorted, bad = { unpack(values) }, 0
   table.sort(sorted)
   for _, mark in ipairs(marks) do bad = bad + mark end
   local phase = numbers {
      latency_ms = { p50 = sorted[n / 2], p90 = sorted[n * 0.9], p99 = sorted[n * 0.99] },
      qps = n / (finished[n] / 1e9), output_tokens_per_s = 10 * n / (finished[n] / 1e9), error_rate = bad / n,
   }
   phase.requests = { latency = values, finished = finished, tokens = tokens, bad_marks = marks, good_marks = marks,
      last_issued = finished[n] }
   return side(run_of { phase })
end

local FIVE = { "latency.p50", "latency.p90", "latency.p99", "qps", "error_rate" }

local function verdicts(report)
   local found = {}
   for _, row in ipairs(report.comparisons[1].rows) do found[row.metric.name] = row.verdict end
   return found
end

describe("perigee.compare.metrics", function()
   it("finds what checks can name, with its direction", function()
      for name, better in pairs { ["ttft.p99"] = "lower", ["latency.p99.9"] = "lower", ["itl.mean"] = "lower", qps = "higher",
         error_rate = "lower", goodput = "higher", goodput_per_s = "higher", output_tokens_per_s = "higher" } do
         assert.equal(better, metrics.find(name).better, name)
      end
      for _, name in ipairs(metrics.DEFAULT) do assert.truthy(metrics.find(name), name) end
   end)

   it("refuses others", function()
      for name, message in pairs {
         ["tfft.p99"] = "unknown metric 'tfft', did you mean 'ttft'?",
         ["ttft"] = "'ttft' is a distribution: say which statistic, e.g. ttft.p99",
         ["ttft.p98"] = "unknown statistic 'p98', did you mean 'p", ["qps.p50"] = "unknown metric 'qps'", ["%"] = "unknown metric '%'",
      } do
         local found, why = metrics.find(name)
         assert.is_nil(found)
         support.contains(message, why)
      end
   end)
end)

describe("perigee.compare", function()
   it("cries wolf in no more of the comparisons of a thing with itself than it says", function()
      local alarms, comparisons, same = 0, 200, 0
      for seed = 1, comparisons do
         local a, b = simulated(600, 2 * seed, 1, 0.5), simulated(600, 2 * seed + 1, 1, 0.5)
         -- Without a threshold: each significant difference is an alarm.
         local report = assert(compare.runs({ a, b }, options(FIVE, { thresholds = { all = 0, share = 0 } })))
         if report.counts.worse + report.counts.better > 0 then alarms = alarms + 1 end
         report = assert(compare.runs({ a, b }, options({ "latency.p50" }, { thresholds = { all = 0.2, share = 0.01 } })))
         same = same + report.counts.same
      end
      -- The interval is some 16 % wide: of a threshold of 20 % nearly all are told to be below.
      -- 5 % at most, and what a binomial count of 200 exceeds once in a thousand: 20.
      assert.is_true(alarms <= 20, alarms)
      assert.is_true(same >= 0.95 * comparisons, same)
   end)

   it("finds a difference that is there, in the right direction", function()
      local found = 0
      for seed = 1, 50 do
         local report = assert(compare.runs({ simulated(600, seed, 1, 0.5), simulated(600, seed + 1000, 1.3, 0.5) }, options(FIVE)))
         if verdicts(report)["latency.p50"] == "worse" then found = found + 1 end
         assert.are_not.equal("better", verdicts(report)["latency.p99"])
         report = assert(compare.runs({ simulated(600, seed, 1.3, 0.5), simulated(600, seed + 1000, 1, 0.5) }, options(FIVE)))
         assert.are_not.equal("worse", verdicts(report)["latency.p50"])
      end
      assert.is_true(found >= 48, found)
   end)

   it("judges by significance and by the threshold", function()
      local function judged(a, b, threshold)
         local o = options({ "latency.p50" }, { thresholds = { all = threshold, share = 0.01 } })
         return compare.runs({ side(run_of { numbers(a) }), side(run_of { numbers(b) }) }, o).comparisons[1].rows[1].verdict
      end
      local base = latency(100, 99, 101)
      assert.equal("worse", judged(base, latency(110, 109, 111), 0.05))
      assert.equal("better", judged(base, latency(90, 89, 91), 0.05))
      assert.equal("same", judged(base, latency(103, 102, 104), 0.05))
      assert.equal("worse", judged(base, latency(103, 102, 104), 0.01))
      assert.equal("unsure", judged(base, latency(110, 90, 130), 0.05))
      assert.equal("unsure", judged(base, latency(110), 0.05))
   end)

   it("knows which direction is better", function()
      local a = { qps = 100, steady = { qps = 100, qps_ci95 = { 99, 101 } }, error_rate = 0.01, error_rate_ci95 = { 0.008, 0.012 },
         goodput = { share = 0.9, share_ci95 = { 0.89, 0.91 }, per_s = 90 } }
      local b = { qps = 200, steady = { qps = 200, qps_ci95 = { 199, 201 } }, error_rate = 0.1, error_rate_ci95 = { 0.09, 0.11 },
         goodput = { share = 0.5, share_ci95 = { 0.49, 0.51 }, per_s = 100 } }
      local report = compare.runs({ side(run_of { numbers(a) }), side(run_of { numbers(b) }) },
         options { "qps", "error_rate", "goodput", "goodput_per_s" })
      assert.same({ qps = "better", error_rate = "worse", goodput = "worse", goodput_per_s = "unsure" }, verdicts(report))
      assert.equal(2, report.regressions)
      local share = report.comparisons[1].rows[2]
      assert.is_true(math.abs(share.change - 0.09) < 1e-12) -- points, not a ratio
      report = compare.runs({ side(run_of { numbers(a) }), side(run_of { numbers(b) }) },
         options({ "qps", "error_rate" }, { fail_on = { qps = true } }))
      assert.equal(0, report.regressions)
   end)

   it("takes the runs of a side as its sample", function()
      local function of(...)
         local runs = {}
         for i, p50 in ipairs { ... } do runs[i] = run_of { numbers(latency(p50, p50, p50)) } end
         return side(unpack(runs))
      end
      local function judged(a, b)
         local row = compare.runs({ a, b }, options { "latency.p50" }).comparisons[1].rows[1]
         return { row.verdict, row.method }, row
      end
      -- Each run is exact, and yet they differ: only their spread tells.
      assert.same({ "unsure", "runs" }, (judged(of(100, 120, 90), of(115, 95, 125))))
      local found, row = judged(of(100, 101, 99), of(120, 121, 119))
      assert.same({ "worse", "runs" }, found)
      assert.is_true(math.abs(row.a - (100 * 101 * 99) ^ (1 / 3)) < 1e-9)
      assert.is_true(row.low > 0.15 and row.high < 0.25)
      assert.same({ "worse", "runs" }, (judged(of(100, 101, 99, 100), of(150))))
   end)

   it("compares each of several with the baseline, as one family", function()
      local a, b, c = latency(100, 99, 101), latency(100, 99, 101), latency(150, 149, 151)
      local report = compare.runs({ side(run_of { numbers(a) }), side(run_of { numbers(b) }), side(run_of { numbers(c) }) },
         options { "latency.p50" })
      assert.same({ { 1, 2, "same" }, { 1, 3, "worse" } }, {
         { report.comparisons[1].a, report.comparisons[1].b, report.comparisons[1].rows[1].verdict },
         { report.comparisons[2].a, report.comparisons[2].b, report.comparisons[2].rows[1].verdict } })
      local row = report.comparisons[2].rows[1]
      assert.equal(2, report.tests)
      assert.equal(math.min(1, 2 * row.p), row.p_adjusted)
   end)

   it("pairs performance phases by name, and tells those without a partner", function()
      local warm = numbers(latency(1, 1, 1), "warm")
      warm.summary.kind = "warmup"
      local function phases(...)
         local list = { warm }
         for _, name in ipairs { ... } do list[#list + 1] = numbers(latency(1, 1, 1), name) end
         return side(run_of(list))
      end
      local report = compare.runs({ phases("one", "two"), phases("two", "three") }, options { "latency.p50" })
      assert.equal("two", report.comparisons[1].phase)
      assert.equal(1, #report.comparisons)
      assert.same({ "phase 'one' of A has no partner in B", "phase 'three' of B has no partner in A" }, report.warnings)
      report = compare.runs({ phases "one", phases "one" }, options({ "latency.p50" }, { phase = "warm" }))
      assert.equal("warm", report.comparisons[1].phase)
      local none, message = compare.runs({ phases "one", phases "two" }, options { "latency.p50" })
      assert.is_nil(none)
      support.contains("no performance phase that both have; run/summary.json has warm, one", message)
      none, message = compare.runs({ phases "one", phases "one" }, options({ "latency.p50" }, { phase = "on" }))
      assert.is_nil(none)
      support.contains("no phase 'on' on both sides, did you mean 'one'?", message)
   end)

   it("warns of what cannot be compared", function()
      local function warnings(changes, other)
         local phase = numbers(latency(1, 1, 1))
         local a = side(run_of { phase })
         return compare.runs({ a, side(run_of({ other or phase }, changes)) }, options { "latency.p50" }).warnings
      end
      assert.same({}, warnings {})
      for expected, changes in pairs {
         ["B has another scenario than the baseline: other, not chat"] = { scenario = "other" },
         ["B has another host than the baseline: far, not h"] = { host = { name = "far", usable_cpus = 4 } },
         ["B has another number of usable processors than the baseline: 2, not 4"] = { host = { name = "h", usable_cpus = 2 } },
         ["B has another dataset_sha256 than the baseline: e, not d"] = { dataset_sha256 = "e", plan_checksum = "q" },
         ["B has another version of perigee than the baseline: 2, not 1"] = { versions = { perigee = "2" } },
         ["B has another plan than the baseline: loads, orders or stop rules differ (plan_checksum)"] = { plan_checksum = "q" },
         ["run/summary.json is client_limited: late"] = { verdict = "client_limited",
            warnings = { { kind = "too_short", detail = "x" }, { kind = "client_late", detail = "late" } } },
         ["run/summary.json is failed: lost"] = { verdict = "failed", failures = { "lost" } },
      } do
         assert.same({ expected }, warnings(changes))
      end
      local longer = numbers(latency(1, 1, 1))
      longer.summary.output_tokens = { mean = 20 }
      longer.config = { name = "steady", load = { kind = "poisson", rate = 5 }, target = { url = "http://b", model = "m" }, requests = 7,
         duration_s = 60, slo_s = { ttft = 0.5 }, transport = { name = "curl" } }
      local base = numbers(latency(1, 1, 1))
      base.summary.output_tokens = { mean = 10 }
      assert.same({
         "phase 'steady': B has another load than the baseline: " .. engine.json.encode { kind = "poisson", rate = 5 }
            .. ", not " .. engine.json.encode { kind = "concurrency", n = 8 },
         "phase 'steady': B has another target.url than the baseline: http://b, not none",
         "phase 'steady': B has another target.model than the baseline: m, not none",
         "phase 'steady': B has another number of requests than the baseline: 7, not none",
         "phase 'steady': B has another duration_s than the baseline: 60, not none",
         "phase 'steady': B has another slo_s than the baseline: " .. engine.json.encode { ttft = 0.5 } .. ", not none",
         "phase 'steady': B has another transport than the baseline: curl, not none",
         "phase 'steady': answers of B have 20 tokens on average, those of the baseline 10",
      }, compare.runs({ side(run_of { base }), side(run_of { longer }) }, options { "latency.p50" }).warnings)
   end)

   it("has no ratio to nothing, and no verdict on what only one has", function()
      local report = compare.runs({ side(run_of { numbers { qps = 0 } }), side(run_of { numbers { qps = 5 } }) },
         options { "qps", "latency.p50", "ttft.p50" })
      assert.equal(1, #report.comparisons[1].rows)
      assert.same({ "unsure", nil }, { report.comparisons[1].rows[1].verdict, report.comparisons[1].rows[1].change })
      report = compare.runs({ side(run_of { numbers(latency(5)) }), side(run_of { numbers {} }) }, options { "latency.p50" })
      assert.same({ 5, nil, "unsure" }, { report.comparisons[1].rows[1].a, report.comparisons[1].rows[1].b or nil,
         report.comparisons[1].rows[1].verdict })
   end)
end)

describe("gaps", function()
   local gaps = require "perigee.compare.gaps"

   -- Streams of a server whose speed is that of the moment: each answer has a pace of its own, like the one before it, around
   -- which its gaps vary; every so often one stalls. In microseconds.
   local function streams(n, seed, factor)
      local rng, x, list = engine.rng(seed), 0, {}
      for i = 1, n do
         x = 0.7 * x + math.sqrt(1 - 0.7 ^ 2) * rng:normal(0, 1)
         local pace, stream = factor * 10000 * math.exp(0.2 * x), {}
         for k = 1, rng:int(10, 70) do
            stream[k] = math.floor(pace * math.exp(0.1 * rng:normal(0, 1)) * (rng:uniform(0, 1) < 0.005 and 8 or 1))
         end
         list[i] = stream
      end
      return list
   end

   local STATISTICS = { p50 = 0.5, p90 = 0.9, p99 = 0.99 }

   local function gathered_run(list)
      local all, sum = {}, 0
      for _, stream in ipairs(list) do
         for _, us in ipairs(stream) do
            all[#all + 1] = us / 1e3
            sum = sum + us / 1e3
         end
      end
      table.sort(all)
      local d = { count = #all, mean = sum / #all, std = 1, ci95 = {} }
      for key, q in pairs(STATISTICS) do d[key] = all[math.ceil(q * #all)] end
      local phase = numbers { completed = #list, itl_ms = d }
      local run, gathered = run_of { phase }, gaps.new(phase.summary)
      for _, stream in ipairs(list) do gaps.add(gathered, stream, #stream) end
      run.gaps = { steady = gathered }
      return side(run)
   end

   local ITL = { "itl.p50", "itl.p90", "itl.p99", "itl.mean" }

   it("cry wolf in no more of the comparisons of a thing with itself than they say", function()
      local alarms, comparisons, bounded = 0, 100, 0
      for seed = 1, comparisons do
         local report = assert(compare.runs({ gathered_run(streams(120, 2 * seed, 1)), gathered_run(streams(120, 2 * seed + 1, 1)) },
            options(ITL, { thresholds = { all = 0, share = 0 } })))
         if report.counts.worse + report.counts.better > 0 then alarms = alarms + 1 end
         for _, row in ipairs(report.comparisons[1].rows) do
            assert.equal("events", row.method)
            if row.low and row.high then bounded = bounded + 1 end
         end
      end
      -- 5 % at most, and what a binomial count of 100 exceeds once in a thousand: 12.
      assert.is_true(alarms <= 12, alarms)
      assert.is_true(bounded >= 0.75 * 4 * comparisons, bounded)
   end)

   it("tell a difference that is there", function()
      local found = 0
      for seed = 1, 20 do
         local report = assert(compare.runs({ gathered_run(streams(200, seed, 1)), gathered_run(streams(200, seed + 100, 1.3)) },
            options(ITL)))
         if verdicts(report)["itl.p50"] == "worse" then found = found + 1 end
         assert.are_not.equal("better", verdicts(report)["itl.mean"])
      end
      assert.is_true(found >= 18, found)
   end)

   -- The truth by itself: the percentile of very many streams.
   it("have intervals that hold the true percentile and mean about as often as they say", function()
      local truth, held, runs = {}, { p50 = 0, p99 = 0, mean = 0 }, 100
      local long = gathered_run(streams(20000, 99, 1)).runs[1].summary.phases[1].itl_ms
      for key in pairs(held) do truth[key] = long[key] end
      for seed = 1, runs do
         local set = gathered_run(streams(150, seed, 1)).runs[1].gaps.steady.itl
         local function count(key, low, high)
            if (not low or low <= truth[key]) and (not high or high >= truth[key]) then held[key] = held[key] + 1 end
         end
         count("p50", gaps.quantile(set, 0.5))
         count("p99", gaps.quantile(set, 0.99))
         count("mean", gaps.mean(set))
      end
      for key, n in pairs(held) do assert.is_true(n >= 0.9 * runs, ("%s %d"):format(key, n)) end
   end)

   it("have no mean with an interval where only a summary tells of them", function()
      local phase = numbers { completed = 100, itl_ms = { count = 5000, mean = 10, std = 1, p50 = 10, ci95 = { p50 = { 9.9, 10.1 } } } }
      local other = numbers { completed = 100, itl_ms = { count = 5000, mean = 20, std = 1, p50 = 20, ci95 = { p50 = { 19.9, 20.1 } } } }
      local found = verdicts(compare.runs({ side(run_of { phase }), side(run_of { other }) }, options { "itl.p50", "itl.mean" }))
      assert.same({ ["itl.p50"] = "worse", ["itl.mean"] = "unsure" }, found)
   end)

   it("are left to the summary when the successes are too few to be batches", function()
      assert.is_nil(gaps.new { completed = 24 })
      assert.truthy(gaps.new { completed = 25 })
   end)
end)
