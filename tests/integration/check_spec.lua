--- `perigee check`: the mistakes people make, each told with its place before any traffic.
local drive = require "drive"

-- Line 4 holds the row.
local TEXT = [[
local load, order, target = perigee.load, perigee.order, perigee.target
local chat = target.openai_chat { url = "mock:" }
return perigee.scenario { %s }]]

-- The row goes last; a constant of a table's constructor would still lose to what is not one.
local function fields(row)
   return (row:find "^target" and "" or "target = chat, ") .. (row:find "^dataset" and "" or "dataset = { 'a', 'b' }, ") .. row
end

local function check(row)
   local dir = drive.tempdir()
   return drive.perigee("check", drive.scenario(dir, TEXT:format(row)))
end

local MISTAKES = {
   -- wrong types and units
   { "requests = 'ten'", "scenario: requests: a whole number >= 1 expected, got 'ten'" },
   { "requests = '10s'", "scenario: requests: a whole number >= 1 expected, got '10s'" },
   { "duration = '10x'", "scenario: duration: a duration above 0" },
   { "duration = -1", "scenario: duration: a duration above 0" },
   { "drain = 'yes'", "scenario: drain: true or false or a duration above 0" },
   { "name = 5", "scenario: name: a string that is not empty expected, got 5" },
   { "seed = 'x'", "scenario: seed: a finite number expected, got 'x'" },
   { "tick = 0", "scenario: tick: a duration above 0" },
   { "stall = true", "scenario: stall: a duration above 0" },
   { "deadline = 'forever'", "scenario: deadline: a duration above 0" },
   { "handler_timeout = 0", "scenario: handler_timeout: a duration above 0" },
   { "max_error_rate = '5'", 'scenario: max_error_rate: a share such as "5%"' },
   { "load = load.poisson('10/s')", "load.poisson: rate: a finite number above 0 expected, got '10/s'" },
   { "load = load.steps { 5, 10 }", "load.steps: steps: a list of { rate, duration }" },
   { "load = load.sine { mean = 5, amplitude = 9, period = '1s' }", "load.sine: the amplitude must not be above the mean" },
   { "order = { '1' }", "order.list: indices: a list of indices" },
   -- functions where values are expected, and the other way round
   { "duration = function() return 5 end",
      "scenario: duration: a duration above 0 (seconds or \"250ms\", \"2m\") expected, got a function" },
   { "target = target.openai_chat", "scenario: target: a target (perigee.target.*) expected, got a function" },
   { "load = load.poisson", "scenario: load: a load (perigee.load.*) expected, got a function" },
   { "load = function(p) p:issue() end", "scenario: load: a load (perigee.load.*) expected, got a function" },
   { "order = order.shuffle", "scenario: order: order.shuffle is a function that makes an order, order.shuffle()" },
   { "dataset = perigee.dataset.jsonl", "scenario: dataset: a dataset (perigee.dataset.*) or a list of samples expected, got a function" },
   { "on = function() end", "scenario: on: a table expected, got a function" },
   { "on = { complete = 'x' }", "scenario.on: complete: a function expected, got 'x'" },
   { "stop_when = 'completed > 5'", "scenario: stop_when: a function expected, got 'completed > 5'" },
   { "request = 'hello'", "scenario: request: a function expected, got 'hello'" },
   { "setup = 'x'", "scenario: setup: a function expected, got 'x'" },
   { "target = target.http { url = 'ftp://x' }", "target.http: url: a url such as http://host:8000" },
   { "target = target.http { url = 'http://h:99999' }", "target.http: url: a url such as http://host:8000" },
   { "dataset = {}", "scenario: dataset: a dataset (perigee.dataset.*) or a list of samples expected, got an empty table" },
   { "order = {}", "a list of indices or a function expected, got an empty table" },
   { "load = load.steps { { 5, '1s' }, { 0, '1s' } }", "steps: a list of { rate, duration }, each above 0, as [2] is not, expected" },
   { "target = 'http://x'", "scenario: target: a target (perigee.target.*) expected, got 'http://x'" },
   -- misspelt and misplaced
   { "reqests = 5", "scenario: unknown field 'reqests', did you mean 'requests'?" },
   { "kind = 'warmup'", "scenario: unknown field 'kind'" },
   { "on = { completed = print }", "scenario.on: unknown field 'completed', did you mean 'complete'?" },
   { "phases = { { 'a', laod = load.poisson(5) } }", "scenario.phases[1] 'a': unknown field 'laod', did you mean 'load'?" },
   { "phases = { { 'a', seed = 5 } }", "scenario.phases[1] 'a': unknown field 'seed'" },
   { "phases = { 'warmup' }", "scenario.phases[1]: a table expected, got 'warmup'" },
   { "phases = { a = { requests = 5 } }", "scenario.phases: a list of phases expected, found the field 'a'" },
   { "phases = { { 'a' }, nil, { 'b' } }", "scenario.phases[2] is nil, and what comes after it would be lost" },
   { "checks = { 'qps > 5', nil, 'failed == 0' }", "scenario.checks[2] is nil, and what comes after it would be lost" },
   -- options
   { "options = { rate = { 5, 'rate' } }", "scenario.options.rate: nothing uses it" },
   { "load = load.poisson(perigee.opt 'rate')", "perigee.opt 'rate': the scenario's options do not declare it" },
   { "options = { rate = { 5, 'r' } }, load = load.poisson(perigee.opt 'rat')",
      "perigee.opt 'rat': the scenario's options do not declare it, did you mean 'rate'?" },
   { "options = { rate = 5 }", "scenario.options.rate: { default, \"help\" [, type] } expected, got number" },
   { "options = { d = { '5x', 'dur', 'duration' } }, duration = perigee.opt 'd'", "scenario.options.d: default: a duration such as 250ms" },
   { "options = { d = { '5x', 'dur' } }, duration = perigee.opt 'd'", "scenario: duration: a duration above 0" },
   -- what only shows when the parts are put together
   { "order = order.single(9)", "order.single: there is no sample 9, the dataset has 2" },
   { "order = { 1, 9 }", "order.list: there is no sample 9, the dataset has 2" },
   { "order = order.weighted { 1, 2, 3 }", "order.weighted: 3 weights for 2 samples" },
   { "load = load.trace 'nowhere.csv'", "load.trace: nowhere.csv: No such file or directory" },
   { "load = load.replay 'nowhere.plog'", "nowhere.plog" },
   { "dataset = { { promt = 'a' } }", "dataset.table: sample 1: none of 'prompt', 'messages' and 'body'" },
   { "min_duration = '10s', max_duration = '5s'", "scenario.phases[1] 'performance': min_duration is above max_duration" },
   -- checks
   { "checks = { 'latency.p99 < 5' }", "check: a duration needs a unit" },
   { "checks = { 'error_rate < 5' }", "check: a share is at most 1: did you mean 5%?" },
   { "overall = { 'p99 < 5s' }", "check: unknown metric 'p99'" },
}

