--- How exactly one run tells a metric: estimates (of perigee.compare.statistics) from its requests, of gaps from its event log,
--- where they are there, else from the intervals of its summary.
local gaps = require "perigee.compare.gaps"
local metrics = require "perigee.compare.metrics"
local results = require "perigee.compare.results"
local statistics = require "perigee.compare.statistics"

local within = {}

local function number(v)
   return type(v) == "number" and v or nil
end

local function pair(v)
   if type(v) ~= "table" then return nil, nil end
   return number(v[1]), number(v[2])
end

-- The value is the summary's; an interval that leaves it out by a rounding is widened to it.
local function around(value, low, high, df)
   return { value = value, low = low and math.min(low, value), high = high and math.max(high, value), df = df }
end

-- ---- from the requests ----

local function sorted_of(columns, name)
   columns.sorted = columns.sorted or {}
   if not columns.sorted[name] then
      local copy = {}
      for i, v in ipairs(columns[name]) do copy[i] = v end
      table.sort(copy)
      columns.sorted[name] = copy
   end
   return columns.sorted[name]
end

local function of_values(metric, columns)
   local values = columns[metric.distribution]
   if not values or #values < 2 then return nil end
   if metric.q then return statistics.quantile(values, sorted_of(columns, metric.distribution), metric.q) end
   return statistics.series_mean(values)
end

local WEIGHTS = { output_tokens_per_s = "tokens", goodput_per_s = "good" }
local LEAST_COMPLETED = 2 * statistics.BATCHES

-- What was completed in each of so many equal parts of the time from the first end to the last issue: before and after it
-- the phase fills and empties.
local function per_part(columns, weights, parts)
   local first, last = columns.finished[1], columns.last_issued
   if not first or last <= first then return nil end
   local sums, count = {}, 0
   for i = 1, parts do sums[i] = 0 end
   for i, at in ipairs(columns.finished) do
      if at < last then
         local part = math.min(parts, math.floor((at - first) / (last - first) * parts) + 1)
         sums[part], count = sums[part] + (weights and weights[i] or 1), count + 1
      end
   end
   return count >= LEAST_COMPLETED and sums or nil
end

-- A rate: its interval is as wide, in parts of itself, as that of its means over parts of the time.
local function of_rate(metric, columns, value)
   local sums = per_part(columns, columns[WEIGHTS[metric.name]], statistics.BATCHES)
   if not sums then return nil end
   local mean = statistics.mean(sums)
   if mean.value <= 0 then return nil end
   return around(value, value * mean.low / mean.value, value * mean.high / mean.value, mean.df)
end

local MARKS = { error_rate = "bad_marks", goodput = "good_marks" }

-- A share: Wilson's interval, of as many independent requests as the correlated ones are worth.
local function of_share(metric, columns, value)
   local marks = columns[MARKS[metric.name]]
   if #marks == 0 then return nil end
   local n, df = statistics.independent(marks)
   local low, high = pair(statistics.share_interval(value * n, n))
   return around(value, low, high, df)
end

local function from_requests(metric, columns, value)
   if metric.is_share then return of_share(metric, columns, value) end
   if not metric.distribution then return of_rate(metric, columns, value) end
   local estimate = of_values(metric, columns)
   return estimate and around(value, estimate.low, estimate.high, estimate.df)
end

-- ---- from the event log ----

local function from_gaps(metric, gathered, value)
   local set = gathered[metric.distribution]
   local low, high, df
   if metric.q then low, high, df = gaps.quantile(set, metric.q) else low, high, df = gaps.mean(set) end
   return around(value, low, high, df)
end

-- ---- from the summary ----

local function of_distribution(metric, phase, value)
   local d, low, high = phase[metric.key], nil, nil
   if metric.q then
      low, high = pair(type(d.ci95) == "table" and d.ci95[metric.statistic])
   elseif not metric.has_gaps and number(d.std) and number(d.count) then -- many gaps are not as many independent values
      local half = statistics.critical(math.huge) * d.std / math.sqrt(d.count)
      low, high = value - half, value + half
   end
   return around(value, low, high, math.huge)
end

local function from_summary(metric, phase, value)
   if metric.distribution then return of_distribution(metric, phase, value) end
   if metric.is_share then
      local low, high = pair(metric.ci95 and phase[metric.ci95] or phase[metric.of].share_ci95)
      return around(value, low, high, math.huge)
   end
   local steady = phase.steady
   if metric.name ~= "qps" or type(steady) ~= "table" or not number(steady.qps) or steady.qps <= 0 then return around(value) end
   local low, high = pair(steady.qps_ci95)
   return around(value, low and value * low / steady.qps, high and value * high / steady.qps, math.huge)
end

--- The estimate of a metric in a phase of a run.
---@param metric table
---@param run table   of perigee.compare.results
---@param name string of the phase
---@return table? estimate  nil when the phase has no such value
---@return string source    "requests", "events" (gaps) or "summary": where the interval is from
function within.estimate(metric, run, name)
   local phase = run.phases[name].summary
   local value = metrics.value(metric, phase)
   if not value then return nil, "summary" end
   local gathered = metric.has_gaps and results.gaps(run)[name]
   if gathered then return from_gaps(metric, gathered, value), "events" end
   local columns = results.requests(run)[name]
   local estimate = columns and from_requests(metric, columns, value)
   if estimate then return estimate, "requests" end
   estimate = from_summary(metric, phase, value)
   estimate.df = estimate.df or math.huge
   return estimate, "summary"
end

return within
