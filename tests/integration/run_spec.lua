local drive = require "drive"
local engine = require "perigee_engine"

--- Counts of event records by "type phase".
local function tally(events)
   local counts = {}
   for _, e in ipairs(events) do
      local key = e.event_type .. " " .. tostring(e.phase)
      counts[key] = (counts[key] or 0) + 1
   end
   return counts
end

local JOB = [[
local load = perigee.load
local ended = {}
return perigee.scenario {
   name = "job",
   options = { url = { "mock:mode=echo", "endpoint" }, data = { "", "prompts" } },
   target = perigee.target.openai_chat { url = perigee.opt "url", model = "m" },
   dataset = perigee.dataset.jsonl(perigee.opt "data", { prompt = "text_input" }),
   order = perigee.order.shuffle(),
   seed = 7,
   phases = {
      { "closed", load = load.concurrency(64), requests = 1000 },
      { "open", load = load.poisson(200), requests = 1000 },
   },
   on = {
      complete = function(r) if r.ok then ended[r.phase] = (ended[r.phase] or 0) + 1 end end,
      phase_end = function(p) print("handled", p.name, ended[p.name]) end,
   },
}
]]

describe("the main job", function()
   it("streams 1000 prompts closed and open, and every event reaches a subscriber in another process", function()
      local data = drive.shared "dummy_1k.jsonl"
      if not data then return pending "../shared/data is not here" end
      local dir = drive.tempdir()
      local file = drive.scenario(dir, JOB)
      local address = "ipc://" .. dir .. "/events.ipc"
      local r = drive.shell(table.concat({
         drive.command("events", "--connect", address, "--jsonl", dir .. "/events.jsonl") .. " & subscriber=$!",
         drive.command("run", file, "--data", io.popen("realpath " .. data):read "*l", "--events", address,
            "--subscribers", "1", "--out", dir .. "/out", "--progress", "none") .. "; code=$?",
         "wait $subscriber || { echo the subscriber failed: $?; exit 9; }",
         "exit $code",
      }, "\n"))
      assert.equal(0, r.code, r.out .. r.err)

      -- what the handlers saw
      assert.truthy(r.out:find("handled\tclosed\t1000", 1, true), r.out)
      assert.truthy(r.out:find("handled\topen\t1000", 1, true), r.out)

      -- what the report says
      local summary = assert(engine.json.decode(drive.read(dir .. "/out/summary.json")))
      -- a busy machine may make the client late, which is told and is no failure
      assert.truthy(summary.verdict == "ok" or summary.verdict == "client_limited", summary.verdict)
      for i, name in ipairs { "closed", "open" } do
         local phase = summary.phases[i]
         assert.equal(name, phase.name)
         assert.same({ 1000, 1000, 0, 0, 0 },
            { phase.issued, phase.completed, phase.failed, phase.abandoned, phase.dropped })
         assert.equal(1000, phase.ttft_ms.count)
         assert.equal(1000, phase.finish_reasons.stop)
      end
      assert.equal(2000, #drive.jsonl(dir .. "/out/requests.jsonl"))

      -- what the subscriber got: all of it, once
      local events = drive.jsonl(dir .. "/events.jsonl")
      local counts = tally(events)
      for _, phase in ipairs { 0, 1 } do
         assert.equal(1000, counts["sample.issued " .. phase])
         assert.equal(1000, counts["sample.recv_first " .. phase])
         assert.equal(1000, counts["sample.complete " .. phase])
      end
      local seen = {}
      for _, e in ipairs(events) do
         assert.is_nil(seen[e.seq])
         seen[e.seq] = true
      end
      for seq = 0, #events - 1 do assert.is_true(seen[seq], seq) end
      assert.equal("session.started", events[1].event_type)
      assert.equal("session.ended", events[#events].event_type)
   end)

   it("sends each sample once per epoch of a shuffle", function()
      local r = drive.run([[
         local list = {}
         for i = 1, 50 do list[i] = { prompt = "number " .. i } end
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" },
            dataset = perigee.dataset.table(list),
            order = perigee.order.shuffle(),
            load = perigee.load.concurrency(5),
            requests = 100,
         }]])
      assert.equal(0, r.code, r.err)
      local counts = {}
      for _, line in ipairs(drive.jsonl(r.dir .. "/requests.jsonl")) do
         counts[line.index] = (counts[line.index] or 0) + 1
      end
      for i = 0, 49 do assert.equal(2, counts[i]) end
   end)

   it("gives a straggler of an undrained warmup to its own phase, and the closed load never exceeds its target", function()
      local r = drive.run([[
         local most, last = 0, {}
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=30ms,tpot=1ms,tokens=4" },
            dataset = perigee.dataset.table { { prompt = "x" } },
            phases = {
               { "warmup", kind = "warmup", load = perigee.load.burst(8), drain = false },
               { "steady", load = perigee.load.concurrency(8), requests = 40 },
            },
            on = {
               issue = function(r, p) if p.name == "steady" then most = math.max(most, p.total_inflight) end end,
               phase_end = function(p) if p.name == "steady" then print("most", most) end end,
            },
         }]])
      assert.equal(0, r.code, r.err)
      local warmup, steady = unpack(r.summary.phases)
      assert.same({ 8, 8, 0 }, { warmup.issued, warmup.completed, warmup.abandoned })
      assert.same({ 40, 40, 0 }, { steady.issued, steady.completed, steady.abandoned })
      assert.equal(8, tonumber(r.out:match "most%s+(%d+)"))
   end)

   it("lets a strategy read as blocking code", function()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" },
            dataset = perigee.dataset.table { { prompt = "a b c" } },
            load = perigee.load.strategy(function(p)
               for wave = 1, 3 do
                  for _ = 1, wave do assert(p:issue(1)) end
                  while p.inflight > 0 do p:wait() end
                  p:sleep(0.001)
                  print("wave", wave, #p:results())
               end
            end),
         }]])
      assert.equal(0, r.code, r.err)
      assert.truthy(r.out:find("wave\t1\t1\nwave\t2\t2\nwave\t3\t3", 1, true), r.out)
      assert.equal(6, r.summary.phases[1].completed)
   end)

   it("paces a delay function on an absolute schedule", function()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" },
            dataset = perigee.dataset.table { { prompt = "x" } },
            load = perigee.load.gaps(function(i) if i < 20 then return 0.002 end end),
         }]])
      assert.equal(0, r.code, r.err)
      local lines = drive.jsonl(r.dir .. "/requests.jsonl")
      assert.equal(20, #lines)
      table.sort(lines, function(a, b) return a.scheduled_ns < b.scheduled_ns end)
      for i, line in ipairs(lines) do
         assert.near(2e6 * (i - 1), line.scheduled_ns - lines[1].scheduled_ns, 2)
         assert.is_true(line.issued_ns >= line.scheduled_ns)
      end
   end)

   it("counts arrivals that overload = drop refuses", function()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=200ms,tokens=2" },
            dataset = perigee.dataset.table { { prompt = "x" } },
            load = perigee.load.gaps(function(i) if i < 10 then return 0 end end,
               { max_inflight = 3, overload = "drop" }),
         }]])
      assert.equal(0, r.code, r.err)
      local phase = r.summary.phases[1]
      assert.same({ 3, 3, 7 }, { phase.issued, phase.completed, phase.dropped })
   end)

   for how, rest in pairs {
      ["in turn"] = 'dataset = { "x" }, load = perigee.load.concurrency(2)',
      ["also when the script skips every other request"] = [[load = perigee.load.concurrency(1),
         request = (function()
            local n = 0
            return function() n = n + 1 if n % 2 == 0 then return "x" end end
         end)()]],
   } do
      it("spreads requests over several endpoints " .. how, function()
         local servers, urls = {}, {}
         for i = 1, 2 do servers[i], urls[i] = drive.mock() end
         local r = drive.run(([[
            return perigee.scenario { requests = 20, target = perigee.target.openai_chat { url = { "%s", "%s" } }, %s }
         ]]):format(urls[1], urls[2], rest))
         assert.equal(0, r.code, r.err)
         for i, url in ipairs(urls) do
            local stats = engine.json.decode(drive.shell("curl -s -m 10 " .. url .. "/stats").out)
            assert.equal(10, stats.requests - 1)
            servers[i]:stop(5)
         end
      end)
   end

   local LIMITS = { { "soft", "-Sn", 0, "concurrency(200)" }, { "hard", "-n", 1, "gaps(function() return 0 end)" } }
   for _, row in ipairs(LIMITS) do
      it("with more requests in flight than the " .. row[1] .. " limit of descriptors", function()
         local server, url = drive.mock("--mode", "timed", "--ttft", "100ms", "--tokens", "1")
         local dir = drive.tempdir()
         local file = drive.scenario(dir, ([[
            return perigee.scenario {
               target = perigee.target.openai_chat { url = "%s" }, dataset = { "x" },
               load = perigee.load.%s, requests = 200,
            }]]):format(url, row[4]))
         local r = drive.shell(("ulimit %s 100; exec %s"):format(row[2],
            drive.command("run", file, "--out", dir .. "/out", "--progress", "none")))
         server:stop(5)
         local failed = 0
         for _, line in ipairs(drive.jsonl(dir .. "/out/requests.jsonl")) do
            if not line.ok then
               failed = failed + 1
               assert.equal("no socket: Too many open files", line.error_message)
            end
         end
         assert.equal(row[3] > 0, failed > 0, r.out .. r.err)
         assert.equal(row[3], r.code, r.out .. r.err)
      end)
   end

   it("not at all with a load that needs more descriptors than there are", function()
      local dir = drive.tempdir()
      local file = drive.scenario(dir, [[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "http://127.0.0.1:9" }, dataset = { "x" },
            load = perigee.load.concurrency(200), requests = 300,
         }]])
      local r = drive.shell("ulimit -n 100; exec " .. drive.command("run", file, "--out", dir .. "/out", "--progress", "none"))
      assert.equal(2, r.code, r.err)
      assert.truthy(r.err:find("264 file descriptors are needed, the limit is 100", 1, true), r.err)
      assert.is_nil(drive.read(dir .. "/out/summary.json"))
   end)

   for _, row in ipairs {
      { {}, "direct", "plain http://" },
      { { "--transport", "curl" }, "curl", "asked for" },
      { { "--transport", "direct" }, "direct", "asked for" },
   } do
      it(("says that it went over %s: %s"):format(row[2], row[3]), function()
         local r = drive.run([[
            return perigee.scenario { target = perigee.target.openai_chat { url = "mock:" }, dataset = { "x" }, requests = 3 }]],
            unpack(row[1]))
         assert.equal(0, r.code, r.err)
         local config = engine.json.decode(drive.read(r.dir .. "/config.json"))
         assert.same({ name = row[2], why = row[3] }, config.phases[1].transport)
      end)
   end

   it("refuses plain sockets for https before anything is sent", function()
      local r = drive.run([[
         return perigee.scenario { target = perigee.target.openai_chat { url = "https://127.0.0.1:9", transport = "direct" },
            dataset = { "x" }, requests = 3 }]])
      assert.equal(2, r.code)
      assert.truthy(r.err:find('transport "direct": url "https://127.0.0.1:9": TLS is libcurl\'s to speak', 1, true), r.err)
      assert.is_nil(r.summary)
   end)

   -- Networks of their own, where there are 20 local ports.
   local FEW_PORTS = [[ip link set lo up && echo "40000 40019" >/proc/sys/net/ipv4/ip_local_port_range || exit 77]]

   for _, row in ipairs {
      { "direct", "", 1 }, { "curl", "", 1 },
      { "direct", "--source 127.0.0.2 --source 127.0.0.3 --source 127.0.0.4 --source 127.0.0.5", 0 },
   } do
      it(("with %s ports than connections over %s"):format(row[3] > 0 and "fewer" or "more", row[1]), function()
         local dir = drive.tempdir()
         local file = drive.scenario(dir, [[
            return perigee.scenario {
               target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=300ms,tokens=1" }, dataset = { "x" },
               load = perigee.load.gaps(function() return 0 end), requests = 60,
            }]])
         drive.write(dir .. "/run", ("%s\n%s %s"):format(FEW_PORTS,
            drive.command("run", file, "--out", dir .. "/out", "--progress", "none", "--transport", row[1]), row[2]))
         local r = drive.shell(("unshare -n bash %s/run"):format(dir))
         if not drive.read(dir .. "/out/requests.jsonl") then return pending "no network of its own is to be had here" end
         local failed = 0
         for _, line in ipairs(drive.jsonl(dir .. "/out/requests.jsonl")) do
            if not line.ok then
               failed = failed + 1
               assert.equal("client", line.error)
               assert.truthy(line.error_message:find("no local port is left, source_addresses gives more", 1, true), line.error_message)
            end
         end
         assert.equal(row[3] > 0, failed > 0, r.out .. r.err)
      end)
   end

   for _, transport in ipairs { "direct", "curl" } do
      it("has failed when most requests found no descriptor over " .. transport, function()
         local dir = drive.tempdir()
         local file = drive.scenario(dir, [[
            return perigee.scenario {
               target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=300ms,tokens=1" }, dataset = { "x" },
               load = perigee.load.gaps(function() return 0 end), requests = 200,
            }]])
         local r = drive.shell("ulimit -n 64; " .. drive.command("run", file, "--out", dir .. "/out", "--progress", "none",
            "--transport", transport))
         local summary = engine.json.decode(drive.read(dir .. "/out/summary.json"))
         local phase = summary.phases[1]
         assert.same({ 1, "failed" }, { r.code, summary.verdict })
         assert.is_true(phase.errors.client > 20, r.out .. r.err)
         assert.equal(200 - phase.errors.client, phase.completed)
         assert.matches("requests failed in the client itself, more than client_limits.failed allows", summary.failures[1])
         assert.equal(phase.completed, phase.client.connections) -- those that stood
      end)
   end

   it("drives nginx, a server of other people, with target.http", function()
      if drive.shell("command -v nginx").code ~= 0 then return pending "nginx is not installed" end
      local dir = drive.tempdir()
      drive.write(dir .. "/page.txt", ("perigee\n"):rep(100))
      drive.write(dir .. "/nginx.conf", ([[
         daemon off; user root; worker_processes 1; pid %s/pid; error_log %s/error.log;
         events { worker_connections 256; }
         http { access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;
            uwsgi_temp_path %s/u; scgi_temp_path %s/s;
            server { listen unix:%s/sock; root %s; } }]]):gsub("%%s", (dir:gsub("%%", "%%%%"))))
      local text = ([[
         return perigee.scenario {
            target = perigee.target.http { url = "http://localhost", unix_socket = "%s/sock", path = "/page.txt", method = "GET" },
            dataset = perigee.dataset.table { { body = "" } },
            load = perigee.load.concurrency(8),
            requests = 400,
         }]]):format(dir)
      local r = drive.shell(table.concat({
         "nginx -p " .. dir .. " -c nginx.conf 2>/dev/null & server=$!",
         "for _ in $(seq 200); do [ -S " .. dir .. "/sock ] && break; sleep 0.02; done",
         drive.command("run", drive.scenario(dir, text), "--out", dir .. "/out", "--progress", "none") .. "; code=$?",
         "kill $server; wait $server; exit $code",
      }, "\n"))
      assert.equal(0, r.code, r.out .. r.err)
      local summary = assert(engine.json.decode(drive.read(dir .. "/out/summary.json")))
      assert.equal(400, summary.phases[1].completed)
      for _, line in ipairs(drive.jsonl(dir .. "/out/requests.jsonl")) do
         assert.equal(200, line.http_status)
         assert.equal(800, line.bytes_in)
      end
   end)
