-- What is drawn has the distribution that it should have. Seeds are fixed, so each test gives the same each time; the
-- limits are those that a right generator passes in all but one of a thousand cases.
local engine = require "perigee.engine"
local load = require "perigee.load"
local orders = require "perigee.order"
local stream = require "perigee.stream"

local order = orders.public
local SEEDS = { 1, 2, 3, 42, 2 ^ 40 + 1 }

-- ---- statistics ----

-- The value that chi-square with so many degrees of freedom exceeds once in a thousand (Wilson and Hilferty, 1931).
local function chi_square_limit(freedom)
   local v = 2 / (9 * freedom)
   return freedom * (1 - v + 3.09 * math.sqrt(v)) ^ 3
end

local function chi_square(counts, expected)
   local sum = 0
   for i, want in ipairs(expected) do sum = sum + (counts[i] - want) ^ 2 / want end
   return sum
end

local function assert_chi_square(counts, expected, freedom, what)
   local x, limit = chi_square(counts, expected), chi_square_limit(freedom)
   assert(x < limit, ("%s: chi-square %g, limit %g"):format(what, x, limit))
end

local function zeros(n)
   local list = {}
   for i = 1, n do list[i] = 0 end
   return list
end

local function filled(n, v)
   local list = zeros(n)
   for i = 1, n do list[i] = v end
   return list
end

