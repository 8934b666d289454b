--- What a report says against what the built-in endpoint knows: its own log has when the first and the last
--- token went to the socket, on the same clock. Each request has a number of words and of tokens of its own.
--- Nothing is compared with a time that a busy machine could miss: the bounds are what both sides wrote of
--- each request.
local drive = require "drive"
local engine = require "perigee_engine"

local SHARES = { p50 = 0.5, p90 = 0.9, p95 = 0.95, p99 = 0.99, ["p99.9"] = 0.999 }
local DIGITS = 1 / 1024 -- the width of a histogram's bucket

local PHASE = [[
   { %q, load = %s, requests = %d, dataset = samples(%d, %d),
     target = perigee.target.openai_chat { url = "mock:mode=timed,seed=5,tokens=64,log=%s,%s" } },
]]

local SCENARIO = [[
   local function samples(n, words)
      local list = {}
      for i = 1, n do
         list[i] = { prompt = ("w "):rep(1 + (i - 1) %% words), max_tokens = 1 + math.floor((i - 1) / words) }
      end
      return list
   end
   return perigee.scenario { phases = { %s } }
]]

local function key_of(phase, words, tokens) return ("%s %d %d"):format(phase, words, tokens) end

--- By phase, words and tokens: what the endpoints did. No two are the same.
local function truth_of(phases)
   local map = {}
   for _, phase in ipairs(phases) do
      for _, entry in ipairs(drive.jsonl(phase.log)) do
         local key = key_of(phase.name, entry.prompt_tokens, entry.completion_tokens)
         assert(not map[key], key)
         map[key] = entry
      end
   end
   return map
end

-- When the session started, and the gaps between the chunks of each request in ns.
local function from_events(path)
   local start_ns, gaps = nil, {}
   for line in io.lines(path) do
      local event = engine.json.decode(line)
      if event.event_type == "session.started" then start_ns = event.timestamp_ns end
      if event.event_type == "sample.complete" then
         local list = {}
         for i, us in ipairs(event.chunk_times or {}) do list[i] = us * 1000 end
         gaps[event.sample_uuid] = list
      end
   end
   return start_ns, gaps
end

local function pair_of(mine, theirs, gaps, start_ns)
   return {
      scheduled = mine.scheduled_ns, issued = mine.issued_ns, first = mine.first_ns, finished = mine.finished_ns,
      received = theirs.received_ns - start_ns, sent_first = theirs.first_ns - start_ns, sent_last = theirs.finished_ns - start_ns,
      tokens = mine.tokens_out, gaps = gaps,
   }
end

