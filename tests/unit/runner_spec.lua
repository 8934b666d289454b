local endpoint = require "perigee.endpoint"
local perigee = require "perigee"
local runner = require "perigee.runner"
local support = require "tests.unit.support"

local function plan(changes)
   local definition = { name = "t", target = perigee.target.http { url = "localhost:1" }, requests = 1 }
   for k, v in pairs(changes or {}) do definition[k] = v end
   return perigee.scenario(definition):resolve()
end

describe("perigee.runner", function()
   it("ends with the script's error when setup raises, and does not go on", function()
      local torn_down = false
      local result = runner.run(plan {
         setup = function(run) error("no " .. run.scenario) end, teardown = function() torn_down = true end,
      }, { progress = "none" })
      assert.equal(2, result.exit_code)
      assert.matches("scenario.setup: .*runner_spec.lua:%d+: no t", result.error)
      assert.is_false(torn_down)
   end)

   it("refuses a mock url that cannot be read, and still calls teardown", function()
      local handle
      local result = runner.run(plan {
         target = perigee.target.http { url = "mock:nonsense" }, teardown = function(run) handle = run end,
      }, { progress = "none" })
      assert.equal(2, result.exit_code)
      support.contains("mock:nonsense: name=value expected", result.error)
      assert.equal("t", handle.scenario)
   end)

   it("fails when the built-in endpoint does not start", function()
      local result = runner.run(plan { target = perigee.target.http { url = "mock:no-such-option=1" } }, { progress = "none" })
      assert.equal(2, result.exit_code)
      support.contains("the built-in endpoint for 'mock:no-such-option=1' did not start", result.error)
   end)

   it("builds a target that phases share once", function()
      local shared, other = perigee.target.http { url = "a" }, perigee.target.http { url = "b" }
      local p = plan { phases = { { "x", target = shared }, { "y", target = shared }, { "z", target = other } } }
      local built = runner.build_targets(p, endpoint.new())
      assert.equal("http://a", built[shared].client.urls[1])
      assert.not_equal(built[shared].client, built[other].client)
      local count = 0
      for _ in pairs(built) do count = count + 1 end
      assert.equal(2, count)
   end)
end)
