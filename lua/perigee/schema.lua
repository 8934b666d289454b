--- Table-driven validation. A checker takes a value and returns true and the value
--- (perhaps normalised), or false and what was expected in words.
local nearest = require "perigee.nearest"
local opt = require "perigee.opt"
local units = require "perigee.units"
local where = require "perigee.where"

local schema = {}

-- ---- checkers ----

local function of_type(name, words)
   return function(v)
      if type(v) == name then return true, v end
      return false, words
   end
end

schema.string = of_type("string", "a string")
schema.boolean = of_type("boolean", "true or false")
schema.func = of_type("function", "a function")
schema.table = of_type("table", "a table")

function schema.any(v) return true, v end

function schema.text(v)
   if type(v) == "string" and v ~= "" then return true, v end
   return false, "a string that is not empty"
end

function schema.number(v)
   if type(v) == "number" and v == v and math.abs(v) < math.huge then return true, v end
   return false, "a finite number"
end

function schema.positive(v)
   if schema.number(v) and v > 0 then return true, v end
   return false, "a finite number above 0"
end

function schema.not_negative(v)
   if schema.number(v) and v >= 0 then return true, v end
   return false, "a finite number of at least 0"
end

--- A whole number >= 1.
function schema.count(v)
   if schema.number(v) and v >= 1 and v == math.floor(v) and v < 2 ^ 53 then return true, v end
   return false, "a whole number >= 1"
end

--- A whole number >= 0.
function schema.whole(v)
   if schema.not_negative(v) and v == math.floor(v) and v < 2 ^ 53 then return true, v end
   return false, "a whole number >= 0"
end

--- A duration above 0, normalised to seconds.
function schema.duration(v)
   local seconds = units.duration(v)
   if seconds and seconds > 0 then return true, seconds end
   return false, "a duration above 0 (seconds or \"250ms\", \"2m\")"
end

--- A part of a whole: 0.05 or "5%", normalised to a number from 0 to 1.
function schema.share(v)
   local percent = type(v) == "string" and v:match "^%s*(%d+%.?%d*)%s*%%%s*$"
   local share = percent and percent / 100 or v
   if schema.number(share) and share >= 0 and share <= 1 then return true, share end
   return false, 'a share ("5%" or 0.05)'
end

function schema.one_of(list)
   local words = "one of '" .. table.concat(list, "', '") .. "'"
   return function(v)
      for _, candidate in ipairs(list) do
         if v == candidate then return true, v end
      end
      local near = type(v) == "string" and nearest(v, list)
      return false, words .. (near and " (did you mean '" .. near .. "'?)" or "")
   end
end

--- The first of the checkers that accepts.
function schema.either(...)
   local checkers = { ... }
   return function(v)
      local words = {}
      for _, check in ipairs(checkers) do
         local ok, result = check(v)
         if ok then return true, result end
         words[#words + 1] = result
      end
      return false, table.concat(words, " or ")
   end
end

--- A list with at least one element, each accepted by `check`.
function schema.list(check, words)
   return function(v)
      if type(v) ~= "table" or getmetatable(v) or #v == 0 then return false, words end
      local out = {}
      for i = 1, #v do
         if opt.is(v[i]) then
            out[i] = v[i]
         else
            local ok, result = check(v[i])
            if not ok then return false, words end
            out[i] = result
         end
      end
      return true, out
   end
end

-- ---- fields ----

function schema.required(check)
   return { check = check, required = true }
end

function schema.default(check, value)
   return { check = check, default = value }
end

--- A value as it is shown in an error.
function schema.show(v)
   if type(v) == "string" then return "'" .. (#v > 40 and v:sub(1, 37) .. "..." or v) .. "'" end
   if type(v) == "number" or type(v) == "boolean" or v == nil then return tostring(v) end
   if type(v) == "table" and not getmetatable(v) and next(v) == nil then return "an empty table" end
   return "a " .. type(v)
end

local function sorted_keys(t)
   local keys = {}
   for k in pairs(t) do keys[#keys + 1] = k end
   table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
   return keys
end
schema.sorted_keys = sorted_keys

--- "unknown field 'raet', did you mean 'rate'? (max_inflight, rate)"
function schema.unknown(what, name, names)
   local near = type(name) == "string" and nearest(name, names)
   return ("unknown %s %s%s (%s)"):format(what, schema.show(name),
      near and ", did you mean '" .. near .. "'?" or "", table.concat(names, ", "))
end

local function check_field(at, name, field, value, place)
   if type(field) == "function" then field = { check = field } end
   if value == nil then
      if field.required then where.fail(("%s: '%s' is missing"):format(at, name), place) end
      return field.default
   end
   if opt.is(value) then return value end
   local ok, result = field.check(value)
   if not ok then
      where.fail(("%s: %s: %s expected, got %s"):format(at, name, result, schema.show(value)), place)
   end
   return result
end

--- Check a table against `fields` (name -> checker or schema.required/default);
--- a normalised copy with defaults, or an error that names the place.
---@param at string      e.g. "scenario.phases[2] 'steady'"
---@param fields table
---@param value any
---@param place? string  "file:line" of the user's
function schema.check(at, fields, value, place)
   if type(value) ~= "table" or getmetatable(value) then
      where.fail(("%s: a table expected, got %s"):format(at, schema.show(value)), place)
   end
   for _, key in ipairs(sorted_keys(value)) do
      if fields[key] == nil then where.fail(at .. ": " .. schema.unknown("field", key, sorted_keys(fields)), place) end
   end
   local out = {}
   for _, name in ipairs(sorted_keys(fields)) do out[name] = check_field(at, name, fields[name], value[name], place) end
   return out
end

--- Refuse a list that ends before its last element: what stands behind a nil would be lost.
function schema.no_holes(at, list, place)
   local last = 0
   for key in pairs(list) do
      if type(key) == "number" and key > last then last = key end
   end
   for i = 1, last do
      if list[i] == nil then where.fail(("%s[%d] is nil, and what comes after it would be lost"):format(at, i), place) end
   end
end

--- A table of constructors that refuses a name it does not have.
function schema.namespace(name, members)
   return setmetatable(members, {
      __name = "perigee." .. name,
      __index = function(self, key)
         where.fail(("%s: %s"):format(name, schema.unknown("name", key, sorted_keys(self))))
      end,
   })
end

return schema
