local documents = require "documents"
local drive = require "drive"

after_each(documents.clean)

describe("the examples", function()
   for path in io.popen("ls examples/*.lua"):lines() do
      it(path .. " runs", function()
         local dir = documents.workplace()
         assert.matches("^%-%- %u[^\n]+[.:]", drive.read(path), "the first comment says what it shows; examples/README.md has it")
         local r = documents.shell(dir, ("perigee run %s --out out --progress none"):format(path))
         assert.equal(0, r.code, r.out .. r.err)
         assert.truthy(drive.read(dir .. "/out/summary.json"))
      end)
   end
end)
