local drive = require "drive"
local engine = require "perigee_engine"

local DEADLINE_S = 20

local function snapshot(state)
   local d = { count = 10, mean = 1, std = 0, min = 1, max = 9 }
   for _, q in ipairs { "p50", "p90", "p95", "p99", "p99.9" } do d[q] = 1.5 end
   return engine.json.encode {
      schema_version = 1, state = state, session_id = ("ab"):rep(16), monotonic_s = engine.clock(), in_flight = 3,
      received = { records = 42, frames = 7, missing = 0, corrupt = 0, duplicate = 0, lost_frames = 0, uncounted = 0 },
      phase = "steady", goal = { requests = 100 },
      phases = engine.json.array { {
         name = "steady", kind = "performance", end_reason = "", duration_s = 2, issued = 25, completed = 20, failed = 2,
         abandoned = 0, cancelled = 0, dropped = 0, qps = 10, errors = { http_500 = 2 }, latency_ms = d, ttft_ms = d,
      } },
   }
end

--- Start `perigee top` at the beacon and say snapshots until it has said a line, or done.
local function until_line(beacon, process, state)
   local deadline = engine.clock() + DEADLINE_S
   repeat
      assert(engine.clock() < deadline, "no line came")
      assert(beacon:send(snapshot(state)))
      local line, _, code = process:read_line(0.02)
      if line then return line end
   until code ~= "ETIMEDOUT"
end

describe("perigee top", function()
   local beacon

   before_each(function() beacon = assert(engine.beacon "tcp://127.0.0.1:*") end)
   after_each(function() beacon:close() end)

   local function start(...)
      return assert(engine.spawn { "scripts/perigee", "top", beacon:address(), ... })
   end

   it("shows one frame with --once", function()
      local process = start "--once"
      local lines = { until_line(beacon, process, "running") }
      local line = process:read_line(DEADLINE_S)
      while line do
         lines[#lines + 1] = line
         line = process:read_line(DEADLINE_S)
      end
      assert.equal(0, process:stop(DEADLINE_S))
      local text = table.concat(lines, "\n")
      for _, part in ipairs { "running", "abababab", "in flight 3", "25 of 100 requests", "1.50 ms", "http_500 2", "steady" } do
         assert.truthy(text:find(part, 1, true), text)
      end
      assert.is_nil(text:find("\27", 1, true))
   end)

   it("says a plain line where there is no terminal, and ends with the session", function()
      local process = start()
      local line = until_line(beacon, process, "running")
      assert.equal("running  steady  25 of 100 requests  issued 25  done 20  failed 2  in flight 3  10/s  " ..
         "latency p50 1.50 ms p99 1.50 ms  ttft p50 1.50 ms p99 1.50 ms  errors http_500 2", line)
      repeat line = until_line(beacon, process, "ended") until not line or line:match "^ended"
      assert.truthy(line)
      assert.equal(0, process:stop(DEADLINE_S))
   end)

   it("passes over what is no snapshot", function()
      local process = start()
      local deadline, line = engine.clock() + DEADLINE_S, nil
      while not line do
         assert(engine.clock() < deadline)
         beacon:send "no json"
         beacon:send "[1, 2]"
         beacon:send '{"schema_version":99}'
         line = until_line(beacon, process, "ended")
      end
      assert.truthy(line:match "^ended")
      assert.equal(0, process:stop(DEADLINE_S))
   end)

   it("gives up when no snapshot comes", function()
      local r = drive.perigee("top", beacon:address(), "--idle", "50ms")
      assert.equal(1, r.code)
      assert.truthy(r.err:find("no snapshot came", 1, true), r.err)
   end)

   it("is interrupted with 130", function()
      local ffi = require "ffi"
      ffi.cdef "int kill(int pid, int signal);"
      local process = start()
      until_line(beacon, process, "running")
      ffi.C.kill(process:pid(), 2)
      assert.equal(130, process:stop(DEADLINE_S))
   end)

   it("redraws in place on a terminal", function()
      if drive.shell("command -v script").code ~= 0 then return pending "script(1) is not installed" end
      local command = "TERM=xterm NO_COLOR=1 scripts/perigee top " .. beacon:address()
      local process = assert(engine.spawn { "script", "-qec", command, "/dev/null" })
      local lines, done = {}, nil
      while not done do
         local line = until_line(beacon, process, #lines < 40 and "running" or "ended")
         lines[#lines + 1] = line
         done = not line
      end
      local text = table.concat(lines, "\n")
      assert.truthy(text:find("\27[?25l", 1, true)) -- the cursor is hidden
      assert.truthy(text:find("\27%[%d+A\r"), text) -- and the frame redrawn from there
      assert.truthy(text:find("\27[K", 1, true))
      assert.truthy(text:find("\27[?25h", 1, true)) -- and shown again
      assert.is_nil(text:find("\27[3", 1, true)) -- no colours
      process:stop(DEADLINE_S)
   end)

   it("follows a run from another process to its end", function()
      local dir = drive.tempdir()
      local address = "ipc://" .. dir .. "/s.ipc"
      -- It ends when it has been seen.
      local file = drive.scenario(dir, ([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" },
            dataset = perigee.dataset.table { { prompt = "x" } },
            phases = { { "steady", load = perigee.load.constant(1000), duration = "1h" } },
            on = { complete = function(_, p)
               local file = io.open("%s/top")
               if file:read(1) then p:stop() end
               file:close()
            end },
         }]]):format(dir))
      local r = drive.shell(table.concat({
         drive.command("top", address) .. " >" .. dir .. "/top & top=$!",
         drive.command("run", file, "--out", dir .. "/out", "--progress", "none", "--service",
            "metrics --publish " .. address) .. " || exit 9",
         "wait $top",
      }, "\n"))
      assert.equal(0, r.code, r.err)
      local last
      for line in drive.read(dir .. "/top"):gmatch "[^\n]+" do last = line end
      local phase = assert(engine.json.decode(drive.read(dir .. "/out/summary.json"))).phases[1]
      assert.truthy(last:find(("issued %d  done %d  failed 0  in flight 0"):format(phase.issued, phase.completed), 1, true), last)
      assert.truthy(last:find "^ended  steady  ")
   end)

   it("refuses bad usage", function()
      assert.equal(2, drive.perigee("top").code)
      assert.equal(2, drive.perigee("top", "a", "b").code)
      assert.equal(2, drive.perigee("top", "x://y").code)
      assert.equal(2, drive.perigee("top", "ipc:///a", "--idle", "0").code)
   end)
end)
