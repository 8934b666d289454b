local engine = require "perigee.engine"
local snapshot = require "perigee.snapshot"
local support = require "tests.unit.support"

local function stats(changes)
   local s = { records = 9, frames = 3, missing = 0, corrupt = 0, lost_frames = 0, duplicate = 0, uncounted = 0, started = true }
   for name, value in pairs(changes or {}) do s[name] = value end
   return s
end

describe("perigee.snapshot.state", function()
   it("is how it ended, and whole only without a loss", function()
      for _, row in ipairs {
         { "running", {} },
         { "running", { missing = 3 } }, -- it may be said of the end alone
         { "ended", { outcome = "ended" } },
         { "incomplete", { outcome = "idle" } },
         { "incomplete", { outcome = "ended", started = false } }, -- it came late
         { "incomplete", { outcome = "ended", missing = 1 } },
         { "incomplete", { outcome = "ended", corrupt = 1 } },
         { "incomplete", { outcome = "ended", lost_frames = 1 } },
         { "incomplete", { outcome = "ended", duplicate = 1 } },
         { "incomplete", { outcome = "ended", uncounted = 1 } },
         { "interrupted", { outcome = "interrupted" } },
      } do
         assert.equal(row[1], snapshot.state(stats(row[2])))
      end
   end)
end)

describe("perigee.snapshot.build", function()
   local function report(...)
      return { session_id = "ab", started_realtime_ns = 1e18, phases = { ... } }
   end

   local function phase()
      return support.phase_report { goal_requests = 0, goal_duration_ns = 0, ended = true, inflight = 0 }
   end

   it("tells what runs, and what it is to reach", function()
      local first = phase()
      first.goal_duration_ns, first.inflight = 5e9, 2 -- stragglers
      local second = phase()
      second.name, second.ended, second.goal_requests, second.inflight = "two", false, 100, 3
      local s = snapshot.build(report(first, second), stats())
      assert.equal("two", s.phase)
      assert.equal(5, s.in_flight)
      assert.same({ requests = 100, duration_s = engine.json.null }, s.goal)
      second.ended = true
      s = snapshot.build(report(second, first), stats())
      assert.equal(engine.json.null, s.phase)
      assert.same({ requests = engine.json.null, duration_s = 5 }, s.goal) -- of the last one
   end)

   it("is JSON before anything came", function()
      local s = snapshot.build({ session_id = "", started_realtime_ns = 0, phases = {} }, stats { records = 0 })
      local back = assert(engine.json.decode(engine.json.encode(s)))
      assert.equal("running", back.state)
      assert.equal(engine.json.null, back.session_id)
      assert.same({}, back.phases)
      assert.equal(engine.json.null, back.goal)
   end)
end)