end)

describe("a target's timeout", function()
   it("is the deadline of a request whose phase sets none", function()
      local r = drive.run [[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:fault=hang=1", timeout = "100ms" },
            dataset = { "x" },
            phases = { { "a", requests = 1 }, { "b", requests = 1, deadline = "50ms" } },
         }]]
      assert.equal(1, r.code)
      for i, deadline in ipairs { 0.1, 0.05 } do
         assert.same({ timeout = 1 }, r.summary.phases[i].errors)
         assert.equal(deadline, r.summary.config.phases[i].deadline_s)
      end
   end)
end)

describe("a run without standard streams", function()
   for _, closed in ipairs { "<&-", ">&-", "2>&-", "<&- >&- 2>&-" } do
      it("goes well, and no file takes what is printed: " .. closed, function()
         local dir = drive.tempdir()
         local scenario = drive.scenario(dir, [[return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" }, dataset = { "x" }, requests = 3,
            on = { complete = function() print "printed" io.stderr:write "written\n" end } }]])
         local r = drive.shell(("{ scripts/perigee run %s --out %s/out --progress lines; } %s"):format(scenario, dir, closed))
         assert.equal(0, r.code, r.err)
         assert.equal(0, drive.perigee("report", dir .. "/out/events.plog").code)
         assert.equal(3, #drive.jsonl(dir .. "/out/requests.jsonl"))
         os.execute("rm -rf " .. drive.quote(dir))
      end)
   end
end)

describe("a trace", function()
   for file, expected in pairs {
      ["mooncake_synthetic_trace.jsonl"] = "to = '30s', max_input = 2000",
      ["AzureLLMInferenceTrace_code.csv"] = "to = '60s', max_input = 2000",
   } do
      it("of other people is played against an endpoint: " .. file, function()
         local path = drive.shared(file)
         if not path then return pending "../shared/data is not here" end
         local r = drive.run(([[
            local most = 0
            return perigee.scenario {
               target = perigee.target.openai_chat { url = "mock:" },
               load = perigee.load.trace("%s", { %s, speed = 40, max_output = 20 }),
               on = { complete = function(r) most = math.max(most, r.tokens_in) end,
                      phase_end = function() print("longest", most) end },
            }]]):format(io.popen("realpath " .. path):read "*l", expected))
         assert.equal(0, r.code, r.err)
         local phase = r.summary.phases[1]
         assert.is_true(phase.issued > 20)
         assert.equal(phase.issued, phase.completed)
         assert.equal("schedule", phase.end_reason)
         local longest = tonumber(r.out:match "longest%s+(%d+)")
         assert.is_true(longest <= 2000 and longest > 500, longest)
      end)
   end
end)
