--- perigee info: versions, the machine, and where modules are found.
local command = require "perigee.cli.command"
local engine = require "perigee.engine"
local search = require "perigee.cli.search"
local where = require "perigee.where"
local workers = require "perigee.workers"

local info = {
   name = "info",
   usage = "usage: perigee info [--env]",
   definitions = {
      { name = "env", help = "print shell lines that let LuaJIT, and so busted, find perigee: eval \"$(perigee info --env)\"" },
      { name = "help", help = "show this text" },
   },
}

local function quoted(text)
   return "'" .. text:gsub("'", [['\'']]) .. "'"
end

-- Before what the shell has; an empty part stands for Lua's own.
local function export(name, value)
   return ('export %s=%s"${%s:-;}"\n'):format(name, quoted(value .. ";"), name)
end

local function environment()
   local root = where.home:gsub("perigee/$", "")
   local module = assert(package.searchpath("perigee_engine", package.cpath))
   return export("LUA_PATH", root .. "?.lua;" .. root .. "?/init.lua") .. export("LUA_CPATH", module:match "^(.*)/" .. "/?.so")
end

local function report()
   local host = engine.host() or {}
   search.prepare "."
   local lines = {
      "perigee  " .. engine.version, "api      " .. require("perigee.api").NUMBER, "luajit   " .. jit.version,
      ("host     %s, %s %s, %s, %s processors"):format(
         tostring(host.name), tostring(host.system), tostring(host.release), tostring(host.machine), tostring(host.cpus)),
      "workers  " .. workers.rule(), "library  " .. where.home, "types    " .. where.home .. "library",
   }
   for i, folder in ipairs(search.folders()) do lines[#lines + 1] = (i == 1 and "modules  " or "         ") .. folder end
   return table.concat(lines, "\n") .. "\n"
end

function info.run(args)
   local values, code = command.values(info, args)
   if not values then return code end
   io.stdout:write(values.env and environment() or report())
   return 0
end

return info
