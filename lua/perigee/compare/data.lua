--- A comparison as plain data that JSON can hold.
local engine = require "perigee.engine"
local text = require "perigee.compare.text"

local json = engine.json
local data = {}

local function or_null(v)
   if v == nil or v ~= v or v == math.huge or v == -math.huge then return json.null end
   return v
end

local function row_data(row)
   return {
      metric = row.metric.name, better = row.metric.better, change_is = row.metric.is_share and "difference" or "ratio",
      a = or_null(row.a), b = or_null(row.b), change = or_null(row.change),
      ci95 = json.array { or_null(row.low), or_null(row.high) },
      p = row.change and row.p or json.null, p_adjusted = or_null(row.p_adjusted), threshold = row.threshold,
      method = or_null(row.method), verdict = row.verdict,
   }
end

--- The metrics of a comparison.
---@param comparison table  of perigee.compare
---@return table[]
function data.rows(comparison)
   local rows = {}
   for i, row in ipairs(comparison.rows) do rows[i] = row_data(row) end
   return rows
end

local function side_data(side)
   local runs = {}
   for i, run in ipairs(side.runs) do
      local s = run.summary
      runs[i] = { path = run.path, scenario = or_null(s.scenario), session_id = or_null(s.session_id),
         started_at = or_null(s.started_at), verdict = or_null(s.verdict) }
   end
   return { letter = side.letter, name = side.name, runs = json.array(runs) }
end

--- What `perigee compare --json` prints.
---@param report table  of perigee.compare
---@return table
function data.of(report)
   local sides, comparisons = {}, {}
   for i, side in ipairs(report.sides) do sides[i] = side_data(side) end
   for i, comparison in ipairs(report.comparisons) do
      comparisons[i] = {
         phase = or_null(comparison.phase), rounds = or_null(comparison.rounds), a = report.sides[comparison.a].letter,
         b = report.sides[comparison.b].letter, metrics = json.array(data.rows(comparison)),
      }
   end
   return {
      schema_version = 1, sides = json.array(sides), warnings = json.array(report.warnings), method = json.array(text.method(report)),
      comparisons = json.array(comparisons), counts = report.counts, tests = report.tests, regressions = report.regressions,
   }
end

return data
