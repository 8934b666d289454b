--- CSV (RFC 4180): the phases of a summary, a line each, and the requests of a run.
local engine = require "perigee.engine"
local requests = require "perigee.export.requests"
local schema = require "perigee.schema"

local null = engine.json.null
local csv = {}

local STATISTICS = { "count", "mean", "std", "min", "max", "p50", "p90", "p95", "p99", "p99.9" }

local function field(v)
   if v == nil or v == null then return "" end
   local text = type(v) == "number" and engine.json.encode(v) or tostring(v)
   if text:find '[",\r\n]' then text = '"' .. text:gsub('"', '""') .. '"' end
   return text
end

local function row(values, columns)
   local out = {}
   for i, column in ipairs(columns) do out[i] = field(values[column]) end
   return table.concat(out, ",") .. "\r\n"
end

-- The scalars of t under their names, its distributions as name_p99 and so on, its counts as name.key.
local function flatten(t)
   local flat = {}
   for key, value in pairs(t) do
      if type(value) ~= "table" or value == null then
         local is_empty = value == null and key:find "_[mu]s$" -- a distribution without values
         if not is_empty then flat[key] = value end
      elseif value.count and value.p50 ~= nil then
         for _, statistic in ipairs(STATISTICS) do flat[key .. "_" .. statistic] = value[statistic] end
      else
         for name, n in pairs(value) do
            if type(name) == "string" and type(n) == "number" then flat[key .. "." .. name] = n end
         end
      end
   end
   return flat
end

-- Who the line is of first, the rest by name.
local function columns_of(rows, first)
   local seen, columns = {}, {}
   for _, name in ipairs(first) do seen[name] = true end
   for _, values in ipairs(rows) do
      for name in pairs(values) do
         if not seen[name] then
            seen[name] = true
            columns[#columns + 1] = name
         end
      end
   end
   table.sort(columns)
   for i = #first, 1, -1 do table.insert(columns, 1, first[i]) end
   return columns
end

--- The phases of a summary, and their tags where there are any.
---@param summary table  as of perigee.report.summary
---@return string
function csv.summary(summary)
   local rows = {}
   for _, phase in ipairs(summary.phases) do
      local values = flatten(phase)
      values.phase, values.name = phase.name, nil
      rows[#rows + 1] = values
      local tags = type(phase.tags) == "table" and phase.tags or {}
      for _, tag in ipairs(schema.sorted_keys(tags)) do
         local of_tag = flatten(tags[tag])
         of_tag.phase, of_tag.kind, of_tag.tag = phase.name, phase.kind, tag
         rows[#rows + 1] = of_tag
      end
   end
   local columns = columns_of(rows, { "phase", "kind", "tag" })
   local lines = { row(setmetatable({}, { __index = function(_, name) return name end }), columns) }
   for _, values in ipairs(rows) do lines[#lines + 1] = row(values, columns) end
   return table.concat(lines)
end

--- The requests of a requests.jsonl. However many they are, only one is held at a time.
---@param path string
---@param write fun(text: string)
---@return boolean? ok
---@return string? message
function csv.requests(path, write)
   local names = {}
   local ok, message = requests.each(path, function(r)
      for name in pairs(r) do names[name] = true end
   end)
   if not ok then return nil, message end
   local columns = columns_of({ names }, { "sample_uuid", "phase", "index" })
   write(table.concat(columns, ",") .. "\r\n")
   return requests.each(path, function(r) write(row(r, columns)) end)
end

return csv
