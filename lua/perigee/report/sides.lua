--- Sides that took turns (perigee.interleave), each as one: the section `sides` of summary.json, and its table.
local compare = require "perigee.compare"
local compared = require "perigee.compare.data"
local compared_text = require "perigee.compare.text"
local engine = require "perigee.engine"
local floors = require "perigee.floors"
local metrics = require "perigee.compare.metrics"
local results = require "perigee.compare.results"
local units = require "perigee.units"

local json = engine.json
local null = json.null
local sides = {}

--- The numbers (from 1) of the phases of each side, by a run's config; an empty list when no phase has a side.
---@param config table  as of perigee.report.config
---@return integer[][] groups
function sides.groups(config)
   local groups, of = {}, {}
   for i, phase in ipairs(config.phases) do
      local side = phase.side
      if side and not of[side] then
         of[side] = {}
         groups[#groups + 1] = of[side]
      end
      if side then table.insert(of[side], i) end
   end
   return groups
end

-- ---- the section ----

local function chosen_metrics()
   local list = {}
   for i, name in ipairs(metrics.DEFAULT) do list[i] = assert(metrics.find(name)) end
   return list
end

-- By metric, the least and the greatest value of the rounds.
local function spread(phases)
   local out = {}
   for _, metric in ipairs(chosen_metrics()) do
      local low, high = math.huge, -math.huge
      for _, phase in ipairs(phases) do
         local v = metrics.value(metric, phase)
         if v then low, high = math.min(low, v), math.max(high, v) end
      end
      if low <= high then out[metric.name] = { min = low, max = high } end
   end
   return out
end

-- What `perigee compare` says of the sides, by the names of those that are compared with the first.
local function comparisons(summary)
   local thresholds = { all = compare.THRESHOLD, share = compare.SHARE_THRESHOLD }
   local report = compare.rounds(results.of_summary(summary, ""), { metrics = chosen_metrics(), thresholds = thresholds })
   local by_name = {}
   for _, c in ipairs(report and report.comparisons or {}) do
      by_name[report.sides[c.b].name] = {
         side = report.sides[c.a].name, rounds = c.rounds, metrics = json.array(compared.rows(c)), counts = compare.counts { c },
      }
   end
   return by_name
end

--- Fill in what a side is made of and how it compares.
---@param summary table     of the run, but for this section
---@param pooled (table|false)[]  the numbers of each group together, as those of a phase; false where none of its phases began
---@return table[]|userdata section  null without sides
function sides.section(summary, pooled)
   local list, phases = {}, {}
   for _, phase in ipairs(summary.phases) do phases[phase.name] = phase end
   for i, group in ipairs(sides.groups(summary.config)) do
      local names, rounds = {}, {}
      for _, number in ipairs(group) do
         local phase = phases[summary.config.phases[number].name]
         if phase then names[#names + 1], rounds[#rounds + 1] = phase.name, phase end
      end
      local side = pooled[i]
      if side then
         side.name, side.phases = summary.config.phases[group[1]].side, json.array(names)
         side.rounds, side.spread = #rounds, spread(rounds)
         list[#list + 1] = side
      end
   end
   if not list[1] then return null end
   local against = #list > 1 and comparisons(summary) or {}
   for _, side in ipairs(list) do side.against = against[side.name] or null end
   return json.array(list)
end

-- ---- for people ----

-- What stands in a column: a count of the side, or a metric.
local COLUMNS = {
   { "completed", count = "completed" }, { "failed", count = "failed" }, { "per s", "qps" }, { "tokens/s", "output_tokens_per_s" },
   { "latency p50", "latency.p50" }, { "latency p99", "latency.p99" }, { "ttft p50", "ttft.p50" }, { "ttft p99", "ttft.p99" },
   { "tpot p50", "tpot.p50" }, { "goodput", "goodput" },
}

--- "3 rounds"
---@param n integer
---@return string
function sides.rounds_text(n)
   return n == 1 and "1 round" or n .. " rounds"
end

local function shown(column, v)
   if not v then return "-" end
   if column.count or column[1] == "per s" or column[1] == "tokens/s" then return units.number(v) end
   return metrics.text(metrics.find(column[2]), v)
end

local function value_of(column, numbers)
   if column.count then return numbers[column.count] end
   return metrics.value(metrics.find(column[2]), numbers)
end

-- The cells of a side or a phase: a percentile of too few values is marked.
local function cell_of(numbers)
   return function(column)
      local v, metric = value_of(column, numbers), not column.count and metrics.find(column[2])
      local mark = v and metric and metric.key and floors.mark(metric.statistic, numbers[metric.key].count) or ""
      return mark .. shown(column, v)
   end
end

-- Those that any of the sides has.
local function columns_of(section)
   local columns = {}
   for _, column in ipairs(COLUMNS) do
      local has = false
      for _, side in ipairs(section) do has = has or value_of(column, side) ~= nil end
      if has then columns[#columns + 1] = column end
   end
   return columns
end

local function row_of(name, columns, value)
   local row = { name }
   for _, column in ipairs(columns) do row[#row + 1] = value(column) end
   return row
end

local function spread_cell(side, key)
   return function(column)
      local between = side.spread[column[2]]
      return column.count and "" or shown(column, between and between[key])
   end
end

--- The sides as rows of texts: a head, and for each side its numbers, and the least and greatest of its rounds.
---@param section table[]
---@return string[] head
---@return string[][] rows
function sides.table(section)
   local columns, head, rows = columns_of(section), { "" }, {}
   for _, column in ipairs(columns) do head[#head + 1] = column[1] end
   for _, side in ipairs(section) do
      rows[#rows + 1] = row_of(side.name, columns, cell_of(side))
      if side.rounds > 1 then
         rows[#rows + 1] = row_of("  lowest of " .. sides.rounds_text(side.rounds), columns, spread_cell(side, "min"))
         rows[#rows + 1] = row_of("  highest", columns, spread_cell(side, "max"))
      end
   end
   return head, rows
end

--- The phases of the sides as rows of the same columns.
---@param section table[]
---@param phases table[]  of the summary
---@return string[] head
---@return string[][] rows
function sides.rounds(section, phases)
   local columns, head, rows, is_round = columns_of(section), { "" }, {}, {}
   for _, column in ipairs(columns) do head[#head + 1] = column[1] end
   for _, side in ipairs(section) do
      for _, name in ipairs(side.phases) do is_round[name] = true end
   end
   for _, phase in ipairs(phases) do
      if is_round[phase.name] then
         rows[#rows + 1] = row_of(phase.name, columns, cell_of(phase))
      end
   end
   return head, rows
end

local function changes(against, verdict)
   local parts = {}
   for _, row in ipairs(against.metrics) do
      if row.verdict == verdict then
         parts[#parts + 1] = ("%s %s"):format(row.metric, compared_text.change({ is_share = row.change_is == "difference" }, row.change))
      end
   end
   return (" (%s)"):format(table.concat(parts, ", "))
end

-- "2 worse (ttft.p50 +8.1%, ...), 7 same"
local function counts_text(against)
   local parts = {}
   for _, verdict in ipairs { "worse", "better", "same", "unsure" } do
      local n = against.counts[verdict]
      local which = (verdict == "worse" or verdict == "better") and changes(against, verdict) or ""
      if n > 0 then parts[#parts + 1] = ("%d %s%s"):format(n, verdict, which) end
   end
   return table.concat(parts, ", ")
end

--- "new against old, 6 rounds: 2 worse (ttft.p50 +8.1%, ...), 7 same, 2 unsure" for each side but the first.
---@param section table[]
---@return string[]
function sides.verdicts(section)
   local list = {}
   for _, side in ipairs(section) do
      local against = side.against
      if against ~= null then
         local heading = ("%s against %s, %s: "):format(side.name, against.side, sides.rounds_text(against.rounds))
         list[#list + 1] = heading .. counts_text(against)
      end
   end
   return list
end

return sides
