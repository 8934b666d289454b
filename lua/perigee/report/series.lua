--- What each phase did over time (series.jsonl): a line for each bin.
local engine = require "perigee.engine"

local json = engine.json
local series = {}

local MS, US = 1e6, 1e3 -- ns
local COUNTS = { "asked", "issued", "completed", "failed" }
local PERCENTILES = { "latency_p50", "latency_p99", "ttft_p50", "ttft_p99" }

local function line(phase, bin)
   local seconds = bin.width_ns / 1e9
   local out = {
      phase = phase.name, from_s = bin.from_ns / 1e9, width_s = seconds,
      rate_asked_per_s = bin.asked / seconds, rate_delivered_per_s = bin.issued / seconds, qps = bin.completed / seconds,
      output_tokens_per_s = bin.tokens_out / seconds, good_per_s = phase.slo and bin.good / seconds or nil,
      in_flight = bin.inflight, in_flight_max = bin.inflight_max,
   }
   for _, name in ipairs(COUNTS) do out[name] = bin[name] end
   out.lateness_max_us = bin.lateness_max and bin.lateness_max / US
   out.failures = bin.failures
   for _, name in ipairs(PERCENTILES) do out[name .. "_ms"] = bin[name] and bin[name] / MS end
   return out
end

--- The lines of a report, each with its end.
---@param report table  the engine's, with the series
---@return string
function series.text(report)
   local lines = {}
   for _, phase in ipairs(report.phases) do
      for _, bin in ipairs(phase.series or {}) do lines[#lines + 1] = json.encode(line(phase, bin)) .. "\n" end
   end
   return table.concat(lines)
end

return series
