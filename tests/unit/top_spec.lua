local support = require "tests.unit.support"
local top = require "perigee.top"

local function distribution(ms)
   local d = { count = 10, mean = ms, std = 0, min = ms, max = ms }
   for _, q in ipairs { "p50", "p90", "p95", "p99", "p99.9" } do d[q] = ms end
   return d
end

local function phase(changes)
   local p = {
      name = "steady", kind = "performance", end_reason = "", duration_s = 2, issued = 25, completed = 20, failed = 0,
      abandoned = 0, cancelled = 0, dropped = 0, qps = 10, errors = {}, latency_ms = distribution(12),
   }
   for name, value in pairs(changes or {}) do p[name] = value end
   return p
end

local function snapshot(changes)
   local s = {
      schema_version = 1, state = "running", session_id = "0123456789abcdef", monotonic_s = 100, in_flight = 5,
      received = { records = 7, missing = 0, corrupt = 0, duplicate = 0, lost_frames = 0, uncounted = 0 },
      phase = "steady", phases = { phase() },
   }
   for name, value in pairs(changes or {}) do s[name] = value end
   return s
end

local function view(changes)
   local v = top.new()
   v:see(snapshot(changes))
   return v
end

describe("perigee.top", function()
   it("takes the rate over at least a second, between snapshots", function()
      local v = top.new()
      local function see(at, done) v:see(snapshot { monotonic_s = at, phases = { phase { completed = done, qps = 1 } } }) end
      see(10, 0)
      support.contains("1/s", v:line()) -- the phase's own, so far
      see(10.5, 100)
      support.contains("1/s", v:line())
      see(12, 300)
      support.contains("  150/s", v:line())
      see(12.25, 400)
      support.contains("  150/s", v:line())
      see(13, 0) -- another session
      support.contains("1/s", v:line())
   end)

   it("shows how far a phase is when that is known", function()
      support.contains("  25 of 100 requests\n", view({ goal = { requests = 100 } }):text(false))
      assert.matches("%[#+%.+%]   25%%", view({ goal = { requests = 100 } }):text(false))
      assert.matches("%[#+%.+%]   50%%  2.00 s left  2.00 s of 4.00 s\n", view({ goal = { duration_s = 4 } }):text(false))
      assert.matches("%[#+%]  100%%  0 ns left", view({ goal = { duration_s = 1 } }):text(false))
      assert.is_nil(view({ goal = {} }):text(false):find "%[")
   end)

   it("shows what the last seconds brought, beside the phase, and over time", function()
      local null = require("perigee.engine").json.null
      local shown = view { recent = {
         seconds = 5, qps = 7, rate_delivered_per_s = 9, output_tokens_per_s = null,
         latency_ms = { p50 = 1, p90 = 2, p99 = 3 }, ttft_ms = null,
         series = { width_s = 1, qps = { 4, 8 }, latency_p99_ms = { null, 30 } },
      } }:text(true)
      support.contains("rate     done 7/s  in flight 5  sent 9/s\n", shown)
      support.contains("latency    1.00 ms  2.00 ms  3.00 ms    12.0 ms  12.0 ms  12.0 ms\n", shown)
      support.contains("rate     ▅█  max 8/s\n", shown)
      support.contains("p99       █  max 30.0 ms\n", shown)
   end)

   it("lists errors, most first, and what was lost", function()
      local v = view {
         received = { records = 7, missing = 3, corrupt = 1, duplicate = 0, lost_frames = 0, uncounted = 0 },
         phases = { phase { failed = 9, errors = { timeout = 2, http_429 = 7, refused = 2 } } },
      }
      support.contains("errors   http_429 7  refused 2  timeout 2\n", v:text(false))
      support.contains("LOST  3 missing, 1 corrupt\n", v:text(false))
      support.contains("lost 3 missing, 1 corrupt", v:line())
   end)

   it("stands before the first phase, and without a session", function()
      local v = view { phases = {}, phase = false, session_id = false }
      support.contains("session -", v:text(false))
      assert.equal("running  events 7", v:line())
   end)

   it("tells each phase that has ended once", function()
      local v = top.new()
      v:see(snapshot { phases = { phase { name = "a", end_reason = "requests" }, phase() } })
      assert.equal("a  25 requests in 2.00 s  10/s  latency p50 12.0 ms p99 12.0 ms  ended by requests\n", v:finished())
      assert.equal("", v:finished())
      v:see(snapshot { phase = false, phases = { phase { name = "a" }, phase { end_reason = "duration" } } })
      assert.equal("steady  25 requests in 2.00 s  10/s", v:finished(40):sub(1, -2))
   end)

   it("lets no name steer the terminal", function()
      local evil = "x\27[2J\7\r\n"
      local v = view { phases = { phase { name = evil, end_reason = evil, errors = { [evil] = 1 } } }, phase = evil, state = evil }
      assert.is_nil(v:text(true):find "[\27\7\r]")
      assert.is_nil(v:line():find "[\27\7\r\n]")
   end)
end)
