-- A strategy's spec: with a model of the endpoint one knows where it has to stop.
local perigee = require "perigee"

local strategy = perigee.test.load "examples/strategy.lua"

describe("the doubling strategy", function()
   it("goes up to 64 when the endpoint has room", function()
      local result = perigee.test.run(strategy, { endpoint = { ttft = "100ms", tokens = 1 } })
      assert.equal(1 + 2 + 4 + 8 + 16 + 32 + 64, result.phases.performance.issued)
   end)

   it("stops after the first round whose slowest answer is too slow", function()
      -- Eight slots: 16 requests take two turns of 100 ms, 32 take four.
      local result = perigee.test.run(strategy, { endpoint = { ttft = "100ms", tokens = 1, slots = 8 } })
      assert.equal(1 + 2 + 4 + 8 + 16 + 32, result.phases.performance.issued)
      assert.equal(400, math.floor(result.phases.performance.latency_ms.max + 0.5))
   end)
end)
