local engine = require "perigee.engine"
local junit = require "perigee.report.junit"
local support = require "tests.unit.support"

local null = engine.json.null

local function check(name, passed, detail, aborted)
   return { check = name, passed = passed, detail = detail or null, aborted = aborted or false }
end

local function summary(verdict, failures, phases, checks)
   return { scenario = "s", verdict = verdict, failures = failures, phases = phases, checks = checks or {} }
end

describe("perigee.report.junit", function()
   it("has a suite for each phase and a case for each check", function()
      local text = junit.render(summary("failed", { "x" }, {
         { name = "one", duration_s = 1.5, checks = {
            check("ttft.p99 < 1s", true, "3 ms"), check("qps > 5", false, "4.00/s"), check("error_rate < 1%", false, "7%", true),
         } },
         { name = "two", duration_s = 0.25, checks = {} },
      }))
      assert.equal([[
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="s" tests="3" failures="2" errors="0" time="1.750">
  <testsuite name="one" tests="3" failures="2" errors="0" time="1.500">
    <testcase classname="s.one" name="ttft.p99 &lt; 1s"/>
    <testcase classname="s.one" name="qps &gt; 5"><failure message="4.00/s" type="check">]] ..
[[phase &apos;one&apos;: qps &gt; 5: 4.00/s</failure></testcase>
    <testcase classname="s.one" name="error_rate &lt; 1%"><failure message="7%" type="abort">]] ..
[[phase &apos;one&apos;: error_rate &lt; 1%: 7%; it ended the run</failure></testcase>
  </testsuite>
  <testsuite name="two" tests="0" failures="0" errors="0" time="0.250">
  </testsuite>
</testsuites>
]], text)
   end)

   it("has a suite for the whole run when that has checks", function()
      local text = junit.render(summary("failed", {}, { { name = "one", duration_s = 1, checks = {} } }, {
         check("qps > 5", true, "6"), check("completed > 9", false, "8"),
      }))
      support.contains('<testsuites name="s" tests="2" failures="1" errors="0" time="1.000">', text)
      support.contains('<testsuite name="overall" tests="2" failures="1" errors="0" time="0.000">', text)
      support.contains('<testcase classname="s.overall" name="qps &gt; 5"/>', text)
      support.contains("overall: completed &gt; 9: 8</failure>", text)
   end)

   it("never shows a failed run as a good one", function()
      local phases = { { name = "one", duration_s = 1, checks = { check("qps > 5", true, "6") } } }
      local failed = junit.render(summary("failed", { "3 requests were <abandoned>", "more" }, phases))
      support.contains('<testsuites name="s" tests="2" failures="0" errors="1"', failed)
      support.contains('<error message="3 requests were &lt;abandoned&gt;" type="failed">', failed)
      support.contains('errors="1"', junit.render(summary("interrupted", {}, phases)))
      for _, verdict in ipairs { "ok", "client_limited" } do
         assert.is_nil(junit.render(summary(verdict, {}, phases)):find('errors="1"', 1, true))
      end
   end)

   it("says so when a check that fails has no detail", function()
      local text = junit.render(summary("failed", {}, { { name = "one", duration_s = 1, checks = { check("f", false) } } }))
      support.contains('<failure message="does not hold" type="check">', text)
   end)

   it("escapes everything that XML cannot hold", function()
      local unknown = "\239\191\189"
      for _, row in ipairs {
         { [[a<b>&"c"'d']], "a&lt;b&gt;&amp;&quot;c&quot;&apos;d&apos;" },
         { "a\tb\nc\rd", "a&#9;b&#10;c&#13;d" },
         { "\0\1\27", unknown:rep(3) },
         { "µ€😀", "µ€😀" },
         { "\255a\195", unknown .. "a" .. unknown },
         { "\192\175", unknown:rep(2) }, -- overlong
         { "\237\160\128", unknown:rep(3) }, -- a surrogate
         { "\244\144\128\128", unknown:rep(4) }, -- beyond the last character
         { "\239\191\191", unknown }, -- no character
         { "", "" },
      } do
         assert.equal(row[2], junit.escape(row[1]))
      end
   end)
end)
