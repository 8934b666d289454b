--- Percentile curves, drawn from histograms however many requests there were, as figures of perigee.report.html.figure.
local figure = require "perigee.report.html.figure"
local present = require "perigee.report.present"
local schema = require "perigee.schema"

local curves = {}

local MS = 1e6 -- ns
-- metric, label, are its intervals drawn
local OF_REQUESTS = { { "latency", "latency", true }, { "service_time", "service time" }, { "ttft", "first token", true } }
local OF_CHUNKS = { { "itl", "gap between chunks", true }, { "itl_token", "the same per token" } }
local BY_TAG = { { "latency", "latency_ms", "Latency by tag" }, { "ttft", "ttft_ms", "First token by tag" } }
local BY_PHASE = { { "latency", "latency_ms", "Latency by phase" }, { "ttft", "ttft_ms", "First token by phase" } }
local SHARE_OF_REQUESTS = "The time that a share of the requests stayed below."
local MOST_PHASES = 6 -- as many lines as a figure has
local MOST_SHARE = 0.9999999 -- beyond it a curve has no shape
local SHARES = { 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999, 0.999999 }
local NAMES = { p50 = 0.5, p90 = 0.9, p95 = 0.95, p99 = 0.99, ["p99.9"] = 0.999, max = 1 } -- in the summary

-- "90%", "99.9%"
local function percent(share) return ("%.10g%%"):format(share * 100) end

-- The 95 % intervals of the percentiles that have two bounds.
local function intervals(distribution)
   local list = {}
   for name, bounds in pairs(distribution and distribution.ci95 or {}) do
      local low, high = present(bounds[1]), present(bounds[2])
      if low and high then list[#list + 1] = { NAMES[name], low * MS, high * MS } end
   end
   table.sort(list, function(a, b) return a[1] < b[1] end)
   return list
end

-- The curve of a histogram; what the summary tells exactly is for the table.
local function curve_line(label, curve, distribution, with_intervals)
   local line = { label = label, x = {}, y = {}, at = {}, smooth = true }
   line.intervals = with_intervals and intervals(distribution)
   for name, share in pairs(NAMES) do
      local v = distribution and present(distribution[name])
      line.at[share] = v and v * MS
   end
   for i = 1, #curve, 2 do
      line.y[#line.y + 1], line.x[#line.x + 1] = curve[i], curve[i + 1]
   end
   return line
end

local function shares_below(most)
   local list = {}
   for _, share in ipairs(SHARES) do
      if share <= most then list[#list + 1] = share end
   end
   list[#list + 1] = 1
   return list
end

local function curves_figure(title, about, lines)
   local most = 0.99
   for _, line in ipairs(lines) do most = math.min(math.max(most, line.x[#line.x - 1] or 0), MOST_SHARE) end
   return {
      title = title, about = about .. " The axis stretches the tail; bars are 95% intervals.",
      x = { label = "share", scale = "tail", high = most, format = percent }, y = figure.times "time",
      lines = lines, rows = shares_below(most),
   }
end

local function histogram(histograms, phase, metric)
   for _, h in ipairs(histograms) do
      if h.phase == phase.name and h.metric == metric then return h end
   end
end

local function percentiles(phase, histograms, title, about, chosen)
   local lines = {}
   for _, wanted in ipairs(chosen) do
      local h = histogram(histograms, phase, wanted[1])
      if h then
         lines[#lines + 1] = curve_line(wanted[2], h.curve, present(phase[wanted[1] .. "_ms"]), wanted[3])
      end
   end
   return curves_figure(title, about, lines)
end

--- How long each share of the requests took, and of the gaps between chunks.
---@param phase table         of the summary
---@param histograms table[]  as of session:histograms()
---@return table[]
function curves.percentiles(phase, histograms)
   local gap, of_token = present(phase.itl_ms), present(phase.itl_token_ms)
   local one_each = gap and of_token and gap.p50 == of_token.p50 and gap.p99 == of_token.p99 -- token in a chunk
   return {
      percentiles(phase, histograms, "Percentiles", SHARE_OF_REQUESTS, OF_REQUESTS),
      percentiles(phase, histograms, "Gaps of streams", "The time that a share of the gaps stayed below.",
         one_each and { OF_CHUNKS[1] } or OF_CHUNKS),
   }
end

--- How long each share of the requests of each phase took; nothing of a single one, or of more than can be told apart.
---@param phases table[]      of the summary
---@param histograms table[]  as of session:histograms()
---@return table[] figures
function curves.phases(phases, histograms)
   local list = {}
   if #phases < 2 or #phases > MOST_PHASES then return list end
   for _, metric in ipairs(BY_PHASE) do
      local lines = {}
      for _, phase in ipairs(phases) do
         local h = histogram(histograms, phase, metric[1])
         if h then lines[#lines + 1] = curve_line(phase.name, h.curve, present(phase[metric[2]]), true) end
      end
      if lines[2] then list[#list + 1] = curves_figure(metric[3], SHARE_OF_REQUESTS, lines) end
   end
   return list
end

--- How long each share of the requests with a tag took, of those with the most requests; nothing for a single tag.
---@param phase table         of the summary
---@param histograms table[]  as of session:histograms()
---@return table[] figures
function curves.tags(phase, histograms)
   local n = #schema.sorted_keys(phase.tags or {})
   if n < 2 then return {} end
   local list = {}
   for i, metric in ipairs(BY_TAG) do
      local lines, h = {}, histogram(histograms, phase, metric[1])
      for k, of in ipairs(h and h.tags or {}) do lines[k] = curve_line(of.tag, of.curve, present(phase.tags[of.tag][metric[2]]), true) end
      local about = n > #lines and ("The %d busiest of %d tags."):format(#lines, n) or SHARE_OF_REQUESTS
      list[i] = curves_figure(metric[3], about, lines)
   end
   return list
end

return curves
