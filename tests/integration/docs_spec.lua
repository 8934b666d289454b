local drive = require "drive"
local markdown = require "markdown"

local ROOT = io.popen("pwd"):read "*l"

local function pages()
   local list = { "README.md" }
   for path in io.popen("ls docs/*.md docs/*/*.md examples/*.md"):lines() do list[#list + 1] = path end
   return list
end

local function place(block)
   return ("%s:%d"):format(block.path, block.line)
end

--- All blocks of one language.
local function blocks(language)
   local list = {}
   for _, path in ipairs(pages()) do
      for _, block in ipairs(markdown.blocks(path)) do
         if block.language == language then list[#list + 1] = block end
      end
   end
   return list
end

local made = {}

--- A folder like that of a user who has the examples: perigee is a command, prompts.jsonl lies there.
local function workplace()
   local dir = drive.tempdir()
   made[#made + 1] = dir
   assert.equal(0, os.execute(("cp -R examples %s/examples && cp examples/prompts.jsonl %s/"):format(dir, dir)))
   return dir
end

--- Write what the page calls files, for its shell lines.
local function write_files(dir, path)
   for _, block in ipairs(markdown.blocks(path)) do
      local name = (block.note or ""):match "^file: (%S+)$"
      if name then drive.write(dir .. "/" .. name, block.text) end
   end
end

--- Run shell text in a folder.
local function shell(dir, text)
   return drive.shell(table.concat({
      "cd " .. drive.quote(dir),
      ("export PATH=%s:$PATH PERIGEE_BUILD=%s"):format(drive.quote(ROOT .. "/scripts"), drive.quote(os.getenv "PERIGEE_BUILD")),
      ("export XDG_STATE_HOME=%s/state"):format(drive.quote(dir)),
      text,
   }, "\n"))
end

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

after_each(function()
   for _, dir in ipairs(made) do os.execute("rm -rf " .. drive.quote(dir)) end
   made = {}
end)

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
            assert.equal(0, r.code, place(block) .. ": " .. r.out .. r.err)
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

describe("the shell commands of the documents", function()
   it("run, but for those that the page excepts", function()
      local excepted, ran = {}, 0
      for _, block in ipairs(blocks "sh") do
         if block.note and block.note:find "^not run: ." then
            excepted[#excepted + 1] = ("%s (%s)"):format(place(block), block.note:sub(#"not run: " + 1))
         elseif block.text:find "^make" then
            local target = block.text:match "^make (%w+)"
            assert.equal(0, drive.shell("make -n " .. target).code, place(block))
         else
            local dir = workplace()
            write_files(dir, block.path)
            local r = shell(dir, "set -e\n" .. block.text)
            assert.equal(0, r.code, place(block) .. ": " .. r.out .. r.err)
            -- A bare `wait` passes over the status of a subscriber; its last words do not.
            if block.text:find("perigee events --connect", 1, true) then
               assert.matches("perigee events: %d+ records in %d+ frames, 0 duplicate, complete\n", r.err)
            end
            ran = ran + 1
         end
      end
      assert.is_true(ran >= 5, ran)
      -- A new exception is a decision: name it here as well.
      assert.equal(3, #excepted, table.concat(excepted, "\n"))
      print("\nnot run: " .. table.concat(excepted, ", "))
   end)
end)

describe("the examples", function()
   for path in io.popen("ls examples/*.lua"):lines() do
      it(path .. " runs", function()
         local dir = workplace()
         assert.matches("^%-%- %u[^\n]+[.:]", drive.read(path), "the first comment says what it shows; examples/README.md has it")
         local r = shell(dir, ("perigee run %s --out out --progress none"):format(path))
         assert.equal(0, r.code, r.out .. r.err)
         assert.truthy(drive.read(dir .. "/out/summary.json"))
      end)
   end
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
      for _, path in ipairs(pages()) do
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
