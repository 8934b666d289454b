-- The library on simulated time: no server, no waiting, the same numbers each time.
local perigee = require "perigee"
local library = require "NAME"

describe("NAME.gusts", function()
   it("sends a gust at once and then pauses", function()
      local scenario = library.scenario:with { phases = { { "gusts", load = library.gusts(2, 1.5), requests = 4 } } }
      local times = {}
      for _, r in ipairs(perigee.test.run(scenario).requests) do
         if r.phase == "gusts" then times[#times + 1] = r.scheduled end
      end
      assert.same({ 0, 0, 1.5, 1.5 }, times)
   end)
end)

describe("NAME.scenario", function()
   it("passes while the endpoint is quick", function()
      local result = perigee.test.run(library.scenario, { endpoint = { ttft = "50ms", tpot = "5ms", tokens = 16 } })
      assert.equal(0, result.exit_code)
      assert.equal(30, result.phases.gusts.completed)
   end)

   it("fails when a gust has to wait for free slots", function()
      local result = perigee.test.run(library.scenario, { endpoint = { ttft = "200ms", tokens = 1, slots = 1 } })
      assert.equal(3, result.exit_code)
      assert.is_false(result.checks.gusts[1].passed)
   end)
end)
