local progress = require "perigee.progress"
local support = require "tests.unit.support"

local function phase(changes)
   local p = { name = "steady", elapsed = 1.5, issued = 30, completed = 20, failed = 0, inflight = 10 }
   for k, v in pairs(changes or {}) do p[k] = v end
   return p
end

describe("perigee.progress", function()
   it("shows where the phase stands", function()
      local view = progress.new { mode = "lines", out = support.sink() }
      view:start(phase(), { duration = 60, requests = 100 })
      view:tick()
      assert.equal("steady  1.50 s / 1m 00s  issued 30 of 100  done 20  in flight 10  13.3/s\n", view.out.text)
   end)

   it("takes the rate over the last second and counts failures", function()
      local view, p = progress.new { mode = "lines", out = support.sink() }, phase { elapsed = 10, completed = 100 }
      view:start(p, {})
      view:line()
      p.elapsed, p.completed, p.failed = 12, 120, 20
      assert.equal("steady  12.0 s  issued 30  done 120  in flight 10  failed 20  20/s", view:line())
      p.elapsed, p.completed = 12.5, 500
      assert.matches("20/s$", view:line())
   end)

   it("rewrites one line on a terminal, no wider than it", function()
      local view = progress.new { mode = "live", out = support.sink(), width = 20, colour = false }
      view:start(phase(), {})
      view:tick()
      assert.equal("\r\27[Ksteady  1.50 s  iss", view.out.text)
      view:clear()
      assert.equal("\r\27[K", view.out.text:sub(-4))
      local length = #view.out.text
      view:clear()
      assert.equal(length, #view.out.text)
   end)

   it("colours failures only where colour is wanted", function()
      for colour, expected in pairs { [true] = true, [false] = false } do
         local view = progress.new { mode = "live", out = support.sink(), colour = colour }
         view:start(phase { failed = 1 }, {})
         view:tick()
         assert.equal(expected, view.out.text:find("\27[31m", 1, true) ~= nil)
      end
   end)

   it("leaves the last line of a phase, and shows nothing between phases", function()
      local view = progress.new { mode = "live", out = support.sink(), colour = false }
      view:start(phase(), {})
      view:finish()
      assert.matches("^steady .*\n$", view.out.text)
      local length = #view.out.text
      view:tick()
      view:finish()
      assert.equal(length, #view.out.text)
   end)

   it("is silent in mode none", function()
      local view = progress.new { mode = "none", out = support.sink() }
      assert.is_nil(view:interval())
      view:start(phase(), {})
      view:tick()
      view:finish()
      assert.equal("", view.out.text)
   end)

   it("ticks fast on a terminal and slowly for lines", function()
      assert.equal(0.25, progress.new({ mode = "live" }):interval())
      assert.equal(5, progress.new({ mode = "lines" }):interval())
   end)
end)
