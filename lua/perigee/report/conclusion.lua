--- What a strategy concluded, for people: its `text`, else all of it, and its `steps` with the `columns` that it names.
--- A script may conclude anything, so nothing is taken for granted of its shape.
local engine = require "perigee.engine"
local units = require "perigee.units"

local null = engine.json.null
local conclusion = {}

local function list_of(t, key)
   return type(t) == "table" and type(t[key]) == "table" and t[key] or {}
end

local function cell(v)
   if v == nil or v == null then return "-" end
   if type(v) == "boolean" then return v and "yes" or "no" end
   if type(v) == "number" then return units.number(v) end
   return type(v) == "string" and v or engine.json.encode(v)
end

local function row(step, columns)
   local cells = {}
   local values = type(step) == "table" and step or {}
   for i, column in ipairs(columns) do cells[i] = cell(values[column]) end
   return cells
end

--- The conclusion as texts.
---@param found any  of a phase of the summary
---@return string text
---@return string[] columns  of the steps; none: the rows are none either
---@return string[][] rows
function conclusion.told(found)
   local columns, names, rows = list_of(found, "columns"), {}, {}
   for i, column in ipairs(columns) do names[i] = cell(column) end
   for i, step in ipairs(names[1] and list_of(found, "steps") or {}) do rows[i] = row(step, columns) end
   local has_text = type(found) == "table" and found.text ~= nil and found.text ~= null
   return has_text and cell(found.text) or engine.json.encode(found), names, rows
end

return conclusion
