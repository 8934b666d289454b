-- Users: each holds a conversation of three turns, thinks between them, and begins a new one.
local perigee = require "perigee"

local questions = { "What is a tide?", "Why are there two of them a day?", "Which day has the highest?" }

local function session(u)
   local chat = u:chat { system = "Answer in one sentence.", max_tokens = 40, deadline = "10s" }
   for _, question in ipairs(questions) do
      local answer = chat:say(question) -- the history goes with it; a failed turn ends the session
      if answer.text == "" then u:fail "an empty answer" end
      u:sleep(u.rng:exponential(0.2)) -- to read it
   end
end

return perigee.scenario {
   name = "users",
   options = {
      url = { "mock:mode=timed,ttft=20ms,tpot=2ms,tokens=8", "endpoint" },
      users = { 20, "users at once", "count" },
   },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   load = perigee.load.users(perigee.opt "users", { ramp = "500ms" }),
   session = session,
   duration = "3s",
   seed = 7,
   checks = { "conversations_failed == 0" },
}
