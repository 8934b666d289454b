--- Durations and other quantities: what people write to numbers, and back.
local units = {}

--- Seconds as a number, or a text with units: "250ms", "2s", "1m30s", "1h".
---@alias perigee.Duration number|string

local SECONDS = { ns = 1e-9, us = 1e-6, ["µs"] = 1e-6, ms = 1e-3, s = 1, m = 60, h = 3600 }

--- Seconds of a number (seconds already) or of "250ms", "2s", "1m30s", "1h".
---@param value number|string
---@return number? seconds
---@return string? message
function units.duration(value)
   if type(value) == "string" then
      local text, total = value:gsub("%s+", ""), 0
      if tonumber(text) then return units.duration(tonumber(text)) end
      if text == "" then return nil, "is empty" end
      while text ~= "" do
         local number, unit, rest = text:match("^(%d*%.?%d*)([%aµ\194\181]+)(.*)$")
         if not tonumber(number) then return nil, "is not a number with a unit" end
         if not SECONDS[unit] then return nil, "has an unknown unit (ns, us, ms, s, m, h)" end
         total, text = total + tonumber(number) * SECONDS[unit], rest
      end
      return total
   end
   if type(value) ~= "number" then return nil, "is no number" end
   if not (value >= 0 and value < math.huge) then return nil, "is negative or not finite" end
   return value
end

--- Three significant digits, without an exponent from 0.0001 on; two from 0.01 to 1.
local function digits(x)
   if x < 0.00995 then return ("%.3g"):format(x) end
   if x >= 99.95 then return ("%.0f"):format(x) end
   if x >= 9.995 then return ("%.1f"):format(x) end
   return ("%.2f"):format(x)
end

--- Nanoseconds for people: "850 ns", "12.3 ms", "2m 05s".
---@param ns number
---@return string
function units.ns(ns)
   if ns < 1e3 then return ("%.0f ns"):format(ns) end
   if ns < 999.5e3 then return digits(ns / 1e3) .. " us" end
   if ns < 999.5e6 then return digits(ns / 1e6) .. " ms" end
   local s = ns / 1e9
   if s < 59.95 then return digits(s) .. " s" end
   s = math.floor(s + 0.5)
   if s < 3600 then return ("%dm %02ds"):format(math.floor(s / 60), s % 60) end
   return ("%dh %02dm"):format(math.floor(s / 3600), math.floor(s % 3600 / 60))
end

---@param seconds number
---@return string
function units.seconds(seconds)
   return units.ns(seconds * 1e9)
end

---@param fraction number
---@return string
function units.percent(fraction)
   return ("%.3g%%"):format(fraction * 100)
end

--- A number for people: integers whole, others with three significant digits; beyond 1e15 as 1.23e+15.
---@param x number
---@return string
function units.number(x)
   if x == math.floor(x) and math.abs(x) < 1e15 then return ("%.0f"):format(x) end
   if math.abs(x) >= 1e15 then return ("%.3g"):format(x) end
   return x < 0 and "-" .. digits(-x) or digits(x)
end

return units
