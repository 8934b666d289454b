--- Scripts that do not return, and what scripts cost: told, and never the end of what was measured.
local account = require "account"
local drive = require "drive"
local engine = require "perigee_engine"

-- Line 8 holds the row's fields.
local TEXT = [[
local load, target = perigee.load, perigee.target
local count = 0
local function at(n) count = count + 1; return count == n end
local function forever() local n = 0 while true do n = n + 1 end end
local function in_c() return (("a"):rep(1e5)):find((".-"):rep(8) .. "b") end
return perigee.scenario {
   %s,
   target = target.openai_chat { url = "mock:mode=timed,ttft=20ms,tpot=1ms,tokens=3" },
   dataset = { { prompt = "a b c" }, { prompt = "d e f" } },
   handler_timeout = "150ms",
}]]

local CLOSED = "load = load.concurrency(4), requests = 40, "

local function run(fields)
   return drive.run(TEXT:format(fields))
end

describe("a call that does not return", function()
   for _, row in ipairs {
      -- fields, what is told
      { CLOSED .. "on = { issue = function() if at(5) then forever() end end }", "phase 'performance', on.issue: " },
      { CLOSED .. "on = { first = function() if at(5) then forever() end end }", "phase 'performance', on.first: " },
      { CLOSED .. "on = { chunk = function() if at(5) then forever() end end }", "phase 'performance', on.chunk: " },
      { CLOSED .. "on = { complete = function() if at(5) then forever() end end }", "phase 'performance', on.complete: " },
      { CLOSED .. "on = { phase_start = function() forever() end }", "phase 'performance', on.phase_start: " },
      { CLOSED .. "on = { phase_end = function() forever() end }", "phase 'performance', on.phase_end: " },
      { CLOSED .. "tick = '10ms', on = { tick = function() forever() end }", "phase 'performance', on.tick: " },
      { CLOSED .. "request = function() if at(5) then forever() end return 'x' end", "phase 'performance', request: " },
      { CLOSED .. "order = function() if at(5) then forever() end return 1 end", "phase 'performance', request: " },
      { "load = load.gaps(function() if at(5) then forever() end return 0.001 end)", "phase 'performance', delay function: " },
      { "load = load.strategy(function(p) p:issue() p:wait() forever() end)", "phase 'performance', strategy: " },
      { CLOSED .. "on = { phase_start = function(p) p:after(0.01, function() forever() end) end }", "phase 'performance', p:after: " },
   } do
      it("is interrupted, and the run ends in order: " .. row[1], function()
         local r = run(row[1])
         assert.equal(2, r.code, r.out .. r.err)
         account.balance(r)
         assert.equal("failed", r.summary.verdict)
         assert.truthy(r.err:find(row[2], 1, true), r.err)
         assert.matches("scenario.lua:5: did not return within 0.15 s", r.err)
         assert.matches("scenario.lua:[58]: in ", r.err)
         for _, phase in ipairs(r.summary.phases) do assert.same({ 0, 0 }, { phase.failed, phase.abandoned }) end
      end)
   end

   it("is interrupted in the session of a user", function()
      local r = run "load = load.users(2), duration = '1s', session = function(u) u:request() forever() end"
      assert.equal(2, r.code, r.out .. r.err)
      account.balance(r)
      assert.matches("phase 'performance', strategy: [^\n]*scenario.lua:5: did not return within 0.15 s", r.err)
   end)

   it("is interrupted in a check at the end", function()
      local r = run(CLOSED .. "checks = { forever }")
      assert.equal(2, r.code, r.out .. r.err)
      assert.equal(40, r.summary.phases[1].completed)
      assert.truthy(r.err:find("phase 'performance', check: ", 1, true), r.err)
      assert.matches("did not return within 0.15 s", r.err)
   end)

   it("is interrupted in a check that is looked at while the run goes on", function()
      local r = run("load = load.concurrency(1), duration = '60s', checks = { { forever, abort = true } }")
      assert.equal(2, r.code, r.out .. r.err)
      account.balance(r)
      assert.matches("phase 'performance', on.tick: [^\n]*scenario.lua:5: did not return within 0.15 s", r.err)
   end)

   for _, hook in ipairs { "setup", "teardown" } do
      it("is interrupted in " .. hook, function()
         local r = run(CLOSED .. "setup_timeout = '150ms', " .. hook .. " = forever")
         assert.equal(2, r.code, r.out .. r.err)
         assert.truthy(r.err:find("scenario." .. hook .. ": ", 1, true), r.err)
         assert.matches("scenario.lua:5: did not return within 0.15 s", r.err)
         assert.equal(hook == "teardown", r.summary ~= nil)
      end)
   end

   it("ends the process in order when it is in C code: the log and the report are written", function()
      local dir = drive.tempdir()
      local file = drive.scenario(dir, TEXT:format(CLOSED .. "on = { complete = function() if at(9) then in_c() end end }"))
      local r = drive.perigee("run", file, "--out", dir .. "/out", "--progress", "none")
      assert.equal(2, r.code, r.out .. r.err)
      assert.truthy(r.err:find("on.complete did not return within 0.15 s, and could not be interrupted", 1, true), r.err)
      local summary = assert(engine.json.decode(assert(drive.read(dir .. "/out/summary.json"))))
      assert.equal("failed", summary.verdict)
      assert.is_true(summary.phases[1].completed >= 8, summary.phases[1].completed)
      assert.truthy(r.out:find("completed", 1, true), "the summary is shown: " .. r.out)
   end)
end)

