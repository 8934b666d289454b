--- Errors of the script during a run: told with file, line and the way there; the run
--- ends in order, and what was measured stays.
local account = require "account"
local drive = require "drive"

-- Line 6 of the file holds the row's fields; requests take a while, so that some are in flight.
local TEXT = [[
local load, order, target = perigee.load, perigee.order, perigee.target
local count, keep = 0, {}
local function boom() count = count + 1; if count == 5 then error 'boom' end; return true end
return perigee.scenario {
   %s,
   target = target.openai_chat { url = "mock:mode=timed,ttft=20ms,tpot=1ms,tokens=3" },
   dataset = { { prompt = "a b c" }, { prompt = "d e f" } },
   drain = "10s",
}]]

local function run(fields, ...)
   return drive.run(TEXT:format(fields), ...)
end

local CLOSED = "load = load.concurrency(4), requests = 40, "

-- The run has ended with status 2 and files that add up.
local function ends_in_order(r)
   assert.equal(2, r.code, r.out .. r.err)
   account.balance(r)
   assert.equal("failed", r.summary.verdict)
   for _, phase in ipairs(r.summary.phases) do
      assert.same({ 0, 0 }, { phase.failed, phase.abandoned }, "what was in flight is drained")
   end
end

describe("an error of the script", function()
   for _, row in ipairs {
      -- fields, what is told, requests issued before
      { CLOSED .. "request = function() boom() return 'x' end", "request: ", 4 },
      { CLOSED .. "order = function() boom() return 1 end", "request: ", 4 },
      { "load = load.gaps(function() boom() return 0.001 end)", "delay function: ", 0 },
      { "load = load.strategy(function(p) while p:issue(1) do boom() p:wait() end end)", "strategy: ", 4 },
      { CLOSED .. "on = { issue = function() boom() end }", "on.issue: ", 5 },
      { CLOSED .. "on = { first = function() boom() end }", "on.first: ", 5 },
      { CLOSED .. "on = { chunk = function() boom() end }", "on.chunk: ", 2 },
      { CLOSED .. "on = { complete = function() boom() end }", "on.complete: ", 5 },
      { CLOSED .. "tick = '1ms', on = { tick = function() boom() end }", "on.tick: ", 1 },
   } do
      it("ends the run: " .. row[1], function()
         local r = run(row[1])
         ends_in_order(r)
         assert.truthy(r.err:find("phase 'performance', " .. row[2], 1, true), r.err)
         assert.truthy(r.err:find("scenario.lua:4: boom\n", 1, true), r.err)
         assert.truthy(r.err:find("   [^\n]-scenario.lua:6: in function"), r.err)
         assert.is_true(r.summary.phases[1].issued >= row[3])
         assert.is_true(r.summary.phases[1].issued < 40)
      end)
   end

   it("ends the run in on.error", function()
      local r = drive.run [[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:", headers = { ["x-perigee-fault"] = "status=500" } },
            dataset = { { prompt = "x" } }, load = perigee.load.concurrency(2), requests = 40,
            on = { error = function(r) error("boom: " .. r.message) end },
         }]]
      assert.equal(2, r.code, r.err)
      account.balance(r)
      assert.truthy(r.err:find("phase 'performance', on.error: .-scenario.lua:5: boom: {\"error\""), r.err)
   end)

   for hook, issued in pairs { phase_start = 0, phase_end = 2 } do
      it("ends the run in on." .. hook .. ", and no other phase begins", function()
         local r = run("requests = 2, phases = { { 'a' }, { 'b' } }, on = { " .. hook .. " = function() error 'boom' end }")
         ends_in_order(r)
         assert.truthy(r.err:find("phase 'a', on." .. hook .. ": ", 1, true), r.err)
         assert.truthy(r.err:find("scenario.lua:6: boom", 1, true), r.err)
         assert.equal(1, #r.summary.phases)
         assert.equal(issued, r.summary.phases[1].issued)
      end)
   end

   it("in setup sends nothing", function()
      local r = run "requests = 2, setup = function() error 'boom' end"
      assert.equal(2, r.code, r.err)
      assert.truthy(r.err:find("scenario.setup: [^\n]-scenario.lua:6: boom\n"), r.err)
      assert.is_nil(r.summary)
   end)

   it("in teardown keeps the report", function()
      local r = run("requests = 2, teardown = function() error 'boom' end", "--quiet")
      ends_in_order(r)
      assert.truthy(r.err:find("scenario.teardown: [^\n]-scenario.lua:6: boom\n"), r.err)
      assert.equal(2, r.summary.phases[1].completed)
      assert.equal(1, select(2, r.err:gsub("boom", "")), r.err)
      assert.truthy(r.summary.failures[1]:find "scenario.teardown: [^\n]-scenario.lua:6: boom$")
   end)

   it("in a check function keeps the report", function()
      local r = run "requests = 2, checks = { function(s) return s.latency_ms.p98.x end }"
      ends_in_order(r)
      assert.truthy(r.err:find("phase 'performance', check: [^\n]-scenario.lua:6: attempt to index field 'p98'"), r.err)
      assert.truthy(r.err:find("\n   [^\n]-scenario.lua:6: in function"), r.err)
      assert.is_false(r.summary.phases[1].checks[1].passed)
   end)

   for _, row in ipairs {
      -- what is raised, what is told
      { "", "(error object is a nil)" },
      { "{}", "(error object is a table)" },
      { "function() end", "(error object is a function)" },
      { "5", "scenario.lua:6: 5" },
      { "setmetatable({}, { __tostring = function() return 'an object' end })", "an object" },
      { "setmetatable({}, { __tostring = function() error 'worse' end })", "(error object is a table)" },
      { "setmetatable({}, { __tostring = function() return {} end })", "(error object is a table)" },
   } do
      it("may be any value: " .. row[1], function()
         for what, fields in pairs {
            ["on.complete"] = "requests = 2, on = { complete = function() error(%s) end }",
            strategy = "load = load.strategy(function(p) p:issue() p:wait() error(%s) end)",
         } do
            local r = run(fields:format(row[1]))
            ends_in_order(r)
            assert.truthy(r.err:find(("phase 'performance', %s: [^\n]*"):format(what) .. row[2]:gsub("%p", "%%%0") .. "\n"), r.err)
         end
      end)
   end

   it("during the drain is told, and the others are still handled", function()
      local r = run [[load = load.burst(6), on = { complete = function(r, p)
         count = count + 1; print("handled", count); if not p:running() then error 'boom' end end }]]
      ends_in_order(r)
      assert.truthy(r.err:find("on.complete: [^\n]-scenario.lua:7: boom"), r.err)
      assert.equal(6, r.summary.phases[1].completed)
   end)

   it("that comes again and again is told once", function()
      local r = run "load = load.burst(6), on = { complete = function() error 'boom' end }"
      ends_in_order(r)
      assert.equal(1, select(2, r.err:gsub("boom", "")), r.err)
   end)

   it("is deep in its functions, and long", function()
      local r = run [[requests = 1, on = { complete = function()
         local function deeper(n) if n == 0 then error(("long "):rep(2000)) end return deeper(n - 1) + 1 end
         deeper(150) end }]]
      ends_in_order(r)
      assert.truthy(r.err:find("on.complete: [^\n]-scenario.lua:7: long"), r.err:sub(1, 3000))
   end)

   it("is a recursion without end", function()
      local r = run "requests = 1, on = { complete = function() local function f() return 1 + f() end f() end }"
      ends_in_order(r)
      assert.truthy(r.err:find("stack overflow", 1, true), r.err)
   end)
end)

