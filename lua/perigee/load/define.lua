--- What all loads share: their options and their checks.
local schema = require "perigee.schema"
local spec = require "perigee.spec"

--- What open loads take in a table behind their own arguments.
---@class perigee.LoadOptions
---@field max_inflight? integer  no more than so many requests in flight
---@field overload? "queue"|"drop"|"abort"  ("queue") what becomes of an arrival beyond `max_inflight`: it waits, and its latency
---   counts from the intended time; it is counted as `dropped` and never sent; the run fails
local OVERLOAD = { "queue", "drop", "abort" }

local define = {}

-- def: kind, positional, fields, check, and build(args, context, place), which returns { schedule = fn } or
-- { strategy = fn }, and what else the load brings: knobs; content or sample; asks (it gives all that is sent itself); results,
-- texts (its strategy reads them); identity (arguments in other words, the same wherever a file lies).
local function constructor(def)
   def.family, def.options = "load", true
   return spec.constructor(def)
end

---@private
--- A constructor of a load with a schedule.
function define.open(kind, positional, fields, build)
   fields.max_inflight = schema.count
   fields.overload = schema.one_of(OVERLOAD)
   return constructor {
      kind = kind, positional = positional, fields = fields, build = build, open = true,
      check = function(args)
         if args.overload and not args.max_inflight then return "overload needs max_inflight, the limit it is about" end
      end,
   }
end

---@private
--- A constructor of a load that reacts to what comes back. check(args, place) -> problem?
function define.closed(kind, positional, fields, build, check)
   return constructor { kind = kind, positional = positional, fields = fields, build = build, check = check }
end

--- A load with a schedule: a spec that a strategy may watch over.
function define.schedule(v)
   if spec.is(v, "load") and v.def.open then return true, v end
   return false, "a load with a schedule (load.constant, load.poisson ...)"
end

--- The load that sends: the one that a strategy watches over, else itself.
---@param s table  a spec of the family load
---@return table
function define.sender(s)
   return s.args.load or s
end

return define
