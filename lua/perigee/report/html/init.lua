--- report.html: the summary, its charts and what it was made of, in one file that needs no network
--- and no script. It draws from histograms and series, so its size does not depend on the number of requests.
local charts = require "perigee.report.html.charts"
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local style = require "perigee.report.html.style"
local svg = require "perigee.report.html.svg"
local units = require "perigee.units"
local warnings = require "perigee.warnings"

local json = engine.json
local null, escape = json.null, svg.escape
local html = {}

local VERDICTS = {
   ok = { "good", "all went well" },
   failed = { "bad", "the run failed or is incomplete" },
   client_limited = { "warn", "the client itself was too late to trust all figures" },
   interrupted = { "warn", "the run was interrupted" },
}

local function present(v)
   if v == null then return nil end
   return v
end

-- ---- tables ----

-- rows of cells; a cell is a text, or { text, class }.
local function rows_text(rows, tag)
   local out = {}
   for _, row in ipairs(rows) do
      out[#out + 1] = "<tr>"
      for i, cell in ipairs(row) do
         local text, class = cell, nil
         if type(cell) == "table" then text, class = cell[1], cell[2] end
         local name = tag or "td"
         local scope = name == "th" and ' scope="col"' or ""
         if i == 1 and name == "td" then name, scope = "th", ' scope="row"' end
         out[#out + 1] = ("<%s%s%s>%s</%s>"):format(name, scope, class and (' class="%s"'):format(class) or "", escape(text), name)
      end
      out[#out + 1] = "</tr>"
   end
   return table.concat(out)
end

local function table_text(caption, head, rows)
   if #rows == 0 then return "" end
   return ('<div class="wide"><table><caption>%s</caption><thead>%s</thead><tbody>%s</tbody></table></div>'):format(
      escape(caption), rows_text({ head }, "th"), rows_text(rows))
end

local function number(v, suffix)
   v = present(v)
   return v and units.number(v) .. (suffix or "") or "–"
end

local function time(v, unit)
   v = present(v)
   return v and units.ns(v * unit) or "–"
end

local STATISTICS = { "mean", "p50", "p90", "p95", "p99", "p99.9", "max" }
local DISTRIBUTIONS = {
   { "latency", "latency_ms", 1e6 }, { "service time", "service_time_ms", 1e6 }, { "first token", "ttft_ms", 1e6 },
   { "time per output token", "tpot_ms", 1e6 }, { "gap between chunks", "itl_ms", 1e6 }, { "lateness of the client", "lateness_us", 1e3 },
}

local function distributions(part, caption)
   local rows, head = {}, { "", "count" }
   for _, name in ipairs(STATISTICS) do head[#head + 1] = name end
   for _, d in ipairs(DISTRIBUTIONS) do
      local values = present(part[d[2]])
      if values then
         local row = { d[1], number(values.count) }
         for _, name in ipairs(STATISTICS) do row[#row + 1] = time(values[name], d[3]) end
         rows[#rows + 1] = row
      end
   end
   return table_text(caption, head, rows)
end

local function counts(t, what, caption)
   local rows = {}
   for _, name in ipairs(schema.sorted_keys(t)) do rows[#rows + 1] = { name, number(t[name]) } end
   return table_text(caption, { what, "requests" }, rows)
end

local function errors(phase)
   local rows = {}
   for _, class in ipairs(schema.sorted_keys(phase.errors)) do
      rows[#rows + 1] = { class, number(phase.errors[class]), { (phase.error_examples or {})[class] or "", "text" } }
   end
   return table_text("Errors", { "class", "requests", "the first one" }, rows)
end

local function checks(list, caption)
   local rows = {}
   for i, check in ipairs(list) do
      rows[i] = { { check.check, "text" }, check.passed and { "holds", "good" } or { "does not hold", "bad" },
         { present(check.detail) or "", "text" } }
   end
   return table_text(caption, { "check", "", "" }, rows)
end

local function script_metrics(phase)
   local rows = {}
   for _, name in ipairs(schema.sorted_keys(phase.metrics)) do
      local m = phase.metrics[name]
      local d, unit = present(m.distribution), present(m.unit) and " " .. m.unit or ""
      rows[#rows + 1] = d and { name, number(d.count), number(d.mean, unit), number(d.p50, unit), number(d.p99, unit), number(d.max, unit) }
         or { name, "", number(m.value, unit), "", "", "" }
   end
   return table_text("Metrics of the script", { "", "count", "value or mean", "p50", "p99", "max" }, rows)
end

-- ---- sections ----

local function figure(caption, text)
   return text and ("<figure><figcaption>%s</figcaption>%s</figure>"):format(escape(caption), text) or ""
end

local function messages(list, class, word)
   local out = {}
   for i, text in ipairs(list) do out[i] = ('<p class="%s">%s: %s</p>'):format(class, word, escape(text)) end
   return table.concat(out)
end

local function texts(list)
   local out = {}
   for i, w in ipairs(list) do out[i] = warnings.text(w) end
   return out
end

local function overview(summary)
   local head = { "phase", "completed", "failed", "per s", "tokens/s", "latency p50", "p99", "first token p50", "p99", "checks" }
   local rows = {}
   for i, p in ipairs(summary.phases) do
      local broken = 0
      for _, check in ipairs(p.checks) do broken = broken + (check.passed and 0 or 1) end
      local latency, ttft = present(p.latency_ms) or {}, present(p.ttft_ms) or {}
      local bad = p.failed + p.abandoned
      rows[i] = { p.name, number(p.completed), { number(bad), bad > 0 and "bad" or nil }, number(p.qps),
         number(p.output_tokens_per_s), time(latency.p50, 1e6), time(latency.p99, 1e6), time(ttft.p50, 1e6), time(ttft.p99, 1e6),
         #p.checks == 0 and "–" or broken == 0 and { "hold", "good" } or { ("%d broken"):format(broken), "bad" } }
   end
   return table_text("Phases", head, rows)
end

local function tags(phase)
   local out = {}
   for _, name in ipairs(schema.sorted_keys(type(phase.tags) == "table" and phase.tags or {})) do
      out[#out + 1] = distributions(phase.tags[name], ("Requests tagged %s: %d"):format(name, phase.tags[name].issued))
   end
   return #out > 0 and "<h3>By tag</h3>" .. table.concat(out) or ""
end

local function phase_charts(phase, report, histograms)
   local bins = report and report.series or {}
   local out = { figure("Percentiles", charts.percentiles(phase, histograms)) }
   if #bins < 2 then return out[1] end
   out[#out + 1] = figure("Latency over time", charts.latency_over_time(phase, bins))
   out[#out + 1] = figure("Rates over time", charts.rates_over_time(phase, bins))
   out[#out + 1] = figure("Requests in flight", charts.in_flight_over_time(phase, bins))
   return table.concat(out)
end

local function phase_section(phase, report, histograms)
   local reason = present(phase.end_reason)
   local parts = {
      ("<section><h2>%s</h2>"):format(escape(phase.name)),
      ('<p class="soft">%s, %s requests in %s%s. %s</p>'):format(escape(phase.kind), number(phase.issued), units.seconds(phase.duration_s),
         reason and reason ~= "" and ", ended by " .. escape(reason) or "",
         present(phase.rate_asked_per_s) and ("Asked for %s/s, sent %s/s."):format(
            number(phase.rate_asked_per_s), number(phase.rate_delivered_per_s)) or ""),
      distributions(phase, "Times from the intended start, of successful requests"),
      phase_charts(phase, report, histograms),
      errors(phase), counts(phase.finish_reasons, "reason", "Finish reasons"),
      script_metrics(phase), checks(phase.checks, "Checks"), tags(phase), "</section>",
   }
   return table.concat(parts)
end

local function details(summary)
   local host = present(summary.host) or {}
   local facts = {
      { "session", present(summary.session_id) or "–" }, { "started", present(summary.started_at) or "–" },
      { "client", ("%s %s, %s cores"):format(host.system or "", host.machine or "", tostring(host.cpus or "?")) },
      { "perigee", summary.versions.perigee }, { "dataset SHA-256", present(summary.dataset_sha256) or "–" },
      { "plan checksum", present(summary.plan_checksum) or "–" },
   }
   local rows = {}
   for i, fact in ipairs(facts) do rows[i] = { fact[1], { fact[2], "text" } } end
   return ("<section><h2>What was run</h2>%s<details><summary>Configuration</summary><pre>%s</pre></details></section>"):format(
      table_text("", { "", "" }, rows), escape(json.encode(summary.config, 2)))
end

--- The page.
---@param summary table       as of perigee.report.summary
---@param histograms table[]  as of session:histograms()
---@param report table        the engine's, with the series of each phase
---@return string
function html.render(summary, histograms, report)
   local verdict = VERDICTS[summary.verdict] or { "warn", "" }
   local by_name = {}
   for _, p in ipairs(report.phases) do by_name[p.name] = p end
   local out = {
      '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
      ("<title>%s – perigee</title><style>%s</style></head><body><main>"):format(escape(summary.scenario), style),
      ('<h1>%s</h1><p><span class="verdict %s">%s</span> <span class="soft">%s</span></p>'):format(
         escape(summary.scenario), verdict[1], escape(summary.verdict), verdict[2]),
      messages(summary.failures, "bad", "failure"), messages(texts(summary.warnings), "warn", "warning"),
      overview(summary), figure("Throughput against latency", charts.sweep(summary.phases)),
   }
   for _, phase in ipairs(summary.phases) do out[#out + 1] = phase_section(phase, by_name[phase.name], histograms) end
   out[#out + 1] = details(summary)
   out[#out + 1] = "</main></body></html>\n"
   return table.concat(out)
end

return html
