--- The numbers of a summary in the text format of Prometheus: counters, gauges and summaries,
--- in base units (seconds), labelled with the phase.
local engine = require "perigee.engine"
local schema = require "perigee.schema"

local null = engine.json.null
local prometheus = {}

local QUANTILES = {
   { "p50", ',quantile="0.5"' }, { "p90", ',quantile="0.9"' }, { "p95", ',quantile="0.95"' }, { "p99", ',quantile="0.99"' },
   { "p99.9", ',quantile="0.999"' },
}

-- name, key of the summary, what one of its units is in seconds, help
local DISTRIBUTIONS = {
   { "latency_seconds", "latency_ms", 1e-3, "Time from the intended start to the end of a request." },
   { "service_time_seconds", "service_time_ms", 1e-3, "Time from the sending to the end of a request." },
   { "ttft_seconds", "ttft_ms", 1e-3, "Time from the intended start to the first content." },
   { "tpot_seconds", "tpot_ms", 1e-3, "Time per output token after the first." },
   { "itl_seconds", "itl_ms", 1e-3, "Gaps between chunks of a stream." },
   { "lateness_seconds", "lateness_us", 1e-6, "How late the client itself was." },
}

local OUTCOMES = { "completed", "failed", "abandoned", "cancelled" }

-- The first two are of phases that run: a finished run has none.
local GAUGES = {
   { "phase_running", "running", "1 while the phase runs." },
   { "requests_in_flight", "in_flight", "Requests that were sent and have not ended." },
   { "rate_asked", "rate_asked_per_s", "Requests per second that the schedule asked for." },
   { "rate_delivered", "rate_delivered_per_s", "Requests per second that were issued." },
   { "output_tokens_rate", "output_tokens_per_s", "Output tokens per second." },
   { "phase_duration_seconds", "duration_s", "Duration of the phase." },
}

local function escape(text)
   return (text:gsub('[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
end

-- 'name="value",...' of a list of names and values in order.
local function label_text(list)
   local parts = {}
   for i = 1, #list, 2 do parts[#parts + 1] = ('%s="%s"'):format(list[i], escape(list[i + 1])) end
   return table.concat(parts, ",")
end

-- Twelve digits, whole numbers all of theirs.
local function number_text(v)
   return (v == math.floor(v) and math.abs(v) < 2 ^ 53 and "%d" or "%.12g"):format(v)
end

-- Of a list of { label text, phase } all pairs.
local function each(phases)
   local i = 0
   return function()
      i = i + 1
      if phases[i] then return phases[i][1], phases[i][2] end
   end
end

-- A page is made while a run measures: its pieces are put together once, at the end.
local Writer = {}
Writer.__index = Writer

-- Its head is written with its first sample.
function Writer:family(name, kind, help)
   self.name = "perigee_" .. name
   self.head = ("# HELP %s %s\n# TYPE %s %s\n"):format(self.name, help, self.name, kind)
end

-- labels: as of label_text().
function Writer:sample(suffix, labels, value)
   if value == nil or value == null then return end
   local pieces, n = self.pieces, #self.pieces
   if self.head then
      n = n + 1
      pieces[n], self.head = self.head, nil
   end
   pieces[n + 1], pieces[n + 2], pieces[n + 3], pieces[n + 4] = self.name, suffix, "{", labels
   pieces[n + 5], pieces[n + 6], pieces[n + 7] = "} ", number_text(value), "\n"
end

local function counters(out, phases)
   out:family("requests_total", "counter", "Requests that ended, by outcome.")
   for label, p in each(phases) do
      for _, outcome in ipairs(OUTCOMES) do out:sample("", label .. ',outcome="' .. outcome .. '"', p[outcome]) end
   end
   out:family("requests_issued_total", "counter", "Requests that were sent.")
   for label, p in each(phases) do out:sample("", label, p.issued) end
   out:family("arrivals_dropped_total", "counter", "Arrivals that the overload rule refused.")
   for label, p in each(phases) do out:sample("", label, p.dropped) end
   out:family("errors_total", "counter", "Failed requests by class.")
   for label, p in each(phases) do
      for _, class in ipairs(schema.sorted_keys(p.errors)) do
         out:sample("", label .. ',class="' .. escape(class) .. '"', p.errors[class])
      end
   end
   out:family("tokens_total", "counter", "Tokens that the server reported.")
   for label, p in each(phases) do
      out:sample("", label .. ',direction="in"', p.tokens_in)
      out:sample("", label .. ',direction="out"', p.tokens_out)
   end
end

local function summary_of(out, label, values, unit)
   if values == nil or values == null then return end
   for _, q in ipairs(QUANTILES) do
      local v = values[q[1]]
      if v ~= nil and v ~= null then out:sample("", label .. q[2], v * unit) end
   end
   out:sample("_sum", label, values.mean * values.count * unit)
   out:sample("_count", label, values.count)
end

local function distributions(out, phases)
   for _, d in ipairs(DISTRIBUTIONS) do
      local name, key, unit, help = unpack(d)
      out:family(name, "summary", help)
      for label, p in each(phases) do summary_of(out, label, p[key], unit) end
   end
end

local KINDS = { histogram = { "summary", "" }, counter = { "counter", "_total" }, gauge = { "gauge", "" } }

-- The script's metrics, in the units that it counts in.
local function script_metrics(out, phases)
   local found = {}
   for _, p in each(phases) do
      for name, m in pairs(p.metrics or {}) do found[name] = found[name] or m end
   end
   for _, name in ipairs(schema.sorted_keys(found)) do
      local m = found[name]
      local kind, unit = KINDS[m.kind], m.unit ~= null and m.unit
      out:family("script_" .. name .. kind[2], kind[1],
         "A metric of the script" .. (unit and ", in " .. unit:gsub("[%c\\]", " ") or "") .. ".")
      for label, p in each(phases) do
         local own = (p.metrics or {})[name]
         if own then
            summary_of(out, label, own.distribution, 1)
            out:sample("", label, own.value)
         end
      end
   end
end

--- The text of a scrape, or of a file for node_exporter's textfile collector.
---@param summary { phases: table[], info: string[]? }  as of perigee.report.summary; of a run that goes on its phases have
---   running (1 or 0) and in_flight as well, and info is a list of labels and their values
---@return string
function prometheus.render(summary)
   local out, phases = setmetatable({ pieces = {} }, Writer), {}
   for i, p in ipairs(summary.phases) do phases[i] = { label_text { "phase", p.name }, p } end
   if summary.info then
      out:family("session_info", "gauge", "What runs.")
      out:sample("", label_text(summary.info), 1)
   end
   counters(out, phases)
   for _, g in ipairs(GAUGES) do
      out:family(g[1], "gauge", g[3])
      for label, p in each(phases) do out:sample("", label, p[g[2]]) end
   end
   distributions(out, phases)
   script_metrics(out, phases)
   return table.concat(out.pieces)
end

return prometheus
