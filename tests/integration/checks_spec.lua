--- What looks at a run while it goes on: on.tick, and checks that may end it.
local account = require "account"
local drive = require "drive"
local engine = require "perigee_engine"

local TEXT = [[
local load, order, target = perigee.load, perigee.order, perigee.target
return perigee.scenario {
   name = "watched", target = target.openai_chat { url = "mock:fault=status=0.5,seed=3" }, dataset = { "hello" },
   load = load.constant(100), duration = "60s",
   %s
}]]

local function run(fields, ...)
   return drive.run(TEXT:format(fields), ...)
end

-- `perigee report` makes the same summary of the log.
local function same_from_log(r)
   local again = drive.perigee("report", r.dir .. "/events.plog", "--json")
   assert.equal(0, again.code, again.err)
   assert.equal(drive.read(r.dir .. "/summary.json"), again.out)
end

describe("on.tick", function()
   it("is called while the phase runs, each phase at its own interval, beside the progress view", function()
      local r = run([[
         on = { tick = function(p)
            if not p:running() then return end -- it drains
            print(p.name, p.issued > 0, p:report().name); count = (count or 0) + 1
            if count % 30 == 0 then p:stop() end end },
         phases = { { "slow", tick = "20ms" }, { "fast", tick = "10ms" } }, ]], "--progress", "live")
      assert.equal(0, r.code, r.out .. r.err)
      local _, slow = r.out:gsub("slow\ttrue\tslow\n", "")
      local _, fast = r.out:gsub("fast\ttrue\tfast\n", "")
      assert.same({ 30, 30 }, { slow, fast })
      for _, phase in ipairs(r.summary.phases) do assert.equal("script", phase.end_reason) end
      assert.truthy(r.err:find("slow  %d+ requests in "), r.err)
      assert.is_nil(r.err:find("\27", 1, true)) -- there is no terminal to draw on
   end)

   it("needs an interval above 0", function()
      local r = run "tick = 0,"
      assert.equal(2, r.code)
      assert.truthy(r.err:find("scenario: tick: a duration above 0", 1, true), r.err)
   end)
end)

