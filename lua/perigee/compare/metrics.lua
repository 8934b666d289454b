--- What of a phase is compared: the numbers of summary.json by the names that checks have, and what is good about them.
local nearest = require "perigee.nearest"
local units = require "perigee.units"

local metrics = {}

-- The key in summary.json, and the nanoseconds of its unit.
local DISTRIBUTIONS = {
   latency = { "latency_ms", 1e6 }, service_time = { "service_time_ms", 1e6 }, ttft = { "ttft_ms", 1e6 },
   ttft_service = { "ttft_service_ms", 1e6 }, tpot = { "tpot_ms", 1e6 }, itl = { "itl_ms", 1e6 }, itl_token = { "itl_token_ms", 1e6 },
   lateness = { "lateness_us", 1e3 }, first_byte = { "first_byte_ms", 1e6 }, first_event = { "first_event_ms", 1e6 },
   first_content = { "first_content_ms", 1e6 }, first_reasoning = { "first_reasoning_ms", 1e6 },
}
local STATISTICS = { "mean", "p50", "p90", "p95", "p99", "p99.9" }

-- Rates are compared by their ratio, shares by their difference.
local NUMBERS = {
   qps = { better = "higher", of = "qps" },
   output_tokens_per_s = { better = "higher", of = "output_tokens_per_s" },
   goodput_per_s = { better = "higher", of = "goodput", field = "per_s" },
   error_rate = { better = "lower", of = "error_rate", is_share = true, ci95 = "error_rate_ci95" },
   goodput = { better = "higher", of = "goodput", field = "share", is_share = true },
}

--- Compared when none are chosen.
metrics.DEFAULT = {
   "latency.p50", "latency.p99", "ttft.p50", "ttft.p99", "tpot.p50", "tpot.p99", "itl.p50", "itl.p99", "qps",
   "output_tokens_per_s", "goodput_per_s", "goodput", "error_rate",
}

-- All that a name can begin with.
local function names()
   local list = {}
   for name in pairs(DISTRIBUTIONS) do list[#list + 1] = name end
   for name in pairs(NUMBERS) do list[#list + 1] = name end
   table.sort(list)
   return list
end

local function unknown(what, name, list)
   local near = nearest(name, list)
   return ("unknown %s '%s'%s (%s)"):format(what, name, near and (", did you mean '%s'?"):format(near) or "", table.concat(list, ", "))
end

local function of_distribution(name, text, statistic)
   local entry = DISTRIBUTIONS[name]
   for _, known in ipairs(STATISTICS) do
      if statistic == known then
         local q = tonumber(statistic:match "^p(.+)$")
         return {
            name = text, distribution = name, key = entry[1], ns = entry[2], statistic = statistic, q = q and q / 100, better = "lower",
            has_gaps = name:find "^itl" ~= nil,
         }
      end
   end
   if statistic == "" then return nil, ("'%s' is a distribution: say which statistic, e.g. %s.p99"):format(name, name) end
   return nil, unknown("statistic", statistic, STATISTICS)
end

--- The metric of a name: { name, better = "higher" or "lower", is_share, and of a distribution: distribution (its name), key,
--- ns (of its unit), statistic, q (of a percentile), has_gaps (its values are gaps, many of each request) }.
---@param text string  "ttft.p99", "qps"
---@return table? metric
---@return string? message
function metrics.find(text)
   local name, statistic = text:match "^([%w_]+)%.?(.*)$"
   if DISTRIBUTIONS[name] then return of_distribution(name, text, statistic) end
   local number = NUMBERS[text]
   if not number then return nil, unknown("metric", name or text, names()) end
   return {
      name = text, better = number.better, is_share = number.is_share or false, of = number.of, field = number.field, ci95 = number.ci95,
   }
end

--- The value of a metric in a phase of summary.json; nil when there is none.
---@param metric table
---@param phase table
---@return number?
function metrics.value(metric, phase)
   local value = phase[metric.key or metric.of]
   if metric.key or metric.field then value = type(value) == "table" and value[metric.statistic or metric.field] end
   return type(value) == "number" and value or nil
end

--- A value for people.
---@param metric table
---@param value number
---@return string
function metrics.text(metric, value)
   if metric.ns then return units.ns(value * metric.ns) end
   if metric.is_share then return units.percent(value) end
   return units.number(value) .. "/s"
end

return metrics
