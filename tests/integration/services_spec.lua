local drive = require "drive"
local engine = require "perigee_engine"

-- A run of 200 requests; after 50 of them it sends SIGNAL to the child whose command line holds NAME.
local SCENARIO = [[
local ffi = require "ffi"
ffi.cdef "int getpid(void); int kill(int pid, int signal);"
local function child(name)
   local me = ffi.C.getpid()
   local list = assert(io.open(("/proc/%%d/task/%%d/children"):format(me, me))):read "*a"
   for pid in list:gmatch "%%d+" do
      local file = io.open("/proc/" .. pid .. "/cmdline")
      if file and file:read("*a"):gsub("%%z", " "):find("perigee " .. name, 1, true) then return tonumber(pid) end
   end
   error("no child is called " .. name)
end
local name, signal = %q, %d
return perigee.scenario {
   target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=1ms,tpot=1ms,tokens=4" },
   dataset = perigee.dataset.table { { prompt = "x" } },
   phases = { { "steady", load = perigee.load.concurrency(4), requests = 200 } },
   on = { issue = function(_, p)
      if p.issued == 50 and signal > 0 then ffi.C.kill(child(name), signal) end
   end },
}]]

local function scenario(name, signal)
   return SCENARIO:format(name or "", signal or 0)
end

local function snapshot(dir)
   local text = drive.read(dir .. "/final_snapshot.json")
   return text and assert(engine.json.decode(text))
end

--- A program in dir with this shell text.
local function program(dir, name, text)
   drive.write(dir .. "/" .. name, "#!/bin/sh\n" .. text .. "\n")
   os.execute("chmod +x " .. drive.quote(dir .. "/" .. name))
   return dir .. "/" .. name
end

local function names(summary, text)
   for _, failure in ipairs(summary.failures) do
      if failure:find(text, 1, true) then return true end
   end
   return false
end

-- A run that kills itself in its middle, in a way that it cannot tell anybody.
local KILLED = [[
   local ffi = require "ffi"
   ffi.cdef "int getpid(void); int kill(int pid, int signal);"
   return perigee.scenario {
      target = perigee.target.openai_chat { url = "mock:" },
      dataset = perigee.dataset.table { { prompt = "x" } },
      phases = { { "steady", load = perigee.load.concurrency(4), duration = "1h" } },
      on = { issue = function(_, p) if p.issued == 5000 then ffi.C.kill(ffi.C.getpid(), 9) end end },
   }]]

