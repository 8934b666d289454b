--- The section of a phase in report.html.
local charts = require "perigee.report.html.charts"
local conclusion = require "perigee.report.conclusion"
local curves = require "perigee.report.html.curves"
local figure = require "perigee.report.html.figure"
local floors = require "perigee.floors"
local present = require "perigee.report.present"
local schema = require "perigee.schema"
local svg = require "perigee.report.html.svg"
local sweep = require "perigee.report.html.sweep"
local tables = require "perigee.report.html.tables"
local units = require "perigee.units"

local escape, number = svg.escape, tables.number
local phase_section = {}

--- Figures beside each other, as many as the page has room for.
---@param list table[]
---@return string
function phase_section.figures(list)
   local out = {}
   for i, description in ipairs(list) do out[i] = figure.text(description) end
   local text = table.concat(out)
   return text ~= "" and ('<div class="figures">%s</div>'):format(text) or ""
end

-- ---- distributions ----

local STATISTICS = { "mean", "p50", "p90", "p95", "p99", "p99.9", "max" }
local DISTRIBUTIONS = {
   { "latency", "latency_ms", 1e6 }, { "service time", "service_time_ms", 1e6 }, { "first token", "ttft_ms", 1e6 },
   { "time per output token", "tpot_ms", 1e6 }, { "gap between chunks", "itl_ms", 1e6 }, { "lateness of the client", "lateness_us", 1e3 },
}
local OTHER_DEFINITIONS = {
   { "first token, from its sending", "ttft_service_ms", 1e6 }, { "first byte", "first_byte_ms", 1e6 },
   { "first event", "first_event_ms", 1e6 }, { "first content", "first_content_ms", 1e6 },
   { "first reasoning", "first_reasoning_ms", 1e6 }, { "gap between chunks, per token", "itl_token_ms", 1e6 },
}

-- "19.1 ms – 22.3 ms", of a percentile that has such bounds.
local function interval(d, name, unit)
   local bounds = d.ci95 and d.ci95[name]
   local low, high = bounds and present(bounds[1]), bounds and present(bounds[2])
   return low and high and ("%s – %s"):format(units.ns(low * unit), units.ns(high * unit)) or nil
end

local function time_cell(d, name, unit)
   local v = present(d[name])
   return { v and floors.mark(name, d.count) .. units.ns(v * unit) or "–", small = interval(d, name, unit) }
end

