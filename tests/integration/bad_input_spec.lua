--- Scenarios, data and options that are wrong: refused before any traffic, with their place.
local drive = require "drive"

local HEAD = [[
local load, order, target = perigee.load, perigee.order, perigee.target
local function scenario(fields)
   fields.target = fields.target or target.openai_chat { url = "mock:" }
   fields.dataset = fields.dataset or { { prompt = "x" } }
   fields.requests = fields.requests or 1
   return perigee.scenario(fields)
end
]]

--- Run a scenario (its text after HEAD) beside the file data.jsonl.
local function run(text, data, ...)
   local dir = drive.tempdir()
   if data then drive.write(dir .. "/data.jsonl", data) end
   local file = drive.scenario(dir, HEAD .. text)
   local r = drive.perigee("run", file, "--out", dir .. "/out", "--progress", "none", ...)
   r.dir = dir
   return r
end

local function refuses(r, code, message)
   assert.equal(code, r.code, r.out .. r.err)
   assert.truthy(r.err:find(message, 1, true), r.err)
   assert.is_nil(r.err:find("stack traceback", 1, true), r.err)
   assert.is_nil(drive.read(r.dir .. "/out/summary.json"))
end

describe("a scenario with a mistake", function()
   for _, row in ipairs {
      -- line 9 of the file, what is told
      { "return scenario { load = load.constant(", "scenario.lua:9: unexpected symbol" },
      { "error 'no such thing'", "scenario.lua:9: no such thing" },
      { "local t; t.x = 1", "scenario.lua:9: attempt to index" },
      { "error({ code = 5 })", "scenario.lua: table" },
      { "error()", "scenario.lua: nil" },
      { "require 'no.such.module'", "module 'no.such.module' not found" },
   } do
      it("is refused: " .. row[1], function() refuses(run(row[1]), 2, row[2]) end)
   end

   for _, row in ipairs {
      -- fields of the scenario, in line 9; what is told
      { "load = load.constant(0)", "scenario.lua:9: load.constant: rate: a finite number above 0 expected, got 0" },
      { "load = load.constant(-5)", "scenario.lua:9: load.constant: rate: a finite number above 0 expected, got -5" },
      { "load = load.poisson(0/0)", "scenario.lua:9: load.poisson: rate: a finite number above 0 expected, got" },
      { "load = load.poisson(1/0)", "scenario.lua:9: load.poisson: rate: a finite number above 0 expected, got inf" },
      { "load = load.constant('5')", "scenario.lua:9: load.constant: rate: a finite number above 0 expected, got '5'" },
      { "load = load.constant()", "scenario.lua:9: load.constant: 'rate' is missing" },
      { "load = load.concurrency(1.5)", "scenario.lua:9: load.concurrency: n: a whole number >= 1 expected" },
      { "load = load.concurrncy(1)", "scenario.lua:9: load: unknown name 'concurrncy', did you mean 'concurrency'?" },
      { "load = load.gaps(5)", "scenario.lua:9: load.gaps: fn: a function expected, got 5" },
      { "load = 5", "load: a load (perigee.load.*) expected, got 5" },
      { "load = load.poisson(5, { max_inflght = 3 })", "load.poisson: unknown field 'max_inflght', did you mean 'max_inflight'?" },
      { "load = load.poisson(5, { overload = 'abort' })", "load.poisson: overload needs max_inflight" },
      { "order = 'shuffle'", "order: an order (perigee.order.*), a list of indices or a function expected, got 'shuffle'" },
      { "reqests = 5", "scenario: unknown field 'reqests', did you mean 'requests'?" },
      { "on = { complet = print }", "scenario.on: unknown field 'complet', did you mean 'complete'?" },
      { "on = { complete = 5 }", "scenario.on: complete: a function expected, got 5" },
      { "phases = { { 'a', durtion = 5 } }", "scenario.phases[1] 'a': unknown field 'durtion', did you mean 'duration'?" },
      { "phases = { { 'a' }, { 'a' } }", "scenario.phases[2]: a phase named 'a' exists already" },
      { "phases = { { 'a', duration = '5 parsecs' } }", "scenario.phases[1] 'a': duration: a duration above 0" },
      { "phases = { { 'a', kind = 'warmpu' } }", "kind: one of 'performance', 'warmup', 'accuracy' (did you mean 'warmup'?)" },
      { "target = target.openai_chat { ulr = 'x' }", "target.openai_chat: unknown field 'ulr', did you mean 'url'?" },
      { "target = target.http { url = 'mock:', headers = { ['a b'] = 'c' } }", "target.http: headers: a table of header names" },
      { "checks = { 'ttft.p98 < 5ms' }", "unknown statistic 'p98'" },
      { "checks = { 'latency.p99 < 5' }", "a duration needs a unit" },
      { "dataset = perigee.dataset.table {}", "scenario.lua:9: dataset.table: the dataset is empty" },
      { "dataset = { 5 }", "dataset.table: sample 1: an object expected, got number" },
      { "order = order.list { 1, 2 }, requests = perigee.opt 'n'", "perigee.opt 'n': the scenario's options do not declare it" },
      { "target = target.openai_chat { url = 'gopher://x' }", "gopher://x" },
      { "target = target.openai_chat { url = 'mock:nope=1' }", "mock:nope=1" },
      { "target = target.openai_chat { url = 'mock:fault=reset=2' }", "--fault: KIND=P with P within 0..1" },
      { "target = target.openai_chat { url = 'mock:', api_key_env = 'PERIGEE_NO_SUCH' }", "PERIGEE_NO_SUCH" },
      { "target = target.http { url = 'https://h', ca_file = 'nowhere.pem' }",
         "scenario.lua:9: target.http: ca_file: nowhere.pem: No such file" },
      { "target = target.http { url = 'https://h', ca_file = '/tmp' }", "scenario.lua:9: target.http: ca_file: /tmp: Is a directory" },
      { "target = target.http { url = 'https://h', ca_file = 'scenario.lua' }", "scenario.lua: it has no certificate in PEM form" },
      { "target = target.http { url = 'http://[::1]:80', source_addresses = { '127.0.0.1' } }",
         "scenario.lua:9: target.http: source_addresses: '127.0.0.1' is IPv4, and the url 'http://[::1]:80' is IPv6" },
      { "target = target.http { url = { 'h:1', '127.0.0.1:1/v1' }, source_addresses = { '127.0.0.1', '::1' } }",
         "source_addresses: '::1' is IPv6, and the url '127.0.0.1:1/v1' is IPv4" },
      { "dataset = { { prompt = 'x' } }, order = order.weighted { 1, 2 }", "order.weighted: 2 weights for 1 samples" },
      { "dataset = { 'a', 'b' }, order = { 1, 9 }", "order.list: there is no sample 9, the dataset has 2" },
      { "dataset = { 'a', 'b' }, order = order.single(3)", "order.single: there is no sample 3, the dataset has 2" },
   } do
      it("is refused: " .. row[1], function() refuses(run(("return scenario { %s }"):format(row[1])), 2, row[2]) end)
   end
end)

