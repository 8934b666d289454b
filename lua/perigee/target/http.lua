--- Any HTTP endpoint: the body is what the sample or the `request` hook says.
local define = require "perigee.target.define"
local engine = require "perigee.engine"
local schema = require "perigee.schema"

---@class perigee.HttpOptions: perigee.TargetOptions
---@field method? "GET"|"POST"|"PUT"|"PATCH"|"DELETE"|"HEAD"|"OPTIONS"  ("POST")
---@field body? string|table  of requests whose sample has none
local METHODS = { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS" }

--- Any HTTP endpoint: the sample's `body`, else the target's, else the prompt, else nothing; a table is sent as JSON.
---@param options perigee.HttpOptions
return define.target {
   kind = "http", decoder = "raw", asked = {},
   fields = { method = schema.one_of(METHODS), body = schema.either(schema.string, schema.table) },
   encoder = function(args)
      return function(sample, text)
         local body = text or sample.body or args.body or sample.prompt or ""
         return type(body) == "table" and engine.json.encode(body) or body
      end
   end,
}
