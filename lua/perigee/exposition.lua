--- GET /metrics of a session that runs: the names of `--export prometheus`, and the numbers so far.
local engine = require "perigee.engine"
local metric = require "perigee.metric"
local prometheus = require "perigee.export.prometheus"
local summary = require "perigee.report.summary"

local exposition = {}

local function page_phase(report)
   local phase = summary.phase(report)
   phase.running, phase.in_flight = report.ended and 0 or 1, report.inflight
   return phase
end

--- The page of a report.
---@param report table       of the engine: session:numbers(), or what has more
---@param facts string[]     labels and their values, of perigee_session_info
---@param metrics? fun(phase: string): table<string, table>  the script's, as of perigee.metric
---@param over? table        the phases that are over, by number, for the next page: report.phases may be false there
---@return string
function exposition.page(report, facts, metrics, over)
   local phases, info = {}, { "session_id", report.session_id or "", "version", engine.version }
   for i, phase in ipairs(report.phases) do
      phases[i] = phase and page_phase(phase) or over[i]
      phases[i].metrics = metrics and metrics(phases[i].name)
      if phase and over and phase.ended and phase.inflight == 0 then over[i] = phases[i] end
   end
   for _, text in ipairs(facts) do info[#info + 1] = text end
   return prometheus.render { phases = phases, info = info }
end

--- Serve the numbers of a session until :close(); :url() is where. Raises { message, code } when the address is refused.
---@param session table
---@param scenario string  its name
---@param address string
---@return table server
function exposition.of_session(session, scenario, address)
   local facts, over = { "scenario", scenario }, {}
   local server, message = engine.exposition {
      address = address,
      on_get = function() return exposition.page(session:numbers(over), facts, metric.values, over) end,
   }
   if not server then error({ message = "metrics: " .. message, code = "EINVAL" }, 0) end
   return server
end

return exposition
