local agenda = require "perigee.agenda"
local explain = require "perigee.cli.explain"
local perigee = require "perigee"
local support = require "tests.unit.support"

local load, order = perigee.load, perigee.order

after_each(support.clean)

local function scenario(phase, more)
   local definition = {
      name = "agenda", seed = 11, target = perigee.target.openai_chat { url = "http://x", model = "m" },
      dataset = { "a", "b", "c", "d", "e" }, phases = { { name = "only", load = load.poisson(20), duration = "10s" } },
   }
   for name, value in pairs(phase or {}) do definition.phases[1][name] = value end
   for name, value in pairs(more or {}) do definition[name] = value end
   return perigee.scenario(definition)
end

local function resolved(phase, more)
   return assert(scenario(phase, more):resolve())
end

local function sum(phase, more)
   return agenda.checksum(resolved(phase, more))
end

-- Planned times (ns) and samples (from 0) of the first phase.
local function planned(plan, most)
   local times, samples = {}, {}
   for i, at_ns, index in agenda.requests(plan.phases[1], plan.seed) do
      if i == most then break end
      times[#times + 1], samples[#samples + 1] = at_ns or false, index
   end
   return times, samples
end

local LOADS = {
   constant = load.constant(20), poisson = load.poisson(20), gamma = load.gamma(20, 0.5),
   ramp = load.ramp(5, 40), steps = load.steps { { 10, "2s" }, { 40, "1s" } },
   sine = load.sine { mean = 20, amplitude = 15, period = "3s" },
   even = load.ramp(40, 5, { arrivals = "even" }), burst = load.burst(30),
   gaps = load.gaps(function(i, _, rng) return i < 100 and rng:uniform() / 10 or nil end),
}

local ORDERS = {
   sequential = order.sequential(), shuffle = order.shuffle(), random = order.random(), zipf = order.zipf(1.1),
   weighted = order.weighted { 1, 2, 3, 4, 5 }, single = order.single(4), list = { 3, 1, 2 },
   custom = function(i, n, rng) return i <= 60 and rng:int(1, n) or nil end,
}

describe("a plan", function()
   it("is what is played, whatever the load, the order and the rules that end it", function()
      local rules = { {}, { requests = 17 }, { duration = "1s", min_requests = 40 }, { requests = 5, min_duration = "2s" },
         { requests = 10000, max_duration = "1500ms" } }
      for name, l in pairs(LOADS) do
         for kind, o in pairs(ORDERS) do
            for k, rule in ipairs(rules) do
               local phase = { load = l, order = o, max_duration = "60s" }
               for field, value in pairs(rule) do phase[field] = value end
               local s = scenario(phase)
               local times, samples = planned(assert(s:resolve()))
               local result = perigee.test.run(s, { endpoint = { ttft = "1ms", tokens = 1 } })
               local what = ("%s, %s, rule %d"):format(name, kind, k)
               assert.equal(0, result.exit_code, what)
               assert.equal(#times, #result.requests, what)
               for i, r in ipairs(result.requests) do
                  assert(math.abs(times[i] / 1e9 - r.scheduled) < 1e-9 and samples[i] == r.index - 1, what)
               end
            end
         end
      end
   end)

   it("of a closed load has the samples, and no times", function()
      for _, l in ipairs { load.concurrency(3), load.strategy(function(p) while p:issue() do p:wait() end end) } do
         local times, samples = planned(resolved { load = l, order = order.shuffle(), requests = 12 })
         assert.equal(12, #samples)
         for i = 1, 12 do assert.is_false(times[i]) end
         local result = perigee.test.run(scenario { load = l, order = order.shuffle(), requests = 12 })
         for i, r in ipairs(result.requests) do assert.equal(samples[i], r.index - 1) end
      end
   end)

   it("of a trace without a dataset has a sample for each row", function()
      local path = support.file("t.csv", "Timestamp,Model,Request tokens,Response tokens\n5,m,3,1\n6,m,3,1\n8,m,9,1\n")
      local times, samples = planned(resolved({ load = load.trace(path) }, { dataset = false or nil }))
      assert.same({ 0, 1e9, 3e9 }, times)
      assert.same({ 0, 1, 2 }, samples)
   end)
end)

describe("schedule, order and what else is drawn", function()
   it("do not depend on one another", function()
      for seed = 1, 5 do
         local more = { seed = seed }
         local base_times, base_samples = planned(resolved({ order = order.shuffle() }, more), 100)
         for kind, o in pairs(ORDERS) do
            if kind ~= "custom" then -- it ends the phase
               assert.same(base_times, (planned(resolved({ order = o }, more), 100)), kind)
            end
         end
         for name, l in pairs(LOADS) do
            local _, samples = planned(resolved({ load = l, order = order.shuffle(), duration = "60s" }, more), 30)
            for i = 1, 30 do assert.equal(base_samples[i], samples[i], name) end
         end
         -- Neither on the dataset's size, a request function that draws, nor handlers and tags.
         local ds = {}
         for i = 1, 50 do ds[i] = "sample " .. i end
         assert.same(base_times, (planned(resolved({ dataset = ds }, more), 100)))
      end
   end)

   it("are played alike when the endpoint, the handlers and the request function are others", function()
      local rng = perigee.rng(5)
      local function times(phase, endpoint)
         local list = {}
         for i, r in ipairs(perigee.test.run(scenario(phase), { endpoint = endpoint }).requests) do list[i] = { r.scheduled, r.index } end
         return list
      end
      local base = times({}, { ttft = "1ms", tokens = 1 })
      assert.is_true(#base > 100)
      assert.same(base, times({}, { ttft = "exp:1s", tpot = "exp:5ms", tokens = "uniform:1,20", slots = 3 }))
      assert.same(base, times({ request = function(sample) return { tag = rng:uniform() < 0.5 and "x" or "y", body = sample } end }))
   end)

   it("differ with the seed and with the number of the phase", function()
      local seen = {}
      for seed = 1, 20 do
         local times, samples = planned(resolved({ order = order.random() }, { seed = seed }), 40)
         for _, text in ipairs { table.concat(times, " "), table.concat(samples, " ") } do
            assert.is_nil(seen[text])
            seen[text] = true
         end
      end
      local l = load.poisson(5)
      local two = resolved(nil, { phases = { { "a", load = l, duration = 5 }, { "b", load = l, duration = 5 } } })
      local _, first = agenda.requests(two.phases[1], 1)()
      local _, second = agenda.requests(two.phases[2], 1)()
      assert.not_equal(first, second)
   end)
end)

describe("the checksum of a plan", function()
   it("is the same for the same plan, also when it was played before", function()
      local s = scenario()
      local before = agenda.checksum(assert(s:resolve()))
      assert.matches("^%x+$", before)
      assert.equal(64, #before)
      local result = perigee.test.run(s)
      assert.equal(before, result.summary.plan_checksum)
      assert.equal(before, agenda.checksum(assert(s:resolve())))
      assert.equal(before, sum())
   end)

   it("is that of a run that was stopped early", function()
      local handlers = { complete = function(r, p) if r.id == 3 then p.session:stop() end end }
      local result = perigee.test.run(scenario { on = handlers })
      assert.equal(sum(), result.summary.plan_checksum)
      assert.is_true(#result.requests < 50)
   end)

   it("is another one for another seed, load, order, dataset or rule", function()
      local seen = { [sum()] = "the base" }
      local function another(what, phase, more)
         local c = sum(phase, more)
         assert(not seen[c], ("%s has the checksum of %s"):format(what, tostring(seen[c])))
         seen[c] = what
      end
      another("the seed", nil, { seed = 12 })
      another("the rate", { load = load.poisson(20.000001) })
      another("the limit", { load = load.poisson(20, { max_inflight = 5 }) })
      another("the kind of load", { load = load.constant(20) })
      another("a closed load", { load = load.concurrency(20) })
      another("another closed load", { load = load.concurrency(21) })
      for kind, o in pairs(ORDERS) do
         if kind ~= "sequential" then another(kind, { order = o }) end
      end
      another("a list", { order = { 3, 1 } })
      another("the dataset", { dataset = { "a", "b", "c", "d", "f" } })
      another("a longer dataset", { dataset = { "a", "b", "c", "d", "e", "f" } })
      another("the duration", { duration = "11s" })
      another("requests", { requests = 10 })
      local before, only = { "w", load = load.burst(1) }, { "only", load = load.poisson(20), duration = "10s" }
      another("a phase before it", nil, { phases = { before, only } })
   end)

   it("leaves out what is no part of a plan", function()
      for _, phase in ipairs {
         { name = "other" }, { kind = "warmup" }, { on = { complete = function() end } }, { deadline = "1s" },
         { target = perigee.target.openai_chat { url = "http://y", model = "n" } }, { checks = { "qps > 1" } },
         { order = order.sequential() }, -- the default
      } do assert.equal(sum(), sum(phase)) end
   end)

   it("knows functions by what they are, and does not call them", function()
      local calls = 0
      local function own(factor)
         local inner = function(x) return x * factor end
         return { load = load.gaps(function(i) return i < 9 and inner(i) or nil end),
            order = function(i, n) return i * factor % n + 1 end }
      end
      assert.equal(sum(own(2)), sum(own(2)))
      assert.not_equal(sum(own(2)), sum(own(3)))
      local function counting(step)
         return { order = function() calls = calls + step return 1 end, load = load.gaps(function() calls = calls + 1 return 1 end) }
      end
      local one = sum(counting(1))
      assert.equal(0, calls)
      calls = 7 -- what it captured
      assert.not_equal(one, sum(counting(1)))
      calls = 0
      assert.equal(one, sum(counting(1)))
   end)

   it("knows a trace by what is in it", function()
      local text = "Timestamp,Model,Request tokens,Response tokens\n5,m,3,1\n6,m,3,1\n"
      local one, same = support.file("a.csv", text), support.file("b.csv", text)
      local other = support.file("a.csv", text .. "9,m,3,1\n")
      assert.equal(sum { load = load.trace(one) }, sum { load = load.trace(same) })
      assert.not_equal(sum { load = load.trace(one) }, sum { load = load.trace(other) })
      assert.not_equal(sum { load = load.trace(one) }, sum { load = load.trace(one, { speed = 2 }) })
   end)

   it("knows recorded conversations by their rows", function()
      local row = '{"conversation_id":"%s","turn":1,"role":"user","content":"x"}\n'
      local one, same = support.file("a.jsonl", row:format "a"), support.file("b.jsonl", row:format "a")
      local other = support.file("c.jsonl", row:format "c")
      local function of(rows, opts)
         return sum(nil, { phases = { { "only", load = load.conversations(rows, opts or {}) } } })
      end
      assert.equal(of(one), of(same))
      assert.not_equal(of(one), of(other))
      assert.not_equal(of(one), of(one, { repeats = 2 }))
   end)

   it("knows the session of users by what it is, and does not call it", function()
      local calls = 0
      local function of(text, users)
         local function session(u) calls = 1; u:request { prompt = text } end
         return sum { load = users or load.users(2), session = session, duration = "1s" }
      end
      assert.equal(of "a", of "a")
      assert.not_equal(of "a", of "b")
      assert.not_equal(of "a", of("a", load.users(3)))
      assert.equal(0, calls)
   end)
end)

describe("perigee explain --plan", function()
   local function lines(plan, values)
      local list = {}
      local cut, message = explain.write_plan(plan, values, function(line) list[#list + 1] = perigee.json.decode(line) end)
      return list, cut, message
   end

   it("tells each phase to its limit", function()
      local plan = resolved(nil, { phases = {
         { "warm", load = load.concurrency(2), requests = 2 }, { "even", load = load.constant(4), duration = "1s" } } })
      local list, cut = lines(plan, { limit = 3 })
      assert.same({ "even" }, cut)
      assert.equal(5, #list)
      assert.same({ phase = "warm", request = 1, index = 1, scheduled_ns = perigee.json.null }, list[2])
      assert.same({ phase = "even", request = 2, index = 2, scheduled_ns = 5e8 }, list[5])
      list, cut = lines(plan, { limit = 4, phase = "even" })
      assert.same({}, cut)
      assert.equal(4, #list)
   end)

   it("has nothing to tell of loads that decide themselves what they send", function()
      local rows = { { conversation_id = "a", turn = 1, role = "user", content = "x" } }
      local plan = resolved(nil, { phases = {
         { "chats", load = load.users(2), session = print, duration = "1s" }, { "recorded", load = load.conversations(rows) },
      } })
      local list, cut = lines(plan, { limit = 3 })
      assert.same({ {}, {} }, { list, cut })
      assert.truthy(explain.render(plan, "x.lua"):find("plan " .. agenda.checksum(plan), 1, true))
   end)

   it("refuses a phase that is not there", function()
      local _, cut, message = lines(resolved(), { limit = 1, phase = "onyl" })
      assert.is_nil(cut)
      assert.equal("there is no phase 'onyl'; the phases are 'only'", message)
   end)
end)
