local checks = require "perigee.checks"
local engine = require "perigee.engine"
local metric = require "perigee.metric"
local support = require "tests.unit.support"

local public, null = metric.public, engine.json.null

-- The names live as long as this Lua state: each spec takes its own.
local report = support.phase_report { name = "one" }

local function test(text)
   local result = checks.evaluate(checks.compile({ text }, "x"), report, {})[1]
   return { result.passed, result.detail }
end

describe("engine.histogram", function()
   it("keeps three digits from 1e-6 to 3.6e12", function()
      for exponent = -6, 12 do
         for _, digits in ipairs { 1, 1.234, 3.599 } do
            local h, v = engine.histogram(), digits * 10 ^ exponent
            h:add(v / 2)
            h:add(v)
            h:add(v * 1.0001) -- so that v is not the maximum, which is exact
            local got = h:quantile(0.5)
            assert.is_true(math.abs(got / v - 1) < 1e-3, ("%g became %g"):format(v, got))
         end
      end
   end)

   it("finds quantiles on both sides of its middle and across", function()
      local h = engine.histogram()
      for i = 1, 500 do
         h:add(i / 1000)
         h:add(i * 1000)
      end
      for _, row in ipairs {
         { 0, 0.001 }, { 0.25, 0.25 }, { 0.5, 0.5 }, { 0.502, 2000 }, { 0.75, 250e3 }, { 0.999, 499e3 }, { 1, 500e3 },
      } do
         assert.is_true(math.abs(h:quantile(row[1]) / row[2] - 1) < 2e-3, ("q %g: %g"):format(row[1], h:quantile(row[1])))
      end
      assert.same({ 1000, 0.001, 500e3 }, { h:count(), h:min(), h:max() })
   end)

   it("keeps whole numbers as they are, so that they can be compared", function()
      for _, v in ipairs { 1, 3, 4, 7, 64, 999, 1023, 1024, 1025, 2047 } do
         local h = engine.histogram()
         for _, n in ipairs { v - 1, v, v + 100 } do h:add(n) end
         assert.equal(v, h:quantile(0.5))
      end
   end)

   it("knows count, sum, mean, std, min and max of the numbers as they are", function()
      local h = engine.histogram()
      for _, v in ipairs { 2, 4, 4, 4, 5, 5, 7, 9 } do h:add(v) end
      assert.same({ 8, 40, 5, 2, 2, 9 }, { h:count(), h:sum(), h:mean(), h:std(), h:min(), h:max() })
   end)

   it("has no statistics of nothing, and takes 0", function()
      local h = engine.histogram()
      assert.same({ 0, 0 }, { h:count(), h:sum() })
      for _, name in ipairs { "mean", "std", "min", "max" } do assert.is_nil(h[name](h)) end
      assert.is_nil(h:quantile(0.5))
      h:add(0)
      assert.same({ 0, 0, 0 }, { h:quantile(0.5), h:max(), h:std() })
   end)

   it("refuses what cannot be counted", function()
      local h = engine.histogram()
      for _, v in ipairs { -1, 0 / 0, math.huge, "x" } do assert.is_false(pcall(h.add, h, v)) end
      assert.is_false(pcall(h.quantile, h, 1.5))
      assert.equal(0, h:count())
   end)
end)

