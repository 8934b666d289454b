-- What it is about, in a sentence. `perigee explain FILE` shows the plan, `perigee run FILE` plays it.
local perigee = require "perigee"
local load, order = perigee.load, perigee.order

return perigee.scenario {
   api = ">= 1",
   options = {
      url = { "mock:mode=timed,ttft=20ms,tpot=2ms,tokens=16", "endpoint" },
      model = { "example", "model name" },
      rate = { 20, "requests per second" },
   },
   target = perigee.target.openai_chat { url = perigee.opt "url", model = perigee.opt "model", max_tokens = 64 },
   dataset = {
      "Why is the sky blue?",
      "Write a haiku about a slow train.",
      "Name three rivers and the seas that they reach.",
   },
   order = order.shuffle(),
   phases = {
      { "warmup", kind = "warmup", load = load.concurrency(2), requests = 10 },
      { "steady", load = load.poisson(perigee.opt "rate"), duration = "5s" },
   },
   checks = { "ttft.p99 < 500ms", "error_rate < 1%" },
}
