--- Compares the phases of runs: which numbers have changed, by how much, and how sure that is.
local comparable = require "perigee.compare.comparable"
local metrics = require "perigee.compare.metrics"
local statistics = require "perigee.compare.statistics"
local within = require "perigee.compare.within"

local compare = {}

compare.ALPHA = 0.05
--- Changes below are of no interest: parts of the value, and of shares their difference.
compare.THRESHOLD, compare.SHARE_THRESHOLD = 0.05, 0.01

-- ---- one metric ----

local function same(x) return x end

-- Ratios are differences of logarithms. nil: there is no logarithm.
local function scale_of(metric)
   if metric.is_share then return same, same end
   return function(v) return v and v > 0 and math.log(v) or nil end, function(d) return math.exp(d) - 1 end
end

local function value_of(metric, entry)
   return metrics.value(metric, entry.run.phases[entry.phase].summary)
end

-- The values of both sides, without what has none; of pairs both or neither.
local function values_of(metric, sides)
   local a, b = {}, {}
   for i = 1, math.max(#sides[1], #sides[2]) do
      local in_a = sides[1][i] and value_of(metric, sides[1][i])
      local in_b = sides[2][i] and value_of(metric, sides[2][i])
      if not sides.paired or in_a and in_b then
         a[#a + 1], b[#b + 1] = in_a or nil, in_b or nil
      end
   end
   return { a, b }
end

-- All on the metric's scale; nil when one cannot be.
local function scaled(values, scale)
   local list = {}
   for i, v in ipairs(values) do
      list[i] = scale(v)
      if not list[i] then return nil end
   end
   return list
end

local function of_rounds(a, b)
   local differences = {}
   for i = 1, #a do differences[i] = b[i] - a[i] end
   return statistics.paired(differences), "rounds"
end

local function scaled_estimate(estimate, scale)
   return { value = scale(estimate.value), low = scale(estimate.low), high = scale(estimate.high), df = estimate.df }
end

-- One run against one.
local function of_single(metric, a, b, scale)
   local in_a, from_a = within.estimate(metric, a.run, a.phase)
   local in_b, from_b = within.estimate(metric, b.run, b.phase)
   local source = from_a == from_b and from_a or "summary"
   return statistics.difference(scaled_estimate(in_a, scale), scaled_estimate(in_b, scale)), source
end

-- The difference on the metric's scale and how it was found; nil when it cannot be told.
local function difference(metric, sides, values, scale)
   local a, b = scaled(values[1], scale), scaled(values[2], scale)
   if not (a and b) then return nil end
   if sides.paired and #a == #b and #a > 1 then return of_rounds(a, b) end
   if #a + #b > 2 then return statistics.unpaired(a, b), "runs" end
   return of_single(metric, sides[1][1], sides[2][1], scale)
end

-- The middle of a side: of ratios the geometric mean.
local function middle(values, scale, is_share)
   local list = scaled(values, scale)
   if not list then return (statistics.moments(values)) end
   local mean = statistics.moments(list)
   return #values == 1 and values[1] or is_share and mean or math.exp(mean)
end

-- A row of the table; nil when neither side has the metric.
local function row_of(metric, sides)
   local values = values_of(metric, sides)
   local scale, back = scale_of(metric)
   local row = { metric = metric, p = 1 }
   if #values[1] == 0 and #values[2] == 0 then return nil end
   row.a = values[1][1] and middle(values[1], scale, metric.is_share)
   row.b = values[2][1] and middle(values[2], scale, metric.is_share)
   if not (row.a and row.b) then return row end
   local found, how = difference(metric, sides, values, scale)
   row.method = how
   if found then
      row.change, row.low, row.high, row.p = back(found.value), found.low and back(found.low), found.high and back(found.high), found.p
   elseif row.a == row.b then
      row.change, row.low, row.high = 0, 0, 0
   end
   return row
end

-- ---- all of them ----

local function rows_of(sides, options)
   local rows = {}
   for _, metric in ipairs(options.metrics) do rows[#rows + 1] = row_of(metric, sides) end
   return rows
end

local function threshold_of(metric, options)
   return options.thresholds[metric.name] or (metric.is_share and options.thresholds.share or options.thresholds.all)
end

local function verdict(row)
   if not row.change then return "unsure" end
   if row.p_adjusted and row.p_adjusted < compare.ALPHA and math.abs(row.change) > row.threshold then
      local rose = row.change > 0
      return rose == (row.metric.better == "higher") and "better" or "worse"
   end
   local is_close = row.low and row.high and row.low >= -row.threshold and row.high <= row.threshold
   return is_close and "same" or "unsure"
end

-- All rows are one family: the more is looked at, the more must speak for a change.
local function judge(comparisons, options)
   local rows, ps = {}, {}
   for _, comparison in ipairs(comparisons) do
      for _, row in ipairs(comparison.rows) do
         if row.low or row.high then rows[#rows + 1], ps[#ps + 1] = row, row.p end
         row.threshold = threshold_of(row.metric, options)
      end
   end
   for i, p in ipairs(statistics.holm(ps)) do rows[i].p_adjusted = p end
   local worse, all = 0, 0
   for _, comparison in ipairs(comparisons) do
      for _, row in ipairs(comparison.rows) do
         row.verdict, all = verdict(row), all + 1
         local fails = not options.fail_on or options.fail_on[row.metric.name]
         if row.verdict == "worse" and fails then worse = worse + 1 end
      end
   end
   return worse, #rows, all
end

--- How many rows have each verdict.
---@param comparisons table[]
---@return { better: integer, worse: integer, same: integer, unsure: integer }
function compare.counts(comparisons)
   local counts = { better = 0, worse = 0, same = 0, unsure = 0 }
   for _, comparison in ipairs(comparisons) do
      for _, row in ipairs(comparison.rows) do counts[row.verdict] = counts[row.verdict] + 1 end
   end
   return counts
end

-- nil and a message when no metric is there.
local function finish(sides, comparisons, warnings, options)
   for _, comparison in ipairs(comparisons) do comparable.lone(warnings, comparison, sides) end
   comparable.absent(warnings, comparisons, options.asked)
   local worse, tests, rows = judge(comparisons, options)
   if rows == 0 then return nil, "no phase that is compared has any of the metrics" end
   return {
      sides = sides, comparisons = comparisons, warnings = warnings, counts = compare.counts(comparisons), regressions = worse,
      tests = tests, thresholds = options.thresholds,
   }
end

-- A, B, C in tables and warnings.
local function add_letters(sides)
   for i, side in ipairs(sides) do side.letter = i <= 26 and string.char(64 + i) or "S" .. i end
end

-- ---- runs ----

-- The phases that are compared, in the order of the baseline.
local function phase_names(run, only)
   local list = {}
   for _, phase in ipairs(run.summary.phases) do
      local chosen = only and phase.name == only or not only and phase.kind == "performance"
      if chosen then list[#list + 1] = phase.name end
   end
   return list
end

local function entries_of(side, name)
   local list = {}
   for _, run in ipairs(side.runs) do
      if run.phases[name] then list[#list + 1] = { run = run, phase = name } end
   end
   return list
end

--- Compare runs: the first side is the baseline, each other one is compared with it. Phases are paired by their names.
---@param sides table[]   of results.side
---@param options table   metrics (of metrics.find), asked (those of them that were named), thresholds ({ all, share, by metric's
---   name }), fail_on (set of names), phase
---@return table? report  sides, comparisons ({ phase, a, b, rows }), warnings, counts (by verdict), regressions, tests
---@return string? message  why there is nothing to compare
function compare.runs(sides, options)
   add_letters(sides)
   local comparisons, base, warnings = {}, sides[1], comparable.runs(sides)
   for b = 2, #sides do
      for _, name in ipairs(phase_names(base.runs[1], options.phase)) do
         local pair = { entries_of(base, name), entries_of(sides[b], name) }
         if #pair[2] > 0 then
            comparable.phases(warnings, pair, { base, sides[b] }, name)
            comparisons[#comparisons + 1] = { phase = name, a = 1, b = b, rows = rows_of(pair, options) }
         end
      end
   end
   comparable.logs(warnings, sides)
   comparable.partners(warnings, sides, options.phase)
   if #comparisons == 0 then return nil, comparable.nothing(sides, options.phase) end
   return finish(sides, comparisons, warnings, options)
end

-- ---- rounds ----

-- The sides of interleaved phases, in the order in which the plan names them, each with its phases.
local function sides_of_phases(run)
   local sides = {}
   for _, phase in ipairs(run.summary.phases) do
      local name = run.phases[phase.name].config.side
      if name then
         sides[name] = sides[name] or { name = name, runs = { run }, entries = {} }
         if #sides[name].entries == 0 then sides[#sides + 1] = sides[name] end
         table.insert(sides[name].entries, { run = run, phase = phase.name })
      end
   end
   return sides
end

--- Of the metrics that fail a comparison the first one that is nowhere compared: a side has no value, or no ratio to it.
---@param report table
---@param options table  as of compare.runs
---@return table? metric  nil: each is compared, or none was named
function compare.unguarded(report, options)
   local compared = {}
   for _, comparison in ipairs(report.comparisons) do
      for _, row in ipairs(comparison.rows) do compared[row.metric.name] = compared[row.metric.name] or row.change ~= nil end
   end
   for _, metric in ipairs(options.metrics) do
      if options.fail_on and options.fail_on[metric.name] and not compared[metric.name] then return metric end
   end
end

--- Compare the interleaved phases of one run: rounds are pairs.
---@param run table
---@param options table  as of compare.runs
---@return table? report  comparisons have rounds instead of a phase
---@return string? message
function compare.rounds(run, options)
   local sides, comparisons, warnings = sides_of_phases(run), {}, comparable.run(run)
   add_letters(sides)
   if #sides < 2 then
      return nil, run.path .. ": one run is compared with itself by its interleaved phases, and it has none (see perigee.interleave)"
   end
   for b = 2, #sides do
      local rounds = math.min(#sides[1].entries, #sides[b].entries)
      local pair = { paired = true, { unpack(sides[1].entries, 1, rounds) }, { unpack(sides[b].entries, 1, rounds) } }
      comparisons[#comparisons + 1] = { rounds = rounds, a = 1, b = b, rows = rows_of(pair, options) }
   end
   return finish(sides, comparisons, warnings, options)
end

return compare
