local database = require "integration.database"
local drive = require "drive"
local engine = require "perigee_engine"

local ECHO = [[
   name = "logged",
   target = perigee.target.openai_chat { url = "mock:" },
   dataset = perigee.dataset.table { { prompt = "a b c" }, { prompt = "d" }, { prompt = "e f" } },
]]

-- A sample for each of thirty requests.
local MANY = "dataset = (function() local d = {} for i = 1, 30 do d[i] = { prompt = \"p\" .. i } end return d end)(), "

--- `perigee report` of a run's log prints the run's own summary; the files drive.run() has compared.
local function assert_same_report(r)
   local report = drive.perigee("report", r.dir .. "/events.plog")
   assert.equal(0, report.code, report.err)
   assert.equal(drive.read(r.dir .. "/summary.txt"), report.out)
end

describe("the sockets of a run", function()
   it("are for its user alone, whatever the umask", function()
      local dir = drive.tempdir()
      local file = drive.scenario(dir, "return perigee.scenario {" .. ECHO .. ([[ requests = 3, on = { complete = function()
         os.execute "stat -c %%a %s/*.ipc >%s/modes"
      end } }]]):format(dir, dir))
      local r = drive.shell("umask 0\n" .. drive.command("run", file, "--out", dir .. "/out", "--events", "ipc://" .. dir .. "/e.ipc",
         "--control", "ipc://" .. dir .. "/c.ipc", "--progress", "none"))
      assert.equal(0, r.code, r.err)
      assert.equal("600\n600\n", drive.read(dir .. "/modes"))
   end)
end)

