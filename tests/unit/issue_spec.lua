-- Requests that a script asks for with content of its own, cancels, retries and delays.
local engine = require "perigee_engine"
local perigee = require "perigee"
local support = require "tests.unit.support"

local load = perigee.load
local chat = perigee.target.openai_chat { url = "x", model = "m", system = "be brief", max_tokens = 9 }

-- Play a strategy or a whole definition on simulated time; `seen` gets what the endpoint was asked.
local function play(definition, endpoint)
   if type(definition) == "function" then definition = { load = load.strategy(definition) } end
   definition.target = definition.target or chat
   local seen = {}
   local result = perigee.test.run(perigee.scenario(definition), { endpoint = function(q)
      seen[q.number] = q
      return endpoint and endpoint(q) or { ttft = 0.1, tokens = 1 }
   end })
   result.seen = seen
   return result
end

local function passes(definition, endpoint)
   local result = play(definition, endpoint)
   assert.equal(0, result.exit_code, result.error)
   return result
end

-- The same where no request succeeds.
local function goes_through(definition, endpoint)
   local result = play(definition, endpoint)
   assert.not_equal(2, result.exit_code, result.error)
   return result
end

-- The error of a strategy that does this.
local function refusal(content, definition)
   definition = definition or {}
   definition.load = load.strategy(function(p) p:issue(content) end)
   local result = play(definition)
   assert.equal(2, result.exit_code)
   return result.error
end

