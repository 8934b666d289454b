-- Recorded conversations, two at a time: each turn is sent with the recorded history, after the
-- answer to the turn before it; the agent's tools take as long as they took.
local perigee = require "perigee"

return perigee.scenario {
   name = "conversations",
   options = {
      url = { "mock:mode=timed,ttft=20ms,tpot=2ms,tokens=8", "endpoint" },
      data = { "conversations.jsonl", "rows of conversation_id, turn, role, content ..." },
   },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   load = perigee.load.conversations(perigee.opt "data", { concurrency = 2, tool_delay = "recorded" }),
}
