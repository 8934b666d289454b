-- What `make install` puts in place works by itself, from any folder.
local drive = require "drive"
local engine = require "perigee_engine"

describe("an installed perigee", function()
   local prefix

   setup(function()
      prefix = drive.tempdir()
      local r = drive.shell("make -s install PREFIX=" .. drive.quote(prefix))
      assert.equal(0, r.code, r.out .. r.err)
   end)

   teardown(function() os.execute("rm -rf " .. drive.quote(prefix)) end)

   -- Without what the tests tell Lua of the tree; in the folder of the installation.
   local function installed(...)
      local words = {}
      for _, a in ipairs { ... } do words[#words + 1] = drive.quote(a) end
      return drive.shell(("unset LUA_PATH LUA_CPATH PERIGEE_BUILD; cd %s && exec bin/perigee %s"):format(
         drive.quote(prefix), table.concat(words, " ")))
   end

   it("runs a scenario with the built-in endpoint and writes its results", function()
      drive.scenario(prefix, [[
         return perigee.scenario {
            name = "installed", target = perigee.target.openai_chat { url = "mock:mode=echo", model = "m" },
            request = function(_, i) return ("prompt %d"):format(i) end, load = perigee.load.concurrency(2), requests = 4,
         }]])
      local r = installed("run", "scenario.lua", "--out", "out", "--progress", "none")
      assert.equal(0, r.code, r.out .. r.err)
      local summary = assert(engine.json.decode(drive.read(prefix .. "/out/summary.json")))
      assert.same({ "ok", 4 }, { summary.verdict, summary.phases[1].completed })
   end)

   it("uses its own library", function()
      local r = installed "info"
      assert.equal(0, r.code, r.err)
      assert.truthy(r.out:find("library  " .. prefix .. "/bin/../share/lua/5.1/perigee/", 1, true)
         or r.out:find("library  " .. prefix .. "/share/lua/5.1/perigee/", 1, true), r.out)
   end)

   it("brings the template of a library and the types for editors", function()
      local r = installed("init", "--library", "brought")
      assert.equal(0, r.code, r.err)
      local types = drive.read(prefix .. "/brought/.luarc.json"):match '"workspace.library": %["([^"]+)"'
      assert.truthy(drive.read(types .. "/perigee.lua"), types)
      r = installed("check", "brought") -- below the current folder's lua/ it is not: the folder itself is asked for
      assert.equal(2, r.code)
      r = drive.shell(("unset LUA_PATH LUA_CPATH PERIGEE_BUILD; cd %s/brought && exec ../bin/perigee check brought"):format(
         drive.quote(prefix)))
      assert.same({ 0, "brought: scenario 'brought', 2 phases\n", "" }, { r.code, r.out, r.err })
   end)

   it("is found through a link", function()
      local r = drive.shell(("unset LUA_PATH LUA_CPATH PERIGEE_BUILD; cd %s && ln -s bin/perigee p && ./p --version")
         :format(drive.quote(prefix)))
      assert.equal(0, r.code, r.err)
      assert.truthy(r.out:find "^perigee %S+\n$")
   end)

   it("stays in memory when it is given back: a thread of a library may still run its code", function()
      local script = prefix .. "/unload.lua"
      drive.write(script, [[
         local ffi = require "ffi"
         local module = ffi.load(arg[1])
         module = nil
         collectgarbage()
         collectgarbage()
         assert(io.open "/proc/self/maps":read "*a":find("perigee_engine.so", 1, true))
      ]])
      if not io.open "/proc/self/maps" then return pending "no /proc" end
      local r = drive.shell(("${LUAJIT:-luajit} %s %s/lib/lua/5.1/perigee_engine.so"):format(drive.quote(script), drive.quote(prefix)))
      assert.same({ 0, "" }, { r.code, r.err })
   end)
end)
