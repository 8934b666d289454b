--- /metrics of a session that runs: by the run itself, and by the aggregator beside it.
---   PERIGEE_PYTHON   a Python with prometheus_client (python3)
local drive = require "drive"
local engine = require "perigee_engine"

local PYTHON = os.getenv "PERIGEE_PYTHON" or "python3"
local DEADLINE_S = 30

-- Ends when the file DIR/stop is there: a test takes the time it needs.
local SCENARIO = [[local perigee = require "perigee"
local words = perigee.metric.counter("words", { unit = "w\\d" })
local size = perigee.metric.histogram "size"
return perigee.scenario {
   target = perigee.target.openai_chat { url = "mock:", stream = true },
   dataset = { "one two three" }, load = perigee.load.concurrency(2), tick = "20ms",
   phases = { { 'say "hi"', requests = 40 }, { "second", stop_when = function() return io.open(%q) ~= nil end } },
   on = { complete = function(r) words:inc(3) size:add(#r.text) end },
}]]

-- Each family as "name type", each sample as "name|label=value,...|value".
local READER = [[
import sys, urllib.request
from prometheus_client.parser import text_string_to_metric_families
page = urllib.request.urlopen(sys.argv[1], timeout=20)
assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", page.headers
for family in text_string_to_metric_families(page.read().decode()):
    print(family.name, family.type)
    for s in family.samples:
        print("%s|%s|%g" % (s.name, ",".join(k + "=" + v for k, v in sorted(s.labels.items())), s.value))
]]

local function fetch(url)
   local r = drive.shell("curl -sS -m 20 " .. drive.quote(url))
   assert.equal(0, r.code, r.err)
   return r.out
end

describe("a running session", function()
   local dir, process

   before_each(function() dir = drive.tempdir() end)

   after_each(function()
      if process then process:stop(DEADLINE_S) end
      process = nil
      os.execute("rm -rf " .. drive.quote(dir))
   end)

   -- Start the run; the url that it prints.
   local function start(...)
      drive.write(dir .. "/s.lua", SCENARIO:format(dir .. "/stop"))
      process = assert(engine.spawn { "sh", "-c", 'exec "$0" "$@" 2>&1', "scripts/perigee", "run", dir .. "/s.lua",
         "--out", dir .. "/out", "--progress", "none", ... })
      local line, message
      repeat line, message = process:read_line(DEADLINE_S) until not line or line:match "^metrics:"
      return assert(line, message):match "^metrics: (http://%S+/metrics)$"
   end

   -- The page, when it says so.
   local function await(url, wanted)
      local deadline, text = engine.clock() + DEADLINE_S, nil
      repeat
         assert(engine.clock() < deadline, text)
         text = fetch(url)
      until text:find(wanted, 1, true)
      return text
   end

   local function finish()
      drive.write(dir .. "/stop", "")
      local line
      repeat line = process:read_line(DEADLINE_S) until not line
      local status = process:wait(DEADLINE_S)
      assert.equal(0, status)
      return assert(engine.json.decode(drive.read(dir .. "/out/summary.json")))
   end

   it("serves the numbers so far, with the script's, under the names of the export", function()
      local url = start("--metrics", "0", "--export", "prometheus")
      local text = await(url, 'perigee_phase_running{phase="second"} 1\n')
      for _, line in ipairs {
         'perigee_phase_running{phase="say \\"hi\\""} 0', 'perigee_requests_in_flight{phase="say \\"hi\\""} 0',
         'perigee_requests_total{phase="say \\"hi\\"",outcome="completed"} 40', 'perigee_script_words_total{phase="say \\"hi\\""} 120',
         'perigee_script_size_count{phase="say \\"hi\\""} 40', 'perigee_latency_seconds_count{phase="say \\"hi\\""} 40',
      } do
         assert.truthy(text:find("\n" .. line .. "\n", 1, true), line .. "\n" .. text)
      end
      assert.truthy(text:find '\nperigee_session_info{session_id="%x+",version="[^"]+",scenario="s"} 1\n', text)
      finish()
      local exported = drive.read(dir .. "/out/metrics.prom")
      for name in exported:gmatch "# TYPE (%S+)" do assert.truthy(text:find("# TYPE " .. name .. " ", 1, true), name) end
   end)

   it("is read by Prometheus' own client", function()
      if drive.shell(PYTHON .. " -c 'import prometheus_client'").code ~= 0 then
         return pending(PYTHON .. " cannot import prometheus_client")
      end
      local url = start("--metrics", "localhost:0")
      drive.write(dir .. "/reader.py", READER)
      await(url, 'perigee_phase_running{phase="second"} 1\n')
      local read = drive.shell(("%s %s/reader.py %s"):format(PYTHON, dir, url))
      assert.equal(0, read.code, read.err)
      for _, line in ipairs {
         "perigee_requests counter", "perigee_latency_seconds summary", "perigee_requests_in_flight gauge",
         "perigee_script_words counter", 'perigee_requests_total|outcome=completed,phase=say "hi"|40',
         'perigee_script_words_total|phase=say "hi"|120',
      } do
         assert.truthy(("\n" .. read.out):find("\n" .. line .. "\n", 1, true), line .. "\n" .. read.out)
      end
      finish()
   end)

   it("is served by the aggregator as well", function()
      local url = start("--service", "metrics --listen 0")
      local text = await(url, 'perigee_requests_total{phase="say \\"hi\\"",outcome="completed"} 40\n')
      assert.is_nil(text:find("perigee_script", 1, true)) -- what the script counts, only the run knows
      finish()
   end)

   it("runs on when a client asks for nonsense", function()
      local url = start("--metrics", "0")
      local r = drive.shell(("printf 'nonsense\\r\\n\\r\\n' | curl -sS -m 20 telnet://%s"):format(url:match "http://(.*)/metrics"))
      assert.truthy(r.out:find("HTTP/1.1 400 ", 1, true), r.out .. r.err)
      assert.equal("404 Not Found\n", fetch((url:gsub("/metrics$", "/other"))))
      assert.equal("ok", finish().verdict)
   end)

   it("ends in order while clients keep their connections, and closes them", function()
      -- Where a client has sent what was not read yet, it sees a reset.
      local url = start("--metrics", "0")
      local port, clients = url:match ":(%d+)/", {}
      for i, request in ipairs { "", "GET /met", "GET /metrics HTTP/1.1\\r\\n\\r\\n" } do
         local script = ('exec 3<>/dev/tcp/127.0.0.1/%s && printf "%s" >&3 && echo open && { cat <&3 >%s 2>&1; echo closed; }'):format(
            port, request, dir .. "/got")
         clients[i] = assert(engine.spawn { "bash", "-c", script })
         assert.equal("open", clients[i]:read_line(DEADLINE_S))
      end
      assert.equal("ok", finish().verdict)
      for _, client in ipairs(clients) do
         assert.equal("closed", client:read_line(DEADLINE_S))
         assert.equal(0, client:wait(DEADLINE_S))
      end
   end)

   it("refuses an address before any traffic", function()
      local url = start("--metrics", "0")
      local taken = url:match "http://(.*)/metrics"
      for _, row in ipairs { { taken, "address already in use" }, { "nowhere:80", "HOST:PORT" }, { "70000", "HOST:PORT" } } do
         local r = drive.perigee("run", dir .. "/s.lua", "--out", dir .. "/other", "--metrics", row[1])
         assert.equal(2, r.code, r.err)
         assert.truthy(r.err:find("metrics: " .. row[1], 1, true) and r.err:find(row[2], 1, true), r.err)
         assert.is_nil(drive.read(dir .. "/other/summary.json"))
      end
      local r = drive.perigee("metrics", "--connect", "tcp://127.0.0.1:1", "--listen", "nowhere", "--out", dir .. "/x.json")
      assert.equal(2, r.code, r.err)
      assert.truthy(r.err:find("option --listen: nowhere", 1, true), r.err)
      finish()
   end)
end)
