--- What a phase did over time: which numbers of its series become which lines, as figures of perigee.report.html.figure.
local figure = require "perigee.report.html.figure"
local present = require "perigee.report.present"
local schema = require "perigee.schema"
local units = require "perigee.units"

local charts = {}

local MS = 1e6        -- ns
local LATE_NS = 1e6   -- an arrival that is later than that counts as late
local LEAST_BIN = 0.2 -- the last interval is cut short by the phase's end; rates of so small a part of one say nothing

local function checked_bound(phase, metric)
   for _, check in ipairs(phase.checks) do
      local text = check.check:match("^" .. metric .. "%.p99%s*<=?%s*(%S+)$")
      local seconds = text and units.duration(text)
      if seconds then return { value = seconds * 1e9, label = check.check } end
   end
end

--- The bound in ns that a check "METRIC.p99 < TIME" of the phase sets, else its SLO; nil without one.
---@param phase table     of the summary
---@param metric string   "ttft" or "latency"
---@return { value: number, label: string }?
function charts.objective(phase, metric)
   local goods = present(phase.goodput)
   local bound = goods and goods.slo[metric .. "_ms"]
   return checked_bound(phase, metric) or bound and { value = bound * MS, label = "SLO: " .. figure.time(bound * MS) } or nil
end

-- A line of values of bins, each at the middle of its bin, and how much of it the phase lasted, in s.
local function over_time(phase, bins, label, value)
   local line = { label = label, x = {}, y = {} }
   for i, bin in ipairs(bins) do
      local from, width = bin.from_ns / 1e9, bin.width_ns / 1e9
      local lasted = math.max(0, math.min(width, phase.duration_s - from))
      line.x[i] = from + (lasted > 0 and lasted or width) / 2
      line.y[i] = value(bin, lasted, lasted >= width * LEAST_BIN) or false
   end
   return line
end

local function field(name)
   return function(bin) return bin[name] end
end

local function rate(name)
   return function(bin, lasted, long_enough) return long_enough and bin[name] / lasted end
end

local function percentile_lines(phase, bins, metric)
   local lines = {}
   for i, name in ipairs { "p50", "p90", "p99" } do lines[i] = over_time(phase, bins, name, field(metric .. "_" .. name)) end
   return lines
end

local function latency(phase, bins)
   return { title = "Latency", about = "Percentiles of the requests that ended in each interval.", y = figure.times "latency",
      lines = percentile_lines(phase, bins, "latency"), limit = charts.objective(phase, "latency") }
end

local function first_token(phase, bins)
   return { title = "First token", about = "Percentiles of the requests that ended in each interval.",
      y = figure.times "time to first token", lines = percentile_lines(phase, bins, "ttft"), limit = charts.objective(phase, "ttft") }
end

local function rates(phase, bins)
   local lines = { over_time(phase, bins, "sent", rate "issued"), over_time(phase, bins, "completed", rate "completed") }
   if present(phase.rate_asked_per_s) then table.insert(lines, 1, over_time(phase, bins, "asked", rate "asked")) end
   return { title = "Rate", about = "Requests that the schedule asked for, that were sent and that succeeded.",
      y = { label = "requests/s" }, lines = lines }
end

local function tokens(phase, bins)
   if not present(phase.output_tokens_per_s) then return nil end
   local line = over_time(phase, bins, "output tokens", rate "tokens_out")
   line.area = true
   return { title = "Output tokens", about = "Of the requests that ended in each interval.",
      y = { label = "tokens/s" }, lines = { line } }
end

local function goodput(phase, bins)
   if not present(phase.goodput) then return nil end
   local line = over_time(phase, bins, "good", function(bin)
      local ended = bin.completed + bin.failed - (bin.failures and bin.failures.cancelled or 0) -- no one's failure
      return ended > 0 and bin.good / ended
   end)
   line.area = true
   return { title = "Goodput", about = "Share of the requests that kept every bound of the SLO.",
      y = { label = "good", format = units.percent, high = 1 }, lines = { line } }
end

local function in_flight(phase, bins)
   local most = over_time(phase, bins, "at most", field "inflight_max")
   most.area = true
   return { title = "In flight", about = "Requests that were sent and had not ended.", y = { label = "requests" },
      lines = { most, over_time(phase, bins, "at the end of the interval", field "inflight") } }
end

local function lateness(phase, bins)
   return { title = "Lateness of the client", about = "From when a request should be sent until it was: the worst of each interval.",
      y = figure.times "lateness", lines = { over_time(phase, bins, "worst", field "lateness_max") },
      limit = { value = LATE_NS, label = "later counts as late" } }
end

local MOST_CLASSES = 5 -- the rest is one line

-- How often each class of failure occurred in all bins; the most frequent first.
local function classes(bins)
   local sums = {}
   for _, bin in ipairs(bins) do
      for class, n in pairs(bin.failures or {}) do sums[class] = (sums[class] or 0) + n end
   end
   local list = schema.sorted_keys(sums)
   table.sort(list, function(a, b)
      if sums[a] ~= sums[b] then return sums[a] > sums[b] end
      return a < b
   end)
   return list
end

local function errors(phase, bins)
   local lines, list = {}, classes(bins)
   local function add(label, first, last)
      lines[#lines + 1] = over_time(phase, bins, label, function(bin, lasted, long_enough)
         local n = 0
         for i = first, last do n = n + (bin.failures and bin.failures[list[i]] or 0) end
         return long_enough and n / lasted
      end)
   end
   for i = 1, math.min(#list, MOST_CLASSES) do add(list[i], i, i) end
   if #list > MOST_CLASSES then add("other", MOST_CLASSES + 1, #list) end
   return { title = "Failures", about = "Requests that did not succeed, by class.", y = { label = "requests/s" }, lines = lines }
end

local OVER_TIME = { latency, first_token, rates, tokens, goodput, in_flight, lateness, errors }

--- What the phase did over time; nothing when it was shorter than two intervals.
---@param phase table   of the summary
---@param bins table[]  of the engine's report
---@return table[]
function charts.over_time(phase, bins)
   local list = {}
   if #bins < 2 then return list end
   for _, make in ipairs(OVER_TIME) do
      local chart = make(phase, bins)
      if chart then
         chart.x = figure.seconds(phase.duration_s)
         list[#list + 1] = chart
      end
   end
   return list
end

return charts
