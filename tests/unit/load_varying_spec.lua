local load = require "perigee.load"
local support = require "tests.unit.support"

-- The scheduled times of an open load up to `until_s`, as the engine plays them.
local function times(spec, until_s, context)
   context = context or { seed = 1, number = 1 }
   local schedule, list, t, i = spec:build(context).schedule, {}, 0, 0
   while true do
      local gap = schedule(i, t)
      if gap == nil then return list end
      t, i = t + gap, i + 1
      if t > until_s then return list end
      list[i] = t
   end
end

local function between(list, from, to)
   local n = 0
   for _, t in ipairs(list) do
      if t >= from and t < to then n = n + 1 end
   end
   return n
end

-- A Poisson count is within five of its standard deviations of its mean.
local function assert_count(mean, n)
   assert.near(mean, n, 5 * math.sqrt(mean))
end

-- Mean and variance of the gaps.
local function moments(list)
   local sum, squares = 0, 0
   for i = 2, #list do
      local gap = list[i] - list[i - 1]
      sum, squares = sum + gap, squares + gap * gap
   end
   local n = #list - 1
   return sum / n, squares / n - (sum / n) ^ 2
end

describe("perigee.load.ramp", function()
   it("goes from one rate to another in a straight line and stays there", function()
      local list = times(load.ramp(0, 400, { over = "100s" }), 200)
      assert_count(5000, between(list, 0, 50))      -- 0 to 200/s
      assert_count(15000, between(list, 50, 100))   -- 200 to 400/s
      assert_count(40000, between(list, 100, 200))
   end)

   it("is exact with even arrivals", function()
      local list = times(load.ramp(10, 30, { over = 10, arrivals = "even" }), 10)
      -- after t seconds 10 t + t^2 arrivals are due, the first at 0
      for i, t in ipairs(list) do assert.near(i - 1, 10 * t + t * t, 1e-6) end
      assert.near(200, #list, 1) -- the last one stands at the edge
   end)

   it("goes down as well, and takes the phase's duration when it is not told another", function()
      local list = times(load.ramp(100, 1), 60, { seed = 3, number = 1, duration = 60 })
      assert_count(60 * 50.5, #list)
      assert.is_true(between(list, 0, 20) > between(list, 40, 60))
   end)

   it("needs to know how long", function()
      support.contains("load.ramp: it needs `over`", support.refusal(function() load.ramp(1, 2):build {} end))
   end)
end)

describe("perigee.load.steps", function()
   it("plays one rate after the other and ends", function()
      local list = times(load.steps { { 100, "20s" }, { 500, "10s" }, { rate = 50, duration = 40 } }, 1000)
      assert_count(2000, between(list, 0, 20))
      assert_count(5000, between(list, 20, 30))
      assert_count(2000, between(list, 30, 70))
      assert.is_true(list[#list] < 70)
   end)

   it("is exact with even arrivals", function()
      local list = times(load.steps({ { 2, 1 }, { 4, 1 } }, { arrivals = "even" }), 10)
      assert.same({ 0, 0.5, 1, 1.25, 1.5, 1.75, 2 }, list)
   end)
end)

describe("perigee.load.sine", function()
   it("swings around its mean", function()
      local list = times(load.sine { mean = 100, amplitude = 100, period = "40s" }, 400)
      assert_count(40000, #list)
      local high, low = 0, 0
      for k = 0, 9 do
         high, low = high + between(list, 40 * k, 40 * k + 20), low + between(list, 40 * k + 20, 40 * k + 40)
      end
      assert_count(20000 + 4000 / math.pi * 10, high) -- mean T/2 + amplitude T/pi, ten times
      assert_count(20000 - 4000 / math.pi * 10, low)
   end)

   it("has no negative rate", function()
      support.contains("must not be above the mean", support.refusal(function()
         load.sine { mean = 1, amplitude = 2, period = 1 }:build {}
      end))
   end)
end)

describe("perigee.load.gamma", function()
   it("has the rate and the burstiness that were asked for", function()
      for _, burstiness in ipairs { 0.5, 1, 4 } do
         local list = times(load.gamma(100, burstiness), 500)
         local mean, variance = moments(list)
         assert.near(0.01, mean, 0.01 * 0.05)
         assert.near(1 / burstiness, variance / mean ^ 2, 0.1 / burstiness)
      end
   end)
end)

describe("the loads that vary", function()
   it("repeat for a seed and differ between phases", function()
      for _, spec in ipairs { load.ramp(1, 50, { over = 10 }), load.sine { mean = 9, amplitude = 3, period = 2 }, load.gamma(9, 2) } do
         assert.same(times(spec, 5), times(spec, 5))
         assert.not_same(times(spec, 5), times(spec, 5, { seed = 1, number = 2 }))
      end
   end)

   it("refuse what makes no rate", function()
      for _, case in ipairs {
         { "above 0", function() load.ramp(1, 0) end },
         { "at least 0", function() load.ramp(-1, 2) end },
         { "poisson", function() load.ramp(1, 2, { arrivals = "odd" }) end },
         { "rate, duration", function() load.steps {} end },
         { "rate, duration", function() load.steps { { 1 } } end },
         { "rate, duration", function() load.steps { { 0, "1s" } } end },
         { "period", function() load.sine { mean = 1, amplitude = 1 } end },
         { "burstiness", function() load.gamma(1) end },
      } do support.contains(case[1], support.refusal(case[2])) end
   end)
end)
