local load = require "perigee.load"
local support = require "tests.unit.support"

-- The scheduled times of an open load, as the engine plays them.
local function times(spec, n, context)
   local schedule, list, t = spec:build(context or { seed = 1, number = 1 }).schedule, {}, 0
   for i = 0, n - 1 do
      local gap = schedule(i, t)
      if gap == nil then break end
      t = t + gap
      list[#list + 1] = t
   end
   return list
end

-- A phase as a strategy sees it: wait() ends `ends` requests, at most `total` are issued.
local function play(spec, total, ends, already)
   local p = { issued = 0, inflight = 0, total_inflight = already or 0, most = 0 }
   function p:running() return self.issued < total end
   function p:fill(n)
      while self:running() and self.total_inflight < n and self:issue() do end
   end
   function p:issue()
      assert(self:running(), "issued after the phase ended")
      self.issued, self.inflight, self.total_inflight = self.issued + 1, self.inflight + 1, self.total_inflight + 1
      self.most = math.max(self.most, self.total_inflight)
      return self.issued
   end
   function p.wait() coroutine.yield() end
   local thread = coroutine.create(spec:build({}).strategy)
   for _ = 1, 1000 do
      assert(coroutine.resume(thread, p))
      if coroutine.status(thread) == "dead" then return p end
      local n = math.min(ends, p.total_inflight)
      p.inflight, p.total_inflight = math.max(0, p.inflight - n), p.total_inflight - n
   end
   error("the strategy does not end")
end

describe("perigee.load.constant", function()
   it("begins at 0 and does not drift", function()
      local list = times(load.constant(3), 30001)
      assert.equal(0, list[1])
      assert.near(10000, list[30001], 1e-6)
   end)
end)

describe("perigee.load.poisson", function()
   it("has the rate that was asked for", function()
      local list = times(load.poisson(50), 20000)
      assert.near(20000 / 50, list[20000], 0.05 * 20000 / 50)
   end)

   it("repeats for a seed, and differs with seed and phase", function()
      local a = times(load.poisson(5), 20, { seed = 1, number = 1 })
      assert.same(a, times(load.poisson(5), 20, { seed = 1, number = 1 }))
      assert.not_same(a, times(load.poisson(5), 20, { seed = 2, number = 1 }))
      assert.not_same(a, times(load.poisson(5), 20, { seed = 1, number = 2 }))
   end)
end)

-- The next `n` times after the knob `rate` was turned at `now`, when arrival i, the last one due by then, was at t.
local function turned(built, rate, now, i, t, n)
   assert(built.knobs.rate.set(rate, now, true))
   local list = {}
   for k = 1, n do
      t = t + built.schedule(i, t)
      i, list[k] = i + 1, t
   end
   return list
end

describe("the rate of an open load", function()
   it("is told and turned", function()
      for _, spec in ipairs { load.constant(10), load.poisson(10) } do
         local rate = spec:build({ seed = 1, number = 1 }).knobs.rate
         assert.equal(10, rate.get())
         for _, bad in ipairs { -1, 0 / 0, 1 / 0 } do
            local ok, message = rate.set(bad, 0)
            assert.is_nil(ok)
            support.contains("at least 0", message)
         end
         assert.is_true(rate.set(3, 0))
         assert.equal(3, rate.get())
      end
   end)

   it("of a constant load counts from its last arrival, never in the past", function()
      local function built() return load.constant(10):build({}) end
      assert.same({ 3, 3.5, 4 }, turned(built(), 2, 2.6, 26, 2.5, 3)) -- one new distance after 2.5
      assert.same({ 2.6, 2.6 + 1 / 128, 2.6 + 2 / 128 }, turned(built(), 128, 2.6, 26, 2.5, 3)) -- that was due before now
      assert.same({ 0.25, 0.75 }, turned(built(), 2, 0.25, 0, 0, 2)) -- nothing was sent yet
   end)

   it("of a Poisson load begins anew when it is turned", function()
      local sum = 0
      for seed = 1, 400 do
         local list = turned(load.poisson(0.001):build({ seed = seed, number = 1 }), 100, 50, 3, 2, 2)
         assert.is_true(list[1] >= 50)
         sum = sum + list[1] - 50
      end
      assert.near(0.01, sum / 400, 0.002)
   end)
end)

describe("perigee.load.burst", function()
   it("is n arrivals at 0", function()
      assert.same({ 0, 0, 0 }, times(load.burst(3), 10))
   end)
end)

describe("perigee.load.gaps", function()
   it("calls the function with arrival number and scheduled time", function()
      local seen = {}
      local list = times(load.gaps(function(i, t)
         seen[#seen + 1] = { i, t }
         return i < 3 and i * 0.5 or nil
      end), 10)
      assert.same({ 0, 0.5, 1.5 }, list)
      assert.same({ { 1, 0 }, { 2, 0.5 }, { 3, 1.5 } }, seen)
   end)

   it("hands over random numbers that repeat for a seed", function()
      local function gap(_, _, rng) return rng:uniform() end
      assert.same(times(load.gaps(gap), 5), times(load.gaps(gap), 5))
   end)

   it("refuses what is no number of seconds", function()
      for _, value in ipairs { -1, 0 / 0, math.huge, "1", false } do
         local schedule = load.gaps(function() return value end):build({}).schedule
         assert.equal(0, schedule(0, 0))
         support.contains("for arrival 7; seconds >= 0 or nil expected", support.refusal(schedule, 7, 1))
      end
   end)
end)

describe("perigee.load.concurrency", function()
   it("keeps n in flight until the phase ends", function()
      local p = play(load.concurrency(4), 10, 1)
      assert.equal(10, p.issued)
      assert.equal(4, p.most)
   end)

   it("counts what an earlier phase left in flight", function()
      local p = play(load.concurrency(4), 10, 1, 3)
      assert.equal(10, p.issued)
      assert.equal(4, p.most)
   end)
end)

describe("perigee.load.strategy", function()
   it("is the user's coroutine", function()
      local function fn() end
      assert.equal(fn, load.strategy(fn):build({}).strategy)
   end)
end)

describe("perigee.load arguments", function()
   it("are refused with the reason", function()
      local invalid = {
         { load.concurrency, { 0 }, "load.concurrency: n: a whole number >= 1 expected, got 0" },
         { load.concurrency, { 1.5 }, "a whole number >= 1" },
         { load.concurrency, {}, "load.concurrency: 'n' is missing" },
         { load.constant, { 0 }, "load.constant: rate: a finite number above 0 expected, got 0" },
         { load.poisson, { -5 }, "load.poisson: rate: a finite number above 0 expected, got -5" },
         { load.poisson, { math.huge }, "a finite number above 0" },
         { load.poisson, { 0 / 0 }, "a finite number above 0" },
         { load.poisson, { "5" }, "got '5'" },
         { load.burst, { 0 }, "load.burst: n: a whole number >= 1" },
         { load.gaps, { 5 }, "load.gaps: fn: a function expected, got 5" },
         { load.strategy, { {} }, "load.strategy: fn: a function expected, got an empty table" },
         { load.poisson, { 5, { max_inflght = 1 } }, "did you mean 'max_inflight'?" },
         { load.poisson, { 5, { max_inflight = 0 } }, "max_inflight: a whole number >= 1" },
         { load.poisson, { 5, { max_inflight = 1, overload = "dorp" } }, "did you mean 'drop'?" },
         { load.poisson, { 5, { overload = "drop" } }, "overload needs max_inflight" },
      }
      for _, row in ipairs(invalid) do support.contains(row[3], support.refusal(row[1], unpack(row[2]))) end
   end)

   it("are refused for a load that does not exist", function()
      support.contains("load: unknown name 'surge' (aimd, burst, concurrency, constant, conversations, gamma, gaps, poisson, ramp, " ..
         "replay, saturate, search, sine, steps, strategy, trace, users)",
         support.refusal(function() return load.surge end))
   end)
end)
