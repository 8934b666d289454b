--- A run's summary and requests from its event log alone: the same fold, the same functions, the same bytes.
local engine = require "perigee.engine"
local guards = require "perigee.guards"
local server = require "perigee.report.server"
local sides = require "perigee.report.sides"
local summary = require "perigee.report.summary"

local json = engine.json
local from_log = {}

-- A run that was killed told nothing of its end. What it measured until then can be warned of all the same.
local function cut_short(log, facts)
   local failures = { log.ended and "the log ends before its run was judged" or "the log ends before its run did: it was killed" }
   local list = {}
   for i in ipairs(log.report.phases) do guards.look(facts.config, log.report, i, facts.local_ports, list) end
   server.warn(log.report, log.scrapes, list)
   return { judged = { verdict = "failed", failures = failures, warnings = list }, checks = {} }
end

-- What a log has lost, by the counts of its reading; empty when it is whole.
local function losses(stats)
   local list = {}
   local function add(count, text)
      if count > 0 then list[#list + 1] = text:format(count) end
   end
   add(stats.torn_bytes, "the last %d bytes are torn")
   add(stats.damaged_bytes, "%d bytes are damaged and were passed over")
   add(stats.damaged_records, "%d records could not be read")
   add(stats.missing_records, "%d records are missing")
   return list
end

--- What is wrong with a log, by the counts of its reading; empty when it is whole.
---@param path string
---@param stats table  of engine.read_log or engine.export_log
---@return string[]
function from_log.damage(path, stats)
   local list = losses(stats)
   if (stats.uncounted or 0) > 0 then list[#list + 1] = ("%d records found no room in the report"):format(stats.uncounted) end
   for i, text in ipairs(list) do list[i] = path .. ": " .. text end
   return list
end

-- A run that went well is not told so by what is left of its log.
local function judge_losses(outcome, lost)
   if #lost == 0 then return end
   outcome.judged.verdict = "failed"
   for _, text in ipairs(lost) do table.insert(outcome.judged.failures, "of the event log " .. text) end
end

--- The summary of the run that wrote the log.
---@param path string
---@param requests? string  where to write the requests, as in requests.jsonl
---@return table? summary  as of report.summary
---@return string[]|string problems  what is wrong with the log; the message on failure
---@return table|string|nil log  as of engine.read_log; the code on failure
function from_log.summary(path, requests)
   local facts
   local log, message, code = engine.read_log(path, requests, function(run_config)
      facts = json.decode(run_config)
      return facts and sides.groups(facts.config) or {}
   end)
   if not log then return nil, message, code end
   if not facts then return nil, path .. ": the log does not say which run it is of", "EPROTO" end
   local outcome = log.run_outcome and json.decode(log.run_outcome) or cut_short(log, facts)
   local problems = from_log.damage(path, log.stats)
   problems[#problems + 1] = log.requests_problem
   if not log.run_outcome then problems[#problems + 1] = path .. ": " .. outcome.judged.failures[1] end
   judge_losses(outcome, losses(log.stats))
   local built = summary.build {
      facts = facts, report = log.report, together = log.together, checks = outcome.checks, overall = outcome.overall,
      metrics = outcome.metrics, conclusions = outcome.conclusions, judged = outcome.judged,
      scrapes = log.scrapes,
   }
   return built, problems, log
end

return from_log
