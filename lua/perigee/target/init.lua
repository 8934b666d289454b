--- Targets: where requests go and how a sample becomes one.
local schema = require "perigee.schema"

return schema.namespace("target", {
   http = require "perigee.target.http",
   openai_chat = require("perigee.target.openai").chat,
   openai_completions = require("perigee.target.openai").completions,
})
