-- Retries: what the endpoint was too busy for is sent again, later each time, three times at most.
local perigee = require "perigee"

local given_up = perigee.metric.counter "given_up"

local function again(r)
   local busy = r.error == "http_429" or r.error == "http_503"
   if busy and r.attempt <= 3 then
      r:retry(0.05 * 2 ^ r.attempt) -- seconds: 0.1, 0.2, 0.4
   else
      given_up:inc()
   end
end

return perigee.scenario {
   name = "retry",
   options = { url = { "mock:fault=status=0.2,fault-status=503,seed=3", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.constant(40),
   duration = "3s",
   on = { error = again },
   checks = { "given_up < 10" },
}
