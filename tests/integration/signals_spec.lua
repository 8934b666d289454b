--- Interrupts, stops and deadlines: what is in flight is drained or abandoned, the report is written.
local account = require "account"
local drive = require "drive"
local engine = require "perigee_engine"

-- signal(n) sends this process a signal; fields of the scenario follow in line 12.
local TEXT = [[
local load, target = perigee.load, perigee.target
local ffi = require "ffi"
ffi.cdef "int getpid(void); int kill(int pid, int signal);"
local function signal(n) ffi.C.kill(ffi.C.getpid(), n) end
local INT, TERM, KILL = 2, 15, 9
local count = 0
local function at(n) count = count + 1; return count == n end
local steady = target.openai_chat { url = "mock:mode=timed,ttft=20ms,tpot=1ms,tokens=3" }
local hanging = target.openai_chat { url = "mock:", headers = { ["x-perigee-fault"] = "hang" } }
return perigee.scenario { dataset = { { prompt = "a b c" } }, target = steady, phases = { { "a" }, { "b" } }, load = load.concurrency(4),
   %s
}]]

local function run(fields, ...)
   return drive.run(TEXT:format(fields), ...)
end

local function ends(r, code, verdict)
   assert.equal(code, r.code, r.out .. r.err)
   account.balance(r)
   assert.equal(verdict, r.summary.verdict)
   return r.summary.phases[1]
end

