--- The summary of a run (summary.json): a function of the engine's report.
--- Every key carries its unit; what is absent is null.
local engine = require "perigee.engine"
local mlperf = require "perigee.report.mlperf"
local selftest = require "perigee.selftest"
local server = require "perigee.report.server"
local sides = require "perigee.report.sides"
local statistics = require "perigee.compare.statistics"

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
   { name = "itl_token", key = "itl_token_ms", unit = MS }, { name = "lateness", key = "lateness_us", unit = US },
   { name = "first_byte", key = "first_byte_ms", unit = MS }, { name = "first_event", key = "first_event_ms", unit = MS },
   { name = "first_content", key = "first_content_ms", unit = MS },
   { name = "first_reasoning", key = "first_reasoning_ms", unit = MS },
   { name = "input_tokens", key = "input_tokens", unit = 1 }, { name = "output_tokens", key = "output_tokens", unit = 1 },
}

-- As if a failed request had taken for ever.
local WITH_FAILURES = {
   { name = "latency_with_failures", key = "latency_with_failures_ms" }, { name = "ttft_with_failures", key = "ttft_with_failures_ms" },
}
local PERCENTILES = { "p50", "p90", "p95", "p99", "p99.9" }

local function or_null(v)
   if v == nil or v ~= v or v == math.huge or v == -math.huge then return null end
   return v
end

local function intervals(d, unit)
   local out = {}
   for name, bounds in pairs(d.ci95) do
      out[name] = { or_null(bounds.low and bounds.low / unit), or_null(bounds.high and bounds.high / unit) }
   end
   return out
end

local function distribution(d, unit)
   if not d or d.count == 0 then return null end
   local out = { count = d.count, exact = d.exact, ci95 = d.ci95 and intervals(d, unit) or nil }
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

local function with_failures(d)
   if not d or d.count == 0 then return null end
   local out = { count = d.count, failures = d.failures }
   for _, name in ipairs(PERCENTILES) do out[name] = or_null(d[name] and d[name] / MS) end
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
      workers_busy_share = share(report.worker_busy_ns, report),
      late = or_null(report.late), catch_ups = or_null(report.catch_ups),
      worst_late_ms = or_null(report.worst_late_ns and report.worst_late_ns / MS),
      connections = or_null(report.connections), reconnects = or_null(report.reconnects),
      clock_step_ms = or_null(report.clock_step_ns and report.clock_step_ns / MS),
      suspended_ms = or_null(report.suspended_ns and report.suspended_ns / MS),
   }
end

local function per_second(count, report)
   local seconds = report.duration_ns / 1e9
   return seconds > 0 and count / seconds or null
end

local function slo_of(slo)
   local out = {}
   for name, ns in pairs(slo) do out[name .. "_ms"] = ns / MS end
   return out
end

-- Requests that the script cancelled are no one's failure.
local function goodput(report, slo)
   if not slo then return null end
   local ended = report.completed + report.failed + report.abandoned
   return {
      slo = slo_of(slo), good = report.good, share = ended > 0 and report.good / ended or null,
      share_ci95 = or_null(statistics.share_interval(report.good, ended)), per_s = per_second(report.good, report),
   }
end

local function add_errors(out, report)
   local bad = report.failed + report.abandoned
   local ended = report.completed + bad
   out.error_rate, out.error_rate_ci95 = ended > 0 and bad / ended or null, or_null(statistics.share_interval(bad, ended))
   out.errors, out.finish_reasons = report.errors or {}, report.finish_reasons or {}
end

-- Of the requests that asked for a length.
local function lengths(l)
   if not l or l.answers == 0 then return null end
   return {
      answers = l.answers, too_short = l.too_short, too_long = l.too_long,
      mean_asked = l.asked / l.answers, mean_got = l.got / l.answers,
   }
end

