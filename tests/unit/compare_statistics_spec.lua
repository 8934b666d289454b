local statistics = require "perigee.compare.statistics"

local function near(expected, found, tolerance)
   assert.is_true(math.abs(found - expected) <= (tolerance or 1e-9) * math.max(1, math.abs(expected)),
      ("%.12g expected, got %.12g"):format(expected, found))
end

-- The minimal standard generator of S. K. Park and K. W. Miller (CACM 31, 1988): the same numbers everywhere.
local function generator(seed)
   local state = seed
   return function()
      state = state * 16807 % 2147483647
      return state / 2147483647
   end
end

-- Standard normal values with this correlation to the one before (G. E. P. Box and M. E. Muller, 1958).
local function normals(n, correlation, random)
   local list, x = {}, 0
   for i = -20, n do
      local z = math.sqrt(-2 * math.log(random())) * math.cos(2 * math.pi * random())
      x = correlation * x + math.sqrt(1 - correlation ^ 2) * z
      if i > 0 then list[i] = x end
   end
   return list
end

local function sorted(list)
   local copy = { unpack(list) }
   table.sort(copy)
   return copy
end

describe("the tails of Student's t", function()
   it("are those of the tables", function()
      -- Cauchy's distribution has one degree of freedom: its tail beyond 1 is a half.
      near(0.5, statistics.tails(1, 1), 1e-12)
      near(1 - 2 / math.pi * math.atan(3), statistics.tails(3, 1), 1e-12)
      -- Two: 1 - t / sqrt(2 + t^2).
      near(1 - 1.5 / math.sqrt(2 + 2.25), statistics.tails(1.5, 2), 1e-12)
      near(0.05, statistics.tails(2.2621571628, 9), 1e-9)
      near(0.01, statistics.tails(2.7500, 30), 1e-3)
      near(0.05, statistics.tails(1.9599639845, math.huge), 1e-9)
      near(0.0026997960632602, statistics.tails(3, math.huge), 1e-12)
   end)

   it("are symmetrical, 1 at 0, and 0 at infinity", function()
      for _, df in ipairs { 1, 7, 100, math.huge } do
         near(statistics.tails(2, df), statistics.tails(-2, df))
         near(1, statistics.tails(0, df))
         assert.equal(0, statistics.tails(math.huge, df))
      end
      assert.equal(1, statistics.tails(0 / 0, 5))
   end)

   it("have the critical values of the tables", function()
      for df, t in pairs { [1] = 12.7062, [4] = 2.7764, [9] = 2.2622, [19] = 2.0930, [120] = 1.9799, [math.huge] = 1.9600 } do
         near(t, statistics.critical(df), 5e-5)
      end
      near(4.6041, statistics.critical(4, 0.99), 5e-5)
      near(63.6567, statistics.critical(1, 0.99), 5e-5)
   end)
end)

describe("means", function()
   it("have the variance of a sample", function()
      local mean, variance = statistics.moments { 2, 4, 4, 4, 5, 5, 7, 9 }
      near(5, mean)
      near(32 / 7, variance)
      assert.same({ 3, 0 }, { statistics.moments { 3 } })
   end)

   it("have Student's interval", function()
      local e = statistics.mean { 1, 2, 3, 4, 5 }
      near(3 - 2.7764451052 * math.sqrt(2.5 / 5), e.low, 1e-9)
      near(3 + 2.7764451052 * math.sqrt(2.5 / 5), e.high, 1e-9)
      assert.equal(4, e.df)
   end)
end)

describe("tests of differences", function()
   -- The additional sleep of ten patients under two drugs, by which Student showed his test (Biometrika 6, 1908); the figures
   -- are those that R prints for its data set `sleep`.
   local FIRST = { 0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0 }
   local SECOND = { 1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4 }

   it("take pairs", function()
      local differences = {}
      for i = 1, 10 do differences[i] = SECOND[i] - FIRST[i] end
      local e = statistics.paired(differences)
      near(1.58, e.value)
      near(0.002833, e.p, 1e-6)
      near(0.7001142, e.low, 1e-6)
      near(2.4598858, e.high, 1e-6)
   end)

   it("take two samples of unequal variance", function()
      local e = statistics.unpaired(FIRST, SECOND)
      near(0.07939, e.p, 1e-5)
      near(17.776, e.df, 1e-4)
      near(-0.2054832, e.low, 1e-6)
      near(3.3654832, e.high, 1e-6)
   end)

   it("take one value against several, with the variance of these", function()
      local e = statistics.unpaired({ 10 }, { 11, 12, 13 })
      near(2, e.value)
      assert.equal(2, e.df)
      near(4.3026527297 * math.sqrt(1 * (1 + 1 / 3)), e.high - e.value, 1e-8)
   end)

   it("know that what never varies has changed, or has not", function()
      assert.equal(1, statistics.paired { 0, 0, 0 }.p)
      assert.equal(0, statistics.paired { 2, 2, 2 }.p)
      assert.equal(1, statistics.unpaired({ 5, 5 }, { 5, 5 }).p)
      assert.equal(0, statistics.unpaired({ 5, 5 }, { 6, 6 }).p)
   end)
end)

