local chart = require "perigee.live.chart"
local frame = require "perigee.live.frame"
local remaining = require "perigee.live.remaining"
local screen = require "perigee.live.screen"
local support = require "tests.unit.support"
local terminal = require "perigee.live.terminal"
local text = require "perigee.text"

describe("a bar", function()
   it("is as wide as asked, and full to its share", function()
      for _, row in ipairs {
         { 0, "....", "░░░░" }, { 0.5, "##..", "██░░" }, { 1, "####", "████" }, { 7, "####", "████" }, { -1, "....", "░░░░" },
         { 0 / 0, "....", "░░░░" }, { 0.3, "#...", "█▎░░" },
      } do
         assert.equal(row[2], chart.bar(row[1], 4, false))
         assert.equal(row[3], chart.bar(row[1], 4, true))
      end
      for i = 0, 100 do assert.equal(13, text.width(chart.bar(i / 100, 13, true))) end
      assert.equal("", chart.bar(1, 0, true))
   end)
end)

describe("a sparkline", function()
   it("has the highest value as its full height, and a gap where nothing is known", function()
      assert.same({ "▁▅█ ", 10 }, { chart.spark({ 0, 5, 10, false }, 10, true) })
      assert.same({ "_=# ", 10 }, { chart.spark({ 0, 5, 10, false }, 10, false) })
   end)

   it("shows the last values, scaled by these alone", function()
      assert.same({ "█▅", 4 }, { chart.spark({ 1000, 4, 2 }, 2, true) })
   end)

   it("stays at the ground when all is 0, and has no height when nothing is known", function()
      assert.same({ "▁▁", 0 }, { chart.spark({ 0, 0 }, 9, true) })
      assert.same({ "  ", nil }, { chart.spark({ false, false }, 9, true) })
      assert.same({ "", nil }, { chart.spark({}, 9, true) })
   end)
end)

describe("what remains of a phase", function()
   local function of(goals, elapsed, issued, rate)
      return remaining.of(goals, { elapsed = elapsed, issued = issued, rate = rate })
   end

   it("goes by the rule that is nearest", function()
      for _, row in ipairs {
         { { duration = 60 }, 15, 0, nil, { rule = "duration", left = 45, share = 0.25 } },
         { { requests = 100 }, 5, 50, 10, { rule = "requests", left = 5, share = 0.5 } },
         { { requests = 100, duration = 60 }, 15, 90, 10, { rule = "requests", left = 1, share = 0.9 } },
         { { requests = 1000, duration = 60 }, 15, 100, 10, { rule = "duration", left = 45, share = 0.25 } },
         { { requests = 100, duration = 60 }, 15, 0, 0, { rule = "duration", left = 45, share = 0.25 } },
         { { requests = 100 }, 0, 0, nil, { rule = "requests", share = 0 } }, -- nobody knows yet
         { { duration = 10 }, 12, 0, nil, { rule = "duration", left = 0, share = 1 } },
         { { duration = 10, min_duration = 40 }, 10, 5, 1, { rule = "minimum", left = 30, share = 0.25 } },
         { { duration = 10, min_requests = 30 }, 10, 10, 1, { rule = "minimum", left = 20, share = 1 / 3 } },
         { { duration = 10, min_requests = 40 }, 10, 10, 0, { rule = "minimum", share = 0.25 } },
         { { duration = 50, max_duration = 20 }, 5, 5, 1, { rule = "max_duration", left = 15, share = 0.25 } },
         { { requests = 9, max_duration = 20 }, 5, 0, nil, { rule = "max_duration", left = 15, share = 0.25 } },
      } do assert.same(row[5], of(row[1], row[2], row[3], row[4])) end
   end)

   it("is not known without a rule", function() assert.is_nil(of({}, 5, 5, 1)) end)

   it("of a run is the sum of the phases to come, when each has an end in time", function()
      local phases = { { requests = 5 }, { duration = 10 }, { max_duration = 7, requests = 5 }, { duration = 5, min_duration = 8 } }
      assert.equal(25, remaining.after(phases, 1))
      assert.equal(0, remaining.after(phases, 4))
      phases[3].max_duration = nil
      assert.is_nil(remaining.after(phases, 1))
      assert.is_nil(remaining.after({ {}, { duration = 5, min_requests = 9 } }, 1))
   end)
end)

