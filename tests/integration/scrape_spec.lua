--- Pages for Prometheus that are read while a run lasts, and `perigee scrape`.
---   PERIGEE_PYTHON   a Python with prometheus_client (python3)
local drive = require "drive"
local engine = require "perigee_engine"

local json = engine.json
local PYTHON = os.getenv "PERIGEE_PYTHON" or "python3"
local DEADLINE_S = 30

-- A server whose paths say how it answers. It prints its url, and ends with its standard input.
local SERVER = [[
import http.server, os, sys, threading

count = 0

def there(name):
    return os.path.exists(os.path.join(sys.argv[1], name))

def make(name):
    open(os.path.join(sys.argv[1], name), "w").close()

def pages(path):
    global count
    count += 1
    if path == "/counting":
        return 200, b"vllm:generation_tokens_total %d\nvllm:num_requests_waiting 3\n" % (count * 10)
    if path == "/anew":
        return 200, b"vllm:generation_tokens_total %d\n" % (count % 3 * 10)
    if path == "/malformed":
        return 200, b"vllm:num_requests_waiting 3\nthis is no sample\n{ neither this\n"
    if path == "/binary":
        return 200, bytes(range(256)) * 10
    if path == "/huge":
        return 200, b"x 1\n" * (3 << 20)
    if path == "/html":
        return 200, b"<html><body>nothing to see\xff</body></html>\n"
    if path == "/others":
        return 200, b"process_cpu_seconds_total 1\n"
    if path == "/gone" and there("stop"):
        make("exited")
        os._exit(0)
    if path == "/gone":
        if there("answered once"):
            make("answered")
        elif there("begun"):
            make("answered once")
        return 200, b"vllm:num_requests_waiting 3\n"
    return 404, b"no such page\n"

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def do_GET(self):
        if self.path == "/slow":
            threading.Event().wait()
        status, body = pages(self.path)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
server.handle_error = lambda *args: None # who closes in the middle means to
print("http://127.0.0.1:%d" % server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
os._exit(0)
]]

local SCENARIO = [[
return perigee.scenario {
   target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=5ms,tpot=1ms,tokens=4" }, dataset = { "one two three" },
   load = perigee.load.concurrency(4), guards = { percentile = false },
   scrape = { url = %s, every = "20ms", timeout = %q, keep = { "kept_*" } },
   phases = { { "steady", duration = %q } },
}]]

local function scenario(url, duration, timeout)
   return SCENARIO:format(url, timeout or "5s", duration or "300ms")
end

local function warned(summary, text)
   for _, w in ipairs(summary.warnings) do
      if w.kind == "scrape" and w.detail:find(text, 1, true) then return true end
   end
   return false, json.encode(summary.warnings)
end

describe("a run with --scrape", function()
   local dir, server

   before_each(function() dir = drive.tempdir() end)

   after_each(function()
      if server then server:stop(DEADLINE_S) end
      server = nil
      os.execute("rm -rf " .. drive.quote(dir))
   end)

   -- The url of the server above.
   local function serve()
      drive.write(dir .. "/server.py", SERVER)
      server = assert(engine.spawn { "python3", dir .. "/server.py", dir })
      return assert(server:read_line(DEADLINE_S))
   end

   it("counts the tokens that its clients got, and sees them in flight", function()
      local r = drive.run(scenario('"target"', "1s"))
      assert.equal(0, r.code, r.err)
      local entries, phase = drive.jsonl(r.dir .. "/server.jsonl"), r.summary.phases[1]
      local first, last = entries[1], entries[#entries]
      assert.is_true(first.t_s < 0)
      assert.same({}, { first.phase, last.phase })
      assert.same({ 0, phase.tokens_out, phase.tokens_in }, { first.values["vllm:generation_tokens_total"],
         last.values["vllm:generation_tokens_total"], last.values["vllm:prompt_tokens_total"] })
      local of = r.summary.server[1]
      assert.same({ 1, "steady", 4, {} }, { #r.summary.server, of.phase, of.requests_running.max, of.failures })
      assert.is_true(of.scrapes > 2 and of.scrapes <= #entries)
      assert.is_true(math.abs(of.generation_tokens_per_s * of.counted_s - phase.tokens_out) < 1e-6)
      assert.equal(of.kv_cache_usage.max * 4, of.requests_running.max * of.kv_cache_usage.max)
      assert.truthy(r.out:find("\n  server: running %d[%d.]* %(max 4%)  waiting 0 %(max 0%)  KV%-cache "), r.out)
      assert.truthy(r.err:find("server.jsonl", 1, true))
      local page = drive.read(r.dir .. "/report.html")
      assert.truthy(page:find("Queue of the server", 1, true) and page:find("KV-cache of the server", 1, true))
   end)

   it("tells its events beside the others, by a name that no script may use", function()
      local r = drive.run(scenario('"target"'), "--service", "events --topic custom.scrape")
      assert.equal(0, r.code, r.err)
      local seen, all = {}, drive.jsonl(r.dir .. "/server.jsonl")
      for _, e in ipairs(drive.jsonl(r.dir .. "/events.jsonl")) do
         if e.event_type == "custom.scrape" then seen[#seen + 1] = json.decode(e.data) end
      end
      assert.is_true(#seen >= 1 and #seen < #all)
      for i, e in ipairs(seen) do assert.same(all[i].values, e.values) end
      local refused = drive.run [[return perigee.scenario { target = perigee.target.http { url = "mock:" }, requests = 1,
         on = { phase_start = function(p) p.session:emit("scrape", "{}") end } }]]
      assert.equal(2, refused.code)
      assert.truthy(refused.err:find("a name that perigee does not use itself expected", 1, true), refused.err)
   end)

   it("takes the urls of the command line in place of the scenario's, and shows no password", function()
      local url = serve()
      local r = drive.run(scenario('"http://127.0.0.1:1/"'), "--scrape", url:gsub("//", "//me:sesame@") .. "/counting",
         "--scrape", url .. "/malformed", "--log", "off")
      assert.equal(0, r.code, r.err)
      assert.equal(2, #r.summary.server)
      assert.same({ url .. "/counting", 3 }, { r.summary.server[1].source, r.summary.server[1].requests_waiting.max })
      assert.is_true(r.summary.server[1].generation_tokens_per_s > 0)
      for _, name in ipairs { "summary.json", "config.json", "server.jsonl", "report.html" } do
         assert.is_nil(drive.read(r.dir .. "/" .. name):find("sesame", 1, true), name)
      end
      assert.same({ 0.02, { "kept_*" } }, { r.summary.config.scrape.every_s, r.summary.config.scrape.keep })
   end)

   it("reads targets behind a unix socket", function()
      local mock = drive.mock("--unix", dir .. "/mock.sock")
      local r = drive.run(([[return perigee.scenario { target = perigee.target.openai_chat { url = "http://x", unix_socket = %q },
         dataset = { "a" }, requests = 5 }]]):format(dir .. "/mock.sock"), "--scrape", "target")
      mock:stop(DEADLINE_S)
      assert.equal(0, r.code, r.err)
      assert.equal("http://x/metrics", r.summary.server[1].source)
      local entries = drive.jsonl(r.dir .. "/server.jsonl")
      assert.equal(r.summary.phases[1].tokens_out, entries[#entries].values["vllm:generation_tokens_total"])
   end)

   it("goes on whatever its pages are, and warns", function()
      local url, pages, of = serve(), { "/nowhere", "/html", "/huge", "/binary", "/others", "/malformed", "/anew" }, {}
      for i, page in ipairs(pages) do pages[i] = ("%q"):format(url .. page) end
      local r = drive.run(scenario("{ " .. table.concat(pages, ", ") .. " }", "1s", "20s"))
      assert.equal(0, r.code, r.err)
      assert.equal("ok", r.summary.verdict)
      for _, row in ipairs(r.summary.server) do of[row.source:match "[^/]*$"] = row end
      for page, expected in pairs {
         nowhere = { "http_404", "no such page" }, html = { "not_metrics", "no line of it is a sample" },
         binary = { "not_metrics", "no line of it is a sample" },
      } do
         assert.is_true((of[page].failures[expected[1]] or 0) > 0, page .. json.encode(of[page]))
         assert.same({ 0, json.null, json.null }, { of[page].scrapes, of[page].requests_waiting, of[page].counted_s })
         assert.is_true(warned(r.summary, ("scrapes of %s/%s failed (%s "):format(url, page, expected[1])))
         assert.is_true(warned(r.summary, expected[2]), page)
         assert.truthy(r.out:find(("  server %s/%s: failed scrapes %s "):format(url, page, expected[1]), 1, true), r.out)
      end
      assert.is_true(warned(r.summary, ("scrapes of %s/huge failed (too_large "):format(url)))
      assert.is_true(warned(r.summary, "the page of " .. url .. "/others has none of the metrics that are looked for"))
      assert.is_true(warned(r.summary, "2 lines of the page of " .. url .. "/malformed are not of Prometheus' format"))
      assert.equal(3, of.malformed.requests_waiting.mean)
      assert.is_true(of.anew.generation_tokens_per_s > 0)
   end)

   it("keeps what it has when the server is gone in the middle", function()
      -- The phase begins, the server answers in it, is told to go, and goes when it is asked again.
      local r = drive.run(([[
         local dir = %q
         local function there(name) return io.open(dir .. name) ~= nil end
         local function make(name) assert(io.open(dir .. name, "w")):close() end
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=5ms" }, dataset = { "one two three" },
            load = perigee.load.concurrency(4), guards = { percentile = false }, scrape = { url = %q, every = "20ms" }, tick = "20ms",
            on = { phase_start = function() make "begun" end, tick = function() if there "answered" then make "stop" end end },
            phases = { { "steady", stop_when = function() return there "exited" end } },
         }]]):format(dir .. "/", serve() .. "/gone"))
      assert.equal(0, r.code, r.err)
      local of = r.summary.server[1]
      assert.equal(3, of.requests_waiting.last)
      assert.is_truthy(next(of.failures), json.encode(of))
      assert.is_true(warned(r.summary, "scrapes of "))
      assert.equal("ok", r.summary.verdict)
   end)

   it("goes on when the process that scrapes is killed", function()
      local r = drive.run([[
         local ffi = require "ffi"
         ffi.cdef "int getpid(void); int kill(int pid, int signal);"
         local function child(name)
            local me = ffi.C.getpid()
            for pid in assert(io.open(("/proc/%d/task/%d/children"):format(me, me))):read("*a"):gmatch "%d+" do
               local file = io.open("/proc/" .. pid .. "/cmdline")
               if file and file:read("*a"):gsub("%z", " "):find("perigee " .. name, 1, true) then return tonumber(pid) end
            end
         end
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=1ms,tpot=1ms,tokens=2" }, dataset = { "x" },
            scrape = "target", load = perigee.load.concurrency(2), requests = 100,
            on = { issue = function(_, p) if p.issued == 50 then ffi.C.kill(child "scrape", 9) end end },
         }]])
      assert.equal(0, r.code, r.err)
      assert.is_true(warned(r.summary, "the process that scrapes has ended (exit status 137)"))
      assert.same({ client = 1 }, r.summary.server[1].failures)
   end)

   it("does not wait for a slow page when it is interrupted", function()
      local url = serve()
      local r = drive.run(([[
         local ffi = require "ffi"
         ffi.cdef "int getpid(void); int kill(int pid, int signal);"
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" }, dataset = { "x" }, scrape = { url = %q, timeout = "200ms" },
            load = perigee.load.concurrency(2), phases = { { "steady", duration = "1h" } },
            on = { issue = function(_, p) if p.issued == 50 then ffi.C.kill(ffi.C.getpid(), 2) end end },
         }]]):format(url .. "/slow"))
      assert.equal(130, r.code, r.err)
      assert.equal("interrupted", r.summary.verdict)
      assert.is_true(warned(r.summary, "(timeout "))
   end)

   it("gives its pages to the report of a run that was killed", function()
      local path = drive.scenario(dir, [[
         local ffi = require "ffi"
         ffi.cdef "int getpid(void); int kill(int pid, int signal);"
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" }, dataset = { "x" }, scrape = { url = "target", every = "10ms" },
            load = perigee.load.concurrency(2), phases = { { "steady", duration = "1h" } },
            on = { tick = function(p) if p.elapsed > 2 then ffi.C.kill(ffi.C.getpid(), 9) end end }, tick = "100ms",
         }]])
      -- The pipe ends when all have closed it who inherited it from the run.
      drive.shell(drive.command("run", path, "--out", dir .. "/out", "--progress", "none") .. " 2>&1 | cat")
      local r = drive.perigee("report", dir .. "/out/events.plog", "--json", "--out", dir .. "/again")
      assert.equal(1, r.code)
      assert.is_true(json.decode(r.out).server[1].scrapes > 1, r.out)
      assert.is_true(#drive.jsonl(dir .. "/again/server.jsonl") > 1)
   end)

   it("is explained", function()
      local r = drive.perigee("explain", drive.scenario(dir, scenario '{ "target", "http://me:sesame@h:1" }'))
      assert.equal(0, r.code, r.err)
      assert.truthy(r.out:find("\nscrape target, http://[redacted]@h:1/metrics every 20.0 ms\n", 1, true), r.out)
   end)

   it("reads nothing when it is simulated", function()
      local perigee = require "perigee"
      local result = require("perigee.test").run(perigee.scenario {
         target = perigee.target.openai_chat { url = "x" }, dataset = { "a" }, requests = 3, scrape = { "target", "127.0.0.1:1" },
      }, { clock = "virtual" })
      assert.equal(json.null, result.summary.server)
      assert.same({ "ok", 3 }, { result.summary.verdict, result.summary.phases[1].completed })
   end)

   it("leaves nothing of an earlier run that says nothing of this one", function()
      for _, name in ipairs { "server.jsonl", "sample_idx_map.json" } do drive.write(dir .. "/" .. name, "old\n") end
      local r = drive.perigee("run", drive.scenario(dir, [[return perigee.scenario {
         target = perigee.target.openai_chat { url = "mock:" }, dataset = { "x" }, requests = 1 }]]), "--out", dir, "--quiet")
      assert.equal(0, r.code, r.err)
      for _, name in ipairs { "server.jsonl", "sample_idx_map.json" } do assert.is_nil(drive.read(dir .. "/" .. name)) end
   end)

   it("is refused before any traffic when its url is none", function()
      local r = drive.run(scenario '"target"', "--scrape", "gpu one")
      assert.same({ 2, "perigee run: option --scrape: 'target' or a url (http://HOST:PORT/metrics; the path may be left out) expected, "
         .. "got 'gpu one'\n" }, { r.code, r.err })
      r = drive.run(scenario '"ftp://x"')
      assert.equal(2, r.code)
      assert.truthy(r.err:find("scenario.lua:%d+: scenario.scrape: url: 'target' or a url"), r.err)
   end)
end)

describe("perigee scrape", function()
   local mock, url

   before_each(function() mock, url = drive.mock() end)
   after_each(function() mock:stop(DEADLINE_S) end)

   local function lines(text)
      local list = {}
      for line in text:gmatch "[^\n]+" do list[#list + 1] = assert(json.decode(line)) end
      return list
   end

   it("shows what it reads", function()
      local r = drive.perigee("scrape", url, "--every", "10ms", "--count", "3")
      assert.same({ 0, "" }, { r.code, r.err })
      local list = lines(r.out)
      assert.same({ 3, 0, url .. "/metrics" }, { #list, list[3].values["vllm:num_requests_running"], list[1].source })
      assert.is_true(list[3].at_s - list[1].at_s > 0.019)
   end)

   it("scrapes once more when standard input ends", function()
      local process = assert(engine.spawn { "scripts/perigee", "scrape", url, "--every", "1h", "--until-eof" })
      assert(process:read_line(DEADLINE_S))
      process:close_input()
      assert(process:read_line(DEADLINE_S))
      assert.same({ nil, "ECLOSED" }, { process:read_line(DEADLINE_S), (select(3, process:read_line(DEADLINE_S))) })
      assert.equal(0, process:stop(DEADLINE_S))
      local r = drive.shell(drive.command("scrape", url, "--every", "1h", "--until-eof") .. " </dev/null")
      assert.same({ 0, "", 1 }, { r.code, r.err, #lines(r.out) })
   end)

   it("ends when nobody reads it", function()
      local r = drive.shell(drive.command("scrape", url, "--every", "1ms") .. " | head -n 2")
      assert.same({ 0, "", 2 }, { r.code, r.err, #lines(r.out) })
   end)

   it("sleeps while it waits for an answer", function()
      local dir = drive.tempdir()
      drive.write(dir .. "/server.py", SERVER)
      local server = assert(engine.spawn { "python3", dir .. "/server.py", dir })
      local page = assert(server:read_line(DEADLINE_S)) .. "/slow"
      local function processor_seconds(timeout)
         local command = drive.command("scrape", page, "--every", "1ms", "--timeout", timeout, "--count", "1")
         local r = drive.shell("TIMEFORMAT=%U; time " .. command)
         assert.same({ 0, "timeout" }, { r.code, lines(r.out)[1].failure })
         return assert(tonumber(r.err), r.err)
      end
      local short, long = processor_seconds "10ms", processor_seconds "2s"
      server:stop(DEADLINE_S)
      os.execute("rm -rf " .. drive.quote(dir))
      assert.is_true(long < short + 0.15, long)
   end)

   it("ends by a signal", function()
      local process = assert(engine.spawn { "scripts/perigee", "scrape", url, "--every", "1h" })
      assert(process:read_line(DEADLINE_S))
      drive.shell("kill -TERM " .. process:pid())
      assert.equal(143, process:wait(DEADLINE_S))
      process:stop(0)
   end)

   it("says what is wrong with its arguments", function()
      for message, arguments in pairs {
         ["a url is missing"] = {}, ["expected, got 'ftp://x'"] = { "ftp://x" }, ["unexpected argument 'y'"] = { url, "y" },
         ["option --every: a duration such as 250ms or 2m expected, got 'x'"] = { url, "--every", "x" },
      } do
         local r = drive.perigee("scrape", unpack(arguments))
         assert.equal(2, r.code)
         assert.truthy(r.err:find(message, 1, true), r.err)
      end
   end)
end)

-- ---- prometheus_client is the judge of what a page says ----

-- A page of its own in both formats, and what its own parsers read there, as JSON lines: name, labels, value as text.
local WRITER = [[
import json, sys
import prometheus_client as p
from prometheus_client.openmetrics import exposition as om
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_om
from prometheus_client.parser import text_string_to_metric_families as read_text
r = p.CollectorRegistry()
g = p.Gauge("vllm:num_requests_running", 'how "many"\nrun \\ now', ["engine", "model_name"], registry=r)
g.labels("0", 'a"b\\c\nd}{, =#').set(3)
g.labels("1", "\u00e4\u4e16 ").set(-0.25)
p.Gauge("odd", "x", registry=r).set(float("nan"))
p.Gauge("endless", "x", ["sign"], registry=r).labels("+").set(float("inf"))
c = p.Counter("prompt_tokens", "x", ["engine"], registry=r)
c.labels("0").inc(12345678901234567, exemplar={"trace": "a b"}) if sys.argv[2] == "om" else c.labels("0").inc(1e300)
h = p.Histogram("latency", "x", ["le_"], registry=r)
h.labels("1").observe(0.3, exemplar={"id": "x y"}) if sys.argv[2] == "om" else h.labels("1").observe(7)
p.Summary("sums", "", registry=r).observe(2.5)
p.Info("build", "x", registry=r).info({"version": "1.0"})
p.Enum("state", "x", states=["up", "down"], registry=r).state("up")
text = (om.generate_latest(r) if sys.argv[2] == "om" else p.generate_latest(r)).decode()
open(sys.argv[1], "w").write(text)
for family in (read_om if sys.argv[2] == "om" else read_text)(text):
    for s in family.samples:
        print(json.dumps([s.name, s.labels, repr(float(s.value))]))
]]

local has_client = drive.shell(PYTHON .. " -c 'import prometheus_client'").code == 0

describe("the parser of pages", function()
   for _, form in ipairs { "text", "om" } do
      local run = has_client and it or pending
      run("reads what prometheus_client writes, and as it does: " .. form, function()
         local page = require "perigee.scrape.page"
         local dir = drive.tempdir()
         drive.write(dir .. "/writer.py", WRITER)
         local r = drive.shell(("%s %s/writer.py %s/page %s"):format(PYTHON, dir, dir, form))
         assert.equal(0, r.code, r.err)
         local samples, malformed = page.parse(drive.read(dir .. "/page"))
         assert.equal(0, malformed)
         local expected, got = {}, {}
         local function text(name, labels, value)
            local parts = {}
            for k, v in pairs(labels) do parts[#parts + 1] = k .. "=" .. v end
            table.sort(parts)
            return ("%s{%s} %.17g"):format(name, table.concat(parts, ","), value)
         end
         for line in r.out:gmatch "[^\n]+" do
            local name, labels, value = unpack(json.decode(line))
            expected[#expected + 1] = text(name, labels, tonumber(value))
         end
         for i, s in ipairs(samples) do got[i] = text(s.name, s.labels, s.value) end
         table.sort(expected)
         table.sort(got)
         assert.is_true(#expected > 25)
         assert.same(expected, got)
         os.execute("rm -rf " .. drive.quote(dir))
      end)
   end
end)
