-- Checks: conditions that decide the exit code (3 when one does not hold).
local perigee = require "perigee"

return perigee.scenario {
   name = "checks",
   options = { url = { "mock:mode=timed,ttft=10ms,tpot=1ms,tokens=8", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.concurrency(4),
   requests = 100,
   checks = {
      "ttft.p99 < 2s",
      "error_rate < 1%",
      function(report)
         local answers = report.completed
         return answers == 100, answers .. " answers"
      end,
   },
}
