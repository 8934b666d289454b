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

local function view(changes, options)
   local v = top.new(options or { colour = false })
   v:see(snapshot(changes))
   return v
end

describe("perigee.top", function()
   it("takes the rate over at least a second, between snapshots", function()
      local v = top.new { colour = false }
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
      support.contains("[######..................] 25 of 100 requests", view({ goal = { requests = 100 } }):text())
      support.contains("[############............] 2.00 s of 4.00 s", view({ goal = { duration_s = 4 } }):text())
      support.contains("[########################]", view({ goal = { duration_s = 1 } }):text())
      assert.is_nil(view({ goal = {} }):text():find "%[")
   end)

   it("lists errors, most first, and what was lost", function()
      local v = view {
         received = { records = 7, missing = 3, corrupt = 1, duplicate = 0, lost_frames = 0, uncounted = 0 },
         phases = { phase { failed = 9, errors = { timeout = 2, http_429 = 7, refused = 2 } } },
      }
      support.contains("errors    http_429 7, refused 2, timeout 2\n", v:text())
      support.contains("LOST: 3 missing, 1 corrupt", v:text())
      support.contains("lost 3 missing, 1 corrupt", v:line())
   end)

   it("stands before the first phase, and without a session", function()
      local v = view { phases = {}, phase = false, session_id = false }
      support.contains("session -", v:text())
      assert.equal("running  events 7", v:line())
   end)

   it("fits into the width and the height of the terminal", function()
      local v = view { phases = { phase { name = ("ä"):rep(200) } }, phase = ("ä"):rep(200) }
      for _, width in ipairs { 1, 2, 20, 79, 200 } do
         local frame = v:frame(width, 24)
         for line in frame:gsub("\27%[[%d;?]*%a", ""):gsub("\r", ""):gmatch "[^\n]+" do
            local _, columns = line:gsub("[^\128-\191]", "")
            assert.is_true(columns <= width - 1, line)
            assert.is_nil(line:find "\195$") -- no half character
         end
      end
      local _, rows = v:frame(80, 5):gsub("\n", "")
      assert.equal(4, rows)
   end)

   it("redraws exactly what it drew, and clears what is left of it", function()
      local v = view { phases = { phase(), phase { name = "b" } } }
      local first = v:frame(80, 50)
      local _, rows = first:gsub("\n", "")
      assert.is_nil(first:find("\27%[%d+A"))
      v:see(snapshot())
      local second = v:frame(80, 50)
      assert.equal(("\27[%dA\r"):format(rows), second:match "^\27%[%d+A\r")
      assert.equal("\27[J", second:sub(-3))
      local _, cleared = second:gsub("\27%[K\n", "")
      local _, now = second:gsub("\n", "")
      assert.equal(now, cleared)
      assert.equal(rows - 1, now)
   end)

   it("lets no name steer the terminal", function()
      local evil = "x\27[2J\7\r\n"
      local v = view { phases = { phase { name = evil, end_reason = evil, errors = { [evil] = 1 } } }, phase = evil, state = evil }
      assert.is_nil(v:text():find "[\27\7\r]")
      assert.is_nil(v:line():find "[\27\7\r\n]")
   end)

   it("has colours only when asked", function()
      assert.truthy(view(nil, { colour = true }):frame(80, 24):find "\27%[32m")
      assert.is_nil(view(nil, { colour = false }):frame(80, 24):find "\27%[%d*m")
   end)
end)