--- Play phases of { name, load, requests, words, timing }. The summary, and for each phase the pairs of stamps in ns:
--- what the client wrote of each request, and what the endpoint did.
local function play(phases, ...)
   local parts, dir, expected = {}, drive.tempdir(), 0
   for i, p in ipairs(phases) do
      p.log = ("%s/%d.jsonl"):format(dir, i)
      parts[i] = PHASE:format(p.name, p.load, p.requests, p.requests, p.words, p.log, p.timing)
      expected = expected + p.requests
   end
   local r = drive.run(SCENARIO:format(table.concat(parts)), ...)
   assert(r.code == 0, r.out .. r.err)
   local path = r.dir .. "/events.jsonl"
   assert(drive.perigee("events", "--from", r.dir .. "/events.plog", "--jsonl", path, "--quiet").code == 0)
   local start_ns, gaps = from_events(path)
   local truth, requests, pairs_of = truth_of(phases), drive.jsonl(r.dir .. "/requests.jsonl"), {}
   assert.equal(expected, #requests)
   for _, mine in ipairs(requests) do
      local key = key_of(mine.phase, mine.tokens_in, mine.tokens_out)
      local theirs = assert(truth[key], key)
      truth[key] = nil
      pairs_of[mine.phase] = pairs_of[mine.phase] or {}
      table.insert(pairs_of[mine.phase], pair_of(mine, theirs, gaps[mine.sample_uuid], start_ns))
   end
   assert.is_nil(next(truth))
   local by_name = {}
   for _, phase in ipairs(r.summary.phases) do by_name[phase.name] = phase end
   return by_name, pairs_of
end

--- The value of that share, by its definition.
local function quantile(values, q)
   return values[math.max(1, math.ceil(q * #values - 1e-9))]
end

local function sorted(list, value_of)
   local values = {}
   for _, p in ipairs(list) do values[#values + 1] = value_of(p) end
   table.sort(values)
   return values
end

--- Is each percentile that of these values, but for the stated error of the histogram?
local function same_values(reported, values)
   assert.equal(#values, reported.count)
   for name, q in pairs(SHARES) do
      local value, expected = reported[name] * 1e6, quantile(values, q)
      local most = reported.exact and expected + 1 or expected * (1 + DIGITS) + 1
      assert.is_true(value >= expected - 1 and value <= most, ("%s: %.0f ns reported, %.0f ns recorded"):format(name, value, expected))
   end
end

--- When no value differs from its true one by less than `least` or more than `most`, then no percentile does.
local function near_truth(reported, list, own_value, true_value)
   local least, most = math.huge, -math.huge
   for _, p in ipairs(list) do
      local off = own_value(p) - true_value(p)
      least, most = math.min(least, off), math.max(most, off)
   end
   local truth = sorted(list, true_value)
   for name, q in pairs(SHARES) do
      local value, expected = reported[name] * 1e6, quantile(truth, q)
      local error_ns = reported.exact and 1 or (expected + most) * DIGITS + 1
      assert.is_true(value >= expected + least - 1 and value <= expected + most + error_ns,
         ("%s: %.0f ns reported, %.0f ns true, %.0f to %.0f ns off"):format(name, value, expected, least, most))
   end
end

-- What is reported, by the client's stamps and by the endpoint's.
local MEASURES = {
   ttft_ms = { function(p) return p.first - p.scheduled end, function(p) return p.sent_first - p.scheduled end },
   ttft_service_ms = { function(p) return p.first - p.issued end, function(p) return p.sent_first - p.received end },
   latency_ms = { function(p) return p.finished - p.scheduled end, function(p) return p.sent_last - p.scheduled end },
   service_time_ms = { function(p) return p.finished - p.issued end, function(p) return p.sent_last - p.received end },
}
local TPOT = {
   function(p) return (p.finished - p.first) / (p.tokens - 1) end, function(p) return (p.sent_last - p.sent_first) / (p.tokens - 1) end,
}

--- The report of a phase against the endpoint's log, and against the client's own records.
local function compare(phase, list)
   for _, p in ipairs(list) do
      -- The client's span holds the endpoint's: nothing was received before it was issued, or seen before it was sent.
      assert.is_true(p.scheduled <= p.issued and p.issued <= p.received, "received before it was issued")
      assert.is_true(p.sent_first <= p.first and p.sent_last <= p.finished, "seen before it was sent")
   end
   for name, m in pairs(MEASURES) do
      same_values(phase[name], sorted(list, m[1]))
      near_truth(phase[name], list, m[1], m[2])
   end
   local several = {}
   for _, p in ipairs(list) do several[#several + 1] = p.tokens > 1 and p or nil end
   same_values(phase.tpot_ms, sorted(several, TPOT[1]))
   near_truth(phase.tpot_ms, several, unpack(TPOT))
end

--- Fixed timing says when each token is due, and the endpoint never sends one before: none is seen earlier, and the
--- gaps are off by no more than the latest one came.
local function compare_gaps(phase, list, ttft_ns, tpot_ns)
   local own, latest = {}, 0
   for _, p in ipairs(list) do
      local due, seen = p.received + ttft_ns, p.first
      assert.equal(p.tokens - 1, #p.gaps)
      for i = 0, #p.gaps do
         if i > 0 then
            own[#own + 1] = p.gaps[i]
            due, seen = due + tpot_ns, seen + p.gaps[i]
         end
         local late = seen - due
         assert.is_true(late >= -1000 * i, "seen before it was due") -- gaps are told in whole microseconds
         latest = math.max(latest, late + 1000 * i)
      end
   end
   table.sort(own)
   same_values(phase.itl_ms, own)
   for name in pairs(SHARES) do
      assert.is_true(math.abs(phase.itl_ms[name] * 1e6 - tpot_ns) <= latest, name)
   end
end

--- One at a time: the client had seen the end of one before the endpoint got the next.
local function compare_in_turn(list)
   table.sort(list, function(a, b) return a.issued < b.issued end)
   for i = 1, #list - 1 do
      assert.is_true(list[i].finished <= list[i + 1].issued and list[i + 1].issued <= list[i + 1].received)
   end
end

local function low()
   return { name = "low", load = "perigee.load.concurrency(1)", requests = 24, words = 4, timing = "ttft=8ms,tpot=2ms" }
end

local function drawn()
   return { name = "drawn", load = "perigee.load.poisson(400)", requests = 180, words = 30,
      timing = "ttft=exp:10ms,tpot=uniform:0ms,2ms" }
end

local function queued()
   return { name = "queued", load = "perigee.load.constant(2000, { max_inflight = 4 })", requests = 120, words = 20,
      timing = "ttft=5ms,tpot=1ms" }
end

describe("the report against the endpoint's own log", function()
   for _, options in ipairs {
      { "--transport", "direct", "--workers", "0" }, { "--transport", "curl", "--workers", "0" },
      { "--transport", "direct", "--workers", "1" }, { "--transport", "curl", "--workers", "1" },
   } do
      it("agrees at low and at high load, with fixed and with drawn timing: " .. table.concat(options, " "), function()
         local phases, list = play({ low(), drawn(), queued() }, unpack(options))
         for name, phase in pairs(phases) do compare(phase, list[name]) end
         compare_in_turn(list.low)
         compare_gaps(phases.low, list.low, 8e6, 2e6)
         compare_gaps(phases.queued, list.queued, 5e6, 1e6)
         assert.is_true(phases.low.ttft_ms.min >= 8 and phases.low.first_content_ms.min >= 8 and phases.low.ttft_ms.exact)
         -- 120 arrivals within 60 ms, 4 at a time of at least 5 ms: the last ones wait for 90 ms or longer.
         assert.is_true(phases.queued.ttft_ms.max >= 5 * 120 / 4 - 60)
         assert.is_true(phases.queued.ttft_ms.p50 > phases.queued.ttft_service_ms.p50)
      end)
   end

   it("agrees where the histogram takes over", function()
      local phases, list = play { {
         name = "many", load = "perigee.load.concurrency(64)", requests = 12000, words = 600, timing = "ttft=uniform:0ms,4ms,tpot=0ms",
      } }
      assert.is_false(phases.many.ttft_ms.exact)
      compare(phases.many, list.many)
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
