-- Tags and goodput: two kinds of requests are told apart, and each is held to its bounds.
local perigee = require "perigee"

local function words(n)
   return ("word "):rep(n)
end

return perigee.scenario {
   name = "tags",
   options = { url = { "mock:mode=timed,ttft=uniform:5ms,20ms,tpot=1ms", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = { { prompt = words(10), max_tokens = 4, kind = "short" }, { prompt = words(400), max_tokens = 16, kind = "long" } },
   request = function(sample)
      return { tag = sample.kind }
   end,
   load = perigee.load.poisson(100),
   requests = 200,
   slo = { ttft = "10s", tpot = "5s" },
   checks = { "goodput > 50%", "tag('short').latency.p99 < 30s", "tag('long').output_tokens_per_s > 1" },
}