describe("the difference of estimates", function()
   it("is that of independent normal ones", function()
      local z = statistics.critical(math.huge)
      local function normal(value, error)
         return { value = value, low = value - z * error, high = value + z * error, df = math.huge }
      end
      local e = statistics.difference(normal(10, 3), normal(20, 4))
      near(10, e.value)
      near(10 - z * 5, e.low)
      near(10 + z * 5, e.high)
      near(0.0455002639, e.p, 1e-6) -- two standard errors
   end)

   it("is Newcombe's of two shares", function()
      -- 56 of 70 against 48 of 80: his example (a), method 10, 0.0524 to 0.3339.
      local interval = statistics.share_interval
      local function share(n, of)
         local bounds = interval(n, of)
         return { value = n / of, low = bounds[1], high = bounds[2], df = math.huge }
      end
      local e = statistics.difference(share(48, 80), share(56, 70))
      near(0.2, e.value)
      near(0.0524, e.low, 5e-5)
      near(0.3339, e.high, 5e-5)
      assert.is_true(e.p < 0.05)
   end)

   it("says nothing without the bounds that face each other", function()
      local unbounded, exact = { value = 5, low = 4, df = 9 }, { value = 7, low = 6.9, high = 7.1, df = 9 }
      local e = statistics.difference(unbounded, exact)
      assert.same({ 1, nil }, { e.p, e.low })
      near(2 + math.sqrt(0.1 ^ 2 + 1), e.high)
      e = statistics.difference({ value = 9, low = 8.9, df = 9 }, exact)
      assert.is_true(e.p < 1)
      assert.is_nil(e.low)
   end)
end)

describe("series", function()
   it("are worth as many independent values as they are, or as their correlation leaves", function()
      -- Of an autoregressive series the variance of the mean grows by (1 + r) / (1 - r); that it is only estimated, by 20
      -- batches, costs a third more.
      for r, factor in pairs { [0] = 1, [0.5] = 3, [0.8] = 9 } do
         local sum, seeds = 0, 40
         for seed = 1, seeds do sum = sum + 4000 / statistics.independent(normals(4000, r, generator(seed * 977))) end
         assert.is_true(sum / seeds >= factor and sum / seeds <= 1.6 * factor, sum / seeds)
      end
   end)

   it("are taken as independent when they are too few", function()
      assert.same({ 24, 23 }, { statistics.independent(normals(24, 0.9, generator(5))) })
   end)

   it("are worth all their values when they never vary", function()
      local list = {}
      for i = 1, 100 do list[i] = 3 end
      assert.same({ 100, 19 }, { statistics.independent(list) })
   end)

   -- How often the interval of 95 % holds the true percentile; how wide it is, on average, where it has both bounds.
   local function coverage(n, q, truth, correlation, seeds)
      local inside, width, both = 0, 0, 0
      seeds = seeds or 300
      for seed = 1, seeds do
         local values = normals(n, correlation, generator(seed * 7919))
         local e = statistics.quantile(values, sorted(values), q)
         if (not e.low or e.low <= truth) and (not e.high or e.high >= truth) then inside = inside + 1 end
         if e.low and e.high then width, both = width + e.high - e.low, both + 1 end
      end
      return inside / seeds, width / both
   end

   it("have percentiles whose intervals hold the true one as often as they say", function()
      -- 0.92: what a right interval falls below once in a hundred times, with 300 series.
      assert.is_true(coverage(1000, 0.5, 0, 0) >= 0.92)
      assert.is_true(coverage(1000, 0.99, 2.3263479, 0) >= 0.92)
      assert.is_true(coverage(1000, 0.5, 0, 0.5) >= 0.92)
      assert.is_true(coverage(1000, 0.9, 1.2815516, 0.7) >= 0.92)
      assert.is_true(coverage(200, 0.5, 0, 0) < 1)
   end)

   it("have medians whose intervals are right where neighbours are very much alike and values are few", function()
      for n, least in pairs { [100] = 0.87, [150] = 0.9, [200] = 0.9, [400] = 0.9 } do
         local held = coverage(n, 0.5, 0, 0.9, 500)
         assert.is_true(held >= least and held <= 0.99, ("%d: %g"):format(n, held))
      end
   end)

   it("have no intervals that are much wider than those of independent values, where they are that", function()
      for _, n in ipairs { 100, 200, 1000 } do
         local held, width = coverage(n, 0.5, 0, 0, 500)
         -- The standard error of a median of normal values: sqrt(pi / 2 / n).
         local right = 2 * statistics.critical(math.huge) * math.sqrt(math.pi / 2 / n)
         assert.is_true(held >= 0.94 and held <= 0.99, ("%d: %g"):format(n, held))
         assert.is_true(width <= 1.35 * right, ("%d: %g"):format(n, width / right))
      end
   end)

   it("have no bound where the values give none", function()
      local values = {}
      for i = 1, 100 do values[i] = i end
      local e = statistics.quantile(values, values, 0.99)
      assert.equal(99, e.value)
      assert.is_nil(e.high)
   end)

   it("have means with batch means", function()
      local inside, width, seeds = 0, 0, 300
      for seed = 1, seeds do
         local e = statistics.series_mean(normals(1000, 0.5, generator(seed * 104729)))
         if e.low <= 0 and e.high >= 0 then inside = inside + 1 end
         width = width + (e.high - e.low) / seeds
      end
      assert.is_true(inside / seeds >= 0.92, inside / seeds)
      -- Of independent values; these have three times the variance.
      local independent = 2 * statistics.critical(19) / math.sqrt(1000)
      near(math.sqrt(3), width / independent, 0.1)
   end)
end)

describe("Holm's correction", function()
   it("is that of his procedure", function()
      -- As R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
      local adjusted = statistics.holm { 0.01, 0.04, 0.03, 0.005 }
      for i, p in ipairs { 0.03, 0.06, 0.06, 0.02 } do near(p, adjusted[i]) end
   end)

   it("passes 1 never, and takes ties and nothing", function()
      assert.same({ 1, 1, 1 }, statistics.holm { 0.5, 0.5, 0.9 })
      assert.same({}, statistics.holm {})
      assert.same({ 0.2 }, statistics.holm { 0.2 })
   end)
end)
