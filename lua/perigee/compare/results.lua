--- The results of runs as `perigee compare` gets them: folders, folders of folders, and summary.json files.
--- A side is { name, runs }.
local engine = require "perigee.engine"
local gaps = require "perigee.compare.gaps"
local requests = require "perigee.export.requests"

local json = engine.json
local results = {}

local function read(path)
   local file, message = io.open(path, "rb")
   if not file then return nil, message end
   local text, problem = file:read "*a"
   file:close()
   if not text then return nil, ("%s: %s"):format(path, problem) end
   return text
end

local function exists(path)
   local file = io.open(path, "rb")
   if file then file:close() end
   return file ~= nil
end

local function is_phase(phase)
   return type(phase) == "table" and type(phase.name) == "string" and type(phase.kind) == "string"
end

-- What is wrong with what should be a summary.json; nil when it can be compared.
local function fault(summary)
   if type(summary) ~= "table" or summary.schema_version == nil then
      return "this is no summary.json of perigee: it has no schema_version"
   end
   if summary.schema_version ~= 1 then return ("schema_version 1 expected, got %s"):format(tostring(summary.schema_version)) end
   if type(summary.phases) ~= "table" then return "phases: a list expected" end
   for i, phase in ipairs(summary.phases) do
      if not is_phase(phase) then return ("phases[%d]: an object with name and kind expected"):format(i) end
   end
   if type(summary.config) ~= "table" or type(summary.config.phases) ~= "table" then return "config.phases: a list expected" end
   return nil
end

-- The phases of a summary by name, each with its part of the plan.
local function by_name(summary)
   local phases = {}
   for i, phase in ipairs(summary.phases) do phases[phase.name] = { summary = phase, number = i, config = {} } end
   for _, config in ipairs(summary.config.phases) do
      if type(config) == "table" and phases[config.name] then phases[config.name].config = config end
   end
   return phases
end

--- A run of a summary that is known to be one.
---@param summary table
---@param path string            of its file
---@param requests_path? string  of its requests.jsonl
---@param log_path? string       of its event log
---@return { path: string, summary: table, phases: table<string, table>, requests_path: string?, log_path: string? } run  phases by
---   name: { summary, number, config }
function results.of_summary(summary, path, requests_path, log_path)
   return { path = path, summary = summary, phases = by_name(summary), requests_path = requests_path, log_path = log_path }
end

--- A run as of results.of_summary, of a file.
---@param path string            of a summary.json
---@param requests_path? string  of its requests.jsonl
---@param log_path? string       of its event log
---@return table? run
---@return string? message  names the file and what is wrong
function results.run(path, requests_path, log_path)
   local text, message = read(path)
   if not text then return nil, message end
   local summary, problem = json.decode(text)
   if summary == nil then return nil, ("%s: %s"):format(path, problem) end
   problem = fault(summary)
   if problem then return nil, ("%s: %s"):format(path, problem) end
   return results.of_summary(summary, path, requests_path, log_path)
end

local function of_folder(path)
   local lines, log = path .. "/requests.jsonl", path .. "/events.plog"
   return results.run(path .. "/summary.json", exists(lines) and lines or nil, exists(log) and log or nil)
end

