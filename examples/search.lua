-- The highest rate at which an SLO holds. Here the client lets only four requests through at a time, in place of
-- an endpoint with four slots; against a real one, drop max_inflight and take windows of a minute.
local perigee = require "perigee"

return perigee.scenario {
   name = "search",
   options = {
      url = { "mock:mode=timed,ttft=20ms,tpot=1ms,tokens=4", "endpoint" },
      slo = { "ttft.p90 < 200ms", "what has to hold" },
      high = { 640, "highest rate to try" },
   },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.search {
      slo = perigee.opt "slo", rate = { 20, perigee.opt "high" },
      window = "500ms", settle = "100ms", tolerance = 0.3, max_inflight = 4,
   },
   max_duration = "1m",
}
