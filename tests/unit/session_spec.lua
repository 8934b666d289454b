-- The engine's session as a script sees it, against the built-in endpoint.
local drive = require "drive"
local engine = require "perigee_engine"
local support = require "tests.unit.support"

local mock, client

local function build(_, index)
   return "hello", index
end

-- The arguments of a phase: `changes` replace or add fields.
local function phase(changes)
   local t = { name = "phase", client = client, build = build, deadline = 20, requests = 1,
      strategy = function(p) p:issue() end }
   for name, value in pairs(changes or {}) do t[name] = value end
   if changes and changes.schedule then t.strategy = nil end
   return t
end

local function open(options)
   return assert(engine.session(options or { name = "test" }))
end

-- Run one phase: the outcome and the phase's report.
local function run(changes, options)
   local session = open(options)
   assert(session:phase(phase(changes)))
   local outcome = session:run()
   local report = session:report()
   assert.equal(0, session:close())
   return outcome, report.phases[1]
end

local function refused(part, fn, ...)
   support.contains(part, support.refusal(fn, ...))
end

local function start_mock()
   local url
   mock, url = drive.mock("--mode", "max", "--tokens", "1")
   client = { urls = { url }, path = "/v1/completions", headers = {}, decoder = "raw" }
end

local function stop_mock()
   mock:stop(10)
end

