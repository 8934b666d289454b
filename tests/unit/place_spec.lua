local place = require "perigee.cli.place"
local support = require "tests.unit.support"

describe("perigee.cli.place", function()
   it("names the folder after scenario and time, without signs that a path gives a meaning", function()
      local path = place.default_folder("../a b/c", 0)
      assert.matches("^results/%-a%-b%-c%-19%d+%-%d+$", path)
   end)

   it("keeps the event socket beside the results when its path is short enough", function()
      local address, clean_up = place.events_address "/tmp/r"
      assert.equal("ipc:///tmp/r/events.ipc", address)
      assert.equal("function", type(clean_up))
      assert.matches("^ipc:///.*/r/events.ipc$", (place.events_address "r"))
   end)

   it("puts it into a private folder when the path is too long", function()
      local address, clean_up = place.events_address("/tmp/" .. ("x"):rep(120))
      local folder = address:match("^ipc://(.*)/events.ipc$")
      assert.is_true(#folder < 100)
      local pipe = assert(io.popen(("ls -ld '%s'"):format(folder)))
      assert.matches("^drwx%-%-%-%-%-%-", pipe:read("*l"))
      pipe:close()
      clean_up()
      assert.is_nil((io.open(folder)))
   end)

   it("knows paths from the root", function()
      assert.equal("/a/b", place.absolute "/a/b")
      support.contains("/a/b", place.absolute "a/b")
   end)
end)
