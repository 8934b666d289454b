--- What a report says against what the built-in endpoint knows: its own log has when each token
--- went to the socket, on the same clock. Each request has a number of words and of tokens of its own.
local drive = require "drive"
local engine = require "perigee_engine"

local SCENARIO = [[
   local dataset = {}
   for i = 1, %d do
      dataset[i] = { prompt = ("w "):rep(1 + (i - 1) %% %d), max_tokens = 1 + math.floor((i - 1) / %d) }
   end
   return perigee.scenario {
      target = perigee.target.openai_chat { url = "mock:mode=timed,seed=5,tokens=64,log=%s,%s" },
      dataset = dataset, load = %s, requests = #dataset,
   }]]

local SHARES = { p50 = 0.5, p90 = 0.9, p95 = 0.95, p99 = 0.99, ["p99.9"] = 0.999 }
local DIGITS = 1 / 1024 -- the width of a histogram's bucket

--- By words and tokens: the entry of each line; no two are the same.
local function keyed(list, words, tokens)
   local map, count = {}, 0
   for _, entry in ipairs(list) do
      local key = entry[words] .. " " .. entry[tokens]
      assert(not map[key], key)
      map[key], count = entry, count + 1
   end
   return map, count
end

-- When the session started, by the first line of its events.
local function started(path)
   for line in io.lines(path) do
      local event = engine.json.decode(line)
      if event.event_type == "session.started" then return event.timestamp_ns end
   end
end

--- Play it. Pairs of stamps in ns: what the client wrote of each request, and what the endpoint did.
local function play(requests, words, timing, load)
   local log = drive.tempdir() .. "/endpoint.jsonl"
   local r = drive.run(SCENARIO:format(requests, words, words, log, timing, load))
   assert(r.code == 0, r.out .. r.err)
   local path = r.dir .. "/events.jsonl"
   assert(drive.perigee("events", "--from", r.dir .. "/events.plog", "--jsonl", path, "--quiet").code == 0)
   local start_ns = started(path)
   local client, count = keyed(drive.jsonl(r.dir .. "/requests.jsonl"), "tokens_in", "tokens_out")
   local truth, told = keyed(drive.jsonl(log), "prompt_tokens", "completion_tokens")
   assert.same({ requests, requests }, { count, told })
   local pairs_of = {}
   for key, mine in pairs(client) do
      local theirs = assert(truth[key], key)
      pairs_of[#pairs_of + 1] = {
         scheduled = mine.scheduled_ns, issued = mine.issued_ns, first = mine.first_ns, finished = mine.finished_ns,
         received = theirs.received_ns - start_ns, sent_first = theirs.first_ns - start_ns, sent_last = theirs.finished_ns - start_ns,
      }
   end
   return r.summary.phases[1], pairs_of
end

