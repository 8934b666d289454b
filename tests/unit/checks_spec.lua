local checks = require "perigee.checks"
local support = require "tests.unit.support"

local report = support.phase_report {
   issued = 200, completed = 190, failed = 8, abandoned = 2, tokens_out = 400, duration_ns = 4e9,
   ttft = support.distribution(400e6, { p99 = 600e6, ["p99.9"] = 900e6 }), latency = support.distribution(1e9),
   lateness = support.distribution(20e3),
}

local function test(text)
   return checks.evaluate(checks.compile({ text }, "scenario.checks"), report, {})[1]
end

describe("perigee.checks texts", function()
   it("hold or not, and tell the value", function()
      for _, row in ipairs {
         { "ttft.p50 < 500ms", true, "400 ms" },
         { "ttft.p99 < 500ms", false, "600 ms" },
         { "ttft.p99<0.7s", true, "600 ms" },
         { "ttft.p999 <= 900ms", true, "900 ms" },
         { "ttft.p99.9 < 900ms", false, "900 ms" },
         { "latency.mean >= 1s", true, "1.00 s" },
         { "lateness.max < 100us", true, "20.0 us" },
         { "error_rate < 1%", false, "5%" },
         { "error_rate <= 0.05", true, "5%" },
         { "qps > 40", true, "47.5/s" },
         { "output_tokens_per_s >= 100", true, "100/s" },
         { "tokens_per_s > 100/s", false, "100/s" },
         { "issued == 200", true, "200" },
         { "completed ~= 190", false, "190" },
         { "failed != 0", true, "8" },
         { "abandoned < 1", false, "2" },
         { "  dropped   ==   0  ", true, "0" },
      } do
         local result = test(row[1])
         assert.same({ row[1], row[2], row[3] }, { result.check, result.passed, result.detail })
      end
   end)

   it("take failures as if they had taken for ever", function()
      local failing = support.phase_report {
         issued = 100, completed = 95, failed = 5, latency_with_failures = { count = 100, failures = 5, p50 = 1e9, p90 = 2e9 },
         ttft_with_failures = { count = 0, failures = 0 }, latency = support.distribution(1e9),
      }
      for _, row in ipairs {
         { "latency.p99 < 2s", true, "1.00 s" }, { "latency_with_failures.p99 < 2s", false, "for ever" },
         { "latency_with_failures.p99.9 > 1h", true, "for ever" }, { "latency_with_failures.p90 <= 2s", true, "2.00 s" },
         { "ttft_with_failures.p50 < 2s", false, "no data" },
      } do
         local result = checks.evaluate(checks.compile({ row[1] }, "scenario.checks"), failing, {})[1]
         assert.same({ row[1], row[2], row[3] }, { result.check, result.passed, result.detail })
      end
   end)

   it("look at the requests of one tag", function()
      local tagged = support.phase_report {
         issued = 300, completed = 300, ttft = support.distribution(1e9),
         tags = {
            long = support.phase_report { issued = 20, completed = 18, failed = 2, ttft = support.distribution(300e6) },
            ["a b"] = support.phase_report { issued = 7 },
         },
      }
      for _, row in ipairs {
         { "tag('long').ttft.p99 < 500ms", true, "300 ms" },
         { 'tag("long").ttft.mean > 1s', false, "300 ms" },
         { "  tag( 'long' ) . issued == 20", true, "20" },
         { "tag('long').error_rate < 5%", false, "10%" },
         { "tag('long').qps == 9", true, "9/s" },
         { "tag('a b').issued == 7", true, "7" },
         { "ttft.p99 < 500ms", false, "1.00 s" },
         { "tag('none').issued < 1", false, "no data" },
      } do
         local result = checks.evaluate(checks.compile({ row[1] }, "scenario.checks"), tagged, {})[1]
         assert.same(row, { result.check, result.passed, result.detail })
      end
   end)

   it("do not hold without data", function()
      assert.same({ false, "no data" }, { test("tpot.p99 < 1s").passed, test("tpot.p99 < 1s").detail })
      local empty = support.phase_report { completed = 0, duration_ns = 0 }
      assert.is_false(checks.evaluate(checks.compile({ "error_rate < 1%" }, "x"), empty, {})[1].passed)
   end)

   it("fail to compile with a caret under what is wrong", function()
      local invalid = {
         { "tfft.p99 < 5ms", "unknown metric 'tfft', did you mean 'ttft'?\n   tfft.p99 < 5ms\n   ^" },
         { "ttft.p98 < 5ms", "unknown statistic 'p98', did you mean 'p90'?\n   ttft.p98 < 5ms\n        ^" },
         { "latency_with_failures.mean < 5ms", "unknown statistic 'mean' (p50, p90, p95, p99, p99.9)" },
         { "ttft < 5ms", "'ttft' is a distribution: say which statistic, e.g. ttft.p99\n   ttft < 5ms\n   ^" },
         { "qps.p99 < 5", "'qps' is a number and has no statistics\n   qps.p99 < 5\n      ^" },
         { "ttft.p99 < 5", "a duration needs a unit: ns, us, ms, s, m or h\n   ttft.p99 < 5\n               ^" },
         { "ttft.p99 < 5xs", "unknown unit (ns, us, ms, s, m, h)\n   ttft.p99 < 5xs\n               ^" },
         { "ttft.p99 < 5%", "a duration needs a unit" },
         { "error_rate < 1ms", "a share is a number or a percentage" },
         { "tag(long).issued < 5",
            "the tag's name in quotes and a metric expected, e.g. tag('long').ttft.p99\n   tag(long).issued < 5\n   ^" },
         { "tag('long') < 5ms", "the tag's name in quotes and a metric expected" },
         { "tag('long').tfft.p99 < 5ms", "unknown metric 'tfft', did you mean 'ttft'?\n   tag('long').tfft.p99 < 5ms\n               ^" },
         { "tag('long').dropped < 5", "'dropped' is not counted by tag\n   tag('long').dropped < 5\n               ^" },
         { "issued > 5%", "a count has no unit\n   issued > 5%\n             ^" },
         { "error_rate < 5", "a share is at most 1: did you mean 5%?\n   error_rate < 5\n                ^" },
         { "error_rate < 500%", "a share is at most 1, which is 100%\n   error_rate < 500%\n                ^" },
         { "ttft.p99 < 1m30", "'m30' is not a number with a unit" }, { "ttft.p99 < 1.5.2s", "a duration needs a unit" },
         { "ttft.p99 < 1e3ms", "unknown unit (ns, us, ms, s, m, h)\n   ttft.p99 < 1e3ms\n               ^" },
         { "qps > 10/min", "a rate is a number per second" }, { "tag.hot.ttft.p99 < 1s", "unknown metric 'tag'" },
         { "ttft.p99 < 1s and qps > 5", "nothing more expected\n   ttft.p99 < 1s and qps > 5\n                 ^" },
         { "qps > 10ms", "a rate is a number per second" },
         { "qps =< 5", "unknown comparison '=<'" },
         { "qps 5", "a comparison expected (<, <=, >, >=, ==, ~=)\n   qps 5\n       ^" },
         { "qps >", "a number expected\n   qps >\n        ^" },
         { "qps > fast", "a number expected\n   qps > fast\n         ^" },
         { "qps > 5 6", "nothing more expected\n   qps > 5 6\n           ^" },
         { "ttft.p99 < 5ms ttft", "nothing more expected\n   ttft.p99 < 5ms ttft\n                  ^" },
         { "", "a metric expected" },
         { "5 < qps", "a metric expected\n   5 < qps\n   ^" },
      }
      for _, row in ipairs(invalid) do
         support.contains(row[2], support.refusal(checks.compile, { row[1] }, "scenario.checks"))
      end
   end)
end)

