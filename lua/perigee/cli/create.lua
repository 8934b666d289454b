--- perigee init: a first scenario, or a library of scenarios, to begin with.
local command = require "perigee.cli.command"
local engine = require "perigee.engine"
local where = require "perigee.where"

local create = {
   name = "init",
   usage = "usage: perigee init FILE.lua\n       perigee init --library NAME",
   definitions = {
      { name = "library", value = "NAME", help = "make the folder NAME: a Lua module with a scenario and a load, its tests, a rockspec" },
      { name = "help", help = "show this text" },
   },
   most = 1,
}

-- Of the template; NAME stands for the library's name, in paths as well.
local LIBRARY = {
   "lua/NAME/init.lua", "spec/NAME_spec.lua", "NAME-scm-1.rockspec", "README.md", ".busted", ".luacheckrc", ".luarc.json", ".gitignore",
}

local TEMPLATE = where.home .. "template/"

local function exists(path)
   local file = io.open(path)
   return file ~= nil and (file:close() or true)
end

local function write(path, text)
   local file, message = io.open(path, "w")
   if not file then return nil, message end
   local ok, failure = file:write(text)
   local closed, late = file:close()
   if not (ok and closed) then return nil, ("%s: %s"):format(path, failure or late) end
   return true
end

-- The template's file with the words replaced.
local function fill(from, to, words)
   local file, message = io.open(TEMPLATE .. from)
   if not file then return nil, message end
   local text = file:read "*a"
   file:close()
   return write(to, (text:gsub("%u+", words)))
end

-- What is wrong with the name of a library, or nil.
local function name_problem(name)
   if not name:find "^%l[%l%d_]*$" then return ("'%s': a name of a-z, 0-9 and _ that begins with a letter expected"):format(name) end
   if name == "perigee" or not loadstring(("local %s"):format(name)) then return ("'%s' is taken"):format(name) end
   if exists(name) then return ("%s exists already"):format(name) end
end

local function library(name)
   local problem = name_problem(name)
   if problem then return command.refuse(create, "--library: " .. problem) end
   for _, folder in ipairs { "/lua/" .. name, "/spec" } do
      local made, message = engine.mkdir(name .. folder)
      if not made then return command.refuse(create, message, 1) end
   end
   local words = { NAME = name, TYPES = where.home .. "library" }
   for _, path in ipairs(LIBRARY) do
      local to = name .. "/" .. path:gsub("NAME", name)
      local ok, message = fill("library/" .. path, to, words)
      if not ok then return command.refuse(create, message, 1) end
      io.stdout:write(to, "\n")
   end
   io.stdout:write(("\nNow: cd %s && eval \"$(perigee info --env)\" && busted && perigee run %s\n"):format(name, name))
   return 0
end

local function scenario(path)
   if not path:find "%.lua$" then return command.refuse(create, ("'%s': a file that ends in .lua expected"):format(path)) end
   if exists(path) then return command.refuse(create, path .. " exists already") end
   local ok, message = fill("scenario.lua", path, {})
   if not ok then return command.refuse(create, message, 1) end
   io.stdout:write(("%s\n\nNow: perigee explain %s && perigee run %s\n"):format(path, path, path))
   return 0
end

function create.run(args)
   local values, words = command.values(create, args)
   if not values then return words end
   if values.library and words[1] then return command.refuse(create, ("unexpected argument '%s'"):format(words[1])) end
   if values.library then return library(values.library) end
   if not words[1] then return command.refuse(create, "a file or --library NAME is missing\n" .. create.usage) end
   return scenario(words[1])
end

return create