-- The latency again, each request that failed counted as infinite; nil where none failed.
local function failures_row(phase)
   local d = present(phase.latency_with_failures_ms)
   if not d or d.failures == 0 then return nil end
   local row = { "latency, failures infinite", number(d.count) }
   for _, name in ipairs(STATISTICS) do
      row[#row + 1] = present(d[name]) and time_cell(d, name, 1e6) or floors.mark(name, d.count) .. "∞"
   end
   return row
end

local DISTRIBUTION_HEAD = { "", "count", unpack(STATISTICS) }

-- Of what the phase has of a list as above; an empty list: nothing.
local function distribution_rows(phase, list)
   local rows = {}
   for _, entry in ipairs(list) do
      local d = present(phase[entry[2]])
      if d then
         local row = { entry[1], number(d.count) }
         for _, name in ipairs(STATISTICS) do row[#row + 1] = time_cell(d, name, entry[3]) end
         rows[#rows + 1] = row
      end
   end
   return rows
end

local function distributions(phase)
   local rows = distribution_rows(phase, DISTRIBUTIONS)
   local infinite = failures_row(phase)
   if infinite then table.insert(rows, present(phase.latency_ms) and 2 or 1, infinite) end
   return tables.text("Times from the intended start, of successful requests; small: 95% intervals", DISTRIBUTION_HEAD, rows)
end

-- For who compares with a tool that counts to, or from, something else; closed at first.
local function other_definitions(phase)
   local text = tables.text("The same by other definitions", DISTRIBUTION_HEAD, distribution_rows(phase, OTHER_DEFINITIONS))
   return text ~= "" and ("<details><summary>Other definitions of the first token and of gaps</summary>%s</details>"):format(text) or ""
end

-- ---- other tables ----

local function counts(t, what, caption)
   local rows = {}
   for i, name in ipairs(schema.sorted_keys(t)) do rows[i] = { name, number(t[name]) } end
   return tables.text(caption, { what, "requests" }, rows)
end

local function failures(phase)
   local rows = {}
   for i, class in ipairs(schema.sorted_keys(phase.errors)) do
      rows[i] = { class, number(phase.errors[class]), { (phase.error_examples or {})[class] or "", "text" } }
   end
   return tables.text("Failures", { "class", "requests", { "the first one", "text" } }, rows)
end

--- What was checked, and whether it holds.
---@param list table[]
---@param caption string
---@return string
function phase_section.checks(list, caption)
   local rows = {}
   for i, check in ipairs(list) do
      rows[i] = { { check.check, "text" }, check.passed and { "holds", "text good" } or { "does not hold", "text bad" },
         { present(check.detail) or "", "text" } }
   end
   return tables.text(caption, { "check", { "outcome", "text" }, { "detail", "text" } }, rows)
end

local function script_metrics(phase)
   local rows = {}
   for i, name in ipairs(schema.sorted_keys(phase.metrics)) do
      local m = phase.metrics[name]
      local d, unit = present(m.distribution), present(m.unit) and " " .. m.unit or ""
      rows[i] = d and { name, number(d.count), number(d.mean, unit), number(d.p50, unit), number(d.p99, unit), number(d.max, unit) }
         or { name, "", number(m.value, unit), "", "", "" }
   end
   return tables.text("Metrics of the script", { "metric", "count", "value or mean", "p50", "p99", "max" }, rows)
end

local function conclusion_text(phase)
   local found = present(phase.conclusion)
   if found == nil then return "" end
   local text, columns, rows = conclusion.told(found)
   return ("<p><b>Conclusion:</b> %s</p>%s%s"):format(escape(text), tables.text("Steps", columns, rows),
      phase_section.figures(sweep.steps(found)))
end

local TAG_COLUMNS = {
   { "latency p50", "latency_ms", "p50" }, { "p90", "latency_ms", "p90" }, { "p99", "latency_ms", "p99" },
   { "first token p50", "ttft_ms", "p50" }, { "p90", "ttft_ms", "p90" }, { "p99", "ttft_ms", "p99" },
   { "per output token p50", "tpot_ms", "p50" },
}

local function tag_row(name, tag)
   local goods, bad = present(tag.goodput), tag.failed + tag.abandoned
   local row = { name, number(tag.issued), { number(bad), bad > 0 and "bad" or nil },
      goods and present(goods.share) and units.percent(goods.share) or "–" }
   for _, column in ipairs(TAG_COLUMNS) do
      local d = present(tag[column[2]])
      row[#row + 1] = d and time_cell(d, column[3], 1e6) or "–"
   end
   return row
end

local function tags(phase, histograms)
   local rows, head = {}, { "tag", "requests", "failed", "good" }
   for _, column in ipairs(TAG_COLUMNS) do head[#head + 1] = column[1] end
   for i, name in ipairs(schema.sorted_keys(phase.tags or {})) do rows[i] = tag_row(name, phase.tags[name]) end
   if #rows == 0 then return "" end
   return "<h3>By tag</h3>" .. tables.text("Times from the intended start; small: 95% intervals", head, rows)
      .. phase_section.figures(curves.tags(phase, histograms))
end

-- ---- sentences ----

local function sentences(phase)
   local reason, asked = present(phase.end_reason), present(phase.rate_asked_per_s)
   local list = { ("%s, %s requests in %s%s."):format(phase.kind, number(phase.issued), units.seconds(phase.duration_s),
      reason and reason ~= "" and ", ended by " .. reason or "") }
   if asked then list[2] = ("Asked for %s/s, sent %s/s."):format(number(asked), number(phase.rate_delivered_per_s)) end
   local goods, steady = present(phase.goodput), present(phase.steady)
   if goods and present(goods.share) then
      local bounds = goods.share_ci95
      list[#list + 1] = ("Good: %s of the requests (95%% interval %s to %s), %s/s."):format(units.percent(goods.share),
         units.percent(bounds[1]), units.percent(bounds[2]), number(goods.per_s))
   end
   if steady then
      list[#list + 1] = ("Steady from %s on: %s/s (95%% interval %s to %s)."):format(
         steady.from_s > 0 and units.seconds(steady.from_s) or "the start", number(steady.qps), number(steady.qps_ci95[1]),
         number(steady.qps_ci95[2]))
   end
   return table.concat(list, " ")
end

--- The section.
---@param phase table         of the summary
---@param id string           of the section, to link to
---@param bins table[]        the phase's series in the engine's report
---@param histograms table[]  as of session:histograms()
---@param of_server table[]   figures of what servers told meanwhile
---@return string
function phase_section.text(phase, id, bins, histograms, of_server)
   local list = curves.percentiles(phase, histograms)
   for _, description in ipairs(charts.over_time(phase, bins)) do list[#list + 1] = description end
   for _, description in ipairs(of_server) do list[#list + 1] = description end
   return table.concat {
      ('<section id="%s"><h2>%s</h2><p class="soft">%s</p>'):format(id, escape(phase.name), escape(sentences(phase))),
      conclusion_text(phase),
      distributions(phase), other_definitions(phase),
      phase_section.figures(list), tags(phase, histograms),
      '<div class="beside">', failures(phase), counts(phase.finish_reasons, "reason", "Finish reasons"), "</div>",
      script_metrics(phase), phase_section.checks(phase.checks, "Checks"), "</section>",
   }
end

return phase_section
