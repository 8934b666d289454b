--- Bars and sparklines of one line, of block characters or of ASCII.
local chart = {}

local LEVELS = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }
local ASCII_LEVELS = { "_", ".", ":", "-", "=", "+", "*", "#" }
local EIGHTHS = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }

--- A bar of so many columns, full to a share of it.
---@param share number   0 to 1; what lies outside is taken as the nearest
---@param width integer  columns
---@param blocks boolean block characters, else "#" and "."
---@return string
function chart.bar(share, width, blocks)
   share = share > 0 and math.min(1, share) or 0
   if not blocks then
      local full = math.floor(share * width + 0.5)
      return ("#"):rep(full) .. ("."):rep(width - full)
   end
   local eighths = math.floor(share * width * 8 + 0.5)
   local full, part = math.floor(eighths / 8), eighths % 8
   local drawn = ("█"):rep(full) .. (EIGHTHS[part] or "")
   return drawn .. ("░"):rep(width - full - (part > 0 and 1 or 0))
end

--- The last values of a list as columns, the highest of them as the full height; 0 is the lowest level, and a value
--- that is not known (false) a gap.
---@param values (number|false)[]
---@param width integer  most columns
---@param blocks boolean
---@return string line     as wide as there are values
---@return number? highest nil when none is known
function chart.spark(values, width, blocks)
   local levels = blocks and LEVELS or ASCII_LEVELS
   local first, highest = math.max(1, #values - width + 1), nil
   for i = first, #values do
      if values[i] and values[i] > (highest or -1) then highest = values[i] end
   end
   local cells = {}
   for i = first, #values do
      local v = values[i]
      if not v then cells[#cells + 1] = " "
      elseif highest == 0 then cells[#cells + 1] = levels[1]
      else cells[#cells + 1] = levels[1 + math.floor(v / highest * (#levels - 1) + 0.5)] end
   end
   return table.concat(cells), highest
end

return chart
