local engine = require "perigee_engine"
local heap = require "perigee.heap"

describe("perigee.heap", function()
   it("gives the smallest key first, equal ones in the order of putting", function()
      local h, rng, model = heap.new(), engine.rng(3), {}
      local function take()
         table.sort(model, function(a, b) return a.key < b.key or a.key == b.key and a.n < b.n end)
         local expected = table.remove(model, 1)
         assert.equal(expected.key, h:first())
         assert.equal(expected, h:take())
      end
      for n = 1, 600 do
         local entry = { key = rng:int(1, 40), n = n }
         h:put(entry.key, entry)
         model[#model + 1] = entry
         if rng:uniform() < 0.4 then take() end
         assert.equal(#model, h.count)
      end
      while #model > 0 do take() end
      assert.is_nil(h:first())
      assert.equal(0, h.count)
   end)

   it("keeps nothing of what was taken", function()
      local h, weak = heap.new(), setmetatable({}, { __mode = "v" })
      for i = 1, 20 do
         weak[i] = {}
         h:put(20 - i, weak[i])
      end
      for _ = 1, 20 do h:take() end
      collectgarbage()
      assert.is_nil(next(weak))
   end)
end)
