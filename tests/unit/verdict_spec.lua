local perigee = require "perigee"
local support = require "tests.unit.support"
local verdict = require "perigee.verdict"
local warnings = require "perigee.warnings"

local function plan(load, limits)
   return perigee.scenario({
      name = "t", target = perigee.target.http { url = "x" }, dataset = { "a" }, load = load, client_limits = limits,
      phases = { { "steady" } },
   }):resolve()
end

-- Judge one phase; `changes` replace fields of its report, `run` fields of the run.
local function judge(changes, run, load, limits)
   local all = {
      plan = plan(load, limits), outcome = { outcome = "ok", problems = {} }, checks = {}, undelivered = 0,
      report = { phases = { support.phase_report(changes) } },
      facts = { config = { phases = { { name = "steady", guards = { percentile = false } } } } },
   }
   for k, v in pairs(run or {}) do all[k] = v end
   return verdict.judge(all)
end

local function texts(result)
   local list = {}
   for i, w in ipairs(result.warnings) do list[i] = warnings.text(w) end
   return list
end

local ENDED = { steady = { { check = "x", passed = false, detail = "7%", aborted = true } } }
local TWO = perigee.scenario({
   target = perigee.target.http { url = "x" }, dataset = { "a" }, phases = { { "steady" }, { "next" } },
}):resolve()
local ONE_OF_TWO = { phases = { support.phase_report { end_reason = "check" } } }

local FAILED_CHECK = { steady = { { check = "x", passed = false } } }

