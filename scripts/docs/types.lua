--- The library as definitions for editors (LuaLS): one file, no code.
local types = {}

local HEAD = [[
---@meta perigee
-- The types of perigee for editors: `require "perigee"` completes and is checked with this folder in
-- `workspace.library` of .luarc.json. Made by `make docs` from the doc comments of the library; not to be edited.
]]

local function described(out, text)
   for line in (text or ""):gmatch "[^\n]+" do out[#out + 1] = "--- " .. line end
end

local function sentence(item)
   local default = item.default and ("(%s) "):format(item.default) or ""
   return item.text ~= "" and "  " .. default .. item.text or ""
end

local function add_function(out, owner, fn)
   described(out, fn.text)
   local names = {}
   for i, p in ipairs(fn.params) do
      names[i] = p.name
      out[#out + 1] = ("---@param %s%s %s%s"):format(p.name, p.optional and "?" or "", p.type, sentence(p))
   end
   for _, r in ipairs(fn.returns) do out[#out + 1] = ("---@return %s%s"):format(r.type, r.text ~= "" and " " .. r.text or "") end
   out[#out + 1] = ("function %s%s%s(%s) end\n"):format(owner, fn.method and ":" or ".", fn.name, table.concat(names, ", "))
end

local function add_class(out, class)
   described(out, class.text)
   out[#out + 1] = "---@class " .. class.name .. (class.parent and ": " .. class.parent or "")
   for _, f in ipairs(class.fields) do
      local name = f.positional and "[" .. f.name .. "]" or f.name
      out[#out + 1] = ("---@field %s%s %s%s"):format(name, f.optional and "?" or "", f.type, sentence(f))
   end
   local variable = class.name:gsub("%W", "_")
   if #class.methods > 0 then out[#out + 1] = ("local %s = {}\n"):format(variable) else out[#out + 1] = "" end
   for _, method in ipairs(class.methods) do add_function(out, variable, method) end
end

--- The text of the file.
---@param model table  of docs.annotations
---@return string
function types.text(model)
   local out = { HEAD }
   for _, alias in ipairs(model.aliases) do
      described(out, alias.text)
      out[#out + 1] = ("---@alias %s %s\n"):format(alias.name, alias.type)
   end
   for _, class in ipairs(model.list) do add_class(out, class) end
   for _, family in ipairs { "load", "order", "target", "dataset" } do
      out[#out + 1] = ("---@class perigee.%s\nlocal perigee_%s = {}\n"):format(family, family)
      for _, fn in ipairs(model.families[family]) do add_function(out, "perigee_" .. family, fn) end
   end
   out[#out + 1] = "return perigee"
   return table.concat(out, "\n") .. "\n"
end

return types