describe("engine.session", function()
   setup(start_mock)
   teardown(stop_mock)

   it("keeps its description until it is told, whatever is collected before", function()
      local function description() return '{"note":"' .. ("x"):rep(3000) .. '"}' end
      local path = drive.tempdir() .. "/events.plog"
      local session = open { name = "test", log_file = path, description = description() }
      assert(session:phase(phase()))
      collectgarbage()
      collectgarbage()
      local others = {}
      for i = 1, 2000 do others[i] = ("y"):rep(3000) .. i end -- into the memory that became free
      assert.equal("ok", session:run().outcome)
      assert(session:close_log())
      session:close()
      assert.equal(2000, #others)
      assert.equal(description(), engine.read_log(path).run_config)
   end)

   describe("while it runs", function()
      -- What `act` raises inside a handler of a running session.
      local function inside(act)
         local message
         local outcome = run { on = { complete = function(_, p)
            message = support.refusal(act, p)
         end } }
         assert.equal("ok", outcome.outcome, outcome.error)
         return message
      end

      it("takes content only when its phase can compose it", function()
         support.contains("this phase takes an index only", inside(function(p) p:issue { body = "x" } end))
      end)

      it("cannot be closed", function()
         support.contains("the session is running", inside(function(p) p.session:close() end))
      end)

      it("cannot be run once more, nor can another", function()
         support.contains("the session is running", inside(function(p) p.session:run() end))
         local other = open()
         other:phase(phase())
         support.contains("the event loop is running", inside(function() other:run() end))
         assert.equal("ok", other:run().outcome)
         other:close()
         support.contains("the event loop is running", inside(function() engine.mock {} end))
         support.contains("the event loop is running", inside(function() engine.subscribe { connect = "ipc:///x" } end))
      end)

      it("takes no further phase", function()
         support.contains("the session is running", inside(function(p) p.session:phase(phase()) end))
      end)

      it("lets another session be closed", function()
         local other = open()
         other:phase(phase())
         local outcome = run { on = { complete = function() other:close() end } }
         assert.equal("ok", outcome.outcome)
      end)
   end)

   describe("on simulated time", function()
      local function answer() return { ttft = 0.25, tokens = 1 } end

      it("has no publisher, and needs a function that answers", function()
         local session, message, code = engine.session { simulate = { answer = answer }, events = { address = "ipc:///x" } }
         assert.is_nil(session)
         assert.equal("EINVAL", code)
         support.contains("without a publisher", message)
         refused("simulate.answer: a function expected", engine.session, { simulate = {} })
         refused("simulate: a table expected", engine.session, { simulate = answer })
      end)

      it("tells its events, and ends in order when who listens raises", function()
         local seen = {}
         local outcome = run({ requests = 3 }, { simulate = { answer = answer }, on_event = function(e)
            seen[#seen + 1] = e.type
            if e.type == "sample.issued" then error "enough" end
         end })
         assert.equal("script_error", outcome.outcome)
         support.contains("on_event: ", outcome.error)
         assert.equal("session.ended", seen[#seen])
      end)

      it("can be closed before its run", function()
         local session = open { simulate = { answer = answer } }
         assert(session:phase(phase()))
         assert.equal(0, session:close())
      end)

      it("runs inside of another one's handler", function()
         local inner
         local outcome = run { on = { complete = function()
            inner = run({}, { simulate = { answer = answer } })
         end } }
         assert.equal("ok", outcome.outcome, outcome.error)
         assert.equal("ok", inner.outcome)
      end)
   end)

   it("runs once", function()
      local session = open()
      session:phase(phase())
      assert.equal("ok", session:run().outcome)
      refused("the session has run", session.run, session)
      refused("the session has run", session.phase, session, phase())
      local ok, message, code = session:emit("late")
      assert.same({ nil, "ECLOSED" }, { ok, code })
      support.contains("not running", message)
      assert.equal(1, #session:report().phases)
      session:close()
   end)

   it("can be closed without a run, and is closed then", function()
      local session = open()
      local p = session:phase(phase())
      assert.equal(0, session:close())
      for _, name in ipairs { "run", "phase", "stop", "report", "stats", "address", "emit", "close" } do
         refused("perigee.session is closed", session[name], session)
      end
      refused("perigee.phase is closed", function() return p.inflight end)
   end)

   it("leaves what handlers were given harmless after its end", function()
      local kept_r, kept_p
      run { on = { complete = function(r, p) kept_r, kept_p = r, p end } }
      refused("valid during its handler only", function() return kept_r.ok end)
      refused("valid during its handler only", kept_r.cancel, kept_r)
      refused("perigee.phase is closed", function() kept_p:issue() end)
   end)

   it("can be left behind in a coroutine that is gone", function()
      local script = drive.tempdir() .. "/left.lua"
      drive.write(script, [[
         local engine = require "perigee_engine"
         coroutine.wrap(function()
            local session = engine.session { name = "left" }
            session:phase { name = "p", client = { urls = { "http://127.0.0.1:1" } }, build = function() return "x" end,
               requests = 1, strategy = function(p) p:issue() end, on = { complete = function() end } }
            assert(session:run().outcome == "ok")
         end)()
         collectgarbage()
         collectgarbage()
         for _ = 1, 100 do coroutine.wrap(function() return ("x"):rep(1000) end)() end
         collectgarbage()
         os.exit(7, true)]])
      local r = drive.shell("exec ${LUAJIT:-luajit} " .. script)
      assert.same({ 7, "", "" }, { r.code, r.out, r.err })
   end)

   it("survives finalizers that raise while it is at work", function()
      local script = drive.tempdir() .. "/litter.lua"
      drive.write(script, ([[
         local engine = require "perigee_engine"
         local live = false -- do finalizers raise?
         local function litter()
            getmetatable(newproxy(true)).__gc = function()
               if not live then return end
               litter()
               error("from a finalizer", 0)
            end
         end
         collectgarbage("setpause", 1)
         collectgarbage("setstepmul", 10000)
         local client = { urls = { %q }, path = "/v1/completions" }
         for _ = 1, 100 do
            local session = engine.session { name = "litter" }
            session:phase { name = "p", client = client, requests = 1, build = function() return "x" end,
               strategy = function(p)
                  p:issue()
                  p:wait()
                  live = true
                  litter()
               end, on = { phase_end = function() live = false end } }
            pcall(session.run, session) -- its result, too, may meet a finalizer
            live = false
            assert(session:report().phases[1].ended)
            session:close()
         end
         print "survived"]]):format(client.urls[1]))
      local r = drive.shell("exec ${LUAJIT:-luajit} " .. script)
      assert.same({ 0, "survived\n", "" }, { r.code, r.out, r.err })
   end)

   it("takes what build gives alike, whether build keeps it or not", function()
      local rows = {
         { function() return 5, 1 end, "phase 'p', request: the body must be a string, got number" },
         { function() return "x", 1.5 end, "phase 'p', request: the index must be a whole number from 1" },
         { function() return "x", "one" end, "phase 'p', request: the index must be a whole number from 1" },
         { function() error("of my own", 0) end, "phase 'p', request: of my own" },
         { function(i) return i < 4 and "x", 1 end, nil, 3 },
         { function(i) return i % 2 == 0 and "x" or nil, 1 end, nil, 5 },
      }
      for n, row in ipairs(rows) do
         for _, kept in ipairs { false, true } do
            local make, message, completed = unpack(row, 1, 3)
            local session = engine.session { name = "kept" }
            session:phase { name = "p", client = client, build = make, kept = kept, requests = 5,
               strategy = function(p)
                  while p:running() do
                     p:fill(1)
                     p:wait()
                     collectgarbage()
                  end
               end }
            local outcome = session:run()
            local what = ("row %d, kept %s"):format(n, tostring(kept))
            if message then
               assert.equal(message, (outcome.error or ""):match "^[^\n]*", what)
            else
               assert.is_nil(outcome.error, what)
               assert.equal(completed, session:report().phases[1].completed, what)
            end
            session:close()
         end
      end
   end)

   it("lets a handler end the process", function()
      local script = drive.tempdir() .. "/ends.lua"
      drive.write(script, ([[
         local engine = require "perigee_engine"
         local session = engine.session { name = "ends" }
         session:phase { name = "p", client = { urls = { %q }, path = "/v1/completions" }, build = function() return "x" end,
            requests = 10, strategy = function(p) for _ = 1, 10 do p:issue() end end,
            on = { complete = function() os.exit(7, true) end } }
         session:run()]]):format(client.urls[1]))
      local r = drive.shell("exec ${LUAJIT:-luajit} " .. script)
      assert.same({ 7, "", "" }, { r.code, r.out, r.err })
   end)

   it("stops waiting for subscribers when it is interrupted", function()
      if not drive.read "/proc/self/status" then return pending "needs /proc" end
      local dir = drive.tempdir()
      drive.write(dir .. "/waits.lua", ([[
         local engine = require "perigee_engine"
         local session = engine.session { name = "waits", events = { address = "ipc://%s/events" },
            subscribers = 1, subscribers_timeout = 600 }
         session:phase { name = "p", client = { urls = { "http://127.0.0.1:1" } }, build = function() return "x" end,
            requests = 1, strategy = function(p) p:issue() end }
         local outcome = session:run()
         print(outcome.outcome, outcome.signal, outcome.error, #session:report().phases)]]):format(dir))
      -- It listens once the system says that it catches signal 15: bit 14 of SigCgt.
      local r = drive.shell(([[
         ${LUAJIT:-luajit} %s/waits.lua & pid=$!
         until grep -q "^SigCgt:.*[4-7c-f]...$" /proc/$pid/status; do sleep 0.01; done
         kill -TERM $pid
         wait $pid]]):format(dir))
      assert.same({ 0, "interrupted\t15\tnil\t0\n" }, { r.code, r.out }, r.err)
   end)

   it("ends as overloaded when more are in flight than it has room for", function()
      local outcome, report = run({ requests = 10, strategy = function(p)
         for _ = 1, 10 do p:issue() end
      end }, { name = "full", max_inflight = 4 })
      assert.same({ "failed", "ELIMIT", "overload", 4, 4 },
         { outcome.outcome, outcome.code, report.end_reason, report.issued, report.completed })
   end)

   it("counts the same in handlers, in the phase, in the report and in the file", function()
      local file = drive.tempdir() .. "/requests.jsonl"
      local seen, counters = { issue = 0, ok = 0, error = 0, complete = 0 }, nil
      local _, report = run({
         requests = 200, max_inflight = 8, overload = "drop", schedule = function(i) return i % 20 == 0 and 0.002 or 0 end,
         build = function(i)
            return "x", i, i % 7 == 0 and "no slash" or nil, i % 5 == 0 and { "x-perigee-fault: status" } or nil
         end,
         on = {
            issue = function(r)
               seen.issue = seen.issue + 1
               if r.index % 9 == 0 then r:cancel() end
            end,
            error = function() seen.error = seen.error + 1 end,
            complete = function(r)
               seen.complete = seen.complete + 1
               if r.ok then seen.ok = seen.ok + 1 end
            end,
            phase_end = function(p) counters = { p.issued, p.completed, p.failed, p.inflight } end,
         },
      }, { name = "counts", requests_file = file })
      local lost = report.failed + report.cancelled + report.abandoned
      assert.same({ 200, report.completed, lost, 0 }, counters)
      assert.same({ issue = 200, ok = report.completed, error = lost, complete = 200 }, seen)
      assert.equal(0, report.inflight)
      assert.equal(200, report.completed + lost)
      local classes, ok = {}, 0
      for _, line in ipairs(drive.jsonl(file)) do
         if line.ok then ok = ok + 1 else
            local class = line.error == "http" and "http_" .. line.http_status or line.error
            classes[class] = (classes[class] or 0) + 1
         end
      end
      assert.equal(report.completed, ok)
      assert.same(report.errors, classes)
      assert(report.errors.client and report.errors.cancelled and report.errors.http_500)
      assert(report.dropped > 0)
   end)

   it("shows a request that could not be sent as one without an answer", function()
      local seen = {}
      local outcome = run { requests = 2, keep_body = true, strategy = function(p)
         p:issue()
         p:wait()
         p:issue()
      end, build = function(i) return "x", i, i == 2 and "no slash" or nil end,
         on = { issue = function(r)
            seen[#seen + 1] = { r.index, r.status or "none", r.bytes, r.body, r.ok }
         end } }
      assert.same({ "ok" }, { outcome.outcome, outcome.error })
      assert.same({ { 1, "none", 0, "", false }, { 2, "none", 0, "", false } }, seen)
   end)

   it("keeps what a script hands over when it raises or fails half way", function()
      local session = open()
      refused("build: a function expected", session.phase, session, phase { build = false })
      refused("strategy: a function expected", session.phase, session, phase { strategy = 1 })
      refused("on: a table expected", session.phase, session, phase { on = 1 })
      refused("complete: a function expected", session.phase, session, phase { on = { complete = "x" } })
      refused("a schedule, a strategy or both", function()
         local t = phase()
         t.strategy = nil
         session:phase(t)
      end)
      local p, message, code = session:phase(phase { name = ("n"):rep(64) })
      assert.same({ nil, "EINVAL" }, { p, code })
      support.contains("n'", message)
      assert(session:phase(phase()))
      local outcome = session:run()
      assert.same({ "ok", 1 }, { outcome.outcome, session:report().phases[1].completed })
      session:close()
   end)

   it("refuses numbers that mean nothing", function()
      for _, row in ipairs {
         { { requests = 1.5 }, "requests: a whole number" },
         { { requests = -1 }, "requests: a whole number" },
         { { requests = 0 / 0 }, "requests: a whole number" },
         { { duration = -1 }, "duration: seconds >= 0" },
         { { deadline = 0 / 0 }, "deadline: seconds >= 0" },
         { { drain = -1 }, "drain: seconds >= 0" },
         { { drain = "30s" }, "drain: a number expected" },
         { { max_inflight = 2 ^ 53 }, "max_inflight: a whole number" },
      } do
         local session = open()
         refused(row[2], session.phase, session, phase(row[1]))
         session:close()
      end
      refused("subscribers: a whole number", engine.session, { subscribers = 2 ^ 32 })
      refused("tick: seconds >= 0", engine.session, { tick = -1 })
      refused("on_tick: a function expected", engine.session, { on_tick = 1 })
      refused("events: a table expected", engine.session, { events = "ipc:///x" })
   end)

   it("opens with what it can open only", function()
      local session, message, code = engine.session { requests_file = "/nonexistent/file", on_tick = print }
      assert.same({ nil, "ENOENT" }, { session, code })
      support.contains("/nonexistent/file", message)
   end)
end)

describe("a strategy", function()
   setup(start_mock)
   teardown(stop_mock)

   local function drain_all(p)
      while p.inflight > 0 do p:wait() end
   end

   it("hears of requests that were skipped", function()
      local outcome, report = run { requests = 1000, build = function() return nil end, strategy = function(p)
         for _ = 1, 70 do p:issue() end -- more than are issued in one turn
         drain_all(p)
      end }
      assert.same({ "ok", 0, "schedule" }, { outcome.outcome, report.issued, report.end_reason })
   end)

   it("hears of requests that could not be sent", function()
      local bad = function() return "x", 1, "no slash" end
      local outcome, report = run { requests = 1000, build = bad, strategy = function(p)
         for _ = 1, 70 do p:issue() end
         drain_all(p)
      end }
      assert.same({ "ok", 70, 70 }, { outcome.outcome, report.issued, report.failed })
      assert.same({ client = 70 }, report.errors)
   end)

   it("must not yield for itself", function()
      local outcome = run { strategy = function() coroutine.yield() end }
      assert.equal("script_error", outcome.outcome)
      support.contains("p:sleep() and p:wait()", outcome.error)
   end)

   it("waits only in its own coroutine, also inside a pcall", function()
      local outcome = run { requests = 2, strategy = function(p)
         p:issue()
         assert(pcall(p.wait, p))
         local ok, message = coroutine.wrap(function() return pcall(p.wait, p) end)()
         assert(not ok and message:find("own strategy", 1, true), message)
         p:issue()
         p:wait()
      end }
      assert.same({ "ok" }, { outcome.outcome, outcome.error })
   end)

   it("shows the message of an error object", function()
      for _, row in ipairs {
         { setmetatable({}, { __tostring = function() return "an object" end }), "an object" },
         { {}, "(error object is a table)" },
         { 42, "42" },
      } do
         local outcome = run { strategy = function() error(row[1], 0) end }
         assert.equal("script_error", outcome.outcome)
         support.contains("phase 'phase', strategy: " .. row[2] .. "\nstack traceback:", outcome.error)
         outcome = run { on = { complete = function() error(row[1], 0) end } }
         support.contains("phase 'phase', on.complete: " .. row[2] .. "\nstack traceback:", outcome.error)
      end
   end)

   it("is told of the end once and may tidy up", function()
      local told = {}
      local outcome, report = run { requests = 3, strategy = function(p)
         while p:running() do
            p:issue()
            told[#told + 1] = p:wait()
         end
         told[#told + 1] = "tidy"
         p:wait()
         told[#told + 1] = "never"
      end }
      assert.same({ "ok", 3 }, { outcome.outcome, report.completed })
      assert.equal("tidy", told[#told])
   end)

   it("issues exactly the requests that were asked for", function()
      for _, requests in ipairs { 1, 63, 64, 65, 500 } do
         local outcome, report = run { requests = requests, strategy = function(p)
            while p:running() do
               while p.inflight < 100 and p:issue() do end
               p:wait()
            end
         end }
         assert.same({ "ok", requests, requests, "requests" },
            { outcome.outcome, report.issued, report.completed, report.end_reason })
      end
   end)

   it("is filled up to a number in flight, and never above", function()
      local most, asked = 0, {}
      local outcome, report = run { requests = 40, strategy = function(p)
         while p:running() do
            asked[#asked + 1] = p:fill(7)
            most = math.max(most, p.total_inflight)
            assert(p:fill(7) == 0)
            p:wait()
         end
         assert(p:fill(7) == 0) -- it issues no more
         assert(not pcall(p.fill, p, -1) and not pcall(p.fill, p, "many"))
      end }
      assert.same({ "ok", 40, 7, 7 }, { outcome.outcome, report.completed, most, asked[1] }, outcome.error)
   end)

   it("asks for samples by number", function()
      local outcome = run { strategy = function(p)
         for _, index in ipairs { 0, 1.5, -1, 2 ^ 53, 1e300, 0 / 0 } do
            assert(not pcall(p.issue, p, index), index)
         end
         p:issue(7)
      end, on = { complete = function(r) assert(r.index == 7) end } }
      assert.same({ "ok" }, { outcome.outcome, outcome.error })
      outcome = run { build = function() return "x", 0 / 0 end }
      support.contains("the index must be", outcome.error)
   end)
end)