describe("perigee.verdict", function()
   it("gives verdict and exit code", function()
      local abandoned = { abandoned = 1 }
      for _, row in ipairs {
         { "a good run", nil, nil, "ok", 0 },
         { "some requests failed", { completed = 9, failed = 1 }, nil, "ok", 0 },
         { "no request succeeded", { completed = 0, failed = 10 }, nil, "failed", 1 },
         { "nothing was sent", { completed = 0, issued = 0 }, nil, "failed", 1 },
         { "a warmup without success", { kind = "warmup", completed = 0, failed = 10 }, nil, "ok", 0 },
         { "requests were abandoned", abandoned, nil, "failed", 1 },
         { "the phase stalled", { end_reason = "stall" }, nil, "failed", 1 },
         { "the load was too much", { end_reason = "overload" }, nil, "failed", 1 },
         { "events were lost", nil, { undelivered = 3 }, "failed", 1 },
         { "the engine had a problem", nil, { outcome = { outcome = "ok", problems = { "x" } } }, "failed", 1 },
         { "the engine failed", nil, { outcome = { outcome = "failed", error = "x" } }, "failed", 1 },
         { "a phase did not run", nil, { report = { phases = {} } }, "failed", 1 },
         { "a check failed", nil, { checks = FAILED_CHECK }, "failed", 3 },
         { "a check ended the run", nil, { checks = ENDED, report = ONE_OF_TWO, plan = TWO }, "failed", 3 },
         { "a check ended the run before any success", { completed = 0, failed = 10, end_reason = "check" }, { checks = ENDED },
            "failed", 3 },
         { "a check failed in a failed run", abandoned, { checks = FAILED_CHECK }, "failed", 1 },
         { "a check raised", nil, { checks = { steady = { { passed = false, script_error = "s.lua:3: oops\n" } } } }, "failed", 2 },
         { "a script error", abandoned, { outcome = { outcome = "script_error" } }, "failed", 2 },
         { "an interrupt", abandoned, { outcome = { outcome = "interrupted", signal = 2 } }, "interrupted", 130 },
         { "a termination", nil, { outcome = { outcome = "interrupted", signal = 15 }, report = { phases = {} } }, "interrupted", 143 },
      } do
         local result = judge(row[2], row[3])
         assert.same({ row[1], row[4], row[5] }, { row[1], result.verdict, result.exit_code })
      end
   end)

   it("says why", function()
      assert.same({ "phase 'steady': 1 requests were abandoned when the drain deadline passed" }, judge({ abandoned = 1 }).failures)
      assert.same({ "phase 'steady': the check 'x' ended the run (7%)" }, judge(nil, { checks = ENDED }).failures)
      assert.same({ "s.lua:3: oops" }, judge(nil, { outcome = { outcome = "script_error", error = "s.lua:3: oops\nstack" } }).failures)
      assert.same({ "phase 'steady': 1 of 10 requests failed" }, texts(judge { completed = 9, failed = 1 }))
      assert.same({ "phase 'steady': 4 arrivals were dropped by the overload rule" }, texts(judge { dropped = 4 }))
   end)

   it("tells when the client was the limit", function()
      local late = { open = true, lateness = support.distribution(20e6), latency = support.distribution(100e6) }
      local open = perigee.load.poisson(5)
      assert.equal("client_limited", judge(late, nil, open).verdict)
      assert.equal(0, judge(late, nil, open).exit_code)
      assert.matches("p99 of lateness is 20.0 ms", texts(judge(late, nil, open))[1])
      -- Waiting below max_inflight is the user's wish.
      assert.equal("ok", judge(late, nil, perigee.load.poisson(5, { max_inflight = 3 })).verdict)
      late.lateness = support.distribution(9e6)
      assert.equal("ok", judge(late, nil, open).verdict)
   end)

   it("takes its bounds from the scenario", function()
      local report = { open = true, lateness = support.distribution(2e6), latency = support.distribution(100e6) }
      local open = perigee.load.poisson(5)
      assert.equal("ok", judge(report, nil, open).verdict)
      assert.equal("ok", judge(report, nil, open, { lateness_floor = "1ms" }).verdict)
      assert.equal("client_limited", judge(report, nil, open, { lateness_floor = "1ms", lateness = 0.01 }).verdict)
   end)

   it("tells when the client had no time to spare", function()
      local busy = { busy_ns = 1.9e9, duration_ns = 2e9 }
      local result = judge(busy)
      assert.same({ "client_limited", 0 }, { result.verdict, result.exit_code })
      assert.matches("phase 'steady': the client was busy for 95%% of the time", texts(result)[1])
      assert.equal("ok", judge(busy, nil, nil, { busy = 0.97 }).verdict)
      assert.equal("ok", judge({ busy_ns = 1.7e9, duration_ns = 2e9 }).verdict)
      -- The beginning of a run says nothing of the rest.
      assert.equal("ok", judge({ busy_ns = 0.9e9, duration_ns = 0.9e9 }).verdict)
   end)

   it("tells when an HTTP worker had none", function()
      local busy = { busy_ns = 0.4e9, worker_busy_ns = 1.9e9, duration_ns = 2e9 }
      local result = judge(busy)
      assert.equal("client_limited", result.verdict)
      assert.matches("phase 'steady': an HTTP worker was busy for 95%% of the time", texts(result)[1])
      assert.equal("ok", judge({ busy_ns = 0.4e9, worker_busy_ns = 1.7e9, duration_ns = 2e9 }).verdict)
      assert.matches("the client was busy", texts(judge { busy_ns = 1.9e9, worker_busy_ns = 1.8e9, duration_ns = 2e9 })[1])
   end)

   it("refuses bounds that are none", function()
      for _, row in ipairs {
         { { busy = 1.5 }, "scenario.client_limits: busy: a share above 0 and up to 1 expected, got 1.5" },
         { { failed = 0 }, "failed: a share above 0" },
         { { lateness = 0 }, "lateness: a share above 0" }, { { lateness_floor = "soon" }, "lateness_floor: a duration above 0" },
         { { bussy = 0.5 }, "unknown field 'bussy', did you mean 'busy'?" }, { 0.5, "client_limits: a table expected, got 0.5" },
      } do
         local ok, message = pcall(plan, nil, row[1])
         assert.is_false(ok)
         assert.truthy(message:find(row[2], 1, true), message)
      end
   end)

   it("fails a strict run that has warnings", function()
      local result = judge({ dropped = 4 }, { strict = true })
      assert.same({ "failed", 3, { "1 warning in a strict run" } }, { result.verdict, result.exit_code, result.failures })
      result = judge(nil, { strict = true })
      assert.same({ "ok", 0, {} }, { result.verdict, result.exit_code, result.failures })
      result = judge({ dropped = 4 }, { strict = true, checks = FAILED_CHECK })
      assert.same({ 3, {} }, { result.exit_code, result.failures })
      assert.equal(1, judge({ dropped = 4, abandoned = 1 }, { strict = true }).exit_code)
      assert.equal(130, judge({ dropped = 4 }, { strict = true, outcome = { outcome = "interrupted", signal = 2 } }).exit_code)
   end)

   it("calls a run limited by its client when workers had to wait for it", function()
      local result = judge(nil, { outcome = { outcome = "ok", problems = {}, worker_waits = 3 } })
      assert.same({ "client_limited", 0 }, { result.verdict, result.exit_code })
      assert.same({ "HTTP workers waited 3 times for the session to take chunks, and stamped late by that" }, texts(result))
   end)

   it("calls a run limited by its client when requests failed for want of the client's own means", function()
      local result = judge { issued = 40, completed = 37, failed = 3, errors = { client = 2, reset = 1 } }
      assert.same({ "client_limited", 0 }, { result.verdict, result.exit_code })
      assert.matches("2 requests failed in the client itself", table.concat(texts(result), "\n"))
   end)

   it("fails a run of which too many requests failed for want of the client's own means", function()
      local report = { issued = 40, completed = 37, failed = 3, errors = { client = 3 } }
      local result = judge(report)
      assert.same({ "failed", 1 }, { result.verdict, result.exit_code })
      assert.same({ "phase 'steady': 3 of 40 requests failed in the client itself, more than client_limits.failed allows (5%)" },
         result.failures)
      assert.equal("client_limited", judge(report, nil, nil, { failed = 0.08 }).verdict)
      report.kind = "warmup"
      assert.equal("failed", judge(report).verdict)
      report.errors = { reset = 3 }
      assert.equal("ok", judge(report).verdict)
   end)
end)
