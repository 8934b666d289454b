--- The mlperf section of summary.json: what MLPerf's tools would tell of a phase, under their names, and whether the
--- run is valid by LoadGen's rules. Times in ns, as there.
local engine = require "perigee.engine"
local units = require "perigee.units"

local json = engine.json
local null = json.null
local mlperf = {}

-- Field of result_summary.json -> the engine's metric. Theirs count from the issue.
local ROLLUPS = {
   ttft = "ttft_service", tpot = "tpot", latency = "service_time",
   input_sequence_lengths = "input_tokens", output_sequence_lengths = "output_tokens",
}
-- Those that have a tail to vouch for.
local TAILS = { ttft = true, tpot = true, latency = true }
local FINISH_REASONS = { "stop", "length", "tool_calls", "content_filter", "function_call" }
local GRID = { "99.9", "99.0", "97.0", "95.0", "90.0", "80.0", "75.0", "50.0" }

local function early_stopping(of)
   local out = {}
   for _, p in ipairs(GRID) do out[p] = of and of.estimates[p] or null end
   return out
end

local function histogram(buckets)
   local out = { buckets = {}, counts = {} }
   for i, b in ipairs(buckets) do
      out.buckets[i], out.counts[i] = json.array { b[1], b[2] }, b[3]
   end
   return { buckets = json.array(out.buckets), counts = json.array(out.counts) }
end

local function rollup(of, is_tail)
   local estimates = is_tail and early_stopping(of) or nil
   if not of then return { early_stopping_percentiles = estimates } end
   local n = of.count
   return {
      total = of.total, min = of.min, max = of.max, avg = of.mean, median = of.percentiles["50.0"],
      std_dev = n > 1 and of.std * math.sqrt(n / (n - 1)) or 0,
      percentiles = of.percentiles, early_stopping_percentiles = estimates, histogram = histogram(of.buckets),
   }
end

local function finish_reasons(counts)
   local out, named = {}, {}
   for _, name in ipairs(FINISH_REASONS) do out[name], named[name] = counts[name] or 0, true end
   out.other = 0
   for name, n in pairs(counts) do
      if not named[name] then out.other = out.other + n end
   end
   return out
end

-- From the first issue to the end of the latest one, of open loads; else nil.
local function completed_window(phase)
   local ns = phase.window_finished_ns - phase.first_issued_ns
   return phase.open and phase.completed >= 2 and ns > 0 and ns or nil
end

local function throughput(phase, window_ns)
   local seconds = (window_ns or phase.duration_ns) / 1e9
   if seconds <= 0 then return null, null end
   local n = window_ns and phase.completed - 1 or phase.completed
   return n / seconds, (phase.token_responses or 0) > 0 and phase.tokens_out / seconds or null
end

-- ---- the rules ----

-- LoadGen takes the last scheduled time of an open load, the last issue of a closed one.
local function lasted_s(phase)
   local first = phase.open and phase.first_scheduled_ns or phase.first_issued_ns
   local last = phase.open and phase.last_scheduled_ns or phase.last_issued_ns
   return (last - first) / 1e9
end

