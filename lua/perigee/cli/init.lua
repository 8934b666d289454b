--- The command line: `perigee <command> ...`.
local nearest = require "perigee.nearest"

local cli = {}

-- Commands are loaded when they are called: help needs none of them. The third is the module, when it is
-- not called like the command.
local COMMANDS = {
   { "run", "play a scenario and report" },
   { "once", "send one request of a scenario and show all of it" },
   { "explain", "show the plan of a scenario, without traffic" },
   { "explain-metrics", "show what each metric is, and what other tools call it" },
   { "check", "load a scenario and resolve its options, without traffic" },
   { "report", "rebuild the report of a run from its event log" },
   { "compare", "compare runs: what changed, and how sure that is" },
   { "mock", "run the built-in inference endpoint" },
   { "events", "subscribe to the events of a run" },
   { "metrics", "aggregate the events of a run, publish snapshots" },
   { "top", "watch a run from its snapshots" },
   { "scrape", "read what a server tells Prometheus, as JSON lines" },
   { "control", "send a command to a run: stop, status, rate, concurrency" },
   { "init", "write a first scenario, or a library of them", "create" },
   { "selftest", "measure what this host can do at best" },
   { "info", "show versions, the machine, and where modules are found" },
}

local function help()
   local lines = { "usage: perigee <command> [arguments]", "" }
   for _, command in ipairs(COMMANDS) do lines[#lines + 1] = ("  %-15s %s"):format(command[1], command[2]) end
   lines[#lines + 1] = ""
   lines[#lines + 1] = "`perigee <command> --help` tells more; `perigee run FILE --help` shows the scenario's own options."
   return table.concat(lines, "\n") .. "\n"
end

local function refuse(message)
   io.stderr:write("perigee: ", message, "\n")
   return 2
end

local function find(name)
   local names = {}
   for i, command in ipairs(COMMANDS) do
      if command[1] == name then return require("perigee.cli." .. (command[3] or name:gsub("-", "_"))) end
      names[i] = command[1]
   end
   local near = nearest(name, names)
   return nil, ("unknown command '%s'%s"):format(name, near and (", did you mean '%s'?"):format(near) or "; see perigee --help")
end

--- Run a command. `args` begins with its name.
---@param args string[]
---@return integer exit_code
function cli.main(args)
   local name = args[1]
   if name == nil then
      io.stderr:write(help())
      return 2
   end
   if name == "--help" or name == "-h" or name == "help" then
      io.stdout:write(help())
      return 0
   end
   if name == "--version" then
      io.stdout:write("perigee ", require("perigee.engine").version, "\n")
      return 0
   end
   local ok, command, message = pcall(find, name)
   if not ok then return refuse(tostring(command)) end
   if not command then return refuse(message) end
   -- LuaJIT turns ^C into an error of the script; a session handles it, outside of one it ends the program.
   require("perigee.engine").default_interrupt()
   return command.run({ unpack(args, 2) })
end

return cli
