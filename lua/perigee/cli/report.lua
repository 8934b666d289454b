--- perigee report: the report of a run, from its event log.
local engine = require "perigee.engine"
local files = require "perigee.report.files"
local from_log = require "perigee.report.from_log"
local options = require "perigee.cli.options"
local report_table = require "perigee.report.table"

local report = {
   name = "report",
   summary = "rebuild the report of a run from its event log",
   usage = "usage: perigee report LOG [--out DIR] [--json]",
}

local DEFINITIONS = {
   { name = "out", value = "DIR", help = "write summary.json, summary.txt and config.json there" },
   { name = "json", help = "print summary.json instead of the table" },
   { name = "help", help = "show this text" },
}

local function complain(list)
   for _, text in ipairs(list) do io.stderr:write("perigee report: ", text, "\n") end
end

local function refuse(message)
   complain { message }
   return 2
end

local function write(out, summary, text)
   local made, message = engine.mkdir(out)
   if not made then return { message } end
   return files.write_run(out, summary, text)
end

function report.run(args)
   local values, positional = options.parse(args, DEFINITIONS)
   if not values then return refuse(positional) end
   if values.help then
      io.stdout:write(report.usage, "\n\noptions:\n", options.help(DEFINITIONS), "\n")
      return 0
   end
   if #positional ~= 1 then return refuse("the path of one event log is expected") end
   local summary, problems, code = from_log.summary(positional[1])
   if not summary then
      complain { problems }
      return code == "ENOENT" and 2 or 1
   end
   local text = report_table.render(summary)
   if values.out then
      for _, message in ipairs(write(values.out, summary, text)) do problems[#problems + 1] = message end
   end
   io.stdout:write(values.json and engine.json.encode(summary, 2) .. "\n" or text)
   complain(problems)
   return #problems > 0 and 1 or 0
end

return report