describe("a terminal", function()
   local function look(variables, is_terminal)
      return terminal.look(2, function(name) return variables[name] end, is_terminal ~= false)
   end

   it("is steered when it is one and not dumb, and watched outside of CI", function()
      for _, row in ipairs {
         { { TERM = "xterm" }, true, true, true }, { { TERM = "xterm" }, false, false, false }, { { TERM = "dumb" }, true, false, false },
         { {}, true, false, false }, { { TERM = "" }, true, false, false }, { { TERM = "xterm", CI = "true" }, true, true, false },
         { { TERM = "xterm", CI = "false" }, true, true, true }, { { TERM = "xterm", CI = "" }, true, true, true },
      } do
         local found = look(row[1], row[2])
         assert.same({ row[3], row[4] }, { found.steered, found.watched })
      end
   end)

   it("has colours by what the environment says", function()
      for _, row in ipairs {
         { {}, true, true }, { {}, false, false }, { { NO_COLOR = "1" }, true, false }, { { NO_COLOR = "" }, true, true },
         { { CLICOLOR = "0" }, true, false }, { { CLICOLOR = "1" }, false, false }, { { CLICOLOR_FORCE = "1" }, false, true },
         { { CLICOLOR_FORCE = "0" }, false, false }, { { FORCE_COLOR = "1" }, false, true }, { { FORCE_COLOR = "0" }, true, false },
         { { FORCE_COLOR = "1", NO_COLOR = "1" }, true, false }, { { FORCE_COLOR = "1", CLICOLOR = "0" }, true, true },
      } do
         row[1].TERM = "xterm"
         assert.equal(row[3], look(row[1], row[2]).colour)
      end
   end)

   it("has block characters in a locale of UTF-8", function()
      for _, row in ipairs {
         { { LANG = "C.UTF-8" }, true }, { { LANG = "de_DE.utf8" }, true }, { {}, false }, { { LANG = "C" }, false },
         { { LC_ALL = "C", LANG = "C.UTF-8" }, false }, { { LC_ALL = "", LC_CTYPE = "en_US.UTF-8", LANG = "C" }, true },
         { { LANG = "C.UTF-8", TERM = "dumb" }, false },
      } do assert.equal(row[2], look(row[1]).blocks) end
   end)
end)

local function model(changes)
   local m = {
      title = "chat-sweep", name = "rate-20", number = 2, of = 5, elapsed = 24.6, run_left = 192,
      goal = { share = 0.41, text = "24.6 s of 1m 00s", left = 35.4 },
      done = 19.7, sent = 20, asked = 20, tokens = 1234, in_flight = 23,
      counts = { issued = 245, completed = 220, failed = 2, dropped = 0 }, recent_s = 5.4,
      rows = {
         { "latency", recent = { p50 = 12.3e6, p90 = 20e6, p99 = 40e6 }, whole = { p50 = 12.1e6, p90 = 19e6, p99 = 38e6 } },
         { "ttft", recent = { p50 = 2.3e6, p90 = 3e6, p99 = 4e6 }, whole = { p50 = 2.1e6, p90 = 3e6, p99 = 3e6 } },
      },
      late = { count = 0, worst_ns = 85e3 }, rates = { 0, 5, 10, 15, 20 }, p99s = { false, 30e6, 40e6, 20e6, 35e6 },
      errors = { http_429 = 7, timeout = 2 },
      checks = { { text = "ttft.p99 < 500ms", passed = true }, { text = "error_rate < 1%", passed = false, detail = "2%" } },
   }
   for name, value in pairs(changes or {}) do m[name] = value end
   return m
end

local function drawn(m, width, height, blocks)
   local lines = {}
   for i, l in ipairs(frame.lines(m, width, height, { blocks = blocks })) do lines[i] = frame.text(l, false) end
   return table.concat(lines, "\n")
end

