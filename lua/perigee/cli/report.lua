--- perigee report: the report of a run, from its event log.
local command = require "perigee.cli.command"
local engine = require "perigee.engine"
local export = require "perigee.export"
local files = require "perigee.report.files"
local from_log = require "perigee.report.from_log"
local report_table = require "perigee.report.table"

local report = {
   name = "report",
   usage = "usage: perigee report LOG [--out DIR] [--export FORMS] [--hlog-interval TIME] [--json]",
   fewest = 1, most = 1, missing = "the path of an event log is missing",
   definitions = {
      { name = "out", value = "DIR", help = "write report.html, summary.json, requests.jsonl and the other files there" },
      { name = "export", value = "FORMS", read = export.parse, help = export.HELP },
      { name = "hlog-interval", value = "TIME", type = "duration",
         help = "make histograms.hlog of intervals of this length, for latency over time" },
      { name = "json", help = "print summary.json instead of the table" },
      { name = "help", help = "show this text" },
   },
   notes = "Exit status: 0 the log is whole, 1 its run was killed or a part of it is damaged, 2 bad options or no such file.",
}

local SHORTEST = 0.001 -- seconds: a histogram log counts in milliseconds

-- The folder of the files, made where there is a log to report, and where its requests are written meanwhile.
local function make_folder(values, path)
   local log = values.out and io.open(path, "rb")
   if not log then return nil end
   log:close()
   local made, message = engine.mkdir(values.out)
   return made and values.out .. "/requests.jsonl.tmp", message
end

-- The requests take their place. Those of a run may be more than a log that is damaged has.
local function place_requests(part, log, problems)
   if log.requests_problem then return os.remove(part) end
   local damaged = #problems > 0
   local ok, message = engine.replace_file(part, (part:gsub("%.tmp$", "")), damaged)
   if ok then return end
   os.remove(part)
   problems[#problems + 1] = message
end

-- A histogram log over time takes the place of that of whole phases. Returns what went wrong.
local function write_intervals(values, path)
   local part = values.out .. "/histograms.hlog.tmp"
   local ok, message = engine.log_intervals(path, part, values.hlog_interval)
   if ok then ok, message = os.rename(part, values.out .. "/histograms.hlog") end
   if ok then return nil end
   os.remove(part)
   return message
end

local function write(values, path, summary, log, problems)
   local list = files.write_run(values.out, summary, report_table.render(summary), log.report, log.histograms, log.scrapes)
   for _, problem in ipairs(list) do problems[#problems + 1] = problem end
   if values.hlog_interval then problems[#problems + 1] = write_intervals(values, path) end
   list = export.write(values.export or {}, values.out, summary, values.out .. "/requests.jsonl", path)
   for _, problem in ipairs(list) do problems[#problems + 1] = problem end
end

function report.run(args)
   local values, words = command.values(report, args)
   if not values then return words end
   if values.export and not values.out then return command.refuse(report, "--export needs --out, the folder it writes to") end
   if values.hlog_interval then
      if not values.out then return command.refuse(report, "--hlog-interval needs --out, the folder it writes to") end
      if values.hlog_interval < SHORTEST then return command.refuse(report, "option --hlog-interval: at least 1ms expected") end
   end
   local part, no_folder = make_folder(values, words[1])
   local summary, problems, log = from_log.summary(words[1], part)
   if not summary then
      if part then os.remove(part) end
      return command.refuse(report, problems, log == "ENOENT" and 2 or 1)
   end
   problems[#problems + 1] = no_folder
   if part then
      place_requests(part, log, problems)
      write(values, words[1], summary, log, problems)
   end
   io.stdout:write(values.json and engine.json.encode(summary, 2) .. "\n" or report_table.render(summary))
   for _, message in ipairs(problems) do command.refuse(report, message) end
   return #problems > 0 and 1 or 0
end

return report
