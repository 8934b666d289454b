--- Recorded arrivals from a file: Mooncake's JSON lines, and the CSV files of Azure's
--- and BurstGPT's traces. Each row becomes { at = s, input = tokens, output = tokens,
--- blocks = ids of 512-token blocks or nil }, the first one at 0.
local engine = require "perigee.engine"

local trace_file = {}

-- Days since some day of the proleptic Gregorian calendar.
local function days_of(year, month, day)
   year, month = tonumber(year), tonumber(month)
   if month <= 2 then year = year - 1 end
   -- Howard Hinnant, "chrono-compatible low-level date algorithms".
   local in_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + tonumber(day) - 1
   return year * 365 + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400) + in_year
end

-- A reader of "2023-11-16 18:17:03.9799600": seconds since the first day that it reads, so that a double keeps all
-- of the seven digits.
local function calendar()
   local first
   return function(text)
      local year, month, day, hour, minute, second = text:match "^(%d+)-(%d+)-(%d+) (%d+):(%d+):(%d+%.?%d*)$"
      if not year then return nil end
      local days = days_of(year, month, day)
      first = first or days
      return (days - first) * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second)
   end
end

local function is_count(v)
   return type(v) == "number" and v >= 0 and v == math.floor(v)
end

local function mooncake(line)
   local row, message = engine.json.decode(line)
   if type(row) ~= "table" then return nil, message or "a JSON object expected" end
   if type(row.timestamp) ~= "number" then return nil, "'timestamp' (ms) is missing" end
   if not (is_count(row.input_length) and is_count(row.output_length)) then
      return nil, "'input_length' and 'output_length' must be counts"
   end
   local blocks = type(row.hash_ids) == "table" and row.hash_ids or nil
   return { at = row.timestamp / 1000, input = row.input_length, output = row.output_length, blocks = blocks }
end

-- A reader of CSV rows; columns are found by the header's names, times are read by `time`.
local function csv(header, names, time)
   local columns, at = {}, {}
   for name in header:gmatch "[^,]+" do columns[#columns + 1] = name end
   for key, name in pairs(names) do
      for i, column in ipairs(columns) do
         if column == name then at[key] = i end
      end
      if not at[key] then return nil end
   end
   return function(line)
      local values = {}
      for value in (line .. ","):gmatch "([^,]*)," do values[#values + 1] = value end
      local row = { at = time(values[at.at] or ""), input = tonumber(values[at.input]), output = tonumber(values[at.output]) }
      if not row.at then return nil, ("'%s' is no time"):format(tostring(values[at.at])) end
      if not (is_count(row.input) and is_count(row.output)) then return nil, "token counts expected" end
      return row
   end
end

local FORMATS = {
   function(header) return csv(header, { at = "TIMESTAMP", input = "ContextTokens", output = "GeneratedTokens" }, calendar()) end,
   function(header) return csv(header, { at = "Timestamp", input = "Request tokens", output = "Response tokens" }, tonumber) end,
}

local function reader_of(first)
   if first:find "^%s*{" then return mooncake, true end
   for _, format in ipairs(FORMATS) do
      local read = format(first)
      if read then return read, false end
   end
end

-- Recorded clocks may run backwards by a little.
local function in_order(rows)
   table.sort(rows, function(a, b)
      if a.at ~= b.at then return a.at < b.at end
      return a.line < b.line
   end)
   local first = rows[1].at
   for _, row in ipairs(rows) do row.at = row.at - first end
   return rows
end

-- A function from line to row: a row, or nil and what is wrong, or nil for a line that holds none.
local function rows_of_lines()
   local read
   return function(line)
      if not line:find "%S" then return nil end
      if read then return read(line) end
      local is_row
      read, is_row = reader_of(line)
      if not read then
         return nil, "no trace that is known: Mooncake's JSON lines, or a CSV header of Azure or BurstGPT expected"
      end
      if is_row then return read(line) end
   end
end

local function contents(path)
   local file, message = io.open(path, "rb")
   if not file then return nil, message end
   local text, failure = file:read "*a"
   file:close()
   if not text then return nil, ("%s: %s"):format(path, failure) end
   return text
end

--- The rows of a trace, in the order of time.
---@param path string
---@return { at: number, input: integer, output: integer, blocks: integer[]?, line: integer }[]? rows  and `sha256` of the file
---@return string? message  names the file and the line
function trace_file.read(path)
   local text, message = contents(path)
   if not text then return nil, message end
   local rows, row_of, number = { sha256 = engine.sha256(text) }, rows_of_lines(), 0
   for line in text:gmatch "([^\n]*)\n?" do
      number = number + 1
      local row, problem = row_of((line:gsub("\r$", ""):gsub("^\239\187\191", "")))
      if problem then return nil, ("%s:%d: %s"):format(path, number, problem) end
      if row then
         row.line = number
         rows[#rows + 1] = row
      end
   end
   if #rows == 0 then return nil, path .. ": the trace is empty" end
   return in_order(rows)
end

return trace_file
