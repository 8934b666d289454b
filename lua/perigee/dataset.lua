--- Datasets: the samples that requests are made of. A dataset is an array of samples
--- (so #dataset counts them) with `source`, `sha256` and :get(i).
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local spec = require "perigee.spec"
local where = require "perigee.where"

local json = engine.json

--- A sample has at least one of `prompt`, `messages` and `body`. Other fields are the script's own.
---@class perigee.Sample
---@field prompt? string  one user message of a chat, or the prompt of a completion
---@field messages? table[]  of a chat, as the endpoint takes them
---@field body? string|table  of a plain request; a table is sent as JSON
---@field max_tokens? integer  of the answer, goes before the target's
---@field [string] any

--- Samples; `#dataset` counts them.
---@class perigee.Dataset
---@field [integer] perigee.Sample
---@field source string  the file, or "table"
---@field sha256 string  of its content
local Dataset = {}
local Dataset_mt = { __name = "perigee.dataset", __index = Dataset }

function Dataset_mt.__tostring(self)
   return ("%s (%d samples)"):format(self.source, #self)
end

--- Sample i, from 1.
---@param i integer
---@return perigee.Sample? sample
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
   local text, message = read_file(where.file(args.path, place))
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
   build = function(args, _, place) return load_jsonl(args, place) end,
}

local dataset = {}

--- One JSON object per line. Lines may end in CR LF, and a byte order mark is passed over.
---@param path string  a relative one is meant from the script's folder, else from the current one
---@param fields? table<string, string>  maps our names to columns: `{ prompt = "text_input" }`
function dataset.jsonl(...)
   local s = jsonl_spec(...)
   for _, v in pairs(s.args) do
      if spec.has_placeholder(v) then return s end
   end
   return load_jsonl(s.args, s.place)
end

--- A list in the script: strings (prompts) or tables; a plain list in `dataset` means the same.
---@param list (string|perigee.Sample)[]
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
   return spec.is(v, "dataset") and v:build() or v
end

return { public = schema.namespace("dataset", dataset), checker = checker, loaded = loaded, read = read_file }
