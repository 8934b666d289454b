-- Recorded arrivals, four times as fast: a Mooncake trace brings the times, the lengths and the shared prefixes.
local perigee = require "perigee"

return perigee.scenario {
   name = "trace",
   options = { url = { "mock:", "endpoint" }, speed = { 4, "times as fast as recorded" } },
   target = perigee.target.openai_chat { url = perigee.opt "url" },
   load = perigee.load.trace("trace.jsonl", { speed = perigee.opt "speed", max_output = 256 }),
}
