--- JUnit XML of a summary, for CI systems: a suite for each phase and for the whole run, a case for each check.
local engine = require "perigee.engine"

local null = engine.json.null
local junit = {}

local UNKNOWN = "\239\191\189" -- U+FFFD, for what XML cannot hold
local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&apos;" }

-- The characters of UTF-8 by their length and first bytes, without surrogates.
local CHARACTERS = {
   "^[%z\1-\127]", "^[\194-\223][\128-\191]", "^\224[\160-\191][\128-\191]", "^[\225-\236\238\239][\128-\191][\128-\191]",
   "^\237[\128-\159][\128-\191]", "^\240[\144-\191][\128-\191][\128-\191]", "^[\241-\243][\128-\191][\128-\191][\128-\191]",
   "^\244[\128-\143][\128-\191][\128-\191]",
}
local NO_CHARACTERS = { ["\239\191\190"] = true, ["\239\191\191"] = true } -- U+FFFE, U+FFFF

-- Line ends would become blanks in an attribute.
local function escape_character(c)
   if ENTITIES[c] then return ENTITIES[c] end
   if c == "\t" or c == "\n" or c == "\r" then return ("&#%d;"):format(c:byte()) end
   return (c:find "^[%z\1-\31]" or NO_CHARACTERS[c]) and UNKNOWN or c
end

local function character_end(text, at)
   for _, pattern in ipairs(CHARACTERS) do
      local _, to = text:find(pattern, at)
      if to then return to end
   end
end

--- A text as it may stand in an attribute or an element.
---@param text string
---@return string
function junit.escape(text)
   local out, at = {}, 1
   while at <= #text do
      local to = character_end(text, at)
      out[#out + 1] = to and escape_character(text:sub(at, to)) or UNKNOWN
      at = (to or at) + 1
   end
   return table.concat(out)
end

-- <name a="1" b="2": attributes in the order given, as pairs.
local function open_tag(name, attributes)
   local parts = { "<" .. name }
   for _, pair in ipairs(attributes) do parts[#parts + 1] = ('%s="%s"'):format(pair[1], junit.escape(tostring(pair[2]))) end
   return table.concat(parts, " ")
end

local function element(name, attributes, text)
   return ("%s>%s</%s>"):format(open_tag(name, attributes), junit.escape(text), name)
end

-- A case; bad: the element that says why it is none of the good ones, or nil.
local function case(lines, class, name, bad)
   local tag = open_tag("testcase", { { "classname", class }, { "name", name } })
   lines[#lines + 1] = bad and ("    %s>%s</testcase>"):format(tag, bad) or ("    %s/>"):format(tag)
end

local function suite(lines, name, counts, seconds, write_cases)
   lines[#lines + 1] = "  " .. open_tag("testsuite", {
      { "name", name }, { "tests", counts.tests }, { "failures", counts.failures }, { "errors", counts.errors },
      { "time", ("%.3f"):format(seconds) },
   }) .. ">"
   write_cases()
   lines[#lines + 1] = "  </testsuite>"
end

local function failure(at, check)
   local detail = check.detail ~= null and check.detail or "does not hold"
   local text = ("%s: %s: %s%s"):format(at, check.check, detail, check.aborted and "; it ended the run" or "")
   return element("failure", { { "message", detail }, { "type", check.aborted and "abort" or "check" } }, text)
end

local function count_checks(list)
   local counts = { tests = #list, failures = 0, errors = 0 }
   for _, check in ipairs(list) do
      if not check.passed then counts.failures = counts.failures + 1 end
   end
   return counts
end

local function check_suite(lines, class, name, at, list, seconds)
   suite(lines, name, count_checks(list), seconds, function()
      for _, check in ipairs(list) do case(lines, class, check.check, not check.passed and failure(at, check) or nil) end
   end)
end

-- So that no failed run looks like a good one.
local function run_suite(lines, summary)
   suite(lines, "run", { tests = 1, failures = 0, errors = 1 }, 0, function()
      local why = summary.failures[1] or summary.verdict
      local all = table.concat(summary.failures, "\n")
      case(lines, summary.scenario, "run", element("error", { { "message", why }, { "type", summary.verdict } }, all))
   end)
end

--- The document. A run that failed although its checks hold has a further suite, `run`, that says why.
---@param summary table  of report.summary
---@return string
function junit.render(summary)
   local lines, total, seconds = {}, { tests = 0, failures = 0, errors = 0 }, 0
   local function add(name, at, list, duration)
      local counts = count_checks(list)
      total.tests, total.failures = total.tests + counts.tests, total.failures + counts.failures
      seconds = seconds + duration
      check_suite(lines, summary.scenario .. "." .. name, name, at, list, duration)
   end
   for _, phase in ipairs(summary.phases) do
      add(phase.name, ("phase '%s'"):format(phase.name), phase.checks, phase.duration_s)
   end
   if summary.checks[1] then add("overall", "overall", summary.checks, 0) end
   local good = summary.verdict == "ok" or summary.verdict == "client_limited"
   if not good and total.failures == 0 then
      total.tests, total.errors = total.tests + 1, 1
      run_suite(lines, summary)
   end
   local head = open_tag("testsuites", {
      { "name", summary.scenario }, { "tests", total.tests }, { "failures", total.failures }, { "errors", total.errors },
      { "time", ("%.3f"):format(seconds) },
   })
   return table.concat({ '<?xml version="1.0" encoding="UTF-8"?>', head .. ">", table.concat(lines, "\n"), "</testsuites>" }, "\n") .. "\n"
end

return junit