describe("a check with abort", function()
   it("ends the run in order when it does not hold, with exit status 3, and the report says which", function()
      local r = run [[
         checks = { "completed > 1", { "error_rate < 1%", abort = true } }, drain = "10s",
         phases = { { "first" }, { "second" } }, ]]
      assert.equal(3, r.code, r.out .. r.err)
      account.balance(r)
      local phases = r.summary.phases
      assert.same({ "failed", 1, "check" }, { r.summary.verdict, #phases, phases[1].end_reason })
      assert.same({ check = "completed > 1", passed = true, aborted = false, detail = phases[1].checks[1].detail }, phases[1].checks[1])
      assert.same({ "error_rate < 1%", false, true },
         { phases[1].checks[2].check, phases[1].checks[2].passed, phases[1].checks[2].aborted })
      assert.equal(1, #r.summary.failures, engine.json.encode(r.summary.failures))
      assert.truthy(r.out:find("failure: phase 'first': the check 'error_rate < 1%' ended the run (", 1, true), r.out)
      same_from_log(r)
   end)

   it("does not look before its time, nor without data, and a function may say that it does not know yet", function()
      local r = run [[
         checks = {
            { "completed < 1", abort = true, after = "1h" }, { "tpot.p99 < 1ns", abort = true },
            { function(phase) if phase.end_reason == "" then return nil end return true, "known" end, abort = true },
         },
         target = target.http { url = "mock:mode=max" }, tick = "300ms",
         on = { tick = function(p) n = (n or 0) + 1; if n == 8 then p:stop() end end }, ]]
      assert.equal(3, r.code, r.out .. r.err)
      local phase = r.summary.phases[1]
      assert.equal("script", phase.end_reason)
      for i, expected in ipairs { { false, false }, { false, false }, { true, false } } do
         assert.same(expected, { phase.checks[i].passed, phase.checks[i].aborted }, i)
      end
   end)

   it("of a phase that is over before a look begins no further phase", function()
      local r = run [[
         checks = { { function(phase) return phase.failed == 0, phase.failed .. " failed" end, abort = true } },
         phases = { { "short", load = load.burst(20), duration = "1s" }, { "second" } }, ]]
      assert.equal(3, r.code, r.out .. r.err)
      assert.equal(1, #r.summary.phases)
      assert.truthy(r.out:find("the check 'function at scenario.lua:6' ended the run (", 1, true), r.out)
   end)

   it("that does not hold at the very end has ended nothing", function()
      local r = run [[
         checks = { { "failed == 0", abort = true } }, load = load.burst(20), duration = "1s", ]]
      assert.equal(3, r.code, r.out .. r.err)
      assert.same({ false, false }, { r.summary.phases[1].checks[1].passed, r.summary.phases[1].checks[1].aborted })
      assert.equal(0, #r.summary.failures)
   end)

   it("that raises is an error of the script", function()
      local r = run [[ checks = { { function() error "oops" end, abort = true } }, ]]
      assert.equal(2, r.code, r.out .. r.err)
      assert.truthy(r.err:find("scenario.lua:6: oops", 1, true), r.err)
      assert.is_true(r.summary.phases[1].issued > 0)
   end)
end)

describe("a metric of the script", function()
   it("is counted in handlers, reported for each phase, and checked, also while the phase runs", function()
      local r = drive.run [[
         local size = perigee.metric.histogram("answer_size", { unit = "B" })
         local good, depth = perigee.metric.counter "good", perigee.metric.gauge "depth"
         perigee.metric.counter "never"
         return perigee.scenario {
            name = "own", target = perigee.target.openai_chat { url = "mock:mode=echo" }, dataset = { "four", "fifteen letters" },
            on = { complete = function(r, p) size:add(#r.text) good:inc() depth:set(p.inflight) end },
            checks = { "answer_size.max < 16B", "answer_size.count == 4", "never == 0",
               function(phase) return phase.metrics.good.value == 4, "good " .. phase.metrics.good.value end },
            phases = {
               { "one", requests = 4 },
               { "two", duration = "60s", tick = "300ms", load = perigee.load.constant(50),
                  checks = { { "good <= 9", abort = true } } },
            },
         }]]
      assert.equal(3, r.code, r.out .. r.err)
      local one, two = r.summary.phases[1], r.summary.phases[2]
      for _, check in ipairs(one.checks) do assert.is_true(check.passed, check.check) end
      assert.equal("good 4", one.checks[4].detail)
      assert.same({ "histogram", "B", 4, 38, 15 }, { one.metrics.answer_size.kind, one.metrics.answer_size.unit,
         one.metrics.answer_size.count, one.metrics.answer_size.sum, one.metrics.answer_size.distribution.max })
      assert.same({ "gauge", 4 }, { one.metrics.depth.kind, one.metrics.depth.count })
      assert.equal(0, one.metrics.never.value)
      assert.same({ "check", true }, { two.end_reason, two.checks[1].aborted })
      assert.equal(two.completed, two.metrics.good.value)
      assert.truthy(r.out:find("  answer_size: count 4  mean 9.50 B  p50 ~4 B", 1, true), r.out)
      same_from_log(r)
   end)

   it("belongs to the phase of the request that is told about, also when the next phase has begun", function()
      local r = drive.run [[
         local ended = perigee.metric.counter "ended"
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=200ms,tpot=1ms,tokens=1" }, dataset = { "x" },
            on = { complete = function() ended:inc() end },
            phases = { { "first", load = perigee.load.burst(3), drain = false }, { "second", requests = 2 } },
         }]]
      assert.equal(0, r.code, r.out .. r.err)
      assert.same({ 3, 2 }, { r.summary.phases[1].metrics.ended.value, r.summary.phases[2].metrics.ended.value })
   end)
end)

-- The document as Python's parser reads it: "suite/case failure" lines, or nil without Python.
local READ_XML = [[
import sys, xml.etree.ElementTree as tree
for suite in tree.parse(sys.argv[1]).getroot():
    print(suite.tag, suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("errors"))
    for case in suite:
        print(case.tag, case.get("name"), *[bad.tag + " " + bad.get("type") + " " + bad.get("message") for bad in case])
]]

local function read_xml(path)
   if drive.shell("python3 -c 'import xml.etree.ElementTree'").code ~= 0 then return nil end
   local script = drive.tempdir() .. "/read.py"
   drive.write(script, READ_XML)
   local r = drive.shell(("PYTHONIOENCODING=utf-8 python3 %s %s"):format(drive.quote(script), drive.quote(path)))
   assert.equal(0, r.code, r.err)
   return r.out
end

describe("--junit", function()
   it("writes a suite for each phase and a case for each check", function()
      local path = drive.tempdir() .. "/junit.xml"
      local r = run([[
         load = nil, duration = nil, requests = 5, target = target.http { url = "mock:mode=max" },
         phases = {
            { "<one> & \"two\"", checks = { "completed == 5", "completed < 5", function() return false, "a\0\255<b>" end } },
            { "three" },
         }, ]], "--junit", path)
      assert.equal(3, r.code, r.out .. r.err)
      assert.is_nil(drive.read(path .. ".tmp"))
      local text = read_xml(path)
      if not text then return pending "python3 is not here" end
      assert.equal(table.concat({
         'testsuite <one> & "two" 3 2 0', "testcase completed == 5", "testcase completed < 5 failure check 5",
         "testcase function at scenario.lua:8 failure check a\239\191\189\239\191\189<b>", "testsuite three 0 0 0", "",
      }, "\n"), text)
   end)

   it("takes an earlier file away, and tells when it cannot be written", function()
      local dir = drive.tempdir()
      drive.write(dir .. "/old.xml", "old")
      local r = run("setup = function() error 'no' end, ", "--junit", dir .. "/old.xml")
      assert.equal(2, r.code, r.out .. r.err)
      assert.is_nil(drive.read(dir .. "/old.xml"))
      r = run("duration = '50ms', ", "--junit", dir .. "/none/new.xml")
      assert.equal(1, r.code, r.out .. r.err)
      assert.truthy(r.err:find(dir .. "/none/new.xml", 1, true), r.err)
   end)

   it("shows a run that failed although its checks hold", function()
      local path = drive.tempdir() .. "/junit.xml"
      local r = run([[ checks = { "completed == 0" }, target = target.http { url = "127.0.0.1:1" }, duration = "50ms", ]], "--junit", path)
      assert.equal(1, r.code, r.out .. r.err)
      assert.truthy(drive.read(path):find('<error message="phase &apos;performance&apos;: not one request succeeded', 1, true))
   end)
end)

describe("a check of the whole run", function()
   it("gives its status, stands in every report, and in the log", function()
      local dir = drive.tempdir()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" },
            phases = { { "one", requests = 4 }, { "two", requests = 6 } },
            overall = { "completed == 10", "issued < 10",
               function(run) return run.phases.one.completed < run.phases.two.completed, "more" end },
         }]], "--junit", dir .. "/junit.xml")
      assert.equal(3, r.code, r.out .. r.err)
      local list = r.summary.checks
      assert.same({ true, false, true }, { list[1].passed, list[2].passed, list[3].passed })
      assert.same({ "10", "10", "more" }, { list[1].detail, list[2].detail, list[3].detail })
      assert.truthy(r.out:find("\noverall\n  pass  completed == 10  (10)\n  FAIL  issued < 10  (10)\n", 1, true), r.out)
      assert.truthy(drive.read(dir .. "/junit.xml"):find('<testsuite name="overall" tests="3" failures="1"', 1, true))
      assert.same({ "completed == 10", "issued < 10" }, { unpack(r.summary.config.overall, 1, 2) })
   end)
end)
