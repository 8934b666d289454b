--- perigee report: the report of a run, from its event log.
local command = require "perigee.cli.command"
local engine = require "perigee.engine"
local export = require "perigee.export"
local files = require "perigee.report.files"
local from_log = require "perigee.report.from_log"
local report_table = require "perigee.report.table"

local report = {
   name = "report",
   usage = "usage: perigee report LOG [--out DIR] [--export FORMS] [--json]",
   fewest = 1, most = 1, missing = "the path of an event log is missing",
   definitions = {
      { name = "out", value = "DIR", help = "write report.html, summary.json and the other files there" },
      { name = "export", value = "FORMS", read = export.parse, help = export.HELP },
      { name = "json", help = "print summary.json instead of the table" },
      { name = "help", help = "show this text" },
   },
   notes = "Exit status: 0 the log is whole, 1 its run was killed or a part of it is damaged, 2 bad options or no such file.",
}

local function write(values, path, summary, log)
   local made, message = engine.mkdir(values.out)
   if not made then return { message } end
   local problems = files.write_run(values.out, summary, report_table.render(summary), log.report, log.histograms)
   local requests = (path:match "^(.*)/[^/]*$" or ".") .. "/requests.jsonl"
   for _, problem in ipairs(export.write(values.export or {}, values.out, summary, requests)) do
      problems[#problems + 1] = problem
   end
   return problems
end

function report.run(args)
   local values, words = command.values(report, args)
   if not values then return words end
   if values.export and not values.out then return command.refuse(report, "--export needs --out, the folder it writes to") end
   local summary, problems, more = from_log.summary(words[1])
   if not summary then return command.refuse(report, problems, more == "ENOENT" and 2 or 1) end
   if values.out then
      for _, message in ipairs(write(values, words[1], summary, more)) do problems[#problems + 1] = message end
   end
   io.stdout:write(values.json and engine.json.encode(summary, 2) .. "\n" or report_table.render(summary))
   for _, message in ipairs(problems) do command.refuse(report, message) end
   return #problems > 0 and 1 or 0
end

return report
