local documents = require "documents"
local drive = require "drive"
local markdown = require "markdown"

local blocks, place, shell, workplace = documents.blocks, documents.place, documents.shell, documents.workplace

local function is_scenario(block)
   return block.text:find("return perigee.scenario", 1, true) ~= nil
end

-- Of the lines of a report what does not change: the words, and the numbers' places. A machine with other
-- work to do may make the client late, or a call of Lua long.
local function shape(text)
   local list = {}
   text = text:gsub("client_limited", "ok"):gsub("  warning: phase[^\n]*late[^\n]*\n", "")
   text = text:gsub("  lua: [^\n]*\n", ""):gsub("  client: [^\n]*\n", "")
   for line in text:gmatch "[^\n]+" do
      list[#list + 1] = line:gsub("%d[%d.]*/s", "N/s"):gsub("%d[%d.]*%%? ?[mun]?s?", "N"):gsub(" +", " ")
   end
   return list
end

after_each(documents.clean)

describe("the Lua of the documents", function()
   it("compiles", function()
      for _, block in ipairs(blocks "lua") do
         local chunk, message = loadstring(block.text, "=" .. place(block))
         assert.truthy(chunk, message)
      end
   end)

   it("is explained when it is a scenario, and the page says whether it runs", function()
      local dir, count = workplace(), 0
      for i, block in ipairs(blocks "lua") do
         if is_scenario(block) and not (block.note or ""):find "^not run: ." and not (block.note or ""):find "^file: " then
            drive.write(("%s/s%d.lua"):format(dir, i), block.text)
            local r = shell(dir, ("perigee explain s%d.lua"):format(i))
            assert.equal(0, r.code, place(block) .. ": " .. r.err)
            assert.truthy(r.out:find("\nphase 1 '", 1, true), place(block))
            count = count + 1
         end
      end
      assert.is_true(count >= 8, count)
   end)

   it("runs where the page says so", function()
      local dir, count = workplace(), 0
      for i, block in ipairs(blocks "lua") do
         if block.note and block.note:find "^run" then
            drive.write(("%s/s%d.lua"):format(dir, i), block.text)
            local r = shell(dir, ("perigee run s%d.lua --out out%d --progress none"):format(i, i))
            -- A check of the page may take more than a busy machine gives: then that alone is said.
            local only_checks = r.code == 3 and r.out:find("\n  FAIL  ", 1, true) and not r.out:find("\n  failure: ", 1, true)
            assert.is_true(r.code == 0 or only_checks, place(block) .. ": " .. r.out .. r.err)
            count = count + 1
         end
      end
      assert.is_true(count >= 5, count)
   end)

   it("prints what the README shows", function()
      local script, shown
      for _, block in ipairs(markdown.blocks "README.md") do
         if block.note and block.note:find "output below" then script = block.text end
         if script and not shown and block.language == "text" then shown = block.text end
      end
      local dir = workplace()
      drive.write(dir .. "/hello.lua", script)
      local r = shell(dir, "perigee run hello.lua --out out --progress none")
      assert.equal(0, r.code, r.err)
      assert.same(shape(shown), shape(r.out))
   end)
end)

describe("the specs of the documents", function()
   it("pass", function()
      local dir, count = workplace(), 0
      for _, block in ipairs(blocks "lua") do
         if block.note == "spec" then
            count = count + 1
            drive.write(("%s/page%d_spec.lua"):format(dir, count), block.text)
         end
      end
      assert.is_true(count >= 2, count)
      local r = drive.shell(("%s tests/specs.lua -o plainTerminal %s"):format(os.getenv "LUAJIT" or "luajit", drive.quote(dir)))
      assert.equal(0, r.code, r.out .. r.err)
      assert.matches("[1-9]%d* successes / 0 failures", r.out)
   end)
end)

describe("the specs of the examples", function()
   it("pass, as the page on tests says", function()
      local r = drive.shell((os.getenv "LUAJIT" or "luajit") .. " tests/specs.lua -o plainTerminal examples/spec")
      assert.equal(0, r.code, r.out .. r.err)
      assert.matches("[1-9]%d* successes / 0 failures", r.out)
   end)
end)

describe("the links of the documents", function()
   it("lead to files and headings that exist", function()
      local count = 0
      for _, path in ipairs(documents.pages()) do
         local folder = path:match "^(.*/)" or ""
         for target in drive.read(path):gmatch "%]%(([^)%s]+)%)" do
            local file, heading = target:match "^([^#]*)#?(.*)$"
            local text = drive.read(file == "" and path or folder .. file)
            assert.truthy(text, path .. ": " .. target)
            local found = heading == ""
            for title in text:gmatch "\n#+ ([^\n]+)" do
               found = found or title:lower():gsub("[^%w -]", ""):gsub(" ", "-") == heading
            end
            assert.is_true(found, path .. ": " .. target)
            count = count + 1
         end
      end
      assert.is_true(count > 10, count)
   end)
end)
