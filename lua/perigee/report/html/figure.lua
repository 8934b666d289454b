--- A figure of report.html: the picture, its legend, and its numbers as a table for those who cannot see it, all from
--- one description:
---
---    figure.text {
---       title = "Queue of the server",
---       about = "Requests that wait for their turn.",
---       x = figure.seconds(60),
---       y = { label = "requests" },
---       lines = { { label = "waiting", x = { 0.5, 1.5, 2.5 }, y = { 3, false, 4 } } },
---    }
---
--- An axis:
---    label    what it is, with its unit
---    scale    "linear" (the default) from 0; "times": logarithmic for a wide range; "tail": shares up to `high`
---    format   a function of a value to the text of a tick and of a cell; the default is figure.short: "1.5", "20k"
---    unit     linear: ticks are round in multiples of it
---    high     linear: the end of the axis at least; tail: the last share below 1
--- A line:
---    label, x, y   x rises; y is as long, and false where nothing is known, which leaves a gap
---    names         of the points, for the table
---    area, dots    true: the space below is filled; each point is marked
---    smooth        true: it has many points, but they do not jump
---    at            { [x] = y }: exact values for the table
---    intervals     { { x, low, high }, ... }: where the truth of a point may lie
--- The figure:
---    title, about  about: a sentence below the title, may be absent
---    lines         up to six are drawn; those without a number are left out
---    rows          the x of the table's rows, each with the first point from there on; the default is all x
---    marks         { { x, y, text }, ... } by name: points with a circle around them, told in the legend
---    limit         { value, label } by name: a line across
local scale = require "perigee.report.html.scale"
local svg = require "perigee.report.html.svg"
local tables = require "perigee.report.html.tables"
local units = require "perigee.units"

local escape = svg.escape
local figure = {}

local MOST_LINES, MOST_ROWS = 6, 60
local WIDE = 50    -- times go on a logarithmic axis when the largest is that far from the smallest
local EMPTY_NS = 1e6 -- where an axis of times ends when all are 0
local IN_SIGHT = 2 -- a limit that is at most that far above the lines belongs into the picture

-- ---- formats ----

-- "1.50 s" -> "1.5 s", "20.0" -> "20"
local function without_zeros(text)
   return (text:gsub("(%.%d-)0+(%D)", "%1%2", 1):gsub("(%.%d-)0+$", "%1", 1):gsub("%.(%D)", "%1", 1):gsub("%.$", ""))
end

--- "1.5", "20k", "3M"
---@param v number
---@return string
function figure.short(v)
   for _, prefix in ipairs { { 1e9, "G" }, { 1e6, "M" }, { 1e4, "k", 1e3 } } do
      if math.abs(v) >= prefix[1] then return without_zeros(units.number(v / (prefix[3] or prefix[1]))) .. prefix[2] end
   end
   return without_zeros(units.number(v))
end

--- Nanoseconds: "0", "1.5 ms", "20 s"
---@param ns number
---@return string
function figure.time(ns)
   return ns == 0 and "0" or without_zeros(units.ns(ns))
end

--- An axis of times in nanoseconds.
---@param label string
---@return table axis
function figure.times(label)
   return { label = label, scale = "times", format = figure.time }
end

--- An axis of seconds since the phase began, up to `high`.
---@param high number
---@return table axis
function figure.seconds(high)
   local unit = high > 180 and 60 or 1
   return {
      label = (unit == 60 and "minutes" or "seconds") .. " since the phase began", unit = unit, high = high,
      format = function(s) return figure.short(s / unit) end,
   }
end

-- ---- scales ----

-- The least number above 0 and the greatest of all lines, with their intervals; nil when there is none.
local function range(lines, key)
   local low, high
   local function see(v)
      if not v then return end
      high = math.max(high or v, v)
      if v > 0 then low = math.min(low or v, v) end
   end
   for _, line in ipairs(lines) do
      for _, v in ipairs(line[key]) do see(v) end
      for _, interval in ipairs(key == "y" and line.intervals or {}) do see(interval[3]) end
   end
   return low, high
end

