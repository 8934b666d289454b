--- Closed loads: the next request depends on what came back.
local define = require "perigee.load.define"
local knob = require "perigee.load.knob"
local schema = require "perigee.schema"

local closed = {}

--- Closed: n requests in flight, of the whole session; the next is sent when one has ended.
---@param n integer  requests in flight
---@param opts? perigee.LoadOptions
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

--- Closed: a coroutine of the script's own that issues, sleeps and waits.
---@param fn fun(p: perigee.PhaseObject)  see [the phase object](../reference.md#the-phase-object)
---@param opts? perigee.LoadOptions
closed.strategy = define("strategy", { "fn" }, { fn = schema.required(schema.func) }, function(args)
   return { strategy = args.fn }
end)

return closed
