--- What a person in front of a terminal sees of a run: through a pseudo-terminal and an emulator of one.
---   PERIGEE_PYTHON  a Python with pyte (python3)
local drive = require "drive"
local engine = require "perigee_engine"

local PYTHON = os.getenv "PERIGEE_PYTHON" or "python3"
local has_emulator = drive.shell(PYTHON .. " -c 'import pyte'").code == 0
local INTERRUPT, TERMINATE = 2, 15

-- A phase that goes on until it is interrupted, behind one that has ended.
local function endless(name, handlers)
   return ([[return perigee.scenario {
      name = %q,
      target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=5ms,tpot=1ms,tokens=4", stream = true },
      dataset = { "x" }, load = perigee.load.constant(200), handler_timeout = "500ms",
      phases = { { "first", requests = 20 }, { "second", duration = "1h"%s } },
   }]]):format(name, handlers or "")
end

local function short(handlers, headers)
   return ([[return perigee.scenario {
      name = "short", target = perigee.target.openai_chat { url = "mock:", stream = true, headers = { %s } },
      dataset = { "x" }, load = perigee.load.constant(100), requests = 100, checks = { "failed < 1" },
      client_limits = { lateness_floor = "1h", busy = 1 }, %s }]]):format(
      headers or "", handlers or "")
end