describe("p:issue with a table", function()
   it("sends a prompt through the target", function()
      local result = passes(function(p)
         p:issue { prompt = "hello", max_tokens = 3, model = "other", temperature = 0, extra = { top_p = 1 }, tag = "t" }
      end)
      local body = engine.json.decode(result.seen[1].body)
      assert.same({ { role = "system", content = "be brief" }, { role = "user", content = "hello" } }, body.messages)
      assert.same({ 3, "other", 0, 1 }, { body.max_tokens, body.model, body.temperature, body.top_p })
      assert.equal("t", result.requests[1].tag)
   end)

   it("sends messages as they are at the call, with a system message of their own", function()
      local result = passes(function(p)
         local messages = { { role = "system", content = "own" }, { role = "user", content = "one" } }
         p:issue { messages = messages }
         messages[2].content = "changed"
         messages[3] = { role = "user", content = "two" }
      end)
      assert.same({ { role = "system", content = "own" }, { role = "user", content = "one" } },
         engine.json.decode(result.seen[1].body).messages)
   end)

   it("sends a body as it is, with path, method and headers", function()
      local result = passes(function(p)
         p:issue { body = { a = 1 }, path = "/v1/other", method = "PUT", headers = { ["X-A"] = "b" } }
      end)
      assert.equal('{"a":1}', result.seen[1].body)
      assert.equal("/v1/other", result.seen[1].path)
   end)

   it("changes what a sample does not say when it has no content", function()
      local result = passes {
         dataset = { "one", "two" },
         load = load.strategy(function(p)
            p:issue { index = 2, tag = "x", conversation = "c", turn = 4 }
            p:issue { tag = "y" } -- the order's next
         end),
      }
      local first, second = unpack(result.requests)
      assert.same({ 2, "x", "c", 4, "two" }, { first.index, first.tag, first.conversation, first.turn, first.sample.prompt })
      assert.same({ 1, "y" }, { second.index, second.tag })
      assert.is_nil(second.conversation)
   end)

   it("tells conversation and turn in results, events and to the endpoint", function()
      local result = passes(function(p) p:issue { prompt = "x", conversation = "talk", turn = 3 } end)
      local r, count = result.requests[1], 0
      assert.same({ "talk", 3, 1 }, { r.conversation, r.turn, r.attempt })
      assert.same({ "talk", 3 }, { result.seen[1].conversation, result.seen[1].turn })
      for _, e in ipairs(result.events) do
         if e.type:find "^sample" then
            assert.same({ "talk", 3 }, { e.conversation, e.turn })
            count = count + 1
         end
      end
      assert.equal(3, count)
   end)

   it("has a deadline of its own", function()
      local result = passes {
         deadline = "1s",
         load = load.strategy(function(p)
            p:issue { prompt = "short", deadline = "50ms" }
            p:issue { prompt = "long", deadline = 5 }
            p:issue { prompt = "the phase's" }
         end),
      }
      local function ends(i) return { result.requests[i].error or "ok", result.requests[i].finished } end
      assert.same({ "timeout", 0.05 }, ends(1))
      assert.same({ "ok", 0.1 }, ends(2))
      assert.same({ "ok", 0.1 }, ends(3))
      local slow = function() return { ttft = 3, tokens = 1 } end
      result = passes({ deadline = "1s", load = load.strategy(function(p)
         p:issue { prompt = "long", deadline = 5 }
         p:issue { prompt = "the phase's" }
      end) }, slow)
      assert.is_true(result.requests[1].ok)
      assert.same({ "timeout", 1 }, { result.requests[2].error, result.requests[2].finished })
   end)

   it("keeps what is sent through any collection, and lets go of it afterwards", function()
      local gone = setmetatable({}, { __mode = "k" })
      local result = passes(function(p)
         for i = 1, 20 do
            local marker = {}
            gone[marker] = true
            p:issue { body = ("x"):rep(2000) .. i, conversation = ("c"):rep(100) .. i, turn = i }
            p:after(1000, function() return marker end)
         end
         collectgarbage()
         for i = 1, 2000 do gone[i] = ("y"):rep(2000) .. i end
         while p.inflight > 0 do p:wait() end
      end)
      for i = 1, 20 do
         assert.equal(("x"):rep(2000) .. i, result.seen[i].body)
         assert.equal(("c"):rep(100) .. i, result.requests[i].conversation)
      end
      for i = 1, 2000 do gone[i] = nil end
      collectgarbage()
      collectgarbage()
      assert.is_nil(next(gone))
   end)

   it("lets go of what is never sent, whatever ends the phase", function()
      local big = 1e6
      local function ask(p, field)
         for i = 1, 40 do
            assert(p:issue { [field] = ("x"):rep(big) .. i, conversation = "c" })
            p:after(1000, function() return i end)
         end
      end
      local ends = {
         function(p) ask(p, "body") p:stop() end,
         function(p) ask(p, "body") p.session:stop() p:sleep(1) end,
         function(p) ask(p, "body") for id = 0, 39 do assert(p:cancel(id)) end end,
         function(p) ask(p, "body") error "stopped" end,
         function(p) ask(p, "tag") p:sleep(1) end, -- the request function fails
      }
      for i, strategy in ipairs(ends) do
         collectgarbage()
         local before = collectgarbage "count"
         play { load = load.strategy(strategy), dataset = { "a" }, request = i == 5 and function() error "no content" end or nil }
         collectgarbage()
         collectgarbage()
         assert.is_true(collectgarbage "count" - before < 5 * big / 1024, i)
      end
   end)

   it("is refused at the line that asked", function()
      local none = {}
      local rows = {
         { { promt = "x" }, "p:issue: unknown field 'promt', did you mean 'prompt'?" },
         { { prompt = 5 }, "p:issue: prompt: a string expected, got 5" },
         { { prompt = "x", deadline = -1 }, "p:issue: deadline: a duration above 0" },
         { { prompt = "x", turn = 1.5 }, "p:issue: turn: a whole number >= 0 expected, got 1.5" },
         { { prompt = "x", conversation = "" }, "p:issue: conversation: a string that is not empty" },
         { { messages = {} }, "p:issue: messages: a list of messages" },
         { { messages = { "x" } }, "p:issue: messages: a list of messages" },
         { { body = { print } }, "body: " },
         { { body = "x", path = "v1" }, "p:issue: path: a path that begins with '/'" },
         { { body = "x", headers = { ["X A"] = 1 } }, "p:issue: headers: a table of header names" },
         { { prompt = "x", extra = { f = print } }, "p:issue: " },
         { { max_tokens = 4 }, "p:issue: max_tokens: needs a prompt or messages beside it" },
         { { index = 3, prompt = "x" }, "a sample index in 1..1 expected" },
         { none, "sample 1 has neither 'prompt' nor 'messages'" },
         { "x", "number expected, got string" },
      }
      for _, row in ipairs(rows) do
         local message = refusal(row[1])
         support.contains(row[2], message)
         if row[1] ~= none then support.contains("issue_spec.lua:", message) end
      end
      local http = perigee.target.http { url = "x" }
      support.contains("p:issue: unknown field 'messages'", refusal({ messages = { { role = "user" } } }, { target = http }))
   end)

   it("tells who asked when the request function skips the sample", function()
      local got
      goes_through {
         dataset = { "a" }, request = function() return nil end,
         load = load.strategy(function(p)
            local id = p:issue { tag = "t" }
            p:wait()
            got = p:results()
            assert(got[1].id == id)
         end),
      }
      assert.equal(1, #got)
      assert.same({ true, false }, { got[1].skipped, got[1].ok })
   end)

   it("is asked for by handlers too, and refused when the phase is over", function()
      local answer
      local result = passes {
         dataset = { "a" }, load = load.constant(10), requests = 3,
         on = { complete = function(r, p)
            local id, message, code = p:issue { prompt = "follow", conversation = "f" .. r.id, tag = "follow" }
            if r.tag ~= "follow" and not id then answer = { message, code } end
         end },
      }
      assert.same({ "the phase issues no more", "ECLOSED" }, answer)
      assert.equal(3, result.phases.performance.issued)
      assert.equal("follow", result.requests[2].tag)
   end)
end)

-- A trace of n arrivals, 0.1 s apart, the i-th with a prompt of i words.
local function trace_of(n, options)
   local lines = {}
   for i = 1, n do lines[i] = ('{"timestamp": %d, "input_length": %d, "output_length": 1, "hash_ids": [%d]}'):format(i * 100, i, i) end
   return load.trace(support.file("trace.jsonl", table.concat(lines, "\n")), options or {})
end

local function words_of(request)
   return select(2, engine.json.decode(request.body).messages[1].content:gsub("%S+", ""))
end

describe("the samples of a trace", function()
   local plain = perigee.target.openai_chat { url = "x", model = "m" }

   it("belong to their arrivals, also when others are dropped", function()
      local definition = { target = plain, load = trace_of(7, { max_inflight = 1, overload = "drop" }) }
      local result = passes(definition, function() return { ttft = 0.25, tokens = 1 } end)
      local words = {}
      for i, r in ipairs(result.requests) do words[i] = { words_of(result.seen[r.id + 1]), r.index } end
      assert.equal(4, result.phases.performance.dropped)
      assert.same({ { 1, 1 }, { 4, 4 }, { 7, 7 } }, words)
      support.clean()
   end)

   it("come in their order, whatever is asked for between them", function()
      local result = passes({ target = plain, load = trace_of(5), on = { first = function(r, p)
         if r.tag then return end
         p:issue { prompt = "between", tag = "between" }
         r:cancel()
         if r.attempt == 1 then r:retry() end
      end } }, function() return { ttft = 0.01, tpot = 0.01, tokens = 3 } end)
      local words = {}
      for _, r in ipairs(result.requests) do
         if not r.tag and r.attempt == 1 then
            words[#words + 1] = words_of(result.seen[r.id + 1])
         end
      end
      assert.same({ 1, 2, 3, 4, 5 }, words)
      support.clean()
   end)
end)

describe("p:wait with an end", function()
   it("comes back at that time, or with an answer before", function()
      local times = {}
      passes(function(p)
         p:issue { prompt = "x" }
         for _ = 1, 4 do
            p:wait(0.03)
            times[#times + 1] = p.elapsed
         end
         p:wait(0)
         times[#times + 1] = p.elapsed
      end)
      assert.same({ 0.03, 0.06, 0.09, 0.1, 0.1 }, times)
   end)

   it("refuses what is no time", function()
      for _, bad in ipairs { -1, "soon" } do
         local result = play(function(p) p:wait(bad) end)
         assert.equal(2, result.exit_code)
      end
   end)
end)

describe("p:cancel", function()
   it("ends a request in flight, and takes back one that is not yet sent", function()
      local answers = {}
      local result = passes(function(p)
         local first = p:issue { prompt = "one" }
         p:wait(0.01)
         local second = p:issue { prompt = "two" }
         answers[1] = p:cancel(first)
         answers[2] = p:cancel(first) -- it is ending already
         answers[3] = p:cancel(second)
         answers[4] = p:cancel(second)
         answers[5] = p:cancel(99)
         local third = p:issue { prompt = "three" }
         while p.inflight > 0 do p:wait() end
         answers[6] = p:cancel(third)
      end)
      assert.same({ true, false, true, false, false, false }, answers)
      assert.equal(2, #result.seen)
      local phase = result.phases.performance
      assert.same({ 2, 1, 1 }, { phase.issued, phase.cancelled, phase.completed })
   end)

   it("finds one among many", function()
      local result = passes(function(p)
         local ids = {}
         for i = 1, 9000 do ids[i] = p:issue { body = "x" } end
         p:wait(0.01)
         for i = 1, 9000, 2 do assert(p:cancel(ids[i])) end
         while p.inflight > 0 do p:wait() end
      end, function() return { ttft = 100, tokens = 1 } end)
      assert.same({ 4500, 4500 }, { result.phases.performance.cancelled, result.phases.performance.completed })
      for i, r in ipairs(result.requests) do assert.equal(i % 2 == 0, r.ok) end
   end)

   it("knows the requests of its own phase only", function()
      local foreign
      goes_through {
         dataset = { "a" },
         phases = {
            { "first", load = load.burst(1), drain = false },
            { "second", load = load.strategy(function(p) foreign = p:cancel(0) end) },
         },
      }
      assert.is_false(foreign)
   end)
end)

describe("p:after", function()
   it("calls at its time, in order, with the phase", function()
      local calls = {}
      passes {
         dataset = { "a" }, load = load.constant(10), duration = 1,
         on = { phase_start = function(p)
            p:after(0.25, function(same) calls[#calls + 1] = { "b", same.elapsed, same.name } end)
            p:after(0.05, function(q) calls[#calls + 1] = { "a", q.elapsed, q.name } end)
            p:after(0.25, function(q) calls[#calls + 1] = { "c", q.elapsed, q.name } end)
         end },
      }
      assert.same({ { "a", 0.05, "performance" }, { "b", 0.25, "performance" }, { "c", 0.25, "performance" } }, calls)
   end)

   it("keeps a waiting strategy from being stuck, and ends with the phase", function()
      local late, refused = false, nil
      local result = passes {
         load = load.strategy(function(p)
            p:after(1, function() p:issue { prompt = "x" } end)
            p:after(2, function() late = true end)
            p:wait()
            p:stop()
            refused = { p:after(1, print) }
         end),
      }
      assert.equal(1.1, result.requests[1].finished)
      assert.is_false(late)
      assert.same({ nil, "the phase issues no more", "ECLOSED" }, { unpack(refused, 1, 3) })
   end)

   it("ends the run when its function fails", function()
      local result = play(function(p)
         p:after(0.5, function() error "oops" end)
         p:sleep(5)
      end)
      assert.equal(2, result.exit_code)
      support.contains("p:after", result.error)
      support.contains("oops", result.error)
   end)

   it("refuses what is no time or no function", function()
      for _, bad in ipairs { { -1, print }, { math.huge, print }, { 1 }, { 1, "x" } } do
         assert.equal(2, play(function(p) p:after(unpack(bad)) end).exit_code)
      end
   end)
end)

describe("r:retry", function()
   local function busy(times)
      return function(q) return { status = q.number <= times and 503 or 200, ttft = 0.1, tokens = 1 } end
   end

   it("sends the same again, as the next attempt", function()
      local result = goes_through({
         load = load.strategy(function(p)
            p:issue { prompt = "x", tag = "t", conversation = "c", turn = 2, headers = { A = "b" }, path = "/p", deadline = 7 }
            p:sleep(1)
         end),
         on = { error = function(r) if r.attempt < 3 then r:retry() end end },
      }, busy(9))
      assert.equal(3, #result.requests)
      for i, r in ipairs(result.requests) do
         assert.same({ "t", "c", 2, i, "/p" }, { r.tag, r.conversation, r.turn, r.attempt, result.seen[i].path })
         assert.equal(result.seen[1].body, result.seen[i].body)
      end
   end)

   it("keeps the sample of a plain request, also later", function()
      local ids = {}
      local result = passes({
         dataset = { "one", "two" }, load = load.constant(1), requests = 3,
         on = { error = function(r) ids[#ids + 1] = r:retry(r.attempt == 1 and 0.25 or 0) end },
      }, busy(2))
      assert.same({ true, 2 }, ids)
      local times = {}
      for i, r in ipairs(result.requests) do times[i] = { r.index, r.issued, r.ok } end
      assert.same({ { 1, 0, false }, { 1, 0.35, false }, { 1, 0.45, true } }, times)
   end)

   it("is refused when the phase issues no more", function()
      local answer
      goes_through({ dataset = { "one" }, load = load.burst(1), requests = 1, on = {
         error = function(r) answer = { r:retry() } end,
         complete = function(r) if not r.ok then assert(not r:retry(1)) end end,
      } }, function() return { status = 503 } end)
      assert.same({ nil, "the phase issues no more", "ECLOSED" }, { unpack(answer, 1, 3) })
   end)
end)
