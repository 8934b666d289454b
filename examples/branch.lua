-- Branching: the answer decides what is asked next. A short one is asked to say more, a long
-- one is asked for a summary; both follow-ups belong to the conversation of the question.
local perigee = require "perigee"

local function follow(r, p)
   if not r.ok or r.turn == 2 then return end
   local _, words = r.text:gsub("%S+", "")
   local short = words < 10
   p:issue {
      messages = {
         { role = "user", content = r.sample.prompt },
         { role = "assistant", content = r.text },
         { role = "user", content = short and "Say more." or "Say it in one sentence." },
      },
      tag = short and "more" or "summary", conversation = "question-" .. r.id, turn = 2,
   }
end

return perigee.scenario {
   name = "branch",
   options = { url = { "mock:mode=timed,ttft=10ms,tpot=1ms,tokens=uniform:1,20", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.poisson(20),
   duration = "3s",
   on = { complete = follow },
}
