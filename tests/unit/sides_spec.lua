--- The sides of interleaved phases, each as one, in the report.
local engine = require "perigee.engine"
local html = require "perigee.report.html"
local perigee = require "perigee"
local report_table = require "perigee.report.table"
local sides = require "perigee.report.sides"
local support = require "tests.unit.support"

local null = engine.json.null
local load = perigee.load

-- Rounds of 20 requests at 10 per second after a warmup; each request of `b` takes a tenth longer than its partner in `a`, and
-- one of ten fails there. Also the latencies in ms by side, as the handler saw them.
local function run(changes)
   local seen = { a = {}, b = {} }
   local definition = {
      target = perigee.target.openai_chat { url = "mock:" }, dataset = { "x" }, load = load.constant(10), requests = 20,
      slo = { latency = 0.2 }, checks = { "latency.max < 1ms" },
      phases = { { "warm", kind = "warmup" }, unpack(perigee.interleave { { "a" }, { "b" }, rounds = 3 }) },
      on = { complete = function(r)
         local side = r.phase:match "^(%a)%."
         if side and r.ok then table.insert(seen[side], r.latency * 1e3) end
      end },
   }
   for key, value in pairs(changes or {}) do definition[key] = value end
   local result = perigee.test.run(perigee.scenario(definition), { endpoint = function(request)
      local is_b = request.phase:find "^b" ~= nil
      local base = 0.1 + 0.01 * (request.number % 7)
      return { ttft = is_b and base * 1.1 or base, tokens = 1, status = is_b and request.number % 10 == 0 and 500 or 200 }
   end })
   return result, seen
end

