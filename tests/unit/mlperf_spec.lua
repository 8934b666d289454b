local engine = require "perigee.engine"
local mlperf = require "perigee.report.mlperf"
local perigee = require "perigee"
local support = require "tests.unit.support"

local null = engine.json.null
local GRID = { "99.9", "99.0", "97.0", "95.0", "90.0", "80.0", "75.0", "50.0", "25.0", "10.0", "5.0", "1.0" }

--- What the engine tells of a distribution; all percentiles, estimates and limits the same.
local function rollup(value, limit)
   local of = { count = 1000, total = value * 1000, min = value, max = value, mean = value, std = 3, percentiles = {}, estimates = {},
      limits = {}, buckets = { { value, value + 1, 999 }, { value + 1, value + 2, 1 } } }
   for i, p in ipairs(GRID) do
      of.percentiles[p] = value
      if i <= 8 then of.estimates[p], of.limits[p] = value + 1, limit or value end
   end
   return of
end

local function phase(changes)
   local base = support.phase_report {
      open = true, issued = 1000, completed = 1000, first_scheduled_ns = 0, last_scheduled_ns = 700e9, first_issued_ns = 1e9,
      last_issued_ns = 701e9, window_finished_ns = 703e9, duration_ns = 705e9, token_responses = 1000, tokens_out = 70200,
      finish_reasons = { stop = 990, length = 7, strange = 2, odd = 1 },
      rollups = { ttft_service = rollup(100e6), tpot = rollup(20e6), service_time = rollup(2e9), output_tokens = rollup(70) },
   }
   for name, v in pairs(changes or {}) do base[name] = v end
   return base
end

local function entry(rules, changes, verdict)
   local p = phase(changes)
   local section = mlperf.section {
      facts = { versions = { perigee = "1.2" }, config = { seed = 42, phases = { { name = "steady", load = { kind = "poisson" },
         mlperf = rules or { min_duration_s = 600, min_queries = 100, percentile = 99 } } } } },
      report = { started_ns = 5, phases = { p } }, judged = { verdict = verdict or "ok" },
   }
   return section ~= null and section[1] or nil
end

