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

   it("has every definition of the first token, and what is good", function()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=20ms,tpot=2ms,tokens=8" },
            dataset = { { prompt = "x" } },
            load = perigee.load.concurrency(4), requests = 40,
            slo = { ttft = "10s", tpot = "5s" },
            checks = { "goodput > 0.5", "goodput_per_s > 1", "first_byte.p50 > 0s", "first_event.p99 < 60s", "itl_token.p50 < 60s" },
            phases = {
               { "good" }, { "bad", slo = { latency = "1ms" }, checks = { "goodput == 0" } },
               { "none", slo = { ttft = "19ms", latency = "60s" } },
            },
         }]], "--service", "metrics")
      assert.equal(3, r.code, r.err)
      local summary, snapshot = summary_and_snapshot(r.dir)
      local good, bad, none = unpack(summary.phases)
      assert.same({ 40, 1, 0, 0 }, { good.goodput.good, good.goodput.share, bad.goodput.good, none.goodput.good })
      assert.same(good.goodput, snapshot.phases[1].goodput)
      assert.same({ ttft_ms = 10000, tpot_ms = 5000 }, good.goodput.slo)
      for _, name in ipairs { "first_byte_ms", "first_event_ms", "first_content_ms", "ttft_ms" } do
         assert.equal(40, good[name].count, name)
      end
      assert.equal(engine.json.null, good.first_reasoning_ms)
      local function mean(name) return good[name].mean end
      assert.is_true(mean "first_byte_ms" <= mean "first_event_ms" and mean "first_event_ms" <= mean "first_content_ms")
      assert.equal(mean "first_content_ms", mean "ttft_ms")
      for _, request in ipairs(drive.jsonl(r.dir .. "/requests.jsonl")) do
         assert.equal(request.first_ns, request.first_content_ns)
         assert.is_true(request.first_byte_ns <= request.first_event_ns and request.first_event_ns <= request.first_content_ns)
         assert.is_nil(request.first_reasoning_ns)
      end
      assert.same({ 8, 8 }, { good.output_tokens.min, good.output_tokens.max })
      assert.equal(good.itl_ms.count, good.itl_token_ms.count)
      assert.same({ count = 40, failures = 0 },
         { count = good.latency_with_failures_ms.count, failures = good.latency_with_failures_ms.failures })
      assert.equal(good.latency_ms.p99, good.latency_with_failures_ms.p99)
   end)

   it("tells what comes over time, and failures as if they took for ever", function()
      local lines = {}
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:fault=status=0.3,seed=2" },
            dataset = { { prompt = "x" } },
            load = perigee.load.concurrency(2), requests = 60,
         }]])
      for _, line in ipairs(drive.jsonl(r.dir .. "/series.jsonl")) do lines[#lines + 1] = line end
      local sums, http, worst = { issued = 0, completed = 0, failed = 0, asked = 0 }, 0, 0
      for _, line in ipairs(lines) do
         http, worst = http + (line.failures and line.failures.http or 0), math.max(worst, line.lateness_max_us or 0)
         for name in pairs(sums) do sums[name] = sums[name] + line[name] end
      end
      local phase = r.summary.phases[1]
      assert.same({ issued = 60, asked = 60, completed = phase.completed, failed = phase.failed }, sums)
      assert.same({ phase.failed, phase.lateness_us.max }, { http, worst })
      assert.equal(0, lines[#lines].in_flight)
      assert.is_true(lines[1].in_flight_max <= 2 and lines[1].in_flight_max > 0)
      -- Of 60 with that share of failures the p99 is a failure, the p50 is none.
      assert.equal(engine.json.null, phase.latency_with_failures_ms.p99)
      assert.is_true(phase.latency_with_failures_ms.p50 >= phase.latency_ms.p50)
      assert.is_true(phase.error_rate_ci95[1] < phase.error_rate and phase.error_rate < phase.error_rate_ci95[2])
   end)

   it("tells a phase as MLPerf's tools do, and which sample each request was of", function()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a b", "c d e" }, seed = 7,
            phases = {
               { "warmup", kind = "warmup", requests = 20 },
               { "open", load = perigee.load.poisson(2000), requests = 700, mlperf = { min_duration = 0.001, ttft = "50s" } },
               { "closed", load = perigee.load.concurrency(4), requests = 60, mlperf = true },
            },
         }]])
      assert.equal(0, r.code, r.err)
      local open, closed = unpack(r.summary.mlperf)
      assert.same({ "open", true, "closed", false }, { open.phase, open.valid, closed.phase, closed.valid })
      assert.equal(2, #closed.findings)
      local result = open.result_summary
      assert.same({ 700, 700, 0, 7 }, { result.n_samples_issued, result.n_samples_completed, result.n_samples_failed,
         result.run_config.scheduler_random_seed })
      assert.is_true(math.abs(result.qps - 699 / (result.legacy_loadgen_window_duration_ns / 1e9)) < 1e-6)
      -- 662 to 737 requests allow one above p99: the estimate is the highest
      assert.equal(result.latency.max, result.latency.early_stopping_percentiles["99.0"])
      assert.equal(engine.json.null, result.latency.early_stopping_percentiles["99.9"])
      local sum = 0
      for _, n in ipairs(result.latency.histogram.counts) do sum = sum + n end
      assert.same({ 30, 700 }, { #result.latency.histogram.counts, sum })
      assert.same({ 2, 3 }, { result.input_sequence_lengths.min, result.input_sequence_lengths.max })
      local map, count = assert(engine.json.decode(drive.read(r.dir .. "/sample_idx_map.json"))), 0
      for _ in pairs(map.open) do count = count + 1 end
      assert.same({ 700, nil }, { count, map.warmup })
      for _, request in ipairs(drive.jsonl(r.dir .. "/requests.jsonl")) do
         if request.phase == "closed" then assert.equal(request.index, map.closed[request.sample_uuid]) end
      end
      local text = drive.read(r.dir .. "/summary.txt")
      assert.truthy(text:find "mlperf: phase 'open' is valid\nmlperf: phase 'closed' is INVALID\n  it lasted ")
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
      assert.truthy(r.summary.warnings[1].detail:find "more tags than are kept apart")
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
