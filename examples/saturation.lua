-- Raise the load step by step until more of it brings no more answers.
local perigee = require "perigee"

return perigee.scenario {
   name = "saturation",
   options = { url = { "mock:mode=timed,ttft=20ms,tpot=1ms,tokens=4", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.saturate { concurrency = { 1, 16 }, factor = 4, window = "300ms", settle = "50ms" },
}
