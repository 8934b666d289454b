local nearest = require "perigee.nearest"

describe("perigee.nearest", function()
   local names = { "poisson", "constant", "burst", "load", "name" }

   it("finds the name that was meant", function()
      for word, meant in pairs {
         posson = "poisson", Poisson = "poisson", constnat = "constant", bursts = "burst", laod = "load", nam = "name",
      } do
         assert.equal(meant, nearest(word, names))
      end
   end)

   it("gives none when no name is close", function()
      assert.is_nil(nearest("zzzzzz", names))
      assert.is_nil(nearest("x", {}))
   end)
end)
