--- report.html: the summary, its charts and what it was made of, in one file that needs no network
--- and no script. It draws from histograms and series, so its size does not depend on the number of requests.
local engine = require "perigee.engine"
local floors = require "perigee.floors"
local phase_section = require "perigee.report.html.phase"
local present = require "perigee.report.present"
local server = require "perigee.report.html.server"
local sides = require "perigee.report.sides"
local style = require "perigee.report.html.style"
local svg = require "perigee.report.html.svg"
local sweep = require "perigee.report.html.sweep"
local tables = require "perigee.report.html.tables"
local units = require "perigee.units"
local warnings = require "perigee.warnings"

local json = engine.json
local escape, number = svg.escape, tables.number
local html = {}

local VERDICTS = {
   ok = { "good", "every phase ran" },
   failed = { "bad", "the run failed or is incomplete" },
   client_limited = { "warn", "perigee itself was a limit of what it measured" },
   interrupted = { "warn", "the run was interrupted" },
}

-- A percentile of a distribution in ms, marked where it is one of too few values.
local function time(d, name)
   local v = d and present(d[name])
   return v and floors.mark(name, d.count) .. units.ns(v * 1e6) or "–"
end

-- ---- overview ----

local function messages(list, class, word)
   local out = {}
   for i, text in ipairs(list) do out[i] = ('<p class="message %s"><b>%s:</b> %s</p>'):format(class, word, escape(text)) end
   return table.concat(out)
end

local function texts(list)
   local out = {}
   for i, w in ipairs(list) do out[i] = warnings.text(w) end
   return out
end

local function broken(list)
   local n = 0
   for _, check in ipairs(list) do n = n + (check.passed and 0 or 1) end
   return n
end

local function check_cell(list)
   if #list == 0 then return "–" end
   local n = broken(list)
   return n == 0 and { "hold", "good" } or { ("%d broken"):format(n), "bad" }
end

-- What every run has, in large letters: { words, value, class }.
local function tiles(summary)
   local issued, bad, seconds, checks = 0, 0, 0, #summary.checks
   local n_broken = broken(summary.checks)
   for _, p in ipairs(summary.phases) do
      issued, bad, seconds = issued + p.issued, bad + p.failed + p.abandoned, seconds + p.duration_s
      checks, n_broken = checks + #p.checks, n_broken + broken(p.checks)
   end
   local list = {
      { "requests", number(issued) }, { "failed", number(bad), bad > 0 and "bad" or "good" }, { "duration", units.seconds(seconds) },
   }
   if checks > 0 then
      list[4] = { "checks hold", ("%d of %d"):format(checks - n_broken, checks), n_broken > 0 and "bad" or "good" }
   end
   return list
end

-- What the one phase that matters has, when it is one.
local function phase_tiles(summary, list)
   local phase
   for _, p in ipairs(summary.phases) do
      if p.kind == "performance" and phase then return end
      if p.kind == "performance" then phase = p end
   end
   if not phase then return end
   local ttft, latency = present(phase.ttft_ms), present(phase.latency_ms)
   list[#list + 1] = { "completed/s", number(phase.qps) }
   if present(phase.output_tokens_per_s) then list[#list + 1] = { "output tokens/s", number(phase.output_tokens_per_s) } end
   if ttft then list[#list + 1] = { "first token p99", time(ttft, "p99") } end
   if latency then list[#list + 1] = { "latency p99", time(latency, "p99") } end
end

local function tiles_text(summary)
   local list, out = tiles(summary), {}
   phase_tiles(summary, list)
   for i, tile in ipairs(list) do
      local class = tile[3] and (' class="%s"'):format(tile[3]) or ""
      out[i] = ("<div><dt>%s</dt><dd%s>%s</dd></div>"):format(escape(tile[1]), class, escape(tile[2]))
   end
   return ('<dl class="tiles">%s</dl>'):format(table.concat(out))
end

local function section_id(i) return "phase-" .. i end

local function overview(summary)
   local head = { "phase", "completed", "failed", "per s", "tokens/s", "latency p50", "p99", "first token p50", "p99", "checks" }
   local rows = {}
   for i, p in ipairs(summary.phases) do
      local latency, ttft = present(p.latency_ms), present(p.ttft_ms)
      local bad = p.failed + p.abandoned
      rows[i] = { { p.name, link = section_id(i) }, number(p.completed), { number(bad), bad > 0 and "bad" or nil }, number(p.qps),
         number(p.output_tokens_per_s), time(latency, "p50"), time(latency, "p99"), time(ttft, "p50"), time(ttft, "p99"),
         check_cell(p.checks) }
   end
   return tables.text("Phases", head, rows)
end

-- Those that took turns, each as one.
local function sides_section(section)
   if not present(section) then return "" end
   local verdicts = {}
   for i, text in ipairs(sides.verdicts(section)) do verdicts[i] = ("<p>%s</p>"):format(escape(text)) end
   return ("<section><h2>Sides</h2>%s%s</section>"):format(
      tables.text("All rounds of a side together, percentiles of all its requests", sides.table(section)), table.concat(verdicts))
end

-- ---- the end ----

-- A key is there for the phases that MLPerf's rules are for.
local function mlperf(section)
   local rows = {}
   for i, entry in ipairs(present(section) or {}) do
      rows[i] = { entry.phase, entry.valid and { "valid", "text good" } or { "invalid", "text bad" },
         { table.concat(entry.findings, "; "), "text" } }
   end
   return tables.text("MLPerf", { "phase", { "verdict", "text" }, { "findings", "text" } }, rows)
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
   return ('<section><h2>What was run</h2>%s<details><summary>Configuration</summary><pre tabindex="0">%s</pre></details>'
      .. "</section>"):format(tables.text("Facts", { "fact", { "value", "text" } }, rows), escape(json.encode(summary.config, 2)))
end

local function header(summary)
   local verdict = VERDICTS[summary.verdict] or { "warn", "" }
   return ('<header><h1>%s</h1><p><span class="verdict %s">%s</span> <span class="soft">%s</span></p></header>'):format(
      escape(summary.scenario), verdict[1], escape(summary.verdict), verdict[2])
end

--- The page.
---@param summary table       as of perigee.report.summary
---@param histograms table[]  as of session:histograms()
---@param report table        the engine's, with the series of each phase
---@param entries? table[]     what servers told, of perigee.report.server
---@return string
function html.render(summary, histograms, report, entries)
   local by_name = {}
   for _, p in ipairs(report.phases) do by_name[p.name] = p end
   local out = {
      '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"/>',
      '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
      ("<title>%s – perigee</title><style>%s</style></head><body>"):format(escape(summary.scenario), style),
      header(summary), "<main>", tiles_text(summary),
      messages(summary.failures, "bad", "failure"), messages(texts(summary.warnings), "warn", "warning"),
      sides_section(summary.sides), overview(summary), phase_section.checks(summary.checks, "Checks of the whole run"),
      mlperf(summary.mlperf),
      phase_section.figures(sweep.figures(summary, histograms)),
   }
   for i, phase in ipairs(summary.phases) do
      local of_engine = by_name[phase.name] or {}
      local from_s = of_engine.started_ns and (of_engine.started_ns - report.started_ns) / 1e9
      out[#out + 1] = phase_section.text(phase, section_id(i), of_engine.series or {}, histograms,
         from_s and server.charts(entries or {}, phase, from_s) or {})
   end
   out[#out + 1] = details(summary)
   out[#out + 1] = "</main></body></html>\n"
   return table.concat(out)
end

return html
