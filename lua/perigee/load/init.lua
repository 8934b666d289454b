--- Loads: when requests are sent. An open load is a schedule, played by the engine
--- against the clock; a closed one is a strategy, a coroutine that reacts.
local closed = require "perigee.load.closed"
local open = require "perigee.load.open"
local replay = require "perigee.load.replay"
local schema = require "perigee.schema"

return schema.namespace("load", {
   concurrency = closed.concurrency,
   strategy = closed.strategy,
   constant = open.constant,
   poisson = open.poisson,
   burst = open.burst,
   gaps = open.gaps,
   replay = replay,
})
