--- Reading a scenario file for a command: the script, then its own options.
local util = require "jit.util"

local options = require "perigee.cli.options"
local scenario = require "perigee.scenario"
local search = require "perigee.cli.search"
local transport = require "perigee.transport"
local where = require "perigee.where"

local load = {}

-- The line of `return perigee.scenario { ... }`: a tail call, whose frame is gone when its error is raised, and which
-- counts for the line where it ends; so that of the instruction that loads the function it calls. Nil when the chunk has no
-- tail call, or several.
local function tail_call_line(chunk)
   local tail_call = bit.band(util.funcbc(loadstring "return f()", 2), 0xff)
   local written, line = {}, nil -- register -> the line that last used it
   for at = 1, util.funcinfo(chunk).bytecodes - 1 do
      local instruction = util.funcbc(chunk, at)
      local register = bit.band(bit.rshift(instruction, 8), 0xff)
      if bit.band(instruction, 0xff) == tail_call then
         if line then return nil end
         line = written[register]
      end
      written[register] = util.funcinfo(chunk, at).currentline
   end
   return line
end

-- A scenario without a name is called like its file.
local function named_after(loaded, file)
   if loaded.fields.name then return loaded end
   return loaded:with { name = file:match "([^/]+)%.lua$" or file:match "[^/]+$" }
end

-- A message that says where.
local function placed(place, message)
   return message:find("^[^\n]-:%d+: ") and message or place .. ": " .. message
end

-- Is it a file? A folder may be called like the module in it.
local function is_file(path)
   local handle, message = io.open(path, "r")
   if not handle then return nil, message end
   local _, problem = handle:read(1)
   handle:close()
   if problem then return nil, ("%s: %s"):format(path, problem) end
   return true
end

-- What loads the file, or the module of that name.
local function loader(file)
   local found, message = is_file(file)
   if found then
      search.prepare(where.directory(file))
      return loadfile(file)
   end
   if not search.is_name(file) then return nil, message end
   search.prepare "."
   if not search.find(file) then return nil, ("there is no file and no module '%s'; sought in %s"):format(file, search.describe()) end
   return function() return require(file) end
end

-- A module may hold its scenario beside what others use of it.
local function scenario_in(result)
   if type(result) == "table" and not getmetatable(result) and scenario.is(result.scenario) then return result.scenario end
   return result
end

--- The scenario that a file returns, or the module of that name.
---@param file string
---@return table? scenario
---@return string? message  with file, line and traceback
function load.scenario(file)
   local chunk, message = loader(file)
   if not chunk then return nil, message end
   local ok, result = xpcall(chunk, where.with_traceback)
   local line = tail_call_line(chunk)
   local place = line and ("%s:%d"):format(file, line) or file
   if not ok then return nil, search.shorten(placed(place, result)) end
   result = scenario_in(result)
   if not scenario.is(result) then
      return nil, ("%s: the script returns %s; `return perigee.scenario { ... }` expected"):format(
         file, result == nil and "nothing" or "a " .. type(result))
   end
   local named = named_after(result, file)
   named.place = named.place or result.place or place
   return named
end

--- The scenario's declarations as definitions of command line options.
function load.definitions(loaded)
   local list = {}
   for _, d in ipairs(loaded.declarations) do
      list[#list + 1] = {
         name = d.name:gsub("_", "-"), value = d.type ~= "boolean" and d.type:upper() or nil, type = d.type,
         help = d.help, default = d.default, key = d.name,
      }
   end
   return list
end

local function clash(own, of_scenario)
   local taken = {}
   for _, d in ipairs(own) do taken[d.name] = true end
   for _, d in ipairs(of_scenario) do
      if taken[d.name] then return ("the scenario's option '%s' is taken by the command itself"):format(d.key) end
   end
end

local function merged(a, b)
   local list = {}
   for _, part in ipairs { a, b } do
      for _, d in ipairs(part) do list[#list + 1] = d end
   end
   return list
end

--- Call fn; an error names a file.
---@param file string
---@return boolean ok
---@return any result or message
---@return any second
function load.guarded(file, fn, ...)
   local ok, result, second = xpcall(fn, where.with_traceback, ...)
   if not ok then result = placed(file, result) end
   return ok, result, second
end

local function resolve(loaded, file, values, given)
   local ok, plan, message = load.guarded(file, loaded.resolve, loaded, given)
   if not ok then return nil, plan end
   if not plan then return nil, message end
   if values.seed then plan.seed = values.seed end
   plan.forced = transport.forced(values)
   return plan
end

--- Parse `[own options] FILE [own and scenario options]` and resolve the scenario.
---@param args string[]
---@param own table[]   the command's definitions, `help` among them
---@return table? result  { file, values, scenario, plan } (no plan when help is asked for)
---@return string? message
function load.command(args, own)
   local values, positional, at = options.read({}, args, own, 1, 1)
   if not values then return nil, positional .. " (a scenario's own options stand after its file)" end
   local file = positional[1]
   if not file then
      if values.help then return { values = values } end
      return nil, "a scenario file is missing"
   end
   local loaded, message = load.scenario(file)
   if not loaded then return nil, message end
   local of_scenario = load.definitions(loaded)
   message = clash(own, of_scenario)
   if message then return nil, message end

   local all = merged(own, of_scenario)
   values, positional = options.read(values, args, all, at)
   if not values then return nil, positional end
   if positional[1] then return nil, ("unexpected argument '%s'"):format(positional[1]) end
   options.fill_defaults(values, all)
   local result = { file = file, values = values, scenario = loaded, definitions = of_scenario }
   if values.help then return result end
   local given = {}
   for _, d in ipairs(of_scenario) do given[d.key] = values[d.key] end
   result.plan, message = resolve(loaded, file, values, given)
   if not result.plan then return nil, message end
   return result
end

return load
