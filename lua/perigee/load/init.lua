--- Loads: when requests are sent. An open load is a schedule, played by the engine
--- against the clock; a closed one is a strategy, a coroutine that reacts.
local aimd = require "perigee.load.aimd"
local closed = require "perigee.load.closed"
local conversations = require "perigee.load.conversations"
local open = require "perigee.load.open"
local replay = require "perigee.load.replay"
local saturate = require "perigee.load.saturate"
local schema = require "perigee.schema"
local search = require "perigee.load.search"
local trace = require "perigee.load.trace"
local users = require "perigee.load.users"
local varying = require "perigee.load.varying"

return schema.namespace("load", {
   concurrency = closed.concurrency,
   strategy = closed.strategy,
   search = search,
   aimd = aimd,
   saturate = saturate,
   constant = open.constant,
   poisson = open.poisson,
   gamma = varying.gamma,
   ramp = varying.ramp,
   steps = varying.steps,
   sine = varying.sine,
   burst = open.burst,
   gaps = open.gaps,
   trace = trace,
   replay = replay,
   users = users,
   conversations = conversations,
})
