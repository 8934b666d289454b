--- Scales of a chart: each is { at = function of a value to its place, 0..1, ticks = the values that are marked }.
local scale = {}

local PARTS = 5 -- about as many lie between ticks

-- The step of 1, 2 or 5 times a power of ten that gives about n parts.
local function nice_step(span, n)
   local raw = span / n
   local power = 10 ^ math.floor(math.log10(raw))
   for _, m in ipairs { 1, 2, 5 } do
      if raw <= m * power * 1.0001 then return m * power end
   end
   return 10 * power
end

--- In equal steps from low to high, or to the tick after it.
---@param low number
---@param high number
---@param options? { unit?: number, round?: boolean }  ticks are round in multiples of unit; round: end with a tick
function scale.linear(low, high, options)
   local unit = options and options.unit or 1
   if high <= low then high = low + unit end
   local step = nice_step((high - low) / unit, PARTS) * unit
   if options and options.round then high = math.ceil(high / step - 1e-9) * step end
   local ticks = {}
   for i = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) do ticks[#ticks + 1] = i * step + 0 end -- no -0
   return { at = function(v) return (v - low) / (high - low) end, ticks = ticks }
end

--- Powers of ten, with 2 and 5 of each when there are few, from the tick before low to the tick after high.
---@param low number   above 0
---@param high number
function scale.log(low, high)
   local marks = high / low > 200 and { 1 } or { 1, 2, 5 }
   local all, first, last = {}, 1, nil
   for e = math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1 do
      for _, m in ipairs(marks) do all[#all + 1] = m * 10 ^ e end
   end
   for i, v in ipairs(all) do
      if v <= low * 1.001 then first = i end
      if not last and v >= high * 0.999 then last = i end
   end
   local ticks = {}
   for i = first, math.max(last, first + 1) do ticks[#ticks + 1] = all[i] end
   local from, to = math.log10(ticks[1]), math.log10(ticks[#ticks])
   return { at = function(v) return (math.log10(math.max(v, ticks[1])) - from) / (to - from) end, ticks = ticks }
end

--- Shares 0..1, each nine as wide as the one before: 0, 0.9, 0.99, ... up to `most` below 1.
---@param most number
function scale.tail(most)
   local nines = math.max(1, math.ceil(-math.log10(1 - most) - 1e-9))
   local ticks = { 0, 0.5 }
   for n = 1, nines do ticks[#ticks + 1] = 1 - 10 ^ -n end
   return { at = function(share) return math.min(1, -math.log10(math.max(1 - share, 10 ^ -nines)) / nines) end, ticks = ticks }
end

return scale
