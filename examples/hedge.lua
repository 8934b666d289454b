-- Hedging: a request without a first token after 50 ms is sent a second time; the first of
-- the two to begin its answer wins, and the other one is cancelled.
local perigee = require "perigee"

local hedged = perigee.metric.counter "hedged"
---@type table<integer, integer|false>
local twin = {} -- id -> id of its twin; false: it has none yet; nil: an answer has begun

local function hedge(r, p)
   if r.tag == "hedge" then return end
   local id, index = r.id, r.index
   twin[id] = false
   p:after(0.05, function()
      if twin[id] == nil then return end
      local second = p:issue { index = index, tag = "hedge" }
      if second then
         twin[id], twin[second] = second, id
         hedged:inc()
      end
   end)
end

local function settle(r, p)
   local loser = twin[r.id]
   twin[r.id] = nil
   if loser then
      twin[loser] = nil
      p:cancel(loser)
   end
end

return perigee.scenario {
   name = "hedge",
   options = { url = { "mock:mode=timed,ttft=exp:30ms,tpot=1ms,tokens=8", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.poisson(40),
   duration = "3s",
   on = { issue = hedge, first = settle, complete = function(r) twin[r.id] = nil end },
}
