--- perigee control: send a command to a running session.
local engine = require "perigee.engine"
local commands = require "perigee.cli.command"

local DEFAULT_TIMEOUT = 5 -- seconds

local control = {
   name = "control",
   usage = "usage: perigee control ADDR stop|status|rate N|concurrency N [--timeout TIME]",
   fewest = 2, most = 3,
   definitions = {
      { name = "timeout", value = "TIME", type = "duration", help = "how long to wait for the answer (default 5s)" },
      { name = "help", help = "show this text" },
   },
   notes = [[
ADDR is what `perigee run --control ADDR` opened. The answer is printed as JSON.
Exit status: 0 done, 1 refused or no answer, 2 bad usage.]],
}

function control.run(args)
   local values, list = commands.values(control, args)
   if not values then return list end
   local request = table.concat(list, " ", 2)
   local reply, message, code = engine.control_request(list[1], request, values.timeout or DEFAULT_TIMEOUT)
   if not reply then return commands.refuse(control, message, code == "EINVAL" and 2 or 1) end
   local answer = engine.json.decode(reply)
   if type(answer) ~= "table" then return commands.refuse(control, "the answer is no JSON object", 1) end
   if answer.ok ~= true then return commands.refuse(control, tostring(answer.error), 1) end
   io.stdout:write(reply, "\n")
   return 0
end

return control
