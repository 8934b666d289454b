--- The summary of a run (summary.json): a function of the engine's report.
--- Every key carries its unit; what is absent is null.
local engine = require "perigee.engine"
local selftest = require "perigee.selftest"

local json = engine.json
local null = json.null
local summary = {}

local STATISTICS = { "mean", "std", "min", "max", "p50", "p90", "p95", "p99", "p99.9" }
local MS, US = 1e6, 1e3 -- ns

local function or_null(v)
   if v == nil or v ~= v or v == math.huge or v == -math.huge then return null end
   return v
end

local function distribution(d, unit)
   if not d or d.count == 0 then return null end
   local out = { count = d.count }
   for _, name in ipairs(STATISTICS) do out[name] = or_null(d[name] and d[name] / unit) end
   return out
end

-- n things from the first to the last stamp: n - 1 gaps.
local function rate(n, first_ns, last_ns)
   if not (first_ns and last_ns) or n < 2 or last_ns <= first_ns then return null end
   return (n - 1) / ((last_ns - first_ns) / 1e9)
end

local function check_list(results)
   local list = {}
   for i, r in ipairs(results or {}) do
      list[i] = { check = r.check, passed = r.passed, aborted = r.aborted or false, detail = or_null(r.detail) }
   end
   return json.array(list)
end

local function share(part_ns, report)
   return part_ns and report.duration_ns > 0 and part_ns / report.duration_ns or null
end

-- The client's own part in what was measured; null while the phase runs.
local function client(report)
   if not report.busy_ns then return null end
   return {
      busy_share = share(report.busy_ns, report), spin_share = share(report.spin_ns, report),
      late = or_null(report.late), catch_ups = or_null(report.catch_ups),
      worst_late_ms = or_null(report.worst_late_ns and report.worst_late_ns / MS),
   }
end

local function per_second(count, report)
   local seconds = report.duration_ns / 1e9
   return seconds > 0 and count / seconds or null
end

--- One phase of summary.json.
---@param report table  the engine's report of the phase
---@param checks? table[] results
---@param metrics? table<string, table>  of the script, as of perigee.metric
function summary.phase(report, checks, metrics)
   local arrivals = report.issued + (report.dropped or 0)
   return {
      name = report.name, kind = report.kind, end_reason = or_null(report.end_reason),
      duration_s = report.duration_ns / 1e9,
      issued = report.issued, completed = report.completed, failed = report.failed, abandoned = report.abandoned,
      cancelled = report.cancelled or 0, dropped = report.dropped or 0,
      rate_asked_per_s = report.open and rate(arrivals, report.first_scheduled_ns, report.last_scheduled_ns) or null,
      rate_delivered_per_s = rate(report.issued, report.first_issued_ns, report.last_issued_ns),
      qps = per_second(report.completed, report),
      output_tokens_per_s = (report.token_responses or 0) > 0 and per_second(report.tokens_out, report) or null,
      tokens_in = or_null(report.tokens_in), tokens_out = or_null(report.tokens_out), chunks = or_null(report.chunks),
      latency_ms = distribution(report.latency, MS),
      service_time_ms = distribution(report.service_time, MS),
      ttft_ms = distribution(report.ttft, MS),
      ttft_service_ms = distribution(report.ttft_service, MS),
      tpot_ms = distribution(report.tpot, MS),
      itl_ms = distribution(report.itl, MS),
      lateness_us = distribution(report.lateness, US), client = client(report),
      errors = report.errors or {}, finish_reasons = report.finish_reasons or {},
      metrics = metrics or {},
      checks = check_list(checks),
   }
end

--- "2025-03-01T12:00:00.123Z" of nanoseconds since 1970.
function summary.timestamp(ns)
   local seconds = math.floor(ns / 1e9)
   return os.date("!%Y-%m-%dT%H:%M:%S", seconds) .. (".%03dZ"):format(math.floor(ns / 1e6 - seconds * 1e3))
end

local function dataset_sha256(plan)
   for _, p in ipairs(plan.phases) do
      if p.dataset then return p.dataset.sha256 end
   end
   return null
end

local function strings(list)
   local copy = {}
   for i, text in ipairs(list) do copy[i] = text end
   return json.array(copy)
end

--- What is known of a run before it begins. Plain data: it is told as an event, so that a log can be reported.
---@param plan table
---@param config table  of report.config
---@return table
function summary.facts(plan, config)
   return {
      scenario = plan.name,
      host = or_null(engine.host()),
      versions = { perigee = engine.version, luajit = jit.version },
      config = config,
      dataset_sha256 = dataset_sha256(plan),
      plan_checksum = null,
      selftest = or_null(selftest.kept()),
   }
end

--- The whole of summary.json.
---@param run table  facts, report, checks and metrics (phase name -> results, values), judged (verdict.judge)
---@return table
function summary.build(run)
   local phases, facts = {}, run.facts
   local metrics = run.metrics or {}
   for i, report in ipairs(run.report.phases) do
      phases[i] = summary.phase(report, run.checks[report.name], metrics[report.name])
   end
   return {
      schema_version = 1,
      verdict = run.judged.verdict,
      failures = strings(run.judged.failures), warnings = strings(run.judged.warnings),
      scenario = facts.scenario,
      session_id = or_null(run.report.session_id),
      started_at = run.report.started_realtime_ns and summary.timestamp(run.report.started_realtime_ns) or null,
      host = facts.host, versions = facts.versions, config = facts.config,
      dataset_sha256 = facts.dataset_sha256, plan_checksum = facts.plan_checksum, selftest = or_null(facts.selftest),
      phases = json.array(phases),
   }
end

return summary
