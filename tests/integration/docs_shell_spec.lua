-- The shell commands of the documents run, but for those that the page excepts.
local documents = require "documents"
local drive = require "drive"

local place = documents.place

after_each(documents.clean)

local function check(block)
   local dir = documents.workplace()
   documents.write_files(dir, block.path)
   local r = documents.shell(dir, "set -e\n" .. block.text)
   assert.equal(0, r.code, r.out .. r.err)
   -- A bare `wait` passes over the status of a subscriber; its last words do not.
   if block.text:find("perigee events --connect", 1, true) then
      assert.matches("perigee events: %d+ records in %d+ frames, 0 duplicate, complete\n", r.err)
   end
end

describe("the shell commands of the documents", function()
   local excepted, count = {}, 0
   for _, block in ipairs(documents.blocks "sh") do
      if block.note and block.note:find "^not run: ." then
         excepted[#excepted + 1] = ("%s (%s)"):format(place(block), block.note:sub(#"not run: " + 1))
      elseif block.text:find "^make" then
         it(place(block) .. " name what make knows", function()
            local target = block.text:match "^make (%w+)"
            assert.equal(0, drive.shell("make -n " .. target).code)
         end)
      else
         count = count + 1
         it(place(block) .. " run", function() check(block) end)
      end
   end

   it("are run but for three", function()
      assert.is_true(count >= 5, count)
      -- A new exception is a decision: name it here as well.
      assert.equal(3, #excepted, table.concat(excepted, "\n"))
   end)
end)
