--- What servers told Prometheus while a run lasted: each scrape (server.jsonl), and what it amounts to in each phase.
local engine = require "perigee.engine"
local names = require "perigee.scrape.names"
local schema = require "perigee.schema"
local units = require "perigee.units"
local warnings = require "perigee.warnings"

local json = engine.json
local null = json.null
local server = {}

local FIGURES = { "requests_running", "requests_waiting", "kv_cache_usage" } -- gauges that are told as they are

local by_key = {}
for _, quantity in ipairs(names.QUANTITIES) do by_key[quantity.key] = quantity end

-- To the microsecond.
local function seconds(ns)
   return math.floor(ns / 1e3 + 0.5) / 1e6
end

-- The phase in which a moment lies; nil before, between and after them.
local function phase_at(report, at_ns)
   for _, p in ipairs(report.phases) do
      if at_ns >= p.started_ns and at_ns <= p.started_ns + p.duration_ns then return p.name end
   end
end

--- The scrapes of a run, in their order.
---@param report table     the engine's
---@param lines? string[]  of perigee.scrape
---@return table[] entries  { t_s (from the session's start), phase, source, took_ms, values }, or failure and message in place
--- of values
function server.entries(report, lines)
   local entries = {}
   for i, line in ipairs(lines or {}) do
      local e = json.decode(line)
      if type(e) == "table" and type(e.at_s) == "number" and type(e.source) == "string" then
         local at_ns = e.at_s * 1e9
         e.t_s, e.phase, e.at_s, e.number = seconds(at_ns - (report.started_ns or 0)), phase_at(report, at_ns), nil, i
         entries[#entries + 1] = e
      end
   end
   table.sort(entries, function(a, b) return a.t_s < b.t_s or a.t_s == b.t_s and a.number < b.number end)
   for _, e in ipairs(entries) do e.number = nil end
   return entries
end

--- The lines of server.jsonl, each with its end.
---@param entries table[]
---@return string
function server.text(entries)
   local lines = {}
   for i, e in ipairs(entries) do lines[i] = json.encode(e) .. "\n" end
   return table.concat(lines)
end

-- ---- what a phase has of a source ----

-- read(e) over the scrapes of the phase.
local function gauge(window, read)
   local sum, n, out = 0, 0, nil
   for _, e in ipairs(window.inside) do
      local v = e.values and read(e.values)
      if v then
         out = out or { min = v, max = v }
         out.min, out.max, out.last = math.min(out.min, v), math.max(out.max, v), v
         sum, n = sum + v, n + 1
      end
   end
   if not out then return null end
   out.mean = sum / n
   return out
end

-- By how much a counter grew, and in how many seconds: from the last scrape before the phase to the first one after it. A
-- counter that fell began anew.
local function growth(window, read)
   local added, from, before, latest = 0, nil, nil, nil
   for _, e in ipairs(window.around) do
      local v = e.values and read(e.values)
      if v then
         if before then added = added + (v >= before and v - before or v) end
         from, before, latest = from or e.t_s, v, e.t_s
      end
   end
   if not from or latest == from then return nil end
   return added, latest - from
end

-- The seconds that counters are told over; null when there are not two scrapes.
local function span(window)
   local first, last
   for _, e in ipairs(window.around) do
      if e.values then first, last = first or e.t_s, e.t_s end
   end
   return first and last > first and last - first or null
end

local function reader(key)
   local quantity = by_key[key]
   return function(values) return names.read(quantity, values) end
end

local function rate(window, key)
   local added, counted_s = growth(window, reader(key))
   return added and added / counted_s or null
end

local function mean_of(window, key)
   local g = gauge(window, reader(key))
   return g ~= null and g.mean or null
end

local function hit_rate(window)
   local queries, hits = growth(window, reader "prefix_cache_queries"), growth(window, reader "prefix_cache_hits")
   if queries and hits then return queries > 0 and hits / queries or null end
   return mean_of(window, "prefix_cache_hit_rate")
end

-- The metrics that were kept besides.
local function others(window)
   local out = {}
   for _, e in ipairs(window.around) do
      for name in pairs(e.values or {}) do
         if not names.quantity(name) then out[name] = true end
      end
   end
   for name in pairs(out) do
      local function read(values) return values[name] end
      if names.is_counter(name) then
         local added, counted_s = growth(window, read)
         out[name] = added and { added = added, per_s = added / counted_s } or null
      else
         out[name] = gauge(window, read)
      end
   end
   return out
end

-- The scrapes of a source in a phase, and with those next to it.
local function window_of(entries, source, from_s, to_s)
   local inside, around = {}, {}
   for _, e in ipairs(entries) do
      if e.source == source then
         local before = e.t_s + e.took_ms / 1e3 <= from_s
         if before and e.values then around = { e } end
         if not before then around[#around + 1] = e end
         if e.t_s >= from_s and e.t_s <= to_s then inside[#inside + 1] = e end
         if e.t_s >= to_s and e.values then break end
      end
   end
   return { inside = inside, around = around }
end

local function count_failures(list)
   local failures, good = {}, 0
   for _, e in ipairs(list) do
      if e.failure then failures[e.failure] = (failures[e.failure] or 0) + 1 else good = good + 1 end
   end
   return failures, good
end

local function row(report, phase, entries, source)
   local from_s = (phase.started_ns - (report.started_ns or 0)) / 1e9
   local window = window_of(entries, source, from_s, from_s + phase.duration_ns / 1e9)
   local out = { phase = phase.name, source = source, counted_s = span(window), metrics = others(window) }
   out.failures, out.scrapes = count_failures(window.inside)
   for _, key in ipairs(FIGURES) do out[key] = gauge(window, reader(key)) end
   out.prefix_cache_hit_rate = hit_rate(window)
   out.preemptions = growth(window, reader "preemptions") or null
   out.prompt_tokens_per_s = rate(window, "prompt_tokens")
   out.generation_tokens_per_s = rate(window, "generation_tokens")
   if out.generation_tokens_per_s == null then out.generation_tokens_per_s = mean_of(window, "generation_rate") end
   return out
end

local function sources_of(entries)
   local list, seen = {}, {}
   for _, e in ipairs(entries) do
      if not seen[e.source] then list[#list + 1] = e.source end
      seen[e.source] = true
   end
   table.sort(list)
   return list
end

--- `server` of summary.json: for each phase and source what was scraped; null when nothing was to be.
---@param report table
---@param lines? string[]
function server.section(report, lines)
   local entries, out = server.entries(report, lines), {}
   if not entries[1] then return null end
   for _, phase in ipairs(report.phases) do
      for _, source in ipairs(sources_of(entries)) do out[#out + 1] = row(report, phase, entries, source) end
   end
   return json.array(out)
end

-- ---- in words ----

-- "refused 2, timeout 1"
local function in_words(failures)
   local parts = {}
   for _, class in ipairs(schema.sorted_keys(failures)) do parts[#parts + 1] = class .. " " .. failures[class] end
   return table.concat(parts, ", ")
end

-- Of a gauge with its greatest value, of a number alone.
local WORDS = {
   { "requests_running", "running %s", units.number }, { "requests_waiting", "waiting %s", units.number },
   { "kv_cache_usage", "KV-cache %s", units.percent }, { "prefix_cache_hit_rate", "prefix hits %s", units.percent },
   { "generation_tokens_per_s", "output %s tokens/s", units.number }, { "preemptions", "preemptions %s", units.number },
}

local function in_numbers(v, show)
   if type(v) == "table" then return ("%s (max %s)"):format(show(v.mean), show(v.max)) end
   return show(v)
end

local function line(r, with_source)
   local parts = {}
   for _, word in ipairs(WORDS) do
      local v = r[word[1]]
      if v ~= null and not (word[1] == "preemptions" and v == 0) then parts[#parts + 1] = word[2]:format(in_numbers(v, word[3])) end
   end
   if next(r.failures) then parts[#parts + 1] = ("failed scrapes %s"):format(in_words(r.failures)) end
   if not parts[1] then parts[1] = r.scrapes == 0 and "no scrape fell into this phase" or "none of the known metrics" end
   return ("  server%s: %s"):format(with_source and " " .. r.source or "", table.concat(parts, "  "))
end

--- The lines about a phase in summary.txt: one for each source.
---@param section any  `server` of summary.json
---@param phase string
---@return string[]
function server.lines(section, phase)
   local lines, first, several = {}, nil, false
   if type(section) ~= "table" then return lines end
   for _, r in ipairs(section) do
      first = first or r.source
      several = several or r.source ~= first
   end
   for _, r in ipairs(section) do
      if r.phase == phase then lines[#lines + 1] = line(r, several) end
   end
   return lines
end

-- ---- warnings ----

local function look(source, list, out)
   local failures, good = count_failures(list)
   local seen, malformed, left_out, message = false, 0, 0, nil
   for _, e in ipairs(list) do
      seen = seen or e.values and next(e.values) ~= nil
      malformed, left_out = math.max(malformed, e.malformed or 0), math.max(left_out, e.left_out or 0)
      if e.failure then message = e.message end
   end
   local function warn(...) warnings.add(out, "scrape", nil, ...) end
   if next(failures) then
      warn("%d of %d scrapes of %s failed (%s)%s", #list - good, #list, source, in_words(failures),
         message and ", the last with: " .. message:gsub("%c+", " ") or "")
   end
   if good > 0 and not seen then warn("the page of %s has none of the metrics that are looked for", source) end
   if malformed > 0 then warn("%d lines of the page of %s are not of Prometheus' format and were passed over", malformed, source) end
   if left_out > 0 then warn("%d metrics of %s found no room and were left out: keep fewer", left_out, source) end
end

--- Warn of what could not be scraped.
---@param report table
---@param lines? string[]
---@param out perigee.Warning[]
function server.warn(report, lines, out)
   local entries = server.entries(report, lines)
   for _, source in ipairs(sources_of(entries)) do
      local list = {}
      for _, e in ipairs(entries) do
         if e.source == source then list[#list + 1] = e end
      end
      look(source, list, out)
   end
end

return server
