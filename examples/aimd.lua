-- Additive increase, multiplicative decrease: follow what the endpoint can take, for as long as the phase lasts.
local perigee = require "perigee"

return perigee.scenario {
   name = "aimd",
   options = { url = { "mock:mode=timed,ttft=20ms,tpot=1ms,tokens=4", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.aimd {
      slo = { "ttft.p90 < 100ms", "error_rate < 1%" }, concurrency = { 2, 32 }, increase = 4, decrease = 0.5,
      window = "200ms", settle = "50ms",
   },
   duration = "3s",
}
