--- Closed loads: the next request depends on what came back.
local define = require "perigee.load.define"
local knob = require "perigee.load.knob"
local schema = require "perigee.schema"

local closed = {}

--- Keep n requests in flight.
---@param n integer
---@param opts? { max_inflight?: integer, overload?: "queue"|"drop"|"abort" }
closed.concurrency = define("concurrency", { "n" }, { n = schema.required(schema.count) }, function(args)
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

--- A coroutine of the user's that issues, sleeps and waits.
---@param fn fun(p: table)
---@param opts? { max_inflight?: integer, overload?: "queue"|"drop"|"abort" }
closed.strategy = define("strategy", { "fn" }, { fn = schema.required(schema.func) }, function(args)
   return { strategy = args.fn }
end)

return closed
