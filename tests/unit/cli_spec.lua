local support = require "tests.unit.support"

-- Run the launcher: its output (both streams) and exit status.
local function perigee(arguments, launcher)
   local pipe = assert(io.popen((launcher or "scripts/perigee") .. " " .. arguments .. " 2>&1; echo \"exit $?\""))
   local text = pipe:read("*a")
   pipe:close()
   local output, status = text:match("^(.-)exit (%d+)\n$")
   return output, tonumber(status)
end

local function script(text)
   return (support.file("s.lua", text))
end

local SCENARIO = [[
local perigee = require "perigee"
return perigee.scenario {
   name = "tiny", options = { rate = { 5, "per second" }, n = { 2, "requests", "count" } },
   target = perigee.target.http { url = "localhost:1", api_key = "hidden-key" },
   load = perigee.load.constant(perigee.opt "rate"), requests = perigee.opt "n", checks = { "qps > 1" },
}
]]

describe("the command line", function()
   after_each(support.clean)

   it("shows help and version", function()
      local output, status = perigee "--help"
      assert.equal(0, status)
      for _, command in ipairs { "run", "once", "explain", "check", "mock", "events", "info" } do
         assert.matches("\n  " .. command .. " ", output)
      end
      output, status = perigee "--version"
      assert.equal(0, status)
      assert.matches("^perigee %S+\n$", output)
      assert.equal(2, (select(2, perigee "")))
      assert.equal(0, (select(2, perigee "info")))
   end)

   it("refuses what it does not know", function()
      local output, status = perigee "rnu"
      assert.same({ "perigee: unknown command 'rnu', did you mean 'run'?\n", 2 }, { output, status })
      output, status = perigee "run --otu x"
      assert.equal(2, status)
      support.contains("perigee run: unknown option --otu, did you mean --out?", output)
      for _, command in ipairs { "run", "once", "explain", "check" } do
         output, status = perigee(command)
         assert.same({ ("perigee %s: a scenario file is missing\n"):format(command), 2 }, { output, status })
      end
   end)

   it("shows the help of every command in one style", function()
      for _, command in ipairs { "run", "once", "explain", "check", "mock", "events", "info" } do
         local output, status = perigee(command .. " --help")
         assert.equal(0, status)
         assert.equal(1, (output:find("usage: perigee " .. command, 1, true)))
         local list = assert(output:match "\n\noptions:\n(.*)$", output)
         assert.matches("\n  %-%-help +show this text", "\n" .. list)
      end
   end)

   it("takes its own options before and after the file, the last one counts", function()
      local path = script(SCENARIO)
      for _, row in ipairs { { "--seed 1 %s", 1 }, { "%s --seed 2", 2 }, { "--seed 1 %s --seed 2", 2 }, { "--seed 0 %s", 0 } } do
         support.contains(("seed %d\n"):format(row[2]), (perigee("explain " .. row[1]:format(path))))
      end
   end)

   it("works through a symbolic link from another folder", function()
      local path, folder = support.file("x", "")
      local link = folder .. "/perigee"
      table.insert(support.made, 1, link)
      assert(os.execute(("ln -s \"$PWD/scripts/perigee\" '%s'"):format(link)) == 0)
      local output, status = perigee("--version", ("cd '%s' && ./perigee"):format(folder))
      assert.equal(0, status, output)
      assert.is_string(path)
   end)

   it("uses the interpreter that LUAJIT names", function()
      local output = perigee("--version", "LUAJIT=echo scripts/perigee")
      assert.matches("/scripts/perigee %-%-version\n$", output)
   end)

   it("shows the scenario's own options", function()
      local output, status = perigee("run " .. script(SCENARIO) .. " --help")
      assert.equal(0, status)
      support.contains("usage: perigee run FILE", output)
      support.contains("options of scenario 'tiny':\n  --n COUNT      requests (default 2)\n  --rate NUMBER  per second (default 5)\n",
         output)
   end)

   it("refuses wrong options of the scenario", function()
      local path = script(SCENARIO)
      for _, row in ipairs {
         { "--rat 5", "unknown option --rat, did you mean --rate?" },
         { "--rate fast", "option --rate: a number expected, got 'fast'" },
         { "--n 1.5", "option --n: a whole number >= 0 expected" },
         { "--n 0", "requests: a whole number >= 1 expected, got 0" },
         { "--rate 0", "s.lua:5: load.constant: rate: a finite number above 0 expected, got 0" },
         { "extra", "unexpected argument 'extra'" },
      } do
         local output, status = perigee(("check %s %s"):format(path, row[1]))
         assert.equal(2, status)
         support.contains(row[2], output)
      end
   end)

   it("refuses an option of the scenario that has the name of its own", function()
      local path = script [[
         local perigee = require "perigee"
         local s = perigee.scenario { name = "t", options = { out = { 1, "" } }, target = perigee.target.http { url = "x" }, requests = 1,
            setup = function() end }
         return s]]
      local output, status = perigee("run " .. path)
      assert.equal(2, status)
      support.contains("the scenario's option 'out' is taken by the command itself", output)
   end)

   it("shows file, line and the way there of an error in a script", function()
      for _, row in ipairs {
         { "local x = +", "s.lua:1: unexpected symbol" },
         { "local function f()\n   local t = nil\n   return 1 + t.x\nend\nlocal v = f()\nreturn v\n",
            "s.lua:3: attempt to index local 't'" },
         { "return 5", "s.lua: the script returns a number; `return perigee.scenario { ... }` expected" },
         { "local x = 1", "s.lua: the script returns nothing" },
         { "return require('perigee').scenario { name = 't', x = 1 }", "s.lua:1: scenario: unknown field 'x'" },
         { "local s = require('perigee').scenario { name = 't', x = 1 }\nreturn s", "s.lua:1: scenario: unknown field 'x'" },
         { "error { code = 1 }", "table: " },
      } do
         local output, status = perigee("check " .. script(row[1]))
         assert.equal(2, status)
         support.contains(row[2], output)
      end
      local output = perigee("check " .. script "local function f()\n   error 'oops'\nend\nf()\n")
      assert.matches("s.lua:2: oops\n   .-s.lua:2: in function 'f'\n   .-s.lua:4: in the main chunk\n$", output)
      assert.equal(2, (select(2, perigee "check /no/such/file.lua")))
   end)

   it("explains the plan without secrets and without traffic", function()
      local output, status = perigee("explain " .. script(SCENARIO) .. " --rate 4 --seed 9")
      assert.equal(0, status)
      for _, part in ipairs {
         "scenario 'tiny' (", "seed 9\n", "option --rate = 4\n", "phase 1 'performance' (performance)\n", "load      constant  rate=4\n",
         "arrivals  0 ns, 250 ms\n", "ends      after 2 requests\n", "api_key=[redacted]", "check     qps > 1\n",
      } do
         support.contains(part, output)
      end
      assert.is_nil(output:find("hidden-key", 1, true))
   end)

   it("lets a script require what lies beside it", function()
      local path, folder = support.file("s.lua", "local name = require 'its_name'\nreturn require('perigee').scenario { name = name, "
         .. "target = require('perigee').target.http { url = 'x' }, requests = 1 }\n")
      local library = folder .. "/its_name.lua"
      table.insert(support.made, 1, library)
      local file = assert(io.open(library, "w"))
      file:write "return 'borrowed'\n"
      file:close()
      local output, status = perigee("check " .. path)
      assert.equal(0, status)
      support.contains("scenario 'borrowed', 1 phase", output)
   end)

   it("loads every example", function()
      for _, name in ipairs { "quickstart", "delay-function", "strategy", "handlers", "http-target", "checks" } do
         local output, status = perigee(("check examples/%s.lua"):format(name))
         assert.equal(0, status, output)
      end
   end)

   it("says which folder cannot be made for the results", function()
      local path, folder = support.file("taken", "")
      local output, status = perigee(("run %s --out %s/results"):format(script(SCENARIO), path))
      assert.equal(1, status)
      support.contains(folder .. "/taken", output)
   end)
end)