describe("a dataset with a mistake", function()
   local READ = "return scenario { dataset = perigee.dataset.jsonl('%s', { prompt = 'text' }) }"
   for _, row in ipairs {
      -- content, what is told
      { "", "data.jsonl: the dataset is empty" },
      { "\n \n", "data.jsonl: the dataset is empty" },
      { '{"text":"a"}\n\n{"text":"b"\n', "data.jsonl:3: " },
      { '{"text":"a"}\n{"txt":"b"}\n', "data.jsonl:2: no column 'text' (for 'prompt')" },
      { '{"text":"a"}\n{"text":null}\n', "data.jsonl:2: no column 'text' (for 'prompt')" },
      { '{"text":"a"}\n{"text":5}\n', "data.jsonl:2: 'prompt' is a number, a string expected" },
      { '{"text":"a"}\n[1]\n', "data.jsonl:2: " },
      { '{"text":"a"}\n"b"\n', "data.jsonl:2: an object expected, got string" },
      { '{"text":"a"} {"text":"b"}\n', "data.jsonl:1: " },
   } do
      it("is refused: " .. ("%q"):format(row[1]):gsub("\\?\n", " | "), function()
         refuses(run(READ:format "data.jsonl", row[1]), 2, "scenario.lua:9: dataset.jsonl: " .. row[2])
      end)
   end

   it("is refused when the file is missing", function()
      refuses(run(READ:format "nowhere.jsonl"), 2, "scenario.lua:9: dataset.jsonl: nowhere.jsonl: No such file or directory")
   end)

   it("is refused when it is a folder", function()
      refuses(run(READ:format "/tmp"), 2, "scenario.lua:9: dataset.jsonl: /tmp: Is a directory")
   end)

   it("is refused when an option names it, too", function()
      local r = run([[return scenario { options = { data = { "x.jsonl", "" } }, dataset = perigee.dataset.jsonl(perigee.opt "data") }]],
         nil, "--data", "nowhere.jsonl")
      refuses(r, 2, "scenario.lua:9: dataset.jsonl: nowhere.jsonl: No such file or directory")
   end)
end)

