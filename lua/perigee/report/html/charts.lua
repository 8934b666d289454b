--- The charts of a report: which numbers become which lines. Each function returns SVG text, or
--- nil when there is nothing to draw.
local engine = require "perigee.engine"
local of_server = require "perigee.report.html.server"
local svg = require "perigee.report.html.svg"
local units = require "perigee.units"

local null = engine.json.null
local charts = {}

local MS = 1e6

local function present(v)
   if v == null then return nil end
   return v
end

local function milliseconds(v) return v == 0 and "0" or units.ns(v * MS) end

local function seconds(v) return units.number(v) .. " s" end

-- "90%", "99.9%"
local function percent(share) return ("%.10g%%"):format(share * 100) end

-- The least and the greatest y of the series that counts; nil when there is none.
local function range(list, counts)
   local low, high
   for _, series in ipairs(list) do
      for i = 2, #series.points, 2 do
         local y = series.points[i]
         if type(y) == "number" and (not counts or counts(y)) then
            low, high = math.min(low or y, y), math.max(high or y, y)
         end
      end
   end
   return low, high
end

local function above_zero(y) return y > 0 end

-- Times go on a logarithmic axis when the largest is far from the smallest.
local function time_axis(list, label)
   local low, high = range(list, above_zero)
   if not low then return nil end
   local scale = high / low > 50 and svg.log(low, high) or svg.linear(0, high * 1.05)
   return { scale = scale, label = label, format = milliseconds }
end

local function count_axis(list, label)
   local _, high = range(list)
   if not high then return nil end
   return { scale = svg.linear(0, math.max(high * 1.05, 1e-9)), label = label, format = units.number }
end

local function add(list, name, points)
   if points and #points > 0 then list[#list + 1] = { name = name, points = points } end
end

-- ---- percentiles ----

local CURVES = {
   { "latency", "latency" }, { "service_time", "service time" }, { "ttft", "first token" }, { "itl", "gap between chunks" },
   { "lateness", "lateness of the client" },
}