describe("perigee.checks functions", function()
   it("get the phase's summary and may tell why", function()
      local compiled = checks.compile({
         function(summary) return summary.name == "x", "named " .. summary.name end,
         function() return nil end,
      }, "scenario.checks")
      local results = checks.evaluate(compiled, report, { name = "x" })
      assert.same({ true, "named x" }, { results[1].passed, results[1].detail })
      assert.is_false(results[2].passed)
      assert.matches("function at checks_spec.lua:%d+", results[1].check)
   end)

   it("that raise are script errors", function()
      local result = checks.evaluate(checks.compile({ function() error "oops" end }, "x"), report, {})[1]
      assert.matches("checks_spec.lua:%d+: [^\n]+\n   .-checks_spec.lua:%d+: in function", result.script_error)
      assert.is_false(result.passed)
      support.contains("oops", result.detail)
   end)
end)

describe("perigee.checks tables", function()
   it("are a string or a function that may end the run", function()
      local compiled = checks.compile({
         { "failed == 8", abort = true, after = "10s" }, { function() return true end, abort = true, after = 0 }, { "failed < 8" },
      }, "scenario.checks")
      assert.same({ "failed == 8", true, 10 }, { compiled[1].text, compiled[1].abort, compiled[1].after })
      assert.same({ true, 0 }, { compiled[2].abort, compiled[2].after })
      assert.same({ false, 0 }, { compiled[3].abort, compiled[3].after })
      local results = checks.evaluate(compiled, report, {})
      assert.same({ true, true, false }, { results[1].passed, results[2].passed, results[3].passed })
   end)

   it("that have ended the run stay as they were then", function()
      local compiled = checks.compile({ { "failed == 8", abort = true }, "failed == 8" }, "scenario.checks")
      local results = checks.evaluate(compiled, report, {}, { aborted = { [compiled[1]] = "7" } })
      assert.same({ check = "failed == 8", passed = false, detail = "7", aborted = true }, results[1])
      assert.same({ check = "failed == 8", passed = true, detail = "8", aborted = false }, results[2])
   end)

   it("tell what does not hold from what has no data", function()
      local empty = support.phase_report { completed = 0, failed = 0, abandoned = 0 }
      assert.is_nil((checks.compile({ "error_rate < 1%" }, "x")[1].test(empty, {})))
      assert.is_nil((checks.compile({ function() end }, "x")[1].test(empty, {})))
      assert.is_false((checks.compile({ "completed > 1" }, "x")[1].test(empty, {})))
   end)
end)

