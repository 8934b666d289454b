--- Closed loads: the next request depends on what came back.
local define = require "perigee.load.define"
local knob = require "perigee.load.knob"
local schema = require "perigee.schema"

local closed = {}

---@class perigee.StrategyOptions
---@field load? perigee.Load  an open load, which sends on its own; the strategy may turn its rate (0: a pause) and ask for
---   requests besides

--- Closed: n requests in flight, of the whole session; the next is sent when one has ended.
---@param n integer  requests in flight
closed.concurrency = define.closed("concurrency", { "n" }, { n = schema.required(schema.count) }, function(args)
   local target = knob.concurrency(args.n)
   return {
      knobs = target.knobs,
      -- Of the whole session: requests that an undrained phase left behind count too.
      strategy = function(p)
         while p:running() do
            p:fill(target.value)
            p:wait()
         end
      end,
   }
end)

--- Closed: a coroutine of the script's own that issues, sleeps and waits. With `load` it watches over an open load, and is
--- one.
---@param fn fun(p: perigee.PhaseObject)  see [the phase object](../reference.md#the-phase-object)
---@param opts? perigee.StrategyOptions
closed.strategy = define.closed("strategy", { "fn" }, {
   fn = schema.required(schema.func), load = define.schedule,
}, function(args, context)
   local built = args.load and args.load:build(context) or {}
   built.strategy = args.fn
   return built
end)

return closed
