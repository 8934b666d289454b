--- The phases of a run, or the steps of a load, beside each other: throughput against latency; and sides that took turns,
--- round by round.
local charts = require "perigee.report.html.charts"
local engine = require "perigee.engine"
local figure = require "perigee.report.html.figure"
local stepping = require "perigee.load.stepping"
local units = require "perigee.units"

local null = engine.json.null
local sweep = {}

local MS = 1e6 -- ns
local LEAST_POINTS = 3
local PERCENTILES = { p50 = true, p90 = true, p99 = true } -- that are told of a step
local METRICS = {
   { "ttft", "First token against throughput", "First token by round", "time to first token" },
   { "latency", "Latency against throughput", "Latency by round", "latency" },
}

local function present(v)
   if v == null then return nil end
   return v
end

-- Of the phase with that name.
local function objective(phases, name, metric)
   for _, phase in ipairs(phases) do
      if phase.name == name then return charts.objective(phase, metric) end
   end
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

-- A point is { name =, qps =, d = percentiles in ms, holds = do all checks hold }; in the order of their throughput.
local function sorted(points)
   table.sort(points, function(a, b) return a.qps < b.qps end)
   return points
end

-- Of the performance phases that measured the metric and took no turns.
local function phase_points(phases, key, sides)
   local list = {}
   for _, phase in ipairs(phases) do
      local d, qps = present(phase[key]), present(phase.qps)
      if phase.kind == "performance" and not sides[phase.name] and d and qps then
         list[#list + 1] = { name = phase.name, qps = qps, d = d, holds = all_hold(phase) }
      end
   end
   return sorted(list)
end

-- Of the steps that a load told in its conclusion.
local function step_points(conclusion, key)
   local list = {}
   for _, step in ipairs(conclusion.steps) do
      local d, value = present(step[key]), step[conclusion.knob]
      if d and value then
         list[#list + 1] = { name = stepping.show(conclusion.knob, value), qps = step.completed_per_s, d = d, holds = step.passed == true }
      end
   end
   return sorted(list)
end

local function line(points, percentile)
   local out = { label = percentile, x = {}, y = {}, names = {}, dots = true }
   for i, p in ipairs(points) do
      out.x[i], out.y[i], out.names[i] = p.qps, p.d[percentile] * MS, p.name
   end
   return out
end

-- The most throughput at which the bound and all checks hold; nil when nothing was asked for.
local function best(points, percentile, limit)
   for i = #points, 1, -1 do
      local p = points[i]
      local y = p.d[percentile] * MS
      if p.holds and (not limit or y <= limit.value) then return { x = p.qps, y = y, text = "best: " .. p.name } end
   end
end

local function against_throughput(metric, about, points, percentile, limit, mark)
   return {
      title = metric[2], about = about, x = { label = "completed requests/s" }, y = figure.times(metric[4]),
      lines = { line(points, "p50"), line(points, percentile) }, limit = limit, marks = { mark },
   }
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
      local points = phase_points(phases, key, sides)
      if #points >= LEAST_POINTS then
         local limit = objective(phases, points[1].name, metric[1])
         list[#list + 1] = against_throughput(metric, "A point for each performance phase.", points, "p99", limit,
            limit and best(points, "p99", limit))
      end
   end
   return list
end

-- The percentile of the metric that the condition of a load bounds, and the bound; p99 without one.
local function condition(text, metric)
   local percentile, bound = (present(text) or ""):match("^" .. metric .. "%.(p[%d]+)%s*<=?%s*(%S+)$")
   local seconds = PERCENTILES[percentile] and units.duration(bound)
   if not seconds then return "p99", nil end
   return percentile, { value = seconds * 1e9, label = text }
end

--- The same of the steps that a load took; nothing when there were too few, or their times were not told.
---@param conclusion any  of a phase of the summary
---@return table[] figures
function sweep.steps(conclusion)
   local list = {}
   if type(conclusion) ~= "table" or not (conclusion.steps and conclusion.knob) then return list end
   for _, metric in ipairs(METRICS) do
      local points = step_points(conclusion, metric[1] .. "_ms")
      local percentile, limit = condition(conclusion.slo, metric[1])
      if #points >= LEAST_POINTS then
         list[#list + 1] = against_throughput(metric, "A point for each step.", points, percentile == "p50" and "p99" or percentile, limit,
            best(points, percentile, limit))
      end
   end
   return list
end

return sweep
