--- The summary for people: one block of plain text per phase.
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local units = require "perigee.units"
local workers = require "perigee.workers"

local null = engine.json.null
local report_table = {}

local COLUMNS = { "mean", "p50", "p90", "p95", "p99", "p99.9", "max" }
local ROWS = {
   { "latency", "latency_ms", 1e6 }, { "service time", "service_time_ms", 1e6 }, { "ttft", "ttft_ms", 1e6 },
   { "tpot", "tpot_ms", 1e6 }, { "itl", "itl_ms", 1e6 }, { "lateness", "lateness_us", 1e3 },
}

local function present(v)
   if v == null then return nil end
   return v
end

--- Rows of strings as aligned text: the first column to the left, others to the right.
---@param rows string[][]
---@param indent string
---@return string[] lines
function report_table.align(rows, indent)
   local widths, lines = {}, {}
   for _, row in ipairs(rows) do
      for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, #cell) end
   end
   for _, row in ipairs(rows) do
      local cells = {}
      for i, cell in ipairs(row) do
         local fill = (" "):rep(widths[i] - #cell)
         cells[i] = i == 1 and cell .. fill or fill .. cell
      end
      lines[#lines + 1] = indent .. table.concat(cells, "  ")
   end
   return lines
end

local function append(lines, more)
   for _, line in ipairs(more) do lines[#lines + 1] = line end
end

local function distributions(phase)
   local header = { "" }
   for i, name in ipairs(COLUMNS) do header[i + 1] = name end
   local rows = { header }
   for _, row in ipairs(ROWS) do
      local d = present(phase[row[2]])
      if d then
         local cells = { row[1] }
         for _, name in ipairs(COLUMNS) do cells[#cells + 1] = present(d[name]) and units.ns(d[name] * row[3]) or "-" end
         rows[#rows + 1] = cells
      end
   end
   return #rows > 1 and report_table.align(rows, "  ") or {}
end

-- "http_429 12, reset 1"
local function counts(t)
   local parts = {}
   for _, name in ipairs(schema.sorted_keys(t)) do parts[#parts + 1] = name .. " " .. units.number(t[name]) end
   return table.concat(parts, ", ")
end

local function heading(phase)
   local text = ("%s (%s): %d requests in %s"):format(phase.name, phase.kind, phase.issued, units.seconds(phase.duration_s))
   return present(phase.end_reason) and phase.end_reason ~= "" and text .. ", ended by " .. phase.end_reason or text
end

local function count_line(phase)
   local parts = { "completed " .. phase.completed }
   for _, name in ipairs { "failed", "abandoned", "cancelled", "dropped" } do
      if name == "failed" or phase[name] > 0 then parts[#parts + 1] = name .. " " .. phase[name] end
   end
   if next(phase.errors) then parts[#parts + 1] = "(" .. counts(phase.errors) .. ")" end
   return "  " .. table.concat(parts, "  ")
end

local function rate_line(phase)
   local parts = {}
   for _, entry in ipairs { { "asked", "rate_asked_per_s", "/s" }, { "sent", "rate_delivered_per_s", "/s" },
      { "completed", "qps", "/s" }, { "output", "output_tokens_per_s", " tokens/s" } } do
      local v = present(phase[entry[2]])
      if v then parts[#parts + 1] = entry[1] .. " " .. units.number(v) .. entry[3] end
   end
   return #parts > 0 and "  " .. table.concat(parts, "  ") or nil
end

local function metric_line(name, m)
   local unit = present(m.unit) and " " .. m.unit or ""
   local d = present(m.distribution)
   if not d then return ("%s: %s"):format(name, present(m.value) and units.number(m.value) .. unit or "no data") end
   local parts = { ("%s: count %d"):format(name, d.count) }
   for _, key in ipairs { "mean", "p50", "p90", "p99", "max" } do
      parts[#parts + 1] = ("%s %s%s"):format(key, units.number(d[key]), unit)
   end
   return table.concat(parts, "  ")
end

-- Those of the script.
local function metric_lines(phase)
   local lines = {}
   for _, name in ipairs(schema.sorted_keys(phase.metrics)) do lines[#lines + 1] = "  " .. metric_line(name, phase.metrics[name]) end
   return lines
end

local function check_lines(phase)
   local lines = {}
   for _, check in ipairs(phase.checks) do
      local detail = present(check.detail)
      lines[#lines + 1] = ("  %s  %s%s"):format(check.passed and "pass" or "FAIL", check.check, detail and "  (" .. detail .. ")" or "")
   end
   return lines
end

local function phase_lines(phase)
   local lines = { heading(phase), count_line(phase) }
   lines[#lines + 1] = rate_line(phase)
   if next(phase.finish_reasons) then lines[#lines + 1] = "  finish reasons: " .. counts(phase.finish_reasons) end
   append(lines, distributions(phase))
   append(lines, metric_lines(phase))
   append(lines, check_lines(phase))
   return lines
end

--- summary.txt of a summary.
---@param summary table
---@return string
function report_table.render(summary)
   local lines = { ("%s: %s"):format(summary.scenario, summary.verdict) }
   for _, text in ipairs(summary.failures) do lines[#lines + 1] = "  failure: " .. text end
   for _, text in ipairs(summary.warnings) do lines[#lines + 1] = "  warning: " .. text end
   local threads = (summary.config or {}).workers
   if threads and threads.count > 0 then lines[#lines + 1] = "  " .. workers.describe(threads) end
   for _, phase in ipairs(summary.phases) do
      lines[#lines + 1] = ""
      append(lines, phase_lines(phase))
   end
   return table.concat(lines, "\n") .. "\n"
end

return report_table
