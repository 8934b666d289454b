--- Rows of strings as aligned text.
local width = require("perigee.text").width

--- Rows of strings as aligned text: the first column to the left, others to the right.
---@param rows string[][]
---@param indent string
---@return string[] lines
return function(rows, indent)
   local widths, lines = {}, {}
   for _, row in ipairs(rows) do
      for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, width(cell)) end
   end
   for _, row in ipairs(rows) do
      local cells = {}
      for i, cell in ipairs(row) do
         local fill = (" "):rep(widths[i] - width(cell))
         cells[i] = i == 1 and cell .. fill or fill .. cell
      end
      lines[#lines + 1] = indent .. table.concat(cells, "  ")
   end
   return lines
end
