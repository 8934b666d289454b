local units = require "perigee.units"

describe("perigee.units.duration", function()
   it("reads numbers as seconds and texts with their unit", function()
      for input, seconds in pairs {
         [0] = 0, [2.5] = 2.5, ["3"] = 3, ["250us"] = 250e-6, ["250µs"] = 250e-6, ["7ns"] = 7e-9, ["250ms"] = 0.25,
         ["2s"] = 2, ["2m"] = 120, ["1h"] = 3600, ["1m30s"] = 90, ["1.5 s"] = 1.5, [".5s"] = 0.5,
      } do
         assert.near(seconds, units.duration(input), 1e-12, tostring(input))
      end
   end)

   it("refuses what is no duration, with the reason", function()
      local invalid = {
         { "", "is empty" },
         { "5 parsecs", "unknown unit" },
         { "ms", "not a number" },
         { "1..5s", "not a number" },
         { "-1s", "not a number" },
         { -1, "negative" },
         { 0 / 0, "not finite" },
         { math.huge, "not finite" },
         { true, "no number" },
         { {}, "no number" },
      }
      for _, row in ipairs(invalid) do
         local value, message = units.duration(row[1])
         assert.is_nil(value)
         assert.matches(row[2], message, 1, true)
      end
   end)
end)

describe("perigee.units for people", function()
   it("shows nanoseconds with three digits and the fitting unit", function()
      for _, row in ipairs {
         { 0, "0 ns" }, { 850, "850 ns" }, { 1234, "1.23 us" }, { 999.4e3, "999 us" }, { 999.9e3, "1.00 ms" },
         { 12345678, "12.3 ms" }, { 999.9e6, "1.00 s" }, { 59.9e9, "59.9 s" }, { 59.99e9, "1m 00s" }, { 125e9, "2m 05s" },
         { 3599.6e9, "1h 00m" }, { 3725e9, "1h 02m" },
      } do
         assert.equal(row[2], units.ns(row[1]))
      end
   end)

   it("shows shares and numbers", function()
      assert.equal("1.5%", units.percent(0.015))
      assert.equal("0%", units.percent(0))
      assert.equal("1200", units.number(1200))
      assert.equal("0.33", units.number(1 / 3))
      assert.equal("-12.5", units.number(-12.5))
      assert.same({ "1e+300", "-1e+300", "1.23e+15" }, { units.number(1e300), units.number(-1e300), units.number(1.2345e15) })
   end)
end)