-- What a phase and each of its tags have, into `out`.
local function add_numbers(out, report, slo)
   out.issued, out.completed, out.failed = report.issued, report.completed, report.failed
   out.abandoned, out.cancelled = report.abandoned, report.cancelled or 0
   out.rate_delivered_per_s = rate(report.issued, report.first_issued_ns, report.last_issued_ns)
   out.qps = per_second(report.completed, report)
   out.output_tokens_per_s = (report.token_responses or 0) > 0 and per_second(report.tokens_out, report) or null
   out.tokens_in, out.tokens_out, out.chunks = or_null(report.tokens_in), or_null(report.tokens_out), or_null(report.chunks)
   out.tokens_cached = or_null(report.tokens_cached)
   out.tokens_cached_share = (report.tokens_in or 0) > 0 and report.tokens_cached and report.tokens_cached / report.tokens_in or null
   out.output_lengths = lengths(report.lengths)
   for _, d in ipairs(DISTRIBUTIONS) do out[d.key] = distribution(report[d.name], d.unit) end
   for _, d in ipairs(WITH_FAILURES) do out[d.key] = with_failures(report[d.name]) end
   out.goodput = goodput(report, slo)
   add_errors(out, report)
   return out
end

local function tags(report)
   local out = {}
   for name, of_tag in pairs(report.tags or {}) do out[name] = add_numbers({}, of_tag, report.slo) end
   return out
end

local function two_percentiles(p50, p99)
   return p50 and { p50 = p50 / MS, p99 = p99 / MS } or null
end

-- The window without the start of the phase, by the series.
local function steady(report)
   local w = report.steady
   if not w then return null end
   local seconds = (w.to_ns - w.from_ns) / 1e9
   return {
      from_s = w.from_ns / 1e9, to_s = w.to_ns / 1e9, completed = w.completed, failed = w.failed,
      qps = w.completed / seconds, qps_ci95 = { w.rate_low, w.rate_high },
      output_tokens_per_s = (report.token_responses or 0) > 0 and w.tokens_out / seconds or null,
      good_per_s = report.slo and w.good / seconds or null,
      latency_ms = two_percentiles(w.latency_p50, w.latency_p99), ttft_ms = two_percentiles(w.ttft_p50, w.ttft_p99),
   }
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
      steady = steady(report), tags = tags(report),
      lua_busy = cost(report.lua_busy, "calls", report.duration_ns),
      gc_pause = cost(report.gc_pause, "steps", report.duration_ns),
      client = client(report), error_examples = report.error_examples or {},
      metrics = metrics or {},
      conclusion = or_null(conclusion),
      checks = check_list(checks),
   }, report, report.slo)
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

local function warning_list(list)
   local out = {}
   for i, w in ipairs(list) do out[i] = { kind = w.kind, phase = or_null(w.phase), detail = w.detail } end
   return json.array(out)
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
      local_ports = select(2, engine.limits()),
      selftest = or_null(selftest.kept()),
   }
end

-- The phases of each side as one.
local function pooled(run)
   local list = {}
   for i in ipairs(sides.groups(run.facts.config)) do
      local report = run.together[i]
      list[i] = report and add_numbers({
         duration_s = report.duration_ns / 1e9, dropped = report.dropped, unsent = report.unsent,
      }, report, report.slo) or false
   end
   return list
end

--- The whole of summary.json.
---@param run table  facts, report, together (the engine's reports of the groups of perigee.report.sides), checks, metrics and
---   conclusions (phase name -> results, values), overall (results), judged (verdict.judge), scrapes (lines of perigee.scrape)
---@return table
function summary.build(run)
   local phases, facts = {}, run.facts
   local metrics, conclusions = run.metrics or {}, run.conclusions or {}
   for i, report in ipairs(run.report.phases) do
      phases[i] = summary.phase(report, run.checks[report.name], metrics[report.name], conclusions[report.name])
   end
   local built = {
      schema_version = 1,
      verdict = run.judged.verdict,
      failures = strings(run.judged.failures), warnings = warning_list(run.judged.warnings),
      scenario = facts.scenario,
      session_id = or_null(run.report.session_id),
      started_at = run.report.started_realtime_ns and summary.timestamp(run.report.started_realtime_ns) or null,
      host = facts.host, versions = facts.versions, config = facts.config,
      dataset_sha256 = facts.dataset_sha256, plan_checksum = facts.plan_checksum, selftest = or_null(facts.selftest),
      phases = json.array(phases),
      server = server.section(run.report, run.scrapes),
      checks = check_list(run.overall),
      mlperf = mlperf.section(run),
   }
   built.sides = sides.section(built, pooled(run))
   return built
end

return summary
