--- Datasets: the samples that requests are made of. A dataset is an array of samples
--- (so #dataset counts them) with `source`, `sha256` and :get(i).
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local spec = require "perigee.spec"
local where = require "perigee.where"

local json = engine.json

local Dataset = {}
local Dataset_mt = { __name = "perigee.dataset", __index = Dataset }

function Dataset_mt.__tostring(self)
   return ("%s (%d samples)"):format(self.source, #self)
end

--- Sample i, from 1.
---@param i integer
---@return table? sample
function Dataset:get(i)
   return self[i]
end

local function make(samples, source, sha256)
   samples.source, samples.sha256 = source, sha256
   return setmetatable(samples, Dataset_mt)
end

local function present(v)
   return v ~= nil and v ~= json.null
end

-- What is wrong with a sample, or nil.
local function sample_problem(sample)
   if type(sample) ~= "table" then return "an object expected, got " .. type(sample) end
   for name, kind in pairs { prompt = "string", messages = "table" } do
      local v = sample[name]
      if present(v) and type(v) ~= kind then
         return ("'%s' is a %s, a %s expected"):format(name, type(v), kind == "table" and "list" or kind)
      end
   end
   if not (present(sample.prompt) or present(sample.messages) or present(sample.body)) then
      return "none of 'prompt', 'messages' and 'body'"
   end
end

-- Take the mapped columns (all when there is no mapping). Returns sample or nil, problem.
local function map(row, fields)
   if type(row) ~= "table" then return nil, "an object expected, got " .. type(row) end
   if not fields then return row end
   local sample = {}
   for _, name in ipairs(schema.sorted_keys(fields)) do
      local v = row[fields[name]]
      if not present(v) then return nil, ("no column '%s' (for '%s')"):format(fields[name], name) end
      sample[name] = v
   end
   return sample
end

local function read_file(path)
   local file, message = io.open(path, "rb")
   if not file then return nil, message end
   local text, failure = file:read("*a")
   file:close()
   if not text then return nil, path .. ": " .. tostring(failure) end
   return text
end

-- A relative path is meant from the scenario's folder, else from the current one.
local function find(path, directory)
   if path:sub(1, 1) ~= "/" and directory then
      local text = read_file(directory .. "/" .. path)
      if text then return text end
   end
   return read_file(path)
end

local BOM = "\239\187\191"

local function parse(text, path, fields)
   local samples, number = {}, 0
   if text:sub(1, #BOM) == BOM then text = text:sub(#BOM + 1) end
   for line in text:gmatch("([^\n]*)\n?") do
      number = number + 1
      if line:find("%S") then
         local row, problem = json.decode(line)
         local sample
         if row ~= nil then sample, problem = map(row, fields) end
         problem = problem or sample_problem(sample)
         if problem then return nil, ("%s:%d: %s"):format(path, number, problem) end
         samples[#samples + 1] = sample
      end
   end
   if #samples == 0 then return nil, path .. ": the dataset is empty" end
   return samples
end

-- Load now when the arguments are known, else when the options are.
local function load_jsonl(args, place)
   local directory = place and where.directory(place)
   local text, message = find(args.path, directory)
   if not text then where.fail("dataset.jsonl: " .. message, place) end
   local samples, problem = parse(text, args.path, args.fields)
   if not samples then where.fail("dataset.jsonl: " .. problem, place) end
   return make(samples, args.path, engine.sha256(text))
end

local function mapping(v)
   local expected = "a table of our names = their columns"
   if type(v) ~= "table" or getmetatable(v) then return false, expected end
   for name, column in pairs(v) do
      if type(name) ~= "string" then return false, expected end
      if type(column) ~= "string" then return false, ("%s (a text for '%s')"):format(expected, name) end
   end
   return true, v
end

local jsonl_spec = spec.constructor {
   family = "dataset", kind = "jsonl", positional = { "path", "fields" },
   fields = { path = schema.required(schema.text), fields = mapping },
   build = function(args, context) return load_jsonl(args, context.place) end,
}

local dataset = {}

--- Samples from a file with one JSON object per line.
---@param path string
---@param fields? table<string, string>  our name = their column, e.g. { prompt = "text_input" }
function dataset.jsonl(...)
   local s = jsonl_spec(...)
   for _, v in pairs(s.args) do
      if spec.has_placeholder(v) then return s end
   end
   return load_jsonl(s.args, s.place)
end

--- Samples from a list in the script: strings (prompts) or tables.
---@param list (string|table)[]
function dataset.table(list)
   if type(list) ~= "table" or getmetatable(list) then
      where.fail("dataset.table: a list of samples expected, got " .. schema.show(list))
   end
   local samples = {}
   for i, entry in ipairs(list) do
      local sample = type(entry) == "string" and { prompt = entry } or entry
      local problem = sample_problem(sample)
      if problem then where.fail(("dataset.table: sample %d: %s"):format(i, problem)) end
      samples[i] = sample
   end
   if #samples == 0 then where.fail("dataset.table: the dataset is empty") end
   local ok, text = pcall(json.encode, samples)
   if not ok then where.fail("dataset.table: " .. tostring(text)) end
   return make(samples, "table", engine.sha256(text))
end

--- Is it a dataset (loaded, or to be loaded when the options are known)?
local function checker(v)
   if getmetatable(v) == Dataset_mt or spec.is(v, "dataset") then return true, v end
   if type(v) == "table" and not getmetatable(v) and #v > 0 then return true, dataset.table(v) end
   return false, "a dataset (perigee.dataset.*) or a list of samples"
end

--- The loaded dataset.
local function loaded(v)
   return spec.is(v, "dataset") and v:build { place = v.place } or v
end

return { public = schema.namespace("dataset", dataset), checker = checker, loaded = loaded, read = find }
