local perigee = require "perigee"
local support = require "tests.unit.support"

local load, order = perigee.load, perigee.order
local target = perigee.target.openai_chat { url = "localhost:1" }
local prompts = perigee.dataset.table { "a", "b", "c" }

local function make(changes)
   local definition = { name = "test", target = target, dataset = prompts }
   for k, v in pairs(changes or {}) do definition[k] = v end
   return perigee.scenario(definition)
end

local function phases(changes, given)
   return assert(make(changes):resolve(given)).phases
end

describe("perigee.scenario", function()
   it("without phases is one performance phase with the defaults", function()
      local list = phases()
      assert.equal(1, #list)
      local p = list[1]
      assert.same({ "performance", "performance", 1, 3, 300, 600 },
         { p.name, p.kind, p.number, p.requests, p.drain, p.deadline })
      assert.same({ "concurrency", "sequential" }, { p.load.kind, p.order.kind })
      assert.equal(target, p.target)
      assert.equal(prompts, p.dataset)
   end)

   it("lets phases inherit what they do not set", function()
      local other = perigee.target.http { url = "localhost:2" }
      local function handler() end
      local list = phases {
         load = load.concurrency(4), on = { complete = handler }, checks = { "qps > 1" }, drain = false, duration = "1s",
         phases = {
            { "warm", kind = "warmup", requests = 5 },
            { "a", load = load.poisson(5), order = { 2, 1 }, target = other, drain = "2s", checks = {} },
            { name = "b", on = {}, drain = true },
         },
      }
      assert.same({ "warm", "a", "b" }, { list[1].name, list[2].name, list[3].name })
      assert.same({ "concurrency", "poisson", "concurrency" }, { list[1].load.kind, list[2].load.kind, list[3].load.kind })
      assert.same({ 0, 0, 1 }, { #list[1].checks, #list[2].checks, #list[3].checks })
      assert.same({ false, 2, 300 }, { list[1].drain, list[2].drain, list[3].drain })
      assert.same({ handler, handler }, { list[1].on.complete, list[2].on.complete })
      assert.is_nil(list[3].on.complete)
      assert.equal(other, list[2].target)
      assert.equal("list", list[2].order.kind)
      assert.same({ 5, 1 }, { list[1].requests, list[1].duration })
   end)

   it("takes a phase's false as set", function()
      local list = phases { drain = "2s", phases = { { "a", drain = false }, { "b" } } }
      assert.same({ false, 2 }, { list[1].drain, list[2].drain })
   end)

   it("applies its checks to performance phases, a phase's own to any kind", function()
      local list = phases {
         checks = { "qps > 1" },
         phases = { { "w", kind = "warmup" }, { "x", kind = "warmup", checks = { "qps > 2" } }, { "p" } },
      }
      assert.same({ 0, 1, 1 }, { #list[1].checks, #list[2].checks, #list[3].checks })
   end)

   it("ends a phase without a rule after the dataset or a list once; a load that ends itself has no rule", function()
      local list = phases { phases = {
         { "a" }, { "b", load = load.burst(7) }, { "c", order = { 1, 2, 3, 1, 2 } }, { "d", duration = "1m" }, { "e", max_duration = 5 },
      } }
      assert.same({ 3, 5 }, { list[1].requests, list[3].requests })
      assert.is_nil(list[2].requests)
      assert.is_nil(list[4].requests)
      assert.same({ 60, 5 }, { list[4].duration, list[5].max_duration })
      assert.is_nil(list[5].requests)
   end)

   it("needs no dataset for plain HTTP or with a request function", function()
      local http = perigee.target.http { url = "x" }
      assert.equal(2, perigee.scenario({ name = "t", target = http, requests = 2 }):resolve().phases[1].requests)
      local s = perigee.scenario { name = "t", target = target, requests = 2, request = function() return "x" end }
      assert.is_nil(s:resolve().phases[1].dataset)
      s = perigee.scenario { name = "t", target = http }
      support.contains("nothing ends this phase", support.refusal(s.resolve, s))
   end)

   it("fills options in wherever they stand", function()
      local s = make {
         options = { rate = { 5, "rate" }, n = { 10, "requests", "count" }, url = { "h:1", "url" }, key = { nil, "key", "string" } },
         load = load.poisson(perigee.opt "rate"), requests = perigee.opt "n",
         target = perigee.target.openai_chat { url = { perigee.opt "url", "h:2" }, headers = { ["X-Key"] = perigee.opt "key" } },
      }
      local plan = assert(s:resolve { rate = "7", key = "k" })
      local p = plan.phases[1]
      assert.same({ rate = 7, n = 10, url = "h:1", key = "k" }, plan.options)
      assert.equal(7, p.load.args.rate)
      assert.equal(10, p.requests)
      assert.same({ "h:1", "h:2" }, p.target.args.url)
      assert.equal("k", p.target.args.headers["X-Key"])
      support.contains("option --key is needed", support.refusal(s.resolve, s, {}))
      support.contains("load.poisson: rate: a finite number above 0 expected, got 0",
         support.refusal(s.resolve, s, { rate = "0", key = "k" }))
      support.contains("requests: a whole number >= 1 expected, got 0", support.refusal(s.resolve, s, { n = "0", key = "k" }))
      assert.same({ nil, "unknown option --rat, did you mean --rate?" }, { s:resolve { rat = 1 } })
   end)

   it("has one target for the phases that share it, also with options", function()
      local list = phases {
         options = { url = { "h", "" } }, target = perigee.target.openai_chat { url = perigee.opt "url" }, phases = { { "a" }, { "b" } },
      }
      assert.equal(list[1].target, list[2].target)
   end)

   it("is refused with place, name and reason", function()
      local ok = { "a" }
      local invalid = {
         { { name = false }, "scenario: name: a string that is not empty expected, got false" },
         { { laod = 1 }, "scenario: unknown field 'laod', did you mean 'load'? (api, checks," },
         { { session = 5 }, "scenario: session: a function expected, got 5" },
         { { session = print }, "scenario: session: no phase has load.users, which calls it" },
         { { phases = { { "a", session = print } } }, "scenario.phases[1] 'a': session: only load.users calls it" },
         { { load = load.users(2) }, "scenario.phases[1] 'performance': load.users needs a session" },
         { { load = 5 }, "scenario: load: a load (perigee.load.*) expected, got 5" },
         { { load = order.shuffle() }, "scenario: load: a load (perigee.load.*) expected" },
         { { order = "shuffle" }, "scenario: order: an order" },
         { { target = "http://x" }, "scenario: target: a target (perigee.target.*) expected, got 'http://x'" },
         { { dataset = "x.jsonl" }, "scenario: dataset: a dataset" },
         { { seed = "x" }, "scenario: seed: a finite number" },
         { { on = { compelte = print } }, "scenario.on: unknown field 'compelte', did you mean 'complete'?" },
         { { on = { complete = 5 } }, "scenario.on: complete: a function expected, got 5" },
         { { checks = { "qsp > 5" } }, "unknown metric 'qsp', did you mean 'qps'?" },
         { { phases = {} }, "scenario.phases: at least one phase expected" },
         { { phases = { a = {} } }, "scenario.phases: a list of phases expected, found the field 'a'" },
         { { phases = { 5 } }, "scenario.phases[1]: a table expected, got 5" },
         { { phases = { {} } }, "scenario.phases[1]: 'name' is missing" },
         { { phases = { { ("x"):rep(64) } } }, "a name of 1 to 63 bytes without control characters" },
         { { phases = { { "a", name = "b" } } }, "scenario.phases[1]: the name is given twice" },
         { { phases = { ok, { "a" } } }, "scenario.phases[2]: a phase named 'a' exists already" },
         { { phases = { ok, { "steady", laod = 1 } } }, "scenario.phases[2] 'steady': unknown field 'laod', did you mean 'load'?" },
         { { phases = { ok, { "steady", kind = "warm" } } },
            "scenario.phases[2] 'steady': kind: one of 'performance', 'warmup', 'accuracy'" },
         { { phases = { { "a", duration = "5 min" } } }, "scenario.phases[1] 'a': duration: a duration above 0" },
         { { phases = { { "a", requests = 0 } } }, "requests: a whole number >= 1" },
         { { phases = { { "a", drain = 0 } } }, "drain: true or false or a duration above 0" },
         { { phases = { { "a", min_duration = 2, max_duration = 1 } } }, "min_duration is above max_duration" },
         { { phases = { { "a", checks = { 5 } } } }, "scenario.phases[1] 'a'.checks[1]:" },
         { { phases = { { "a", on = { x = 1 } } } }, "scenario.phases[1] 'a'.on: unknown field 'x'" },
         { { requests = perigee.opt "n" }, "perigee.opt 'n': the scenario's options do not declare it" },
         { { options = { n = 5 } }, "scenario.options.n: { default, \"help\" [, type] } expected" },
      }
      for _, row in ipairs(invalid) do support.contains(row[2], support.refusal(make, row[1])) end
      support.contains("scenario.phases[1] 'performance': there is no target", support.refusal(perigee.scenario, { name = "x" }))
      support.contains("target.openai_chat needs a dataset or a request function",
         support.refusal(perigee.scenario, { name = "x", target = target }))
      support.contains("scenario: a table expected, got 'x'", support.refusal(perigee.scenario, "x"))
   end)

   it("points at the line that made it", function()
      assert.matches("scenario_spec.lua:%d+: scenario: unknown field 'x'", support.refusal(function()
         local s = perigee.scenario { name = "t", x = 1 }
         return s
      end))
   end)
end)

describe("scenario:with", function()
   local base = make {
      options = { rate = { 5, "rate" } }, load = load.constant(perigee.opt "rate"), on = { issue = print },
      phases = { { "warm", kind = "warmup", requests = 2 }, { "main", duration = "1m", checks = { "qps > 1" } } },
   }

   it("merges tables, replaces lists and merges phases by name", function()
      local plan = base:with({
         name = "derived", options = { rate = { 9, "rate" }, n = { 4, "n" } }, on = { first = print },
         phases = { { "main", requests = perigee.opt "n", checks = { "qps > 2", "qps > 3" } }, { "more" } },
      }):resolve()
      assert.equal("derived", plan.name)
      assert.equal(3, #plan.phases)
      local main = plan.phases[2]
      assert.same({ "main", 60, 4, 2 }, { main.name, main.duration, main.requests, #main.checks })
      assert.equal(9, main.load.args.rate)
      assert.same({ issue = print, first = print }, main.on)
      assert.equal("more", plan.phases[3].name)
   end)

   it("leaves the scenario it came from as it was", function()
      base:with { name = "other", phases = { { "main", requests = 1 } } }
      local plan = base:resolve()
      assert.equal("test", plan.name)
      assert.is_nil(plan.phases[2].requests)
   end)

   it("checks the result", function()
      support.contains("unknown field 'laod'", support.refusal(base.with, base, { laod = 1 }))
      support.contains("a table of changes expected, got 5", support.refusal(base.with, base, 5))
   end)
end)

describe("perigee", function()
   it("gives random numbers that repeat", function()
      local a, b, c = perigee.rng(1), perigee.rng(1), perigee.rng(1, 2)
      local x = a:uniform()
      assert.equal(x, b:uniform())
      assert.not_equal(x, c:uniform())
      support.contains("perigee.rng: a number expected, got a string", support.refusal(perigee.rng, "x"))
   end)

   it("checks a phase on its own", function()
      assert.equal("a", perigee.phase({ "a", requests = 3 })[1])
      support.contains("unknown field 'reqests', did you mean 'requests'?", support.refusal(perigee.phase, { "a", reqests = 3 }))
   end)
end)