local function curve_points(curve)
   local points = {}
   for i = 1, #curve, 2 do
      points[#points + 1] = curve[i + 1]
      points[#points + 1] = curve[i] / MS
   end
   return points
end

--- How long each share of the requests took.
---@param phase table         of the summary
---@param histograms table[]  as of session:histograms()
---@return string?
function charts.percentiles(phase, histograms)
   local list, most = {}, 0.99
   for _, wanted in ipairs(CURVES) do
      for _, h in ipairs(histograms) do
         if h.phase == phase.name and h.metric == wanted[1] then
            add(list, wanted[2], curve_points(h.curve))
            most = math.max(most, h.curve[#h.curve - 2] or 0)
         end
      end
   end
   local y = time_axis(list, "time")
   return y and svg.chart {
      title = "Percentiles of " .. phase.name,
      description = "The time that a share of the requests stayed below; the axis stretches the tail.",
      x = { scale = svg.tail(math.min(most, 0.9999999)), label = "share of the requests", format = percent }, y = y, series = list,
   }
end

-- ---- over time ----

-- The values of bins at the middle of each.
local function over_time(bins, value)
   local points, any = {}, false
   for _, bin in ipairs(bins) do
      local v = value(bin)
      any = any or v ~= nil
      points[#points + 1] = (bin.from_ns + bin.width_ns / 2) / 1e9
      points[#points + 1] = v or false
   end
   return any and points or nil
end

local function field(name, unit)
   return function(bin) return present(bin[name]) and bin[name] / (unit or 1) end
end

local function rate(name)
   return function(bin) return bin[name] / (bin.width_ns / 1e9) end
end

local function time_chart(phase, bins, title, description, list, axis)
   if not axis then return nil end
   local last = bins[#bins]
   return svg.chart {
      title = title .. " of " .. phase.name, description = description,
      x = { scale = svg.linear(0, (last.from_ns + last.width_ns) / 1e9), label = "time since the phase began", format = seconds },
      y = axis, series = list,
   }
end

---@param phase table  of the summary
---@param bins table[] of the engine's report
---@return string?
function charts.latency_over_time(phase, bins)
   local list = {}
   add(list, "latency p50", over_time(bins, field("latency_p50", MS)))
   add(list, "latency p99", over_time(bins, field("latency_p99", MS)))
   add(list, "first token p50", over_time(bins, field("ttft_p50", MS)))
   add(list, "first token p99", over_time(bins, field("ttft_p99", MS)))
   return time_chart(phase, bins, "Latency over time", "Percentiles of the requests that ended in each interval.", list,
      time_axis(list, "time"))
end

---@param phase table
---@param bins table[]
---@return string?
function charts.rates_over_time(phase, bins)
   local list = {}
   if present(phase.rate_asked_per_s) then add(list, "asked", over_time(bins, rate "asked")) end
   add(list, "sent", over_time(bins, rate "issued"))
   add(list, "completed", over_time(bins, rate "completed"))
   if phase.failed + phase.abandoned > 0 then add(list, "failed", over_time(bins, rate "failed")) end
   return time_chart(phase, bins, "Rates over time", "Requests per second: asked for by the schedule, sent, and ended.", list,
      count_axis(list, "requests per second"))
end

---@param phase table
---@param bins table[]
---@return string?
function charts.in_flight_over_time(phase, bins)
   local list = {}
   add(list, "in flight, most", over_time(bins, field "inflight_max"))
   add(list, "in flight at the end of the interval", over_time(bins, field "inflight"))
   return time_chart(phase, bins, "In flight over time", "Requests that were sent and had not ended.", list, count_axis(list, "requests"))
end

-- ---- servers ----

-- The points of a line as the chart wants them.
local function points_of(line)
   local points = {}
   for i, x in ipairs(line.x) do
      points[#points + 1] = x
      points[#points + 1] = line.y[i]
   end
   return points
end

--- What servers told in a phase.
---@param phase table      of the summary
---@param entries table[]  of report.server
---@param from_s number    the phase's start, from the session's
---@return { title: string, text: string? }[]
function charts.of_server(phase, entries, from_s)
   local out = {}
   for i, chart in ipairs(of_server.charts(entries, phase.name, from_s)) do
      local list = {}
      for _, line in ipairs(chart.lines) do add(list, line.label, points_of(line)) end
      local axis = count_axis(list, chart.y.label)
      axis.format = chart.y.format
      out[i] = { title = chart.title, text = svg.chart {
         title = chart.title .. " in " .. phase.name, description = chart.about,
         x = { scale = svg.linear(0, phase.duration_s), label = "time since the phase began", format = seconds }, y = axis, series = list,
      } }
   end
   return out
end

-- ---- sweep ----

-- The limit of "ttft.p99 < 500ms" in ms, when a check of the phases sets one.
local function objective(phases, metric)
   for _, phase in ipairs(phases) do
      for _, check in ipairs(phase.checks) do
         local text = check.check:match("^" .. metric .. "%.p99%s*<=?%s*(%S+)$")
         local limit = text and units.duration(text)
         if limit then return { value = limit * 1e3, text = check.check } end
      end
   end
end

-- (requests per second, p99 in ms) of each phase, in the order of the rate.
local function sweep_points(phases, key)
   local pairs_of = {}
   for _, phase in ipairs(phases) do
      local d, qps = present(phase[key]), present(phase.qps)
      if d and qps then pairs_of[#pairs_of + 1] = { qps, d.p99 } end
   end
   table.sort(pairs_of, function(a, b) return a[1] < b[1] end)
   local points = {}
   for _, p in ipairs(pairs_of) do
      points[#points + 1] = p[1]
      points[#points + 1] = p[2]
   end
   return points
end

--- Throughput against latency over the performance phases, when there are several.
---@param phases table[]  of the summary
---@return string?
function charts.sweep(phases)
   local list, chosen = {}, {}
   for _, phase in ipairs(phases) do
      if phase.kind == "performance" then chosen[#chosen + 1] = phase end
   end
   if #chosen < 3 then return nil end
   add(list, "latency p99", sweep_points(chosen, "latency_ms"))
   add(list, "first token p99", sweep_points(chosen, "ttft_ms"))
   local y = time_axis(list, "time")
   if not y then return nil end
   for _, series in ipairs(list) do series.dots = #series.points end
   local most = 0
   for _, phase in ipairs(chosen) do most = math.max(most, present(phase.qps) or 0) end
   return svg.chart {
      title = "Throughput against latency", description = "A point for each performance phase.",
      x = { scale = svg.linear(0, most * 1.05), label = "completed requests per second", format = units.number }, y = y, series = list,
      limit = objective(chosen, "ttft") or objective(chosen, "latency"),
   }
end

return charts
