--- What all loads share: their options and their checks.
local schema = require "perigee.schema"
local spec = require "perigee.spec"

--- What all loads take in a table behind their own arguments.
---@class perigee.LoadOptions
---@field max_inflight? integer  no more than so many requests in flight
---@field overload? "queue"|"drop"|"abort"  ("queue") what becomes of an arrival beyond `max_inflight`: it waits, and its latency
---   counts from the intended time; it is counted as `dropped` and never sent; the run fails
local OVERLOAD = { "queue", "drop", "abort" }

---@private
--- A constructor of a load. build(args, context) returns { schedule = fn } or { strategy = fn }.
return function(kind, positional, fields, build)
   fields.max_inflight = schema.count
   fields.overload = schema.one_of(OVERLOAD)
   return spec.constructor {
      family = "load", kind = kind, positional = positional, options = true, fields = fields, build = build,
      check = function(args)
         if args.overload and not args.max_inflight then return "overload needs max_inflight, the limit it is about" end
      end,
   }
end
