--- The results of a run in the forms of other tools: files beside summary.json.
local csv = require "perigee.export.csv"
local engine = require "perigee.engine"
local files = require "perigee.report.files"
local prometheus = require "perigee.export.prometheus"
local vllm = require "perigee.export.vllm"

local export = {}

-- The phases' names as parts of files' names, no two alike.
local function file_parts(phases)
   local parts, taken = {}, {}
   for i, phase in ipairs(phases) do
      local plain = phase.name:gsub("[^%w._-]", "_")
      local part, n = plain, 1
      while taken[part] do
         n = n + 1
         part = plain .. "-" .. n
      end
      parts[i], taken[part] = part, true
   end
   return parts
end

-- Each: function(summary, requests_path, log_path) -> { { file name, content as of files.write } ... } | nil, message
local FORMATS = {}

function FORMATS.csv(summary, requests_path)
   return {
      { "summary.csv", csv.summary(summary) },
      { "requests.csv", function(write) return csv.requests(requests_path, write) end },
   }
end

function FORMATS.prometheus(summary)
   return { { "metrics.prom", prometheus.render(summary) } }
end

function FORMATS.vllm(summary, requests_path, log_path)
   local out, parts = {}, file_parts(summary.phases)
   for i, phase in ipairs(summary.phases) do
      if phase.kind == "performance" then
         local result, message = vllm.phase(summary, phase, requests_path, log_path)
         if not result then return nil, message end
         out[#out + 1] = { ("vllm-%s.json"):format(parts[i]), engine.json.encode(result) .. "\n" }
      end
   end
   return out
end

--- The names of the forms.
export.NAMES = { "csv", "prometheus", "vllm" }

--- For the help of an option that takes them.
export.HELP = "write the results in these forms as well, a list of " .. table.concat(export.NAMES, ", ")

--- "csv,vllm" as a list of forms.
---@param text string
---@return string[]? names
---@return string? expected  in words
function export.parse(text)
   local names = {}
   for name in (text .. ","):gmatch "%s*([^,]*),%s*" do
      if not FORMATS[name] then return nil, "some of " .. table.concat(export.NAMES, ", ") end
      names[#names + 1] = name
   end
   return names
end

--- Write the files of these forms into a folder.
---@param names string[]
---@param directory string
---@param summary table
---@param requests_path string  the run's requests.jsonl
---@param log_path? string      its event log, where there is one
---@return string[] problems
---@return string[] written  the names of the files
function export.write(names, directory, summary, requests_path, log_path)
   local problems, written = {}, {}
   for _, name in ipairs(names) do
      local list, message = FORMATS[name](summary, requests_path, log_path)
      if not list then problems[#problems + 1] = ("export %s: %s"):format(name, message) end
      for _, entry in ipairs(list or {}) do
         local ok, failure = files.write(directory .. "/" .. entry[1], entry[2])
         if ok then written[#written + 1] = entry[1] else problems[#problems + 1] = ("export %s: %s"):format(name, failure) end
      end
   end
   return problems, written
end

return export
