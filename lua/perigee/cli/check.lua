--- perigee check: does the scenario load, do its options resolve, and can all of its parts be made?
local assemble = require "perigee.assemble"
local command = require "perigee.cli.command"
local endpoint = require "perigee.endpoint"
local mock = require "perigee.cli.mock"
local options = require "perigee.cli.options"
local where = require "perigee.where"

local check = {
   name = "check",
   usage = "usage: perigee check FILE [--option value ...]",
   definitions = { { name = "help", help = "show this text and the scenario's options" } },
}

-- The built-in endpoint is not started, but what is asked of it is read.
local function mock_url(url)
   local values, message = options.parse(endpoint.arguments(url), mock.definitions)
   if not values then error(("target: %s: %s"):format(url, message), 0) end
   return "http://mock"
end

local CONTEXT = { simulated = true, mock = mock_url } -- simulated: secrets need not be set

-- What is wrong with a part of a phase that is only made for a run: a load, an order, a target. nil: nothing.
local function problem(plan)
   for _, p in ipairs(plan.phases) do
      local ok, message = xpcall(function() assemble.phase(p, plan.seed, p.target:build(CONTEXT)) end, where.with_traceback)
      if not ok then return ("phase '%s': %s"):format(p.name, message) end
   end
end

function check.run(args)
   local loaded, code = command.scenario(check, args)
   if not loaded then return code end
   local message = problem(loaded.plan)
   if message then return command.refuse(check, message) end
   local n = #loaded.plan.phases
   io.stdout:write(("%s: scenario '%s', %d phase%s\n"):format(loaded.file, loaded.plan.name, n, n == 1 and "" or "s"))
   return 0
end

return check