describe("a load or an order that cannot be made", function()
   for _, row in ipairs {
      { "load = load.ramp(1, 2)", "scenario.lua:9: load.ramp: it needs `over`" },
      { "load = load.sine { mean = 1, amplitude = 2, period = 3 }", "scenario.lua:9: load.sine: the amplitude" },
      { "load = load.trace 'none.csv'", "scenario.lua:9: load.trace: none.csv" },
      { "load = load.replay 'none.plog'", "scenario.lua:9: load.replay: none.plog" },
      { "load = load.trace('data.jsonl', { from = 9 })", "scenario.lua:9: load.trace: data.jsonl has no arrivals in the window" },
      { "load = load.search { slo = 'qps > 1', rate = { 1, 2 }, state = 'README.md' }", "scenario.lua:9: load.search: README.md: " },
      { "order = order.single(2)", "scenario.lua:9: order.single: there is no sample 2" },
      { "order = order.weighted { 1, 2 }", "scenario.lua:9: order.weighted: 2 weights for 1 samples" },
   } do
      it("is refused by run, explain and check: " .. row[1], function()
         local dir = drive.tempdir()
         drive.write(dir .. "/data.jsonl", '{"timestamp": 0, "input_length": 1, "output_length": 1}\n')
         local file = drive.scenario(dir, HEAD .. "return scenario { " .. row[1] .. " }")
         for _, command in ipairs { "run", "explain", "check" } do
            local r = drive.perigee(command, file, unpack(command == "run" and { "--out", dir .. "/out" } or {}))
            assert.equal(2, r.code, command .. r.out .. r.err)
            assert.truthy(r.err:find(row[2], 1, true), command .. r.err)
            assert.is_nil(r.err:find("stack traceback", 1, true), r.err)
         end
      end)
   end

   it("takes certificates from beside the scenario", function()
      local dir = drive.tempdir()
      drive.write(dir .. "/ca.pem", "of us\n-----BEGIN CERTIFICATE-----\n")
      local r = drive.perigee("check", drive.scenario(dir, HEAD
         .. "return scenario { target = target.http { url = 'https://h', ca_file = 'ca.pem' } }"))
      assert.equal(0, r.code, r.err)
      drive.write(dir .. "/ca.pem", "of nobody")
      r = drive.perigee("check", dir .. "/scenario.lua")
      assert.equal(2, r.code)
      assert.truthy(r.err:find(dir .. "/ca.pem: it has no certificate", 1, true), r.err)
   end)

   it("takes a trace from beside the scenario", function()
      local dir = drive.tempdir()
      drive.write(dir .. "/data.jsonl", '{"timestamp": 0, "input_length": 1, "output_length": 1}\n')
      local r = drive.perigee("check", drive.scenario(dir, HEAD .. "return scenario { load = load.trace 'data.jsonl' }"))
      assert.equal(0, r.code, r.err)
   end)
end)

describe("an option with a mistake", function()
   for _, row in ipairs {
      { { "--evnts", "x" }, 2, "unknown option --evnts, did you mean --events?" },
      { { "--subscribers", "-1" }, 2, "option --subscribers: a whole number >= 0 expected, got '-1'" },
      { { "--subscribers-timeout", "soon" }, 2, "option --subscribers-timeout: a duration" },
      { { "--framing", "both" }, 2, "option --framing: one of topic, mlcommons expected, got 'both'" },
      { { "--seed" }, 2, "option --seed: a value is missing" },
      { { "--source", "::1" }, 2, "option --source: '::1' is IPv6, and the url 'mock:' is IPv4" },
      { { "more.lua" }, 2, "unexpected argument 'more.lua'" },
      { { "--events", "nonsense" }, 2, "nonsense" },
      { { "--events", "carrier-pigeon://roof" }, 2, "carrier-pigeon://roof" },
      { { "--events", "tcp://127.0.0.1:99999" }, 2, "tcp://127.0.0.1:99999" },
      { { "--events", "ipc:///nonexistent/folder/events.ipc" }, 1, "/nonexistent/folder/events.ipc" },
      { { "--subscribers", "1", "--subscribers-timeout", "50ms" }, 1, "1 event subscriber(s) were expected at ipc://" },
   } do
      it("is refused: " .. table.concat(row[1], " "), function()
         local r = run("return scenario {}", nil, unpack(row[1]))
         assert.equal(row[2], r.code, r.out .. r.err)
         assert.truthy((r.out .. r.err):find(row[3], 1, true), r.out .. r.err)
      end)
   end

   it("is refused when the scenario's file is missing", function()
      local r = drive.perigee("run", "/nonexistent/s.lua")
      assert.same({ 2, "perigee run: /nonexistent/s.lua: No such file or directory\n" }, { r.code, r.err })
   end)
end)

describe("perigee once", function()
   it("tells a mistake of the scenario from an endpoint that does not answer", function()
      local dir = drive.tempdir()
      for _, row in ipairs { { "mock:nope=1", 2, "did not start" }, { "http://127.0.0.1:1", 1, "refused" } } do
         local r = drive.perigee("once", drive.scenario(dir, HEAD
            .. ("return scenario { target = target.openai_chat { url = '%s' } }"):format(row[1])))
         assert.equal(row[2], r.code, r.out .. r.err)
         assert.truthy((r.out .. r.err):find(row[3], 1, true), r.out .. r.err)
      end
   end)
end)
