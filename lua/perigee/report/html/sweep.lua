--- Throughput against latency over the performance phases of a run.
local charts = require "perigee.report.html.charts"
local engine = require "perigee.engine"
local figure = require "perigee.report.html.figure"

local null = engine.json.null
local sweep = {}

local MS = 1e6 -- ns
local LEAST_PHASES = 3
local METRICS = {
   { "ttft", "First token against throughput", "time to first token" }, { "latency", "Latency against throughput", "latency" },
}

local function present(v)
   if v == null then return nil end
   return v
end

local function all_hold(phase)
   for _, check in ipairs(phase.checks) do
      if not check.passed then return false end
   end
   return true
end

-- The performance phases that measured the metric, in the order of their throughput.
local function points(phases, key)
   local list = {}
   for _, phase in ipairs(phases) do
      local d, qps = present(phase[key]), present(phase.qps)
      if phase.kind == "performance" and d and qps then list[#list + 1] = { phase = phase, qps = qps, d = d } end
   end
   table.sort(list, function(a, b) return a.qps < b.qps end)
   return list
end

local function line(list, label, percentile)
   local out = { label = label, x = {}, y = {}, names = {}, dots = true }
   for i, p in ipairs(list) do
      out.x[i], out.y[i], out.names[i] = p.qps, p.d[percentile] * MS, p.phase.name
   end
   return out
end

-- The most throughput at which the bound and all checks of the phase hold.
local function best(list, limit)
   for i = #list, 1, -1 do
      local p = list[i]
      if p.d.p99 * MS <= limit.value and all_hold(p.phase) then
         return { x = p.qps, y = p.d.p99 * MS, text = "best: " .. p.phase.name }
      end
   end
end

--- A figure for the first token and one for the latency; none for fewer than three phases.
---@param phases table[]  of the summary
---@return table[]
function sweep.figures(phases)
   local list = {}
   for _, metric in ipairs(METRICS) do
      local key = metric[1] .. "_ms"
      local of = points(phases, key)
      if #of >= LEAST_PHASES then
         local limit = charts.objective(of[1].phase, metric[1])
         list[#list + 1] = {
            title = metric[2], about = "A point for each performance phase.", x = { label = "completed requests/s" },
            y = figure.times(metric[3]), lines = { line(of, "p50", "p50"), line(of, "p99", "p99") }, limit = limit,
            marks = { limit and best(of, limit) },
         }
      end
   end
   return list
end

return sweep