describe("perigee check", function()
   for _, row in ipairs(MISTAKES) do
      it("refuses " .. row[1], function()
         local r = check(fields(row[1]))
         assert.same({ 2, "" }, { r.code, r.out })
         assert.truthy(r.err:find(row[2], 1, true), r.err)
         assert.matches("^perigee check: [^\n]*scenario.lua:4: ", r.err)
      end)
   end

   for _, good in ipairs {
      "duration = '1m30s'", "checks = { 'latency.p99 < 1m30s', 'error_rate <= 1', 'qps > 10/s', 'ttft.p99.9<1s' }",
      "options = { rate = { 5, 'r' } }, setup = function(run) return run.options.rate end",
      "max_error_rate = { '5%', requests = 10 }, stop_when = function() end, overall = { 'completed > 1' }",
      "target = target.openai_chat { url = 'mock:', api_key_env = 'PERIGEE_NO_SUCH' }", -- no secrets are needed
   } do
      it("accepts " .. good, function()
         local r = check(fields(good))
         assert.same({ 0, "" }, { r.code, r.err })
      end)
   end

   it("lets scenario:with leave an option without use", function()
      local dir = drive.tempdir()
      local r = drive.perigee("check", drive.scenario(dir, [[
         local base = perigee.scenario { options = { url = { "mock:", "endpoint" } }, dataset = { "a" },
            target = perigee.target.openai_chat { url = perigee.opt "url" } }
         return base:with { target = perigee.target.openai_chat { url = "mock:" } }]]))
      assert.same({ 0, "" }, { r.code, r.err })
   end)

   it("knows the line although the scenario is made in several ways", function()
      for text, line in pairs {
         ["return perigee.scenario {\n   name = 5,\n}"] = ":2: ",
         ["local s = perigee.scenario {\n   name = 5,\n}\nreturn s"] = ":2: ",
         ["local function make(t)\n   return perigee.scenario(t)\nend\nreturn make { name = 5 }"] = ":5: ",
      } do
         local r = drive.perigee("check", drive.scenario(drive.tempdir(), text))
         assert.equal(2, r.code)
         assert.truthy(r.err:find(line, 1, true), text .. r.err)
      end
   end)
end)
