--- A page for Prometheus, read: the text format 0.0.4, and what of OpenMetrics 1.0 servers send in its place (exemplars,
--- times in seconds, `# EOF`) or Prometheus 3 does (quoted names). A line that is neither is counted and passed over: what
--- stands in the others is as true as before.
local page = {}

local byte, find, match, sub = string.byte, string.find, string.match, string.sub

local MAX_LINE = 65536 -- bytes
local MAX_SAMPLES = 100000

local ESCAPES = { n = "\n", ['"'] = '"', ["\\"] = "\\" }

local function unescape(text)
   if not find(text, "\\", 1, true) then return text end
   return (text:gsub("\\(.)", function(c) return ESCAPES[c] or "\\" .. c end))
end

-- The text in quotes that begins at `at`, and where it goes on behind them; nil when they are not closed.
local function quoted(line, at)
   local from = at + 1
   at = from
   while true do
      at = find(line, '["\\]', at)
      if not at then return nil end
      if sub(line, at, at) == '"' then return unescape(sub(line, from, at - 1)), at + 1 end
      at = at + 2
   end
end

-- One of the things between braces: the name of a label, its value, and where it ends; a quoted name of the metric has no
-- value.
local function read_label(line, at)
   local name, value
   if sub(line, at, at) == '"' then
      name, at = quoted(line, at)
   else
      name, at = match(line, "^([%a_][%w_]*)()", at)
   end
   if not name then return nil end
   local equals = match(line, "^%s*=%s*()", at)
   if not equals then return name, nil, at end
   if sub(line, equals, equals) ~= '"' then return nil end
   value, at = quoted(line, equals)
   if not value then return nil end
   return name, value, at
end

-- What stands between braces from `at` on: labels by name, a name of the metric, and where it ends; nil when it is malformed.
local function read_labels(line, at)
   local labels, metric = {}, nil
   at = match(line, "^{%s*()", at)
   while sub(line, at, at) ~= "}" do
      local name, value
      name, value, at = read_label(line, at)
      if not name or value == nil and metric or labels[name] then return nil end
      if value == nil then metric = name else labels[name] = value end
      local following = match(line, "^%s*,%s*()", at) or match(line, "^%s*()}", at)
      if not following then return nil end
      at = following
   end
   return labels, metric, at + 1
end

local SPECIAL = { nan = 0 / 0, inf = math.huge, ["+inf"] = math.huge, ["-inf"] = -math.huge }

local function number(text)
   local special = SPECIAL[text:lower()]
   if special then return special end
   return find(text, "^[+-]?[%d.]") and not find(text, "[xXlLiI]") and tonumber(text) or nil
end

-- Behind the value, from `at` on: nothing, a time, an exemplar.
local function is_tail(line, at)
   if at > #line or find(line, "^#%s*{", at) then return true end
   local time, behind = match(line, "^(%S+)%s*()", at)
   return number(time) ~= nil and (behind > #line or find(line, "^#%s*{", behind) ~= nil)
end

-- name, labels, value; nil when the line is malformed. No blanks stand at its ends.
local function read_sample(line)
   local name, at = match(line, "^([%a_:][%w_:]*)%s*()")
   local labels = {}
   at = at or 1
   if sub(line, at, at) == "{" then
      local metric
      labels, metric, at = read_labels(line, at)
      if not labels or name and metric then return nil end
      name = name or metric
   end
   local text, behind = match(line, "^%s*(%S+)%s*()", at)
   local value = name and text and number(text)
   if not value or not is_tail(line, behind) then return nil end
   return name, labels, value
end

-- The last of text[from..to] that is no blank. A pattern that ends in %s*$ would take the square of the time.
local function without_blanks(text, from, to)
   local c = byte(text, to)
   while to >= from and (c == 32 or c >= 9 and c <= 13) do
      to = to - 1
      c = byte(text, to)
   end
   return to
end

--- The samples of a page. Families, help and types are passed over.
---@param text string
---@return { name: string, labels: table<string, string>, value: number }[]? samples  values may be infinite or no numbers;
--- nil: it is no such page
---@return integer|string malformed  lines that are none of the format; the message
function page.parse(text)
   local samples, malformed, at, lines = {}, 0, 1, 0
   while at <= #text do
      local stop = find(text, "\n", at, true) or #text + 1
      local from = match(text, "^[ \t\r]*()", at)
      if from < stop and sub(text, from, from) ~= "#" then
         lines = lines + 1
         local name, labels, value
         if stop - from <= MAX_LINE then name, labels, value = read_sample(sub(text, from, without_blanks(text, from, stop - 1))) end
         if not name then
            malformed = malformed + 1
         elseif #samples == MAX_SAMPLES then
            return nil, ("more than %d samples"):format(MAX_SAMPLES)
         else
            samples[#samples + 1] = { name = name, labels = labels, value = value }
         end
      end
      at = stop + 1
   end
   if lines > 0 and not samples[1] then return nil, "no line of it is a sample" end
   return samples, malformed
end

return page
