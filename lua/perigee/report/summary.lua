--- The summary of a run (summary.json): a function of the engine's report.
--- Every key carries its unit; what is absent is null.
local engine = require "perigee.engine"
local selftest = require "perigee.selftest"

local json = engine.json
local null = json.null
local summary = {}

local STATISTICS = { "mean", "std", "min", "max", "p50", "p90", "p95", "p99", "p99.9" }
local MS, US = 1e6, 1e3 -- ns

-- The engine's name, the key, and the ns of its unit.
local DISTRIBUTIONS = {
   { name = "latency", key = "latency_ms", unit = MS }, { name = "service_time", key = "service_time_ms", unit = MS },
   { name = "ttft", key = "ttft_ms", unit = MS }, { name = "ttft_service", key = "ttft_service_ms", unit = MS },
   { name = "tpot", key = "tpot_ms", unit = MS }, { name = "itl", key = "itl_ms", unit = MS },
   { name = "lateness", key = "lateness_us", unit = US },
}

local function or_null(v)
   if v == nil or v ~= v or v == math.huge or v == -math.huge then return null end
   return v
end

local function distribution(d, unit)
   if not d or d.count == 0 then return null end
   local out = { count = d.count, exact = d.exact }
   for _, name in ipairs(STATISTICS) do out[name] = or_null(d[name] and d[name] / unit) end
   return out
end

-- What of the thread's time went into the script or its collector, until the phase's end.
local function cost(c, counted_as, duration_ns)
   if not c then return null end
   return {
      share = duration_ns > 0 and c.ns / duration_ns or null, total_ms = c.ns / MS, max_ms = c.max_ns / MS, [counted_as] = c.count,
   }
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

-- What a phase and each of its tags have, into `out`.
local function add_numbers(out, report)
   out.issued, out.completed, out.failed = report.issued, report.completed, report.failed
   out.abandoned, out.cancelled = report.abandoned, report.cancelled or 0
   out.rate_delivered_per_s = rate(report.issued, report.first_issued_ns, report.last_issued_ns)
   out.qps = per_second(report.completed, report)
   out.output_tokens_per_s = (report.token_responses or 0) > 0 and per_second(report.tokens_out, report) or null
   out.tokens_in, out.tokens_out, out.chunks = or_null(report.tokens_in), or_null(report.tokens_out), or_null(report.chunks)
   for _, d in ipairs(DISTRIBUTIONS) do out[d.key] = distribution(report[d.name], d.unit) end
   out.errors, out.finish_reasons = report.errors or {}, report.finish_reasons or {}
   return out
end

local function tags(report)
   local out = {}
   for name, of_tag in pairs(report.tags or {}) do out[name] = add_numbers({}, of_tag) end
   return out
end

--- One phase of summary.json.
---@param report table  the engine's report of the phase
---@param checks? table[] results
---@param metrics? table<string, table>  of the script, as of perigee.metric
---@param conclusion? any  of the strategy
function summary.phase(report, checks, metrics, conclusion)
   local arrivals = report.issued + (report.dropped or 0)
   return add_numbers({
      name = report.name, kind = report.kind, end_reason = or_null(report.end_reason),
      duration_s = report.duration_ns / 1e9, dropped = report.dropped or 0, unsent = report.unsent or 0,
      rate_asked_per_s = report.open and rate(arrivals, report.first_scheduled_ns, report.last_scheduled_ns) or null,
      tags = tags(report),
      lua_busy = cost(report.lua_busy, "calls", report.duration_ns),
      gc_pause = cost(report.gc_pause, "steps", report.duration_ns),
      client = client(report),
      metrics = metrics or {},
      conclusion = or_null(conclusion),
      checks = check_list(checks),
   }, report)
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
---@param plan_checksum string  of perigee.agenda
---@return table
function summary.facts(plan, config, plan_checksum)
   return {
      scenario = plan.name,
      host = or_null(engine.host()),
      versions = { perigee = engine.version, luajit = jit.version },
      config = config,
      dataset_sha256 = dataset_sha256(plan),
      plan_checksum = plan_checksum,
      selftest = or_null(selftest.kept()),
   }
end

--- The whole of summary.json.
---@param run table  facts, report, checks, metrics and conclusions (phase name -> results, values), overall (results),
---   judged (verdict.judge)
---@return table
function summary.build(run)
   local phases, facts = {}, run.facts
   local metrics, conclusions = run.metrics or {}, run.conclusions or {}
   for i, report in ipairs(run.report.phases) do
      phases[i] = summary.phase(report, run.checks[report.name], metrics[report.name], conclusions[report.name])
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
      checks = check_list(run.overall),
   }
end

return summary
