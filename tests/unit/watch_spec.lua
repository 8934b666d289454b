-- Calls that do not return. JIT-compiled loops look at nothing by themselves, so each shape of one is tried.
local engine = require "perigee_engine"
local perigee = require "perigee"
local support = require "tests.unit.support"

local LIMIT = 0.05

local function guard(fn, ...)
   return engine.guard("it", LIMIT, function(e) return debug.traceback(tostring(e)) end, fn, ...)
end

local RUNAWAYS = {
   ["an empty loop"] = function() while true do end end,
   ["a counting loop"] = function() local n = 0; while true do n = n + 1 end end,
   ["a numeric for"] = function() for _ = 1, math.huge do end end,
   ["a repeat"] = function() local x = 1; repeat x = x * 1.0000001 until x < 0 end,
   ["a goto"] = function() ::again:: goto again end,
   ["garbage"] = function() local t; while true do t = { t and 1 } end end,
   ["strings"] = function() while true do tostring(os.clock()) end end,
   ["tail calls"] = function()
      local a, b
      function a() return b() end
      function b() return a() end
      a()
   end,
   ["a loop in a pcall, again and again"] = function()
      while true do pcall(function() while true do end end) end
   end,
   ["a loop in an xpcall whose handler loops"] = function()
      xpcall(function() while true do end end, function() for _ = 1, 1e4 do end end)
      while true do end
   end,
   ["a coroutine"] = function() coroutine.wrap(function() while true do end end)() end,
   ["coroutines that take turns"] = function()
      local turn = coroutine.wrap(function() while true do coroutine.yield() end end)
      while true do turn() end
   end,
   ["a callback of the C library"] = function() while true do ("abc"):gsub(".", function(c) return c end) end end,
   ["a comparison of table.sort"] = function()
      local t = {}
      for i = 1, 100 do t[i] = i end
      while true do table.sort(t, function(a, b) return a > b end) end
   end,
   ["a metamethod"] = function()
      local t, n = setmetatable({}, { __index = function(_, k) return k end }), 0
      while true do n = n + t[1] end
   end,
   ["code that is not compiled"] = function()
      local function f() while true do end end
      jit.off(f)
      f()
   end,
   ["a wait for input"] = function()
      local pipe = io.popen "sleep 1"
      pipe:read "*a"
   end,
}

describe("a guarded call", function()
   for name, fn in pairs(RUNAWAYS) do
      it("is interrupted: " .. name, function()
         local ok, message = guard(fn)
         assert.is_false(ok)
         support.contains("did not return within 0.05 s", message)
         assert.matches("watch_spec.lua:%d+: in function", message)
         assert.is_nil(debug.gethook()) -- and nothing is left of it
         local n = 0
         for i = 1, 1e5 do n = n + i end
         assert.equal(5000050000, n)
      end)
   end

   it("is interrupted after it was compiled, too", function()
      local function busy(until_true) local n = 0; while not until_true(n) do n = n + 1 end return n end
      for _ = 1, 50 do assert.equal(200, busy(function(n) return n == 200 end)) end
      assert.is_false(guard(busy, function() return false end))
      assert.equal(200, busy(function(n) return n == 200 end))
   end)

   it("gives what it returns, and takes what it is given", function()
      assert.same({ true, 1, nil, "x" }, { guard(function(...) return ... end, 1, nil, "x") })
      assert.same({ true }, { guard(function() end) })
   end)

   it("raises as xpcall does", function()
      local handled = {}
      local ok, result = engine.guard("it", 1, function(e) handled[1] = e; return "told" end, error, { code = 7 })
      assert.same({ false, "told", 7 }, { ok, result, handled[1].code })
   end)

   it("may take as long as it likes within no limit, and the outermost limit counts", function()
      local function wait(seconds) local from = os.clock(); while os.clock() - from < seconds do end return true end
      assert.is_true(engine.guard("it", 0, tostring, wait, 0.2))
      assert.is_true(select(2, engine.guard("it", 60, tostring, function() return (guard(wait, 0.2)) end)))
   end)
end)

describe("a session on simulated time", function()
   it("interrupts a handler that does not return", function()
      local result = perigee.test.run(perigee.scenario {
         target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" }, requests = 5, handler_timeout = LIMIT,
         on = { complete = function(r) while r.id == 2 do end end },
      })
      assert.equal(2, result.exit_code)
      assert.matches("phase 'performance', on.complete: [^\n]*watch_spec.lua:%d+: did not return within 0.05 s", result.error)
      assert.equal(3, result.phases.performance.completed)
   end)

   it("has no costs", function()
      local result = perigee.test.run(perigee.scenario {
         target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" }, requests = 5, on = { complete = function() end },
      })
      assert.equal(perigee.json.null, result.phases.performance.lua_busy)
      assert.equal(perigee.json.null, result.phases.performance.gc_pause)
   end)
end)
