-- Each load, order and handler has a page with a scenario that does what the page says. Those that need the
-- built-in endpoint (<!-- run -->) and those for the page's own shell lines (<!-- file: NAME -->) docs_spec and docs_shell_spec run.
local drive = require "drive"
local load = require "perigee.cli.load"
local markdown = require "markdown"

local perigee = require "perigee"

--- The names in parentheses at the end of "unknown field 'zzz' (a, b, c)".
local function offered(fn, ...)
   local _, message = pcall(fn, ...)
   local names = {}
   for name in message:match("%(([^()]*)%)%s*$"):gmatch "[^, ]+" do names[#names + 1] = name end
   return names
end

local FAMILIES = {
   { folder = "loads", title = "load.", names = offered(function() return perigee.load.zzzzzz end) },
   { folder = "orders", title = "order.", names = offered(function() return perigee.order.zzzzzz end) },
   { folder = "handlers", title = "on.", names = offered(perigee.phase, { "p", on = { zzzzzz = 1 } }) },
}

--- The blocks of a page that are scenarios to be played as they are.
local function scenarios(path)
   local list = {}
   for _, block in ipairs(markdown.blocks(path)) do
      if block.language == "lua" and block.text:find("return perigee.scenario", 1, true) then list[#list + 1] = block end
   end
   return list
end

-- On simulated time, where each request takes 36 ms; prints of the script are not the test's.
local function play(block)
   local path = os.tmpname()
   drive.write(path, block.text)
   local print_of_lua = print
   _G.print = function() end
   local scenario, message = load.scenario(path)
   local ok, result
   if scenario then ok, result = pcall(perigee.test.run, scenario, { endpoint = { ttft = "20ms", tpot = "2ms", tokens = 9 } }) end
   _G.print = print_of_lua
   os.remove(path)
   local place = ("%s:%d"):format(block.path, block.line)
   assert.truthy(scenario, place .. ": " .. tostring(message))
   assert.is_true(ok, place .. ": " .. tostring(result))
   return result, place
end

for _, family in ipairs(FAMILIES) do
   describe("docs/" .. family.folder, function()
      it("lists its pages, and has no others", function()
         local index, found = drive.read("docs/" .. family.folder .. "/README.md"), {}
         for path in io.popen(("ls docs/%s/*.md"):format(family.folder)):lines() do
            local name = path:match "([^/]+)%.md$"
            if name ~= "README" then
               found[#found + 1] = name
               assert.truthy(index:find(("(./%s.md)"):format(name), 1, true), name .. " is not listed")
            end
         end
         table.sort(found)
         assert.same(family.names, found)
      end)

      for _, name in ipairs(family.names) do
         local path = ("docs/%s/%s.md"):format(family.folder, name)

         it(("has a page on %s%s, whose example does what it says"):format(family.title, name), function()
            local text = assert(drive.read(path), path .. " is missing: it says when to use it, what ends it, how it counts")
            assert.equal("# " .. family.title .. name, text:match "^[^\n]*")
            assert.truthy(text:find("**Mind**", 1, true), path .. ": what to mind")
            if family.folder ~= "handlers" then
               assert.truthy(text:find(("<!-- made: arguments %s%s -->"):format(family.title, name), 1, true), path .. ": its arguments")
               assert.truthy(text:find("**It ends**", 1, true), path .. ": what ends it")
            end
            local blocks, shown = scenarios(path), false
            for _, block in ipairs(blocks) do
               -- A handler is a field, an order of the script's own may be a function in place.
               local code = family.folder == "handlers" and name .. " = function" or family.title .. name
               shown = shown or block.text:find(code, 1, true) ~= nil
               assert.truthy(block.text:find("checks = ", 1, true) or block.note, path .. ": an example without checks proves nothing")
               if not block.note then
                  local result, place = play(block)
                  assert.equal(0, result.exit_code, ("%s: %s %s"):format(place, tostring(result.error), table.concat(
                     result.summary and result.summary.failures or result.problems, "; ")))
                  assert.is_true(#result.requests > 0, place)
               end
            end
            assert.is_true(shown, path .. ": an example with it")
         end)
      end
   end)
end
