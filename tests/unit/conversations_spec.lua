-- load.conversations: recorded conversations, on simulated time.
local drive = require "drive"
local engine = require "perigee_engine"
local perigee = require "perigee"
local support = require "tests.unit.support"

local load = perigee.load
local target = perigee.target.openai_chat { url = "x", model = "m", max_tokens = 50 }

local CALL = { { id = "call-1", type = "function", ["function"] = { name = "ls", arguments = "{}" } } }

-- A conversation with a tool: three turns of the client.
local function rows(id)
   return {
      { conversation_id = id, turn = 1, role = "user", content = "list " .. id, system = "be brief", max_new_tokens = 5 },
      { conversation_id = id, turn = 2, role = "assistant", reasoning_content = "hm", tool_calls = CALL },
      { conversation_id = id, turn = 3, role = "tool", delay_seconds = 2, tool_results = {
         { tool_call_id = "call-1", content = "a" }, { tool_call_id = "call-1", content = "b" },
      } },
      { conversation_id = id, turn = 4, role = "assistant", content = "there are two" },
      { conversation_id = id, turn = 5, role = "user", content = "thanks" },
   }
end

local function several(n)
   local list = {}
   for i = 1, n do
      for _, row in ipairs(rows("c" .. i)) do list[#list + 1] = row end
   end
   return list
end

local function play(what, options, changes, endpoint)
   local definition = { target = target, load = load.conversations(what, options or {}) }
   for name, value in pairs(changes or {}) do definition[name] = value end
   local seen = {}
   local result = perigee.test.run(perigee.scenario(definition), { endpoint = function(q)
      seen[q.number] = q
      return endpoint and endpoint(q) or { ttft = 1, tokens = 1, text = "other" }
   end })
   result.seen, result.phase = seen, result.phases and result.phases.performance
   return result
end

local function sent(result)
   local list = {}
   for i, r in ipairs(result.requests) do list[i] = ("%s/%d@%g"):format(r.conversation, r.turn, r.issued) end
   return list
end

describe("load.conversations", function()
   it("sends the recorded history, each turn after the answer to the one before", function()
      local result = play(rows "c1")
      assert.equal(0, result.exit_code, result.error)
      assert.same({ "c1/1@0", "c1/3@1", "c1/5@2" }, sent(result))
      local body = engine.json.decode(result.seen[3].body)
      assert.same({
         { role = "system", content = "be brief" },
         { role = "user", content = "list c1" },
         { role = "assistant", content = engine.json.null, reasoning_content = "hm", tool_calls = CALL },
         { role = "tool", tool_call_id = "call-1", content = "a" },
         { role = "tool", tool_call_id = "call-1", content = "b" },
         { role = "assistant", content = "there are two" },
         { role = "user", content = "thanks" },
      }, body.messages)
      assert.equal(50, body.max_tokens)
      assert.equal(5, engine.json.decode(result.seen[1].body).max_tokens)
      assert.same({ 1, 1, 0 }, support.conversations(result.phase))
      assert.equal("schedule", result.phase.end_reason)
   end)

   it("plays so many conversations at a time, in their order", function()
      local result = play(several(3), { concurrency = 2 })
      assert.same({ "c1/1@0", "c2/1@0", "c1/3@1", "c2/3@1", "c1/5@2", "c2/5@2", "c3/1@3", "c3/3@4", "c3/5@5" }, sent(result))
      assert.same({ 3, 3, 0 }, support.conversations(result.phase))
   end)

   it("follows the order of the phase, and repeats", function()
      local result = play(several(3), { repeats = 2 }, { order = { 3, 1 } })
      local first = {}
      for _, r in ipairs(result.requests) do
         if r.turn == 1 then first[#first + 1] = r.conversation end
      end
      assert.same({ "c3", "c1", "c3#2", "c1#2", "c3#3", "c1#3" }, first)
   end)

   it("has no samples of its own for handlers", function()
      local result = play(rows "c1", nil, { on = { first = function(_, p) p:issue() end } })
      assert.equal(2, result.exit_code)
      support.contains("load.conversations has no samples", result.error)
   end)

   it("waits as recorded, or as long as is drawn before the results of tools", function()
      assert.same({ "c1/1@0", "c1/3@3", "c1/5@4" }, sent(play(rows "c1", { tool_delay = "recorded" })))
      assert.same({ "c1/1@0", "c1/3@1.5", "c1/5@2.5" }, sent(play(rows "c1", { tool_delay = "500ms" })))
      local drawn = { tool_delay = "exp:2s", concurrency = 3 }
      local one, two = play(several(3), drawn, { seed = 1 }), play(several(3), drawn, { seed = 1 })
      assert.same(sent(one), sent(two))
      assert.not_same(sent(one), sent(play(several(3), drawn, { seed = 2 })))
   end)

   it("carries tools and a header for the session when asked for", function()
      local list = rows "c1"
      list[1].tools = { { type = "function", ["function"] = { name = "ls" } } }
      local result = play(list, { session_header = "X-Session-ID" })
      assert.equal(0, result.exit_code, result.error)
      for i = 1, 3 do assert.same(list[1].tools, engine.json.decode(result.seen[i].body).tools) end
   end)

   describe("when a turn fails", function()
      local function failing(q)
         return { status = q.conversation == "c1" and q.turn == 3 and 500 or 200, ttft = 1, tokens = 1, text = "x" }
      end

      it("ends that conversation and begins the next one", function()
         local result = play(several(2), nil, nil, failing)
         assert.same({ "c1/1@0", "c1/3@1", "c2/1@2", "c2/3@3", "c2/5@4" }, sent(result))
         assert.same({ 2, 1, 1 }, support.conversations(result.phase))
      end)

      it("goes on when told so", function()
         local result = play(several(1), { on_failure = "continue" }, nil, failing)
         assert.same({ "c1/1@0", "c1/3@1", "c1/5@2" }, sent(result))
         assert.same({ 1, 1, 0 }, support.conversations(result.phase))
      end)

      it("tries again when told so, then ends it", function()
         local result = play(several(1), { on_failure = "retry", retries = 1, retry_after = "500ms" }, nil, failing)
         assert.same({ "c1/1@0", "c1/3@1", "c1/3@2.5" }, sent(result))
         assert.equal(2, result.requests[3].attempt)
         assert.same({ 1, 0, 1 }, support.conversations(result.phase))
      end)

      it("may fail by the deadline of the phase", function()
         local result = play(several(2), nil, { deadline = "500ms" },
            function(q) return { ttft = q.conversation == "c1" and 1 or 0.1, tokens = 1 } end)
         assert.equal(1, result.phase.errors.timeout)
         assert.same({ 2, 1, 1 }, support.conversations(result.phase))
      end)
   end)

   it("ends with the phase, in the middle of conversations", function()
      local result = play(several(4), { concurrency = 2, tool_delay = 10 }, { duration = "1500ms" })
      assert.same({ "c1/1@0", "c2/1@0" }, sent(result))
      assert.same({ 2, 0, 0 }, support.conversations(result.phase))
      assert.equal("duration", result.phase.end_reason)
   end)

   it("plays more or fewer at a time while it runs", function()
      local result = play(several(6), { concurrency = 1 }, { on = { phase_start = function(p)
         p:after(1.5, function() p:set_concurrency(3) end)
         p:after(4.5, function() p:set_concurrency(1) end)
      end } })
      local begins = {}
      for _, r in ipairs(result.requests) do
         if r.turn == 1 then begins[#begins + 1] = r.issued end
      end
      assert.same({ 0, 1.5, 1.5, 3, 6, 9 }, begins)
      assert.same({ 6, 6, 0 }, support.conversations(result.phase))
   end)

   it("reads a file beside the script when it loads, and tells what it is", function()
      local lines = { '{"_type": "dataset_metadata"}' }
      for _, row in ipairs(rows "c1") do lines[#lines + 1] = engine.json.encode(row) end
      local text = table.concat(lines, "\r\n") .. "\n"
      local path = support.file("talk.jsonl", "\239\187\191" .. text)
      local result = play(path)
      assert.same({ "c1/1@0", "c1/3@1", "c1/5@2" }, sent(result))
      assert.matches("talk.jsonl: 1 conversations, 3 turns, sha256 %x+", result.summary.config.phases[1].load.rows)
      support.clean()
   end)

   it("takes its file from an option", function()
      local lines = {}
      for i, row in ipairs(rows "c1") do lines[i] = engine.json.encode(row) end
      local path = support.file("talk.jsonl", table.concat(lines, "\n"))
      local scenario = perigee.scenario {
         target = target, options = { data = { nil, "file", "string" } }, load = load.conversations(perigee.opt "data"),
      }
      local result = perigee.test.run(scenario, { options = { data = path } })
      assert.equal(3, result.phases.performance.completed)
      support.contains("/nowhere.jsonl", support.refusal(scenario.resolve, scenario, { data = "/nowhere.jsonl" }))
      support.clean()
   end)

   it("refuses a file that is wrong, with its line", function()
      local function line(changes, of)
         local row = rows("c1")[of or 1]
         for name, value in pairs(changes) do row[name] = value ~= "" and value or nil end
         return engine.json.encode(row)
      end
      local good = { line {}, line({}, 2), line({}, 3) }
      local cases = {
         { { "{" }, ":1: " },
         { { "[]" }, ":1: 'conversation_id': a text expected" },
         { { line { conversation_id = "" } }, ":1: 'conversation_id': a text expected, got nil" },
         { { line { turn = 1.5 } }, ":1: 'turn': a whole number from 1 expected, got 1.5" },
         { { line { turn = 2 } }, ":1: turn 2 after turn 0 of conversation 'c1'" },
         { { line { role = "system" } }, ":1: 'role': 'user', 'assistant' or 'tool' expected, got 'system'" },
         { { line { role = "assistant" } }, ":1: role 'assistant' at the beginning of a conversation" },
         { { line { content = 5 } }, ":1: 'content': a text expected" },
         { { line { system = 5 } }, ":1: 'system': a text expected" },
         { { line { delay_seconds = -1 } }, ":1: 'delay_seconds': a number of at least 0 expected, got -1" },
         { { good[1], "", line({ role = "user", content = "x" }, 2) }, ":3: role 'user' after role 'user'" },
         { { good[1], line({ tool_calls = "" }, 2) }, ":2: 'content' or 'tool_calls' expected" },
         { { good[1], line({ tool_calls = { { id = "x" } } }, 2) }, ":2: 'tool_calls': entry 1: { id, function" },
         { { good[1], good[2], line({ tool_results = "" }, 3) }, ":3: 'tool_results': a list of { tool_call_id, content }" },
         { { good[1], good[2], line({ tool_results = { { content = "x" } } }, 3) }, ":3: 'tool_results': entry 1" },
         { { good[1], line({ tool_calls = "", content = "x" }, 2), good[3] }, ":3: role 'tool' after an assistant that called no tool" },
         { { good[1], line { conversation_id = "c2" }, good[2] }, ":3: the rows of conversation 'c1' are not together" },
         { {}, ": no conversations" },
      }
      for _, case in ipairs(cases) do
         local path = support.file("bad.jsonl", table.concat(case[1], "\n"))
         support.contains("bad.jsonl" .. case[2], support.refusal(load.conversations, path))
      end
      support.clean()
      support.contains("row 1: 'conversation_id'", support.refusal(load.conversations, { { turn = 1 } }))
      support.contains("rows: no conversations", support.refusal(load.conversations, {}))
      support.contains("/nowhere.jsonl", support.refusal(load.conversations, "/nowhere.jsonl"))
   end)

   it("refuses options that mean nothing", function()
      for _, row in ipairs {
         { { concurrency = 0 }, "concurrency: a whole number" }, { { repeats = 0 }, "repeats: a whole number" },
         { { tool_delay = "soon" }, 'tool_delay: "recorded", or a time' }, { { tool_delay = -1 }, 'tool_delay: "recorded"' },
         { { on_failure = "x" }, "on_failure: one of" }, { { session_header = "X Y" }, "session_header: the name of a header" },
      } do support.contains(row[2], support.refusal(load.conversations, rows "c", row[1])) end
      support.contains("load.conversations brings all that is sent", support.refusal(perigee.scenario, {
         target = target, phases = { { "a", load = load.conversations(rows "c"), dataset = { "x" } } },
      }))
   end)

   it("replays recorded coding agents whole", function()
      local path = drive.shared "agentic_shape.jsonl"
      if not path then return pending "no shared data here" end
      local result = play(path, { concurrency = 8, tool_delay = "recorded" })
      assert.equal(0, result.exit_code, result.error)
      assert.same({ 20, 20, 0 }, support.conversations(result.phase))
      assert.equal(1007, result.phase.completed)
      local last, active, most = {}, 0, 0
      for _, r in ipairs(result.requests) do
         local before = last[r.conversation]
         if not before then active = active + 1 end
         assert.is_true(r.turn == (before and before.turn + 2 or 1))
         assert.is_true(not before or r.issued >= before.finished)
         last[r.conversation] = r
      end
      assert.equal(20, active)
      local inflight = 0
      for _, e in ipairs(result.events) do
         if e.type == "sample.issued" then inflight = inflight + 1 end
         if e.type == "sample.complete" then inflight = inflight - 1 end
         most = math.max(most, inflight)
      end
      assert.is_true(most <= 8)
   end)
end)
