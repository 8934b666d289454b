--- The phases of a run, or the steps of a load, beside each other: throughput against latency; and sides that took turns,
--- round by round.
local charts = require "perigee.report.html.charts"
local curves = require "perigee.report.html.curves"
local figure = require "perigee.report.html.figure"
local present = require "perigee.report.present"
local stepping = require "perigee.load.stepping"
local units = require "perigee.units"

local sweep = {}

local MS = 1e6 -- ns
local LEAST_POINTS = 3
local PERCENTILES = { "p50", "p90", "p99" } -- that are told of a step
local METRICS = {
   { "ttft", "First token against throughput", "First token by round", "time to first token" },
   { "latency", "Latency against throughput", "Latency by round", "latency" },
}

-- The bound that all these phases have; nil where one has another, or none: it would be a line for some points alone.
local function objective(phases, metric)
   local common
   for _, phase in ipairs(phases) do
      local bound = charts.objective(phase, metric)
      if not bound or common and bound.value ~= common.value then return nil end
      common = bound
   end
   return common
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

-- Of the phases that measured the metric, and these.
local function phase_points(phases, key)
   local list, measured = {}, {}
   for _, phase in ipairs(phases) do
      local d, qps = present(phase[key]), present(phase.qps)
      if d and qps then
         list[#list + 1] = { name = phase.name, qps = qps, d = d, holds = all_hold(phase) }
         measured[#measured + 1] = phase
      end
   end
   return sorted(list), measured
end

local function are_numbers(t, keys)
   for _, key in ipairs(keys) do
      if type(t) ~= "table" or type(t[key]) ~= "number" then return false end
   end
   return true
end

-- Of the steps that a load told in its conclusion, which may also be a script's own, of any shape.
local function step_points(conclusion, key)
   local list = {}
   for _, step in ipairs(conclusion.steps) do
      if are_numbers(step, { "completed_per_s", conclusion.knob }) and are_numbers(step[key], PERCENTILES) then
         list[#list + 1] = {
            name = stepping.show(conclusion.knob, step[conclusion.knob]), qps = step.completed_per_s, d = step[key],
            holds = step.passed == true,
         }
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

-- The performance phases that took no turns.
local function chosen(phases, sides)
   local list = {}
   for _, phase in ipairs(phases) do
      if phase.kind == "performance" and not sides[phase.name] then list[#list + 1] = phase end
   end
   return list
end

--- First token and latency of sides by round; against throughput, of three phases at least; their distributions by phase.
---@param summary table
---@param histograms table[]  as of session:histograms()
---@return table[] figures
function sweep.figures(summary, histograms)
   local sides = sides_of(summary.config)
   local list = next(sides) and rounds(summary.phases, sides) or {}
   local phases = chosen(summary.phases, sides)
   for _, metric in ipairs(METRICS) do
      local key = metric[1] .. "_ms"
      local points, measured = phase_points(phases, key)
      if #points >= LEAST_POINTS then
         local limit = objective(measured, metric[1])
         list[#list + 1] = against_throughput(metric, "A point for each performance phase.", points, "p99", limit,
            limit and best(points, "p99", limit))
      end
   end
   for _, by_phase in ipairs(curves.phases(phases, histograms)) do list[#list + 1] = by_phase end
   return list
end

-- The percentile of the metric that the condition of a load bounds, a check or a list of them, and the bound; p99 without one.
local function condition(slo, metric)
   for _, check in ipairs(type(slo) == "table" and slo or { slo }) do
      for _, percentile in ipairs(PERCENTILES) do
         local bound = type(check) == "string" and check:match(("^%s%%.%s%%s*<=?%%s*(%%S+)$"):format(metric, percentile))
         local seconds = bound and units.duration(bound)
         if seconds then return percentile, { value = seconds * 1e9, label = check } end
      end
   end
   return "p99", nil
end

--- The same of the steps that a load took; nothing when there were too few, or their times were not told.
---@param conclusion any  of a phase of the summary
---@return table[] figures
function sweep.steps(conclusion)
   local list = {}
   if type(conclusion) ~= "table" or type(conclusion.steps) ~= "table" or type(conclusion.knob) ~= "string" then return list end
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
