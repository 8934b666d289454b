-- Tests of scenarios whose requests depend on answers: on simulated time what comes when is exact.
local perigee = require "perigee"

local function play(name, endpoint)
   return perigee.test.run(dofile("examples/" .. name .. ".lua"), { clock = "virtual", endpoint = endpoint })
end

local function value(result, metric)
   return result.phases.performance.metrics[metric].value
end

describe("hedge", function()
   it("asks again after 50 ms, and cancels the slower one", function()
      local result = play("hedge", function(request) return { ttft = request.number == 1 and 2 or 0.02, tokens = 1 } end)
      local slow = result.requests[1]
      assert.equal("cancelled", slow.error)
      assert.is_true(math.abs(slow.finished - slow.issued - 0.07) < 1e-6) -- 50 ms, and 20 of the second one
      assert.equal(1, value(result, "hedged"))
      assert.equal(1, result.phases.performance.cancelled)
   end)

   it("asks once when the answer begins in time", function()
      assert.equal(0, value(play("hedge", { ttft = "40ms" }), "hedged"))
   end)

   it("keeps the first one when it is the faster of the two", function()
      local result = play("hedge", function(request) return { ttft = request.number == 1 and 0.06 or 0.02, tpot = 0, tokens = 1 } end)
      assert.is_true(result.requests[1].ok)
      assert.equal(1, result.phases.performance.cancelled)
   end)
end)

describe("retry", function()
   it("waits 0.1, 0.2 and 0.4 s, then gives up", function()
      local result = play("retry", function(request) return { status = request.index == 1 and 503 or 200, ttft = 0.01 } end)
      local times, last = {}, nil
      for _, r in ipairs(result.requests) do
         if r.index == 1 and r.attempt == #times + 1 then
            times[#times + 1], last = last and math.floor((r.issued - last) * 1000 + 0.5) or 0, r.finished
         end
      end
      assert.same({ 0, 100, 200, 400 }, times)
      assert.is_true(value(result, "given_up") > 0)
   end)
end)

describe("branch", function()
   it("follows the answer", function()
      local result = play("branch", function(request) return { text = request.number == 1 and "short" or ("word "):rep(12) } end)
      local first, tags = result.requests[1], {}
      for _, r in ipairs(result.requests) do
         if r.turn == 2 then tags[r.conversation] = r.tag end
      end
      assert.equal("more", tags["question-" .. first.id])
      assert.equal("summary", tags["question-" .. result.requests[2].id])
   end)
end)

describe("users", function()
   it("hold whole conversations while the endpoint answers", function()
      local result = play("users", { ttft = "50ms", text = "The moon pulls." })
      assert.equal(0, result.exit_code)
      assert.is_true(value(result, "conversations_completed") > 20)
   end)

   it("fail the check when a turn takes too long", function()
      local result = play("users", function(request) return { ttft = request.number == 1 and 60 or 0.05, text = "Yes." } end)
      -- Of 3 s the deadline of 10 s is not over when the phase ends: the turn is drained, not failed.
      assert.equal(0, value(result, "conversations_failed"))
      assert.equal(1, result.phases.performance.errors.timeout)
   end)
end)

describe("conversations", function()
   it("are all played, with the delays of their tools", function()
      local result = play("conversations", { ttft = "100ms", tokens = 1 })
      assert.equal(3, value(result, "conversations_completed"))
      local third = {}
      for _, r in ipairs(result.requests) do third[r.conversation] = r.turn == 3 and r.issued or third[r.conversation] end
      assert.same({ tide = 0.4, moon = 0.1, ship = 0.5 }, third)
   end)
end)
