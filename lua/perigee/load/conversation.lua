--- What loads of conversations share: the counters, and what becomes of a turn that failed.
local crowd = require "perigee.load.crowd"
local metric = require "perigee.metric"
local schema = require "perigee.schema"

local conversation = {}

--- What becomes of a turn that failed.
---@class perigee.FailureOptions
---@field on_failure? "end"|"continue"|"retry"  ("end") what a turn that failed does: it ends its session, or recorded conversation, as
---   failed; it does not, and the next one is sent; it is sent again, and ends it when that fails as well
---@field retries? integer  (3) how often it is sent again, at most
---@field retry_after? perigee.Duration  (1 s) before each time
conversation.FIELDS = {
   on_failure = schema.default(schema.one_of { "end", "continue", "retry" }, "end"),
   retries = schema.default(schema.count, 3),
   retry_after = schema.default(schema.duration, 1),
}

--- The metrics that count them. Before the scenario is made, so that its checks know them.
---@return { started: table, completed: table, failed: table }
function conversation.counters()
   local started, completed, failed = metric.group("conversations",
      { "conversations_started", "conversations_completed", "conversations_failed" })
   return { started = started, completed = completed, failed = failed }
end

--- Send a turn as often as the rules allow.
---@param rules { on_failure: string, retries: integer, retry_after: number }
---@param who table     of a crowd, in its coroutine
---@param asked table   content of p:issue
---@return table answer  the last one
---@return boolean go_on  may the conversation go on?
function conversation.turn(rules, who, asked)
   local answer = crowd.request(who, asked)
   for attempt = 2, rules.on_failure == "retry" and rules.retries + 1 or 1 do
      if answer.ok then break end
      crowd.sleep(who, rules.retry_after)
      asked.attempt = attempt
      answer = crowd.request(who, asked)
   end
   return answer, answer.ok or rules.on_failure == "continue"
end

return conversation
