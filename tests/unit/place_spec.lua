local place = require "perigee.cli.place"

describe("perigee.cli.place", function()
   it("names the folder after scenario and time, without signs that a path gives a meaning", function()
      local path = place.default_folder("../a b/c", 0)
      assert.matches("^results/%-a%-b%-c%-19%d+%-%d+$", path)
   end)

   it("puts sockets into a folder that only this user can enter", function()
      local address, clean_up = place.private_address "events.ipc"
      local folder = address:match("^ipc://(.*)/events.ipc$")
      assert.is_true(#folder < 80)
      local pipe = assert(io.popen(("ls -ld '%s'"):format(folder)))
      assert.matches("^drwx%-%-%-%-%-%-", pipe:read("*l"))
      pipe:close()
      assert.not_equal(address, (place.private_address "events.ipc"))
      clean_up()
      assert.is_nil((io.open(folder)))
   end)
end)
