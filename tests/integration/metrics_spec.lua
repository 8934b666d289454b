local drive = require "drive"
local engine = require "perigee_engine"
local ffi = require "ffi"

ffi.cdef "int kill(int pid, int signal);"

local SOURCE = "tests/integration/event_source.lua"
local INT, TERM = 2, 15

--- Start a publisher of the tests; returns it and its address.
local function source(count, mode)
   local process = assert(engine.spawn { "luajit", SOURCE, tostring(count), mode })
   return process, assert(process:read_line(20))
end

--- Run `perigee metrics` to its end: its result, and the last snapshot.
local function metrics(address, ...)
   local dir = drive.tempdir()
   local r = drive.perigee("metrics", "--connect", address, "--out", dir, ...)
   local text = drive.read(dir .. "/final_snapshot.json")
   r.dir, r.snapshot = dir, text and assert(engine.json.decode(text))
   return r
end

local function summary_and_snapshot(dir)
   return assert(engine.json.decode(drive.read(dir .. "/summary.json"))),
      assert(engine.json.decode(drive.read(dir .. "/final_snapshot.json")))
end

describe("perigee metrics", function()
   it("comes to the same numbers as the session itself, phase by phase", function()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:fault=status=0.2,seed=3" },
            dataset = perigee.dataset.table { { prompt = "one two three four" }, { prompt = "five" } },
            phases = {
               { "warmup", kind = "warmup", load = perigee.load.burst(20), drain = false },
               { "closed", load = perigee.load.concurrency(8), requests = 400 },
               { "open", load = perigee.load.poisson(2000), requests = 400 },
               { "dropped", load = perigee.load.gaps(function(i) if i < 50 then return 0 end end,
                  { max_inflight = 3, overload = "drop" }) },
               { "empty", load = perigee.load.gaps(function(i) return nil end), requests = 1 },
            },
         }]], "--service", "metrics")
      assert.is_true(r.code == 0 or r.code == 1, r.err)
      local summary, snapshot = summary_and_snapshot(r.dir)
      assert.equal("ended", snapshot.state, r.err)
      assert.equal(5, #snapshot.phases)
      assert.same(summary.phases, snapshot.phases)
      assert.equal(summary.session_id, snapshot.session_id)
      assert.equal(summary.started_at, snapshot.started_at)
      -- and there was something to compare
      assert.equal(400, summary.phases[2].issued)
      assert.is_true(summary.phases[2].failed > 0)
      assert.is_true(summary.phases[4].dropped > 0)
      for _, name in ipairs { "missing", "corrupt", "duplicate", "lost_frames", "uncounted" } do
         assert.equal(0, snapshot.received[name], name)
      end
   end)

   it("splits them by the tags of the requests", function()
      local r = drive.run([[
         local long = { prompt = "one two three four" }
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:fault=status=0.2,seed=3" },
            dataset = perigee.dataset.table { long, { prompt = "five" }, { prompt = "six" } },
            request = function(sample, i)
               if i == 2 then return sample.prompt end
               return { tag = i == 1 and "long" or "sh\255rt" }
            end,
            load = perigee.load.concurrency(4), requests = 300,
            checks = { "tag('long').issued == 100", "tag('long').latency.p99 < 100s" },
            on = { phase_end = function(p, report)
               print(report.tags.long.issued, report.tags.long.latency.count == report.tags.long.completed,
                  p:report().tags["sh\239\191\189rt"].issued)
            end },
         }]], "--service", "metrics")
      assert.equal(0, r.code, r.err)
      assert.equal("100\ttrue\t100\n", r.out:match "^[^\n]*\n")
      local summary, snapshot = summary_and_snapshot(r.dir)
      local phase = summary.phases[1]
      assert.same(phase.tags, snapshot.phases[1].tags)
      local long, short = phase.tags.long, phase.tags["sh\239\191\189rt"]
      assert.same({ 300, 100, 100 }, { phase.issued, long.issued, short.issued })
      assert.is_true(long.failed > 0 and long.failed < phase.failed)
      assert.equal(long.completed, long.latency_ms.count)
      assert.is_true(long.latency_ms.exact)
      assert.equal(long.failed, long.errors.http_500)
      assert.truthy(drive.read(r.dir .. "/summary.txt"):find "\n  long%s+100%s+%d")
   end)

   it("says when there were more tags than it keeps apart", function()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.http { url = "mock:" },
            request = function(_, i) return { path = "/health", method = "GET", tag = "t" .. i } end,
            dataset = (function() local d = {} for i = 1, 300 do d[i] = { prompt = "p" } end return d end)(),
            load = perigee.load.concurrency(4), requests = 300,
         }]])
      assert.equal(0, r.code, r.err)
      assert.equal(300 - 255, r.summary.phases[1].tags.other.issued)
      assert.truthy(r.summary.warnings[1]:find "more tags than are kept apart")
   end)

   it("does so in the mlcommons framing too", function()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" },
            dataset = perigee.dataset.table { { prompt = "one two three" } },
            phases = {
               { "a", load = perigee.load.concurrency(4), requests = 100 },
               { "b", load = perigee.load.constant(1000), requests = 100 },
            },
         }]], "--framing", "mlcommons", "--service", "metrics")
      local summary, snapshot = summary_and_snapshot(r.dir)
      for i = 1, #snapshot.phases do
         -- the names and bounds of phases are custom events, which that framing leaves out
         local mine, theirs = summary.phases[i], snapshot.phases[i]
         for _, name in ipairs { "issued", "completed", "failed", "latency_ms", "ttft_ms", "lateness_us", "finish_reasons" } do
            assert.same(mine[name], theirs[name], name)
         end
      end
   end)

   it("ends well with the session", function()
      local process, address = source(10)
      local r = metrics(address)
      assert.equal(0, r.code, r.err)
      assert.equal("perigee metrics: 12 records in 12 frames, complete\n", r.err)
      assert.truthy(r.out:match "^snapshots: ipc://%S+\n$")
      assert.equal("ended", r.snapshot.state)
      assert.equal(12, r.snapshot.received.records)
      assert.same({}, r.snapshot.phases)
      process:stop(20)
   end)

   it("removes its socket and its folder", function()
      local process, address = source(1)
      local r = metrics(address)
      local path = r.out:match "ipc://(%S+)/snapshots.ipc"
      assert.truthy(path)
      assert.not_equal(0, drive.shell("test -e " .. path).code)
      process:stop(20)
   end)

   it("writes to a file that ends in .json", function()
      local process, address = source(1)
      local dir = drive.tempdir()
      assert.equal(0, drive.perigee("metrics", "--quiet", "--connect", address, "--out", dir .. "/x.json").code)
      assert.equal("ended", engine.json.decode(drive.read(dir .. "/x.json")).state)
      assert.is_nil(drive.read(dir .. "/x.json.tmp"))
      process:stop(20)
   end)

   it("is incomplete when records are missing or corrupt, and says so in the snapshot", function()
      for mode, expected in pairs { gap = { "missing", 3 }, corrupt = { "corrupt", 1 } } do
         local process, address = source(10, mode)
         local r = metrics(address)
         assert.equal(1, r.code, mode)
         assert.equal("incomplete", r.snapshot.state, mode)
         assert.equal(expected[2], r.snapshot.received[expected[1]], mode)
         assert.truthy(r.err:find(("incomplete: %d %s"):format(expected[2], expected[1]), 1, true), r.err)
         process:stop(20)
      end
   end)

   it("is incomplete when the publisher falls silent", function()
      local process, address = source(10, "endless")
      local r = metrics(address, "--idle", "300ms")
      assert.equal(1, r.code)
      assert.equal("incomplete", r.snapshot.state)
      assert.equal(11, r.snapshot.received.records)
      process:stop(20)
   end)

   it("is incomplete when there is no publisher, and soon when its parent is gone", function()
      for _, args in ipairs { { "--idle", "50ms" }, { "--until-eof" } } do -- standard input has ended already
         local r = metrics("ipc:///nonexistent/events", unpack(args))
         assert.equal(1, r.code)
         assert.equal("incomplete", r.snapshot.state)
         assert.equal(0, r.snapshot.received.records)
      end
   end)

   it("publishes snapshots while it runs, and the last one when it is interrupted", function()
      for signal, code in pairs { [INT] = 130, [TERM] = 143 } do
         local publisher, events = source(10, "endless")
         local dir = drive.tempdir()
         local process = assert(engine.spawn { "scripts/perigee", "metrics", "--connect", events, "--out", dir, "--quiet",
            "--interval", "20ms" })
         local address = assert(process:read_line(20)):match "^snapshots: (%S+)$"
         local last, running = nil, 0
         local r = assert(engine.watch { connect = address, idle_timeout = 20, on_text = function(text)
            last = assert(engine.json.decode(text))
            running = running + (last.state == "running" and 1 or 0)
            if running == 3 then ffi.C.kill(process:pid(), signal) end
            return last.state == "running"
         end })
         assert.equal("ended", r.outcome)
         assert.equal("interrupted", last.state)
         assert.equal(code, process:stop(20))
         local final = assert(engine.json.decode(drive.read(dir .. "/final_snapshot.json")))
         assert.same(last, final)
         publisher:stop(20)
      end
   end)

   it("fails when the last snapshot cannot be written", function()
      local process, address = source(1)
      local r = drive.perigee("metrics", "--connect", address, "--out", "/proc/nothing.json")
      assert.equal(1, r.code)
      assert.truthy(r.err:find("/proc/nothing.json", 1, true), r.err)
      process:stop(20)
      r = drive.perigee("metrics", "--connect", address, "--out", "/proc/nothing")
      assert.equal(1, r.code)
   end)

   it("refuses wrong options", function()
      for args, reason in pairs {
         [""] = "--connect is missing",
         ["--connect x://y"] = "x://y",
         ["--connect ipc:///a --publish nowhere"] = "nowhere",
         ["--connect ipc:///a --interval 0"] = "above 0",
         ["--connect ipc:///a --idle soon"] = "idle",
         ["--connect ipc:///a more"] = "unexpected argument",
      } do
         local r = drive.shell("exec scripts/perigee metrics " .. args)
         assert.equal(2, r.code, args)
         assert.truthy(r.err:find(reason, 1, true), r.err)
      end
   end)
