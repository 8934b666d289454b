--- perigee compare: which numbers differ between runs, and how sure that is.
local command = require "perigee.cli.command"
local core = require "perigee.compare"
local data = require "perigee.compare.data"
local engine = require "perigee.engine"
local metrics = require "perigee.compare.metrics"
local results = require "perigee.compare.results"
local text = require "perigee.compare.text"
local verdict = require "perigee.verdict"

-- Names with commas between them.
local function read_metrics(list)
   local found = {}
   for name in list:gmatch "[^,%s]+" do
      local metric, message = metrics.find(name)
      if not metric then return nil, message end
      found[#found + 1] = metric
   end
   return found
end

-- "5%" as a part of one.
local function read_percent(written)
   local percent = tonumber(written:match "^%s*(%d*%.?%d+)%s*%%%s*$")
   return percent and percent / 100
end

local compare = {
   name = "compare",
   usage = "usage: perigee compare BASELINE RESULTS [RESULTS ...] [options]\n       perigee compare RESULTS [options]",
   fewest = 1, most = math.huge, missing = "the folders of results are missing: the baseline first",
   definitions = {
      { name = "phase", value = "NAME", help = "compare this phase alone (default all performance phases)" },
      { name = "metric", value = "NAMES", help = "compare these, a list such as ttft.p99,qps" },
      { name = "threshold", value = "[NAME=]P%", repeatable = true,
         help = "changes up to this are of no interest (default 5%; of shares 1 point); of one metric with its name" },
      { name = "fail-on", value = "NAMES", help = "exit with 3 only when one of these is worse, a list (default all that are compared)" },
      { name = "json", help = "print the comparison as JSON" },
      { name = "markdown", help = "print it as Markdown" },
      { name = "help", help = "show this text" },
   },
   notes = [[
RESULTS is the folder of a run, a folder of such folders (runs of the same thing), several of either with commas between
them, or a summary.json. With one alone its interleaved phases are compared.
Exit status: 0 nothing is worse, 3 something is, 2 bad options, a file that cannot be read, or one of --fail-on that a side
does not have.]],
}

-- A list of names in an option; nil, and the exit code, when one is unknown.
local function chosen(values, name, default)
   local list, message = read_metrics(values[name] or default)
   if not list then return nil, command.refuse(compare, ("option --%s: %s"):format(name:gsub("_", "-"), message)) end
   if #list == 0 then return nil, command.refuse(compare, ("option --%s: names of metrics expected"):format(name:gsub("_", "-"))) end
   return list
end

-- { all, share, by metric's name }; nil and what is wrong.
local function read_thresholds(list)
   local thresholds = { all = core.THRESHOLD, share = core.SHARE_THRESHOLD }
   for _, written in ipairs(list or {}) do
      local name, percent = written:match "^([%w_.]+)=(.*)$"
      local value = read_percent(percent or written)
      if not value then return nil, ("a percentage such as 5%% or ttft.p99=5%% expected, got '%s'"):format(written) end
      if name then
         local metric, message = metrics.find(name)
         if not metric then return nil, message end
         thresholds[metric.name] = value
      else
         thresholds.all = value
      end
   end
   return thresholds
end

local function names_of(list)
   local set = {}
   for _, metric in ipairs(list) do set[metric.name] = true end
   return set
end

-- What the options ask for; nil and the exit code.
local function read_options(values)
   local list, code = chosen(values, "metric", table.concat(metrics.DEFAULT, ","))
   if not list then return nil, code end
   local thresholds, message = read_thresholds(values.threshold)
   if not thresholds then return nil, command.refuse(compare, "option --threshold: " .. message) end
   local options = { phase = values.phase, metrics = list, asked = values.metric and list, thresholds = thresholds }
   if values.fail_on then
      local fail_on, failure = chosen(values, "fail_on")
      if not fail_on then return nil, failure end
      local compared = names_of(list)
      for _, metric in ipairs(fail_on) do
         if not compared[metric.name] then
            return nil, command.refuse(compare, ("option --fail-on: %s is not compared: name it in --metric"):format(metric.name))
         end
      end
      options.fail_on = names_of(fail_on)
   end
   return options
end

-- The sides with all that is read of them; nil and the message.
local function read_sides(words)
   local sides = {}
   for i, word in ipairs(words) do
      local side, message = results.side(word)
      if not side then return nil, message end
      sides[i] = side
      for _, run in ipairs(side.runs) do
         local ok, problem = results.requests(run)
         if not ok then return nil, problem end
      end
   end
   return sides
end

local function compare_sides(sides, options)
   if #sides > 1 then return core.runs(sides, options) end
   local runs = sides[1].runs
   if options.phase then return nil, "option --phase: the sides of one run are compared by all their rounds" end
   if #runs == 1 then return core.rounds(runs[1], options) end
   return nil, ("%s holds %d runs, and there is nothing to compare them with"):format(sides[1].name, #runs)
end

function compare.run(args)
   local values, words = command.values(compare, args)
   if not values then return words end
   if values.json and values.markdown then return command.refuse(compare, "--json and --markdown exclude each other") end
   local options, code = read_options(values)
   if not options then return code end
   local sides, message = read_sides(words)
   if not sides then return command.refuse(compare, message) end
   local report, problem = compare_sides(sides, options)
   if not report then return command.refuse(compare, problem) end
   local render = values.json and function(r) return engine.json.encode(data.of(r), 2) .. "\n" end
      or values.markdown and text.markdown or text.render
   io.stdout:write(render(report))
   if report.regressions > 0 then return verdict.EXIT.check end
   local unguarded = core.unguarded(report, options)
   if not unguarded then return verdict.EXIT.ok end
   return command.refuse(compare, ("option --fail-on: %s cannot be compared: a side has none of it, or 0"):format(unguarded.name))
end

return compare