local function phases_of(summary, prefix)
   local list = {}
   for _, phase in ipairs(summary.phases) do
      if phase.name:find("^" .. prefix .. "%.") then list[#list + 1] = phase end
   end
   return list
end

local function sum(phases, key)
   local total = 0
   for _, phase in ipairs(phases) do total = total + phase[key] end
   return total
end

local function near(expected, found)
   assert.is_true(math.abs(found - expected) <= 1e-9 * math.abs(expected), ("%.12g expected, got %.12g"):format(expected, found))
end

describe("sides that took turns", function()
   it("are each their requests together: counts, rates over the whole time, percentiles of all values", function()
      local result, seen = run()
      local summary = result.summary
      assert.equal(2, #summary.sides)
      for i, name in ipairs { "a", "b" } do
         local side, rounds, values = summary.sides[i], phases_of(summary, name), seen[name]
         assert.same({ name, 3, { name .. ".1", name .. ".2", name .. ".3" } }, { side.name, side.rounds, { unpack(side.phases) } })
         for _, key in ipairs { "issued", "completed", "failed", "tokens_out" } do assert.equal(sum(rounds, key), side[key], key) end
         near(sum(rounds, "duration_s"), side.duration_s)
         near(sum(rounds, "completed") / sum(rounds, "duration_s"), side.qps)
         table.sort(values)
         assert.equal(#values, side.latency_ms.count)
         assert.is_true(side.latency_ms.exact)
         for q, key in pairs { [0.5] = "p50", [0.9] = "p90", [0.99] = "p99" } do
            near(values[math.ceil(q * #values - 1e-9)], side.latency_ms[key])
         end
         assert.equal(sum(rounds, "completed"), side.goodput.good)
      end
      local b = summary.sides[2]
      assert.same({ 6, 6, null }, { b.failed, b.errors.http_500, b.rate_delivered_per_s })
      assert.equal(6 / 60, b.error_rate)
   end)

   it("tell how far their rounds lie apart", function()
      local summary = run().summary
      for i, name in ipairs { "a", "b" } do
         local least, greatest = math.huge, 0
         for _, phase in ipairs(phases_of(summary, name)) do
            least, greatest = math.min(least, phase.ttft_ms.p50), math.max(greatest, phase.ttft_ms.p50)
         end
         assert.same({ min = least, max = greatest }, summary.sides[i].spread["ttft.p50"])
         assert.is_nil(summary.sides[i].spread["itl.p50"])
      end
   end)

   it("are compared with the first, as perigee compare does it", function()
      local summary = run().summary
      assert.equal(null, summary.sides[1].against)
      local against, verdicts = summary.sides[2].against, {}
      assert.same({ "a", 3 }, { against.side, against.rounds })
      for _, row in ipairs(against.metrics) do verdicts[row.metric] = row.verdict end
      assert.same({ "rounds", "ratio" }, { against.metrics[1].method, against.metrics[1].change_is })
      assert.same({ "worse", "worse" }, { verdicts["latency.p50"], verdicts["error_rate"] })
      local counted = 0
      for _, n in pairs(against.counts) do counted = counted + n end
      assert.equal(#against.metrics, counted)
      support.contains("b against a, 3 rounds: ", sides.verdicts(summary.sides)[1])
      support.contains("latency.p50 +10%", sides.verdicts(summary.sides)[1])
      support.contains("error_rate +10 pt", sides.verdicts(summary.sides)[1])
   end)

   it("stand together in the text, their rounds in a line each", function()
      local summary = run().summary
      local text = report_table.render(summary)
      local at = 0
      for _, part in ipairs { "warm (warmup): 20 requests", "sides, percentiles of all requests of each", "  a  ", "    lowest of 3 rounds",
         "  b  ", "b against a, 3 rounds: ", "a: 60 requests in 3 rounds", "b: 60 requests in 3 rounds", "failed 6  (http_500 6)", "rounds",
         "  a.1  ", "  b.1  ", "  b.2  ", "  a.2  ", "  a.3  ", "  b.3  ", "FAIL  latency.max < 1ms", "in a.1" } do
         local found = text:find(part, at + 1, true)
         assert(found, ("%q is not there, or not in its place:\n%s"):format(part, text))
         at = found
      end
      assert.is_nil(text:find("a.1 (performance)", 1, true))
      for _, row in ipairs { "a", "a%.1" } do -- 60 and 20 values are enough for p50, not for p99
         assert.truthy(text:match("\n  " .. row .. "  [^\n]+ [%d.]+ ms +~[%d.]+ ms"), row)
      end
      for _, phase in ipairs(summary.phases) do
         for _, check in ipairs(phase.checks) do check.passed = true end
      end
      text = report_table.render(summary)
      support.contains("  pass  6 check results of the rounds", text)
   end)

   it("stand in the page", function()
      local result = run()
      local page = html.render(result.summary, {}, result.report)
      support.contains("<h2>Sides</h2>", page)
      support.contains('<th scope="row">  lowest of 3 rounds</th>', page)
      support.contains("<p>b against a, 3 rounds: ", page)
   end)

   it("are none where no phases take turns", function()
      local result = run { phases = { { "steady" } } }
      assert.equal(null, result.summary.sides)
      assert.is_nil(html.render(result.summary, {}, result.report):find("<h2>Sides</h2>", 1, true))
      assert.is_nil(report_table.render(result.summary):find("sides,", 1, true))
   end)

   it("can be asked for by a script, and any other phases together", function()
      local issued
      run { on = { phase_end = function(p)
         local session = p.session
         if p.name ~= "b.3" then return end
         issued = { session:together({ 1, 2 }).issued, session:together({ 2, 99 }).issued, session:together {} == nil,
            session:together { 0, 99 } == nil }
      end } }
      assert.same({ 40, 20, true, true }, issued)
   end)

   it("are those that began, when the run ends early", function()
      local result = run { on = { phase_end = function(p)
         if p.name == "b.1" then p.session:stop() end
      end } }
      local a, b = result.summary.sides[1], result.summary.sides[2]
      assert.same({ 1, 1, 20, 20 }, { a.rounds, b.rounds, a.issued, b.issued })
      assert.equal(1, b.against.rounds)
      result = run { on = { phase_end = function(p)
         if p.name == "a.1" then p.session:stop() end
      end } }
      assert.same({ 1, "a", null }, { #result.summary.sides, result.summary.sides[1].name, result.summary.sides[1].against })
      local text = report_table.render(result.summary)
      support.contains("a: 20 requests in 1 round, ", text)
      assert.is_nil(text:find("lowest", 1, true))
   end)
end)
