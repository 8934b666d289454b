--- Sessions of users and recorded conversations, through real sockets.
local account = require "account"
local drive = require "drive"

-- Line 3 of the file holds the fields.
local TEXT = [[
return perigee.scenario { name = "talk", target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=2ms,tpot=1ms,tokens=3" },
   %s
}]]

local function run(fields, ...)
   return drive.run(TEXT:format(fields), ...)
end

-- The run has ended so, and its files add up.
local function ends(r, code)
   assert.equal(code, r.code, r.out .. r.err)
   account.balance(r)
   return r.summary.phases[1]
end

local function counts(phase)
   local list = {}
   for i, name in ipairs { "started", "completed", "failed" } do list[i] = phase.metrics["conversations_" .. name].value end
   return list
end

-- The requests by conversation, in the order of their issue.
local function talks(r)
   local by_id = {}
   for _, line in ipairs(drive.jsonl(r.dir .. "/requests.jsonl")) do
      local talk = by_id[line.conversation_id] or {}
      by_id[line.conversation_id] = talk
      talk[#talk + 1] = line
   end
   for _, talk in pairs(by_id) do
      table.sort(talk, function(a, b) return a.issued_ns < b.issued_ns end)
   end
   return by_id
end

-- Each turn after the answer to the one before; `step` between two numbers.
local function assert_in_turn(talk, step)
   for i, line in ipairs(talk) do
      assert.equal(1 + (i - 1) * step, line.turn)
      if i > 1 then assert.is_true(line.issued_ns >= talk[i - 1].finished_ns) end
   end
end

describe("users", function()
   it("hold their conversations turn by turn", function()
      local r = run [[load = perigee.load.users(40, { iterations = 2 }), session = function(u)
         local chat = u:chat { system = "s" }
         for i = 1, 3 do
            local answer = chat:say("turn " .. i)
            assert(answer.ok and #answer.text > 0 and #chat.messages == 1 + 2 * i, answer.error)
            u:sleep(u.rng:uniform(0, 0.01))
         end
      end]]
      local phase = ends(r, 0)
      assert.same({ 80, 80, 0 }, counts(phase))
      assert.same({ 240, 240 }, { phase.issued, phase.completed })
      local n = 0
      for _, talk in pairs(talks(r)) do
         assert.equal(3, #talk)
         assert_in_turn(talk, 1)
         n = n + 1
      end
      assert.equal(80, n)
   end)

   it("tell conversation and turn to subscribers", function()
      local r = run([[load = perigee.load.users(2, { iterations = 1 }), session = function(u) u:chat { id = "c" .. u.id }:say "x" end]])
      ends(r, 0)
      local path = r.dir .. "/events.jsonl"
      assert.equal(0, drive.perigee("events", "--from", r.dir .. "/events.plog", "--jsonl", path, "--quiet").code)
      local seen = {}
      for _, e in ipairs(drive.jsonl(path)) do
         if e.event_type:find "^sample" then
            assert.equal(1, e.turn)
            seen[e.conversation_id .. " " .. e.event_type] = true
         end
      end
      for _, id in ipairs { "c1", "c2" } do
         for _, event in ipairs { "issued", "recv_first", "complete" } do assert.is_true(seen[id .. " sample." .. event]) end
      end
   end)

   it("end a session whose turn passes its deadline, and drain the others when the phase stops", function()
      local r = run [[load = perigee.load.users(4), duration = "400ms", session = function(u)
         if u.id > 1 then
            while true do u:chat():say "x" end
         end
         local chat = u:chat { headers = { ["x-perigee-fault"] = "hang" }, deadline = "50ms" }
         chat:say "never"
      end]]
      local phase = ends(r, 0)
      assert.equal("duration", phase.end_reason)
      assert.equal(0, phase.abandoned)
      assert.is_true(phase.errors.timeout >= 1)
      local started, completed, failed = unpack(counts(phase))
      assert.same({ true, 0 }, { failed >= 1, completed })
      assert.is_true(started >= 3 + failed)
   end)

   it("are cut off by a signal while they sleep and wait", function()
      local r = run [[load = perigee.load.users(20), duration = "60s", session = function(u)
         if u.id == 1 then
            u:chat():say "x"
            local ffi = require "ffi"
            ffi.cdef "int getpid(void); int kill(int pid, int signal);"
            ffi.C.kill(ffi.C.getpid(), 2)
         end
         u:sleep(u.id % 2 == 0 and 100 or 0)
         u:chat():say "y"
      end]]
      local phase = ends(r, 130)
      assert.equal("interrupted", phase.end_reason)
      assert.equal(0, phase.abandoned)
      assert.equal(phase.issued, phase.completed)
   end)

   it("end the run with an error of theirs, named with file and line", function()
      local r = run [[load = perigee.load.users(5), duration = "60s", session = function(u)
         u:chat():say "x"
         if u.id == 3 then error "lost" end
      end]]
      local phase = ends(r, 2)
      assert.matches("user 3: %S+scenario%.lua:5: lost\n", r.err)
      assert.equal("script_error", phase.end_reason)
      assert.equal(phase.issued, phase.completed)
   end)
end)

describe("recorded conversations", function()
   it("are sent whole, turn by turn", function()
      local path = drive.shared "agentic_shape.jsonl"
      if not path then return pending "no shared data here" end
      local r = run(([[load = perigee.load.conversations(%q, { concurrency = 8, session_header = "X-Session-ID" })]]):format(
         io.popen("realpath " .. path):read "*l"))
      local phase = ends(r, 0)
      assert.same({ 20, 20, 0 }, counts(phase))
      assert.equal(1007, phase.completed)
      for _, talk in pairs(talks(r)) do assert_in_turn(talk, 2) end
   end)

   it("end where a turn failed", function()
      local rows = [[{
         { conversation_id = "a", turn = 1, role = "user", content = "x" },
         { conversation_id = "a", turn = 2, role = "assistant", content = "y" },
         { conversation_id = "a", turn = 3, role = "user", content = "z" },
         { conversation_id = "b", turn = 1, role = "user", content = "x" } }]]
      local r = run(([[load = perigee.load.conversations(%s, { concurrency = 2 }), deadline = "1ms"]]):format(rows))
      local phase = ends(r, 1)
      assert.same({ 2, 0, 2 }, counts(phase))
      assert.equal(2, phase.errors.timeout)
   end)

   it("are refused before any traffic, with file and line", function()
      local dir = drive.tempdir()
      drive.write(dir .. "/talk.jsonl", '{"conversation_id": "a", "turn": 1, "role": "user", "content": "x"}\n{"turn": 2}\n')
      local file = drive.scenario(dir, TEXT:format [[load = perigee.load.conversations "talk.jsonl"]])
      local r = drive.perigee("check", file)
      assert.equal(2, r.code)
      assert.matches("scenario.lua:3: load.conversations: talk.jsonl:2: 'conversation_id': a text expected, got nil", r.err)
   end)
end)

describe("perigee once", function()
   it("sends the first turn of a session", function()
      local dir = drive.tempdir()
      local file = drive.scenario(dir, TEXT:format
         [[load = perigee.load.users(3), duration = 1, session = function(u) u:chat { system = "kind" }:say("hello " .. u.id) end]])
      local r = drive.perigee("once", file)
      assert.equal(0, r.code, r.err)
      assert.matches('"content": "kind"', r.out)
      assert.matches('"content": "hello 1"', r.out)
      assert.matches("status 200", r.out)
   end)
end)
