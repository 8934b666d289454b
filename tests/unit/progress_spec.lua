local progress = require "perigee.progress"
local support = require "tests.unit.support"

local function phase(changes)
   local p = { name = "steady", elapsed = 1.5, issued = 30, completed = 20, failed = 0, inflight = 10 }
   for k, v in pairs(changes or {}) do p[k] = v end
   return p
end

local STEERED = { steered = true, watched = true, colour = false, blocks = false }

describe("perigee.progress", function()
   it("is live where somebody looks, and lines elsewhere, also when live is asked for", function()
      for _, row in ipairs {
         { "auto", true, true, "live" }, { "auto", true, false, "lines" }, { "auto", false, false, "lines" },
         { "live", true, false, "live" }, { "live", false, false, "lines" }, { "lines", true, true, "lines" },
         { "none", true, true, "none" },
      } do
         assert.equal(row[4], progress.new({ mode = row[1], out = support.sink(), look = { steered = row[2], watched = row[3] } }).mode)
      end
   end)

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

   it("leaves a line of a phase, and shows nothing between phases", function()
      for _, mode in ipairs { "live", "lines" } do
         local view = progress.new { mode = mode, out = support.sink(), look = STEERED }
         view:start(phase(), {})
         view:finish(support.phase_report { latency = support.distribution(12e6) })
         -- a terminal of 80 columns has no room for the reason
         assert.equal("steady  10 requests in 2.00 s  5/s  latency p50 12.0 ms p99 12.0 ms" ..
            (mode == "lines" and "  ended by requests\n" or "\n"), view.out.text)
         local length = #view.out.text
         view:tick()
         view:finish(support.phase_report())
         view:close()
         assert.equal(length, #view.out.text)
      end
   end)

   it("is silent in mode none", function()
      local view = progress.new { mode = "none", out = support.sink() }
      assert.is_nil(view:interval())
      view:start(phase(), {})
      view:tick()
      view:finish(support.phase_report())
      view:close()
      assert.equal("", view.out.text)
   end)

   it("ticks fast on a terminal and slowly for lines", function()
      assert.equal(0.25, progress.new({ mode = "live", out = support.sink(), look = STEERED }):interval())
      assert.equal(5, progress.new({ mode = "lines" }):interval())
   end)
end)
