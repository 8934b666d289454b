-- Scenarios as Lua modules: where they are found, what `perigee init` writes, and the interface that a script asks for.
local drive = require "drive"

local ROOT = io.popen("pwd"):read "*l"

describe("a scenario that is a module", function()
   local dir

   before_each(function() dir = drive.tempdir() end)
   after_each(function() os.execute("rm -rf " .. drive.quote(dir)) end)

   local function write(path, text)
      assert.equal(0, os.execute(("mkdir -p %s"):format(drive.quote((dir .. "/" .. path):match "^(.*)/"))))
      drive.write(dir .. "/" .. path, text)
   end

   -- In the folder, with what the tests tell Lua of the tree taken away.
   local function perigee(before, ...)
      local words = {}
      for _, a in ipairs { ... } do words[#words + 1] = drive.quote(a) end
      return drive.shell(("unset LUA_PATH LUA_CPATH; cd %s && %s exec %s/scripts/perigee %s"):format(
         drive.quote(dir), before, ROOT, table.concat(words, " ")))
   end

   local SCENARIO = [[
      local perigee = require "perigee"
      return perigee.scenario {
         name = "shop", target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" }, requests = 1,
      }]]
   local FROM_MODULE = 'return require("shop.peak"):with { name = "derived" }'

   local function is_found(before, file)
      local r = perigee(before, "check", file or "s.lua")
      assert.same({ 0, "" }, { r.code, r.err })
      assert.truthy(r.out:find("scenario 'derived', 1 phase", 1, true), r.out)
   end

   for _, place in ipairs { "shop/peak.lua", "shop/peak/init.lua", "lua/shop/peak.lua", "lua/shop/peak/init.lua",
      "lua_modules/share/lua/5.1/shop/peak.lua" } do
      it("is found beside the file: " .. place, function()
         write(place, SCENARIO)
         write("s.lua", FROM_MODULE)
         is_found ""
      end)
   end

   it("is found beside the file from another folder", function()
      write("deep/shop/peak.lua", SCENARIO)
      write("deep/s.lua", FROM_MODULE)
      is_found("", "deep/s.lua")
   end)

   it("is found in the current folder", function()
      write("lua/shop/peak.lua", SCENARIO)
      write("examples/s.lua", FROM_MODULE)
      is_found("", "examples/s.lua")
   end)

   it("is found along PERIGEE_PATH, in its order", function()
      write("one/shop/peak.lua", SCENARIO)
      write("two/lua/shop/peak.lua", "error 'the second'")
      write("s.lua", FROM_MODULE)
      is_found "PERIGEE_PATH=one:two"
   end)

   it("is found where Lua looks, and among the user's rocks", function()
      write("s.lua", FROM_MODULE)
      write("else/shop/peak.lua", SCENARIO)
      is_found "LUA_PATH='else/?.lua;;'"
      write("home/.luarocks/share/lua/5.1/shop/peak.lua", SCENARIO)
      is_found "HOME=home"
   end)

   it("runs by its name", function()
      write("lua/shop/peak.lua", SCENARIO)
      write("shop/readme", "a folder of that name is no file")
      local r = perigee("", "run", "shop.peak", "--out", "out", "--progress", "none")
      assert.equal(0, r.code, r.err)
      assert.truthy(r.out:find("performance (performance): 1 requests", 1, true), r.out)
      write("lua/shop/init.lua", 'return { scenario = require "shop.peak", rate = 5 }')
      r = perigee("", "check", "shop")
      assert.same({ 0, "shop: scenario 'shop', 1 phase\n", "" }, { r.code, r.out, r.err })
   end)

   it("cannot take the place of perigee's own", function()
      write("perigee.lua", "error 'not me'")
      write("lua/shop/peak.lua", SCENARIO)
      assert.equal(0, perigee("", "check", "shop.peak").code)
   end)

   it("is missed in one line that says where it was sought", function()
      write("s.lua", '\nlocal lib = require "shpo.peak"')
      local r = perigee("PERIGEE_PATH=/nowhere", "check", "s.lua")
      assert.same({ 2, "" }, { r.code, r.out })
      local first, rest = r.err:match "^([^\n]*)\n(.*)$"
      assert.truthy(first:find("perigee check: s.lua:2: module 'shpo.peak' not found; sought in ., ./lua, ", 1, true), r.err)
      assert.truthy(first:find("/nowhere, /nowhere/lua,", 1, true), r.err)
      assert.equal("   s.lua:2: in the main chunk\n", rest)
      r = perigee("", "check", "shop.peak")
      assert.equal(2, r.code)
      assert.truthy(r.err:find("perigee check: there is no file and no module 'shop.peak'; sought in ., ./lua, ", 1, true), r.err)
      assert.equal("perigee check: shop.lua: No such file or directory\n", perigee("", "check", "shop.lua").err)
   end)

   it("shows an error inside of it with its own place", function()
      write("shop/peak.lua", "local x = = 1")
      write("s.lua", FROM_MODULE)
      local r = perigee("", "check", "s.lua")
      assert.equal(2, r.code)
      assert.truthy(r.err:find("peak.lua:1: unexpected symbol", 1, true), r.err)
   end)
end)

describe("the interface that a script asks for", function()
   local function check(text)
      local dir = drive.tempdir()
      local r = drive.perigee("check", drive.scenario(dir, text))
      os.execute("rm -rf " .. drive.quote(dir))
      return r.code, (r.err:gsub("%S*/scenario.lua", "scenario.lua"))
   end

   local function with(field)
      return ('return perigee.scenario { %s target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" } }'):format(field)
   end

   it("is there", function()
      for _, text in ipairs {
         with "", with "api = 1,", with 'api = ">= 1",', 'require("perigee").requires ">= 1"\n' .. with "",
         "perigee.requires(1)\n" .. with "", "assert(perigee.api >= 1)\n" .. with "",
      } do
         local code, message = check(text)
         assert.equal(0, code, message)
      end
   end)

   it("is refused when it is newer, before what only the newer one knows", function()
      for where, text in pairs {
         [":2: scenario.api"] = with 'api = ">= 99", hologram = true,',
         [":2: perigee.requires"] = 'perigee.requires ">= 99"\nlocal x = perigee.load.hologram(3)\n' .. with "",
      } do
         local code, message = check(text)
         assert.equal(2, code)
         assert.matches("^perigee check: scenario%.lua" .. where:gsub("%.", "%%.")
            .. ": perigee%.api >= 99 is needed, and perigee %S+ has %d+: it is too old for this script\n", message)
      end
   end)

   it("is a comparison", function()
      for shown, written in pairs { ["'> 1'"] = '"> 1"', ["'1.5'"] = '"1.5"', ["0"] = "0", ["1.5"] = "1.5", ["true"] = "true" } do
         local code, message = check(with("api = " .. written .. ","))
         assert.equal(2, code)
         assert.equal('perigee check: scenario.lua:2: scenario.api: a comparison such as ">= 1" expected, got ' .. shown,
            message:match "^[^\n]*")
      end
   end)
end)

describe("the library", function()
   it("says that it needs LuaJIT", function()
      local script = "_G.jit = nil; print(select(2, pcall(dofile, 'lua/perigee/engine.lua')))"
      local r = drive.shell(("%s -e %s"):format(os.getenv "LUAJIT" or "luajit", drive.quote(script)))
      assert.equal("perigee needs LuaJIT, this is Lua 5.1; of busted: busted --lua=luajit\n", r.out)
   end)
end)

describe("perigee init", function()
   local dir

   before_each(function() dir = drive.tempdir() end)
   after_each(function() os.execute("rm -rf " .. drive.quote(dir)) end)

   -- As a user's shell: perigee is a command, nothing else is known of the tree.
   local function shell(text)
      return drive.shell(("unset LUA_PATH LUA_CPATH; export PATH=%s/scripts:$PATH; cd %s; set -e\n%s"):format(
         drive.quote(ROOT), drive.quote(dir), text))
   end

   it("writes a scenario that runs", function()
      local r = shell "perigee init first.lua; perigee check first.lua; perigee run first.lua --rate 100 --out out --progress none"
      assert.equal(0, r.code, r.err)
      assert.truthy(r.out:find("pass  error_rate < 1%", 1, true), r.out)
   end)

   it("writes a library that passes its own tests and runs", function()
      local r = shell [[
         perigee init --library chat_lib
         cd chat_lib
         eval "$(perigee info --env)"
         busted -o plainTerminal
         luacheck -q .
         perigee run chat_lib --out out --progress none]]
      assert.equal(0, r.code, r.out .. r.err)
      assert.matches("3 successes / 0 failures / 0 errors", r.out)
      assert.truthy(r.out:find("pass  error_rate < 1%", 1, true), r.out)
   end)

   it("writes a library that LuaRocks installs, so that others find it", function()
      if drive.shell("luarocks --version").code ~= 0 then return pending "luarocks is not installed" end
      local r = shell [[
         perigee init --library chat_lib
         mkdir other
         cd chat_lib
         luarocks lint chat_lib-scm-1.rockspec
         luarocks --lua-version 5.1 make --deps-mode none --tree ../other/lua_modules chat_lib-scm-1.rockspec \
            LUA_INCDIR="$(pkg-config --variable=includedir luajit)"
         cd ../other
         perigee check chat_lib]]
      assert.equal(0, r.code, r.out .. r.err)
      assert.truthy(r.out:find("chat_lib: scenario 'chat_lib', 2 phases\n", 1, true), r.out)
   end)

   it("writes what its README shows, a rockspec that names its files, and no trace of the template", function()
      assert.equal(0, shell("perigee init --library chat_lib").code)
      local library = dir .. "/chat_lib"
      local script = drive.read(library .. "/README.md"):match "```lua\n(.-)```"
      drive.write(dir .. "/own.lua", script)
      local r = shell "PERIGEE_PATH=chat_lib perigee explain own.lua"
      assert.equal(0, r.code, r.err)
      local rock = {}
      setfenv(assert(loadfile(library .. "/chat_lib-scm-1.rockspec")), rock)()
      assert.equal("chat_lib", rock.package)
      for _, path in pairs(rock.build.modules) do assert.truthy(drive.read(library .. "/" .. path), path) end
      local types = drive.read(library .. "/.luarc.json"):match '"workspace.library": %["([^"]+)"'
      assert.truthy(drive.read(types .. "/perigee.lua"), types)
      assert.equal(1, drive.shell("grep -rE 'NAME|TYPES' " .. drive.quote(library)).code)
   end)

   it("replaces nothing, and says what a name is made of", function()
      drive.write(dir .. "/there.lua", "mine")
      for command, message in pairs {
         ["init there.lua"] = "there.lua exists already",
         ["init there"] = "'there': a file that ends in .lua expected",
         ["init none/s.lua"] = "none/s.lua: No such file or directory",
         ["init --library Chat"] = "--library: 'Chat': a name of a-z, 0-9 and _ that begins with a letter expected",
         ["init --library end"] = "--library: 'end' is taken",
         ["init --library perigee"] = "--library: 'perigee' is taken",
         ["init --library out"] = "--library: out exists already",
         ["init --library a b.lua"] = "unexpected argument 'b.lua'",
      } do
         local r = shell("mkdir -p out; perigee " .. command)
         assert.is_true(r.code > 0)
         assert.equal("perigee init: " .. message .. "\n", r.err)
      end
      assert.equal("mine", drive.read(dir .. "/there.lua"))
   end)
end)
