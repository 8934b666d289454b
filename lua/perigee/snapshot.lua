--- A snapshot: what a session's events say so far, with the state of the stream itself.
--- Its phases are those of summary.json, made by the same code from the same fold.
local engine = require "perigee.engine"
local gather = require "perigee.live.gather"
local summary = require "perigee.report.summary"

local snapshot = {}

snapshot.STATES = { "running", "ended", "interrupted", "incomplete" }

-- Each of these makes the numbers other than the session's own.
local LOSSES = { "missing", "corrupt", "lost_frames", "duplicate", "uncounted" }

--- What is wrong with the stream so far: "3 missing, 1 corrupt"; nil when nothing is.
---@param stats table  of engine.aggregate
---@return string?
function snapshot.losses(stats)
   local list = {}
   for _, name in ipairs(LOSSES) do
      if stats[name] > 0 then list[#list + 1] = ("%d %s"):format(stats[name], (name:gsub("_", " "))) end
   end
   return list[1] and table.concat(list, ", ") or nil
end

--- "running", or how it ended. A stream that fell silent or has losses is incomplete.
---@param stats table
---@return string
function snapshot.state(stats)
   if not stats.outcome then return "running" end
   if stats.outcome == "interrupted" then return "interrupted" end
   local whole = stats.outcome == "ended" and stats.started and not snapshot.losses(stats)
   return whole and "ended" or "incomplete"
end

local function received(stats)
   local copy = { records = stats.records, frames = stats.frames }
   for _, name in ipairs(LOSSES) do copy[name] = stats[name] end
   return copy
end

-- What the running phase, or the last one, is to reach.
local function goal(phase)
   local null = engine.json.null
   if not phase then return null end
   local requests, duration_ns = phase.goal_requests, phase.goal_duration_ns
   return {
      requests = requests > 0 and requests or null,
      duration_s = duration_ns > 0 and duration_ns / 1e9 or null,
   }
end

local function percentiles(point, name)
   if not point[name .. "_p50"] then return engine.json.null end
   return { p50 = point[name .. "_p50"] / 1e6, p90 = point[name .. "_p90"] / 1e6, p99 = point[name .. "_p99"] / 1e6 }
end

-- What the running phase did in the last seconds, and in each bin of its series of late.
local function recent(phase)
   local r, null = phase and phase.recent, engine.json.null
   local elapsed = phase and phase.duration_ns / 1e9
   if not (r and r.recent and elapsed > r.recent_from_s) then return null end
   local seconds = elapsed - r.recent_from_s
   local rates, p99s = gather.over_time(r.bins, math.floor(elapsed / r.width_s), r.width_s)
   for i, v in ipairs(p99s) do p99s[i] = v and v / 1e6 or null end
   return {
      seconds = seconds, qps = r.recent.completed / seconds, rate_delivered_per_s = r.recent.issued / seconds,
      output_tokens_per_s = (phase.token_responses or 0) > 0 and r.recent.tokens_out / seconds or null,
      latency_ms = percentiles(r.recent, "latency"), ttft_ms = percentiles(r.recent, "ttft"),
      series = { width_s = r.width_s, qps = engine.json.array(rates), latency_p99_ms = engine.json.array(p99s) },
   }
end

--- The snapshot as a table for JSON.
---@param report table  of engine.aggregate
---@param stats table
---@return table
function snapshot.build(report, stats)
   local phases, in_flight, current = {}, 0, nil
   for i, phase in ipairs(report.phases) do
      phases[i] = summary.phase(phase)
      in_flight = in_flight + phase.inflight
      if not phase.ended then current = phase end
   end
   local null = engine.json.null
   return {
      schema_version = 1,
      state = snapshot.state(stats),
      session_id = report.session_id ~= "" and report.session_id or null,
      started_at = report.started_realtime_ns > 0 and summary.timestamp(report.started_realtime_ns) or null,
      monotonic_s = engine.clock(),
      received = received(stats),
      phase = current and current.name or null,
      goal = goal(current or report.phases[#report.phases]), in_flight = in_flight,
      recent = recent(current),
      phases = engine.json.array(phases),
   }
end

return snapshot
