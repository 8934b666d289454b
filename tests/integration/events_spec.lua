local engine = require "perigee_engine"
local command = require "perigee.cli.command"
local events = require "perigee.cli.events"

local SOURCE = "tests/integration/event_source.lua"

--- Start a publisher; returns it and its address.
local function source(count, mode)
   local process = assert(engine.spawn { "luajit", SOURCE, tostring(count), mode })
   return process, assert(process:read_line(20))
end

--- Run the command in a process of its own: exit status and all that it wrote.
local function perigee_events(args, redirect)
   local run = [[os.exit(require("perigee.cli.events").run(arg))]]
   local path = os.tmpname()
   local f = assert(io.open(path, "w"))
   f:write(run)
   f:close()
   local pipe = assert(io.popen(("luajit %s %s %s; echo status $?"):format(path, args, redirect or "2>&1")))
   local output = pipe:read("*a")
   pipe:close()
   os.remove(path)
   local text, status = output:match("^(.-)status (%d+)\n$")
   return tonumber(status), text
end

local function lines(text)
   local list = {}
   for line in text:gmatch("[^\n]+") do
      table.insert(list, line)
   end
   return list
end

describe("perigee events", function()
   it("writes each event as a line of JSON and ends with the session", function()
      local process, address = source(500)
      local status, text = perigee_events("--connect " .. address .. " --jsonl -", "2>/dev/null")
      assert.equal(0, status)
      local list = lines(text)
      assert.equal(502, #list)
      assert.equal("session.started", engine.json.decode(list[1]).event_type)
      local last = engine.json.decode(list[502])
      assert.same({ event_type = "session.ended", timestamp_ns = 1501, seq = 501, session_id = ("5e"):rep(16) }, last)
      assert.equal(0, process:stop(20))
   end)

   it("tells what came on standard error", function()
      local process, address = source(10)
      local status, text = perigee_events("--connect=" .. address)
      assert.equal(0, status)
      assert.equal("perigee events: 12 records in 12 frames, 0 duplicate, complete\n", text)
      process:stop(20)
   end)

   it("says nothing with --quiet when all is well", function()
      local process, address = source(10)
      local status, text = perigee_events("--quiet --connect " .. address)
      assert.equal(0, status)
      assert.equal("", text)
      process:stop(20)
   end)

   it("fails when records are missing", function()
      local process, address = source(10, "gap")
      local status, text = perigee_events("--quiet --connect " .. address)
      assert.equal(1, status)
      assert.truthy(text:find("3 missing", 1, true))
      process:stop(20)
   end)

   it("fails when a frame is corrupt, and reads on", function()
      local process, address = source(10, "corrupt")
      local status, text = perigee_events("--connect " .. address)
      assert.equal(1, status)
      assert.equal("perigee events: 12 records in 13 frames, 0 duplicate, 1 corrupt\n", text)
      process:stop(20)
   end)

   it("counts and skips frames that are broken in any way", function()
      local process, address = source(240, "garbage")
      local status, text = perigee_events("--connect " .. address .. " --jsonl - 2>&1 >/dev/null", "")
      assert.equal(1, status)
      assert.equal("perigee events: 242 records in 483 frames, 0 duplicate, 241 corrupt\n", text)
      process:stop(20)
   end)

   it("learns of the end whatever the topics are", function()
      local process, address = source(10)
      local status, text = perigee_events("--topic sample.issued --connect " .. address .. " --jsonl -", "2>/dev/null")
      assert.equal(0, status)
      assert.equal(1, #lines(text))
      process:stop(20)
   end)

   it("gives up when nothing comes", function()
      local status, text = perigee_events("--idle 50ms --connect ipc:///nonexistent/events")
      assert.equal(1, status)
      assert.truthy(text:find("the session did not end", 1, true))
   end)

   it("fails when the file cannot be written", function()
      local process, address = source(10)
      local status, text = perigee_events("--jsonl /dev/full --connect " .. address)
      assert.equal(1, status)
      assert.truthy(text:find("No space left on device", 1, true))
      process:stop(20)
   end)

   it("fails when the file cannot be opened", function()
      local status, text = perigee_events("--jsonl /nonexistent/file --connect ipc:///nonexistent/events")
      assert.equal(1, status)
      assert.truthy(text:find("/nonexistent/file", 1, true))
   end)

   it("exits with 130 and 143 on signals", function()
      for signal, expected in pairs { [2] = 130, [15] = 143 } do
         local process, address = source(1, "endless")
         -- Its first event shows that the subscriber is running.
         local script = os.tmpname()
         local f = assert(io.open(script, "w"))
         f:write(([[
            local ffi = require "ffi"
            ffi.cdef "int getpid(void); int kill(int pid, int signal);"
            local engine = require "perigee_engine"
            local r = engine.subscribe { connect = %q, idle_timeout = 20, on_event = function()
               ffi.C.kill(ffi.C.getpid(), %d)
            end }
            os.exit(128 + r.signal)]]):format(address, signal))
         f:close()
         local pipe = assert(io.popen("luajit " .. script .. "; echo $?"))
         assert.equal(expected, tonumber(pipe:read("*l")))
         pipe:close()
         os.remove(script)
         process:stop(0)
      end
   end)

   it("refuses wrong options", function()
      for _, args in ipairs {
         "",                                  -- no address
         "--connect",                         -- no value
         "--connect x://y",                   -- no such transport
         "--connect ipc:///a --idle soon",    -- no time
         "--connect ipc:///a --idle 0",       -- no wait
         "--connect ipc:///a --idle 5x",      -- no unit
         "--connect ipc:///a --what",         -- unknown
         "--connect ipc:///a more",           -- no option
         "--connect ipc:///a --sqlite",       -- no file
         "--connect ipc:///a --sqlite f --jsonl f", -- one file for both
      } do
         local status, text = perigee_events(args)
         assert.equal(2, status, args)
         assert.truthy(text:find("^perigee events: "), args)
      end
   end)

   it("prints its usage", function()
      local status, text = perigee_events("--help")
      assert.equal(0, status)
      assert.equal(command.help(events), text)
   end)
end)

describe("engine.subscribe", function()
   it("hands each event to a function as JSON text", function()
      local process, address = source(3)
      local types = {}
      local r = assert(engine.subscribe {
         connect = address,
         on_event = function(text) table.insert(types, engine.json.decode(text).event_type) end,
      })
      assert.same({ "session.started", "sample.complete", "sample.complete", "sample.complete",
         "session.ended" }, types)
      assert.equal("ended", r.outcome)
      assert.is_true(r.ended)
      assert.equal(5, r.records)
      process:stop(20)
   end)

   it("returns the error of the function", function()
      local process, address = source(3)
      local r, message, code = engine.subscribe {
         connect = address,
         on_event = function() error("enough") end,
      }
      assert.is_nil(r)
      assert.equal("ESCRIPT", code)
      assert.truthy(message:find("enough", 1, true))
      process:stop(0)
   end)

   it("raises an error on misuse", function()
      assert.error(function() engine.subscribe {} end)
      assert.error(function() engine.subscribe { connect = 1 } end)
      assert.error(function() engine.subscribe { connect = "ipc:///a", topics = "all" } end)
      assert.error(function() engine.subscribe { connect = "ipc:///a", on_event = 1 } end)
   end)
end)
