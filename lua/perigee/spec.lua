--- Things a scenario names before they can be made: loads, orders, targets. A spec
--- holds the checked arguments, among them placeholders of options; build() makes
--- the thing when all of them are known.
local opt = require "perigee.opt"
local schema = require "perigee.schema"
local where = require "perigee.where"

local spec = {}
local Spec = {}
local Spec_mt = { __name = "perigee.spec", __index = Spec }

local definitions = setmetatable({}, { __mode = "k" })

-- Arguments in order, then a table of options, become one table by name.
local function gather(def, at, ...)
   local args, positional, n = {}, def.positional or {}, select("#", ...)
   for i = 1, math.min(n, #positional) do args[positional[i]] = (select(i, ...)) end
   if n <= #positional then return args end
   local options = select(#positional + 1, ...)
   if n > #positional + 1 or not def.options then
      where.fail(("%s: at most %d arguments expected, got %d"):format(at, #positional + (def.options and 1 or 0), n))
   end
   if type(options) ~= "table" or getmetatable(options) then
      where.fail(("%s: a table of options expected, got %s"):format(at, schema.show(options)))
   end
   for key, value in pairs(options) do
      if args[key] ~= nil then where.fail(("%s: '%s' is given twice"):format(at, tostring(key))) end
      args[key] = value
   end
   return args
end

local function checked(def, at, args, place)
   local result = schema.check(at, def.fields, args, place)
   local problem = def.check and def.check(result, place)
   if problem then where.fail(at .. ": " .. problem, place) end
   return result
end

local function new(def, args, place)
   local at = def.family .. "." .. def.kind
   return setmetatable({
      family = def.family, kind = def.kind, place = place, def = def, args = checked(def, at, args, place),
   }, Spec_mt)
end

--- A constructor for one kind. def: family, kind, positional (names of the leading
--- arguments), options (is a table of options taken after them?), fields (schema),
--- check(args, place) -> problem?, build(args, context, place) -> thing.
function spec.constructor(def)
   local function construct(...)
      return new(def, gather(def, def.family .. "." .. def.kind, ...), where.caller())
   end
   definitions[construct] = def
   return construct
end

--- What a constructor was made from, or nil when it is none.
---@param construct function
---@return table? def
function spec.definition(construct)
   return definitions[construct]
end

--- Is it a spec (of this family)?
function spec.is(value, family)
   return getmetatable(value) == Spec_mt and (family == nil or value.family == family)
end

--- A schema checker: a spec of the family.
function spec.of(family)
   return function(v)
      if spec.is(v, family) then return true, v end
      return false, ("a %s (perigee.%s.*)"):format(family, family)
   end
end

--- Does a placeholder of an option stand in the value?
function spec.has_placeholder(value)
   local found = false
   opt.substitute(value, function(placeholder)
      found = true
      return placeholder
   end)
   return found
end

-- Called by the substitution of options: the same spec when nothing in it changes.
function Spec_mt.resolve(self, substitute)
   return spec.has_placeholder(self.args) and new(self.def, substitute(self.args), self.place) or self
end

--- Make the thing. Every placeholder has been replaced before. The last argument of build() is where the script said it.
function Spec:build(context)
   return self.def.build(self.args, context or {}, self.place)
end

local function show(v)
   if type(v) == "function" then
      local info = debug.getinfo(v, "S")
      return ("function@%s:%d"):format(info.short_src, info.linedefined)
   end
   if type(v) == "table" and not getmetatable(v) then return "{...}" end
   return tostring(v)
end

function Spec_mt.__tostring(self)
   local parts, seen = {}, {}
   for _, name in ipairs(self.def.positional or {}) do
      seen[name] = true
      if self.args[name] ~= nil then parts[#parts + 1] = show(self.args[name]) end
   end
   for _, name in ipairs(schema.sorted_keys(self.args)) do
      if not seen[name] then parts[#parts + 1] = name .. "=" .. show(self.args[name]) end
   end
   return ("%s(%s)"):format(self.kind, table.concat(parts, ", "))
end

return spec
