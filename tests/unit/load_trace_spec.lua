local load = require "perigee.load"
local support = require "tests.unit.support"
local trace_file = require "perigee.load.trace_file"

after_each(support.clean)

local MOONCAKE = table.concat({
   '{"timestamp": 1000, "input_length": 600, "output_length": 6, "hash_ids": [7, 8]}',
   '{"timestamp": 1500, "input_length": 700, "output_length": 40, "hash_ids": [7, 9]}',
   '{"timestamp": 4000, "input_length": 3, "output_length": 0}',
}, "\n") .. "\n"

local AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n" ..
   "2023-12-31 23:59:59.9799600,10,2\r\n2024-01-01 00:00:00.0319600,20,8\r\n2024-03-01 00:00:00.9799600,5,1\r\n"

local BURSTGPT = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n" ..
   "5,ChatGPT,472,18,490,Conversation log\n45.5,GPT-4,1087,230,1317,API log\n"

local function schedule_of(built)
   local list, t = {}, 0
   for i = 0, 1e6 do
      local gap = built.schedule(i, t)
      if not gap then return list end
      t = t + gap
      list[#list + 1] = t
   end
end

local function words(text)
   local n = 0
   for _ in text:gmatch "%S+" do n = n + 1 end
   return n
end

describe("a trace file", function()
   it("may be Mooncake's, Azure's with CRLF and seven digits, or BurstGPT's", function()
      local rows = assert(trace_file.read(support.file("m.jsonl", MOONCAKE)))
      assert.same({ 0, 0.5, 3 }, { rows[1].at, rows[2].at, rows[3].at })
      assert.same({ 600, 6, { 7, 8 } }, { rows[1].input, rows[1].output, { unpack(rows[1].blocks) } })
      rows = assert(trace_file.read(support.file("a.csv", AZURE)))
      assert.near(0.052, rows[2].at, 1e-6)
      assert.near(61 * 86400 - 86400 + 1 + 1e-7 * 0 - 1 + 1, rows[3].at, 1e-3) -- 31 January, 29 February days and a second
      assert.same({ 20, 8 }, { rows[2].input, rows[2].output })
      rows = assert(trace_file.read(support.file("b.csv", BURSTGPT)))
      assert.same({ 0, 40.5, 1087, 230 }, { rows[1].at, rows[2].at, rows[2].input, rows[2].output })
   end)

   it("is put into the order of time", function()
      local rows = assert(trace_file.read(support.file("b.csv", BURSTGPT .. "1,X,1,1,2,z\n")))
      assert.same({ 0, 4, 44.5 }, { rows[1].at, rows[2].at, rows[3].at })
   end)

   it("names the line that is wrong", function()
      for text, expected in pairs {
         [""] = "the trace is empty",
         ["a,b\n1,2\n"] = ":1: no trace that is known",
         [MOONCAKE .. "{\n"] = ":4: ",
         ['{"timestamp": 1}\n'] = ":1: 'input_length'",
         ['{"input_length": 1, "output_length": 1}\n'] = ":1: 'timestamp'",
         [AZURE .. "yesterday,1,2\r\n"] = ":5: 'yesterday' is no time",
         [AZURE .. "2024-01-01 00:00:00,x,2\r\n"] = ":5: token counts",
      } do
         local path = support.file("t", text)
         local rows, message = trace_file.read(path)
         assert.is_nil(rows)
         support.contains(path, message)
         support.contains(expected, message)
      end
      local rows, message = trace_file.read "/nonexistent/trace"
      assert.is_nil(rows)
      support.contains("/nonexistent/trace", message)
   end)
end)

describe("perigee.load.trace", function()
   it("plays the times, faster when asked to, and a window of them", function()
      local path = support.file("m.jsonl", MOONCAKE)
      assert.same({ 0, 0.5, 3 }, schedule_of(load.trace(path):build {}))
      assert.same({ 0, 0.25, 1.5 }, schedule_of(load.trace(path, { speed = 2 }):build {}))
      assert.same({ 0, 2.5 }, schedule_of(load.trace(path, { from = "100ms" }):build {}))
      assert.same({ 0, 0.5 }, schedule_of(load.trace(path, { to = "1s" }):build {}))
   end)

   it("brings prompts of the recorded lengths, which share what their blocks share", function()
      local built = load.trace(support.file("m.jsonl", MOONCAKE), { max_output = 10 }):build {}
      local a, b, c = built.sample(1), built.sample(2), built.sample(3)
      assert.same({ 600, 700, 3 }, { words(a.prompt), words(b.prompt), words(c.prompt) })
      assert.same({ 6, 10, 1 }, { a.max_tokens, b.max_tokens, c.max_tokens })
      local function block(text) return table.concat({ text:match(("(%S+) "):rep(30)) }, " ") end
      assert.equal(block(a.prompt), block(b.prompt))
      assert.not_equal(block(a.prompt), block(c.prompt .. " " .. b.prompt))
      local function tail(text) return text:match "(%S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+)$" end
      assert.not_equal(tail(a.prompt), tail(b.prompt))
      assert.equal(a.prompt, built.sample(1).prompt)
      assert.is_nil(built.sample(4))
   end)

   it("cuts inputs to a length", function()
      local built = load.trace(support.file("m.jsonl", MOONCAKE), { max_input = 550 }):build {}
      assert.equal(550, words(built.sample(1).prompt))
   end)

   it("refuses an empty window and an absent file", function()
      local path = support.file("m.jsonl", MOONCAKE)
      support.contains("no arrivals", support.refusal(function() load.trace(path, { from = "1h" }):build {} end))
      support.contains("/nonexistent", support.refusal(function() load.trace("/nonexistent"):build {} end))
   end)
end)