describe("a frame", function()
   it("of a usual terminal has all of it", function()
      assert.equal([[
chat-sweep  phase 2 of 5 rate-20  24.6 s
██████████▎░░░░░░░░░░░░░░   41%  35.4 s left  24.6 s of 1m 00s  run 3m 12s left

rate     done 19.7/s  in flight 23  sent 20/s  asked 20/s  output 1234 tokens/s
count    issued 245  completed 220  failed 2
late     0 of 245 issued more than 1 ms late  worst 85.0 us
errors   http_429 7  timeout 2
checks   FAIL  error_rate < 1%  2%
         pass  ttft.p99 < 500ms

                            last 5 s                        phase
               p50      p90      p99        p50      p90      p99
latency    12.3 ms  20.0 ms  40.0 ms    12.1 ms  19.0 ms  38.0 ms
ttft       2.30 ms  3.00 ms  4.00 ms    2.10 ms  3.00 ms  3.00 ms

rate     ▁▃▅▆█  max 20/s
p99       ▆█▅▇  max 40.0 ms]], drawn(model(), 79, 23, true))
   end)

   it("of a small one has the most important, in ASCII where need be", function()
      assert.equal([[
chat-sweep  phase 2 of 5 rate-20
[#######...........]   41%  35.4 s left
rate     done 19.7/s  in flight 23
errors   http_429 7  timeout 2
checks   FAIL  error_rate < 1%  2%
               p50      p90      p99
latency    12.3 ms  20.0 ms  40.0 ms
ttft       2.30 ms  3.00 ms  4.00 ms]], (drawn(model(), 39, 8, false)))
   end)

   it("of a drain says so", function()
      local m = model { state = "draining", goal = { share = 0.5, text = "4 in flight, 1.20 s of 5m 00s at most" } }
      m.run_left = nil
      assert.equal("chat-sweep  phase 2 of 5 rate-20  draining  24.6 s\n" ..
         "[##########..........]   50%  4 in flight, 1.20 s of 5m 00s at most", drawn(m, 67, 2, false))
   end)

   it("begins without numbers", function()
      assert.equal([[
x  phase a  2.00 ms

rate     done -  in flight 1
count    issued 1  completed 0  failed 0

               p50      p90      p99
latency          -        -        -
]], drawn({ title = "x", name = "a", number = 1, of = 1, elapsed = 0.002, in_flight = 1,
         counts = { issued = 1, completed = 0, failed = 0 }, rows = { { "latency" } }, errors = {}, rates = {}, p99s = {} }, 79, 23, true))
   end)

   it("is never wider nor higher than the terminal, and cuts no number", function()
      local long = model { title = ("日本"):rep(40), name = ("é"):rep(63), errors = {} }
      for i = 1, 30 do long.errors[("class_%d"):format(i)] = i end
      for i = 1, 100 do long.rates[i], long.p99s[i] = i, i * 1e6 end
      local whole = {}
      for word in drawn(long, 1000, 1000, true):gmatch "%S+" do whole[word] = true end
      for width = 1, 140 do
         for _, height in ipairs { 1, 3, 9, 50 } do
            for _, blocks in ipairs { true, false } do
               local lines = frame.lines(long, width, height, { blocks = blocks })
               assert.is_true(#lines <= height)
               for _, l in ipairs(lines) do
                  local shown = frame.text(l, false)
                  assert.is_true(text.width(shown) <= width, shown)
                  for i, part in ipairs(l) do
                     if i > 1 and part[1]:find "^class" then assert.truthy(whole[part[1]:match "%S+"], part[1]) end
                  end
               end
            end
         end
      end
   end)

   it("lets no name steer the terminal", function()
      local evil = "x\27[2J\7\r\n"
      local shown = drawn(model { title = evil, name = evil, state = evil, errors = { [evil] = 1 },
         checks = { { text = evil, passed = false, detail = evil } } }, 200, 50, true)
      assert.is_nil(shown:find "[\27\7\r]")
      assert.is_nil(frame.finished { name = evil, issued = 1, duration_s = 1, failed = 1, errors = { [evil] = 1 }, end_reason = evil }
         :find "[\27\7\r\n]")
   end)
end)

describe("the line of a phase that ended", function()
   local ended = {
      name = "steady", issued = 200, duration_s = 1.26, qps = 159, failed = 3, errors = { timeout = 1, http_429 = 2 },
      latency = { p50 = 50e6, p99 = 51e6 }, ttft = { p50 = 20e6, p99 = 23e6 }, end_reason = "requests",
   }

   it("says what it did and how it ended", function()
      assert.equal("steady  200 requests in 1.26 s  failed 3 (http_429 2, timeout 1)  159/s  latency p50 50.0 ms p99 51.0 ms  " ..
         "ttft p50 20.0 ms p99 23.0 ms  ended by requests", frame.finished(ended))
   end)

   it("leaves out what does not fit", function()
      assert.equal("steady  200 requests in 1.26 s", frame.finished(ended, 40))
   end)
end)

describe("a screen", function()
   local function new(columns, rows, options)
      local sink = support.sink()
      options = options or {}
      return screen.new { out = sink, size = function() return columns, rows end, colour = options.colour, blocks = true }, sink
   end

   it("draws a frame with one write, and parks the cursor above it", function()
      local s, sink = new(80, 24)
      local writes, write = 0, sink.write
      sink.write = function(...)
         writes = writes + 1
         return write(...)
      end
      s:draw(model())
      assert.equal(1, writes)
      local _, lines = sink.text:gsub("\n", "")
      assert.equal(("\27[J\27[%dA\r\27[?2026l"):format(lines), sink.text:sub(-#("\27[J\27[%dA\r\27[?2026l"):format(lines)))
      assert.equal("\27[?2026h\27[?25l\r\27[K", sink.text:sub(1, 18))
   end)

   it("has colours only when asked", function()
      for _, colour in ipairs { true, false } do
         local s, sink = new(80, 24, { colour = colour })
         s:draw(model())
         assert.equal(colour, sink.text:find("\27%[3%dm") ~= nil)
      end
   end)

   it("wipes the frame before a line that stays", function()
      local s, sink = new(80, 24)
      s:say "first\n"
      assert.equal("first\n", sink.text)
      s:draw(model())
      sink.text = ""
      s:say "second\n"
      assert.equal("\r\27[Jsecond\n", sink.text)
      s:lift() -- nothing is there
      assert.equal("\r\27[Jsecond\n", sink.text)
   end)

   it("shows the cursor at its end, once, and only when it was hidden", function()
      local s, sink = new(80, 24)
      s:close()
      assert.equal("", sink.text)
      s:draw(model())
      sink.text = ""
      s:close()
      s:close()
      assert.equal("\r\27[J\27[?25h", sink.text)
   end)

   it("may leave the last frame", function()
      local s, sink = new(80, 4)
      s:draw(model())
      sink.text = ""
      s:close(true)
      assert.equal("\27[3B\n\27[?25h", sink.text)
   end)
end)
