local where = require "perigee.where"

describe("perigee.where", function()
   it("names the line outside the library that called", function()
      local place, file = where.caller()
      assert.matches("where_spec%.lua:%d+$", place)
      assert.matches("where_spec%.lua$", file)
   end)

   it("shortens a traceback to the user's lines", function()
      local home = where.home
      assert.equal("oops\n   s.lua:3: in function <s.lua:1>", where.shorten("oops\nstack traceback:\n\t[C]: in function 'f'\n"
         .. "\ts.lua:3: in function <s.lua:1>\n\t" .. home .. "runner.lua:9: in function 'x'\n\t/usr/bin/perigee:2: in main chunk"))
      local own = "oops\nstack traceback:\n\t" .. home .. "runner.lua:9: in function 'x'"
      assert.equal(own, where.shorten(own))
      assert.equal("phase 'a': s.lua:3: oops", where.shorten("phase 'a': s.lua:3: " .. own))
      assert.equal("plain", where.shorten "plain")
   end)

   it("names the line where a function begins", function()
      local line = debug.getinfo(1, "l").currentline + 1
      local function f() end
      assert.matches("where_spec%.lua:" .. line .. "$", where.of(f))
      assert.is_nil(where.of(print))
      assert.is_nil(where.of(where.of))
   end)

   it("gives the folder of a file", function()
      assert.equal("a/b", where.directory "a/b/c.lua")
      assert.equal(".", where.directory "c.lua")
   end)

   it("lists only the user's frames in a traceback", function()
      local trace, line = where.traceback(1), debug.getinfo(1, "l").currentline
      assert.equal(1, trace:find(("   tests/unit/where_spec.lua:%d: in function"):format(line), 1, true))
      assert.is_nil(trace:find("lua/perigee/", 1, true))
   end)
end)
