--- What a run amounts to: the verdict, the exit code, and why.
local units = require "perigee.units"

local verdict = {}

verdict.EXIT = { ok = 0, failed = 1, usage = 2, check = 3 }

local FAILED_ENDS = {
   stall = "no request completed for the time given as 'stall'",
   overload = "more requests were due than max_inflight allows",
}

-- A client is too slow when its own lateness is a visible part of what it measured.
local LATE_FLOOR = 10e6 -- ns
local LATE_SHARE = 0.1 -- of the median latency

local function is_late(phase_plan, report)
   local lateness, latency = report.lateness, report.latency
   if not (report.open and lateness and latency) or phase_plan.load.args.max_inflight then return false end
   return lateness["p99"] > LATE_FLOOR and lateness["p99"] > LATE_SHARE * latency.p50
end

-- Requests that failed for want of memory, descriptors or ports of our own.
local function own_failures(report)
   return report.errors and report.errors.client or 0
end

local function judge_phase(phase_plan, report, failures, warnings)
   local function add(list, ...) list[#list + 1] = ("phase '%s': "):format(report.name) .. (...):format(select(2, ...)) end
   if report.abandoned > 0 then
      add(failures, "%d requests were abandoned when the drain deadline passed", report.abandoned)
   end
   if FAILED_ENDS[report.end_reason] then add(failures, "%s", FAILED_ENDS[report.end_reason]) end
   if report.kind == "performance" and report.completed == 0 and report.end_reason ~= "check" then
      add(failures, "not one request succeeded (%d issued, %d failed)", report.issued, report.failed)
   elseif report.failed > 0 then
      add(warnings, "%d of %d requests failed", report.failed, report.issued)
   end
   if own_failures(report) > 0 then
      add(warnings, "%d requests failed in the client itself: what was measured is its limit", own_failures(report))
   end
   if (report.dropped or 0) > 0 then add(warnings, "%d arrivals were dropped by the overload rule", report.dropped) end
   if is_late(phase_plan, report) then
      add(warnings, "the client was late: p99 of lateness is %s", units.ns(report.lateness.p99))
   end
end

-- The checks that ended the run, in words.
local function aborts(run)
   local list = {}
   for _, report in ipairs(run.report.phases) do
      for _, result in ipairs(run.checks[report.name] or {}) do
         if result.aborted then
            list[#list + 1] = ("phase '%s': the check '%s' ended the run (%s)"):format(report.name, result.check, result.detail)
         end
      end
   end
   return list
end

local function judge_phases(run, failures, warnings, aborted)
   local reports, late = {}, false
   for _, report in ipairs(run.report.phases) do reports[report.name] = report end
   for _, phase_plan in ipairs(run.plan.phases) do
      local report = reports[phase_plan.name]
      if report then
         judge_phase(phase_plan, report, failures, warnings)
         late = late or is_late(phase_plan, report) or own_failures(report) > 0
      elseif run.outcome.outcome == "ok" and not aborted then
         failures[#failures + 1] = ("phase '%s' did not run"):format(phase_plan.name)
      end
   end
   return late
end

-- Has one failed? And the first error of a check function, with its traceback.
local function judge_checks(run, failures)
   local failed, broken = false, nil
   for _, report in ipairs(run.report.phases) do
      for _, result in ipairs(run.checks[report.name] or {}) do
         failed = failed or not result.passed
         if result.script_error then
            local text = ("phase '%s', check: %s"):format(report.name, result.script_error)
            failures[#failures + 1] = text:match("^[^\n]*")
            broken = broken or text
         end
      end
   end
   return failed, broken
end

--- run: plan, outcome (of session:run), report, checks (phase name -> results),
--- undelivered (event records, at the close of the session).
---@param run table
---@return { verdict: string, exit_code: integer, failures: string[], warnings: string[], script_error: string? }
function verdict.judge(run)
   local failures, warnings, outcome = {}, {}, run.outcome
   for _, text in ipairs(outcome.problems or {}) do failures[#failures + 1] = text end
   if outcome.error then failures[#failures + 1] = outcome.error:match("^[^\n]*") end
   if run.undelivered > 0 then
      failures[#failures + 1] = ("%d event records did not reach their subscribers"):format(run.undelivered)
   end
   local aborted = aborts(run)
   local late = judge_phases(run, failures, warnings, aborted[1])
   if outcome.worker_waits then
      late = true
      warnings[#warnings + 1] = ("HTTP workers waited %d times for the session to take chunks, and stamped late by that"):format(
         outcome.worker_waits)
   end
   local check_failed, check_error = judge_checks(run, failures)
   local result = { failures = failures, warnings = warnings }
   result.script_error = outcome.outcome == "script_error" and outcome.error or check_error

   if outcome.outcome == "script_error" or check_error then
      result.verdict, result.exit_code = "failed", verdict.EXIT.usage
   elseif outcome.outcome == "interrupted" then
      result.verdict, result.exit_code = "interrupted", 128 + (outcome.signal or 2)
   elseif outcome.outcome ~= "ok" or #failures > 0 then
      result.verdict, result.exit_code = "failed", verdict.EXIT.failed
   elseif check_failed then
      result.verdict, result.exit_code = "failed", verdict.EXIT.check
   else
      result.verdict, result.exit_code = late and "client_limited" or "ok", verdict.EXIT.ok
   end
   for _, text in ipairs(aborted) do failures[#failures + 1] = text end -- beside the exit code of a check
   return result
end

return verdict
