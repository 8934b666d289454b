local tick = require "perigee.tick"

-- Which of the two is called at each of `n` ticks: "u", "l", "lu" or "".
local function calls(interval, n)
   local seen
   local seconds, handler = tick.combine(interval, function() seen = seen .. "u" end, function() seen = seen .. "l" end)
   local list = {}
   for i = 1, n do
      seen = ""
      handler()
      list[i] = seen
   end
   return seconds, list
end

describe("perigee.tick", function()
   it("leaves one of the two as it is", function()
      local function f() end
      assert.same({ 5, f }, { tick.combine(5, f, nil) })
      assert.same({ 1, f }, { tick.combine(5, nil, f) })
      assert.is_nil((select(2, tick.combine(5, nil, nil))))
   end)

   it("looks about once a second, whatever the interval of on.tick", function()
      for _, row in ipairs {
         -- interval, seconds of the engine, what each of its ticks does
         { 1, 1, { "lu", "lu", "lu" } },
         { 0.25, 0.25, { "u", "u", "u", "lu", "u" } },
         { 0.3, 0.3, { "u", "u", "lu", "u" } },
         { 3, 1, { "l", "l", "lu", "l" } },
         { 1.5, 0.75, { "l", "lu", "l", "lu" } },
      } do
         local seconds, list = calls(row[1], #row[3])
         assert.same({ row[2], row[3] }, { seconds, list })
      end
   end)
end)
