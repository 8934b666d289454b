-- Metrics of the script: count what perigee does not, see it in the report, and check it.
local perigee = require "perigee"

local words = perigee.metric.histogram "words"
local refusals = perigee.metric.counter "refusals"

local function judge(r)
   if not r.ok then return end
   local _, count = r.text:gsub("%S+", "")
   words:add(count)
   if r.text:find "I cannot" then refusals:inc() end
end

return perigee.scenario {
   name = "metrics",
   options = { url = { "mock:", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.concurrency(4),
   requests = 100,
   on = { complete = judge },
   checks = { "words.p50 >= 1", "refusals == 0" },
}
