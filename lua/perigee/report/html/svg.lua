--- The picture of a figure as SVG text: axes, lines and marks. It is as wide as a phone, so that its letters are as
--- large there as the page's. Colours and dashes are the page's: the classes s1 to s6, and limit.
local svg = {}

local WIDTH, HEIGHT = 360, 212
local LEFT, RIGHT, TOP, BOTTOM = 50, 342, 24, 172
local DENSE = 100  -- points of a line beyond which it is drawn thin
local LETTER = 7 -- width of most digits and signs

--- A text as it may stand in XML.
---@param text any
---@return string
function svg.escape(text)
   return (tostring(text):gsub("[%z\1-\8\11\12\14-\31]", "\239\191\189"):gsub('[&<>"\']',
      { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }))
end

local escape = svg.escape

-- ---- axes ----

local function text(out, x, y, anchor, words, class)
   out[#out + 1] = ('<text%s x="%.1f" y="%.1f"%s>%s</text>'):format(class and (' class="%s"'):format(class) or "", x, y,
      anchor and (' text-anchor="%s"'):format(anchor) or "", escape(words))
end

-- Labels that would touch the one before are left out.
local function x_axis(out, axis)
   local free_from = 0
   for _, v in ipairs(axis.scale.ticks) do
      local x = LEFT + axis.scale.at(v) * (RIGHT - LEFT)
      local words = axis.format(v)
      local half = #words * LETTER / 2
      local middle = math.min(x, WIDTH - half)
      out[#out + 1] = ('<path class="grid" d="M%.1f %dV%d"/>'):format(x, TOP, BOTTOM)
      if middle - half >= free_from then
         text(out, middle, BOTTOM + 16, "middle", words)
         free_from = middle + half + 6
      end
   end
   text(out, (LEFT + RIGHT) / 2, BOTTOM + 34, "middle", axis.label, "label")
end

local function y_axis(out, axis)
   for _, v in ipairs(axis.scale.ticks) do
      local y = BOTTOM - axis.scale.at(v) * (BOTTOM - TOP)
      out[#out + 1] = ('<path class="grid" d="M%d %.1fH%d"/>'):format(LEFT, y, RIGHT)
      text(out, LEFT - 5, y + 4, "end", axis.format(v))
   end
   text(out, 0, 11, nil, axis.label, "label")
end

-- ---- lines ----

local function place(chart, x, y)
   local up = math.max(-0.02, math.min(1.02, chart.y.scale.at(y)))
   return LEFT + chart.x.scale.at(x) * (RIGHT - LEFT), BOTTOM - up * (BOTTOM - TOP)
end

-- The points of a line in runs without a gap: { { x, y, x, y, ... }, ... } in the picture.
local function runs(chart, line)
   local list, run = {}, nil
   for i, y in ipairs(line.y) do
      if y then
         if not run then
            run = {}
            list[#list + 1] = run
         end
         run[#run + 1], run[#run + 2] = place(chart, line.x[i], y)
      else
         run = nil
      end
   end
   return list
end

local function path(run)
   local parts = {}
   for i = 1, #run, 2 do parts[#parts + 1] = ("%.1f %.1f"):format(run[i], run[i + 1]) end
   return "M" .. table.concat(parts, "L")
end

local function draw_run(out, line, number, run)
   local d = path(run)
   if line.area then
      out[#out + 1] = ('<path class="area f%d" d="%sL%.1f %dL%.1f %dZ"/>'):format(number, d, run[#run - 1], BOTTOM, run[1], BOTTOM)
   end
   local thin = #run > 2 * DENSE and not line.smooth and " thin" or ""
   if #run > 2 then out[#out + 1] = ('<path class="line s%d%s" d="%s"/>'):format(number, thin, d) end
   if not line.dots and #run > 2 then return end
   for i = 1, #run, 2 do -- also what would be a speck of a line
      out[#out + 1] = ('<circle class="dot s%d" cx="%.1f" cy="%.1f" r="3"/>'):format(number, run[i], run[i + 1])
   end
end

-- Where the truth of a point may lie: { x, low, high }.
local function draw_intervals(out, chart, line, number)
   for _, interval in ipairs(line.intervals or {}) do
      local x, low = place(chart, interval[1], interval[2])
      local _, high = place(chart, interval[1], interval[3])
      out[#out + 1] = ('<path class="bar s%d" d="M%.1f %.1fh8m-4 0V%.1fm-4 0h8"/>'):format(number, x - 4, low, high)
   end
end

local function draw_marks(out, chart)
   for _, mark in ipairs(chart.marks) do
      local x, y = place(chart, mark.x, mark.y)
      out[#out + 1] = ('<circle class="mark" cx="%.1f" cy="%.1f" r="6.5"/>'):format(x, y)
   end
end

local function draw_limit(out, chart)
   local at = chart.limit and chart.y.scale.at(chart.limit.value)
   if not at or at < 0 or at > 1 then return end
   out[#out + 1] = ('<path class="limit" d="M%d %.1fH%d"/>'):format(LEFT, BOTTOM - at * (BOTTOM - TOP), RIGHT)
end

--- The picture of a chart with scales: { label, x = { scale, label, format }, y = the same, lines, marks, limit }; lines,
--- marks and limit as of perigee.report.html.figure.
---@param chart table
---@return string
function svg.picture(chart)
   local out = {}
   x_axis(out, chart.x)
   y_axis(out, chart.y)
   draw_limit(out, chart)
   for i, line in ipairs(chart.lines) do
      for _, run in ipairs(runs(chart, line)) do draw_run(out, line, i, run) end
      draw_intervals(out, chart, line, i)
   end
   draw_marks(out, chart)
   return ('<svg viewBox="0 0 %d %d" role="img" aria-label="%s">%s</svg>'):format(WIDTH, HEIGHT, escape(chart.label), table.concat(out))
end

--- What a legend shows of a line, or of a mark.
---@param class string
---@return string
function svg.key(class)
   local shape = class == "mark" and '<circle class="mark" cx="13" cy="7" r="5"/>' or ('<path class="%s" d="M0 7h26"/>'):format(class)
   return ('<svg class="key" viewBox="0 0 26 14" aria-hidden="true">%s</svg>'):format(shape)
end

return svg
