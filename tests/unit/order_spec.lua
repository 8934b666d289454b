local engine = require "perigee.engine"
local orders = require "perigee.order"
local order = orders.public
local support = require "tests.unit.support"

local function take(spec, n, count, seed)
   local following, list = orders.iterator(spec, n, engine.rng(seed or 1)), {}
   for i = 1, count do list[i] = following(i) end
   return list
end

local function tally(list, n)
   local counts = {}
   for k = 1, n do counts[k] = 0 end
   for _, index in ipairs(list) do counts[index] = counts[index] + 1 end
   return counts
end

describe("perigee.order", function()
   it("sequential goes round", function()
      assert.same({ 1, 2, 3, 1, 2 }, take(order.sequential(), 3, 5))
   end)

   it("shuffle takes each sample once per epoch, in another order each time", function()
      local list = take(order.shuffle(), 50, 100)
      local first, second = { unpack(list, 1, 50) }, { unpack(list, 51, 100) }
      assert.same(tally(first, 50), tally(second, 50))
      for _, count in ipairs(tally(first, 50)) do assert.equal(1, count) end
      assert.not_same(first, second)
   end)

   it("shuffle repeats for a seed and differs for another", function()
      assert.same(take(order.shuffle(), 50, 50, 7), take(order.shuffle(), 50, 50, 7))
      assert.not_same(take(order.shuffle(), 50, 50, 7), take(order.shuffle(), 50, 50, 8))
   end)

   it("shuffle puts every sample first with the same probability", function()
      local first = {}
      for seed = 1, 4000 do first[seed] = take(order.shuffle(), 4, 1, seed)[1] end
      for _, count in ipairs(tally(first, 4)) do assert.near(1000, count, 150) end
   end)

   it("random draws every sample with the same probability", function()
      for _, count in ipairs(tally(take(order.random(), 4, 8000), 4)) do assert.near(2000, count, 200) end
   end)

   it("single repeats one sample", function()
      assert.same({ 2, 2, 2 }, take(order.single(2), 3, 3))
   end)

   it("a list is gone through in turn", function()
      local ok, spec = orders.checker { 3, 1 }
      assert.is_true(ok)
      assert.same({ 3, 1, 3 }, take(spec, 3, 3))
   end)

   it("a function gets request number, count and random numbers, and may end", function()
      local _, spec = orders.checker(function(i, n, rng)
         assert.equal("number", type(rng:uniform()))
         return i <= 2 and n - i or nil
      end)
      assert.same({ 9, 8 }, take(spec, 10, 5))
   end)

   it("weighted draws in proportion and never a weight of 0", function()
      local counts = tally(take(order.weighted { 1, 0, 3 }, 3, 8000), 3)
      assert.equal(0, counts[2])
      assert.near(6000, counts[3], 200)
   end)

   it("zipf draws the first samples most", function()
      local counts = tally(take(order.zipf(1), 3, 11000), 3)
      assert.near(6000, counts[1], 250)
      assert.near(3000, counts[2], 250)
   end)

   it("refuses an index that is none, and names order and value", function()
      for _, value in ipairs { 0, 4, 1.5, "1", -1 } do
         support.contains("order.custom: request 1 asks for sample", support.refusal(take, order.custom(function() return value end), 3, 1))
      end
      support.contains("order.single: there is no sample 9, the dataset has 3", support.refusal(take, order.single(9), 3, 1))
      support.contains("order.list: there is no sample 4, the dataset has 3", support.refusal(take, order.list { 3, 4 }, 3, 1))
   end)

   it("refuses arguments with the reason", function()
      local invalid = {
         { order.single, { 0 }, "order.single: index: a whole number >= 1" },
         { order.list, { {} }, "order.list: indices: a list of indices" },
         { order.list, { { 1, "2" } }, "a list of indices" },
         { order.custom, { 5 }, "order.custom: fn: a function expected" },
         { order.weighted, { { 1, -1 } }, "a list of numbers >= 0" },
         { order.weighted, { { 0, 0 } }, "the weights add up to 0" },
         { order.zipf, { 0 }, "order.zipf: exponent: a finite number above 0" },
         { order.shuffle, { 1 }, "order.shuffle: at most 0 arguments expected, got 1" },
      }
      for _, row in ipairs(invalid) do support.contains(row[3], support.refusal(row[1], unpack(row[2]))) end
      support.contains("2 weights for 3 samples", support.refusal(take, order.weighted { 1, 1 }, 3, 1))
      assert.is_false((orders.checker "shuffle"))
      support.contains("did you mean 'shuffle'?", support.refusal(function() return order.shufle end))
   end)
end)