--- Run a scenario's text in a terminal. options: columns, rows, steps (of terminal.py), env (shell text), more (arguments).
local function watch(text, options)
   local dir = drive.tempdir()
   local file = drive.scenario(dir, (text:gsub("DIR", dir)))
   local steps = engine.json.encode(engine.json.array(options.steps or {})):gsub("DIR", dir)
   local r = drive.shell(("export LC_ALL=C.UTF-8 TERM=xterm; unset CI NO_COLOR FORCE_COLOR CLICOLOR CLICOLOR_FORCE\n%s\nexec %s %s"):format(
      options.env or "", PYTHON, table.concat({ "tests/integration/terminal.py", options.columns or 80, options.rows or 24,
         drive.quote(steps), (drive.command("run", file, "--out", dir .. "/out", unpack(options.more or {})):gsub("DIR", dir)) }, " ")))
   assert.equal(0, r.code, r.err)
   local seen = assert(engine.json.decode(r.out))
   seen.dir, seen.last = dir, seen.snaps[#seen.snaps]
   seen.all = table.concat(seen.last.above, "\n") .. "\n" .. table.concat(seen.last.lines, "\n")
   return seen
end

local function screen_of(snap)
   return table.concat(snap.lines, "\n")
end

-- Nothing of the view is left, and the cursor is there.
local function is_restored(seen)
   assert.is_false(seen.last.hidden)
   assert.is_nil(seen.all:find("in flight", 1, true), seen.all)
   assert.truthy(seen.raw:find "\27%[%?25h[^\27]*$" or not seen.raw:find("\27[?25l", 1, true))
end

local function count(text, part)
   local n, at = 0, text:find(part, 1, true)
   while at do n, at = n + 1, text:find(part, at + 1, true) end
   return n
end

describe("the live view", function()
   if not has_emulator then return pending(PYTHON .. " cannot import pyte") end

   it("shows the phase that runs, below those that ended, and goes without a trace", function()
      local seen = watch(endless "chat", { steps = { { "wait", "last 5 s" }, { "signal", INTERRUPT } } })
      local screen = screen_of(seen.snaps[1])
      assert.is_true(seen.snaps[1].hidden)
      for _, part in ipairs { "first  20 requests in ", "chat  phase 2 of 2 second", " of 1h 00m", "  in flight ", "asked 200/s",
         "latency ", "ttft ", "█  max " } do
         assert.truthy(screen:find(part, 1, true), part .. "\n" .. screen)
      end
      assert.equal("", seen.snaps[1].lines[seen.snaps[1].y + 1]) -- the cursor is parked on an empty line
      assert.equal(130, seen.code)
      is_restored(seen)
      assert.truthy(seen.all:find("verdict: interrupted, exit status 130: SIGINT came", 1, true), seen.all)
      os.execute("rm -rf " .. drive.quote(seen.dir))
   end)

   it("follows the size of the terminal, down to 40 columns and 10 rows", function()
      local seen = watch(endless "日本語の長い名前のシナリオ", { columns = 100, rows = 30, steps = {
         { "wait", "max 2" }, { "resize", 40, 10 }, { "wait", "日本語の長い  phase 2 of 2" }, { "wait", "last 6 s" },
         { "resize", 79, 24 }, { "wait", "max 2" }, { "signal", TERMINATE } } })
      assert.equal(143, seen.code)
      for i = 2, #seen.snaps - 1 do
         local screen = screen_of(seen.snaps[i])
         assert.equal(1, count(screen, "phase 2 of 2"), screen)
         assert.equal(1, count(screen, "in flight"), screen)
         assert.is_true(#seen.snaps[i].lines <= seen.snaps[i].rows)
      end
      is_restored(seen)
      os.execute("rm -rf " .. drive.quote(seen.dir))
   end)

   it("lets what a script prints scroll by above it, each line once and whole", function()
      local seen = watch(short [[on = { complete = function()
         n = (n or 0) + 1
         io.write("part ") print(n, nil) io.stderr:write("and\nmore of ", n, "\n")
      end, phase_end = function() io.write "no end" end }]], {})
      assert.equal(0, seen.code)
      is_restored(seen)
      for i = 1, 100 do
         local tab = (" "):rep(8 - #("part " .. i) % 8)
         local part = ("\npart %d%snil\nand\nmore of %d\n"):format(i, tab, i)
         assert.truthy(("\n" .. seen.all):find(part, 1, true), i .. "\n" .. seen.all)
      end
      assert.truthy(seen.all:find("\nno end\n", 1, true))
      os.execute("rm -rf " .. drive.quote(seen.dir))
   end)

   it("ends with the table as it is in summary.txt, the files, the command and the verdict", function()
      local text = short([[options = { api_key = { "x", "key" } },]], [[["x-key"] = perigee.opt "api_key"]])
      local seen = watch(text, { columns = 300, rows = 50, more = {
         "--api-key", "very secret", "--export", "csv", "--junit", "DIR/checks.xml" } })
      is_restored(seen)
      local all = "\n" .. seen.all
      assert.truthy(all:find("\n" .. drive.read(seen.dir .. "/out/summary.txt"), 1, true), all)
      assert.truthy(all:find("\nfiles:   " .. seen.dir .. "/out/report.html\n", 1, true), all)
      local command = "\ncommand: perigee run DIR/scenario.lua --out DIR/out --api-key '[redacted]' --export csv --junit DIR/checks.xml\n"
      assert.truthy(all:find((command:gsub("DIR", seen.dir)), 1, true), all)
      -- On a busy machine the client is late, which the verdict says.
      local verdict = assert(engine.json.decode(drive.read(seen.dir .. "/out/summary.json"))).verdict
      local line = ("\nverdict: %s, exit status 0: %s"):format(verdict, verdict == "ok" and "its check holds\n" or "")
      assert.truthy(all:find(line, 1, true), all)
      assert.truthy(all:find("\n         " .. seen.dir .. "/checks.xml\n", 1, true), all) -- also where no --log stands before
      assert.truthy(all:find(", summary.csv, requests.csv\n", 1, true), all)
      assert.is_nil(seen.raw:find("very secret", 1, true))
      os.execute("rm -rf " .. drive.quote(seen.dir))
   end)

   local ENDS = {
      { "an error of the script", [[, on = { complete = function() if ready() then error "bad luck" end end }]], 2, "bad luck" },
      { "os.exit in the script", [[, on = { complete = function() if ready() then os.exit(7) end end }]], 7 },
      { "a script that does not come back from C",
         [[, on = { complete = function() if ready() then os.execute "exec sleep 100" end end }]], 2 },
   }
   for _, row in ipairs(ENDS) do
      it("gives the cursor back after " .. row[1], function()
         local seen = watch('function ready() local f = io.open "DIR/go"; return f and f:close() end\n' ..
            endless("ends", row[2]), { rows = 60, steps = { { "wait", "phase 2" }, { "touch", "DIR/go" } } })
         assert.equal(row[3], seen.code, seen.all)
         assert.is_true(seen.snaps[1].hidden)
         is_restored(seen)
         if row[4] then assert.truthy(seen.all:find(row[4], 1, true), seen.all) end
         os.execute("rm -rf " .. drive.quote(seen.dir))
      end)
   end

   it("warns above it while connections use up the local ports", function()
      local text = endless("closes", ', guards = { ports = 0.0005 }')
      text = text:gsub("stream = true", 'stream = true, headers = { Connection = "close" }')
      local seen = watch(text, { columns = 240, steps = { { "wait", "connections were opened" }, { "signal", INTERRUPT } } })
      local begun = seen.all:match "phase 'second': about (%d+) connections will be opened within a minute"
      local opened, room = seen.all:match "phase 'second': (%d+) connections were opened within a minute, the local ports allow (%d+)"
      assert.same({ 12000, true }, { tonumber(begun), opened and opened / room > 0.0005 }, seen.all)
      is_restored(seen)
      os.execute("rm -rf " .. drive.quote(seen.dir))
   end)

   it("gives the cursor back while the process is stopped, and takes it again", function()
      local seen = watch(endless "stops", { steps = { { "wait", "phase 2" }, { "type", "\26" }, { "stopped" }, { "signal", 18 },
         { "wait", "phase 2" }, { "signal", INTERRUPT } } })
      assert.same({ true, false, true }, { seen.snaps[1].hidden, seen.snaps[2].hidden, seen.snaps[3].hidden })
      assert.is_nil(screen_of(seen.snaps[2]):find("phase 2", 1, true))
      assert.equal(130, seen.code)
      is_restored(seen)
      os.execute("rm -rf " .. drive.quote(seen.dir))
   end)

   it("holds up no request when the terminal is stopped", function()
      local seen = watch(endless("waits", [[, tick = "50ms", on = { tick = function(p)
         n = (n or 0) + 1
         if n == 40 then io.open("DIR/done", "w"):close() end
      end }]]), { steps = { { "wait", "phase 2" }, { "type", "\19" }, { "file", "DIR/done" }, { "type", "\17" },
         { "wait", "phase 2" }, { "signal", INTERRUPT } } })
      assert.equal(130, seen.code)
      is_restored(seen)
      os.execute("rm -rf " .. drive.quote(seen.dir))
   end)

   for _, env in ipairs { "export TERM=dumb", "export CI=true", "unset TERM" } do
      it("is lines with " .. env, function()
         local seen = watch(short(), { env = env })
         assert.equal(0, seen.code)
         assert.is_nil(seen.raw:find("\27", 1, true))
         assert.truthy(seen.all:find("performance  100 requests in ", 1, true), seen.all)
         os.execute("rm -rf " .. drive.quote(seen.dir))
      end)
   end

   it("has neither colours nor block characters where they are not wanted", function()
      local seen = watch(endless "plain", { env = "export NO_COLOR=1 LC_ALL=C", steps = { { "wait", "[" }, { "signal", INTERRUPT } } })
      assert.is_nil(seen.raw:find "\27%[%d+m")
      assert.is_nil(seen.raw:find "[\128-\255]")
      is_restored(seen)
      os.execute("rm -rf " .. drive.quote(seen.dir))
   end)
end)