describe("perigee.metric", function()
   before_each(metric.reset)

   it("counts for the phase that runs", function()
      local h, c, g = public.histogram("m_h", { unit = "ms" }), public.counter "m_c", public.gauge "m_g"
      metric.enter "one"
      h:add(2)
      h:add(4)
      c:inc()
      c:inc(2.5)
      g:set(7)
      g:set(-3)
      assert.equal("one", metric.enter "two")
      c:inc()
      local one, two = metric.values "one", metric.values "two"
      assert.same({ "histogram", "ms", 2, 6, 3, 4 },
         { one.m_h.kind, one.m_h.unit, one.m_h.count, one.m_h.sum, one.m_h.distribution.mean, one.m_h.distribution["p99.9"] })
      assert.same({ kind = "counter", unit = null, count = 2, value = 3.5 }, one.m_c)
      assert.same({ kind = "gauge", unit = null, count = 2, value = -3 }, one.m_g)
      assert.same({ kind = "histogram", unit = "ms", count = 0, sum = 0, distribution = null }, two.m_h)
      assert.same({ kind = "counter", unit = null, count = 1, value = 1 }, two.m_c)
      assert.same({ kind = "gauge", unit = null, count = 0, value = null }, two.m_g)
   end)

   it("tells counters that belong together in the phases that count one of them", function()
      local one, two = metric.group("m_group", { "m_group_one", "m_group_two" })
      metric.enter "one"
      one:inc()
      metric.enter "two"
      local values = metric.values "one"
      assert.same({ 1, 0 }, { values.m_group_one.value, values.m_group_two.value })
      assert.is_nil(metric.values("two").m_group_one)
      two:inc()
      assert.equal(0, metric.values("two").m_group_one.value)
   end)

   it("starts anew with each run, and reports nothing of what was counted outside of a phase", function()
      local c = public.counter "m_anew"
      c:inc()
      metric.enter "one"
      assert.equal(0, metric.values("one").m_anew.value)
      c:inc()
      assert.equal(1, metric.values("one").m_anew.value)
      metric.reset()
      assert.equal(0, metric.values("one").m_anew.value)
   end)

   it("gives the same metric for the same name, and refuses another one", function()
      local first = public.counter("m_shared", { unit = "B" })
      assert.equal(first, public.counter("m_shared", { unit = "B" }))
      support.contains("'m_shared' exists already as a counter in B", support.refusal(public.gauge, "m_shared"))
      support.contains("'m_shared' exists already as a counter in B", support.refusal(public.counter, "m_shared"))
   end)

   it("refuses names and options that cannot be", function()
      for _, name in ipairs { "", "a.b", "1a", "a b", "a-b" } do
         support.contains("metric.counter: a name of letters, digits and _ expected", support.refusal(public.counter, name))
      end
      support.contains("expected, got nil", support.refusal(public.counter))
      support.contains("unknown field 'untit', did you mean 'unit'?", support.refusal(public.gauge, "m_x", { untit = "ms" }))
      support.contains("unknown name 'histogramm', did you mean 'histogram'?", support.refusal(function() return public.histogramm end))
   end)

   it("refuses every name that a check knows already", function()
      assert.is_true(#checks.NAMES > 10)
      for _, name in ipairs(checks.NAMES) do
         support.contains("'" .. name .. "' is a metric of perigee's own", support.refusal(public.counter, name))
      end
   end)

   it("refuses values that cannot be counted", function()
      local h, c, g = public.histogram "m_bad_h", public.counter "m_bad_c", public.gauge "m_bad_g"
      support.contains("m_bad_h:add: a finite number expected, got 'x'", support.refusal(h.add, h, "x"))
      support.contains("m_bad_h:add: a number of at least 0 expected, got -1", support.refusal(h.add, h, -1))
      support.contains("m_bad_c:inc: a number of at least 0 expected, got -1", support.refusal(c.inc, c, -1))
      support.contains("m_bad_g:set: a finite number expected, got nil", support.refusal(g.set, g))
      support.contains("m_bad_g:set: a finite number expected", support.refusal(g.set, g, 0 / 0))
   end)
end)

describe("perigee.checks of a script's metrics", function()
   it("hold or not, in the unit of the metric", function()
      metric.reset()
      local h, c, g = public.histogram("k_time", { unit = "ms" }), public.counter("k_sent", { unit = "B" }), public.gauge "k_depth"
      public.gauge "k_never"
      metric.enter "one"
      for i = 1, 4 do h:add(i) end
      c:inc(12)
      g:set(-2)
      for _, row in ipairs {
         { "k_time.p99 < 4.5", true, "4 ms" }, { "k_time.p99 < 3ms", false, "4 ms" }, { "k_time.mean < 0.0026s", true, "2.50 ms" },
         { "k_time.count == 4", true, "4" }, { "k_time.sum > 10", false, "10 ms" }, { "k_sent > 10", true, "12 B" },
         { "k_sent <= 11B", false, "12 B" }, { "k_depth > -3", true, "-2" }, { "k_never < 1", false, "no data" },
      } do
         assert.same({ row[2], row[3] }, test(row[1]), row[1])
      end
   end)

   it("fail to compile with a caret under what is wrong", function()
      public.histogram("k_wrong", { unit = "ms" })
      public.counter("k_plain")
      for _, row in ipairs {
         { "k_wrnog.p99 < 1", "unknown metric 'k_wrnog', did you mean 'k_wrong'?" },
         { "k_wrong < 1", "'k_wrong' is a distribution: say which statistic, e.g. k_wrong.p99" },
         { "k_wrong.p98 < 1", "unknown statistic 'p98', did you mean 'p90'?\n   k_wrong.p98 < 1\n           ^" },
         { "k_wrong.p99 < 1B", "'k_wrong' is counted in ms\n   k_wrong.p99 < 1B\n                  ^" },
         { "k_wrong.count < 1ms", "a count has no unit" },
         { "k_plain.p99 < 1", "'k_plain' is a number and has no statistics" },
         { "k_plain < 1ms", "'k_plain' has no unit" },
      } do
         support.contains(row[2], support.refusal(checks.compile, { row[1] }, "x"))
      end
   end)
end)
