-- load.users: sessions of many users, on simulated time.
local engine = require "perigee_engine"
local perigee = require "perigee"
local support = require "tests.unit.support"

local load = perigee.load
local target = perigee.target.openai_chat { url = "x", model = "m" }

-- Play a session; `changes` of the scenario, endpoint(q) -> answer.
local function play(session, users, changes, endpoint)
   local definition = { target = target, load = users, session = session }
   for name, value in pairs(changes or {}) do definition[name] = value end
   local seen = {}
   local result = perigee.test.run(perigee.scenario(definition), { seed = definition.seed, endpoint = function(q)
      seen[q.number] = q
      return endpoint and endpoint(q) or { ttft = 0.1, tokens = 1, text = "fine" }
   end })
   result.seen, result.phase = seen, result.phases and result.phases.performance
   return result
end

local function passes(...)
   local result = play(...)
   assert.equal(0, result.exit_code, result.error)
   return result
end

local function messages(q)
   local list = {}
   for i, m in ipairs(engine.json.decode(q.body).messages) do list[i] = m.role .. ": " .. m.content end
   return list
end

describe("a chat", function()
   it("sends its history and keeps the answers", function()
      local last
      local result = passes(function(u)
         local chat = u:chat { system = "be kind", max_tokens = 7, tag = "chat" }
         local answer = chat:say "one"
         assert(answer.ok and answer.text == "answer 1" and answer.ttft == 0.1)
         chat:say("two", { max_tokens = 3, temperature = 0 })
         chat:send { role = "tool", tool_call_id = "t", content = "3" }
         last = chat
      end, load.users(1, { iterations = 1 }), nil, function(q) return { ttft = 0.1, tokens = 1, text = "answer " .. q.number } end)
      assert.same({ "system: be kind", "user: one" }, messages(result.seen[1]))
      assert.same({ "system: be kind", "user: one", "assistant: answer 1", "user: two", "assistant: answer 2", "tool: 3" },
         messages(result.seen[3]))
      assert.equal(7, #last.messages)
      local body = engine.json.decode(result.seen[2].body)
      assert.same({ 3, 0 }, { body.max_tokens, body.temperature })
      for i, r in ipairs(result.requests) do
         assert.same({ "performance/1/1", i, "chat" }, { r.conversation, r.turn, r.tag })
      end
      assert.same({ 1, 1, 0 }, support.conversations(result.phase))
   end)

   it("has an id of its own, or the one that is given", function()
      local ids = {}
      passes(function(u)
         ids[#ids + 1] = u:chat().id
         ids[#ids + 1] = u:chat({ id = "mine" }).id
         u:chat():say "x"
      end, load.users(2, { iterations = 2 }))
      table.sort(ids)
      assert.same({ "mine", "mine", "mine", "mine", "performance/1/1", "performance/1/4", "performance/2/1", "performance/2/4" }, ids)
   end)

   describe("whose turn fails", function()
      local function failing(number)
         return function(q) return { status = q.number == number and 503 or 200, ttft = 0.1, tokens = 1, text = "fine" } end
      end
      local function three_turns(log)
         return function(u)
            local chat = u:chat()
            for i = 1, 3 do
               local answer = chat:say("turn " .. i)
               log[#log + 1] = { u.iteration, i, answer.ok, #chat.messages }
            end
         end
      end

      it("ends its session, and the next one begins", function()
         local log = {}
         local result = passes(three_turns(log), load.users(1, { iterations = 2 }), nil, failing(2))
         assert.same({ { 1, 1, true, 2 }, { 2, 1, true, 2 }, { 2, 2, true, 4 }, { 2, 3, true, 6 } }, log)
         assert.same({ 2, 1, 1 }, support.conversations(result.phase))
      end)

      it("goes on without it when told so", function()
         local log = {}
         local result = passes(three_turns(log), load.users(1, { iterations = 1, on_failure = "continue" }), nil, failing(2))
         assert.same({ { 1, 1, true, 2 }, { 1, 2, false, 2 }, { 1, 3, true, 4 } }, log)
         assert.same({ "user: turn 1", "assistant: fine", "user: turn 3" }, messages(result.seen[3]))
         assert.same({ 1, 1, 0 }, support.conversations(result.phase))
      end)

      it("is tried again when told so", function()
         local log = {}
         local users = load.users(1, { iterations = 1, on_failure = "retry", retries = 2, retry_after = "1s" })
         local result = passes(three_turns(log), users, nil, failing(2))
         assert.same({ true, 4 }, { log[2][3], log[2][4] })
         local r = result.requests[3]
         assert.same({ 2, 2, 1.2 }, { r.turn, r.attempt, r.issued })
         assert.same({ 1, 1, 0 }, support.conversations(result.phase))
      end)

      it("ends its session when no try succeeds", function()
         local result = play(three_turns {}, load.users(1, { iterations = 1, on_failure = "retry", retries = 2, retry_after = 1 }),
            nil, function() return { status = 503 } end)
         assert.equal(3, #result.requests)
         assert.same({ 1, 0, 1 }, support.conversations(result.phase))
      end)

      it("may have its own rule", function()
         local ok
         passes(function(u)
            u:chat():say "fine"
            ok = u:chat({ on_failure = "continue" }):say("x").ok
         end, load.users(1, { iterations = 1 }), nil, failing(2))
         assert.is_false(ok)
      end)

      it("fails by its deadline", function()
         local result = passes(function(u)
            local chat = u:chat { deadline = "300ms" }
            chat:say "quick"
            chat:say("slow", { deadline = "50ms" })
            error "not reached"
         end, load.users(1, { iterations = 1 }))
         assert.same({ "timeout", 0.15 }, { result.requests[2].error, result.requests[2].finished })
         assert.same({ 1, 0, 1 }, support.conversations(result.phase))
      end)
   end)
end)

describe("a user", function()
   it("thinks, asks for single requests and knows its phase", function()
      local log = {}
      local result = passes(function(u)
         u:sleep "500ms"
         local r = u:request { prompt = "x", tag = "single" }
         log[#log + 1] = { u.id, u.iteration, r.tag, r.issued, u.phase.name, u:running() }
      end, load.users(2, { iterations = 2 }))
      assert.same({
         { 1, 1, "single", 0.5, "performance", true }, { 2, 1, "single", 0.5, "performance", true },
         { 1, 2, "single", 1.1, "performance", true }, { 2, 2, "single", 1.1, "performance", true },
      }, log)
      assert.equal(4, result.phase.issued)
   end)

   it("takes the samples of the phase when it gives no content", function()
      local got = {}
      passes(function(u) got[#got + 1] = u:request().sample.prompt end, load.users(1, { iterations = 4 }),
         { dataset = { "a", "b", "c" } })
      assert.same({ "a", "b", "c", "a" }, got)
   end)

   it("goes on when the request function skips a sample", function()
      local skipped = 0
      passes(function(u)
         if u:request().skipped then skipped = skipped + 1 end
      end, load.users(1, { iterations = 4 }), {
         dataset = { "a", "b" }, request = function(sample) return sample.prompt == "a" and "a" or nil end,
      })
      assert.equal(2, skipped)
   end)

   it("draws the same numbers for the same seed, whatever others do", function()
      local function drawn(n, seed)
         local list = {}
         passes(function(u)
            if u.id == 1 then list[#list + 1] = u.rng:uniform() end
            u:request { prompt = "x" }
            u:sleep(u.rng:uniform())
         end, load.users(n, { iterations = 3 }), { seed = seed })
         return list
      end
      local alone, crowded, other = drawn(1, 5), drawn(20, 5), drawn(1, 6)
      assert.equal(3, #alone)
      assert.same(alone, crowded)
      assert.not_same(alone, other)
   end)

   it("fails its session with a reason that is an event", function()
      local result = passes(function(u)
         u:request { prompt = "x" }
         if u.iteration == 1 then u:fail "wrong answer" end
      end, load.users(1, { iterations = 2 }))
      assert.same({ 2, 1, 1 }, support.conversations(result.phase))
      local told
      for _, e in ipairs(result.events) do
         if e.type == "custom.session_failed" then told = engine.json.decode(e.text) end
      end
      assert.same({ user = 1, iteration = 1, message = "wrong answer" }, told)
   end)

   it("begins in its turn of the ramp", function()
      local begun = {}
      passes(function(u)
         begun[u.id] = u.phase.elapsed
         u:request { prompt = "x" }
      end, load.users(4, { ramp = "2s", iterations = 1 }))
      assert.same({ 0, 0.5, 1, 1.5 }, begun)
   end)
end)

describe("a phase of users", function()
   it("ends while they sleep and wait: what is in flight is drained, nothing comes back", function()
      local after = 0
      local result = passes(function(u)
         if u.id == 1 then u:sleep(100) else u:request { prompt = "x" } end
         after = after + 1
      end, load.users(3), { duration = "50ms" })
      assert.equal(0, after)
      assert.same({ 2, 2, "duration" }, { result.phase.issued, result.phase.completed, result.phase.end_reason })
      assert.same({ 3, 0, 0 }, support.conversations(result.phase))
      assert.equal(0.1, result.phase.duration_s)
   end)

   it("ends in order when handlers stop it, in the middle of turns", function()
      local result = passes(function(u) u:chat():say("hello " .. u.id) end, load.users(5), {
         max_duration = "1h", on = { complete = function(r, p) if r.finished >= 0.5 then p:stop() end end },
      })
      assert.equal("script", result.phase.end_reason)
      assert.equal(result.phase.issued, result.phase.completed)
      assert.is_true(result.phase.duration_s < 1)
   end)

   it("ends after its requests, and never has more in flight than users", function()
      local result, inflight, most = passes(function(u)
         u:chat():say "x"
         u:sleep(u.rng:exponential(0.05))
      end, load.users(7), { requests = 100 }), 0, 0
      for _, e in ipairs(result.events) do
         if e.type == "sample.issued" then inflight = inflight + 1 end
         if e.type == "sample.complete" then inflight = inflight - 1 end
         most = math.max(most, inflight)
      end
      assert.same({ 100, 7 }, { result.phase.issued, most })
   end)

   it("drains no longer than allowed", function()
      local result = play(function(u) u:chat():say "x" end, load.users(2), { duration = 1, drain = "2s" },
         function(q) return { ttft = q.time < 0.5 and 0.1 or 1000, tokens = 1 } end)
      assert.same({ 1, 2, 3 }, { result.exit_code, result.phase.abandoned, result.phase.duration_s })
   end)

   it("goes on with users when another phase follows", function()
      local session = function(u) u:chat():say "x" end
      local result = perigee.test.run(perigee.scenario {
         target = target, session = session, load = load.users(2, { iterations = 1 }),
         phases = { { "a", kind = "warmup" }, { "b", drain = false }, { "c" } },
      }, { endpoint = { ttft = 0.1, tokens = 1 } })
      assert.equal(0, result.exit_code)
      local conversations = {}
      for i, r in ipairs(result.requests) do conversations[i] = r.conversation end
      assert.same({ "a/1/1", "a/2/1", "b/1/1", "b/2/1", "c/1/1", "c/2/1" }, conversations)
      assert.equal(2, result.phases.c.metrics.conversations_completed.value)
   end)

   it("may get more users and fewer while it runs", function()
      local known = {}
      local result = passes(function(u)
         u:request { prompt = "x" }
      end, load.users(10), { duration = 6, on = {
         phase_start = function(p)
            for at, n in pairs { [1.95] = 2, [4.005] = 6 } do
               p:after(at, function()
                  known[#known + 1] = p.concurrency
                  p:set_concurrency(n)
               end)
            end
         end,
      } })
      local second = {}
      for _, r in ipairs(result.requests) do
         local at = math.floor(r.issued + 0.01)
         second[at] = (second[at] or 0) + 1
      end
      -- Ten a second from each; the last answers of those who leave come at 2.
      assert.same({ 100, 100, 20, 20, 60, 60 }, { second[0], second[1], second[2], second[3], second[4], second[5] })
      assert.same({ 10, 2 }, known)
   end)

   it("may get more from a session that is the last one", function()
      local result = passes(function(u)
         u:request { prompt = "x" }
         if u.id < 4 then u.phase:set_concurrency(u.id + 1) end
      end, load.users(1, { iterations = 1 }))
      assert.same({ 4, 4, 0 }, support.conversations(result.phase))
   end)

   it("counts those who have finished as users it had", function()
      local result = passes(function(u)
         u:request { prompt = "x" }
         u:sleep(u.id)
      end, load.users(4, { iterations = 2 }), { on = { phase_start = function(p)
         p:after(3, function() p:set_concurrency(3) end) -- three are left: nobody has to leave
      end } })
      assert.same({ 8, 8, 0 }, support.conversations(result.phase))
   end)

   it("has checks of its conversations", function()
      local result = play(function(u) u:request { prompt = "x" } u:fail "no" end, load.users(1, { iterations = 3 }),
         { checks = { "conversations_failed == 0" } })
      assert.equal(3, result.exit_code)
   end)

   it("takes 10 000 of them, and an hour is short", function()
      local result = passes(function(u)
         local chat = u:chat()
         while true do
            u:sleep(u.rng:exponential(600))
            chat:say "x"
         end
      end, load.users(10000), { duration = "10m" })
      assert.is_true(result.phase.issued > 9000 and result.phase.issued < 11000, result.phase.issued)
   end)
end)

describe("an error in a session", function()
   -- The error of a run with this session.
   local function failure(session, changes)
      local result = play(session, load.users(3), changes or { duration = 5 })
      assert.equal(2, result.exit_code)
      return result.error, result
   end

   local function deep(u)
      if u.id == 2 then error "too deep" end
   end

   it("names the user, file, line and the way there, and what was measured is kept", function()
      local message, result = failure(function(u)
         u:request { prompt = "x" }
         deep(u)
         u:sleep(1)
      end)
      support.contains("user 2: ", message)
      support.contains("users_spec.lua:", message)
      support.contains("too deep", message)
      support.contains("in function 'deep'", message)
      assert.is_nil(message:find("crowd.lua", 1, true), message)
      assert.equal(3, result.phase.completed)
   end)

   it("is made of what is used wrongly", function()
      local rows = {
         { function(u) u:chat { sytem = "x" } end, "u:chat: unknown field 'sytem', did you mean 'system'?" },
         { function(u) u:chat { on_failure = "stop" } end, "u:chat: on_failure: one of 'end', 'continue', 'retry'" },
         { function(u) u:chat():say(5) end, "chat:say: a text expected, got 5" },
         { function(u) u:chat():send "x" end, "chat:send: a message" },
         { function(u) u:chat():say("x", { max_token = 5 }) end, "p:issue: unknown field 'max_token', did you mean 'max_tokens'?" },
         { function(u) u:request { promt = 1 } end, "p:issue: unknown field 'promt'" },
         { function(u) u:sleep "soon" end, "u:sleep: a duration" },
         { function(u) u:sleep(-1) end, "u:sleep: a duration" },
         { function() coroutine.yield() end, "it does not yield" },
         { function(u) coroutine.wrap(function() u:sleep(1) end)() end, "u:sleep() belongs in the session's own coroutine" },
         { function(u) u.phase:wait() end, "p:wait() belongs in the phase's own strategy function" },
      }
      for _, row in ipairs(rows) do
         local message = failure(row[1])
         support.contains(row[2], message)
         support.contains("users_spec.lua:", message)
      end
   end)

   it("is a session that would be called without end", function()
      support.contains("it would be called without end", (failure(function() end)))
      support.contains("it would be called without end", (failure(function(u) u:fail "always" end)))
   end)
end)

describe("load.users", function()
   it("may stand beside phases of other loads, which take what they use of the scenario", function()
      local rows = { { conversation_id = "a", turn = 1, role = "user", content = "recorded" } }
      local result = perigee.test.run(perigee.scenario {
         target = target, dataset = { "sample" }, request = function(sample) return sample.prompt .. "!" end,
         session = function(u) u:request { prompt = "asked" } end,
         phases = {
            { "warm", load = load.burst(1), kind = "warmup" }, { "chats", load = load.users(1, { iterations = 1 }) },
            { "again", load = load.conversations(rows) },
         },
      }, { endpoint = function(q) return { tokens = 1, text = q.body:match '"content":"([^"]*)"' } end })
      assert.equal(0, result.exit_code, result.error)
      local sent = {}
      for i, r in ipairs(result.requests) do sent[i] = r.phase .. ": " .. r.text end
      assert.same({ "warm: sample!", "chats: asked", "again: recorded" }, sent)
   end)

   it("is refused when it cannot be played", function()
      local function refused(part, definition)
         definition.target = target
         support.contains(part, support.refusal(function()
            assert(perigee.scenario(definition):resolve())
         end))
      end
      refused("load.users needs a session", { load = load.users(2), duration = 1 })
      refused("or iterations of load.users", { load = load.users(2), session = print })
      for _, row in ipairs {
         { { 0 }, "load.users: n: a whole number >= 1" }, { { 2, { ramp = 0 } }, "ramp: a duration" },
         { { 2, { iterations = 0 } }, "iterations: a whole number >= 1" },
         { { 2, { on_failure = "stop" } }, "on_failure: one of 'end', 'continue', 'retry'" },
         { { 2, { retries = 0.5 } }, "retries: a whole number" }, { { 2, { retry_after = "x" } }, "retry_after: a duration" },
      } do support.contains(row[2], support.refusal(load.users, unpack(row[1]))) end
   end)
end)
