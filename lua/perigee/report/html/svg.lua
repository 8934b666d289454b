--- Line charts as SVG text: axes, lines, a legend that goes without colour, and a title and a
--- description for those who cannot see them. Colours are the page's: classes s1 to s6.
local svg = {}

local WIDTH, HEIGHT = 720, 300
local LEFT, RIGHT, TOP, BOTTOM = 72, 30, 12, 42
local LEGEND_LINE = 20
local MAX_SERIES = 6

--- A text as it may stand in XML.
---@param text any
---@return string
function svg.escape(text)
   return (tostring(text):gsub("[%z\1-\8\11\12\14-\31]", "\239\191\189"):gsub('[&<>"]',
      { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

local escape = svg.escape

-- ---- scales: a function of a value to 0..1, and its ticks ----

-- The step of 1, 2 or 5 times a power of ten that gives about n parts.
local function nice_step(span, n)
   local raw = span / n
   local power = 10 ^ math.floor(math.log10(raw))
   for _, m in ipairs { 1, 2, 5 } do
      if raw <= m * power then return m * power end
   end
   return 10 * power
end

--- From 0 or low to high in equal steps.
---@param low number
---@param high number
function svg.linear(low, high)
   if high <= low then high = low + 1 end
   local step = nice_step(high - low, 5)
   local ticks = {}
   for i = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) do ticks[#ticks + 1] = i * step + 0 end -- no -0
   return { at = function(v) return (v - low) / (high - low) end, ticks = ticks }
end

--- Powers of ten, with 2 and 5 of each when there are few.
---@param low number   above 0
---@param high number
function svg.log(low, high)
   if high <= low then low, high = low / 2, high * 2 end
   local from, to = math.log10(low), math.log10(high)
   local marks = to - from > 3 and { 1 } or { 1, 2, 5 }
   local ticks = {}
   for e = math.floor(from), math.ceil(to) do
      for _, m in ipairs(marks) do
         local v = m * 10 ^ e
         if v >= low * 0.999 and v <= high * 1.001 then ticks[#ticks + 1] = v end
      end
   end
   return { at = function(v) return (math.log10(math.max(v, low)) - from) / (to - from) end, ticks = ticks }
end

--- Shares 0..1, each nine as wide as the one before: 0, 0.9, 0.99, ... up to `most` below 1.
---@param most number
function svg.tail(most)
   local nines = math.max(1, math.ceil(-math.log10(1 - most) - 1e-9))
   local ticks = { 0, 0.5 }
   for n = 1, nines do ticks[#ticks + 1] = 1 - 10 ^ -n end
   return { at = function(share) return math.min(1, -math.log10(math.max(1 - share, 10 ^ -nines)) / nines) end, ticks = ticks }
end

-- ---- parts ----

local function frame(height) return LEFT, WIDTH - RIGHT, TOP, height - BOTTOM end

local function x_axis(out, axis, height)
   local left, right, top, bottom = frame(height)
   local previous = -math.huge
   for _, v in ipairs(axis.scale.ticks) do
      local x = left + axis.scale.at(v) * (right - left)
      out[#out + 1] = ('<path class="grid" d="M%.1f %dV%d"/>'):format(x, top, bottom)
      if x - previous > 44 then
         out[#out + 1] = ('<text x="%.1f" y="%d" text-anchor="middle">%s</text>'):format(x, bottom + 16, escape(axis.format(v)))
         previous = x
      end
   end
   out[#out + 1] = ('<text class="label" x="%.1f" y="%d" text-anchor="middle">%s</text>'):format(
      (left + right) / 2, bottom + 34, escape(axis.label))
end

local function y_axis(out, axis, height)
   local left, right, top, bottom = frame(height)
   for _, v in ipairs(axis.scale.ticks) do
      local y = bottom - axis.scale.at(v) * (bottom - top)
      out[#out + 1] = ('<path class="grid" d="M%d %.1fH%d"/>'):format(left, y, right)
      out[#out + 1] = ('<text x="%d" y="%.1f" text-anchor="end">%s</text>'):format(left - 6, y + 4, escape(axis.format(v)))
   end
end

-- The points as a path; a value that is nil or null leaves a gap.
local function line(out, chart, series, number, height)
   local left, right, top, bottom = frame(height)
   local parts, pen = {}, "M"
   for i = 1, #series.points, 2 do
      local x, y = series.points[i], series.points[i + 1]
      if type(y) ~= "number" then
         pen = "M"
      else
         local to_y = math.max(-0.02, math.min(1.02, chart.y.scale.at(y)))
         parts[#parts + 1] = ("%s%.1f %.1f"):format(pen, left + chart.x.scale.at(x) * (right - left), bottom - to_y * (bottom - top))
         pen = "L"
      end
   end
   out[#out + 1] = ('<path class="line s%d" d="%s"/>'):format(number, table.concat(parts))
   if #parts > (series.dots or 1) then return end -- what would be a speck of a line
   for _, part in ipairs(parts) do
      local x, y = part:match "^.(%S+) (%S+)$"
      out[#out + 1] = ('<circle class="dot s%d" cx="%s" cy="%s" r="3.5"/>'):format(number, x, y)
   end
end

local function legend(out, list, height)
   local x, y = LEFT, height + 4
   for i, series in ipairs(list) do
      local width = 40 + 7 * #series.name
      if x + width > WIDTH and x > LEFT then x, y = LEFT, y + LEGEND_LINE end
      out[#out + 1] = ('<path class="line s%d" d="M%d %dh24"/><text x="%d" y="%d">%s</text>'):format(
         i, x, y, x + 30, y + 4, escape(series.name))
      x = x + width
   end
   return y + 12
end

-- A limit, such as an objective, across the chart.
local function limit(out, chart, height)
   local left, right, top, bottom = frame(height)
   local at = chart.limit and chart.y.scale.at(chart.limit.value)
   if not at or at < 0 or at > 1 then return end
   local y = bottom - at * (bottom - top)
   out[#out + 1] = ('<path class="limit" d="M%d %.1fH%d"/><text class="limit" x="%d" y="%.1f" text-anchor="end">%s</text>'):format(
      left, y, right, right - 4, y - 4, escape(chart.limit.text))
end

--- One chart: { title, description, x = { scale, label, format }, y = the same, series = { { name,
--- points = { x, y, x, y, ... } }, ... }, limit = { value, text } }. Series beyond six are left out.
---@param chart table
---@return string
function svg.chart(chart)
   local out, list = {}, {}
   for i = 1, math.min(#chart.series, MAX_SERIES) do list[i] = chart.series[i] end
   x_axis(out, chart.x, HEIGHT)
   y_axis(out, chart.y, HEIGHT)
   limit(out, chart, HEIGHT)
   for i, series in ipairs(list) do line(out, chart, series, i, HEIGHT) end
   local height = legend(out, list, HEIGHT)
   local id = (chart.title .. chart.description):gsub("%W", "-"):sub(1, 80)
   local head = ('<title id="t-%s">%s</title><desc id="d-%s">%s</desc>'):format(id, escape(chart.title), id, escape(chart.description))
   return ('<svg viewBox="0 0 %d %d" role="img" aria-labelledby="t-%s d-%s">%s%s</svg>'):format(
      WIDTH, height, id, id, head, table.concat(out))
end

return svg
