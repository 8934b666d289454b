--- Tests of scenarios: the same session as `perigee run`, on simulated time against a
--- simulated endpoint. Minutes of load pass in milliseconds, and each run gives the same.
local runner = require "perigee.runner"
local scenario = require "perigee.scenario"
local schema = require "perigee.schema"
local simulated = require "perigee.simulated"
local where = require "perigee.where"

local test = {}

local OPTIONS = {
   clock = schema.one_of { "virtual" },
   endpoint = schema.default(schema.either(schema.table, schema.func), {}),
   options = schema.table,
   seed = schema.number,
}

local function by_name(phases)
   local named = {}
   for _, phase in ipairs(phases or {}) do named[phase.name] = phase end
   return named
end

local function plan_of(given, options)
   local plan, message = given:resolve(options.options)
   if not plan then where.fail("perigee.test.run: " .. message) end
   if options.seed then plan.seed = options.seed end
   return plan
end

---@class perigee.test.Result
---@field exit_code integer  as of `perigee run`
---@field outcome string     "ok", "failed" or "script_error"
---@field error? string      of the script
---@field problems string[]
---@field summary? table     as summary.json
---@field phases table<string, table>  the phases of the summary by name
---@field report? table      as session:report(), times in ns
---@field checks table<string, table[]>  results of the checks by phase
---@field requests table[]   kept results (r:keep()) in the order of issue
---@field events table[]     { type, time, phase, index, conversation, turn, tag, reason, error, text }, time from the session's start

--- Play a scenario on simulated time.
---@param given table    what perigee.scenario returned
---@param options? { clock: "virtual"?, endpoint: table|function?, options: table?, seed: number? }
---@return perigee.test.Result
function test.run(given, options)
   if not scenario.is(given) then where.fail("perigee.test.run: a scenario expected, got " .. schema.show(given)) end
   options = schema.check("perigee.test.run", OPTIONS, options or {})
   local plan = plan_of(given, options)
   local requests, events = {}, {}
   local played = runner.run(plan, {
      progress = "none",
      simulate = simulated.model(options.endpoint, plan.seed),
      on_result = function(r) requests[#requests + 1] = r end,
      on_event = function(e) events[#events + 1] = e end,
   })
   table.sort(requests, function(a, b) return a.id < b.id end)
   local summary = played.summary
   return {
      exit_code = played.exit_code, outcome = played.outcome or "failed", error = played.error, problems = played.problems,
      summary = summary, phases = by_name(summary and summary.phases), report = played.report, checks = played.checks or {},
      requests = requests, events = events,
   }
end

return test
