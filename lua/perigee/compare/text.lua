--- A comparison for people: plain text and Markdown.
local align = require "perigee.align"
local metrics = require "perigee.compare.metrics"
local units = require "perigee.units"

local text = {}

local METHODS = {
   requests = "one run on each side, intervals from its requests, allowing for their correlation: percentiles by order statistics "
      .. "(Woodruff), means and rates by batch means, shares by Wilson; what changed between the runs counts as a difference: "
      .. "repeat or interleave them to tell it apart",
   events = "gaps (itl) from the event log, by batches of whole requests: the gaps of a request are like each other",
   summary = "intervals of summary.json where the requests do not tell, which takes them as independent in means and shares",
   runs = "the values of several runs, by Welch's t-test",
   rounds = "the values of rounds as pairs, by Student's t-test",
}
local METHOD_ORDER = { "requests", "events", "summary", "runs", "rounds" }

-- ---- cells ----

--- "+4.32%"; of shares the difference, in points; "?" of nil.
---@param metric { is_share: boolean }
---@param v? number
---@return string
function text.change(metric, v)
   if not v then return "?" end
   local shown = ("%+.3g"):format(v * 100)
   if shown == "+0" or shown == "-0" then shown = "0" end
   return shown .. (metric.is_share and " pt" or "%")
end

local function interval(row)
   if not (row.low or row.high) then return "-" end
   return text.change(row.metric, row.low) .. " .. " .. text.change(row.metric, row.high)
end

local function p_text(p)
   if not p then return "-" end
   return p < 0.001 and "<0.001" or ("%.3f"):format(p)
end

local function value(metric, v)
   return v and metrics.text(metric, v) or "-"
end

local function cells(row)
   return {
      row.metric.name, value(row.metric, row.a), value(row.metric, row.b), row.change and text.change(row.metric, row.change) or "-",
      interval(row), p_text(row.p_adjusted), row.verdict,
   }
end

-- ---- lines ----

local function header(report, comparison)
   return { "", report.sides[comparison.a].letter, report.sides[comparison.b].letter, "change", "95% interval", "p", "verdict" }
end

local function title(report, comparison)
   local a, b = report.sides[comparison.a], report.sides[comparison.b]
   if comparison.rounds then return ("%s against %s, %d rounds"):format(b.name, a.name, comparison.rounds) end
   return #report.sides > 2 and ("%s, %s against %s"):format(comparison.phase, b.letter, a.letter) or comparison.phase
end

local function side_line(side, is_base)
   local first = side.runs[1].summary
   local what = #side.runs > 1 and ("%d runs"):format(#side.runs) or tostring(first.verdict)
   local rounds = side.entries and ("%d phases"):format(#side.entries)
   return ("%s  %s: %s, %s%s"):format(side.letter, side.name, tostring(first.scenario), rounds or what, is_base and ", the baseline" or "")
end

local function used_methods(report)
   local used = {}
   for _, comparison in ipairs(report.comparisons) do
      for _, row in ipairs(comparison.rows) do
         if row.method then used[row.method] = true end
      end
   end
   return used
end

--- How it was found, as sentences.
---@param report table  of perigee.compare
---@return string[]
function text.method(report)
   local list, used = {}, used_methods(report)
   for _, name in ipairs(METHOD_ORDER) do
      if used[name] then list[#list + 1] = METHODS[name] end
   end
   list[#list + 1] = ("better or worse: p < 0.05 after Holm's correction for %d comparisons, and a change above %s (shares: %s pt); "
      .. "same: the interval lies within that; else unsure: more requests, runs or rounds make it narrower")
      :format(report.tests, units.percent(report.thresholds.all), units.number(report.thresholds.share * 100))
   return list
end

--- "1 worse, 3 same"
---@param report table
---@return string
function text.counts(report)
   local parts = {}
   for _, name in ipairs { "worse", "better", "same", "unsure" } do
      if report.counts[name] > 0 then parts[#parts + 1] = ("%d %s"):format(report.counts[name], name) end
   end
   return table.concat(parts, ", ")
end

-- Verdicts stand to the left.
local function table_lines(report, comparison)
   local rows, verdicts = { header(report, comparison) }, { "verdict" }
   for i, row in ipairs(comparison.rows) do rows[i + 1], verdicts[i + 1] = cells(row), row.verdict end
   for _, row in ipairs(rows) do row[7] = nil end
   local lines = align(rows, "  ")
   for i, line in ipairs(lines) do lines[i] = line .. "  " .. verdicts[i] end
   return lines
end

--- The tables of a comparison, without what stands around them.
---@param report table
---@return string[] lines
function text.tables(report)
   local lines = {}
   for _, comparison in ipairs(report.comparisons) do
      lines[#lines + 1] = ""
      lines[#lines + 1] = title(report, comparison)
      for _, line in ipairs(table_lines(report, comparison)) do lines[#lines + 1] = line end
   end
   return lines
end

--- Plain text.
---@param report table  of perigee.compare
---@return string
function text.render(report)
   local lines = {}
   for i, side in ipairs(report.sides) do lines[i] = side_line(side, i == 1) end
   for _, warning in ipairs(report.warnings) do lines[#lines + 1] = "warning: " .. warning end
   for _, line in ipairs(text.tables(report)) do lines[#lines + 1] = line end
   lines[#lines + 1] = ""
   for _, line in ipairs(text.method(report)) do lines[#lines + 1] = "method: " .. line end
   lines[#lines + 1] = "result: " .. text.counts(report)
   return table.concat(lines, "\n") .. "\n"
end

-- ---- Markdown ----

-- A cell's text is no markup.
local function escaped(s)
   return (s:gsub("[\\`*_|<>%[%]]", "\\%0"))
end

local function markdown_row(row, emphasise)
   local out = {}
   for i, cell in ipairs(row) do out[i] = i == 1 and cell ~= "" and "`" .. cell .. "`" or escaped(cell) end
   if emphasise then out[#out] = "**" .. out[#out] .. "**" end
   return "| " .. table.concat(out, " | ") .. " |"
end

--- Markdown, as a comment on a change.
---@param report table  of perigee.compare
---@return string
function text.markdown(report)
   local lines = { ("**%s**"):format(text.counts(report)), "" }
   for i, side in ipairs(report.sides) do lines[#lines + 1] = "- " .. escaped(side_line(side, i == 1)) end
   for _, warning in ipairs(report.warnings) do lines[#lines + 1] = "- warning: " .. escaped(warning) end
   for _, comparison in ipairs(report.comparisons) do
      lines[#lines + 1] = ("\n#### %s\n"):format(escaped(title(report, comparison)))
      lines[#lines + 1] = markdown_row(header(report, comparison))
      lines[#lines + 1] = "|---|---:|---:|---:|---:|---:|---|"
      for _, row in ipairs(comparison.rows) do
         lines[#lines + 1] = markdown_row(cells(row), row.verdict == "worse" or row.verdict == "better")
      end
   end
   lines[#lines + 1] = ""
   for _, line in ipairs(text.method(report)) do lines[#lines + 1] = ("<sub>%s</sub><br>"):format(escaped(line)) end
   return table.concat(lines, "\n") .. "\n"
end

return text
