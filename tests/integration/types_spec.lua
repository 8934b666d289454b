-- The definitions for editors, in the hands of a checker that reads LuaLS annotations: emmylua_check
-- (cargo install emmylua_check). Without it tests/unit/annotations_spec.lua still holds them against the code.
local drive = require "drive"
local markdown = require "markdown"

local ROOT = io.popen("pwd"):read "*l"

describe("the types for editors", function()
   local dir

   before_each(function()
      dir = drive.tempdir()
      drive.write(dir .. "/.luarc.json", ('{ "runtime.version": "LuaJIT", "workspace.library": ["%s/lua/perigee/library"] }'):format(ROOT))
   end)
   after_each(function() os.execute("rm -rf " .. drive.quote(dir)) end)

   -- The exit status and what it says; nil when there is no checker.
   local function check()
      if drive.shell("command -v emmylua_check").code ~= 0 then return nil end
      return drive.shell("cd " .. drive.quote(dir) .. " && emmylua_check .")
   end

   it("find nothing in the examples, the documents and what `perigee init` writes", function()
      local template = "lua/perigee/template/"
      assert.equal(0, os.execute(("cp examples/*.lua %sscenario.lua %s && cp %slibrary/lua/NAME/init.lua %s/NAME.lua"):format(
         template, dir, template, dir)))
      for path in io.popen("ls docs/*.md docs/*/*.md"):lines() do
         for _, block in ipairs(markdown.blocks(path)) do
            if block.language == "lua" and block.text:find("return perigee.scenario", 1, true) then
               drive.write(("%s/%s-%d.lua"):format(dir, path:gsub("%W", "-"), block.line), block.text)
            end
         end
      end
      local r = check()
      if not r then return pending "emmylua_check is not installed" end
      assert.equal(0, r.code, r.out .. r.err)
      assert.falsy(r.out:find("warning:", 1, true), r.out)
   end)

   it("find wrong names and wrong types in a scenario", function()
      drive.write(dir .. "/wrong.lua", [[
local perigee = require "perigee"
print(perigee.load.poison, perigee.load.ramp(1, "2"))
return perigee.scenario {
   target = perigee.target.openai_chat { url = "mock:", max_tokens = "64" },
   requests = "many",
   on = { complete = function(r, p)
      p:isue(r.indx)
   end },
}
]])
      local r = check()
      if not r then return pending "emmylua_check is not installed" end
      for _, line in ipairs { 2, 4, 5, 7 } do
         assert.truthy(r.out:find(("wrong.lua:%d:"):format(line), 1, true), ("line %d\n%s"):format(line, r.out))
      end
      for _, name in ipairs { "poison", "isue", "indx" } do
         assert.truthy(r.out:find(("Undefined field `%s`"):format(name), 1, true), r.out)
      end
   end)
end)