describe("the event log", function()
   -- what kinds of runs there are: good, failing, checked, dropped, stopped
   local cases = {
      closed = { 0, "load = perigee.load.concurrency(4), requests = 50," },
      open = { 0, "load = perigee.load.poisson(500), requests = 50," },
      warmed = { 0, [[phases = { { "w", kind = "warmup", load = perigee.load.burst(5), drain = false },
                                 { "a", load = perigee.load.concurrency(2), requests = 9 },
                                 { "b", load = perigee.load.constant(300), requests = 9 } },]] },
      failing = { 1, [[load = perigee.load.concurrency(2), requests = 9,
                       target = perigee.target.openai_chat { url = "mock:", headers = { ["x-perigee-fault"] = "status=429" } },]] },
      checked = { 3, [[load = perigee.load.concurrency(2), requests = 9,
                       checks = { "latency.p50 < 1us", "completed >= 9", function() return true, "fine" end },]] },
      dropping = { 0, [[load = perigee.load.burst(9, { max_inflight = 2, overload = "drop" }),]] },
      stopped = { 0, [[load = perigee.load.concurrency(2), requests = 50,
                       on = { complete = function(_, p) if p.completed > 5 then p:stop() end end },]] },
      texts = { 0, MANY .. [[load = perigee.load.concurrency(3), requests = 30, record_text = true,
                     request = function(sample, i) return { tag = i % 2 == 0 and "even" or nil, body = {
                        messages = { { role = "user", content = i % 5 == 0 and "" or "gr\\255\\0 " .. sample.prompt } },
                        reasoning_effort = i % 3 == 0 and "low" or nil } } end,]] },
      mixed = { 0, MANY .. [[load = perigee.load.concurrency(3), requests = 30, record_text = true, deadline = "200ms", mlperf = true,
                     request = function(sample, i)
                        local faults = { "status=404", "reset", "truncate", "error_event", "bad_json", "hang" }
                        return { body = { stream = true, messages = { { role = "user", content = "a b c d" } } },
                           headers = { ["x-perigee-fault"] = faults[i] } }
                     end,]] },
      threads = { 0, [[load = perigee.load.concurrency(4), requests = 50, workers = 1,]] },
      talking = { 0, [[load = perigee.load.users(2), requests = 12, session = function(u)
                     local chat = u:chat {}
                     for i = 1, 3 do chat:say("turn " .. i) end
                  end,]] },
      script_error = { 2, [[load = perigee.load.concurrency(2), requests = 50,
                            on = { complete = function(r) if r.id > 5 then error "no" end end },]] },
   }
   for name, case in pairs(cases) do
      it("rebuilds the report byte by byte: " .. name, function()
         local r = drive.run("return perigee.scenario {" .. ECHO .. case[2] .. "}")
         assert.equal(case[1], r.code, r.err)
         assert_same_report(r)
      end)
   end

   it("holds what requests.jsonl has: texts, and the messages of failures", function()
      local r = drive.run("return perigee.scenario {" .. ECHO .. cases.mixed[2] .. "}")
      local seen = { ok = 0, error_message = 0, text = 0 }
      for _, request in ipairs(drive.jsonl(r.dir .. "/requests.jsonl")) do
         seen.ok = seen.ok + (request.ok and 1 or 0)
         for _, key in ipairs { "error_message", "text" } do seen[key] = seen[key] + (request[key] and 1 or 0) end
      end
      assert.equal(24, seen.ok)
      assert.equal(6, seen.error_message)
      assert.is_true(seen.text >= 24)
      assert.is_table(engine.json.decode(drive.read(r.dir .. "/sample_idx_map.json")).performance)
   end)

   it("completes the requests of a run that was cut short, and takes nothing away when it is itself damaged", function()
      local r = drive.run("return perigee.scenario {" .. ECHO .. "requests = 50 }")
      local path, log = r.dir .. "/requests.jsonl", drive.read(r.dir .. "/events.plog")
      local whole = drive.read(path)
      drive.write(path, whole:sub(1, 2000))
      assert.equal(0, drive.perigee("report", r.dir .. "/events.plog", "--out", r.dir).code)
      assert.equal(whole, drive.read(path))
      assert.is_nil(drive.read(path .. ".tmp"))
      drive.write(r.dir .. "/events.plog", log:sub(1, #log - 3000))
      local damaged = drive.perigee("report", r.dir .. "/events.plog", "--out", r.dir)
      assert.equal(1, damaged.code)
      assert.truthy(damaged.err:find(path .. ": has more than what would replace it", 1, true), damaged.err)
      assert.equal(whole, drive.read(path))
      assert.is_nil(drive.read(path .. ".tmp"))
   end)

   it("says of a run that went well what its log has lost, with the verdict failed", function()
      local r = drive.run("return perigee.scenario {" .. ECHO .. "requests = 9, phases = { { 'a' }, { 'b' }, { 'c' } } }")
      assert.equal("ok", r.summary.verdict)
      local path, log = r.dir .. "/events.plog", drive.read(r.dir .. "/events.plog")
      local at = math.floor(#log / 2)
      drive.write(path, log:sub(1, at - 1) .. string.char(255 - log:byte(at)) .. log:sub(at + 1))
      local report = drive.perigee("report", path, "--json")
      local summary = engine.json.decode(report.out)
      assert.same({ 1, "failed", 2 }, { report.code, summary.verdict, #summary.failures })
      assert.truthy(summary.failures[1]:match "^of the event log %d+ bytes are damaged and were passed over$", summary.failures[1])
      assert.truthy(summary.failures[2]:match "^of the event log %d+ records are missing$", summary.failures[2])
      assert.truthy(report.err:find(path .. ": " .. summary.failures[2]:match "%d.*", 1, true), report.err)
   end)

   it("leaves alone the requests of a run that still writes them", function()
      local dir = drive.tempdir()
      local report = drive.command("report", dir .. "/out/events.plog", "--out", dir .. "/out") .. " >/dev/null 2>" .. dir .. "/told"
      local file = drive.scenario(dir, "return perigee.scenario {" .. ECHO .. ([[ requests = 20,
         on = { complete = function(r) if r.id == 10 then os.execute(%q) end end } }]]):format(report))
      local r = drive.perigee("run", file, "--out", dir .. "/out", "--progress", "none")
      assert.equal(0, r.code, r.err)
      assert.truthy(drive.read(dir .. "/told"):find("/out/requests.jsonl: another run writes to it", 1, true), drive.read(dir .. "/told"))
      assert.equal(20, #drive.jsonl(dir .. "/out/requests.jsonl"))
   end)

   it("is complete without a publisher", function()
      local r = drive.run("return perigee.scenario {" .. ECHO .. "requests = 9 }", "--events", "off")
      assert.equal(0, r.code, r.err)
      assert.equal("off", r.summary.config.run.events)
      assert.equal(9, r.summary.phases[1].completed)
      assert.is_nil(r.err:find("events:", 1, true), r.err)
      assert_same_report(r)
   end)

   it("needs no subscribers, who would wait for events for ever", function()
      for _, option in ipairs { "--service=metrics", "--subscribers=1" } do
         local r = drive.run("return perigee.scenario {" .. ECHO .. "requests = 9 }", "--events", "off", option)
         assert.equal(2, r.code, r.err)
         assert.truthy(r.err:find("needs the events that --events off turns off", 1, true), r.err)
      end
   end)

   it("belongs to one run: a second one is refused and leaves it alone", function()
      local dir = drive.tempdir()
      local inner = drive.scenario(dir, "return perigee.scenario {" .. ECHO .. "requests = 1 }", "inner.lua")
      local outer = drive.scenario(dir, ([[
         return perigee.scenario {]] .. ECHO .. [[ requests = 20,
            on = { complete = function(r)
               if r.id == 10 then os.execute(%q) end
            end } }]]):format("for log in '' '--log off'; do " .. drive.command("run", inner, "--out", dir .. "/out", "--events", "off",
               "--quiet") .. " $log 2>&1; echo $?; done >" .. dir .. "/second"))
      local r = drive.perigee("run", outer, "--out", dir .. "/out", "--progress", "none")
      assert.equal(0, r.code, r.err)
      local second = drive.read(dir .. "/second")
      assert.truthy(second:find("/out/events.plog: another run writes to it\n1\n", 1, true), second)
      assert.truthy(second:find("/out/requests.jsonl: another run writes to it\n1\n", 1, true), second)
      assert.equal(20, #drive.jsonl(dir .. "/out/requests.jsonl"))
      assert_same_report { dir = dir .. "/out" }
   end)

   it("takes no event of a script for one of the session's", function()
      local r = drive.run("return perigee.scenario {" .. ECHO .. [[ requests = 3, on = { complete = function(_, p)
         for _, name in ipairs { "phase_start", "phase end", "run_config", "run_outcome" } do
            assert(not pcall(p.session.emit, p.session, name, "{}"), name)
         end
         assert(p.session:emit("phase", "{}"))
      end } }]])
      assert.equal(0, r.code, r.err)
      assert_same_report(r)
   end)

   it("at the limit of a file's size is like one on a full disk", function()
      local dir = drive.tempdir()
      local file = drive.scenario(dir, "return perigee.scenario {" .. ECHO .. "load = perigee.load.concurrency(2), requests = 2000 }")
      local r = drive.shell("ulimit -f 60\n" .. drive.command("run", file, "--out", dir .. "/out", "--progress", "none"))
      assert.equal(1, r.code, r.err)
      local summary = assert(engine.json.decode(drive.read(dir .. "/out/summary.json")))
      assert.equal(2000, summary.phases[1].completed)
      assert.truthy(table.concat(summary.failures, "\n"):find("events.plog: %d+ records were not written: File too large"))
   end)

   it("can be turned off, or written elsewhere", function()
      local text = "return perigee.scenario {" .. ECHO .. "requests = 3 }"
      local off = drive.run(text, "--log", "off")
      assert.equal(0, off.code, off.err)
      assert.is_nil(drive.read(off.dir .. "/events.plog"))
      local path = drive.tempdir() .. "/x.plog"
      local elsewhere = drive.run(text, "--log", path)
      assert.equal(0, elsewhere.code, elsewhere.err)
      assert.equal(0, drive.perigee("report", path).code)
   end)

   it("tells a run that was killed, and keeps what it had logged", function()
      local dir = drive.tempdir()
      local file = drive.scenario(dir, "return perigee.scenario {" .. ECHO ..
         "load = perigee.load.constant(200), duration = '60s' }")
      local r = drive.shell(table.concat({
         "setsid " .. drive.command("run", file, "--out", dir .. "/out", "--progress", "none") .. " & run=$!",
         -- killed once its log has grown
         "for _ in $(seq 500); do",
         "  [ $(stat -c %s " .. dir .. "/out/events.plog 2>/dev/null || echo 0) -gt 20000 ] && break; sleep 0.02; done",
         "kill -9 $run; wait $run; exit 0",
      }, "\n"))
      assert.equal(0, r.code)
      local report = drive.perigee("report", dir .. "/out/events.plog", "--json")
      assert.equal(1, report.code)
      assert.truthy(report.err:find("it was killed", 1, true), report.err)
      local summary = assert(engine.json.decode(report.out))
      assert.equal("failed", summary.verdict)
      assert.equal("logged", summary.scenario)
      assert.is_true(summary.phases[1].completed > 10)
   end)

   it("goes on without the log when its disk is full, and says what was lost", function()
      local dir = drive.tempdir()
      local file = drive.scenario(dir, "return perigee.scenario {" .. ECHO .. "load = perigee.load.concurrency(2), requests = 300 }")
      local r = drive.perigee("run", file, "--out", dir .. "/out", "--log", "/dev/full", "--progress", "none")
      assert.equal(1, r.code)
      assert.truthy(r.err:find("/dev/full", 1, true), r.err)
   end)

   it("gives its events as JSON lines and as a database", function()
      local r = drive.run("return perigee.scenario {" .. ECHO .. "requests = 3 }")
      local to = drive.tempdir()
      local export = drive.perigee("events", "--from", r.dir .. "/events.plog", "--jsonl", to .. "/e.jsonl", "--sqlite", to .. "/e.db")
      assert.equal(0, export.code, export.err)
      local types = {}
      for i, e in ipairs(drive.jsonl(to .. "/e.jsonl")) do
         assert.equal(i - 1, e.seq)
         types[e.event_type] = (types[e.event_type] or 0) + 1
      end
      assert.same({ 1, 1, 3, 3, 1, 1 }, { types["session.started"], types["custom.run_config"], types["sample.issued"],
         types["sample.complete"], types["session.ended"], types["custom.run_outcome"] })
      assert.same({ #drive.jsonl(to .. "/e.jsonl") .. "|1" },
         database.query(to .. "/e.db", "SELECT count(*), count(DISTINCT session_id) FROM events"))
      assert.equal(2, drive.perigee("events", "--from", r.dir .. "/events.plog").code)
      local lines = drive.shell("echo kept >" .. to .. "/all; " ..
         drive.command("events", "--from", r.dir .. "/events.plog", "--jsonl", "-", "--quiet") .. " >>" .. to .. "/all")
      assert.equal(0, lines.code, lines.err)
      assert.equal("kept\n" .. drive.read(to .. "/e.jsonl"), drive.read(to .. "/all"))
      local log = drive.read(r.dir .. "/events.plog")
      assert.equal(1, drive.perigee("events", "--from", r.dir .. "/events.plog", "--jsonl", r.dir .. "/./events.plog").code)
      assert.equal(log, drive.read(r.dir .. "/events.plog"))
      assert.equal(2, drive.perigee("events", "--from", "/nonexistent.plog", "--jsonl", "-").code)
   end)

   it("tells what is missing when a block was never written", function()
      local r = drive.run("return perigee.scenario {" .. ECHO .. "phases = { { 'a', requests = 3 }, { 'b', requests = 3 } } }")
      local log = drive.read(r.dir .. "/events.plog")
      local function number(at, n) return n == 0 and 0 or log:byte(at) + 256 * number(at + 1, n - 1) end
      local starts, at = {}, 1 + number(13, 4) -- behind the header
      while at < #log do
         starts[#starts + 1] = at
         at = at + 24 + number(at + 4, 4)
      end
      local third, records = starts[3], number(starts[3] + 8, 4)
      assert.is_true(#starts > 4 and records > 0)
      local path = drive.tempdir() .. "/gap.plog"
      drive.write(path, log:sub(1, third - 1) .. log:sub(starts[4]))
      local report = drive.perigee("report", path)
      assert.equal(1, report.code)
      assert.equal(("perigee report: %s: %d records are missing\n"):format(path, records), report.err)
      local export = drive.perigee("events", "--from", path, "--jsonl", "/dev/null", "--quiet")
      assert.equal(1, export.code)
      assert.truthy(export.err:find(("%d records are missing"):format(records), 1, true), export.err)
   end)

   it("tells that a log without the end of its session is none of a whole run", function()
      local r = drive.run("return perigee.scenario {" .. ECHO .. "requests = 3 }")
      local log = drive.read(r.dir .. "/events.plog")
      local behind_header = log:byte(13) + 256 * log:byte(14)
      local path = drive.tempdir() .. "/begun.plog"
      drive.write(path, log:sub(1, behind_header)) -- nothing is torn
      local export = drive.perigee("events", "--from", path, "--jsonl", "/dev/null", "--quiet")
      assert.same({ 1, "perigee events: " .. path .. ": the log ends before its session did\n" }, { export.code, export.err })
   end)

   it("refuses what is no log", function()
      local dir = drive.tempdir()
      drive.write(dir .. "/x", ("not a log\n"):rep(20))
      local cases_of = { [dir .. "/x"] = 1, [dir .. "/absent"] = 2 }
      for path, code in pairs(cases_of) do
         local r = drive.perigee("report", path)
         assert.equal(code, r.code)
         assert.truthy(r.err:find(path, 1, true), r.err)
      end
      assert.equal(2, drive.perigee("report").code)
   end)

   it("is replayed by the example of docs/log.md", function()
      local first = drive.run("return perigee.scenario {" .. ECHO .. [[
         record_body = true, phases = { { "w", kind = "warmup", requests = 3 }, { "steady", requests = 7 } } }]])
      assert.equal(0, first.code, first.err)
      local path = drive.tempdir() .. "/again.lua"
      drive.write(path, assert(drive.read "docs/log.md":match "```lua\n(.-)```"))
      local r = drive.perigee("run", path, "--from", first.dir .. "/events.plog", "--out", drive.tempdir(), "--progress", "none")
      assert.equal(0, r.code, r.err)
      assert.truthy(r.out:find("7 requests in", 1, true), r.out)
      -- Also into its own folder: it is read before it is written anew.
      local own = drive.perigee("run", path, "--from", first.dir .. "/events.plog", "--out", first.dir, "--progress", "none")
      assert.equal(0, own.code, own.err)
      assert.truthy(own.out:find("7 requests in", 1, true), own.out)
   end)

   it("replays a phase: the same bodies at the same intended times", function()
      local first = drive.run("return perigee.scenario {" .. ECHO .. [[
         record_body = true,
         order = perigee.order.random(),
         phases = { { "w", kind = "warmup", requests = 3 }, { "steady", load = perigee.load.poisson(300), requests = 40 } },
         request = function(sample, i)
            local message = { role = "user", content = sample.prompt .. i }
            return { body = { model = "m", messages = { message } }, tag = "t" .. i % 2 }
         end,
      }]])
      assert.equal(0, first.code, first.err)
      local again = drive.run(([[return perigee.scenario {
         name = "again", target = perigee.target.openai_chat { url = "mock:" }, record_body = true,
         load = perigee.load.replay("%s/events.plog") }]]):format(first.dir))
      assert.equal(0, again.code, again.err)
      local before = assert(engine.log_requests(first.dir .. "/events.plog"))[2].requests
      local after = assert(engine.log_requests(again.dir .. "/events.plog"))[1].requests
      assert.equal(40, #after)
      local function by_time(a, b) return a.at < b.at end
      table.sort(before, by_time)
      table.sort(after, by_time)
      for i = 1, 40 do
         assert.equal(before[i].body, after[i].body)
         assert.equal(before[i].tag, after[i].tag)
         assert.near(before[i].at, after[i].at, 2e-9)
      end
   end)

   it("needs bodies for a replay", function()
      local first = drive.run("return perigee.scenario {" .. ECHO .. "requests = 3 }")
      local again = drive.run(([[return perigee.scenario {
         name = "again", target = perigee.target.openai_chat { url = "mock:" },
         load = perigee.load.replay("%s/events.plog") }]]):format(first.dir))
      assert.equal(2, again.code)
      assert.truthy(again.err:find("record_body", 1, true), again.err)
   end)
end)
