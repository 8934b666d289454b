--- perigee info: versions and the machine.
local info = { name = "info", summary = "show versions and the machine", usage = "usage: perigee info" }

function info.run(args)
   if args[1] == "--help" or args[1] == "-h" then
      io.stdout:write(info.usage, "\n")
      return 0
   end
   if args[1] then
      io.stderr:write(("perigee info: unexpected argument '%s'\n"):format(args[1]))
      return 2
   end
   local engine = require "perigee.engine"
   local where = require "perigee.where"
   local host = engine.host() or {}
   io.stdout:write(("perigee  %s\nluajit   %s\nlibrary  %s\n"):format(engine.version, jit.version, where.home))
   io.stdout:write(("host     %s, %s %s, %s, %s processors\n"):format(
      tostring(host.name), tostring(host.system), tostring(host.release), tostring(host.machine), tostring(host.cpus)))
   return 0
end

return info
