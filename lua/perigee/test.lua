--- Tests of scenarios: the same session as `perigee run`, on simulated time against a
--- simulated endpoint. Minutes of load pass in milliseconds, and each run gives the same.
local runner = require "perigee.runner"
local scenario = require "perigee.scenario"
local schema = require "perigee.schema"
local simulated = require "perigee.simulated"
local where = require "perigee.where"

--- Scenarios on simulated time.
---@class perigee.test
local test = {}

--- How a scenario is played.
---@class perigee.test.Options
---@field endpoint? perigee.test.Endpoint|fun(request: perigee.test.Request): perigee.test.Answer?  a function is its `answer`
---@field options? table<string, any>  values of the scenario's options by name
---@field seed? number  (the scenario's)
---@field clock? "virtual"  ("virtual") the only one there is
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

--- What came of it.
---@class perigee.test.Result
---@field exit_code integer  as of `perigee run`
---@field outcome string  `"ok"`, `"failed"` or `"script_error"`
---@field error? string  of the script
---@field problems string[]  what else `perigee run` would tell
---@field summary? table  as in summary.json
---@field phases table<string, table>  the phases of the summary by name
---@field report? table  as of `session:report()`, in nanoseconds
---@field checks table<string, table[]>  by phase: `{ check, passed, detail }`
---@field overall table[]  the same of the whole run
---@field requests perigee.Result[]  in the order of issue: what `r:keep()` gives in a handler
---@field events table[]  `{ type, time, phase, index, conversation, turn, tag, reason, error, text }`, `time` in seconds from
---   the session's start

--- The scenario of a file, as `perigee run` reads it: what lies beside the file is found, and it gives the name.
---@param file string  or the name of a module
---@return perigee.Scenario
function test.load(file)
   local loaded, message = require("perigee.cli.load").scenario(file)
   if not loaded then where.fail("perigee.test.load: " .. message) end
   return loaded
end

--- Play a scenario on simulated time.
---@param given perigee.Scenario
---@param options? perigee.test.Options
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
      summary = summary, phases = by_name(summary and summary.phases), report = played.report,
      checks = played.checks or {}, overall = played.overall or {},
      requests = requests, events = events,
   }
end

return test