describe("perigee.checks lists", function()
   it("refuse what is no check", function()
      local invalid = {
         { "qps > 1", "scenario.checks: a list of checks expected, got string" },
         { { abort = true }, "scenario.checks: a list of checks expected, found the field 'abort'" },
         { { { abort = true } }, "scenario.checks[1]: 'check' is missing" },
         { { { "qps > 1", abrot = true } }, "scenario.checks[1]: unknown field 'abrot', did you mean 'abort'?" },
         { { { "qps > 1", abort = 1 } }, "scenario.checks[1]: abort: true or false expected, got 1" },
         { { { "qps > 1", abort = true, after = "soon" } }, "scenario.checks[1]: after: a duration above 0" },
         { { { "qps > 1", after = "1s" } }, "scenario.checks[1]: 'after' says when 'abort' begins" },
         { { { "qps > 1", check = "qps > 2" } }, "scenario.checks[1]: the check is given twice" },
         { { { "qsp > 1", abort = true } }, "unknown metric 'qsp', did you mean 'qps'?\n   qsp > 1\n   ^" },
         { { 5 }, "a function or a table with one of them expected, got a number" },
      }
      for _, row in ipairs(invalid) do support.contains(row[2], support.refusal(checks.compile, row[1], "scenario.checks")) end
   end)
end)
