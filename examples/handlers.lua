-- Handlers: look at every answer while the run goes on, and stop after too many empty ones.
local perigee = require "perigee"

local empty, patience = 0, 5

return perigee.scenario {
   name = "handlers",
   options = { url = { "mock:", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   load = perigee.load.concurrency(4),
   requests = 100,
   on = {
      complete = function(r, p)
         if r.ok and r.text == "" then empty = empty + 1 end
         if empty > patience then p:stop() end
      end,
      error = function(r)
         io.stderr:write(("request %d failed: %s\n"):format(r.id, r.message or r.error))
      end,
      phase_end = function(p)
         print(("%s: %d answers, %d of them empty"):format(p.name, p.completed, empty))
      end,
   },
}