local function scale_of(axis, lines, key, limit)
   local low, high = range(lines, key)
   if axis.scale == "tail" then return scale.tail(axis.high) end
   if limit and limit.value > high and limit.value <= high * IN_SIGHT then high = limit.value end
   if axis.scale == "times" and low and high / low > WIDE then return scale.log(low, high) end
   if axis.high then return scale.linear(0, math.max(axis.high, high), axis) end
   if high == 0 then high = axis.scale == "times" and EMPTY_NS or axis.unit or 1 end
   return scale.linear(0, high, { unit = axis.unit, round = true })
end

local function resolved(axis, lines, key, limit)
   return { label = axis.label, format = axis.format or figure.short, scale = scale_of(axis, lines, key, limit) }
end

-- ---- the table ----

-- Each x of the lines once, rising, and the name of its point.
local function all_x(lines)
   local seen, list, names = {}, {}, {}
   for _, line in ipairs(lines) do
      for i, x in ipairs(line.x) do
         if not seen[x] then list[#list + 1] = x end
         seen[x] = true
         names[x] = names[x] or line.names and line.names[i]
      end
   end
   table.sort(list)
   return list, names
end

-- The y at an x; `from`: of the first point from there on.
local function y_at(line, x, from)
   if line.at and line.at[x] then return line.at[x] end
   for i, at in ipairs(line.x) do
      if at == x or from and at > x then return line.y[i] end
   end
end

local function every(list, n)
   local out = {}
   for i = 1, #list, n do out[#out + 1] = list[i] end
   return out
end

local function numbers(chart, x, y)
   local list, names = all_x(chart.lines)
   local step = math.ceil(#list / MOST_ROWS)
   local head, rows = { x.label }, {}
   for i, line in ipairs(chart.lines) do head[i + 1] = line.label end
   if next(names) then table.insert(head, 1, "") end
   for i, at in ipairs(chart.rows or every(list, step)) do
      local row = names[at] and { names[at], x.format(at) } or { x.format(at) }
      for _, line in ipairs(chart.lines) do
         local v = y_at(line, at, chart.rows)
         row[#row + 1] = v and y.format(v) or "–"
      end
      rows[i] = row
   end
   local note = not chart.rows and step > 1 and (", one interval of %d; series.jsonl has all"):format(step) or ""
   return tables.text(chart.title .. note, head, rows)
end

-- ---- the whole ----

local function legend(chart, y)
   local items = {}
   for i, line in ipairs(chart.lines) do items[i] = svg.key("line s" .. i) .. escape(line.label) end
   if chart.limit then
      local at = y.scale.at(chart.limit.value)
      items[#items + 1] = svg.key "limit" .. escape(chart.limit.label) .. (at > 1 and " (above the picture)" or "")
   end
   for _, mark in ipairs(chart.marks) do items[#items + 1] = svg.key "mark" .. escape(mark.text) end
   if #items < 2 then return "" end
   return ('<ul class="legend"><li>%s</li></ul>'):format(table.concat(items, "</li><li>"))
end

local function with_numbers(lines)
   local list = {}
   for _, line in ipairs(lines) do
      local any = false
      for _, v in ipairs(line.y) do any = any or v and true end
      if any and #list < MOST_LINES then list[#list + 1] = line end
   end
   return list
end

--- The figure as HTML; "" when no line has a number.
---@param description table
---@return string
function figure.text(description)
   local chart = setmetatable({ lines = with_numbers(description.lines), marks = description.marks or {} }, { __index = description })
   if #chart.lines == 0 then return "" end
   local x, y = resolved(chart.x, chart.lines, "x"), resolved(chart.y, chart.lines, "y", chart.limit)
   local about = chart.about or ""
   local picture = svg.picture {
      label = ("%s. %s The numbers follow as a table."):format(chart.title, about), x = x, y = y,
      lines = chart.lines, marks = chart.marks, limit = chart.limit,
   }
   return ("<figure><figcaption><b>%s</b> %s</figcaption>%s%s<details><summary>Numbers</summary>%s</details></figure>"):format(
      escape(chart.title), escape(about), picture, legend(chart, y), numbers(chart, x, y))
end

return figure
