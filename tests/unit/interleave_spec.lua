--- perigee.interleave: phases that take turns.
local agenda = require "perigee.agenda"
local perigee = require "perigee"

local target = perigee.target.http { url = "http://127.0.0.1:1" }

local function resolved(rounds)
   return assert(perigee.scenario({
      target = target, dataset = { "a", "b", "c", "d", "e" }, order = perigee.order.shuffle(), requests = 10,
      phases = perigee.interleave { { "a", load = perigee.load.poisson(10) }, { "b", load = perigee.load.poisson(10) }, rounds = rounds },
   }):resolve())
end

describe("perigee.interleave", function()
   it("turns the order of the sides round by round", function()
      local names = {}
      for i, p in ipairs(resolved(3).phases) do names[i] = p.name .. " " .. p.side end
      assert.same({ "a.1 a", "b.1 b", "b.2 b", "a.2 a", "a.3 a", "b.3 b" }, names)
   end)

   it("has the same arrivals and samples on both sides of a round, and others in the next", function()
      local plan = resolved(2)
      local function drawn(p)
         local list = {}
         for _, time, index in agenda.requests(p, plan.seed) do list[#list + 1] = ("%d %d"):format(time, index) end
         return table.concat(list, ", ")
      end
      local a1, b1, b2, a2 = drawn(plan.phases[1]), drawn(plan.phases[2]), drawn(plan.phases[3]), drawn(plan.phases[4])
      assert.equal(a1, b1)
      assert.equal(a2, b2)
      assert.not_equal(a1, a2)
   end)

   it("refuses what cannot take turns", function()
      local side = { "a", requests = 1 }
      for message, definition in pairs {
         ["two sides at least expected, got 1"] = { side },
         ["a side named 'a' exists already"] = { side, side },
         ["rounds: a whole number >= 2 expected, got 1"] = { side, { "b" }, rounds = 1 },
         ["a table of sides expected, got 3"] = 3,
         ["side 'b': its side is its name"] = { side, { "b", side = "x" } },
      } do
         local ok, told = pcall(perigee.interleave, definition)
         assert.is_false(ok)
         assert.truthy(told:find(message, 1, true), told)
      end
   end)
end)
