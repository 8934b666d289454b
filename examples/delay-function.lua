-- A delay function: a gust of requests that grows each time, then a pause of half a second, with some jitter.
local perigee = require "perigee"

local gusts, pause = 6, 0.5

-- The gusts have 1, 2, 3, ... requests: after request 1, 3, 6, 10, ... comes a pause.
local function growing(i, _, rng)
   local size = math.floor((math.sqrt(8 * i + 1) - 1) / 2)
   if size * (size + 1) / 2 ~= i then return 0 end
   if size == gusts then return nil end -- ends the phase
   return pause * rng:uniform(0.8, 1.2)
end

return perigee.scenario {
   name = "delay-function",
   options = { url = { "mock:", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.gaps(growing),
   checks = { "issued == 21" },
}