describe("the cost of a script", function()
   it("is in the report, phase by phase, and p:report() has it", function()
      local r = drive.run [[
         local function work(ms) local from = os.clock() while os.clock() - from < ms / 1000 do end end
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" }, load = perigee.load.concurrency(2), requests = 20,
            phases = {
               { "busy", on = { complete = function() work(5) end, phase_end = function(p, report)
                  print("told", report.lua_busy.count, report.gc_pause.count) end } },
               { "free", on = { complete = function(r, p) if r.id == 30 then print("so far", p:report().lua_busy.count) end end } },
            },
         }]]
      assert.equal(0, r.code, r.out .. r.err)
      local busy, free = unpack(r.summary.phases)
      -- A handler of 5 ms of CPU time takes at least that on the clock; what else happens can only add.
      assert.is_true(busy.lua_busy.total_ms >= 20 * 5 * 0.99, busy.lua_busy.total_ms)
      assert.is_true(busy.lua_busy.max_ms >= 5 * 0.99 and busy.lua_busy.max_ms <= busy.lua_busy.total_ms)
      assert.is_true(busy.lua_busy.share > 0 and busy.lua_busy.share <= 1.001, busy.lua_busy.share)
      assert.is_true(busy.lua_busy.calls >= 40 and free.lua_busy.calls >= 40)
      assert.is_true(busy.lua_busy.total_ms <= busy.duration_s * 1001)
      assert.equal(("told\t%d\t%d"):format(busy.lua_busy.calls, busy.gc_pause.steps), r.out:match "told[^\n]*")
      local so_far = tonumber(r.out:match "so far\t(%d+)")
      assert.is_true(so_far > 0 and so_far < free.lua_busy.calls)
      assert.truthy(r.out:find("\n  lua: ", 1, true), r.out)
   end)
end)

describe("the garbage of a script", function()
   it("is collected between the turns, under full load as well", function()
      -- 50 000 requests leave 200 MB of it; what is alive is about 1 MB, and a cycle begins in earnest at 8 MB more.
      local r = drive.run [[
         local most = 0
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:mode=max,tokens=1" }, dataset = { "a" },
            load = perigee.load.concurrency(16), requests = 50000,
            on = { complete = function(r, p)
               local garbage = {}
               for i = 1, 64 do garbage[i] = { i } end
               most = math.max(most, collectgarbage "count")
               if p.completed == 50000 then print("most", most) end
            end },
         }]]
      assert.equal(0, r.code, r.out .. r.err)
      assert.is_true(tonumber(r.out:match "most\t([%d.]+)") < 16 * 1024, r.out)
      assert.is_true(r.summary.phases[1].gc_pause.steps > 0)
   end)

   it("is collected at once when one call makes too much of it", function()
      local r = drive.run [[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" }, requests = 1,
            on = { complete = function()
               local most = 0
               for _ = 1, 300 do
                  for i = 1, 20000 do local t = { i } end
                  most = math.max(most, collectgarbage "count")
               end
               print("most", most)
            end },
         }]]
      assert.equal(0, r.code, r.out .. r.err)
      assert.is_true(tonumber(r.out:match "most\t([%d.]+)") < 80 * 1024, r.out)
   end)

   it("may raise in a finalizer, which ends the run in order", function()
      local r = drive.run [[
         local p = newproxy(true)
         getmetatable(p).__gc = function() error "from the grave" end
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" }, duration = "10s",
            on = { complete = function()
               p = nil
               local t = {}
               for i = 1, 2000 do t[i] = { i } end
            end },
         }]]
      assert.equal(2, r.code, r.out .. r.err)
      assert.truthy(r.err:find("from the grave", 1, true), r.err)
      account.balance(r)
   end)
end)
