-- A plain HTTP target: the request function decides what is sent, and a tag marks it.
local perigee = require "perigee"

local function embed(sample, i)
   return {
      path = "/v1/embeddings",
      headers = { ["X-Request-Number"] = i },
      body = { model = "example", input = sample.prompt },
      tag = #sample.prompt > 50 and "long" or "short",
   }
end

return perigee.scenario {
   name = "http-target",
   options = { url = { "mock:mode=max", "endpoint" } },
   target = perigee.target.http { url = perigee.opt "url", headers = { ["Content-Type"] = "application/json" } },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   request = embed,
   load = perigee.load.constant(40),
   requests = 80,
}
