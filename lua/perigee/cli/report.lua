--- perigee report: the report of a run, from its event log.
local command = require "perigee.cli.command"
local engine = require "perigee.engine"
local files = require "perigee.report.files"
local from_log = require "perigee.report.from_log"
local series = require "perigee.report.series"
local report_table = require "perigee.report.table"

local report = {
   name = "report",
   usage = "usage: perigee report LOG [--out DIR] [--json]",
   fewest = 1, most = 1, missing = "the path of an event log is missing",
   definitions = {
      { name = "out", value = "DIR", help = "write summary.json, summary.txt, series.jsonl and config.json there" },
      { name = "json", help = "print summary.json instead of the table" },
      { name = "help", help = "show this text" },
   },
   notes = "Exit status: 0 the log is whole, 1 its run was killed or a part of it is damaged, 2 bad options or no such file.",
}

local function write(out, summary, text, engine_report)
   local made, message = engine.mkdir(out)
   if not made then return { message } end
   return files.write_run(out, summary, text, series.text(engine_report))
end

function report.run(args)
   local values, words = command.values(report, args)
   if not values then return words end
   local summary, problems, rest = from_log.summary(words[1])
   if not summary then return command.refuse(report, problems, rest == "ENOENT" and 2 or 1) end
   local text = report_table.render(summary)
   if values.out then
      for _, message in ipairs(write(values.out, summary, text, rest)) do problems[#problems + 1] = message end
   end
   io.stdout:write(values.json and engine.json.encode(summary, 2) .. "\n" or text)
   for _, message in ipairs(problems) do command.refuse(report, message) end
   return #problems > 0 and 1 or 0
end

return report