describe("a signal", function()
   for name, row in pairs { INT = { 130 }, TERM = { 143 } } do
      it(("SIG%s drains what is in flight and exits with %d"):format(name, row[1]), function()
         local r = run(("requests = 400, on = { first = function() if at(6) then signal(%s) end end }"):format(name))
         local phase = ends(r, row[1], "interrupted")
         assert.equal(1, #r.summary.phases)
         assert.equal("interrupted", phase.end_reason)
         assert.equal(phase.issued, phase.completed)
         assert.is_true(phase.issued >= 6 and phase.issued < 400)
      end)
   end

   it("a second one abandons what is in flight", function()
      local r = run "requests = 400, target = hanging, on = { issue = function() if at(4) then signal(INT) signal(INT) end end }"
      local phase = ends(r, 130, "interrupted")
      assert.same({ 4, 4, 0 }, { phase.issued, phase.abandoned, phase.completed })
      assert.same({ abandoned = 4 }, phase.errors)
   end)

   it("may come again and again, and the report is written", function()
      local dir = drive.tempdir()
      local file = drive.scenario(dir, TEXT:format(([[requests = 400, on = { first = function()
         if at(6) then io.open("%s/started", "w"):close() end end }]]):format(dir)))
      local r = drive.shell(([[
         DIR=%s
         %s & run=$!
         for _ in $(seq 500); do [ -e $DIR/started ] && break; sleep 0.02; done
         while kill -INT $run 2>/dev/null; do :; done
         wait $run]]):format(dir, drive.command("run", file, "--out", dir .. "/out", "--progress", "none")))
      r.dir, r.summary = dir .. "/out", engine.json.decode(drive.read(dir .. "/out/summary.json") or "")
      ends(r, 130, "interrupted")
   end)

   it("ends a script that never returns, and the log keeps what was measured", function()
      local dir = drive.tempdir()
      local strategy = ([[load = load.strategy(function(p)
         p:issue() p:wait()
         if p.name == "b" then io.open("%s/started", "w"):close() end
         while p.name == "b" do p:issue() end end), handler_timeout = "1h"]]):format(dir)
      local r = drive.shell(([[
         DIR=%s
         %s & run=$!
         for _ in $(seq 500); do [ -e $DIR/started ] && break; sleep 0.02; done
         for _ in $(seq 300); do kill -INT $run 2>/dev/null || break; sleep 0.1; done
         kill -KILL $run 2>/dev/null
         wait $run]]):format(dir, drive.command("run", drive.scenario(dir, TEXT:format(strategy)), "--out", dir .. "/out",
            "--progress", "none")))
      assert.equal(130, r.code, r.out .. r.err)
      local report = drive.perigee("report", dir .. "/out/events.plog", "--json")
      assert.equal(1, report.code, report.err)
      assert.equal(1, engine.json.decode(report.out).phases[1].completed)
   end)

   it("comes between two requests of a slow schedule", function()
      local r = run "load = load.constant(0.01), on = { complete = function() signal(INT) end }"
      local phase = ends(r, 130, "interrupted")
      assert.same({ 1, 1 }, { phase.issued, phase.completed })
   end)

   it("comes while subscribers are awaited", function()
      local dir = drive.tempdir()
      local command = drive.command("run", drive.scenario(dir, TEXT:format "requests = 1"), "--out", dir .. "/out",
         "--progress", "none", "--subscribers", "1", "--subscribers-timeout", "60s")
      local r = drive.shell(([[
         DIR=%s
         %s 2>$DIR/err & pid=$!
         for _ in $(seq 500); do grep -q ^events: $DIR/err && break; sleep 0.02; done
         kill -INT $pid; wait $pid; code=$?; cat $DIR/err >&2; exit $code]]):format(dir, command))
      assert.equal(130, r.code, r.out .. r.err)
      assert.is_nil(r.err:find("were expected", 1, true), r.err)
   end)

   for _, place in ipairs { "setup", "teardown" } do
      it("comes in " .. place, function()
         local r = run(("requests = 1, %s = function() signal(INT) for _ = 1, 1e12 do end end"):format(place))
         assert.equal(130, r.code, r.out .. r.err)
      end)
   end

   it("SIGKILL leaves no endpoint behind", function()
      if not drive.read "/proc/self/stat" then return pending "there is no /proc" end
      local dir = drive.tempdir()
      local file = drive.scenario(dir, TEXT:format(([[
         requests = 400, on = { first = function() if not at(6) then return end
            local pid = ffi.C.getpid()
            local children = io.open(("/proc/%%d/task/%%d/children"):format(pid, pid)):read("*a")
            local file = io.open("%s/children", "w")
            file:write(children)
            file:close()
            signal(KILL)
         end },]]):format(dir)))
      local r = drive.shell(table.concat({
         drive.command("run", file, "--out", dir .. "/out", "--progress", "none"),
         "code=$?; read -r child <" .. dir .. "/children",
         "for _ in $(seq 500); do grep -qsv ') Z' /proc/$child/stat || exit $code; sleep 0.02; done",
         "echo child $child is there; exit 1",
      }, "\n"))
      assert.equal(137, r.code, r.out .. r.err)
   end)
end)

describe("a deadline", function()
   it("of the drain abandons what is in flight, and the run failed", function()
      local phase = ends(run "target = hanging, load = load.burst(3), drain = '50ms', phases = { { 'a' } }", 1, "failed")
      assert.same({ 3, 3 }, { phase.issued, phase.abandoned })
   end)

   it("of a stall ends the phase, and the run failed", function()
      local r = run "target = hanging, load = load.burst(3), stall = '50ms', duration = '60s', phases = { { 'a' } }"
      local phase = ends(r, 1, "failed")
      assert.same({ 3, 3, "stall" }, { phase.issued, phase.abandoned, phase.end_reason })
      assert.truthy(r.out:find("no request completed for the time given as 'stall'", 1, true), r.out)
   end)

   it("of a phase that does not drain is short, and its stragglers are told apart", function()
      local r = run [[phases = { { 'a', target = hanging, load = load.burst(3), drain = false, deadline = '50ms', kind = 'warmup' },
         { 'b', requests = 4 } } ]]
      ends(r, 0, "ok")
      local a, b = unpack(r.summary.phases)
      assert.same({ 3, { timeout = 3 } }, { a.issued, a.errors })
      assert.same({ 4, 4 }, { b.issued, b.completed })
   end)

   it("passed by an overload aborts", function()
      local r = run [[target = hanging, phases = { { 'a' } }, deadline = '100ms',
         load = load.gaps(function() return 0.001 end, { max_inflight = 3, overload = 'abort' }) ]]
      local phase = ends(r, 1, "failed")
      assert.same({ 3, "overload", { timeout = 3 } }, { phase.issued, phase.end_reason, phase.errors })
      assert.truthy(r.out:find("max_inflight of 3 reached", 1, true), r.out)
   end)
end)

describe("a handler", function()
   for _, hook in ipairs { "issue", "first", "chunk" } do
      it("cancels its request in on." .. hook, function()
         local r = run("requests = 20, phases = { { 'a' } }, on = { " .. hook
            .. " = function(r) if r.id % 2 == 0 then r:cancel() r:cancel() end end }")
         local phase = ends(r, 0, "ok")
         assert.same({ 20, 10, 10, { cancelled = 10 } }, { phase.issued, phase.completed, phase.cancelled, phase.errors })
      end)
   end

   it("cannot cancel what has ended", function()
      local r = run "requests = 5, phases = { { 'a' } }, on = { complete = function(r) r:cancel() end }"
      assert.equal(5, ends(r, 0, "ok").completed)
   end)

   it("stops its phase, and the next one begins", function()
      local r = run "requests = 40, on = { complete = function(r, p) if p.name == 'a' and at(6) then p:stop() p:stop() end end }"
      local phase = ends(r, 0, "ok")
      assert.equal("script", phase.end_reason)
      assert.is_true(phase.issued >= 6 and phase.issued < 40 and phase.issued == phase.completed)
      assert.equal(40, r.summary.phases[2].completed)
   end)

   it("stops the session, and no other phase begins", function()
      local r = run "requests = 40, on = { complete = function(r, p) if at(6) then p.session:stop() end end }"
      local phase = ends(r, 1, "failed")
      assert.same({ "script", 1 }, { phase.end_reason, #r.summary.phases })
      assert.equal(phase.issued, phase.completed)
      assert.truthy(r.out:find("phase 'b' did not run", 1, true), r.out)
   end)

   it("is refused when it issues after the stop", function()
      local r = run [[requests = 4, phases = { { 'a' } }, on = {
         complete = function(r, p) if at(1) then p:stop() end print("told", p:issue()) end,
         phase_end = function(p) print("told", p:issue(1)) end }]]
      local phase = ends(r, 0, "ok")
      assert.equal(phase.issued, phase.completed)
      local _, told = r.out:gsub("told\tnil\tthe phase issues no more\tECLOSED\n", "")
      assert.equal(phase.issued + 1, told)
   end)

   it("issues more than the phase asks for", function()
      local r = run "requests = 10, phases = { { 'a' } }, on = { complete = function(r, p) p:issue() p:issue() p:issue() end }"
      assert.equal(10, ends(r, 0, "ok").completed)
   end)
end)
