-- A delay function: the rate climbs from 20 to 100 requests per second within four seconds.
local perigee = require "perigee"

local from, to, seconds = 20, 100, 4

local function ramp(_, t)
   if t >= seconds then return nil end -- ends the phase
   local rate = from + (to - from) * t / seconds
   return 1 / rate
end

return perigee.scenario {
   name = "delay-function",
   options = { url = { "mock:", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.gaps(ramp),
   max_duration = "1m", -- without a rule of its own a phase goes once through the dataset
}
