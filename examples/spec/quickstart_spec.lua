-- How a team tests a scenario of its own: on simulated time, against an endpoint that the test describes. No server, no
-- waiting, the same numbers each time.
local perigee = require "perigee"

local quickstart = perigee.test.load "examples/quickstart.lua"

local function run(endpoint, options)
   return perigee.test.run(quickstart, { clock = "virtual", endpoint = endpoint, options = options })
end

describe("quickstart", function()
   it("warms up, holds 8 in flight, then sends at the rate asked for", function()
      local result = run { ttft = "20ms", tpot = "2ms", tokens = 16 }
      assert.equal(0, result.exit_code)
      assert.equal(20, result.phases.warmup.completed)
      assert.equal(200, result.phases.steady.completed)
      local sent = result.phases.poisson.issued -- in 4 s at 50/s: 200, give or take chance
      assert.is_true(sent > 130 and sent < 270)
   end)

   it("has 8 requests in flight in the steady phase, never more", function()
      local result, inflight, most = run { ttft = "exp:50ms", tokens = "uniform:1,32" }, 0, 0
      for _, e in ipairs(result.events) do
         if e.type == "sample.issued" and e.phase == "steady" then inflight = inflight + 1 end
         if e.type == "sample.complete" and e.phase == "steady" then inflight = inflight - 1 end
         most = math.max(most, inflight)
      end
      assert.equal(8, most)
   end)

   it("shows an endpoint that cannot keep up with the rate", function()
      local result = run({ ttft = "100ms", tokens = 1, slots = 2 }, { rate = 40 }) -- serves 20/s
      local poisson = result.phases.poisson
      assert.is_true(poisson.latency_ms.max > 1000)
      assert.equal(0, poisson.failed)
   end)

   it("survives an endpoint that fails now and then", function()
      local result = run(function(request)
         if request.number % 10 == 0 then return { status = 503 } end
         return { ttft = "30ms", text = "a short answer" }
      end)
      assert.equal(20, result.phases.steady.errors.http_503)
      assert.equal(0, result.exit_code)
   end)
end)
