-- A first scenario: warm up, hold a constant number of requests in flight, then send at a rate.
-- Runs against the built-in endpoint; --url http://host:8000 points it at another one.
local perigee = require "perigee"
local load, order = perigee.load, perigee.order

return perigee.scenario {
   name = "quickstart",
   options = {
      url = { "mock:mode=timed,ttft=20ms,tpot=2ms,tokens=16", "endpoint" },
      model = { "example", "model name" },
      rate = { 50, "requests per second of the last phase" },
   },
   target = perigee.target.openai_chat { url = perigee.opt "url", model = perigee.opt "model", max_tokens = 64 },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   order = order.shuffle(),
   seed = 42,
   phases = {
      { "warmup", kind = "warmup", load = load.concurrency(4), requests = 20 },
      { "steady", load = load.concurrency(8), requests = 200 },
      { "poisson", load = load.poisson(perigee.opt "rate"), duration = "4s" },
   },
}