-- Are numbers of [0, 1) uniform?
local function assert_uniform(list, what)
   local bins, counts = 40, zeros(40)
   for _, u in ipairs(list) do
      local b = math.min(bins, math.floor(u * bins) + 1)
      counts[b] = counts[b] + 1
   end
   assert_chi_square(counts, filled(bins, #list / bins), bins - 1, what)
end

local function moments(list)
   local n, mean, variance = #list, 0, 0
   for _, x in ipairs(list) do mean = mean + x / n end
   for _, x in ipairs(list) do variance = variance + (x - mean) ^ 2 / (n - 1) end
   return mean, variance
end

local function correlation(a, b)
   local ma, va = moments(a)
   local mb, vb = moments(b)
   local sum = 0
   for i = 1, #a do sum = sum + (a[i] - ma) * (b[i] - mb) end
   return sum / (#a - 1) / math.sqrt(va * vb)
end

local function assert_uncorrelated(a, b, what)
   local r = correlation(a, b)
   assert(math.abs(r) < 3.3 / math.sqrt(#a), ("%s: correlation %g of %d"):format(what, r, #a))
end

-- P(a, x), the regularised lower incomplete gamma function, by its series.
local function gamma_cdf(a, x)
   local function log_gamma(z) -- Stirling's series, after shifting z up
      local shift = 0
      while z < 12 do
         shift, z = shift + math.log(z), z + 1
      end
      return (z - 0.5) * math.log(z) - z + 0.5 * math.log(2 * math.pi) + 1 / (12 * z) - 1 / (360 * z ^ 3) - shift
   end
   if x <= 0 then return 0 end
   local term, sum = 1 / a, 1 / a
   for k = 1, 2000 do
      term = term * x / (a + k)
      sum = sum + term
      if term < 1e-15 * sum then break end
   end
   return math.min(1, math.exp(a * math.log(x) - x - log_gamma(a)) * sum)
end

-- ---- schedules ----

local function gaps_of(spec, n, seed, number)
   local schedule, list, t = spec:build { seed = seed, number = number or 1 }.schedule, {}, 0
   for i = 1, n do
      list[i] = schedule(i - 1, t)
      t = t + list[i]
   end
   return list
end

local function times_of(spec, until_s, seed, duration)
   local schedule, list, t = spec:build({ seed = seed, number = 1, duration = duration }).schedule, {}, 0
   while true do
      local gap = schedule(#list, t)
      if not gap then return list end
      t = t + gap
      if t >= until_s then return list end
      list[#list + 1] = t
   end
end

-- The cumulative rates.
local function ramp(from, to, over)
   return function(t)
      if t <= over then return from * t + (to - from) * t * t / (2 * over) end
      return (from + to) / 2 * over + to * (t - over)
   end
end

local function stairs(steps)
   return function(t)
      local sum = 0
      for _, s in ipairs(steps) do
         sum = sum + s[1] * math.min(s[2], math.max(0, t))
         t = t - s[2]
      end
      return sum
   end
end

local function swing(mean, amplitude, period)
   local w = 2 * math.pi / period
   return function(t) return mean * t + amplitude / w * (1 - math.cos(w * t)) end
end

local STEPS = { { 20, 30 }, { 200, 20 }, { 5, 50 } }
local VARYING = {
   up = { make = function(o) return load.ramp(0, 200, { over = 100, arrivals = o }) end, sum = ramp(0, 200, 100), last = 140 },
   down = { make = function(o) return load.ramp(150, 2, { over = 90, arrivals = o }) end, sum = ramp(150, 2, 90), last = 120 },
   steps = { make = function(o) return load.steps(STEPS, { arrivals = o }) end, sum = stairs(STEPS), last = 100 },
   sine = { make = function(o) return load.sine { mean = 60, amplitude = 60, period = "17s", arrivals = o } end,
      sum = swing(60, 60, 17), last = 100 },
}

describe("the gaps", function()
   it("of a Poisson load are exponential and independent", function()
      for _, seed in ipairs(SEEDS) do
         local n, rate = 20000, 37
         local list, u = gaps_of(load.poisson(rate), n, seed), {}
         local mean, variance = moments(list)
         assert.near(1 / rate, mean, 3.3 / rate / math.sqrt(n))
         assert.near(1 / rate ^ 2, variance, 3.3 / rate ^ 2 * math.sqrt(8 / n)) -- the kurtosis is 9
         for i, gap in ipairs(list) do u[i] = 1 - math.exp(-rate * gap) end
         assert_uniform(u, "poisson")
         assert_uncorrelated({ unpack(u, 1, 7000) }, { unpack(u, 2, 7001) }, "neighbours")
      end
   end)

   it("of a gamma load have their shape", function()
      for _, burstiness in ipairs { 0.25, 0.5, 1, 3, 10 } do
         for _, seed in ipairs(SEEDS) do
            local n, rate = 10000, 8
            local list, u = gaps_of(load.gamma(rate, burstiness), n, seed), {}
            local mean, variance = moments(list)
            local truth = 1 / (burstiness * rate ^ 2)
            assert.near(1 / rate, mean, 3.3 * math.sqrt(truth / n))
            assert.near(truth, variance, 3.3 * truth * math.sqrt((2 + 6 / burstiness) / n))
            for i, gap in ipairs(list) do u[i] = gamma_cdf(burstiness, gap * rate * burstiness) end
            assert_uniform(u, "gamma of " .. burstiness)
         end
      end
   end)

   it("of a constant load are all the same", function()
      for _, rate in ipairs { 0.01, 3, 1000, 123456.789 } do
         local list = gaps_of(load.constant(rate), 10000, 1)
         assert.equal(0, list[1])
         local t = 0
         for i = 2, #list do
            t = t + list[i]
            assert.near((i - 1) / rate, t, 1e-12 * (1 + i / rate))
         end
      end
   end)

   it("keep their distribution through changes of the rate", function()
      -- Turned every so often in the middle of the schedule, as the engine does: what is beyond now is asked for anew.
      for name, make in pairs { poisson = load.poisson, gamma = function(r) return load.gamma(r, 1) end } do
         local u, total, expected = {}, 0, 0
         for seed = 1, 400 do
            local built = make(10):build { seed = seed, number = 1 }
            local i, t, rate = 0, 0, 10
            for turn = 1, 4 do
               local now = turn * 1.5
               while true do
                  local gap = built.schedule(i, t)
                  if t + gap > now then break end
                  if turn == 1 then u[#u + 1] = 1 - math.exp(-rate * gap) end
                  i, t = i + 1, t + gap
               end
               expected, rate = expected + 1.5 * rate, 10 * turn
               assert(built.knobs.rate.set(rate, now, true))
            end
            total = total + i
         end
         assert.near(expected, total, 3.3 * math.sqrt(expected), name)
         assert.is_true(#u > 4000)
      end
   end)
end)

describe("the loads that vary", function()
   it("have as many arrivals in each slice as their rate has there", function()
      for name, case in pairs(VARYING) do
         for _, seed in ipairs(SEEDS) do
            local slices, counts, expected = 40, zeros(40), {}
            local width = case.last / slices
            for _, t in ipairs(times_of(case.make "poisson", case.last, seed)) do
               local k = math.floor(t / width) + 1
               counts[k] = counts[k] + 1
            end
            for k = 1, slices do expected[k] = case.sum(k * width) - case.sum((k - 1) * width) end
            assert_chi_square(counts, expected, slices, name)
         end
      end
   end)

   it("are Poisson's in the time of their own rate", function()
      for name, case in pairs(VARYING) do
         local u, before = {}, 0
         for _, t in ipairs(times_of(case.make "poisson", case.last, 7)) do
            local now = case.sum(t)
            u[#u + 1], before = 1 - math.exp(before - now), now
         end
         assert_uniform(u, name)
      end
   end)

   it("are at most one arrival off with even ones", function()
      for name, case in pairs(VARYING) do
         local list = times_of(case.make "even", case.last, 1)
         for i, t in ipairs(list) do assert(math.abs(case.sum(t) - (i - 1)) < 1e-6, ("%s, arrival %d"):format(name, i)) end
         assert.near(case.sum(case.last), #list, 1)
      end
   end)
end)

describe("seeds", function()
   it("give independent schedules, orders and phases", function()
      local n = 5000
      local base = gaps_of(load.poisson(1), n, 1)
      for _, other in ipairs { { 2, 1 }, { 3, 1 }, { 1, 2 }, { 1, 3 }, { 2 ^ 32 + 1, 1 }, { 1.5, 1 }, { -1, 1 } } do
         assert_uncorrelated(base, gaps_of(load.poisson(1), n, other[1], other[2]), table.concat(other, ", "))
      end
      local following, samples = orders.iterator(order.random(), 1000, engine.rng(1, 1, stream.order)), {}
      for i = 1, n do samples[i] = following(i) end
      assert_uncorrelated(base, samples, "schedule and order")
      local endpoint = {}
      for i = 1, n do endpoint[i] = engine.rng(1, stream.endpoint, i):uniform() end
      assert_uncorrelated(base, endpoint, "schedule and endpoint")
   end)

   it("that follow one another are as good as others", function()
      local first = {}
      for seed = 1, 4000 do first[seed] = 1 - math.exp(-gaps_of(load.poisson(1), 1, seed)[1]) end
      assert_uniform(first, "first gaps")
      assert_uncorrelated({ unpack(first, 1, 3999) }, { unpack(first, 2, 4000) }, "first gaps of neighbours")
   end)

   it("share no stream between what a phase draws and what the simulated endpoint draws", function()
      local seen = {}
      for number = 1, 50 do
         for _, purpose in ipairs { stream.schedule, stream.order, stream.content } do
            local u = engine.rng(9, number, purpose):uniform()
            assert.is_nil(seen[u])
            seen[u] = true
         end
      end
      for request = 1, 200 do assert.is_nil(seen[engine.rng(9, stream.endpoint, request):uniform()]) end
   end)
end)

-- ---- orders ----

local function take(spec, n, count, seed)
   local following, list = orders.iterator(spec, n, engine.rng(seed, 1, stream.order)), {}
   for i = 1, count do list[i] = following(i) end
   return list
end

local function tally(list, n)
   local counts = zeros(n)
   for _, index in ipairs(list) do counts[index] = counts[index] + 1 end
   return counts
end

describe("the orders", function()
   it("random, zipf and weighted draw in proportion", function()
      local n, count = 50, 40000
      local weights, powers = {}, {}
      for k = 1, n do weights[k], powers[k] = k % 7 + 0.5, k ^ -1.2 end
      for name, case in pairs {
         random = { order.random(), filled(n, 1) }, zipf = { order.zipf(1.2), powers }, weighted = { order.weighted(weights), weights },
      } do
         local total, expected = 0, {}
         for _, w in ipairs(case[2]) do total = total + w end
         for k, w in ipairs(case[2]) do expected[k] = count * w / total end
         for _, seed in ipairs(SEEDS) do
            assert_chi_square(tally(take(case[1], n, count, seed), n), expected, n - 1, name)
         end
      end
   end)

   it("random has no memory", function()
      for _, seed in ipairs(SEEDS) do
         local list, pairs_of = take(order.random(), 8, 20001, seed), zeros(64)
         for i = 1, 20000 do
            local cell = (list[i] - 1) * 8 + list[i + 1]
            pairs_of[cell] = pairs_of[cell] + 1
         end
         assert_chi_square(pairs_of, filled(64, 20000 / 64), 63, "pairs")
      end
   end)

   it("shuffle covers the dataset in each epoch, in an order of its own", function()
      for _, n in ipairs { 1, 2, 7, 100, 1000 } do
         local list, seen = take(order.shuffle(), n, 12 * n, 5), {}
         for epoch = 0, 11 do
            local part = { unpack(list, epoch * n + 1, (epoch + 1) * n) }
            for _, count in ipairs(tally(part, n)) do assert.equal(1, count) end
            seen[table.concat(part, " ")] = true
         end
         local different = 0
         for _ in pairs(seen) do different = different + 1 end
         assert.equal(n == 1 and 1 or n == 2 and 2 or n == 7 and 12 or 12, different)
      end
   end)

   it("shuffle takes every permutation as often, over seeds and over epochs", function()
      local function permutations(source)
         local counts, list = {}, {}
         for _, p in ipairs(source) do
            local key = table.concat(p)
            counts[key] = (counts[key] or 0) + 1
         end
         for _, count in pairs(counts) do list[#list + 1] = count end
         assert.equal(24, #list)
         assert_chi_square(list, filled(24, #source / 24), 23, "permutations")
      end
      local over_seeds, over_epochs = {}, {}
      for seed = 1, 6000 do over_seeds[seed] = take(order.shuffle(), 4, 4, seed) end
      local long = take(order.shuffle(), 4, 24000, 1)
      for epoch = 1, 6000 do over_epochs[epoch] = { unpack(long, epoch * 4 - 3, epoch * 4) } end
      permutations(over_seeds)
      permutations(over_epochs)
      -- Nor does an epoch tell the next one: every sample follows the border as often, whichever came last.
      local borders = zeros(16)
      for epoch = 1, 5999 do
         local cell = (over_epochs[epoch][4] - 1) * 4 + over_epochs[epoch + 1][1]
         borders[cell] = borders[cell] + 1
      end
      assert_chi_square(borders, filled(16, 5999 / 16), 15, "borders")
   end)
end)
