--- Closed loads: the next request depends on what came back.
local define = require "perigee.load.define"
local knob = require "perigee.load.knob"
local schema = require "perigee.schema"

local closed = {}

--- Keep n requests in flight.
---@param n integer
closed.concurrency = define.closed("concurrency", { "n" }, { n = schema.required(schema.count) }, function(args)
   local target = knob.concurrency(args.n)
   return {
      knobs = target.knobs,
      -- Of the whole session: requests that an undrained phase left behind count too.
      strategy = function(p)
         while p:running() do
            while p:running() and p.total_inflight < target.value and p:issue() do end
            p:wait()
         end
      end,
   }
end)

--- A coroutine of the user's that issues, sleeps and waits; the phase ends with it. With `load` it watches over
--- that one, which sends on its own: it may turn the rate (0: a pause) and ask for requests besides.
---@param fn fun(p: table)
---@param opts? { load?: table }  an open load
closed.strategy = define.closed("strategy", { "fn" }, {
   fn = schema.required(schema.func), load = define.schedule,
}, function(args, context)
   local built = args.load and args.load:build(context) or {}
   built.strategy = args.fn
   return built
end)

return closed
