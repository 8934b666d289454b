--- Command line options of a scenario: their declaration, the placeholders that
--- stand for them, and the pass that puts values in the placeholders' place.
local nearest = require "perigee.nearest"
local units = require "perigee.units"
local where = require "perigee.where"

local opt = {}
local Placeholder_mt = { __name = "perigee.opt" }

function Placeholder_mt.__tostring(self) return "option '" .. self.name .. "'" end

function Placeholder_mt.__concat()
   where.fail("perigee.opt stands for a whole value and cannot be joined to a string")
end

--- A stand-in for the value of --name.
---@param name string
function opt.placeholder(name)
   if type(name) ~= "string" then where.fail("perigee.opt: the name of an option expected, got " .. type(name)) end
   return setmetatable({ name = name, place = where.caller() }, Placeholder_mt)
end

function opt.is(value)
   return getmetatable(value) == Placeholder_mt
end

-- type -> function(text or value) -> value | nil; and what it expects in words
local TYPES = {
   string = { "a string", function(v) if type(v) == "string" then return v end end },
   number = { "a number", function(v)
      local n = tonumber(v)
      if n and n == n and math.abs(n) < math.huge then return n end
   end },
   count = { "a whole number >= 0", function(v)
      local n = tonumber(v)
      if n and n >= 0 and n == math.floor(n) and n < 2 ^ 53 then return n end
   end },
   duration = { "a duration such as 250ms or 2m", function(v) return (units.duration(v)) end },
   boolean = { "true or false", function(v)
      if v == true or v == "true" or v == "yes" or v == "1" then return true end
      if v == false or v == "false" or v == "no" or v == "0" then return false end
   end },
}

--- Convert a command line text (or a default) to the type.
---@return any? value
---@return string? message  what was expected
function opt.convert(kind, value)
   local result = TYPES[kind][2](value)
   if result == nil then return nil, TYPES[kind][1] .. " expected, got '" .. tostring(value) .. "'" end
   return result
end

local function declaration(name, entry)
   local place = "scenario.options." .. tostring(name)
   if type(name) ~= "string" or not name:match("^%a[%w_]*$") then
      where.fail(place .. ": an option's name is letters, digits and _, beginning with a letter")
   end
   if type(entry) ~= "table" then where.fail(place .. ": { default, \"help\" [, type] } expected, got " .. type(entry)) end
   local default, help, kind = entry[1], entry[2] or "", entry[3] or type(entry[1])
   if type(help) ~= "string" then where.fail(place .. ": the help text must be a string, got " .. type(help)) end
   if entry[1] == nil and entry[3] == nil then where.fail(place .. ": an option without a default needs a type") end
   if not TYPES[kind] then
      where.fail(("%s: unknown type '%s' (string, number, count, duration, boolean)"):format(place, tostring(kind)))
   end
   if default ~= nil then
      local value, message = opt.convert(kind, default)
      if value == nil then where.fail(place .. ": default: " .. message) end
      default = value
   end
   return { name = name, default = default, help = help, type = kind }
end

--- Check `options = { name = { default, help [, type] } }`; a list sorted by name.
---@return table[]
function opt.declarations(options)
   local list = {}
   for name, entry in pairs(options or {}) do list[#list + 1] = declaration(name, entry) end
   table.sort(list, function(a, b) return a.name < b.name end)
   return list
end

--- The value of every declared option: as given, else its default.
---@param list table[] declarations
---@param given table<string, any> texts from the command line or values
---@return table? values
---@return string? message
function opt.values(list, given)
   local values, names = {}, {}
   for _, d in ipairs(list) do
      names[#names + 1] = d.name
      values[d.name] = d.default
      if given[d.name] ~= nil then
         local value, message = opt.convert(d.type, given[d.name])
         if value == nil then return nil, ("option --%s: %s"):format(d.name, message) end
         values[d.name] = value
      end
   end
   for name in pairs(given) do
      local known = false
      for _, n in ipairs(names) do known = known or n == name end
      if not known then
         local near = nearest(tostring(name), names)
         return nil, ("unknown option --%s%s"):format(tostring(name), near and ", did you mean --" .. near .. "?" or "")
      end
   end
   return values
end

-- Tables that a scenario is made of are plain; an object is a leaf, unless its
-- metatable says with `resolve` that placeholders may stand in it.
local function substitute(value, get, done)
   if type(value) ~= "table" then return value end
   if opt.is(value) then return get(value) end
   if done[value] ~= nil then return done[value] end
   local mt = getmetatable(value)
   if mt and not mt.resolve then return value end
   local function inner(v) return substitute(v, get, done) end
   if mt then
      done[value] = mt.resolve(value, inner)
      return done[value]
   end
   local copy = {}
   done[value] = copy
   for k, v in pairs(value) do copy[k] = inner(v) end
   return copy
end

--- A copy of `tree` with get(placeholder) in place of each placeholder. An object
--- that stands in several places stays one object.
---@param tree any
---@param get fun(placeholder: table): any
function opt.substitute(tree, get)
   return substitute(tree, get, {})
end

--- Refuse a placeholder in `tree` that no declaration has.
function opt.require_declared(tree, list)
   local known, names = {}, {}
   for _, d in ipairs(list) do
      known[d.name] = true
      names[#names + 1] = d.name
   end
   opt.substitute(tree, function(placeholder)
      if known[placeholder.name] then return placeholder end
      local near = nearest(placeholder.name, names)
      where.fail(("perigee.opt '%s': the scenario's options do not declare it%s"):format(
         placeholder.name, near and ", did you mean '" .. near .. "'?" or ""), placeholder.place)
   end)
end

--- Refuse a declaration that no placeholder in `tree` stands for.
function opt.require_used(tree, list, place)
   local used = {}
   opt.substitute(tree, function(placeholder)
      used[placeholder.name] = true
      return placeholder
   end)
   for _, d in ipairs(list) do
      if not used[d.name] then
         where.fail(("scenario.options.%s: nothing uses it: perigee.opt '%s' stands nowhere, and there is no setup to read it"):format(
            d.name, d.name), place)
      end
   end
end

return opt
