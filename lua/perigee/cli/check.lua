--- perigee check: does the scenario load, do its options resolve, and can its phases be put together?
local command = require "perigee.cli.command"
local endpoint = require "perigee.endpoint"
local load = require "perigee.cli.load"
local mock = require "perigee.cli.mock"
local options = require "perigee.cli.options"
local runner = require "perigee.runner"

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

local ENDPOINTS = { -- simulated: secrets need not be set
   simulated = true,
   address = function(_, url) return mock_url(url) end,
}

function check.run(args)
   local loaded, code = command.scenario(check, args)
   if not loaded then return code end
   local ok, message = load.guarded(loaded.scenario.place, runner.rehearse, loaded.plan, ENDPOINTS)
   if not ok then return command.refuse(check, message) end
   local n = #loaded.plan.phases
   io.stdout:write(("%s: scenario '%s', %d phase%s\n"):format(loaded.file, loaded.plan.name, n, n == 1 and "" or "s"))
   return 0
end

return check
