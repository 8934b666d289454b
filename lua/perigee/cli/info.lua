--- perigee info: versions and the machine.
local command = require "perigee.cli.command"

local info = {
   name = "info",
   usage = "usage: perigee info",
   definitions = { { name = "help", help = "show this text" } },
}

function info.run(args)
   local values, code = command.values(info, args)
   if not values then return code end
   local engine = require "perigee.engine"
   local where = require "perigee.where"
   local host = engine.host() or {}
   io.stdout:write(("perigee  %s\nluajit   %s\nlibrary  %s\n"):format(engine.version, jit.version, where.home))
   io.stdout:write(("host     %s, %s %s, %s, %s processors\n"):format(
      tostring(host.name), tostring(host.system), tostring(host.release), tostring(host.machine), tostring(host.cpus)))
   io.stdout:write(("workers  %s\n"):format(require("perigee.workers").rule()))
   return 0
end

return info
