--- The last words of a run, below its table: where the files are, the command again, and the verdict with its reason.
local config = require "perigee.report.config"
local text = require "perigee.text"

local closing = {}

-- Those that people open; what else is in the folder is named behind them.
local FIRST = { "report.html", "summary.json", "requests.jsonl", "events.plog" }
local OTHERS = { "summary.txt", "series.jsonl", "server.jsonl", "sample_idx_map.json", "config.json", "histograms.hgrm",
   "histograms.hlog" }
local SIGNALS = { [130] = "SIGINT", [143] = "SIGTERM" }

local function exists(path)
   local file = io.open(path)
   return file ~= nil and (file:close() or true)
end

--- A word as a POSIX shell reads it back.
---@param word string
---@return string
function closing.quote(word)
   if word ~= "" and not word:find "[^%w@%%+=:,./_-]" then return word end
   return "'" .. word:gsub("'", [['\'']]) .. "'"
end

-- "--api-key=KEY" and "--api-key KEY": a key too short to be searched for everywhere.
local function without_key(words, i)
   local name, value = words[i]:match "^%-%-([^=]+)=(.*)$"
   if name and value ~= "" and config.is_secret(name) then return "--" .. name .. "=" .. config.REDACTED end
   local before = words[i - 1] and words[i - 1]:match "^%-%-([^=]+)$"
   return before and config.is_secret(before) and config.REDACTED or words[i]
end

--- The command line, quoted for a shell, with secrets redacted.
---@param words string[]  behind `perigee run`
---@param plan table
---@return string
function closing.command(words, plan)
   local list = { "perigee run" }
   for i = 1, #words do list[i + 1] = closing.quote(config.clean(without_key(words, i), plan)) end
   return table.concat(list, " ")
end

-- All results of checks: those that failed, in words, and how many there are.
local function failed_checks(summary)
   local failed, count = {}, 0
   local function look(at, list)
      for _, check in ipairs(list) do
         count = count + 1
         local detail = type(check.detail) == "string" and " (" .. check.detail .. ")" or ""
         if not check.passed then failed[#failed + 1] = ("%sthe check '%s' does not hold%s"):format(at, check.check, detail) end
      end
   end
   for _, phase in ipairs(summary.phases) do look(("phase '%s': "):format(phase.name), phase.checks) end
   look("", summary.checks)
   return failed, count
end

-- The first of a list, and how many more there are.
local function first_of(list)
   return list[1] and list[1]:match "^[^\n]*" .. (#list > 1 and (", and %d more"):format(#list - 1) or "")
end

--- Why the exit status is what it is.
---@param result table  of runner.run, with a summary
---@return string
function closing.reason(result)
   local summary = result.summary
   local failed, checks = failed_checks(summary)
   if summary.verdict == "interrupted" then return (SIGNALS[result.exit_code] or "a signal") .. " came" end
   if result.exit_code == 2 then return "an error of the script, see above" end -- its text is not told twice
   if result.exit_code ~= 0 then
      return first_of(result.exit_code == 3 and failed or {}) or first_of(summary.failures) or first_of(result.problems) or "see above"
   end
   if summary.verdict == "client_limited" then return "perigee itself was a limit of what it measured, see the warnings" end
   return checks == 0 and "every phase ran" or checks == 1 and "its check holds" or ("all %d checks hold"):format(checks)
end

local function file_lines(out, more, exported)
   local lines, others = {}, {}
   local function add(path) lines[#lines + 1] = (#lines == 0 and "files:   " or "         ") .. path end
   for _, name in ipairs(FIRST) do
      if exists(out .. "/" .. name) then add(out .. "/" .. name) end
   end
   for _, path in ipairs(more) do
      if exists(path) then add(path) end
   end
   for _, name in ipairs(OTHERS) do
      if exists(out .. "/" .. name) then others[#others + 1] = name end
   end
   for _, name in ipairs(exported) do others[#others + 1] = name end
   if others[1] then lines[#lines + 1] = "         also there: " .. table.concat(others, ", ") end
   return lines
end

--- The lines as one text.
---@param result table    of runner.run, with a summary
---@param options { out: string, files?: string[], words: string[], plan: table }  files: written elsewhere
---@return string
function closing.text(result, options)
   local lines = file_lines(options.out, options.files or {}, result.exported or {})
   lines[#lines + 1] = "command: " .. closing.command(options.words, options.plan)
   local reason = text.clean(closing.reason(result)) -- what checks say comes from outside
   lines[#lines + 1] = ("verdict: %s, exit status %d: %s"):format(result.summary.verdict, result.exit_code, reason)
   return table.concat(lines, "\n") .. "\n"
end

return closing
