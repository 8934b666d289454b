--- NAME: workloads to share. Another script takes them as they are, or with changes:
---    return require("NAME").scenario:with { phases = { { "gusts", duration = "5m" } } }
local perigee = require("perigee").requires ">= 1"
local load = perigee.load

local library = {}

--- A load that comes in gusts: `size` requests at once, then none for `pause` seconds.
---@param size integer
---@param pause number
---@return perigee.Load
function library.gusts(size, pause)
   return load.gaps(function(i) return i % size == 0 and pause or 0 end)
end

--- Users who ask a short question, all at the same time.
library.scenario = perigee.scenario {
   name = "NAME",
   options = {
      url = { "mock:mode=timed,ttft=20ms,tpot=2ms,tokens=16", "endpoint" },
      model = { "example", "model name" },
   },
   target = perigee.target.openai_chat { url = perigee.opt "url", model = perigee.opt "model", max_tokens = 64 },
   dataset = { "Why is the sky blue?", "Write a haiku about a slow train." },
   phases = {
      { "warmup", kind = "warmup", load = load.concurrency(2), requests = 8 },
      { "gusts", load = library.gusts(5, 0.5), duration = "3s" },
   },
   checks = { "ttft.p99 < 500ms", "error_rate < 1%" },
}

return library
