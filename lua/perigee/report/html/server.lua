--- The charts of what servers told in a phase: figures as of perigee.report.html.figure.
local figure = require "perigee.report.html.figure"
local names = require "perigee.scrape.names"
local units = require "perigee.units"

local server = {}

local MOST_POINTS = 600 -- of a line; beyond that neighbours are averaged

local by_key = {}
for _, quantity in ipairs(names.QUANTITIES) do by_key[quantity.key] = quantity end

local CHARTS = {
   { title = "Queue of the server", about = "Requests that it works on and that wait, as it told in each scrape.",
      y = { label = "requests" },
      keys = { { "requests_running", "running" }, { "requests_waiting", "waiting" } } },
   { title = "KV-cache of the server", about = "How much of it is in use, as it told in each scrape.",
      y = { label = "in use", format = units.percent, high = 1 }, keys = { { "kv_cache_usage", "in use" } } },
}

-- The mean of each stretch of neighbours.
local function thin(xs, ys)
   if #xs <= MOST_POINTS then return xs, ys end
   local stretch, out_x, out_y = math.ceil(#xs / MOST_POINTS), {}, {}
   for from = 1, #xs, stretch do
      local sum, n, last = 0, 0, math.min(from + stretch - 1, #xs)
      for i = from, last do
         if ys[i] then sum, n = sum + ys[i], n + 1 end
      end
      out_x[#out_x + 1], out_y[#out_y + 1] = (xs[from] + xs[last]) / 2, n > 0 and sum / n or false
   end
   return out_x, out_y
end

-- A line of the scrapes of a source, nil when it never told.
local function line(entries, from_s, key, label)
   local xs, ys, any = {}, {}, false
   for i, e in ipairs(entries) do
      local v = e.values and names.read(by_key[key], e.values)
      any = any or v ~= nil
      xs[i], ys[i] = e.t_s - from_s, v or false
   end
   if not any then return nil end
   xs, ys = thin(xs, ys)
   return { label = label, x = xs, y = ys }
end

-- The entries of a phase by their sources, and these in order.
local function by_source(entries, phase)
   local of, sources = {}, {}
   for _, e in ipairs(entries) do
      if e.phase == phase then
         if not of[e.source] then sources[#sources + 1], of[e.source] = e.source, {} end
         table.insert(of[e.source], e)
      end
   end
   table.sort(sources)
   return of, sources
end

--- The charts of a phase, those that have something to show.
---@param entries table[]  of report.server
---@param phase table      of the summary
---@param from_s number    its start, from the session's
---@return table[]
function server.charts(entries, phase, from_s)
   local list, of, sources = {}, by_source(entries, phase.name)
   for _, chart in ipairs(CHARTS) do
      local lines = {}
      for _, source in ipairs(sources) do
         for _, key in ipairs(chart.keys) do
            local label = #sources > 1 and ("%s, %s"):format(key[2], source) or key[2]
            lines[#lines + 1] = line(of[source], from_s, key[1], label)
         end
      end
      if lines[1] then
         list[#list + 1] = { title = chart.title, about = chart.about, x = figure.seconds(phase.duration_s), y = chart.y, lines = lines }
      end
   end
   return list
end

return server