--- The value of that share, by its definition.
local function quantile(values, q)
   return values[math.max(1, math.ceil(q * #values - 1e-9))]
end

-- If no value differs from its true one by more than `off`, no percentile does.
local function check(reported, list, true_value, own_value)
   local truth, most = {}, 0
   for i, p in ipairs(list) do
      truth[i] = true_value(p)
      local off = own_value(p) - truth[i]
      assert.is_true(off >= 0, "the client saw it before it was sent")
      most = math.max(most, off)
   end
   table.sort(truth)
   for name, q in pairs(SHARES) do
      local value, expected = reported[name] * 1e6, quantile(truth, q)
      local error_ns = reported.exact and 1 or expected * DIGITS + 1
      assert.is_true(value >= expected - 1, ("%s: %.0f ns reported, %.0f ns true"):format(name, value, expected))
      assert.is_true(value <= (expected + most) * (1 + DIGITS) + error_ns,
         ("%s: %.0f ns reported, %.0f ns true, at most %.0f ns on the way"):format(name, value, expected, most))
   end
end

--- The report against the endpoint's log, from the intended time and from the issue.
local function compare(phase, list)
   check(phase.ttft_ms, list, function(p) return p.sent_first - p.scheduled end, function(p) return p.first - p.scheduled end)
   check(phase.ttft_service_ms, list, function(p) return p.sent_first - p.received end, function(p) return p.first - p.issued end)
   check(phase.latency_ms, list, function(p) return p.sent_last - p.scheduled end, function(p) return p.finished - p.scheduled end)
   check(phase.service_time_ms, list, function(p) return p.sent_last - p.received end, function(p) return p.finished - p.issued end)
end

--- The same percentiles from the records of the requests: what the report adds is the histogram's error alone.
local function same_as_records(reported, list, value_of)
   local values = {}
   for i, p in ipairs(list) do values[i] = value_of(p) end
   table.sort(values)
   assert.equal(#values, reported.count)
   for name, q in pairs(SHARES) do
      local value, expected = reported[name] * 1e6, quantile(values, q)
      if reported.exact then
         assert.is_true(math.abs(value - expected) < 1, name)
      else
         assert.is_true(value >= expected - 1 and value <= expected * (1 + DIGITS) + 1, name)
      end
   end
end

describe("the report against the endpoint's own log", function()
   it("agrees at low load with fixed timing, and no token came early", function()
      local phase, list = play(60, 10, "ttft=20ms,tpot=2ms", "perigee.load.concurrency(2)")
      compare(phase, list)
      for _, p in ipairs(list) do assert.is_true(p.sent_first - p.received >= 20e6 and p.first - p.issued >= 20e6) end
      assert.is_true(phase.ttft_ms.min >= 20 and phase.first_content_ms.min >= 20)
      assert.is_true(phase.ttft_ms.exact)
      same_as_records(phase.ttft_ms, list, function(p) return p.first - p.scheduled end)
   end)

   it("agrees with drawn timing under an open load", function()
      local phase, list = play(900, 90, "ttft=exp:20ms,tpot=uniform:0ms,2ms", "perigee.load.poisson(400)")
      compare(phase, list)
      same_as_records(phase.latency_ms, list, function(p) return p.finished - p.scheduled end)
   end)

   it("agrees at high load, where the histogram takes over", function()
      local phase, list = play(12000, 600, "ttft=uniform:0ms,4ms,tpot=0ms", "perigee.load.concurrency(64)")
      assert.is_false(phase.ttft_ms.exact)
      compare(phase, list)
      same_as_records(phase.ttft_ms, list, function(p) return p.first - p.scheduled end)
      same_as_records(phase.service_time_ms, list, function(p) return p.finished - p.issued end)
   end)

   it("agrees where requests wait for the client: the intended time shows it", function()
      local phase, list = play(200, 20, "ttft=5ms,tpot=0ms", "perigee.load.constant(2000, { max_inflight = 4 })")
      compare(phase, list)
      -- 200 arrivals within 100 ms, 4 at a time of at least 5 ms: the last ones wait for 150 ms or longer
      assert.is_true(phase.ttft_ms.max >= 5 * 200 / 4 - 100)
      assert.is_true(phase.ttft_ms.p50 > phase.ttft_service_ms.p50)
   end)
end)

describe("perigee mock --log", function()
   it("names a file that cannot be written, before it serves", function()
      local r = drive.perigee("mock", "--log", "/no/such/folder/log", "--until-eof")
      assert.equal(1, r.code)
      assert.truthy(r.err:find("/no/such/folder/log: No such file or directory", 1, true), r.err)
      assert.equal("", r.out)
   end)

   it("tells that the disk was full", function()
      local process, url = drive.mock("--log", "/dev/full")
      local r = drive.shell(("curl -s -d '{\"prompt\":\"a b\"}' %s/v1/completions"):format(url))
      assert.equal(0, r.code)
      assert.equal(1, process:stop(10))
   end)

   it("has no line for what was cut short or is no completion", function()
      local log = drive.tempdir() .. "/log"
      local process, url = drive.mock("--log", log)
      local ask = "curl -s -d '{\"prompt\":\"a b\",\"stream\":%s}' %s " .. url .. "/v1/completions >/dev/null;"
      drive.shell(ask:format("true", "-H 'x-perigee-fault: reset'") .. "curl -s " .. url .. "/health >/dev/null;"
         .. ask:format("false", "") .. ask:format("true", ""))
      assert.equal(0, process:stop(10))
      local lines = drive.jsonl(log)
      assert.equal(2, #lines)
      assert.same({ 1, 0, 2, 2 }, { lines[1].number, lines[1].first_ns, lines[1].prompt_tokens, lines[1].completion_tokens })
      local streamed = lines[2]
      assert.is_true(streamed.received_ns <= streamed.first_ns and streamed.first_ns <= streamed.finished_ns)
   end)
end)
