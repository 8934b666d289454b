--- The histograms of a run for the tools around HdrHistogram: histograms.hgrm is for people and
--- plotters, a percentile distribution in milliseconds for each phase and metric;
--- histograms.hlog is a histogram log (format 1.3), whose lines are tagged PHASE.METRIC.
local engine = require "perigee.engine"

local null = engine.json.null
local hdr = {}

local function title(h)
   return h.phase .. "." .. h.metric
end

--- histograms.hgrm.
---@param histograms table[]  as of session:histograms()
---@return string
function hdr.percentiles(histograms)
   local parts = {}
   for i, h in ipairs(histograms) do parts[i] = ("#[%s, ms]\n%s\n"):format(title(h), h.percentiles) end
   return table.concat(parts)
end

--- histograms.hlog: times in seconds, the maximum in milliseconds, as its readers expect.
---@param histograms table[]
---@param summary table
---@return string
function hdr.log(histograms, summary)
   local first = math.huge
   for _, h in ipairs(histograms) do first = math.min(first, h.started_ns) end
   local lines = { "#[Histogram log format version 1.3]\n" }
   if summary.started_at ~= null then lines[2] = ("#[Written by perigee, run started at %s]\n"):format(summary.started_at) end
   lines[#lines + 1] = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
   for _, h in ipairs(histograms) do
      lines[#lines + 1] = ("Tag=%s,%.3f,%.3f,%.3f,%s\n"):format((title(h):gsub("[,%s]", "_")), (h.started_ns - first) / 1e9,
         math.max(0, h.ended_ns - h.started_ns) / 1e9, h.max / 1e6, h.encoded)
   end
   return table.concat(lines)
end

return hdr
