--- What all loads share: their options and their checks.
local schema = require "perigee.schema"
local spec = require "perigee.spec"

local OVERLOAD = { "queue", "drop", "abort" }

--- A constructor of a load. build(args, context) returns { schedule = fn } or { strategy = fn };
--- check(args, place), which may be absent, returns what is wrong with the arguments.
return function(kind, positional, fields, build, check)
   fields.max_inflight = schema.count
   fields.overload = schema.one_of(OVERLOAD)
   return spec.constructor {
      family = "load", kind = kind, positional = positional, options = true, fields = fields, build = build,
      check = function(args, place)
         if args.overload and not args.max_inflight then return "overload needs max_inflight, the limit it is about" end
         return check and check(args, place)
      end,
   }
end
