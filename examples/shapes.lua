-- Loads that change with time: a ramp, steps, a swing, and bursts.
local perigee = require "perigee"
local load = perigee.load

return perigee.scenario {
   name = "shapes",
   options = { url = { "mock:", "endpoint" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   dataset = perigee.dataset.jsonl "prompts.jsonl",
   seed = 7,
   phases = {
      { "ramp", load = load.ramp(10, 100), duration = "1s" },
      { "steps", load = load.steps { { 50, "300ms" }, { 150, "300ms" }, { 50, "300ms" } } },
      { "swing", load = load.sine { mean = 60, amplitude = 40, period = "500ms" }, duration = "1s" },
      { "bursty", load = load.gamma(80, 0.3), duration = "1s" },
   },
}
