--- perigee compare, on results that are written here and on those of runs.
local drive = require "drive"
local engine = require "perigee.engine"
local summary = require "perigee.report.summary"
local support = require "tests.unit.support"

local json = engine.json

local made = {}

local function folder()
   local dir = drive.tempdir()
   made[#made + 1] = dir
   return dir
end

after_each(function()
   for _, dir in ipairs(made) do os.execute("rm -rf " .. drive.quote(dir)) end
   made = {}
end)

-- A distribution as the engine would tell it, of values in ns.
local function distribution(values)
   local sorted, d = { unpack(values) }, { count = #values, exact = true, mean = 0, std = 0 }
   table.sort(sorted)
   for _, v in ipairs(values) do d.mean = d.mean + v / #values end
   d.min, d.max = sorted[1], sorted[#sorted]
   for name, q in pairs { p50 = 0.5, p90 = 0.9, p95 = 0.95, p99 = 0.99, ["p99.9"] = 0.999 } do
      d[name] = sorted[math.ceil(q * #values)]
   end
   d.ci95 = { p50 = { low = sorted[math.floor(#values * 0.45)], high = sorted[math.ceil(#values * 0.55)] }, p99 = {} }
   return d
end

-- The results of a run of 800 requests, one each 10 ms, whose latency is drawn around so many ms.
local function results(dir, changes)
   local seed, ms, failed = changes.seed or 1, changes.ms or 50, changes.failed or 0
   local rng, latencies, lines = engine.rng(seed), {}, {}
   for i = 1, 800 do
      local finished, latency = i * 1e7, math.floor(rng:lognormal(math.log(ms), 0.1) * 1e6)
      local ok = i > failed
      latencies[#latencies + 1] = ok and latency or nil
      lines[i] = json.encode { phase = "steady", index = i - 1, ok = ok, error = not ok and "reset" or nil, issued_ns = finished - latency,
         finished_ns = finished, latency_ms = ok and latency / 1e6 or nil, tokens_out = ok and 10 or nil }
   end
   local phase = summary.phase(support.phase_report {
      issued = 800, completed = 800 - failed, failed = failed, duration_ns = 8e9, latency = distribution(latencies),
      tokens_out = 10 * (800 - failed), token_responses = 800 - failed,
   })
   local data = {
      schema_version = 1, verdict = "ok", failures = json.array {}, warnings = json.array {}, scenario = "chat",
      session_id = ("%d-%d"):format(seed, ms), started_at = "2026-01-02T03:04:05.000Z",
      host = { name = "vm", usable_cpus = 2 }, versions = { perigee = "1.0" },
      config = { name = "chat", seed = 42, workers = { count = 0 },
         phases = { { name = "steady", load = { kind = "constant", rate = 100 } } } },
      dataset_sha256 = "cd", plan_checksum = "ef", phases = { phase },
   }
   for key, value in pairs(changes.summary or {}) do data[key] = value end
   assert(engine.mkdir(dir))
   drive.write(dir .. "/summary.json", json.encode(data))
   drive.write(dir .. "/requests.jsonl", table.concat(lines, "\n") .. "\n")
   return dir
end

-- Without the folder, which differs each time.
local function compare(dir, ...)
   local r = drive.shell(("cd %s && PERIGEE_BUILD=%s exec %s/%s"):format(drive.quote(dir), drive.quote(os.getenv "PERIGEE_BUILD"),
      io.popen("pwd"):read "*l", drive.command("compare", ...)))
   return r
end

describe("perigee compare", function()
   it("prints a table, and ends with 3 when something is worse", function()
      local dir = folder()
      results(dir .. "/old", { seed = 1 })
      results(dir .. "/new", { seed = 2, ms = 60, failed = 60, summary = { host = { name = "other", usable_cpus = 2 } } })
      local r = compare(dir, "old", "new")
      assert.same({ 3, "" }, { r.code, r.err })
      drive.is_golden("compare", r.out)
      r = compare(dir, "old", "new", "--markdown", "--metric", "latency.p50,latency.p99,error_rate")
      assert.equal(3, r.code)
      drive.is_golden("compare-markdown", r.out)
   end)

   it("ends with 0 when nothing is worse, and when it became better", function()
      local dir = folder()
      results(dir .. "/old", { seed = 1 })
      results(dir .. "/same", { seed = 3 })
      results(dir .. "/fast", { seed = 4, ms = 40 })
      local r = compare(dir, "old", "same", "fast", "--json")
      assert.same({ 0, "" }, { r.code, r.err })
      local data = json.decode(r.out)
      assert.same({ "A", "B", "C" }, { data.sides[1].letter, data.sides[2].letter, data.sides[3].letter })
      assert.same({ 0, 0 }, { data.regressions, data.counts.worse })
      assert.same({ "steady", "A", "B", "steady", "A", "C" }, {
         data.comparisons[1].phase, data.comparisons[1].a, data.comparisons[1].b,
         data.comparisons[2].phase, data.comparisons[2].a, data.comparisons[2].b })
      local p50 = data.comparisons[2].metrics[1]
      assert.same({ "latency.p50", "better", "lower", "ratio", "requests", 0.05 },
         { p50.metric, p50.verdict, p50.better, p50.change_is, p50.method, p50.threshold })
      assert.is_true(p50.ci95[1] < p50.change and p50.change < p50.ci95[2] and p50.ci95[2] < -0.15)
      assert.equal("same", data.comparisons[1].metrics[1].verdict)
   end)

   it("compares several runs, in a folder or with commas", function()
      local dir = folder()
      for i = 1, 3 do
         results(("%s/old/run%d"):format(dir, i), { seed = i })
         results(("%s/new/run%d"):format(dir, i), { seed = 10 + i, ms = 70 })
      end
      local r = compare(dir, "old", "new", "--metric", "latency.p50", "--json")
      assert.equal(3, r.code, r.err)
      local by_folder = json.decode(r.out)
      assert.same({ 3, 3, "runs" }, { #by_folder.sides[1].runs, #by_folder.sides[2].runs, by_folder.comparisons[1].metrics[1].method })
      assert.equal("old/run1/summary.json", by_folder.sides[1].runs[1].path)
      r = compare(dir, "old/run1,old/run2,old/run3", "new/run1,new/run2,new/run3", "--metric", "latency.p50", "--json")
      assert.same(by_folder.comparisons, json.decode(r.out).comparisons)
      assert.equal(3, compare(dir, "old", "new/run1", "--metric", "latency.p50").code)
   end)

   it("fails on the chosen metrics alone, and beyond their thresholds", function()
      local dir = folder()
      results(dir .. "/old", { seed = 1 })
      results(dir .. "/new", { seed = 2, ms = 60 })
      assert.equal(3, compare(dir, "old", "new").code)
      assert.equal(0, compare(dir, "old", "new", "--fail-on", "error_rate,qps").code)
      assert.equal(0, compare(dir, "old", "new", "--metric", "qps").code)
      assert.equal(0, compare(dir, "old", "new", "--threshold", "30%").code)
      assert.equal(3, compare(dir, "old", "new", "--threshold", "30%", "--threshold", "latency.p50=10%").code)
      assert.equal(0, compare(dir, "old", "new", "--threshold", "latency.p50=30%", "--metric", "latency.p50").code)
   end)

   it("does not pass a guard that could not look: 2, with the table all the same", function()
      local dir = folder()
      results(dir .. "/old", { seed = 1 })
      results(dir .. "/dead", { seed = 2, failed = 800 })
      for _, name in ipairs { "latency.p50", "qps", "goodput" } do
         local r = compare(dir, "old", "dead", "--metric", "error_rate," .. name, "--fail-on", name)
         assert.equal(2, r.code)
         assert.truthy(r.out:find("error_rate  ", 1, true), r.out)
         assert.equal(("perigee compare: option --fail-on: %s cannot be compared: a side has none of it, or 0\n"):format(name), r.err)
      end
      local r = compare(dir, "old", "dead")
      assert.same({ 3, "" }, { r.code, r.err })
      assert.truthy(r.out:find("warning: phase 'steady': B has no latency, output_tokens_per_s, but A has\n", 1, true), r.out)
      -- What is worse counts first.
      assert.equal(3, compare(dir, "old", "dead", "--fail-on", "qps,error_rate").code)
   end)

   it("warns of a run that is on both sides, and of metrics that none has", function()
      local dir = folder()
      results(dir .. "/old", { seed = 1 })
      local r = compare(dir, "old", "old", "--metric", "latency.p50,goodput", "--json")
      assert.same({ 0, "" }, { r.code, r.err })
      assert.same({ "B has the same run as the baseline: old/summary.json", "no phase that is compared has goodput" },
         json.decode(r.out).warnings)
   end)

   it("takes a summary alone, with its intervals", function()
      local dir = folder()
      results(dir .. "/old", { seed = 1 })
      results(dir .. "/new", { seed = 2, ms = 60 })
      local r = compare(dir, "old/summary.json", "new/summary.json", "--json", "--metric", "latency.p50")
      assert.equal(3, r.code, r.err)
      assert.equal("summary", json.decode(r.out).comparisons[1].metrics[1].method)
   end)

   it("does not take the requests of another run", function()
      local dir = folder()
      results(dir .. "/old", { seed = 1 })
      results(dir .. "/new", { seed = 2 })
      local first = drive.read(dir .. "/new/requests.jsonl"):match "^[^\n]*\n"
      drive.write(dir .. "/new/requests.jsonl", first)
      local r = compare(dir, "old", "new", "--metric", "latency.p50", "--json")
      local data = json.decode(r.out)
      assert.same({ "new/requests.jsonl: its requests of phase 'steady' are not those of summary.json, whose intervals are taken" },
         data.warnings)
      assert.equal("summary", data.comparisons[1].metrics[1].method)
   end)

   it("refuses wrong usage and what it cannot read, and names it", function()
      local dir = folder()
      results(dir .. "/old", { seed = 1 })
      assert(engine.mkdir(dir .. "/empty"))
      drive.write(dir .. "/text.json", "hello")
      drive.write(dir .. "/other.json", "{}")
      drive.write(dir .. "/newer.json", '{"schema_version": 2}')
      drive.write(dir .. "/hollow.json", '{"schema_version": 1}')
      drive.write(dir .. "/odd.json", '{"schema_version": 1, "phases": [{}]}')
      results(dir .. "/torn", { seed = 1 })
      drive.write(dir .. "/torn/requests.jsonl", "{}\n{\n{}\n")
      for _, row in ipairs {
         { "the folders of results are missing: the baseline first" },
         { "nowhere: No such file or directory", "old", "nowhere" },
         { "empty: there is no summary.json in this folder, nor in one below it", "old", "empty" },
         { "text.json: ", "old", "text.json" },
         { "other.json: this is no summary.json of perigee: it has no schema_version", "old", "other.json" },
         { "newer.json: schema_version 1 expected, got 2", "old", "newer.json" },
         { "hollow.json: phases: a list expected", "old", "hollow.json" },
         { "odd.json: phases[1]: an object with name and kind expected", "old", "odd.json" },
         { "torn/requests.jsonl:2: ", "old", "torn" },
         { "option --phase: the sides of one run are compared by all their rounds", "old", "--phase", "steady" },
         { "no phase that is compared has any of the metrics", "old", "old", "--metric", "goodput,first_reasoning.p50" },
         { "old/summary.json: one run is compared with itself by its interleaved phases, and it has none", "old" },
         { "the path of a result is empty", "old", "," },
         { "there is no phase 'stedy' on both sides, did you mean 'steady'?; old/summary.json has steady",
            "old", "old", "--phase", "stedy" },
         { "option --metric: unknown metric 'tfft', did you mean 'ttft'?", "old", "old", "--metric", "tfft.p99" },
         { "option --metric: 'ttft' is a distribution: say which statistic, e.g. ttft.p99", "old", "old", "--metric", "ttft" },
         { "option --metric: names of metrics expected", "old", "old", "--metric", "," },
         { "option --fail-on: ttft.p99 is not compared: name it in --metric", "old", "old", "--metric", "qps", "--fail-on", "ttft.p99" },
         { "option --threshold: a percentage such as 5% or ttft.p99=5% expected, got '5'", "old", "old", "--threshold", "5" },
         { "option --threshold: unknown metric 'x'", "old", "old", "--threshold", "x=5%" },
         { "--json and --markdown exclude each other", "old", "old", "--json", "--markdown" },
         { "unknown option --treshold, did you mean --threshold?", "old", "old", "--treshold", "5%" },
      } do
         local r = compare(dir, unpack(row, 2))
         assert.same({ 2, "" }, { r.code, r.out }, row[1])
         assert.truthy(r.err:find("perigee compare: " .. row[1], 1, true), r.err .. " should say: " .. row[1])
      end
   end)

   it("finds that another endpoint is slower", function()
      local function run(ttft)
         return drive.run(([[
            return perigee.scenario {
               target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=%s,tpot=1ms,tokens=4" }, dataset = { "a b", "c d" },
               load = perigee.load.constant(100), requests = 300,
            }]]):format(ttft))
      end
      local old, new, r, found, worse
      -- A run that drifts is worth few independent values, and a metric of it may be unsure; not both of them each time.
      for _ = 1, 6 do
         old, new = run "5ms", run "700ms"
         assert.same({ 0, 0 }, { old.code, new.code })
         r = drive.perigee("compare", old.dir, new.dir, "--json", "--metric", "ttft.p50,latency.p50")
         found, worse = json.decode(r.out), 0
         for _, metric in ipairs(found.comparisons[1].metrics) do
            assert.is_true(metric.verdict == "worse" or metric.verdict == "unsure", metric.metric)
            if metric.verdict == "worse" then worse = worse + 1 end
         end
         if worse > 0 then break end
      end
      assert.is_true(worse > 0, r.out)
      assert.equal(3, r.code, r.err)
      assert.truthy(table.concat(found.warnings, "\n"):find("B has another target.url than the baseline", 1, true))
      assert.equal(0, drive.perigee("compare", new.dir, old.dir, "--metric", "ttft.p50,latency.p50").code)
   end)

   it("takes gaps from the event log, request by request, and says when that is another's", function()
      local function run(tpot, requests)
         return drive.run(([[
            return perigee.scenario {
               target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=1ms,tokens=6,tpot=%s" }, dataset = { "a", "b" },
               load = perigee.load.concurrency(4), requests = %d,
            }]]):format(tpot, requests))
      end
      local old, new = run("1ms", 60), run("30ms", 60)
      local r = drive.perigee("compare", old.dir, new.dir, "--json", "--metric", "itl.p50,itl_token.p90,itl.mean")
      local metrics = json.decode(r.out).comparisons[1].metrics
      assert.equal(3, #metrics, r.out)
      for _, metric in ipairs(metrics) do
         assert.equal("events", metric.method, metric.metric)
         assert.is_true(metric.verdict == "worse" or metric.verdict == "unsure", metric.metric) -- a busy machine may hide it
      end
      assert.truthy(drive.perigee("compare", old.dir, new.dir).out:find("method: gaps (itl) from the event log", 1, true))
      drive.write(new.dir .. "/events.plog", drive.read(run("1ms", 50).dir .. "/events.plog"))
      r = drive.perigee("compare", old.dir, new.dir, "--json", "--metric", "itl.p50")
      local found = json.decode(r.out)
      local told = table.concat(found.warnings, "\n")
      assert.truthy(told:find("its gaps of phase 'performance' are not those of summary.json, whose intervals",
         1, true), r.out)
      assert.equal("summary", found.comparisons[1].metrics[1].method)
      drive.write(new.dir .. "/events.plog", "no log")
      r = drive.perigee("compare", old.dir, new.dir, "--json", "--metric", "itl.p50")
      assert.truthy(r.out:find("events.plog: ", 1, true), r.out)
      assert.equal("summary", json.decode(r.out).comparisons[1].metrics[1].method)
   end)

   it("compares sides that took turns in one run", function()
      local run = drive.run [[
         local function served(ttft)
            return perigee.target.openai_chat { url = "mock:mode=timed,tpot=1ms,tokens=2,ttft=" .. ttft }
         end
         return perigee.scenario {
            dataset = { "a b", "c d", "e f" }, order = perigee.order.shuffle(), load = perigee.load.poisson(400), requests = 20,
            phases = perigee.interleave { { "old", target = served "10ms" }, { "new", target = served "300ms" }, rounds = 4 },
         }]]
      assert.equal(0, run.code, run.err)
      local names = {}
      for i, p in ipairs(run.summary.phases) do names[i] = p.name end
      assert.same({ "old.1", "new.1", "new.2", "old.2", "old.3", "new.3", "new.4", "old.4" }, names)
      local r = drive.perigee("compare", run.dir, "--json", "--metric", "ttft.p50")
      assert.equal(3, r.code, r.err)
      local found = json.decode(r.out)
      assert.same({ "old", "new" }, { found.sides[1].name, found.sides[2].name })
      local c = found.comparisons[1]
      assert.same({ 4, "worse", "rounds" }, { c.rounds, c.metrics[1].verdict, c.metrics[1].method })
      -- The report says the same of them, each as one.
      local old, new = run.summary.sides[1], run.summary.sides[2]
      assert.same({ "old", 4, 80, "new", 4, 80 }, { old.name, old.rounds, old.completed, new.name, new.rounds, new.completed })
      assert.same(json.decode(drive.perigee("compare", run.dir, "--json").out).comparisons[1].metrics, new.against.metrics)
      assert.truthy(drive.read(run.dir .. "/summary.txt"):find("  new against old, 4 rounds: ", 1, true))
   end)
end)