-- The folders in a folder that hold a run each.
local function folders_in(path, entries)
   local list = {}
   for _, name in ipairs(entries) do
      local is_below = name ~= "." and name ~= ".."
      if is_below and exists(("%s/%s/summary.json"):format(path, name)) then list[#list + 1] = path .. "/" .. name end
   end
   table.sort(list)
   return list
end

-- The runs of one path are added to the list.
local function add(list, path)
   local entries = engine.entries(path)
   local paths = { path }
   if entries and not exists(path .. "/summary.json") then
      paths = folders_in(path, entries)
      if not paths[1] then return nil, path .. ": there is no summary.json in this folder, nor in one below it" end
   end
   for _, each in ipairs(paths) do
      local run, message
      if entries then run, message = of_folder(each) else run, message = results.run(each) end
      if not run then return nil, message end
      list[#list + 1] = run
   end
   return true
end

--- The runs of one side.
---@param text string  a path, or several with commas between them
---@return { name: string, runs: table[] }? side
---@return string? message  names the file and what is wrong
function results.side(text)
   local side, paths = { name = text, runs = {} }, {}
   if exists(text) then
      paths[1] = text
   else
      for path in text:gmatch "[^,]+" do paths[#paths + 1] = path end
   end
   if not paths[1] then return nil, "the path of a result is empty" end
   for _, path in ipairs(paths) do
      local ok, message = add(side.runs, path)
      if not ok then return nil, message end
   end
   return side
end

-- ---- requests ----

-- What is kept of requests.jsonl, by the names of the metrics.
local KEYS = { latency = "latency_ms", service_time = "service_time_ms", ttft = "ttft_ms", tpot = "tpot_ms" }

-- As the fold has it: a bound on what a request does not have is not kept, but for the tpot of a short answer.
local function is_good(r, slo)
   for key, most in pairs(slo) do
      local is_short = key == "tpot_ms" and (r.tokens_out or 0) < 2
      if not is_short and not (r[key] and r[key] <= most) then return false end
   end
   return true
end

local function slo_of(phase)
   local goodput = phase.summary.goodput
   return type(goodput) == "table" and goodput.slo or nil
end

local function new_columns(phase)
   local columns = { slo = slo_of(phase), finished = {}, tokens = {}, good = {}, bad_marks = {}, good_marks = {}, last_issued = -math.huge }
   for name in pairs(KEYS) do columns[name] = {} end
   return columns
end

local function add_success(columns, r, good)
   local i = #columns.finished + 1
   columns.finished[i], columns.tokens[i], columns.good[i] = r.finished_ns, r.tokens_out or 0, good
   for name, key in pairs(KEYS) do
      local list = columns[name]
      if r[key] then list[#list + 1] = r[key] end
   end
end

local function add_request(columns, r)
   columns.last_issued = math.max(columns.last_issued, r.issued_ns or -math.huge)
   if r.error == "cancelled" then return end
   local i, good = #columns.bad_marks + 1, r.ok and columns.slo and is_good(r, columns.slo) and 1 or 0
   columns.bad_marks[i], columns.good_marks[i] = r.ok and 0 or 1, good
   if r.ok and r.finished_ns then add_success(columns, r, good) end
end

-- Only files that hold all that the summary counts say what its numbers are made of.
local function is_whole(columns, phase)
   return #columns.finished == phase.summary.completed
end

--- The requests of a run by phase, in the order of ending: lists of latency, service_time, ttft, tpot (ms, of successes),
--- finished (ns), tokens and good (1 or 0; of successes), bad_marks and good_marks (1 or 0, of all that ended), and last_issued
--- (ns). A phase whose requests are not all there is left out, and run.incomplete is its name. Read once.
---@param run table
---@return table<string, table>? by_phase
---@return string? message  names the file and the line
function results.requests(run)
   if run.requests then return run.requests end
   local by_phase = {}
   if run.requests_path then
      local ok, message = requests.each(run.requests_path, function(r)
         local phase = type(r) == "table" and run.phases[r.phase]
         if not phase then return end
         by_phase[r.phase] = by_phase[r.phase] or new_columns(phase)
         add_request(by_phase[r.phase], r)
      end)
      if not ok then return nil, message end
   end
   for name, columns in pairs(by_phase) do
      if not is_whole(columns, run.phases[name]) then by_phase[name], run.incomplete = nil, name end
   end
   run.requests = by_phase
   return by_phase
end

--- The gaps of a run by phase, as perigee.compare.gaps gathers them from its event log; without those that it does not tell:
--- then run.log_problem says why. Read once.
---@param run table
---@return table<string, table> by_phase
function results.gaps(run)
   if run.gaps then return run.gaps end
   run.gaps = {}
   if run.log_path then
      local by_phase, message = gaps.read(run.log_path, run)
      run.gaps, run.log_problem = by_phase or {}, message
   end
   return run.gaps
end

return results
