--- What a run amounts to: the verdict, the exit code, and why.
local guards = require "perigee.guards"
local limits = require "perigee.limits"
local server = require "perigee.report.server"
local warnings = require "perigee.warnings"

local verdict = {}

verdict.EXIT = { ok = 0, failed = 1, usage = 2, check = 3 }

local FAILED_ENDS = {
   stall = "no request completed for the time given as 'stall'",
   error_rate = "more requests failed than max_error_rate allows",
   overload = "more requests were due than max_inflight allows",
}

-- So many arrivals that the end of a phase cut off are no accident.
local UNSENT_SHARE = 0.01 -- of those issued

local function has_no_success(report)
   return report.kind == "performance" and report.completed == 0 and report.end_reason ~= "check"
end

local function find_failures(planned, report, failures)
   local function add(...) failures[#failures + 1] = ("phase '%s': "):format(report.name) .. (...):format(select(2, ...)) end
   if report.abandoned > 0 then add("%d requests were abandoned when the drain deadline passed", report.abandoned) end
   if FAILED_ENDS[report.end_reason] then add("%s", FAILED_ENDS[report.end_reason]) end
   if has_no_success(report) then add("not one request succeeded (%d issued, %d failed)", report.issued, report.failed) end
   local of_client = limits.failure(planned, report)
   if of_client then add("%s", of_client) end
end

-- Of requests that did not go as the load meant them to.
local function find_losses(report, list)
   local function add(kind, ...) warnings.add(list, kind, report.name, ...) end
   if report.failed > 0 and not has_no_success(report) then
      add("failed", "%d of %d requests failed", report.failed, report.issued)
   end
   if (report.dropped or 0) > 0 then add("dropped", "%d arrivals were dropped by the overload rule", report.dropped) end
   if report.tags_full then add("tags_full", "there were more tags than are kept apart: the rest is counted as 'other'") end
   if (report.unsent or 0) > UNSENT_SHARE * report.issued then
      add("unsent", "%d arrivals were due and not sent when the phase ended", report.unsent)
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

local function judge_phases(run, failures, list, aborted)
   local numbers, limited, facts = {}, false, run.facts or {}
   for i, report in ipairs(run.report.phases) do numbers[report.name] = i end
   for _, phase_plan in ipairs(run.plan.phases) do
      local at = numbers[phase_plan.name]
      if at then
         local report = run.report.phases[at]
         find_failures(phase_plan, report, failures)
         find_losses(report, list)
         limited = limits.look(phase_plan, report, list) or limited
         guards.look(facts.config or {}, run.report, at, facts.local_ports, list)
      elseif run.outcome.outcome == "ok" and not aborted then
         failures[#failures + 1] = ("phase '%s' did not run"):format(phase_plan.name)
      end
   end
   return limited
end

-- Has one failed? And the first error of a check function, with its traceback.
local function judge_checks(run, failures)
   local failed, broken = false, nil
   local function judge(at, results)
      for _, result in ipairs(results or {}) do
         failed = failed or not result.passed
         if result.script_error then
            local text = ("%s: %s"):format(at, result.script_error)
            failures[#failures + 1] = text:match("^[^\n]*")
            broken = broken or text
         end
      end
   end
   for _, report in ipairs(run.report.phases) do judge(("phase '%s', check"):format(report.name), run.checks[report.name]) end
   judge("overall check", run.overall)
   return failed, broken
end

--- run: plan, outcome (of session:run), report, checks (phase name -> results), overall (results),
--- undelivered (event records, at the close of the session), facts (of report.summary), scrapes (lines of perigee.scrape),
--- strict (warnings fail the run).
---@param run table
---@return { verdict: string, exit_code: integer, failures: string[], warnings: perigee.Warning[], script_error: string? }
function verdict.judge(run)
   local failures, list, outcome = {}, {}, run.outcome
   for _, text in ipairs(outcome.problems or {}) do failures[#failures + 1] = text end
   if outcome.error then failures[#failures + 1] = outcome.error:match("^[^\n]*") end
   if run.undelivered > 0 then
      failures[#failures + 1] = ("%d event records did not reach their subscribers"):format(run.undelivered)
   end
   local aborted = aborts(run)
   local limited = judge_phases(run, failures, list, aborted[1])
   if outcome.worker_waits then
      limited = true
      warnings.add(list, "worker_waits", nil, "HTTP workers waited %d times for the session to take chunks, and stamped late by that",
         outcome.worker_waits)
   end
   server.warn(run.report, run.scrapes, list)
   local check_failed, check_error = judge_checks(run, failures)
   local result = { failures = failures, warnings = list }
   result.script_error = outcome.outcome == "script_error" and outcome.error or check_error

   if outcome.outcome == "script_error" or check_error then
      result.verdict, result.exit_code = "failed", verdict.EXIT.usage
   elseif outcome.outcome == "interrupted" then
      result.verdict, result.exit_code = "interrupted", 128 + (outcome.signal or 2)
   elseif outcome.outcome ~= "ok" or #failures > 0 then
      result.verdict, result.exit_code = "failed", verdict.EXIT.failed
   elseif check_failed or run.strict and list[1] then
      result.verdict, result.exit_code = "failed", verdict.EXIT.check
      if not check_failed then failures[1] = ("%d warning%s in a strict run"):format(#list, #list == 1 and "" or "s") end
   else
      result.verdict, result.exit_code = limited and "client_limited" or "ok", verdict.EXIT.ok
   end
   for _, text in ipairs(aborted) do failures[#failures + 1] = text end -- beside the exit code of a check
   return result
end

return verdict
