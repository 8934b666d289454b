--- Checks: conditions on a phase's report. "ttft.p99 < 500ms" is compiled when the
--- scenario loads, so that a typo shows before any traffic.
local engine = require "perigee.engine"
local metric = require "perigee.metric"
local nearest = require "perigee.nearest"
local schema = require "perigee.schema"
local phase_summary = require("perigee.report.summary").phase
local units = require "perigee.units"
local where = require "perigee.where"

local checks = {}

local STATISTICS = { mean = "mean", min = "min", max = "max", p50 = "p50", p90 = "p90", p95 = "p95", p99 = "p99",
   p999 = "p99.9", ["p99.9"] = "p99.9" }
local STATISTIC_NAMES = { "mean", "min", "max", "p50", "p90", "p95", "p99", "p99.9" }
-- Of a histogram of the script these as well.
local OWN_STATISTICS = { "mean", "min", "max", "p50", "p90", "p95", "p99", "p99.9", "count", "sum" }

local function per_second(count, report)
   return report.duration_ns > 0 and count / (report.duration_ns / 1e9) or nil
end

local function counter(name)
   return { unit = "count", by_tag = name ~= "dropped", get = function(report) return report[name] or 0 end }
end

-- name -> unit and get(engine's phase report) -> number | nil when undefined
local NUMBERS = {
   issued = counter "issued", completed = counter "completed", failed = counter "failed",
   abandoned = counter "abandoned", dropped = counter "dropped",
   error_rate = { unit = "fraction", by_tag = true, get = function(report)
      local bad = report.failed + report.abandoned
      local ended = report.completed + bad
      return ended > 0 and bad / ended or nil
   end },
   -- Without an SLO there is no data.
   goodput = { unit = "fraction", by_tag = true, get = function(report)
      local ended = report.completed + report.failed + report.abandoned
      return report.has_slo and ended > 0 and report.good / ended or nil
   end },
   goodput_per_s = { unit = "rate", by_tag = true, get = function(report)
      return report.has_slo and per_second(report.good, report) or nil
   end },
   qps = { unit = "rate", by_tag = true, get = function(report) return per_second(report.completed, report) end },
   output_tokens_per_s = { unit = "rate", by_tag = true, get = function(report) return per_second(report.tokens_out or 0, report) end },
}
NUMBERS.tokens_per_s = NUMBERS.output_tokens_per_s

local METRICS = { "latency", "service_time", "ttft", "ttft_service", "tpot", "itl", "itl_token", "lateness", "first_byte",
   "first_event", "first_content", "first_reasoning" }
-- As if a failed request had taken for ever: percentiles alone.
local WITH_FAILURES = { latency_with_failures = true, ttft_with_failures = true }
local PERCENTILES = { "p50", "p90", "p95", "p99", "p99.9" }
local IS_METRIC, NAMES = {}, {}
for _, name in ipairs(METRICS) do
   IS_METRIC[name] = true
   NAMES[#NAMES + 1] = name
end
for name in pairs(WITH_FAILURES) do NAMES[#NAMES + 1] = name end
for name in pairs(NUMBERS) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

local COMPARE = {
   ["<"] = function(a, b) return a < b end, ["<="] = function(a, b) return a <= b end,
   [">"] = function(a, b) return a > b end, [">="] = function(a, b) return a >= b end,
   ["=="] = function(a, b) return a == b end, ["~="] = function(a, b) return a ~= b end,
}
COMPARE["!="] = COMPARE["~="]

-- Raise with the text and a caret under position `at`.
local function refuse(text, at, message, place)
   where.fail(("check: %s\n   %s\n   %s^"):format(message, text, (" "):rep(at - 1)), place)
end

local function did_you_mean(word, names)
   local near = nearest(word, names)
   return near and (", did you mean '%s'?"):format(near) or " (" .. table.concat(names, ", ") .. ")"
end

-- The key of a distribution's statistic.
local function statistic_key(text, name, at, statistic, names, place)
   if not statistic then
      refuse(text, at, ("'%s' is a distribution: say which statistic, e.g. %s.p99"):format(name, name), place)
   end
   local key = STATISTICS[statistic]
   if not key and names == OWN_STATISTICS and (statistic == "count" or statistic == "sum") then key = statistic end
   if key and names == PERCENTILES and not key:find "^p" then key = nil end
   if not key then
      refuse(text, at + #name + 1, ("unknown statistic '%s'%s"):format(statistic, did_you_mean(statistic, names)), place)
   end
   return key
end

local function refuse_statistic(text, name, at, statistic, place)
   if statistic then refuse(text, at + #name, ("'%s' is a number and has no statistics"):format(name), place) end
end

-- A number in the metric's own unit; a unit of time may be another one.
local function own_number(m)
   local scale = m.unit and units.duration("1" .. m.unit)
   return function(number, suffix)
      if suffix == "" or suffix == m.unit then return tonumber(number) end
      local seconds = scale and units.duration(number .. suffix)
      if seconds then return seconds / scale end
      return nil, m.unit and ("'%s' is counted in %s"):format(m.name, m.unit) or ("'%s' has no unit"):format(m.name)
   end
end

-- A metric of the script.
local function own_metric(text, m, at, statistic, place)
   local key
   if m.kind == "histogram" then
      key = statistic_key(text, m.name, at, statistic, OWN_STATISTICS, place)
   else
      refuse_statistic(text, m.name, at, statistic, place)
   end
   local function get(report) return m:value(report.name, key) end
   if key == "count" then return { unit = "count", get = get } end
   return {
      read = own_number(m), get = get,
      show = function(x) return units.number(x) .. (m.unit and " " .. m.unit or "") end,
   }
end

local function all_names()
   local names = metric.names()
   for _, name in ipairs(NAMES) do names[#names + 1] = name end
   table.sort(names)
   return names
end

-- A percentile that a failed request is.
local function with_failures(text, name, at, statistic, place)
   local key = statistic_key(text, name, at, statistic, PERCENTILES, place)
   return {
      unit = "duration", by_tag = true,
      get = function(report)
         local d = report[name]
         if d and d.count > 0 then return d[key] or math.huge end
      end,
      show = function(ns) return ns == math.huge and "for ever" or units.ns(ns) end,
   }
end

local function left_side(text, at, word, place)
   local name, statistic = word:match("^([^.]*)%.(.*)$")
   name = name or word
   if IS_METRIC[name] then
      local key = statistic_key(text, name, at, statistic, STATISTIC_NAMES, place)
      return { unit = "duration", by_tag = true, get = function(report) return report[name] and report[name][key] end }
   end
   if WITH_FAILURES[name] then return with_failures(text, name, at, statistic, place) end
   local own = metric.find(name)
   if own then return own_metric(text, own, at, statistic, place) end
   local number = NUMBERS[name]
   if not number then refuse(text, at, ("unknown metric '%s'%s"):format(name, did_you_mean(name, all_names())), place) end
   refuse_statistic(text, name, at, statistic, place)
   return { unit = number.unit, by_tag = number.by_tag, get = number.get }
end

-- unit -> function(number, suffix) -> value | nil, problem, is it the number's (else the suffix's)
local READ = {
   duration = function(number, suffix)
      if suffix == "" or suffix == "%" then return nil, "a duration needs a unit: ns, us, ms, s, m or h" end
      local seconds, problem = units.duration(number .. suffix)
      if not seconds then return nil, ("'%s' %s"):format(suffix, problem) end
      return seconds * 1e9
   end,
   fraction = function(number, suffix)
      local value = suffix == "%" and tonumber(number) / 100 or suffix == "" and tonumber(number)
      if value and value <= 1 then return value end
      if value then
         return nil, "a share is at most 1" .. (suffix == "" and (": did you mean %s%%?"):format(number) or ", which is 100%"), true
      end
      return nil, "a share is a number or a percentage, 0.01 or 1%"
   end,
   count = function(number, suffix)
      if suffix ~= "" then return nil, "a count has no unit" end
      return tonumber(number)
   end,
   rate = function(number, suffix)
      if suffix ~= "" and suffix ~= "/s" then return nil, "a rate is a number per second, without a unit" end
      return tonumber(number)
   end,
}

local SHOW = {
   duration = units.ns, fraction = units.percent, count = units.number,
   rate = function(x) return units.number(x) .. "/s" end,
}

-- tag('long').ttft.p99: the tag's name, and where the metric begins.
local function tag_prefix(text, place)
   local at, open_at = text:match("^%s*()tag%s*%(()")
   if not at then return nil, 1 end
   local name, next_at = text:match("^%s*'([^']+)'%s*%)%s*%.()", open_at)
   if not name then name, next_at = text:match('^%s*"([^"]+)"%s*%)%s*%.()', open_at) end
   if not name then refuse(text, at, "the tag's name in quotes and a metric expected, e.g. tag('long').ttft.p99", place) end
   return name, next_at
end

-- The same number of the requests with a tag alone.
local function of_tag(left, tag)
   local get = left.get
   left.get = function(report)
      local tagged = report.tags and report.tags[tag]
      if tagged then return get(tagged) end
   end
   return left
end

local function compile_text(text, place)
   local tag, from = tag_prefix(text, place)
   local word_at, word, next_at = text:match("^%s*()([%a_][%w_.]*)%s*()", from)
   if not word then refuse(text, text:match("^%s*()", from), "a metric expected", place) end
   local left = left_side(text, word_at, word, place)
   if tag and not left.by_tag then refuse(text, word_at, ("'%s' is not counted by tag"):format(word), place) end
   if tag then left = of_tag(left, tag) end
   local operator, number_at = text:match("^([<>=~!]+)%s*()", next_at)
   if not operator then refuse(text, next_at, "a comparison expected (<, <=, >, >=, ==, ~=)", place) end
   local compare = COMPARE[operator]
   if not compare then refuse(text, next_at, ("unknown comparison '%s' (<, <=, >, >=, ==, ~=)"):format(operator), place) end
   local number, suffix_at = text:match("^(%-?%d*%.?%d*)%s*()", number_at)
   local suffix = text:match("^[%%%a/\194\181][%w.%%/\194\181]*", suffix_at) or ""
   local rest_at = text:match("^%s*()", suffix_at + #suffix)
   if not tonumber(number) then refuse(text, number_at, "a number expected", place) end
   local bound, problem, of_number = (left.read or READ[left.unit])(number, suffix)
   if not bound then refuse(text, of_number and number_at or suffix_at, problem, place) end
   if rest_at <= #text then refuse(text, rest_at, "nothing more expected", place) end

   local show = left.show or SHOW[left.unit]
   return function(report)
      local value = left.get(report)
      if value == nil then return nil, "no data" end
      return compare(value, bound), show(value)
   end
end

local function function_name(fn)
   local info = debug.getinfo(fn, "S")
   return ("function at %s:%d"):format(info.short_src:match("[^/]*$"), info.linedefined)
end

-- A user's function(summary of the phase) -> boolean [, message]; nil: not yet known.
local function compile_function(fn)
   return function(_, summary, timeout)
      local trace
      local ok, passed, message = engine.guard("check", timeout or 0, function(e)
         trace = where.traceback(2)
         return tostring(e)
      end, fn, summary)
      if not ok then return false, "error: " .. passed, passed .. "\n" .. (trace or "") end
      if passed ~= nil then passed = passed and true or false end
      return passed, message ~= nil and tostring(message) or nil
   end
end

--- A check that may end the run before its time.
---@class perigee.Check
---@field [1]? string|fun(phase: table): boolean?, string?  the check
---@field check? string|fun(phase: table): boolean?, string?  the check; also as the first positional value
---@field abort? boolean  (false) look at it about once a second while the phase runs, and before the next one begins. When it
---   has data and does not hold, the run ends in order: a phase that issues is ended by `check`, no further phase begins, exit
---   status 3. The report says which check it was; its result stays as it was then
---@field after? perigee.Duration  (0) of the phase, before which it is not looked at
local FIELDS = {
   check = schema.required(schema.either(schema.string, schema.func)),
   abort = schema.default(schema.boolean, false), after = schema.either(schema.duration, schema.not_negative),
}

-- { "error_rate < 1%", abort = true, after = "10s" } as { check =, abort =, after = }.
local function read_table(written, at, place, is_overall)
   local fields = {}
   for key, value in pairs(written) do fields[key] = value end
   if fields[1] ~= nil then
      if fields.check ~= nil then where.fail(at .. ": the check is given twice", place) end
      fields.check, fields[1] = fields[1], nil
   end
   if is_overall and (fields.abort ~= nil or fields.after ~= nil) then
      where.fail(at .. ": 'abort' and 'after' belong to checks of a phase; those of the whole run are looked at when it is over", place)
   end
   fields = schema.check(at, FIELDS, fields, place)
   if fields.after and not fields.abort then where.fail(at .. ": 'after' says when 'abort' begins: set abort = true", place) end
   return fields
end

local function compile_one(written, at, place, is_overall)
   local is_table = type(written) == "table" and not getmetatable(written)
   local fields = is_table and read_table(written, at, place, is_overall) or { check = written }
   local check, compiled = fields.check, { abort = fields.abort, after = fields.after or 0 }
   if type(check) == "string" then
      compiled.text, compiled.test = check, compile_text(check, place)
   elseif type(check) == "function" then
      compiled.text, compiled.test = function_name(check), compile_function(check)
   else
      where.fail(("%s: a string such as \"ttft.p99 < 500ms\", a function or a table with one of them expected, got a %s"):format(
         at, type(check)), place)
   end
   return compiled
end

--- Compile a list of checks (strings, functions, and tables with one of them); an error names what is wrong.
---@param list? (string|function|table)[]
---@param at string       e.g. "scenario.checks"
---@param place? string   "file:line"
---@param is_overall? boolean  of the whole run: without abort
---@return table[]        of { text, abort, after (seconds), test(report, summary) -> passed (nil: no data), detail, script_error }
function checks.compile(list, at, place, is_overall)
   if list == nil then return {} end
   if type(list) ~= "table" or getmetatable(list) then where.fail(at .. ": a list of checks expected, got " .. type(list), place) end
   for key in pairs(list) do
      if type(key) ~= "number" then where.fail(("%s: a list of checks expected, found the field '%s'"):format(at, tostring(key)), place) end
   end
   schema.no_holes(at, list, place)
   local compiled = {}
   for i, check in ipairs(list) do compiled[i] = compile_one(check, ("%s[%d]"):format(at, i), place, is_overall) end
   return compiled
end

--- A function that judges a report of the engine: do all of these checks hold? What has no data does not.
---@param written string|function|(string|function)[]
---@param at string  e.g. "perigee.slo"
---@return fun(report: table): boolean, string  and what was found
function checks.holds(written, at)
   local list = type(written) == "table" and not getmetatable(written) and written or { written }
   local compiled = checks.compile(list, at, where.caller())
   return function(report)
      local passed, details = true, {}
      for i, check in ipairs(compiled) do
         local ok, detail, script_error = check.test(report, phase_summary(report))
         if script_error then error(script_error, 0) end
         passed, details[i] = passed and ok == true, detail or (ok and "holds" or "does not hold")
      end
      return passed, table.concat(details, ", ")
   end
end

--- Evaluate: a list of { check =, passed =, detail =, aborted =, script_error = }; the last is the
--- message of an error with its traceback. A check that has ended the run stays as it was then.
---@param compiled table[]
---@param report table   the engine's report of the phase
---@param summary table  the same phase as it stands in summary.json
---@param how? { aborted: table<table, string>?, timeout: number? }  detail by the check that ended the run; seconds for a function
function checks.evaluate(compiled, report, summary, how)
   local results, aborted, timeout = {}, how and how.aborted or {}, how and how.timeout
   for i, check in ipairs(compiled) do
      local ended = aborted[check]
      if ended then
         results[i] = { check = check.text, passed = false, detail = ended, aborted = true }
      else
         local passed, detail, script_error = check.test(report, summary, timeout)
         results[i] = { check = check.text, passed = passed or false, detail = detail, aborted = false, script_error = script_error }
      end
   end
   return results
end

--- The percentile of a distribution that a check is about.
---@param text string  a check that was compiled, as it stands in a run's config
---@return { percentile: number, metric: string, tag: string? }? claim  nil: it is about something else
function checks.claim(text)
   local tag, from = tag_prefix(text)
   local name, statistic = text:match("^%s*([%a_][%w_]*)%.([%w.]+)", from)
   local key = name and IS_METRIC[name] and STATISTICS[statistic]
   local percentile = key and tonumber(key:match "^p(.+)$")
   return percentile and { percentile = percentile, metric = name, tag = tag } or nil
end

checks.NAMES = NAMES

return checks
