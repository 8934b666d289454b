--- The command line as a whole: what it prints and how it ends, and that all of it is documented.
local drive = require "drive"

-- What differs from run to run and from machine to machine.
local MASKS = {
   { "127%.0%.0%.1:%d+", "HOST:PORT" },
   { "%d[%d.]* [mun]?s%f[%A]", "TIME" },
   { " +TIME", " TIME" },
   { "\n TIME  ", "\n TIME " },
   { '("id":) "[^"]*"', '%1 "ID"' },
   { "\n(%l+)  +[^\n]*", "\n%1  VALUE" },
   { "^perigee  +[^\n]*", "perigee  VALUE" },
   { "^perigee %S+\n$", "perigee VERSION\n" },
}

local function mask(text, which)
   for _, i in ipairs(which) do text = text:gsub(MASKS[i][1], MASKS[i][2]) end
   return text
end

local COMMANDS = {
   "run", "once", "explain", "explain-metrics", "check", "report", "compare", "mock", "events", "metrics", "top", "scrape",
   "control", "init", "selftest", "info"
}

describe("the command line", function()
   it("shows its commands", function()
      local r = drive.perigee "--help"
      assert.same({ 0, "" }, { r.code, r.err })
      drive.is_golden("help", r.out)
      local listed = {}
      for name in r.out:gmatch "\n  ([%l-]+) " do listed[#listed + 1] = name end
      assert.same(COMMANDS, listed)
      assert.same({ 2, "", r.out }, { drive.perigee().code, drive.perigee().out, drive.perigee().err })
   end)

   it("shows its version", function()
      local r = drive.perigee "--version"
      assert.same({ 0, "perigee VERSION\n", "" }, { r.code, mask(r.out, { 8 }), r.err })
   end)

   for _, command in ipairs(COMMANDS) do
      it("shows the help of " .. command, function()
         local r = drive.perigee(command, "--help")
         assert.same({ 0, "" }, { r.code, r.err })
         drive.is_golden("help-" .. command, r.out)
         -- The usage names each option, or says that there are more.
         local usage = r.out:match "^(.-)\n\noptions:"
         local more = usage:find("[options]", 1, true) or usage:find("[--option value ...]", 1, true)
         for name in r.out:gmatch "\n  %-%-([%w-]+)" do
            assert.truthy(name == "help" or more or usage:find(("--" .. name):gsub("%-", "%%-") .. "%f[^%w-]"), name)
         end
      end)
   end

   it("shows a scenario's own options", function()
      local r = drive.perigee("run", "examples/quickstart.lua", "--help")
      assert.same({ 0, "" }, { r.code, r.err })
      drive.is_golden("help-run-quickstart", r.out)
   end)

   it("refuses what it does not know, and names what is near", function()
      local hint = " (a scenario's own options stand after its file)"
      for _, row in ipairs {
         { "perigee: unknown command 'onec', did you mean 'once'?\n", "onec" },
         { "perigee: unknown command 'frobnicate'; see perigee --help\n", "frobnicate" },
         { "perigee run: unknown option --otu, did you mean --out?" .. hint .. "\n", "run", "--otu", "x" },
         { "perigee once: unknown option --indx, did you mean --index?\n", "once", "examples/quickstart.lua", "--indx", "1" },
         { "perigee explain: unknown option --rat, did you mean --rate?\n", "explain", "examples/quickstart.lua", "--rat", "1" },
         { "perigee check: unknown option --zzzz\n", "check", "examples/quickstart.lua", "--zzzz" },
      } do
         local r = drive.perigee(unpack(row, 2))
         assert.same({ 2, "", row[1] }, { r.code, r.out, r.err })
      end
      for _, row in ipairs { { "mock", "--prt" }, { "events", "--conect" }, { "info", "--verbose" } } do
         local r = drive.perigee(row[1], row[2])
         assert.same({ 2, "" }, { r.code, r.out })
         assert.truthy(r.err:find(row[2], 1, true), r.err)
      end
   end)

   it("explains a plan", function()
      local r = drive.perigee("explain", "examples/quickstart.lua", "--rate", "5", "--seed", "1")
      assert.same({ 0, "" }, { r.code, r.err })
      drive.is_golden("explain", r.out)
   end)

   it("checks a scenario", function()
      local r = drive.perigee("check", "examples/quickstart.lua")
      assert.same({ 0, "examples/quickstart.lua: scenario 'quickstart', 3 phases\n", "" }, { r.code, r.out, r.err })
   end)

   it("checks what is only made for a run, without traffic and without secrets", function()
      local dir = drive.tempdir()
      local function check(fields)
         local path = drive.scenario(dir, ([[return perigee.scenario { target = perigee.target.openai_chat { url = "mock:" },
            dataset = { "a", "b" }, requests = 1, %s }]]):format(fields))
         local r = drive.perigee("check", path)
         return r.code, r.err:match "^[^\n]*"
      end
      for fields, message in pairs {
         ["order = { 3 },"] = "order.list: there is no sample 3, the dataset has 2",
         ["order = perigee.order.weighted { 1 },"] = "order.weighted: 1 weights for 2 samples",
         ["load = perigee.load.ramp(1, 2),"] = "load.ramp: it needs `over`, or a phase with a duration",
         ["load = perigee.load.trace 'nowhere.csv',"] = "load.trace: nowhere.csv: No such file or directory",
         ["target = perigee.target.http { url = 'mock:fualt=status=1' },"] =
            "target: mock:fualt=status=1: unknown option --fualt, did you mean --fault?",
      } do
         local code, err = check(fields)
         assert.equal(2, code, fields)
         assert.truthy(err:find("^perigee check: %S+/scenario%.lua:%d+: "), err)
         assert.truthy(err:find(message, 1, true), err)
      end
      assert.equal(0, (check "target = perigee.target.http { url = 'mock:mode=max', api_key_env = 'NOT_SET_ANYWHERE' },"))
      os.execute("rm -rf " .. drive.quote(dir))
   end)

   it("sends one request and shows all of it", function()
      local r = drive.perigee("once", "examples/quickstart.lua", "--index", "2")
      assert.same({ 0, "" }, { r.code, r.err })
      drive.is_golden("once", mask(r.out, { 1, 2, 3 }))
   end)

   it("shows the machine", function()
      local r = drive.perigee "info"
      assert.same({ 0, "" }, { r.code, r.err })
      local beside = "modules  VALUE\n         ./lua\n         ./lua_modules/share/lua/5.1\n"
      local expected = "perigee  VALUE\napi  VALUE\nluajit  VALUE\nhost  VALUE\nworkers  VALUE\nlibrary  VALUE\ntypes  VALUE\n" .. beside
      assert.equal(expected, mask(r.out, { 6, 7 }):sub(1, #expected))
   end)
end)

-- ---- everything that has a name is in docs/reference.md ----

local REFERENCE = drive.read "docs/reference.md"

--- Are all of the names written as code in the reference? `before` stands between the backtick and the name.
local function documented(what, names, before)
   assert.is_true(#names > 0, what .. ": no names were found")
   local missing = {}
   for _, name in ipairs(names) do
      local code = "`" .. (before or ""):gsub("%p", "%%%0") .. name:gsub("%p", "%%%0") .. "%f[^%w_]"
      if not REFERENCE:find(code) then missing[#missing + 1] = name end
   end
   assert.same({}, missing, what .. " without a word in docs/reference.md")
end

--- The names in parentheses at the end of "unknown field 'zzz' (a, b, c)".
local function offered(fn, ...)
   local ok, message = pcall(fn, ...)
   assert.is_false(ok)
   local names = {}
   for name in assert(message:match "%(([^()]*)%)%s*$", message):gmatch "[^, ]+" do names[#names + 1] = name end
   return names
end

local function source(path, pattern)
   local names = {}
   for name in drive.read(path):gmatch(pattern) do names[#names + 1] = name end
   return names
end

describe("perigee explain-metrics", function()
   it("prints the page of the documents", function()
      assert.equal(drive.read "docs/metrics.md", drive.perigee("explain-metrics", "--markdown").out)
   end)

   it("has every metric of the engine and of the checks", function()
      local definitions = require "perigee.definitions"
      local names = source("engine/metrics/measure.h", 'X%([%u_]+, "([%l_]+)", ')
      for _, name in ipairs { "qps", "output_tokens_per_s", "error_rate", "goodput", "goodput_per_s" } do names[#names + 1] = name end
      assert.is_true(#names >= 15)
      for _, name in ipairs(names) do assert.truthy(definitions.find(name), name) end
   end)

   it("names keys of summary.json, and tools that it compares", function()
      local definitions = require "perigee.definitions"
      local phase = require("perigee.report.summary").phase(require("tests.unit.support").phase_report())
      local known = { name = true, unit = true, formula = true, key = true, note = true }
      for _, peer in ipairs(definitions.PEERS) do known[peer.key] = true end
      for _, metric in ipairs(definitions.METRICS) do
         assert.not_nil(phase[metric.key], metric.name)
         for field in pairs(metric) do assert.is_true(known[field], field) end
      end
   end)

   it("shows some, and refuses what is no metric", function()
      local r = drive.perigee("explain-metrics", "tpot", "qps")
      assert.same({ 0, "" }, { r.code, r.err })
      assert.truthy(r.out:find("tpot [ms] = (finished - first chunk) / (tokens_out - 1)\n", 1, true))
      assert.truthy(r.out:find("\nqps [1/s] = completed / duration of the phase\n", 1, true))
      r = drive.perigee("explain-metrics", "tfft")
      assert.same({ 2, "perigee explain-metrics: unknown metric 'tfft', did you mean 'ttft'?\n" }, { r.code, r.err })
      r = drive.perigee("explain-metrics", "bandwidth")
      assert.equal(2, r.code)
      assert.truthy(r.err:find("unknown metric 'bandwidth' (latency, service_time, ", 1, true), r.err)
      r = drive.perigee("explain-metrics", "ttft", "--markdown")
      assert.same({ 2, "" }, { r.code, r.out })
   end)
end)

describe("docs/reference.md", function()
   local perigee = require "perigee"

   local function keys(t)
      local names = {}
      for name in pairs(t) do names[#names + 1] = name end
      return names
   end

   it("has the library", function()
      documented("the library", keys(perigee), "perigee.")
      documented("random numbers", source("engine/lua/l_rng.c", '{ "(%l+)", l_%l+ }'), "rng:")
   end)

   it("has every field of scenarios and phases", function()
      documented("scenario", offered(perigee.scenario, { zzzzzz = 1 }))
      documented("phase", offered(perigee.phase, { "p", zzzzzz = 1 }))
      documented("on", offered(perigee.phase, { "p", on = { zzzzzz = 1 } }), "on.")
   end)

   it("has every load, order, dataset and target", function()
      for _, family in ipairs { "load", "order", "dataset", "target" } do
         documented(family, offered(function() return perigee[family].zzzzzz end), family .. ".")
      end
   end)

   it("has every field of targets and loads", function()
      for _, kind in ipairs { "openai_chat", "openai_completions", "http" } do
         documented("target." .. kind, offered(perigee.target[kind], { url = "x", zzzzzz = 1 }))
      end
      assert.same({ "max_inflight", "overload", "rate" }, offered(perigee.load.poisson, 1, { zzzzzz = 1 }))
      documented("load options", { "max_inflight", "overload" })
      for _, kind in ipairs { "search", "aimd", "saturate" } do
         documented("load." .. kind, offered(perigee.load[kind], { zzzzzz = 1 }))
      end
   end)

   it("has every option of users and conversations, and what they are given", function()
      local load = perigee.load
      documented("load.users", offered(load.users, 1, { zzzzzz = 1 }))
      documented("load.conversations", offered(load.conversations, "x", { zzzzzz = 1 }))
      documented("users", source("lua/perigee/load/user.lua", "\nfunction User:(%l+)%("), "u:")
      documented("chats", source("lua/perigee/load/user.lua", "\nfunction Chat:(%l+)%("), "chat:")
      local file = drive.read "lua/perigee/load/conversation_file.lua"
      local names = {}
      for name in file:gmatch "row%.([%l_]+)" do
         if name ~= "_type" then names[#names + 1] = name end
      end
      documented("rows of conversations", names)
   end)

   it("has what p:issue takes", function()
      for _, kind in ipairs { "openai_chat", "http" } do
         local ask = perigee.target[kind] { url = "x" }:build({}).ask
         local message = select(2, pcall(ask, { zzzzzz = 1 })):gsub(", to target%.[%l_]+$", "")
         documented("p:issue", offered(function() error(message, 0) end))
      end
   end)

   it("has what a request hook may return", function()
      local build = perigee.target.http { url = "x" }:build({}).build(function() return { zzzzzz = 1 } end)
      documented("request hook", offered(build, {}, 1))
   end)

   it("has every field of results, phases and sessions", function()
      documented("result", source("engine/lua/l_result.c", 'X%([%u_]+, "([%l_]+)"%)'), "r.")
      documented("result methods", source("engine/lua/l_result.c", '{ "(%l+)", [%l_]+ },'), "r:")
      documented("phase methods", source("engine/lua/l_phase.c", '{ "(%l+)", l_%l+ }'), "p:")
      documented("phase fields", source("engine/lua/l_phase.c", 'strcmp%(key, "([%l_]+)"%)'), "p.")
      documented("session methods", source("engine/lua/l_session.c", '{ "(%l+)", l_%l+ }'), "session:")
   end)

   it("has every metric that a check can name", function()
      local function check(text)
         return function() return perigee.phase { "p", checks = { text } } end
      end
      local names = {}
      for _, name in ipairs(source("lua/perigee/checks.lua", '"([%l_]+)"')) do
         local ok = pcall(check(name .. ".p99 < 1s")) or pcall(check(name .. " < 1"))
         if ok then names[#names + 1] = name end
      end
      for _, name in ipairs { "latency", "issued", "error_rate" } do
         assert.is_true(pcall(check(name .. (name == "latency" and ".p50 < 1s" or " < 1"))))
      end
      assert.is_true(#names >= 10, table.concat(names, " "))
      documented("checks", names)
      documented("metrics", source("engine/metrics/measure.h", 'X%([%u_]+, "([%l_]+)", '))
   end)

   it("has every failure with its meaning, and every end of a phase", function()
      local header, section = drive.read "engine/base/failure.h", REFERENCE:match "\n### Failures\n(.-)\n#"
      local count = 0
      for name, text in header:gmatch 'X%([%u_]+, "([%l_]+)", "([^"]+)"%)' do
         if name ~= "none" then
            local row = section:match("\n| `" .. name .. "` | ([^\n]*) |\n")
            assert.equal(text, row and row:sub(1, #text), name)
            count = count + 1
         end
      end
      assert.is_true(count > 10, count)
      documented("end_reason", source("engine/session/phase.h", '\n%s*X%([%u_]+, "([%l_]+)"%)'))
   end)

   it("has every option of every command", function()
      for _, command in ipairs(COMMANDS) do
         local section
         for title, text in (REFERENCE .. "\n### "):gmatch "(perigee [^\n]*)\n(.-)\n%f[#]##" do
            if (title .. " "):find("perigee " .. command:gsub("%-", "%%-") .. "%f[^%a-]") then section = text end
         end
         assert.truthy(section, command)
         local count = 0
         for name in drive.perigee(command, "--help").out:gmatch "\n  (%-%-[%w-]+)" do
            assert.truthy(section:find("`" .. name:gsub("%-", "%%-") .. "%f[^%w-]"), command .. " " .. name)
            count = count + 1
         end
         assert.is_true(count > 0 or command == "info", command)
      end
   end)

   it("has every key of the files", function()
      local r = drive.run [[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:fault=status=0.2" }, dataset = { "a b", "c d" },
            load = perigee.load.concurrency(2), requests = 20, checks = { "issued > 1" },
            duration = "20s", max_duration = "30s", min_requests = 1, min_duration = 0.001, stall = "10s", drain = "10s",
            deadline = "10s", record_text = true, chunk_events = true, request = function(s) return s.prompt end,
         }]]
      assert.equal(0, r.code, r.err)
      local names, opaque = {}, {
         errors = true, error_examples = true, finish_reasons = true, target = true, load = true, order = true, options = true,
      }
      local function walk(t)
         for key, value in pairs(t) do
            if type(key) == "string" then names[key] = true end
            if type(value) == "table" and not opaque[key] then walk(value) end
         end
      end
      walk(r.summary)
      assert.is_true(names.ttft_ms and names["p99.9"] and names.sha256 and names.passed and names.stall_s)
      documented("summary.json", keys(names))
      documented("requests.jsonl", source("engine/metrics/recorder.c", 'PUT_%u+%(l, "([%l_]+)"'))
   end)

   it("has every exit status", function()
      for name, status in pairs(require("perigee.verdict").EXIT) do
         assert.truthy(REFERENCE:find(("\n| %d | "):format(status), 1, true), name)
      end
   end)
end)

describe("the other pages", function()
   it("have every key and topic of events, and every fault and option of the built-in endpoint", function()
      local events, mock = drive.read "docs/events.md", drive.read "docs/mock.md"
      for _, key in ipairs(source("engine/events/event_keys.h", 'X%("([%l_]+)",')) do
         assert.truthy(events:find("`" .. key .. "`", 1, true), key)
      end
      for _, topic in ipairs(source("engine/events/event.h", 'X%([%u_]+, "(%l+%.[%l_]+)"%)')) do
         assert.truthy(events:find("`" .. topic .. "`", 1, true), topic)
      end
      local faults = source("engine/mock/mock.h", 'X%([%u_]+, "([%l_]+)"%)')
      assert.is_true(#faults >= 11)
      for _, fault in ipairs(faults) do assert.truthy(mock:find("\n| `" .. fault .. "` |", 1, true), fault) end
      for page, command in pairs { [events] = "events", [mock] = "mock" } do
         for name in drive.perigee(command, "--help").out:gmatch "\n  (%-%-[%w-]+)" do
            assert.truthy(name == "--help" or page:find("`" .. name, 1, true), command .. " " .. name)
         end
      end
   end)

   it("tell what perigee makes of every fault", function()
      for fault, reported in drive.read("docs/mock.md"):gmatch "\n| `([%l_]+)` | [^|\n]+ | `([%w_]+)`" do
         local r = drive.run(([[
            return perigee.scenario {
               target = perigee.target.openai_chat { url = "mock:fault=%s=1", first_byte_timeout = "300ms", timeout = "500ms" },
               dataset = { "one two three four" }, requests = 1,
            }]]):format(fault))
         assert.same({ [reported] = 1 }, r.summary.phases[1].errors, fault)
      end
   end)
end)
