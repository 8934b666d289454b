--- perigee explain: the resolved plan, without traffic.
local command = require "perigee.cli.command"
local config = require "perigee.report.config"
local schema = require "perigee.schema"
local units = require "perigee.units"
local workers = require "perigee.workers"

local explain = {
   name = "explain",
   usage = "usage: perigee explain FILE [--option value ...]",
   definitions = {
      { name = "seed", value = "N", type = "number", help = "seed instead of the scenario's" },
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
   if #rules == 0 then rules[1] = "when its load ends" end
   local text = table.concat(rules, " or ")
   if p.min_requests then text = ("%s, not before %d requests"):format(text, p.min_requests) end
   if p.min_duration then text = ("%s, not before %s"):format(text, units.seconds(p.min_duration)) end
   return text
end

-- The first intended times of an open load.
local function arrivals(p, seed)
   local built = p.load:build { seed = seed, number = p.number }
   if not built.schedule then return nil end
   local times, t = {}, 0
   for i = 0, ARRIVALS - 1 do
      local gap = built.schedule(i, t)
      if gap == nil then break end
      t = t + gap
      times[#times + 1] = units.seconds(t)
   end
   return table.concat(times, ", ")
end

local function phase_lines(p, data, seed)
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
   add("target", show_spec(data.target))
   add("drain", p.drain and "up to " .. units.seconds(p.drain) or "no: what is in flight goes on into the next phase")
   add("deadline", units.seconds(p.deadline) .. " per request")
   add("stall", p.stall and units.seconds(p.stall))
   for _, check in ipairs(p.checks) do add("check", check.text) end
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
   lines[#lines + 1] = "workers: " .. workers.describe(workers.choose(plan, asked))
   for _, name in ipairs(schema.sorted_keys(data.options)) do
      lines[#lines + 1] = ("option --%s = %s"):format((name:gsub("_", "-")), tostring(data.options[name]))
   end
   for i, p in ipairs(plan.phases) do
      for _, line in ipairs(phase_lines(p, data.phases[i], plan.seed)) do lines[#lines + 1] = line end
   end
   return table.concat(lines, "\n") .. "\n"
end

function explain.run(args)
   local loaded, code = command.scenario(explain, args)
   if not loaded then return code end
   local ok, text = pcall(explain.render, loaded.plan, loaded.file, loaded.values.workers)
   if not ok then return command.refuse(explain, text) end
   io.stdout:write(text)
   return 0
end

return explain
