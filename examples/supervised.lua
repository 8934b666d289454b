-- A strategy of one's own over an open load: raise the rate for as long as the last window was good.
local perigee = require "perigee"

local good = perigee.slo "ttft.p90 < 250ms"

local function climb(p)
   local window = p:window()
   for rate = 20, 100, 20 do
      p:set_rate(rate)
      p:sleep(0.3)
      local ok, found = good(window:report())
      print(("%g/s: ttft.p90 %s"):format(rate, found))
      if not ok then break end
      p:conclude { highest_good_rate = rate }
      window:restart()
   end
end

return perigee.scenario {
   name = "supervised",
   options = { url = { "mock:mode=timed,ttft=20ms,tpot=1ms,tokens=4", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.strategy(climb, { load = perigee.load.poisson(20) }),
}
