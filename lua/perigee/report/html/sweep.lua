--- The phases of a run beside each other: throughput against latency, or sides that took turns, round by round.
local charts = require "perigee.report.html.charts"
local engine = require "perigee.engine"
local figure = require "perigee.report.html.figure"

local null = engine.json.null
local sweep = {}

local MS = 1e6 -- ns
local LEAST_PHASES = 3
local METRICS = {
   { "ttft", "First token against throughput", "First token by round", "time to first token" },
   { "latency", "Latency against throughput", "Latency by round", "latency" },
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

-- By the name of a phase, the side of which it is one turn.
local function sides_of(config)
   local of = {}
   for _, phase in ipairs(config.phases or {}) do of[phase.name] = present(phase.side) end
   return of
end

-- The performance phases that measured the metric and took no turns, in the order of their throughput.
local function points(phases, key, sides)
   local list = {}
   for _, phase in ipairs(phases) do
      local d, qps = present(phase[key]), present(phase.qps)
      if phase.kind == "performance" and not sides[phase.name] and d and qps then list[#list + 1] = { phase = phase, qps = qps, d = d } end
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

-- A line for each side: the medians of its rounds.
local function side_lines(phases, key, sides)
   local lines, of = {}, {}
   for _, phase in ipairs(phases) do
      local side, d = sides[phase.name], present(phase[key])
      if side and d then
         if not of[side] then
            of[side] = { label = side, x = {}, y = {}, intervals = {}, dots = true }
            lines[#lines + 1] = of[side]
         end
         local of_side = of[side]
         local round, bounds = #of_side.x + 1, d.ci95 and d.ci95.p50 or {}
         local low, high = present(bounds[1]), present(bounds[2])
         of_side.x[round], of_side.y[round] = round, d.p50 * MS
         if low and high then table.insert(of_side.intervals, { round, low * MS, high * MS }) end
      end
   end
   return lines
end

local function rounds(phases, sides)
   local list = {}
   for i, metric in ipairs(METRICS) do
      list[i] = {
         title = metric[3], about = "The median of each side in each of its turns; bars are 95% intervals.", x = { label = "round" },
         y = figure.times(metric[4]), lines = side_lines(phases, metric[1] .. "_ms", sides),
      }
   end
   return list
end

--- Throughput against first token and against latency, for three phases at least; the same two of sides by round.
---@param summary table
---@return table[] figures
function sweep.figures(summary)
   local phases, sides = summary.phases, sides_of(summary.config)
   local list = next(sides) and rounds(phases, sides) or {}
   for _, metric in ipairs(METRICS) do
      local key = metric[1] .. "_ms"
      local of = points(phases, key, sides)
      if #of >= LEAST_PHASES then
         local limit = charts.objective(of[1].phase, metric[1])
         list[#list + 1] = {
            title = metric[2], about = "A point for each performance phase.", x = { label = "completed requests/s" },
            y = figure.times(metric[4]), lines = { line(of, "p50", "p50"), line(of, "p99", "p99") }, limit = limit,
            marks = { limit and best(of, limit) },
         }
      end
   end
   return list
end

return sweep