describe("a service of a run", function()
   it("is started, subscribed before the first event, and awaited", function()
      local r = drive.run(scenario(), "--service", "metrics", "--service", "events --topic sample.complete")
      assert.equal(0, r.code, r.err)
      assert.equal("ended", snapshot(r.dir).state)
      assert.equal(200, snapshot(r.dir).phases[1].completed)
      assert.equal(200 + 1, #drive.jsonl(r.dir .. "/events.jsonl")) -- and session.ended
      for _, name in ipairs { "final_snapshot.json", "events.jsonl" } do -- named at the end
         assert.truthy(r.err:find(r.dir .. "/" .. name .. "\n", 1, true), r.err)
      end
      local socket = r.err:match "top:     perigee top ipc://(%S+)"
      assert.truthy(socket, r.err)
      assert.not_equal(0, drive.shell("test -e " .. socket).code)
   end)

   it("takes arguments, with quotes around blanks", function()
      local dir = drive.tempdir()
      local r = drive.run(scenario(), "--quiet", "--service", ("events --jsonl '%s/all events'"):format(dir),
         "--service", ("metrics --out %s/last.json --publish ipc://%s/s.ipc"):format(dir, dir))
      assert.equal(0, r.code, r.err)
      assert.equal("", r.err)
      assert.equal("session.ended", table.remove(drive.jsonl(dir .. "/all events")).event_type)
      assert.equal("ended", engine.json.decode(drive.read(dir .. "/last.json")).state)
   end)

   it("that is killed is named at once, and the run goes on to its end", function()
      local r = drive.run(scenario("metrics", 9), "--service", "metrics", "--service", "events")
      assert.equal(1, r.code, r.err)
      local text = "service 'metrics' was ended by signal 9 while the run went on"
      assert.truthy(r.err:find(text, 1, true), r.err)
      assert.is_true(names(r.summary, text))
      assert.equal("failed", r.summary.verdict)
      assert.equal(200, r.summary.phases[1].completed)
      assert.is_nil(snapshot(r.dir))
      assert.equal("session.ended", table.remove(drive.jsonl(r.dir .. "/events.jsonl")).event_type)
   end)

   it("that ends too early on its own is named", function()
      local r = drive.run(scenario("metrics", 15), "--service", "metrics")
      assert.equal(1, r.code, r.err)
      assert.is_true(names(r.summary, "service 'metrics' ended with exit status 143 while the run went on")
         or names(r.summary, "service 'metrics' was ended by signal 15 while the run went on"))
      assert.equal("interrupted", snapshot(r.dir).state)
   end)

   it("that is stopped is given its time, then ended and named", function()
      local r = drive.run(scenario("metrics", 19), "--service", "metrics", "--service-timeout", "1")
      assert.equal(1, r.code, r.err)
      assert.is_true(names(r.summary, "service 'metrics' did not end within"))
      assert.equal(200, r.summary.phases[1].completed)
   end)

   it("that fails at its end is named", function()
      local dir = drive.tempdir()
      local failing = program(dir, "failing", [[scripts/perigee events --quiet --jsonl /dev/null "$@"; exit 7]])
      local r = drive.run(scenario(), "--service", failing)
      assert.equal(1, r.code, r.err)
      assert.is_true(names(r.summary, ("service '%s' ended with exit status 7"):format(failing)))
   end)

   it("that comes late is waited for, and misses nothing", function()
      local dir = drive.tempdir()
      os.execute("mkfifo " .. drive.quote(dir .. "/go"))
      local late = program(dir, "late", ([[read go <%s/go; exec scripts/perigee metrics --out %s "$@"]]):format(dir, dir))
      local file = drive.scenario(dir, scenario())
      local r = drive.shell(table.concat({
         drive.command("run", file, "--out", dir .. "/out", "--progress", "none", "--service", late) .. " & run=$!",
         "echo go >" .. dir .. "/go", -- waits for its reader
         "wait $run",
      }, "\n"))
      assert.equal(0, r.code, r.err)
      assert.equal("ended", snapshot(dir).state)
      assert.equal(200, snapshot(dir).phases[1].completed)
   end)

   it("that cannot start ends the run before its first request", function()
      local dir = drive.tempdir()
      for what, reason in pairs {
         ["metrics --interval nonsense"] = "service 'metrics' ended with exit status 2 before it had subscribed",
         ["./nonexistent/program"] = "./nonexistent/program",
         [program(dir, "dies", "kill -9 $$")] = "was ended by signal 9 before it had subscribed",
      } do
         local r = drive.run(scenario(), "--service", what)
         assert.equal(1, r.code, what)
         assert.truthy(r.err:find(reason, 1, true), r.err)
         assert.is_nil(r.summary)
         assert.is_nil((drive.read(r.dir .. "/requests.jsonl") or ""):match "%S")
      end
   end)

   it("that never subscribes ends the run after a deadline, and is ended itself", function()
      local dir = drive.tempdir()
      local deaf = program(dir, "deaf", ("echo $$ >%s/pid; while read line; do :; done"):format(dir))
      local r = drive.run(scenario(), "--service", deaf, "--subscribers-timeout", "0.3")
      assert.equal(1, r.code)
      assert.truthy(r.err:find(("the services '%s' did not subscribe within 0.3 s"):format(deaf), 1, true), r.err)
      local pid = drive.read(dir .. "/pid"):match "%d+"
      assert.not_equal(0, drive.shell("kill -0 " .. pid).code)
   end)

   it("sees the end of a run that is interrupted", function()
      local r = drive.run([[
         local ffi = require "ffi"
         ffi.cdef "int getpid(void); int kill(int pid, int signal);"
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" },
            dataset = perigee.dataset.table { { prompt = "x" } },
            phases = { { "steady", load = perigee.load.concurrency(4), duration = "1h" } },
            on = { issue = function(_, p) if p.issued == 100 then ffi.C.kill(ffi.C.getpid(), 2) end end },
         }]], "--service", "metrics")
      assert.equal(130, r.code, r.err)
      local final = snapshot(r.dir)
      assert.equal("ended", final.state)
      assert.equal("interrupted", final.phases[1].end_reason)
      assert.same(r.summary.phases, final.phases)
   end)

   it("learns that the run was killed, and says that what it has is incomplete", function()
      local dir = drive.tempdir()
      local file = drive.scenario(dir, KILLED)
      local r = drive.shell(table.concat({
         drive.command("run", file, "--out", dir .. "/out", "--progress", "none", "--service", "metrics"),
         "echo code $?",
         "until [ -e " .. dir .. "/out/final_snapshot.json ]; do :; done",
      }, "\n"))
      assert.truthy(r.out:find("code 137", 1, true), r.out .. r.err)
      local final = snapshot(dir .. "/out")
      assert.equal("incomplete", final.state)
      assert.is_true(final.phases[1].completed > 0)
   end)

   it("does not outlive a run that was killed, and keeps what had come", function()
      local dir = drive.tempdir()
      local file = drive.scenario(dir, KILLED)
      -- The pipe ends when all have closed it who inherited it from the run.
      local r = drive.shell(drive.command("run", file, "--out", dir .. "/out", "--progress", "none",
         "--service", ("events --jsonl %s/all.jsonl --sqlite %s/all.db"):format(dir, dir)) .. " 2>&1 >/dev/null | cat")
      assert.equal(0, r.code, r.err)
      assert.truthy(r.out:find("the session did not end", 1, true), r.out)
      local list = drive.jsonl(dir .. "/all.jsonl")
      assert.equal("session.started", list[1].event_type)
      assert.is_true(#list > 1000)
   end)

   it("is refused when it is unknown", function()
      for what, reason in pairs {
         ["metric"] = "unknown service 'metric' (metrics, events, or the path of a program)",
         [" "] = "a service is missing",
         ["events --jsonl 'x"] = "a quote is not closed",
      } do
         local r = drive.run(scenario(), "--service", what)
         assert.equal(2, r.code, what)
         assert.truthy(r.err:find(reason, 1, true), r.err)
      end
   end)
end)
