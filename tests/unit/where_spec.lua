local where = require "perigee.where"

describe("perigee.where", function()
   it("names the line outside the library that called", function()
      local place, file = where.caller()
      assert.matches("where_spec%.lua:5$", place)
      assert.matches("where_spec%.lua$", file)
   end)

   it("gives the folder of a file", function()
      assert.equal("a/b", where.directory "a/b/c.lua")
      assert.equal(".", where.directory "c.lua")
   end)

   it("lists only the user's frames in a traceback", function()
      local trace = where.traceback(1)
      assert.matches("where_spec%.lua:16", trace)
      assert.is_nil(trace:find("lua/perigee/", 1, true))
   end)
end)
