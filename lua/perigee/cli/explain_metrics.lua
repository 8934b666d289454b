--- perigee explain-metrics: what each metric is, and what other tools call it.
local command = require "perigee.cli.command"
local definitions = require "perigee.definitions"
local nearest = require "perigee.nearest"

local explain_metrics = {
   name = "explain-metrics",
   usage = "usage: perigee explain-metrics [NAME ...] [--markdown]",
   most = math.huge,
   definitions = {
      { name = "markdown", help = "as the page docs/metrics.md" },
      { name = "help", help = "show this text" },
   },
   notes = "Without a name: all of them.",
}

local WIDTH = 100

-- Words in lines of at most WIDTH, each indented.
local function wrap(text, indent)
   local lines, line = {}, ""
   for word in text:gmatch "%S+" do
      if line ~= "" and #indent + #line + 1 + #word > WIDTH then
         lines[#lines + 1], line = indent .. line, word
      else
         line = line == "" and word or line .. " " .. word
      end
   end
   lines[#lines + 1] = indent .. line
   return table.concat(lines, "\n")
end

-- "request_latency: how it differs" of each tool that has it.
local function peers(metric)
   local list = {}
   for _, peer in ipairs(definitions.PEERS) do
      local there = metric[peer.key]
      if there then list[#list + 1] = { tool = peer.name, name = there[1], differs = there[2] } end
   end
   return list
end

local function plain(metric)
   local lines = { ("%s [%s] = %s"):format(metric.name, metric.unit, metric.formula) }
   if metric.note then lines[2] = wrap(metric.note, "  ") end
   lines[#lines + 1] = ("  %-18s%s"):format("summary.json", metric.key)
   for _, p in ipairs(peers(metric)) do
      lines[#lines + 1] = ("  %-18s%s%s"):format(p.tool, p.name, p.differs and ": " .. p.differs or "")
   end
   return table.concat(lines, "\n") .. "\n"
end

local function section(metric)
   local lines = { "## " .. metric.name, "", ("`%s` [%s], in summary.json `%s`."):format(metric.formula, metric.unit, metric.key) }
   if metric.note then lines[3] = lines[3] .. "\n" .. wrap(metric.note, "") end
   local others = peers(metric)
   if #others > 0 then
      lines[#lines + 1] = "\n| tool | name there | how it differs |\n|---|---|---|"
      for _, p in ipairs(others) do
         lines[#lines + 1] = ("| %s | `%s` | %s |"):format(p.tool, p.name, p.differs or "")
      end
   end
   return table.concat(lines, "\n") .. "\n"
end

local function all(show, heading)
   local parts = { heading }
   for _, note in ipairs(definitions.NOTES) do parts[#parts + 1] = wrap(note, "") .. "\n" end
   for _, metric in ipairs(definitions.METRICS) do parts[#parts + 1] = show(metric) end
   return table.concat(parts, "\n")
end

local MARKDOWN_HEAD = [[
# Metrics

What each number of a report is, and what other tools call it. This page is what `perigee explain-metrics --markdown` prints.
]]

local function named(names)
   local parts, known = {}, {}
   for i, metric in ipairs(definitions.METRICS) do known[i] = metric.name end
   for i, name in ipairs(names) do
      local metric = definitions.find(name)
      if not metric then
         local near = nearest(name, known)
         return nil, ("unknown metric '%s'%s"):format(name, near and (", did you mean '%s'?"):format(near)
            or (" (%s)"):format(table.concat(known, ", ")))
      end
      parts[i] = plain(metric)
   end
   return table.concat(parts, "\n")
end

function explain_metrics.run(args)
   local values, names = command.values(explain_metrics, args)
   if not values then return names end
   if values.markdown and names[1] then return command.refuse(explain_metrics, "--markdown is of all metrics: no name expected") end
   if values.markdown then
      io.stdout:write(all(section, MARKDOWN_HEAD))
      return 0
   end
   if not names[1] then
      io.stdout:write(all(plain, "What each metric is, in words and as a formula, and what other tools call it.\n"))
      return 0
   end
   local text, message = named(names)
   if not text then return command.refuse(explain_metrics, message) end
   io.stdout:write(text)
   return 0
end

return explain_metrics