end)

describe("engine.aggregate", function()
   it("calls back at each interval and once more at the end", function()
      local process, address = source(5)
      local outcomes = {}
      local outcome = assert(engine.aggregate { connect = address, interval = 0.001, on_snapshot = function(report, stats)
         assert.is_table(report.phases)
         outcomes[#outcomes + 1] = stats.outcome or "running"
      end })
      assert.equal("ended", outcome)
      assert.equal("ended", table.remove(outcomes))
      for _, each in ipairs(outcomes) do assert.equal("running", each) end
      process:stop(20)
   end)

   it("returns the error of the function", function()
      local process, address = source(1)
      local r, message, code = engine.aggregate { connect = address, on_snapshot = function() error("enough") end }
      assert.is_nil(r)
      assert.equal("ESCRIPT", code)
      assert.truthy(message:find("enough", 1, true))
      process:stop(0)
   end)

   it("raises an error on misuse", function()
      assert.error(function() engine.aggregate {} end)
      assert.error(function() engine.aggregate { connect = "ipc:///a" } end)
      assert.error(function() engine.aggregate { connect = "ipc:///a", on_snapshot = 1 } end)
      assert.error(function() engine.aggregate { connect = "ipc:///a", on_snapshot = print, interval = 0 } end)
      assert.error(function() engine.watch {} end)
      assert.error(function() engine.watch { connect = "ipc:///a" } end)
   end)
end)
