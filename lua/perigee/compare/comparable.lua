--- What speaks against a comparison: warnings, for people.
local engine = require "perigee.engine"
local nearest = require "perigee.nearest"

local null = engine.json.null
local comparable = {}

local function add(warnings, ...)
   local text = (...):format(select(2, ...))
   for _, known in ipairs(warnings) do
      if known == text then return end
   end
   warnings[#warnings + 1] = text
end

-- As text, the same for the same content.
local function shown(v)
   if v == nil or v == null then return "none" end
   return type(v) == "table" and engine.json.encode(v) or tostring(v)
end

local function same(x, y)
   return shown(x) == shown(y)
end

local function part(of, key)
   return type(of) == "table" and of ~= null and of[key] or nil
end

-- ---- runs ----

-- Of a run, what should be the same on both sides.
local FACTS = {
   { "scenario", function(s) return s.scenario end },
   { "seed", function(s) return s.config.seed end },
   { "dataset_sha256", function(s) return s.dataset_sha256 end },
   { "host", function(s) return part(s.host, "name") end },
   { "number of usable processors", function(s) return part(s.host, "usable_cpus") end },
   { "version of perigee", function(s) return part(s.versions, "perigee") end },
   { "number of workers", function(s) return part(s.config.workers, "count") end },
}

-- What failed, or where perigee itself was the limit; nil when the summary does not tell.
local function reason(summary)
   local failure = part(summary.failures, 1)
   if failure then return shown(failure) end
   for _, w in ipairs(part(summary, "warnings") or {}) do
      if shown(part(w, "kind")):find "^client_" then return shown(w.detail) end
   end
end

local function judge_run(warnings, run)
   local summary = run.summary
   if summary.verdict == "ok" then return end
   local why = reason(summary)
   add(warnings, "%s is %s%s", run.path, shown(summary.verdict), why and ": " .. why or "")
end

-- The checksum of the plan says nothing more where something that it is made of has been named.
local function compare_facts(warnings, base, run, side)
   local named, session = false, part(run.summary, "session_id")
   if type(session) == "string" and session == part(base.summary, "session_id") then
      add(warnings, "%s has the same run as the baseline: %s", side.letter, run.path)
   end
   for _, fact in ipairs(FACTS) do
      local x, y = fact[2](base.summary), fact[2](run.summary)
      if not same(x, y) then
         named = named or fact[1] == "seed" or fact[1] == "dataset_sha256"
         add(warnings, "%s has another %s than the baseline: %s, not %s", side.letter, fact[1], shown(y), shown(x))
      end
   end
   if not named and not same(base.summary.plan_checksum, run.summary.plan_checksum) then
      add(warnings, "%s has another plan than the baseline: loads, orders or stop rules differ (plan_checksum)", side.letter)
   end
end

--- What differs between the runs of all sides and the first one of the baseline.
---@param sides table[]
---@return string[] warnings
function comparable.runs(sides)
   local warnings, base = {}, sides[1].runs[1]
   for _, side in ipairs(sides) do
      for _, run in ipairs(side.runs) do
         judge_run(warnings, run)
         if run ~= base then compare_facts(warnings, base, run, side) end
      end
   end
   return warnings
end

---@param run table
---@return string[] warnings
function comparable.run(run)
   local warnings = {}
   judge_run(warnings, run)
   return warnings
end

-- ---- phases ----

local LENGTH_TOLERANCE = 0.05

-- Latencies and rates of answers of other lengths are other things.
local function compare_lengths(warnings, x, y, side, name)
   local a, b = part(x.summary.output_tokens, "mean"), part(y.summary.output_tokens, "mean")
   if type(a) ~= "number" or type(b) ~= "number" or a <= 0 or math.abs(b / a - 1) <= LENGTH_TOLERANCE then return end
   add(warnings, "phase '%s': answers of %s have %.4g tokens on average, those of the baseline %.4g", name, side.letter, b, a)
end

-- What of the config of a phase should be the same on both sides: the part and the key in it, or the key alone; and its name.
local SETTINGS = {
   { "load" }, { "target", "kind" }, { "target", "url" }, { "target", "model" }, { "target", "stream" }, { "target", "max_tokens" },
   { "requests", name = "number of requests" }, { "duration_s" }, { "min_requests" }, { "min_duration_s" }, { "max_duration_s" },
   { "deadline_s" }, { "slo_s" }, { "transport", "name", name = "transport" },
}

local function compare_settings(warnings, x, y, side, name)
   for _, path in ipairs(SETTINGS) do
      local a, b = part(x.config, path[1]), part(y.config, path[1])
      if path[2] then a, b = part(a, path[2]), part(b, path[2]) end
      if not same(a, b) then
         add(warnings, "phase '%s': %s has another %s than the baseline: %s, not %s", name, side.letter,
            path.name or table.concat(path, "."), shown(b), shown(a))
      end
   end
end

--- What differs between the phases of a name.
---@param warnings string[]  are added to
---@param pair table[]       entries of both sides
---@param sides table[]      both
---@param name string        of the phase
function comparable.phases(warnings, pair, sides, name)
   local base = pair[1][1]
   local x = base.run.phases[base.phase]
   for _, entry in ipairs(pair[2]) do
      local y = entry.run.phases[entry.phase]
      compare_settings(warnings, x, y, sides[2], name)
      compare_lengths(warnings, x, y, sides[2], name)
   end
   for i, side in ipairs(sides) do
      for _, entry in ipairs(pair[i]) do
         if entry.run.requests_path and not entry.run.requests[name] then
            add(warnings, "%s: its requests of phase '%s' are not those of summary.json, whose intervals are taken",
               entry.run.requests_path, name)
         end
      end
      if #pair[i] < #side.runs then add(warnings, "phase '%s' is not in all runs of %s", name, side.letter) end
   end
end

-- "ttft" of "ttft.p50".
local function kind_of(metric)
   return metric.distribution or metric.name
end

local function names_of_one(rows, has, lacks)
   local names, seen = {}, {}
   for _, row in ipairs(rows) do
      local kind = kind_of(row.metric)
      if row[has] and not row[lacks] and not seen[kind] then
         seen[kind] = true
         names[#names + 1] = kind
      end
   end
   return names
end

--- What only one side of a comparison has, so that nothing is said of it.
---@param warnings string[]  are added to
---@param comparison table   of perigee.compare, with its rows
---@param sides table[]      all of them
function comparable.lone(warnings, comparison, sides)
   local a, b = sides[comparison.a], sides[comparison.b]
   for _, one in ipairs { { "a", "b", a, b }, { "b", "a", b, a } } do
      local names = names_of_one(comparison.rows, one[1], one[2])
      if names[1] then
         local where = comparison.phase and ("phase '%s': "):format(comparison.phase) or ""
         add(warnings, "%s%s has no %s, but %s has", where, one[4].letter, table.concat(names, ", "), one[3].letter)
      end
   end
end

--- Metrics that were asked for, and that no run has.
---@param warnings string[]    are added to
---@param comparisons table[]  with their rows
---@param asked table[]?       metrics; nil: none by name
function comparable.absent(warnings, comparisons, asked)
   local found = {}
   for _, comparison in ipairs(comparisons) do
      for _, row in ipairs(comparison.rows) do found[row.metric.name] = true end
   end
   for _, metric in ipairs(asked or {}) do
      if not found[metric.name] then add(warnings, "no phase that is compared has %s", metric.name) end
   end
end

--- What the event logs, as far as they were read, could not tell.
---@param warnings string[]  are added to
---@param sides table[]
function comparable.logs(warnings, sides)
   for _, side in ipairs(sides) do
      for _, run in ipairs(side.runs) do
         if run.log_problem then add(warnings, "%s, whose intervals are taken for gaps", run.log_problem) end
      end
   end
end

local function performance_names(side)
   local names = {}
   for _, run in ipairs(side.runs) do
      for _, phase in ipairs(run.summary.phases) do
         if phase.kind == "performance" and not names[phase.name] then
            names[phase.name] = true
            names[#names + 1] = phase.name
         end
      end
   end
   return names
end

local function tell_missing(warnings, has, lacks)
   local names = performance_names(lacks)
   for _, name in ipairs(performance_names(has)) do
      if not names[name] then add(warnings, "phase '%s' of %s has no partner in %s", name, has.letter, lacks.letter) end
   end
end

--- Phases without a partner.
---@param warnings string[]  are added to
---@param sides table[]
---@param only? string       the one phase that is compared
function comparable.partners(warnings, sides, only)
   for b = 2, only and 1 or #sides do
      tell_missing(warnings, sides[1], sides[b])
      tell_missing(warnings, sides[b], sides[1])
   end
end

--- Why there is nothing to compare.
---@param sides table[]
---@param only? string
---@return string
function comparable.nothing(sides, only)
   local names = {}
   for _, phase in ipairs(sides[1].runs[1].summary.phases) do names[#names + 1] = phase.name end
   local known = ("%s has %s"):format(sides[1].runs[1].path, names[1] and table.concat(names, ", ") or "no phases")
   if not only then return "there is no performance phase that both have; " .. known end
   local near = nearest(only, names)
   local hint = near and near ~= only and (", did you mean '%s'?"):format(near) or ""
   return ("there is no phase '%s' on both sides%s; %s"):format(only, hint, known)
end

return comparable
