--- What a value is, as text: the same for equal values in every process. For the checksum of a
--- plan, which has to tell a function that was changed from one that was not, without calling it.
local engine = require "perigee.engine"
local spec = require "perigee.spec"
local where = require "perigee.where"

local fingerprint = {}

local MOST = 1000 -- entries of a table that are looked at; of a longer one its length counts

local describe

-- Keys with their types, in an order that does not depend on addresses.
local function sorted(t)
   local keys, names = {}, {}
   for k in pairs(t) do
      local kind = type(k)
      if kind == "string" or kind == "number" or kind == "boolean" then
         if #keys == MOST then return nil end
         keys[#keys + 1], names[k] = k, ("%s %s"):format(kind, tostring(k))
      end
   end
   table.sort(keys, function(a, b) return names[a] < names[b] end)
   return keys
end

local function describe_table(t, seen)
   if spec.is(t) then return ("%s.%s%s"):format(t.family, t.kind, describe(t.args, seen)) end
   if getmetatable(t) then return "object" end
   local keys, parts = sorted(t), {}
   if not keys then return ("table of %d"):format(#t) end
   for i, k in ipairs(keys) do parts[i] = describe(k, seen) .. "=" .. describe(t[k], seen) end
   return "{" .. table.concat(parts, ",") .. "}"
end

-- Its code, without names and lines, and what it captured.
local function describe_function(fn, seen)
   local info = debug.getinfo(fn, "Su")
   if info.what == "C" or info.source:sub(2, #where.home + 1) == where.home then return "library" end
   seen.functions = (seen.functions or 0) + 1
   local parts = { engine.sha256(string.dump(fn, true)) }
   for i = 1, info.nups do
      local _, value = debug.getupvalue(fn, i)
      parts[i + 1] = describe(value, seen)
   end
   return "function(" .. table.concat(parts, ",") .. ")"
end

function describe(v, seen)
   local kind = type(v)
   if kind == "number" then return ("%.17g"):format(v) end
   if kind == "string" then return ("%q"):format(v) end
   if kind ~= "table" and kind ~= "function" then return kind == "boolean" and tostring(v) or kind end
   if seen[v] then return "again" end
   seen[v] = true
   return kind == "table" and describe_table(v, seen) or describe_function(v, seen)
end

--- The text, and whether a function of the user's is in it.
---@param value any
---@return string text
---@return boolean scripted
function fingerprint.of(value)
   local seen = {}
   local text = describe(value, seen)
   return text, seen.functions ~= nil
end

return fingerprint
