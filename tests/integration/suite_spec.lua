-- tests/run itself: what it counts, what it prints, what it leaves behind.
local drive = require "drive"

describe("tests/run", function()
   local dir

   before_each(function() dir = drive.tempdir() end)
   after_each(function() os.execute("rm -rf " .. drive.quote(dir)) end)

   local function spec(name, text)
      local path = ("%s/%s_spec.lua"):format(dir, name)
      drive.write(path, text)
      return path
   end

   local function words(...)
      local list = { "tests/run" }
      for _, a in ipairs { ... } do list[#list + 1] = drive.quote(a) end
      return table.concat(list, " ")
   end

   local function run(...)
      return drive.shell(words(...))
   end

   local function last_line(text)
      return text:match "([^\n]*)\n$"
   end

   it("sums what passes and skips", function()
      local r = run(spec("good", [[it("a", function() end) it("b", function() end)]]),
         spec("other", [[it("c", function() end) pending "d waits for its data"]]))
      assert.equal(0, r.code, r.out .. r.err)
      assert.equal("3 passed, 0 failed, 1 skipped", last_line(r.out))
      assert.truthy(r.out:find("d waits for its data", 1, true), r.out)
   end)

   it("prints all that a failing spec said, and that of no other", function()
      local bad = spec("bad", [[print "words of bad" it("a", function() assert.equal(1, 2) end)]])
      local r = run(spec("good", [[print "words of good" it("b", function() end)]]), bad)
      assert.equal(1, r.code)
      assert.equal("1 passed, 1 failed", last_line(r.out))
      assert.truthy(r.out:find("words of bad", 1, true) and r.out:find("Expected objects to be equal", 1, true), r.out)
      assert.falsy(r.out:find("words of good", 1, true))
      assert.truthy(r.out:find(("\nfailed: %s\n"):format(bad), 1, true), r.out)
   end)

   for name, text in pairs {
      ["ends before its last words"] = [[it("a", function() os.exit(0, true) end)]],
      ["is killed"] = [[it("a", function() os.execute "kill -KILL $PPID" end)]],
      ["has an error outside its tests"] = [[error "outside"]],
      ["does not compile"] = "it(",
      ["has no test"] = [[describe("nothing", function() end)]],
      ["ends badly after its last words"] =
         [[it("a", function() end) require "busted".subscribe({ "exit" }, function() os.exit(3) end)]],
   } do
      it("counts a spec that " .. name .. " as failed", function()
         local r = run(spec("good", [[it("b", function() end)]]), spec("bad", text))
         assert.equal(1, r.code, r.out .. r.err)
         assert.matches("^%d passed, 1 failed$", last_line(r.out))
      end)
   end

   it("refuses what is no test, before it runs any", function()
      for _, name in ipairs { "units", dir .. "/none_spec.lua", dir } do
         local r = run("unit", name)
         assert.equal(2, r.code, r.out)
         assert.equal("", r.out)
         assert.truthy(r.err:find(name, 1, true), r.err)
      end
   end)

   -- The sleeper is a child of a child, in a process group of its own, as those of `drive.shell` are. It holds `alive`
   -- open as long as it lives.
   for _, signal in ipairs { "INT", "TERM" } do
      it("ends all that it started upon SIG" .. signal, function()
         local path = spec("long", ([[it("a", function()
            os.execute "timeout 1000 sh -c 'echo ready; read x <%s/never' >%s/alive"
         end)]]):gsub("%%s", dir))
         local r = drive.shell(([[
            cd %s && mkfifo alive never && cd - >/dev/null
            set -m
            %s &
            { read -r line; kill -%s $!; wait $!; echo "status $?"; cat; } <%s/alive
            echo "$line, gone"]]):format(dir, words(path), signal, dir))
         assert.equal(0, r.code, r.out .. r.err)
         assert.equal("status 130\nready, gone\n", r.out)
      end)
   end
end)
