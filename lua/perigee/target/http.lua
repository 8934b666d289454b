--- Any HTTP endpoint: the body is what the sample or the `request` hook says.
local define = require "perigee.target.define"
local engine = require "perigee.engine"
local schema = require "perigee.schema"

local METHODS = { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS" }

--- Plain HTTP.
---@param options table  url, method ("POST"), path, body, headers, api_key, timeouts ...
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
