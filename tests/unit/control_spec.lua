local control = require "perigee.control"
local engine = require "perigee.engine"

-- A phase as handlers get it, whose rate can be set.
local function phase(fields)
   local p = {
      name = "steady", kind = "performance", elapsed = 2, issued = 5, completed = 4, failed = 0, inflight = 1,
      running = function() return true end,
   }
   for name, value in pairs(fields or {}) do p[name] = value end
   return p
end

local function make(p)
   local told = {}
   local commands = control.new "chat"
   commands.session = {
      stop = function() told[#told + 1] = "stopped" end,
      emit = function(_, name, text) told[#told + 1] = name .. " " .. text end,
   }
   if p then commands:start(p) end
   return function(text) return assert(engine.json.decode(commands:answer(text))) end, told
end

describe("perigee.control", function()
   it("stops before the first phase, without an event", function()
      local ask, told = make()
      assert.same({ ok = true, stopping = true }, ask "stop")
      assert.same({ "stopped" }, told)
   end)

   it("makes each change an event, and no question", function()
      local p = phase { rate = 5 }
      function p.set_rate(self, n)
         self.rate = n
         return true
      end
      local ask, told = make(p)
      assert.same({ ok = true, phase = "steady", rate_per_s = 12.5 }, ask "rate 12.5")
      assert.equal(12.5, ask("status").rate_per_s)
      assert.is_true(ask("stop").ok)
      assert.same({ "control rate 12.5", "stopped", "control stop" }, told)
   end)

   it("knows no phase before the first and after the last", function()
      local ask = make()
      assert.same({ ok = true, scenario = "chat", phase = engine.json.null }, ask "status")
      assert.equal("no phase is running", ask("rate 5").error)
   end)

   it("answers with what went wrong, whatever it was", function()
      local p = phase { rate = 5, set_rate = function() return nil, "the phase issues no more" end }
      assert.same({ ok = false, error = "the phase issues no more" }, (make(p)) "rate 5")
      p.set_rate = function() error "broken" end
      assert.truthy((make(p)) "rate 5".error:find "broken")
      p.elapsed = print -- cannot be JSON
      for _, text in ipairs { "status", "", "\0\1\2", ("x"):rep(4096), "rate nan", "\255\254" } do
         assert.is_false((make(p))(text).ok, text)
      end
   end)
end)
