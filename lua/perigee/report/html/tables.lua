--- Tables of report.html.
local floors = require "perigee.floors"
local present = require "perigee.report.present"
local svg = require "perigee.report.html.svg"
local units = require "perigee.units"

local escape = svg.escape
local tables = {}

--- A number as a cell has it, "1.2k" and the like; a dash where it is absent.
---@param v number?      of a summary
---@param suffix string?
---@return string
function tables.number(v, suffix)
   v = present(v)
   return v and units.number(v) .. (suffix or "") or "–"
end

local function cell(value, tag, scope)
   if type(value) ~= "table" then value = { value } end
   local text, class = escape(value[1]), value[2] and (' class="%s"'):format(value[2]) or ""
   if value.link then text = ('<a href="#%s">%s</a>'):format(value.link, text) end
   if value.small then text = ("%s<small>%s</small>"):format(text, escape(value.small)) end
   return ("<%s%s%s>%s</%s>"):format(tag, scope, class, text, tag)
end

local function head_text(head)
   local out = {}
   for i, value in ipairs(head) do out[i] = value == "" and "<td></td>" or cell(value, "th", ' scope="col"') end
   return table.concat(out)
end

local function row_text(row)
   local out = {}
   for i, value in ipairs(row) do out[i] = i == 1 and cell(value, "th", ' scope="row"') or cell(value, "td", "") end
   return "<tr>" .. table.concat(out) .. "</tr>"
end

-- Has a row a number with "~"?
local function has_mark(row)
   for i = 2, #row do
      local text = type(row[i]) == "table" and row[i][1] or row[i]
      if text:find "^~%d" then return true end
   end
   return false
end

--- A table that scrolls within itself where the page is narrow; "" without rows. Where percentiles are marked as of too few
--- values the caption says what the mark means.
---@param caption string
---@param head table[]   cells
---@param rows table[][]  the first cell names its row; a cell is a text, or { text, class, small = a second text,
---   link = id of a section }
---@return string
function tables.text(caption, head, rows)
   local out, marked = {}, false
   for i, row in ipairs(rows) do
      out[i], marked = row_text(row), marked or has_mark(row)
   end
   if #out == 0 then return "" end
   if marked then caption = ("%s (%s)"):format(caption, floors.LEGEND) end
   return ('<div class="wide" tabindex="0" role="region" aria-label="%s"><table><caption>%s</caption><thead><tr>%s</tr></thead>'
      .. "<tbody>%s</tbody></table></div>"):format(escape(caption), escape(caption), head_text(head), table.concat(out))
end

return tables