describe("perigee.report.mlperf", function()
   it("has no section when no phase asks for it", function()
      assert.equal(null, mlperf.section { facts = { config = { phases = { { name = "steady" } } } }, report = { phases = { phase() } } })
   end)

   it("leaves a warmup out", function()
      assert.is_nil(entry(nil, { kind = "warmup" }))
   end)

   it("tells LoadGen's completed window", function()
      local r = entry().result_summary
      assert.equal(702e9, r.legacy_loadgen_window_duration_ns)
      assert.equal(999 / 702, r.qps)
      assert.equal(100, r.tps)
      -- a closed load has none
      r = entry(nil, { open = false }).result_summary
      assert.same({ null, 1000 / 705 }, { r.legacy_loadgen_window_duration_ns, r.qps })
   end)

   it("has every field of result_summary.json", function()
      local e = entry()
      local r = e.result_summary
      for _, name in ipairs { "version", "git_sha", "test_started_at", "n_samples_issued", "n_samples_completed", "n_samples_failed",
         "duration_ns", "state", "complete", "ttft", "tpot", "latency", "output_sequence_lengths", "input_sequence_lengths",
         "legacy_loadgen_window_duration_ns", "qps", "tps", "finish_reason_counts", "run_config" } do
         assert.not_nil(r[name], name)
      end
      assert.same({ stop = 990, length = 7, tool_calls = 0, content_filter = 0, function_call = 0, other = 3 }, r.finish_reason_counts)
      assert.same({ load_pattern = { kind = "poisson" }, scheduler_random_seed = 42, dataloader_random_seed = 42 }, r.run_config)
      assert.same({ "complete", true }, { r.state, r.complete })
      assert.same({ 1000, 1000, 0 }, { r.n_samples_issued, r.n_samples_completed, r.n_samples_failed })
      assert.same({ 100e6, 100e6, 100e6 + 1 }, { r.ttft.median, r.ttft.percentiles["99.9"], r.ttft.early_stopping_percentiles["99.0"] })
      assert.equal(3 * math.sqrt(1000 / 999), r.ttft.std_dev)
      assert.is_nil(r.ttft.early_stopping_percentiles["25.0"])
      assert.same({ 999, 1 }, { unpack(r.tpot.histogram.counts) })
      assert.is_nil(r.output_sequence_lengths.early_stopping_percentiles)
      assert.same({}, r.input_sequence_lengths) -- nobody told them
      assert.truthy(engine.json.encode(e))
      assert.equal("interrupted", entry(nil, nil, "interrupted").result_summary.state)
   end)

   it("says all estimates are unknown when there is nothing", function()
      local r = entry(nil, { rollups = {} }).result_summary
      assert.equal(null, r.ttft.early_stopping_percentiles["50.0"])
   end)

   it("judges each rule, and says why", function()
      local function rules(changes)
         local t = { min_duration_s = 600, min_queries = 100, percentile = 99 }
         for name, v in pairs(changes or {}) do t[name] = v end
         return t
      end
      for _, row in ipairs {
         { rules(), {}, true },
         { rules { min_duration_s = 700 }, {}, true },
         { rules { min_duration_s = 701 }, {}, false, "it lasted 11m 40s, less than 11m 41s" },
         { rules { min_duration_s = 700 }, { open = false, last_issued_ns = 600e9 }, false, "it lasted 9m 59s, less than 11m 40s" },
         { rules { min_queries = 1000 }, {}, true },
         { rules { min_queries = 1001 }, {}, false, "1000 requests were issued, fewer than 1001" },
         { rules { ttft_s = 0.1, tpot_s = 0.02, latency_s = 2 }, {}, true },
         { rules { ttft_s = 0.0999 }, {}, false, "ttft: p99 cannot be claimed to be at most 99.9 ms: 100 ms would have to be allowed" },
         { rules { ttft_s = 1 }, { rollups = {} }, false, "ttft: too few requests (0) for a claim about p99" },
         { rules(), { completed = 998, failed = 1, abandoned = 1 }, false, "2 requests did not succeed" },
      } do
         local e = entry(row[1], row[2])
         assert.same({ row[3], row[4] }, { e.valid, e.findings[1] }, row[4])
      end
      local e = entry(rules { min_queries = 1001, min_duration_s = 1000, ttft_s = 0.01 })
      assert.same({ false, false, false, 3 }, { e.min_duration_met, e.min_queries_met, e.early_stopping_met, #e.findings })
   end)

   it("maps the requests of the phases named to their samples", function()
      local path = support.file("requests.jsonl", '{"sample_uuid":"aa","phase":"a","index":3,"ok":true}\n'
         .. '{"sample_uuid":"bb","phase":"b","index":4,"ok":true}\n{"sample_uuid":"cc","phase":"a","ok":false}\n'
         .. '{"sample_uuid":"dd","phase":"a \\"q\\"","index":0,"ok":true}\n{"sample_uuid":"ee","phase":"a","index":12,"ok":false}\n')
      local target = path .. ".map"
      table.insert(support.made, 1, target)
      assert.is_true(mlperf.write_sample_map(path, target, { "a", "none", 'a "q"' }))
      assert.same({ a = { aa = 3, ee = 12 }, none = {}, ['a "q"'] = { dd = 0 } }, engine.json.decode(support.read(target)))
      local ok, message = mlperf.write_sample_map("/no/such/file", target, { "a" })
      assert.is_nil(ok)
      support.contains("/no/such/file", message)
      assert.is_nil(io.open(target .. ".tmp"))
      ok, message = mlperf.write_sample_map(path, "/no/such/folder/map", { "a" })
      assert.is_nil(ok)
      support.contains("/no/such/folder/map", message)
      support.clean()
   end)
end)

describe("the field mlperf of a phase", function()
   local function resolve(rules)
      local s = perigee.scenario { target = perigee.target.http { url = "x" }, requests = 1, mlperf = rules }
      return s:resolve().phases[1].mlperf
   end

   it("has LoadGen's defaults", function()
      assert.same({ min_duration = 600, min_queries = 100, percentile = 99 }, resolve(true))
      assert.same({ min_duration = 60, min_queries = 5, percentile = 99.9, ttft = 0.5 },
         resolve { min_duration = "1m", min_queries = 5, percentile = 99.9, ttft = "500ms" })
      assert.is_nil(resolve(nil))
      assert.is_false(resolve(false))
   end)

   it("refuses what is no rule", function()
      for _, row in ipairs {
         { { min_duratoin = "1m" }, "scenario.mlperf: unknown field 'min_duratoin', did you mean 'min_duration'?" },
         { { percentile = 98 }, "scenario.mlperf: percentile: one of 50, 75, 80, 90, 95, 97, 99, 99.9 expected, got 98" },
         { { ttft = "soon" }, "scenario.mlperf: ttft: a duration above 0" },
         { "yes", "scenario: mlperf: true or false or a table expected, got 'yes'" },
      } do support.contains(row[2], support.refusal(resolve, row[1])) end
   end)
end)

describe("the field slo of a phase", function()
   it("refuses what is no bound", function()
      local function make(slo) return perigee.scenario { target = perigee.target.http { url = "x" }, requests = 1, slo = slo } end
      for _, row in ipairs {
         { {}, "scenario.slo: at least one of latency, tpot, ttft expected" },
         { { tfft = "1s" }, "scenario.slo: unknown field 'tfft', did you mean 'ttft'?" },
         { { ttft = -1 }, "scenario.slo: ttft: a duration above 0" },
         { 5, "scenario: slo: a table expected, got 5" },
      } do support.contains(row[2], support.refusal(make, row[1])) end
      assert.same({ ttft = 0.5 }, make({ ttft = "500ms" }):resolve().phases[1].slo)
   end)
end)

describe("the fields mlperf and slo", function()
   it("may come from an option", function()
      local s = perigee.scenario {
         options = { official = { false, "judge it as MLPerf does" }, bound = { "1s", "of the first token", "duration" } },
         target = perigee.target.http { url = "x" }, requests = 1, mlperf = perigee.opt "official", slo = { ttft = perigee.opt "bound" },
      }
      assert.same({ false, { ttft = 1 } }, (function(p) return { p.mlperf, p.slo } end)(s:resolve().phases[1]))
      local p = s:resolve({ official = true, bound = "2s" }).phases[1]
      assert.same({ 600, 2 }, { p.mlperf.min_duration, p.slo.ttft })
   end)
end)
