-- Two configurations in turns: whatever changes with time meets both, and `perigee compare` tells whether they differ.
local perigee = require "perigee"

local function served(ttft)
   return perigee.target.openai_chat { url = ("mock:mode=timed,ttft=%s,tpot=1ms,tokens=8"):format(ttft) }
end

return perigee.scenario {
   name = "old-or-new",
   dataset = { "What is a perigee?", "How far away is the moon?" },
   load = perigee.load.poisson(100),
   requests = 50,
   phases = perigee.interleave {
      { "old", target = served "20ms" },
      { "new", target = served "15ms" },
      rounds = 4,
   },
}
