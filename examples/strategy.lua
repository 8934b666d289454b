-- A strategy: double the number of requests in flight until the slowest answer of a round passes a limit.
local perigee = require "perigee"

local limit = 0.25 -- seconds

local function double(p)
   local width = 1
   while p:running() and width <= 64 do
      for _ = 1, width do p:issue() end
      while p:running() and p.inflight > 0 do p:wait() end
      local slowest = 0
      for _, r in ipairs(p:results()) do slowest = math.max(slowest, r.latency) end
      if slowest > limit then return end
      width = width * 2
   end
end

return perigee.scenario {
   name = "strategy",
   options = { url = { "mock:mode=timed,ttft=20ms,tpot=1ms,tokens=8", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.strategy(double),
   max_duration = "30s",
}
