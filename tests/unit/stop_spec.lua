-- Stop rules against one another on simulated time: who ends a phase, how much was issued, and that nothing is lost.
local perigee = require "perigee"
local support = require "tests.unit.support"

local load = perigee.load
local ANSWER = 0.05 -- seconds; an arrival comes every 0.1 s

-- Each rule ends the phase about `t` seconds from its start, t a multiple of 0.1: add(plan, n), n = 10 t, puts it into
-- a plan { phase =, on_complete = {}, endpoint = {} } and returns how many requests are issued until then.
local RULES = {
   requests = function(plan, n)
      plan.phase.requests = n
      return n
   end,
   duration = function(plan, n)
      plan.phase.duration = n / 10
      return n
   end,
   max_duration = function(plan, n)
      plan.phase.max_duration = n / 10
      return n
   end,
   schedule = function(plan, n)
      plan.phase.load = load.gaps(function(i) return i < n and 0.1 or nil end)
      return n
   end,
   content = function(plan, n)
      plan.phase.order = function(i) return i <= n and 1 or nil end
      return n
   end,
   stall = function(plan, n) -- nothing is answered from request n - 3 on; the latest answer was at (n - 5) / 10 + 0.05
      plan.endpoint[#plan.endpoint + 1] = function(request)
         if request.phase == "only" and request.number >= n - 3 then return { ttft = 3600, tokens = 1 } end
      end
      plan.phase.stall = 0.4
      return n
   end,
   error_rate = function(plan, n)
      plan.endpoint[#plan.endpoint + 1] = function(request)
         if request.phase == "only" and request.number >= n then return { status = 500 } end
      end
      plan.phase.max_error_rate = { 0, requests = 1 }
      return n
   end,
   stop_when = function(plan, n)
      plan.phase.stop_when = function(p) return p.completed + p.failed >= n end
      return n
   end,
   script = function(plan, n)
      plan.on_complete[#plan.on_complete + 1] = function(r, p) if r.id == n - 1 then p:stop() end end
      return n
   end,
   session = function(plan, n)
      plan.on_complete[#plan.on_complete + 1] = function(r, p) if r.id == n - 1 then p.session:stop() end end
      return n
   end,
}

local REASON = { session = "script" }
local FAILS = { stall = true, error_rate = true }

-- The rules that are tried end it long before its max_duration.
local function new_plan(drain)
   return { phase = { "only", load = load.constant(10), drain = drain, max_duration = 60 }, on_complete = {}, endpoint = {} }
end

local function play(plan)
   plan.phase.on = { complete = function(r, p)
      if p.name ~= "only" then return end
      for _, fn in ipairs(plan.on_complete) do fn(r, p) end
   end }
   local scenario = perigee.scenario {
      target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" },
      phases = { plan.phase, { "next", load = load.constant(10), requests = 3 } },
   }
   return perigee.test.run(scenario, { endpoint = function(request)
      for _, fn in ipairs(plan.endpoint) do
         local answer = fn(request)
         if answer then return answer end
      end
      return { ttft = ANSWER, tokens = 1 }
   end })
end

-- Each request is issued once and ends once, and the sums are those of the reports.
local function assert_nothing_lost(result)
   local issued, ended = 0, 0
   for _, e in ipairs(result.events) do
      if e.type == "sample.issued" then issued = issued + 1 end
      if e.type == "sample.complete" then ended = ended + 1 end
   end
   local sum = 0
   for _, phase in pairs(result.phases) do
      assert.equal(phase.issued, phase.completed + phase.failed + phase.abandoned + phase.cancelled)
      sum = sum + phase.issued
   end
   assert.same({ sum, sum, sum }, { issued, ended, #result.requests })
end

local function assert_ended(result, rule, issued)
   local only = result.phases.only
   assert.equal(REASON[rule] or rule, only.end_reason)
   assert.equal(issued, only.issued)
   assert.equal(rule ~= "session" and 3 or nil, result.phases.next and result.phases.next.completed)
   assert_nothing_lost(result)
   -- A session that was stopped is incomplete: a phase did not run.
   local fails = FAILS[rule] or rule == "session"
   assert.equal(fails and 1 or 0, result.exit_code)
end

describe("a stop rule", function()
   for first, add_first in pairs(RULES) do
      for _, drain in ipairs { true, false, "30s" } do
         it(("%s alone, drain = %s"):format(first, tostring(drain)), function()
            local plan = new_plan(drain)
            local issued = add_first(plan, 12)
            assert_ended(play(plan), first, issued)
         end)
         for second, add_second in pairs(RULES) do
            if first ~= second then
               it(("%s before %s, drain = %s"):format(first, second, tostring(drain)), function()
                  local plan = new_plan(drain)
                  add_second(plan, 25)
                  local issued = add_first(plan, 12)
                  assert_ended(play(plan), first, issued)
               end)
            end
         end
      end
   end

   it("that holds in the same turn as another one goes by their order", function()
      local function reason(fields)
         local plan = new_plan(true)
         for k, v in pairs(fields) do plan.phase[k] = v end
         local only = play(plan).phases.only
         return only.end_reason, only.issued
      end
      assert.same({ "max_duration", 10 }, { reason { duration = 1, max_duration = 1 } })
      assert.same({ "requests", 10 }, { reason { requests = 10, duration = 1 } })
      assert.same({ "duration", 10 }, { reason { requests = 11, duration = 1 } })
      assert.same({ "duration", 10 }, { reason { duration = 1, tick = 1, stop_when = function(p) return p.elapsed >= 1 end } })
   end)
end)

describe("the minimums", function()
   local function run(fields, endpoint)
      local plan = new_plan(true)
      for k, v in pairs(fields) do plan.phase[k] = v end
      plan.endpoint[1] = endpoint
      return play(plan).phases.only
   end

   for _, row in ipairs {
      -- fields, reason, issued
      { { requests = 5, min_duration = 2 }, "requests", 20 },
      { { duration = 0.5, min_requests = 20 }, "duration", 20 },
      { { stop_when = function() return true end, min_requests = 20 }, "stop_when", 20 },
      { { stop_when = function() return true end, min_duration = 2 }, "stop_when", 20 },
      { { stop_when = function() return true end }, "stop_when", 1 },
      { { min_requests = 20, max_duration = 0.5 }, "max_duration", 5 },
      { { min_requests = 20, duration = 9, on_stop = true }, "script", 5 },
   } do
      it("hold back what they should: " .. row[2], function()
         local fields = row[1]
         if fields.on_stop then
            fields.on_stop, fields.load = nil, load.strategy(function(p)
               for _ = 1, 5 do p:issue(); p:sleep(0.1) end
               p:stop()
            end)
         end
         local only = run(fields)
         assert.same({ row[2], row[3] }, { only.end_reason, only.issued })
      end)
   end

   it("do not hold back a stall or too many errors", function()
      assert.equal("stall", run({ min_requests = 1000, stall = 1 }, function() return { ttft = 3600 } end).end_reason)
      local only = run({ min_requests = 1000, max_error_rate = { "50%", requests = 10 } }, function(request)
         return { status = request.number % 4 == 0 and 200 or 500 }
      end)
      assert.same({ "error_rate", 10 }, { only.end_reason, only.completed + only.failed })
   end)
end)

describe("max_error_rate", function()
   local function run(rate, bad)
      local plan = new_plan(true)
      plan.phase.max_error_rate, plan.phase.requests = rate, 300
      plan.endpoint[1] = function(request)
         return { status = request.phase == "only" and bad(request.number) and 500 or 200, ttft = 0.01, tokens = 1 }
      end
      local result = play(plan)
      return result.phases.only, result
   end
   local function every(n) return function(i) return i % n == 0 end end

   it("is looked at after 100 requests, or as many as it says", function()
      local all = run("5%", function() return true end)
      assert.same({ "error_rate", 100 }, { all.end_reason, all.failed })
      local few = run({ 0.05, requests = 7 }, function() return true end)
      assert.same({ "error_rate", 7 }, { few.end_reason, few.failed })
   end)

   it("is passed, not reached", function()
      assert.equal("requests", run("10%", every(10)).end_reason)
      assert.equal("error_rate", run("9.9%", every(10)).end_reason)
   end)

   it("fails the run, and says why", function()
      local _, result = run("5%", every(4))
      assert.equal("failed", result.summary.verdict)
      support.contains("phase 'only': more requests failed than max_error_rate allows", table.concat(result.summary.failures, "\n"))
   end)

   it("does not count what the script cancels", function()
      local plan = new_plan(true)
      plan.phase.max_error_rate, plan.phase.requests = { 0, requests = 1 }, 20
      local scenario = perigee.scenario {
         target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" }, load = load.constant(10), requests = 20,
         max_error_rate = { 0, requests = 1 }, on = { first = function(r) r:cancel() end }, kind = nil,
      }
      local only = perigee.test.run(scenario, { endpoint = { tokens = 4 } }).phases.performance
      assert.same({ "requests", 20 }, { only.end_reason, only.cancelled })
   end)

   it("is a share", function()
      for _, bad in ipairs { "5", 5, -0.1, "101%", "x", { "5%", request = 5 }, { "5%", requests = 0 }, {}, true } do
         support.contains('max_error_rate: a share such as "5%"', support.refusal(function()
            perigee.scenario { target = perigee.target.http { url = "x" }, requests = 1, max_error_rate = bad }
         end))
      end
   end)
end)

describe("stop_when", function()
   it("is asked after requests have ended and at each tick, and not else", function()
      local function asked_at(first_answer)
         local times, plan = {}, new_plan(true)
         plan.phase.load, plan.phase.duration, plan.phase.tick = load.constant(1), 10, 3
         plan.phase.stop_when = function(p) times[#times + 1] = p.elapsed end
         plan.endpoint[1] = function(request) return { ttft = request.number == 1 and first_answer or 20, tokens = 1 } end
         assert.equal("duration", play(plan).phases.only.end_reason)
         return times
      end
      assert.same({ 3, 6, 9 }, asked_at(20))
      assert.same({ 3, 4.5, 6, 9 }, asked_at(4.5))
   end)

   it("ends the run when it raises, or gives something else", function()
      for give, expected in pairs {
         [function() error "no idea" end] = "no idea", [function() return 1 end] = "true, false or nil expected",
      } do
         local plan = new_plan(true)
         plan.phase.stop_when, plan.phase.requests = give, 5
         local result = play(plan)
         assert.equal(2, result.exit_code)
         support.contains("phase 'only', stop_when: ", result.error)
         support.contains(expected, result.error)
         assert_nothing_lost(result)
      end
   end)
end)

describe("a closed load after a warmup that does not drain", function()
   it("never has more in flight than it should", function()
      for seed = 1, 100 do
         local rng, most = perigee.rng(seed), { 0, 0 }
         local widths = { rng:int(1, 24), rng:int(1, 24) }
         local function phase(i, kind)
            return { kind .. i, kind = kind, load = load.concurrency(widths[i]), requests = rng:int(20, 80), drain = false, on = {
               issue = function(_, p) most[i] = math.max(most[i], p.total_inflight) end,
            } }
         end
         local result = perigee.test.run(perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" }, seed = seed,
            phases = { phase(1, "warmup"), phase(2, "performance") },
         }, { endpoint = { ttft = "exp:50ms", tpot = "uniform:1ms,4ms", tokens = "uniform:1,32", error_rate = 0.05 } })
         assert.is_true(most[1] <= widths[1] and most[2] <= math.max(widths[2], 1), ("seed %d: %d of %d, %d of %d"):format(
            seed, most[1], widths[1], most[2], widths[2]))
         assert_nothing_lost(result)
      end
   end)
end)
