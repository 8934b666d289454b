local assemble = require "perigee.assemble"
local perigee = require "perigee"

-- The engine's arguments for the first phase of a scenario over three prompts.
local function arguments(changes)
   local definition = {
      name = "t", target = perigee.target.http { url = "localhost:1" }, dataset = perigee.dataset.table { "a", "b", "c" },
   }
   for k, v in pairs(changes or {}) do definition[k] = v end
   local plan = assert(perigee.scenario(definition):resolve())
   local p = plan.phases[1]
   return assemble.phase(p, plan.seed, p.target:build {})
end

describe("perigee.assemble", function()
   it("builds the requests of the order, and the end of it", function()
      local build = arguments({ order = function(i) return i < 3 and 4 - i or nil end }).build
      assert.same({ "c", 3 }, { build(1, nil) })
      assert.same({ "b", 2 }, { build(2, nil) })
      assert.is_false(build(3, nil))
   end)

   it("sends the sample that was asked for, and leaves the order where it was", function()
      local build = arguments().build
      assert.same({ "c", 3 }, { build(1, 3) })
      assert.same({ "a", 1 }, { build(2, nil) })
      assert.equal(3, arguments().samples) -- what p:issue() takes at most
   end)

   it("says whether what it builds is kept: a body that never changes, and no texts beside it", function()
      assert.is_true(arguments().kept)
      assert.falsy(arguments({ request = function() return "x" end }).kept)
      assert.falsy(arguments({ record_text = true }).kept)
      assert.same({ "a", 1 }, { arguments().build(1, nil) })
   end)

   it("tells skips from the end", function()
      local build = arguments({ request = function(_, index) return index ~= 2 and "x" or nil end }).build
      assert.equal("x", (build(1)))
      assert.is_nil(build(2))
      assert.equal("x", (build(3)))
   end)

   it("passes on what a request function says beside the body", function()
      local build = arguments({ request = function()
         return { path = "/p", headers = { A = "1" }, body = "b", tag = "t", method = "PUT" }
      end }).build
      assert.same({ "b", 1, "/p", { "A: 1" }, "t", "PUT" }, { build(1) })
   end)

   it("ticks once a second unless told otherwise", function()
      assert.equal(1, arguments().tick)
      assert.equal(0.25, arguments({ tick = "250ms" }).tick)
   end)

   it("gives a phase without a dataset one empty sample", function()
      local plan = perigee.scenario({
         name = "t", target = perigee.target.http { url = "x" }, requests = 2, request = function(s, i) return next(s) or "n" .. i end,
      }):resolve()
      local a = assemble.phase(plan.phases[1], 0, plan.phases[1].target:build {})
      assert.same({ "n1", 1 }, { a.build(1) })
      assert.same({ "n1", 1 }, { a.build(2) })
   end)

   it("adds the prompt when texts are recorded", function()
      local function prompt(changes)
         changes.record_text = true
         return (select(7, arguments(changes).build(1)))
      end
      assert.equal("a", prompt {})
      assert.equal("x", prompt { request = function() return "x" end })
      assert.equal('{"n":1}', prompt { request = function() return { body = { n = 1 } } end })
      assert.equal("a", prompt { request = function() return { tag = "t" } end })
      assert.equal("b", prompt { dataset = { { body = "b" } } })
      assert.is_nil((select(7, arguments().build(1))))
   end)

   it("gives the engine the sample of an index", function()
      assert.equal("b", arguments().sample(2).prompt)
   end)

   it("carries the rules of the phase and of its load", function()
      local a = arguments {
         load = perigee.load.constant(5, { max_inflight = 9, overload = "drop" }), duration = "2s", min_requests = 3, drain = false,
         stall = "5s", deadline = 1,
      }
      assert.same({ 9, "drop", 2, 3, false, 5, 1 },
         { a.max_inflight, a.overload, a.duration, a.min_requests, a.drain, a.stall, a.deadline })
      assert.equal("function", type(a.schedule))
      assert.is_nil(a.strategy)
      assert.equal("function", type(arguments().strategy))
   end)

   it("keeps texts only where a script can see them", function()
      assert.is_false(arguments().keep_text)
      assert.is_false(arguments({ on = { issue = print } }).keep_text)
      assert.is_true(arguments({ on = { complete = print } }).keep_text)
      assert.is_true(arguments({ load = perigee.load.strategy(print) }).keep_body)
      assert.is_true(arguments({ load = perigee.load.strategy(print) }).results)
      assert.is_false(arguments().results)
   end)

   it("draws schedule and order from independent streams", function()
      local one = arguments { order = perigee.order.random(), load = perigee.load.poisson(5) }
      local two = arguments { order = perigee.order.random(), load = perigee.load.poisson(5) }
      one.schedule(0, 0)
      local a, b = {}, {}
      for i = 1, 20 do a[i], b[i] = select(2, one.build(i)), select(2, two.build(i)) end
      assert.same(a, b)
   end)
end)
