--- perigee explain: the resolved plan, without traffic.
local agenda = require "perigee.agenda"
local command = require "perigee.cli.command"
local config = require "perigee.report.config"
local engine = require "perigee.engine"
local ports = require "perigee.ports"
local schema = require "perigee.schema"
local transport = require "perigee.transport"
local units = require "perigee.units"
local workers = require "perigee.workers"

local explain = {
   name = "explain",
   usage = "usage: perigee explain FILE [--plan [--phase NAME] [--limit N]] [--option value ...]",
   definitions = {
      { name = "seed", value = "N", type = "number", help = "seed instead of the scenario's" },
      { name = "plan", help = "the requests that are planned, as JSON lines" },
      { name = "phase", value = "NAME", help = "of this phase alone" },
      { name = "limit", value = "N", type = "count", default = 1000, help = "of each phase at most so many" },
      transport.OPTIONS[1], transport.OPTIONS[2],
      { name = "workers", value = "N", read = workers.read, help = "threads for HTTP instead of the scenario's" },
      { name = "help", help = "show this text and the scenario's options" },
   },
}

local ARRIVALS = 5

local function show(v)
   if type(v) ~= "table" then return tostring(v) end
   local parts = {}
   for _, k in ipairs(schema.sorted_keys(v)) do
      parts[#parts + 1] = type(k) == "number" and show(v[k]) or k .. "=" .. show(v[k])
   end
   return "{ " .. table.concat(parts, ", ") .. " }"
end

-- kind, then its arguments: "poisson  rate=5"
local function show_spec(data)
   local parts = { data.kind }
   for _, k in ipairs(schema.sorted_keys(data)) do
      if k ~= "kind" then parts[#parts + 1] = k .. "=" .. show(data[k]) end
   end
   return table.concat(parts, "  ")
end

local function stop_rules(p)
   local rules = {}
   if p.requests then rules[#rules + 1] = ("after %d requests"):format(p.requests) end
   if p.duration then rules[#rules + 1] = "after " .. units.seconds(p.duration) end
   if p.max_duration then rules[#rules + 1] = "at the latest after " .. units.seconds(p.max_duration) end
   if p.stop_when then rules[#rules + 1] = "when stop_when says so" end
   if p.max_error_rate then
      rules[#rules + 1] = ("when more than %s of %d requests or more have failed"):format(
         units.percent(p.max_error_rate.share), p.max_error_rate.requests)
   end
   if #rules == 0 then rules[1] = "when its load ends" end
   local text = table.concat(rules, " or ")
   if p.min_requests then text = ("%s, not before %d requests"):format(text, p.min_requests) end
   if p.min_duration then text = ("%s, not before %s"):format(text, units.seconds(p.min_duration)) end
   return text
end

-- The first intended times of an open load.
local function arrivals(p, seed)
   local times = {}
   for _, at_ns in agenda.requests(p, seed) do
      if not at_ns or #times == ARRIVALS then break end
      times[#times + 1] = units.ns(at_ns)
   end
   return times[1] and table.concat(times, ", ")
end

local function phase_lines(p, data, seed, warning)
   local lines = { ("\nphase %d '%s' (%s)"):format(p.number, p.name, p.kind) }
   local function add(name, text)
      if text then lines[#lines + 1] = ("  %-9s %s"):format(name, text) end
   end
   add("load", show_spec(data.load))
   add("arrivals", arrivals(p, seed))
   add("ends", stop_rules(p))
   add("order", show_spec(data.order))
   add("dataset", p.dataset and ("%s: %d samples, sha256 %s"):format(p.dataset.source, #p.dataset, p.dataset.sha256))
   add("request", data.request)
   add("session", data.session)
   add("target", show_spec(data.target))
   add("transport", ("%s (%s)"):format(data.transport.name, data.transport.why))
   add("drain", p.drain and "up to " .. units.seconds(p.drain) or "no: what is in flight goes on into the next phase")
   add("deadline", units.seconds(p.deadline) .. " per request")
   add("stall", p.stall and units.seconds(p.stall))
   for _, check in ipairs(p.checks) do add("check", check.text) end
   add("warning", warning)
   return lines
end

--- The text of a plan.
---@param plan table
---@param file string
---@param asked? integer  threads for HTTP
---@return string
function explain.render(plan, file, asked)
   local data = config.describe(plan)
   local lines = { ("scenario '%s' (%s)"):format(plan.name, file), ("seed %s"):format(units.number(plan.seed)) }
   lines[3] = "plan " .. agenda.checksum(plan)
   lines[#lines + 1] = "workers: " .. workers.describe(workers.choose(plan, asked))
   for _, name in ipairs(schema.sorted_keys(data.options)) do
      lines[#lines + 1] = ("option --%s = %s"):format((name:gsub("_", "-")), tostring(data.options[name]))
   end
   if plan.scrape then
      lines[#lines + 1] = ("scrape %s every %s"):format(table.concat(data.scrape.urls, ", "), units.seconds(data.scrape.every_s))
   end
   local warnings = ports.foresee(data, select(2, engine.limits()))
   for i, p in ipairs(plan.phases) do
      for _, line in ipairs(phase_lines(p, data.phases[i], plan.seed, warnings[p.name])) do lines[#lines + 1] = line end
   end
   if plan.overall[1] then lines[#lines + 1] = "\noverall" end
   for _, check in ipairs(plan.overall) do lines[#lines + 1] = "  check     " .. check.text end
   return table.concat(lines, "\n") .. "\n"
end

-- The phases that are asked for, or nil and why not.
local function chosen(plan, name)
   if not name then return plan.phases end
   local names = {}
   for i, p in ipairs(plan.phases) do
      if p.name == name then return { p } end
      names[i] = "'" .. p.name .. "'"
   end
   return nil, ("there is no phase '%s'; the phases are %s"):format(name, table.concat(names, ", "))
end

--- Write the planned requests, one JSON object a line, keys in the order of the alphabet.
---@param plan table
---@param values { phase: string?, limit: integer }
---@param write fun(line: string)
---@return string[]? cut  the phases of which there is more than the limit
---@return string? message
function explain.write_plan(plan, values, write)
   local phases, message = chosen(plan, values.phase)
   if not phases then return nil, message end
   local cut, null = {}, engine.json.null
   for _, p in ipairs(phases) do
      for request, at_ns, index in agenda.requests(p, plan.seed) do
         if request == values.limit then
            cut[#cut + 1] = p.name
            break
         end
         write(engine.json.encode { phase = p.name, request = request, scheduled_ns = at_ns or null, index = index } .. "\n")
      end
   end
   return cut
end

local function run_plan(plan, values)
   local cut, message = explain.write_plan(plan, values, function(line) io.stdout:write(line) end)
   if not cut then error(message, 0) end
   for _, name in ipairs(cut) do
      io.stderr:write(("perigee explain: phase '%s' has more than %d requests; --limit N shows more\n"):format(name, values.limit))
   end
end

function explain.run(args)
   local loaded, code = command.scenario(explain, args)
   if not loaded then return code end
   local values = loaded.values
   local ok, text
   if values.plan then
      ok, text = pcall(run_plan, loaded.plan, values)
   else
      ok, text = pcall(explain.render, loaded.plan, loaded.file, values.workers)
   end
   if not ok then return command.refuse(explain, text) end
   io.stdout:write(text or "")
   return 0
end

return explain
