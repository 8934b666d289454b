--- The summary for people: one block of plain text per phase.
local align = require "perigee.align"
local clean = require("perigee.text").clean
local conclusion = require "perigee.report.conclusion"
local floors = require "perigee.floors"
local present = require "perigee.report.present"
local schema = require "perigee.schema"
local server = require "perigee.report.server"
local sides = require "perigee.report.sides"
local units = require "perigee.units"
local warnings = require "perigee.warnings"
local workers = require "perigee.workers"

local report_table = {}

local COLUMNS = { "mean", "p50", "p90", "p95", "p99", "p99.9", "max" }
local ROWS = {
   { "latency", "latency_ms", 1e6 }, { "service time", "service_time_ms", 1e6 }, { "ttft", "ttft_ms", 1e6 },
   { "tpot", "tpot_ms", 1e6 }, { "itl", "itl_ms", 1e6 }, { "lateness", "lateness_us", 1e3 },
}

local function append(lines, more)
   for _, line in ipairs(more) do lines[#lines + 1] = line end
end

-- A statistic of a distribution; marked where it is a percentile of too few values.
local function statistic(d, name, unit_ns)
   if not present(d[name]) then return "-" end
   return floors.mark(name, d.count) .. units.ns(d[name] * unit_ns)
end

-- The latency again, each request that failed counted as infinite; nil where none failed.
local function failures_row(phase)
   local d = present(phase.latency_with_failures_ms)
   if not d or d.failures == 0 then return nil end
   local cells = { "failed = inf" }
   for i, name in ipairs(COLUMNS) do
      cells[i + 1] = present(d[name]) and statistic(d, name, 1e6) or floors.mark(name, d.count) .. "inf"
   end
   return cells
end

local function distributions(phase)
   local header = { "" }
   for i, name in ipairs(COLUMNS) do header[i + 1] = name end
   local rows = { header }
   for i, row in ipairs(ROWS) do
      local d = present(phase[row[2]])
      if d then
         local cells = { row[1] }
         for k, name in ipairs(COLUMNS) do cells[k + 1] = statistic(d, name, row[3]) end
         rows[#rows + 1] = cells
      end
      if i == 1 then rows[#rows + 1] = failures_row(phase) end
   end
   return #rows > 1 and align(rows, "  ") or {}
end

-- Which of the rows have percentiles that are no observed values.
local function histogram_line(phase)
   local names = {}
   for _, row in ipairs(ROWS) do
      local d = present(phase[row[2]])
      if d and d.exact == false then names[#names + 1] = row[1] end
   end
   return names[1] and ("  percentiles of %s are from a histogram, at most 0.1%% above"):format(table.concat(names, ", ")) or nil
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
   for _, name in ipairs { "failed", "abandoned", "cancelled", "dropped", "unsent" } do
      if name == "failed" or (phase[name] or 0) > 0 then parts[#parts + 1] = name .. " " .. phase[name] end
   end
   if next(phase.errors) then parts[#parts + 1] = "(" .. counts(phase.errors) .. ")" end
   return "  " .. table.concat(parts, "  ")
end

-- What was said of the first failure of each class.
local function example_lines(phase)
   local lines = {}
   for _, class in ipairs(schema.sorted_keys(phase.error_examples or {})) do
      lines[#lines + 1] = ("  first %s: %s"):format(class, clean((phase.error_examples[class]:gsub("%s+", " "))))
   end
   return lines
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

-- Said when it can be seen in the figures above: a share of the thread, or one long call.
local COSTLY_SHARE, LONG_MS = 0.1, 10

local function cost_line(phase)
   local lua, gc = present(phase.lua_busy), present(phase.gc_pause)
   if not lua then return nil end
   local share = (present(lua.share) or 0) + (present(gc.share) or 0)
   if share < COSTLY_SHARE and math.max(lua.max_ms, gc.max_ms) < LONG_MS then return nil end
   return ("  lua: %s of the thread in %d calls, the longest %s; collector %s, the longest step %s"):format(
      units.percent(present(lua.share) or 0), lua.calls, units.ns(lua.max_ms * 1e6),
      units.percent(present(gc.share) or 0), units.ns(gc.max_ms * 1e6))
end

local function goodput_line(phase)
   local g = present(phase.goodput)
   if not g then return nil end
   local bounds = {}
   for _, name in ipairs(schema.sorted_keys(g.slo)) do
      bounds[#bounds + 1] = ("%s <= %s"):format((name:gsub("_ms$", "")), units.ns(g.slo[name] * 1e6))
   end
   local per_s = present(g.per_s) and ("  %s/s"):format(units.number(g.per_s)) or ""
   return ("  good (%s): %d requests, %s%s"):format(table.concat(bounds, ", "), g.good, units.percent(present(g.share) or 0), per_s)
end

local function steady_line(phase)
   local s = present(phase.steady)
   if not s then return nil end
   local latency = present(s.latency_ms)
   return ("  steady from %s: completed %s/s (95%% in %s..%s)%s"):format(units.seconds(s.from_s), units.number(s.qps),
      units.number(s.qps_ci95[1]), units.number(s.qps_ci95[2]),
      latency and ("  latency p50 %s p99 %s"):format(units.ns(latency.p50 * 1e6), units.ns(latency.p99 * 1e6)) or "")
end

local function metric_line(name, m)
   local unit = present(m.unit) and " " .. m.unit or ""
   local d = present(m.distribution)
   if not d then return ("%s: %s"):format(name, present(m.value) and units.number(m.value) .. unit or "no data") end
   local parts = { ("%s: count %d"):format(name, d.count) }
   for _, key in ipairs { "mean", "p50", "p90", "p99", "max" } do
      parts[#parts + 1] = ("%s %s%s%s"):format(key, floors.mark(key, d.count), units.number(d[key]), unit)
   end
   return table.concat(parts, "  ")
end

-- Those of the script.
local function metric_lines(phase)
   local lines = {}
   for _, name in ipairs(schema.sorted_keys(phase.metrics)) do lines[#lines + 1] = "  " .. metric_line(name, phase.metrics[name]) end
   return lines
end

local function conclusion_lines(phase)
   local found = present(phase.conclusion)
   if found == nil then return {} end
   local text, columns, rows = conclusion.told(found)
   local lines = { "  conclusion: " .. text }
   if rows[1] then
      table.insert(rows, 1, columns)
      append(lines, align(rows, "    "))
   end
   return lines
end

local function check_lines(list)
   local lines = {}
   for _, check in ipairs(list) do
      local detail = present(check.detail)
      lines[#lines + 1] = ("  %s  %s%s"):format(check.passed and "pass" or "FAIL", check.check, detail and "  (" .. detail .. ")" or "")
   end
   return lines
end

-- The busiest tags, a line each.
local MOST_TAGS = 20
local TAG_COLUMNS = { { "latency p50", "latency_ms", "p50" }, { "latency p99", "latency_ms", "p99" },
   { "ttft p50", "ttft_ms", "p50" }, { "ttft p99", "ttft_ms", "p99" } }

local function tag_names(tags)
   local names = schema.sorted_keys(tags)
   table.sort(names, function(a, b)
      if tags[a].issued ~= tags[b].issued then return tags[a].issued > tags[b].issued end
      return a < b
   end)
   return names
end

local function tag_row(name, tag)
   local row = { name, units.number(tag.issued), units.number(tag.failed) }
   for _, column in ipairs(TAG_COLUMNS) do
      local d = present(tag[column[2]])
      row[#row + 1] = d and statistic(d, column[3], 1e6) or "-"
   end
   return row
end

local function tag_lines(phase)
   local names = tag_names(phase.tags)
   if #names == 0 then return {} end
   local rows = { { "tag", "issued", "failed" } }
   for _, column in ipairs(TAG_COLUMNS) do table.insert(rows[1], column[1]) end
   for i = 1, math.min(#names, MOST_TAGS) do rows[i + 1] = tag_row(names[i], phase.tags[names[i]]) end
   local lines = align(rows, "  ")
   if #names > MOST_TAGS then lines[#lines + 1] = ("  and %d more tags in summary.json"):format(#names - MOST_TAGS) end
   return lines
end

-- Arrivals that came late through perigee itself; nothing when none did.
local function late_line(phase)
   local client = present(phase.client)
   local late = client and present(client.late) or 0
   if late == 0 then return nil end
   return ("  client: %d of %d issued more than 1 ms late, %s behind, %s at worst"):format(
      late, phase.issued, client.catch_ups == 1 and "once" or client.catch_ups .. " times", units.ns(client.worst_late_ms * 1e6))
end

-- Is one of these distributions marked, whose highest percentile is that?
local function has_mark(distributions_of, highest)
   for _, d in pairs(distributions_of) do
      if present(d) and floors.mark(highest, d.count) ~= "" then return true end
   end
   return false
end

-- Has a phase a statistic with "~"?
local function is_marked(phase)
   local shown = {}
   for i, row in ipairs(ROWS) do shown[i] = phase[row[2]] end
   local marked = has_mark(shown, "p99.9")
   for _, tag in pairs(phase.tags) do marked = marked or has_mark({ tag.latency_ms, tag.ttft_ms }, "p99") end
   for _, m in pairs(phase.metrics) do marked = marked or has_mark({ m.distribution }, "p99") end
   return marked
end

local function phase_lines(phase, of_server)
   local lines = { heading(phase), count_line(phase) }
   append(lines, example_lines(phase))
   lines[#lines + 1] = rate_line(phase)
   lines[#lines + 1] = goodput_line(phase)
   if next(phase.finish_reasons) then lines[#lines + 1] = "  finish reasons: " .. counts(phase.finish_reasons) end
   append(lines, distributions(phase))
   lines[#lines + 1] = histogram_line(phase)
   lines[#lines + 1] = steady_line(phase)
   append(lines, tag_lines(phase))
   lines[#lines + 1] = cost_line(phase)
   lines[#lines + 1] = late_line(phase)
   append(lines, server.lines(of_server, phase.name))
   append(lines, metric_lines(phase))
   append(lines, conclusion_lines(phase))
   append(lines, check_lines(phase.checks))
   return lines
end

-- ---- sides that took turns ----

local function side_lines(side)
   local rounds, seconds = sides.rounds_text(side.rounds), units.seconds(side.duration_s)
   local lines = { "", ("%s: %d requests in %s, %s"):format(side.name, side.issued, rounds, seconds), count_line(side) }
   lines[#lines + 1] = rate_line(side)
   lines[#lines + 1] = goodput_line(side)
   append(lines, distributions(side))
   lines[#lines + 1] = histogram_line(side)
   return lines
end

local function table_of(title, head, rows)
   table.insert(rows, 1, head)
   local lines = align(rows, "  ")
   table.insert(lines, 1, title)
   return lines
end

-- What the checks of a round say; those that hold are counted.
local function round_checks(phase)
   local broken, passed = {}, 0
   for _, check in ipairs(phase.checks) do
      if check.passed then passed = passed + 1 else broken[#broken + 1] = check end
   end
   local lines = check_lines(broken)
   for i, line in ipairs(lines) do lines[i] = ("%s  in %s"):format(line, phase.name) end
   return lines, passed
end

local function rounds_lines(section, phases)
   local lines, passed = table_of("rounds", sides.rounds(section, phases)), 0
   for _, phase in ipairs(phases) do
      local broken, held = round_checks(phase)
      append(lines, broken)
      append(lines, conclusion_lines(phase))
      passed = passed + held
   end
   if passed > 0 then lines[#lines + 1] = ("  pass  %d check results of the rounds"):format(passed) end
   return lines
end

local function sides_lines(section, phases)
   local lines = { "" }
   append(lines, table_of("sides, percentiles of all requests of each", sides.table(section)))
   for _, text in ipairs(sides.verdicts(section)) do lines[#lines + 1] = "  " .. text end
   for _, side in ipairs(section) do append(lines, side_lines(side)) end
   lines[#lines + 1] = ""
   append(lines, rounds_lines(section, phases))
   return lines
end

-- The phases that are rounds of a side, and the others.
local function rounds_and_others(summary)
   local is_round, rounds, others = {}, {}, {}
   for _, side in ipairs(present(summary.sides) or {}) do
      for _, name in ipairs(side.phases) do is_round[name] = true end
   end
   for _, phase in ipairs(summary.phases) do table.insert(is_round[phase.name] and rounds or others, phase) end
   return rounds, others
end

local function mlperf_lines(section)
   local lines = {}
   for _, entry in ipairs(present(section) or {}) do
      lines[#lines + 1] = ("mlperf: phase '%s' is %s"):format(entry.phase, entry.valid and "valid" or "INVALID")
      for _, text in ipairs(entry.findings) do lines[#lines + 1] = "  " .. text end
   end
   if lines[1] then table.insert(lines, 1, "") end
   return lines
end

-- Names and what checks say come from outside: nothing in them breaks a line or steers a terminal.
local function one_line(line)
   return clean((line:gsub("[\t\r\n]", " ")))
end

--- summary.txt of a summary.
---@param summary table
---@return string
function report_table.render(summary)
   local lines = { ("%s: %s"):format(summary.scenario, summary.verdict) }
   for _, text in ipairs(summary.failures) do lines[#lines + 1] = "  failure: " .. text end
   for _, warning in ipairs(summary.warnings) do lines[#lines + 1] = "  warning: " .. warnings.text(warning) end
   local threads = (summary.config or {}).workers
   if threads and threads.count > 0 then lines[#lines + 1] = "  " .. workers.describe(threads) end
   local rounds, others = rounds_and_others(summary)
   for _, phase in ipairs(others) do
      lines[#lines + 1] = ""
      append(lines, phase_lines(phase, summary.server))
   end
   if rounds[1] then append(lines, sides_lines(summary.sides, rounds)) end
   if summary.checks[1] then
      append(lines, { "", "overall" })
      append(lines, check_lines(summary.checks))
   end
   append(lines, mlperf_lines(summary.mlperf))
   for _, phase in ipairs(summary.phases) do
      if is_marked(phase) then
         append(lines, { "", floors.LEGEND })
         break
      end
   end
   for i, line in ipairs(lines) do lines[i] = one_line(line) end
   return table.concat(lines, "\n") .. "\n"
end

return report_table
