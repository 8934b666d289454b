--- Where `require` looks for the modules of a scenario: beside its file, in the current folder, along
--- PERIGEE_PATH, where Lua itself looks, and at last among the user's own rocks.
require "perigee" -- before any folder of the user's is looked at, so that none can take its place

local search = {}

local function join(list, folder, ...)
   for _, template in ipairs { ... } do list[#list + 1] = folder .. template end
end

local function add_rocks(lua, c, tree)
   join(lua, tree .. "/share/lua/5.1", "/?.lua", "/?/init.lua")
   join(c, tree .. "/lib/lua/5.1", "/?.so")
end

-- A folder, the lua/ in it, and the tree of rocks that LuaRocks makes in a project.
local function add_folder(lua, c, folder)
   join(lua, folder, "/?.lua", "/?/init.lua")
   join(lua, folder .. "/lua", "/?.lua", "/?/init.lua")
   add_rocks(lua, c, folder .. "/lua_modules")
end

-- `list` with the templates before or behind it, unless it has them.
local function extended(list, before, templates)
   local more = table.concat(templates, ";")
   if (";" .. list .. ";"):find(";" .. more .. ";", 1, true) then return list end
   return before and more .. ";" .. list or list .. ";" .. more
end

local function extend(before, lua, c)
   package.path, package.cpath = extended(package.path, before, lua), extended(package.cpath, before, c)
end

--- Make `require` look there for a scenario that lies in `directory`.
---@param directory string
function search.prepare(directory)
   local lua, c = {}, {}
   add_folder(lua, c, directory)
   if directory ~= "." then add_folder(lua, c, ".") end
   for folder in (os.getenv "PERIGEE_PATH" or ""):gmatch "[^:]+" do add_folder(lua, c, folder) end
   extend(true, lua, c)
   local home = os.getenv "HOME"
   if not home then return end
   lua, c = {}, {}
   add_rocks(lua, c, home .. "/.luarocks")
   extend(false, lua, c)
end

--- Could it be the name of a module, `shop.peak`, rather than of a file?
---@param text string
---@return boolean
function search.is_name(text)
   return text:find "^[%w_-]+[%w_.-]*$" ~= nil and not text:find "%.lua$" and not text:find("..", 1, true)
end

--- The file of a module, or nil.
---@param name string
---@return string?
function search.find(name)
   return package.loaded[name] and name or (package.searchpath(name, package.path)) or (package.searchpath(name, package.cpath))
end

--- The folders in the order in which they are looked at.
---@return string[]
function search.folders()
   local list, seen = {}, {}
   for template in package.path:gmatch "[^;]+" do
      local folder = template:match "^(.-)/?%?"
      if folder == "" then folder = template:sub(1, 1) == "/" and "/" or "." end
      if folder and not seen[folder] then
         seen[folder] = true
         list[#list + 1] = folder
      end
   end
   return list
end

--- The folders as a message names them.
---@return string
function search.describe()
   return table.concat(search.folders(), ", ")
end

--- An error of `require` without its list of all the files that are not there.
---@param message string
---@return string
function search.shorten(message)
   if not message:find("module '[^'\n]+' not found:\n") then return message end
   local short = message:gsub("\n\tno f[^\n]*", "")
   return (short:gsub("not found:", function() return "not found; sought in " .. search.describe() end, 1))
end

return search