-- The percentile of the rules, below each target: with the number of requests that may lie above it by chance.
local function judge_targets(phase, rules, findings)
   local key, met = ("%.1f"):format(rules.percentile), true
   for _, name in ipairs { "latency", "tpot", "ttft" } do
      local target = rules[name .. "_s"]
      local of = phase.rollups[ROLLUPS[name]]
      local limit = of and of.limits[key]
      if target and not limit then
         met = false
         findings[#findings + 1] = ("%s: too few requests (%d) for a claim about p%g"):format(name, of and of.count or 0, rules.percentile)
      elseif target and limit > target * 1e9 then
         met = false
         findings[#findings + 1] = ("%s: p%g cannot be claimed to be at most %s: %s would have to be allowed"):format(
            name, rules.percentile, units.seconds(target), units.ns(limit))
      end
   end
   return met
end

local function judge(phase, rules)
   local findings, seconds = {}, lasted_s(phase)
   local duration_met, queries_met = seconds >= rules.min_duration_s, phase.issued >= rules.min_queries
   if not duration_met then
      findings[1] = ("it lasted %s, less than %s"):format(units.seconds(math.max(0, seconds)), units.seconds(rules.min_duration_s))
   end
   if not queries_met then
      findings[#findings + 1] = ("%d requests were issued, fewer than %d"):format(phase.issued, rules.min_queries)
   end
   local targets_met = judge_targets(phase, rules, findings)
   local ended = phase.failed == 0 and phase.abandoned == 0
   if not ended then findings[#findings + 1] = ("%d requests did not succeed"):format(phase.failed + phase.abandoned) end
   return {
      valid = duration_met and queries_met and targets_met and ended,
      min_duration_met = duration_met, min_queries_met = queries_met, early_stopping_met = targets_met,
      findings = json.array(findings),
   }
end

-- ---- a phase ----

local function result_summary(phase, planned, run)
   local window_ns = completed_window(phase)
   local qps, tps = throughput(phase, window_ns)
   local interrupted = run.judged.verdict == "interrupted"
   local out = {
      version = "perigee " .. run.facts.versions.perigee, git_sha = null, test_started_at = run.report.started_ns,
      n_samples_issued = phase.issued, n_samples_completed = phase.completed, n_samples_failed = phase.failed + phase.abandoned,
      duration_ns = phase.duration_ns, state = interrupted and "interrupted" or "complete",
      complete = not interrupted and phase.inflight == 0,
      legacy_loadgen_window_duration_ns = window_ns or null, qps = qps, tps = tps,
      finish_reason_counts = finish_reasons(phase.finish_reasons or {}),
      run_config = {
         load_pattern = planned.load, scheduler_random_seed = run.facts.config.seed, dataloader_random_seed = run.facts.config.seed,
      },
   }
   for field, metric in pairs(ROLLUPS) do out[field] = rollup(phase.rollups[metric], TAILS[field]) end
   return out
end

--- The section: a list with an object for each phase that asked for it; null when none did.
---@param run table  as of summary.build; its report is whole
---@return table
function mlperf.section(run)
   local list, planned = {}, {}
   for _, p in ipairs(run.facts.config.phases or {}) do planned[p.name] = p end
   for _, phase in ipairs(run.report.phases) do
      local plan = planned[phase.name]
      if plan and plan.mlperf and phase.kind ~= "warmup" and phase.rollups then
         local entry = judge(phase, plan.mlperf)
         entry.phase, entry.rules = phase.name, plan.mlperf
         entry.result_summary = result_summary(phase, plan, run)
         list[#list + 1] = entry
      end
   end
   return list[1] and json.array(list) or null
end

-- The map of one phase, line by line: there may be millions.
local function write_map(out, path, phase)
   local start, first = ('","phase":%s,"index":'):format(json.encode(phase)), true
   assert(out:write(json.encode(phase), ": {"))
   for line in io.lines(path) do
      local uuid, rest = line:match '^{"sample_uuid":"(%x+)(.*)$'
      local index = uuid and rest:sub(1, #start) == start and rest:match("^%d+", #start + 1)
      if index then
         assert(out:write(first and "\n" or ",\n", ('    "%s": %s'):format(uuid, index)))
         first = false
      end
   end
   assert(out:write(first and "}" or "\n  }"))
end

--- Write sample_idx_map.json, { phase = { uuid = index } }, of the lines of requests.jsonl.
---@param path string      of requests.jsonl
---@param target string    the path to write, whole or not at all
---@param phases string[]
---@return boolean? ok
---@return string? message
function mlperf.write_sample_map(path, target, phases)
   local part = target .. ".tmp"
   local out, message = io.open(part, "wb")
   if not out then return nil, message end
   local ok, failure = pcall(function()
      for i, phase in ipairs(phases) do
         assert(out:write(i == 1 and "{\n  " or ",\n  "))
         write_map(out, path, phase)
      end
      assert(out:write "\n}\n")
   end)
   local closed, close_failure = out:close()
   if ok and closed then return os.rename(part, target) end
   os.remove(part)
   return nil, ("%s: %s"):format(target, tostring(not ok and failure or close_failure))
end

return mlperf