describe("a function that returns something else than it should", function()
   for _, row in ipairs {
      { "load = load.gaps(function() return 'soon' end)", "scenario.lua:6: load.gaps: the delay function returned 'soon' for arrival 1" },
      { "load = load.gaps(function() return -1 end)", "scenario.lua:6: load.gaps: the delay function returned -1 for arrival 1" },
      { "load = load.gaps(function() return 0/0 end)", "for arrival 1; seconds >= 0 or nil expected" },
      { "load = load.gaps(function() return 1/0 end)", "scenario.lua:6: load.gaps: the delay function returned inf for arrival 1" },
      { "load = load.gaps(function() return {} end)",
         "scenario.lua:6: load.gaps: the delay function returned an empty table for arrival 1" },
      { "requests = 3, order = function() return 7 end",
         "scenario.lua:6: order.custom: request 1 asks for sample 7; a whole number in 1..2 expected" },
      { "requests = 3, order = function() return 0 end", "asks for sample 0" },
      { "requests = 3, order = function() return 1.5 end", "asks for sample 1.5" },
      { "requests = 3, order = function() return 'a' end", "asks for sample 'a'" },
      { "requests = 3, request = function() return 5 end", "scenario.lua:6: request: a string, a table or nil expected, got 5" },
      { "requests = 3, request = function() return { pth = '/x' } end",
         "scenario.lua:6: request: unknown field 'pth', did you mean 'path'?" },
      { "requests = 3, request = function() return { path = 'x' } end",
         "scenario.lua:6: request: path: a path that begins with '/', without" },
      { "requests = 3, request = function() return { body = 5 } end",
         "scenario.lua:6: request: body: a string or a table expected, got 5" },
      { "requests = 3, request = function() return { body = { print } } end",
         "scenario.lua:6: request: body: cannot write a value of type function" },
      { "requests = 3, request = function() return { headers = { a = 'b\\n' } } end", "scenario.lua:6: request: headers: " },
      { "requests = 3, request = function() return { method = 'A B' } end", "request: method: the name of a method expected, got 'A B'" },
      { "requests = 3, request = function() return { path = '/a#b' } end", "request: path: a path that begins with '/', without spaces" },
      { "requests = 3, request = function() return { headers = { a = 'b\\1' } } end", "request: headers: a table of header names" },
      { "load = load.strategy(function(p) p:issue(3) p:wait() end)",
         "scenario.lua:6: bad argument #1 to 'issue' (a sample index in 1..2 expected)" },
      { "load = load.strategy(function(p) p:issue('x') end)", "scenario.lua:6: bad argument #1 to 'issue' (number expected, got string)" },
      { "load = load.strategy(function(p) p:sleep(-1) end)", "seconds (a number >= 0) expected" },
      { "load = load.strategy(function(p) p:sleep(0/0) end)", "seconds (a number >= 0) expected" },
      { "load = load.strategy(function(p) return p.inflght end)", "a phase has no field 'inflght'" },
      { "load = load.strategy(function(p) coroutine.yield() end)",
         "strategy: a strategy yields through p:sleep() and p:wait() only" },
      { "load = load.strategy(function(p) p:wait() end)", "the strategy waits, but nothing is in flight" },
      { "load = load.strategy(function(p) p:issue(1) p:wait() p:wait() end)", "the strategy waits, but nothing is in flight" },
      { "requests = 3, on = { complete = function(r) return r.latncy end }", "a result has no field 'latncy'" },
      { "requests = 3, on = { complete = function(r) keep[1] = r end, phase_end = function() print(keep[1].id) end }",
         "a result is valid during its handler only: use r:keep()" },
      { "requests = 3, on = { complete = function(r) r.id = 5 end }", "scenario.lua:6: attempt to index local 'r'" },
      { "requests = 3, on = { complete = function(r, p) p:wait() end }", "p:wait() belongs in the phase's own strategy" },
      { "requests = 3, on = { complete = function(r, p) p:issue(9) end }",
         "scenario.lua:6: bad argument #1 to 'issue' (a sample index in 1..2 expected)" },
   } do
      it("ends the run: " .. row[1], function()
         local r = run(row[1])
         ends_in_order(r)
         assert.truthy(r.err:find(row[2], 1, true), r.err)
         assert.is_nil(r.err:find("lua/perigee/", 1, true), r.err)
      end)
   end

   it("does not matter to a strategy that waits for the end of its phase", function()
      local r = run "duration = '50ms', load = load.strategy(function(p) p:issue(1) while p:wait() do end end)"
      assert.equal(0, r.code, r.err)
      account.balance(r)
   end)

   it("ends the run when request() never gives anything", function()
      local r = run "requests = 3, request = function() end"
      ends_in_order(r)
      assert.truthy(r.err:find("phase 'performance': 100000 requests in a row were skipped", 1, true), r.err)
   end)
end)
