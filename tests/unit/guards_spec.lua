local floors = require "perigee.floors"
local guards = require "perigee.guards"
local perigee = require "perigee"
local support = require "tests.unit.support"
local warnings = require "perigee.warnings"

-- The warnings of one phase, whose percentiles are nobody's matter here; `bounds` replace others.
local function look(changes, bounds, planned, ports)
   local all = { percentile = false }
   for name, default in pairs(guards.DEFAULTS) do
      if name ~= "percentile" then all[name] = default end
   end
   for name, value in pairs(bounds or {}) do all[name] = value end
   local config = { name = "steady", guards = all }
   for name, value in pairs(planned or {}) do config[name] = value end
   local list = {}
   guards.look({ phases = { config } }, { phases = { support.phase_report(changes) } }, 1, ports, list)
   return list
end

-- The text of the only one, which is of that kind.
local function only(kind, list)
   assert.equal(1, #list)
   assert.same({ kind, "steady" }, { list[1].kind, list[1].phase })
   return list[1].detail
end

describe("perigee.guards", function()
   it("is silent about a phase that is as it seems", function()
      assert.same({}, look { tokens_in = 100, tokens_cached = 0, chunks = 10, token_responses = 10, connections = 4, reconnects = 0,
         clock_step_ns = 0, suspended_ns = 0, lengths = { answers = 10, too_short = 0, too_long = 0, asked = 80, got = 80 } })
      assert.same({}, look {}) -- an engine that tells none of it
   end)

   it("warns of a warm prefix cache", function()
      local report = { tokens_in = 1000, tokens_cached = 250 }
      support.contains("25% of the input tokens were in the server's cache", only("cached_tokens", look(report)))
      assert.is_nil(only("cached_tokens", look(report)):find("took turns", 1, true))
      support.contains("10 requests took turns with 4 samples", only("cached_tokens", look(report, nil, { dataset = { samples = 4 } })))
      assert.same({}, look { tokens_in = 1000, tokens_cached = 100 }) -- up to the bound
      assert.same({}, look(report, { cached = 0.25 }))
      assert.same({}, look(report, { cached = false }))
   end)

   it("warns of answers that are not as long as asked", function()
      local report = { lengths = { answers = 100, too_short = 2, too_long = 1, asked = 800, got = 790 } }
      assert.equal("2 of 100 answers are shorter and 1 longer than asked: 8 tokens asked for on average, 7.90 got",
         only("output_length", look(report)))
      assert.same({}, look(report, { lengths = 0.03 }))
      assert.same({}, look(report, { lengths = false }))
   end)

   it("warns of answers without token counts", function()
      support.contains("no answer told its token counts", only("token_counts", look { chunks = 50 }))
      support.contains("3 of 10 answers told no token counts", only("token_counts", look { chunks = 50, token_responses = 7 }))
      assert.same({}, look { chunks = 0 }) -- nothing was decoded: there are no tokens to count
      assert.same({}, look({ chunks = 50 }, { counts = false }))
   end)

   it("warns of connections that the endpoint closed", function()
      local report = { issued = 200, connections = 20, reconnects = 10 }
      support.contains("5% of the requests paid a new connection, 10 in all", only("reconnects", look(report)))
      assert.same({}, look(report, { reconnects = 0.05 }))
      assert.same({}, look(report, { reconnects = false }))
   end)

   it("warns of clocks that jumped", function()
      support.contains("was set back by 1.50 s", only("clock_step", look { clock_step_ns = -1.5e9, suspended_ns = 0 }))
      support.contains("was set forward by 20.0 ms", only("clock_step", look { clock_step_ns = 20e6, suspended_ns = 0 }))
      support.contains("the machine slept for 1h 00m", only("suspended", look { clock_step_ns = 0, suspended_ns = 3600e9 }))
   end)

   it("warns of phases that are too short for their percentiles", function()
      local function short(changes, bound) return look(changes, { percentile = bound }) end
      local text = only("too_short", short({ completed = 100, duration_ns = 60e9 }, 99.9))
      assert.equal("100 successes are too few for p95 (130), p99 (662), p99.9 (6636)", text)
      assert.same({}, short({ completed = 6636, duration_ns = 60e9 }, 99.9))
      support.contains("6635 successes are too few for p99.9 (6636)",
         only("too_short", short({ completed = 6635, duration_ns = 60e9 }, 99.9)))
      assert.same({}, short({ completed = 662, duration_ns = 60e9 }, 99))
      assert.same({}, short({ completed = 1, duration_ns = 60e9 }, false))
      assert.same({}, short({ kind = "warmup", completed = 1 }, 99.9))
      assert.same({}, short({ kind = "accuracy", completed = 1 }, 99.9))
   end)

   it("warns by itself only of percentiles that checks name", function()
      local report = { ttft = support.distribution(1e6, { count = 661 }), itl = support.distribution(1e6, { count = 9000 }),
         tags = { a = { latency = support.distribution(1e6, { count = 60 }) } } }
      local function warned(list, kind)
         report.kind = kind
         return look(report, { percentile = "checks" }, { checks = list })
      end
      assert.equal("checks", guards.DEFAULTS.percentile)
      assert.same({}, warned {})
      assert.same({}, warned { "error_rate < 1%", "ttft.mean < 1s", "ttft.p95 < 1s", "itl.p999 < 1s", "function at a.lua:3" })
      assert.equal("the check 'ttft.p99 < 1s' rests on 661 values, a claim about p99 takes 662; "
         .. "the check 'tag('a').latency.p90 < 1s' rests on 60 values, a claim about p90 takes 64",
         only("too_short", warned { "ttft.p99 < 1s", "tag('a').latency.p90 < 1s" }))
      assert.same({}, warned { "tpot.p99 < 1s", "tag('b').latency.p99 < 1s" }) -- without data they fail anyhow
      assert.same({}, warned({ "ttft.p99 < 1s" }, "warmup"))
   end)

   it("warns of checks of the whole run by what its performance phases have together", function()
      local function warned(counts, bound)
         local config, phases, list = { overall = { "ttft.p99 < 1s" }, phases = {} }, {}, {}
         for i, count in ipairs(counts) do
            config.phases[i] = { name = "p" .. i, guards = { percentile = bound } }
            phases[i] = support.phase_report { name = "p" .. i, ttft = support.distribution(1e6, { count = count }) }
         end
         phases[#phases + 1] = support.phase_report { kind = "accuracy", ttft = support.distribution(1, { count = 900 }) }
         for i in ipairs(phases) do guards.look(config, { phases = phases }, i, nil, list) end
         return list
      end
      assert.same({ { kind = "too_short", detail = "the check 'ttft.p99 < 1s' rests on 661 values, a claim about p99 takes 662" } },
         warned({ 331, 330 }, "checks"))
      assert.same({}, warned({ 331, 331 }, "checks"))
      assert.same({}, warned({ 331, 330 }, false))
   end)

   it("warns of phases that are too short for a steady window", function()
      local function short(changes) return look(changes, { percentile = 50 }) end
      assert.equal("9.90 s are too short to tell the start from the rest (10 s)",
         only("too_short", short { completed = 100, duration_ns = 9.9e9 }))
      assert.same({}, short { completed = 100, duration_ns = 10e9 })
      assert.same({}, short { completed = 100, duration_ns = 9.9e9, steady = {} })
   end)

   it("warns when local ports run short", function()
      local target = { target = { url = "http://a" } }
      local report = { started_ns = 1e9, duration_ns = 30e9, connections = 900 }
      support.contains("900 connections were opened within a minute, the local ports allow 1000 at a time",
         only("ports", look(report, nil, target, 1000)))
      assert.same({}, look(report, { ports = 0.9 }, target, 1000))
      assert.same({}, look(report, { ports = false }, target, 1000))
      assert.same({}, look(report, nil, target, nil)) -- nobody knows how many there are
      assert.same({}, look(report, nil, { target = { url = { "http://a", "http://b" } } }, 1000))
      assert.same({}, look(report, nil, { target = { url = "http://a", unix_socket = "/s" } }, 1000))
      assert.same({}, look(report, nil, { target = target.target, transport = { source_addresses = { "127.0.0.1", "127.0.0.2" } } }, 1000))
      report.duration_ns = 120e9 -- half of them in the last minute
      assert.same({}, look(report, nil, target, 1000))
   end)

   it("counts the connections of phases that follow each other within a minute", function()
      local function phase(name, from_s, seconds, connections)
         return support.phase_report { name = name, kind = "warmup", started_ns = from_s * 1e9, duration_ns = seconds * 1e9,
            connections = connections }
      end
      local target = { url = "http://a" }
      local config = { phases = { { name = "a", target = target }, { name = "b", target = target }, { name = "c", target = target } } }
      local function kinds(at, phases)
         local list = {}
         guards.look(config, { phases = phases }, at, 1000, list)
         return #list > 0 and list[1].detail:match "^%d+" or nil
      end
      local phases = { phase("a", 0, 40, 400), phase("b", 40, 30, 450), phase("c", 200, 10, 450) }
      assert.is_nil(kinds(1, phases))
      assert.is_nil(kinds(2, phases)) -- 450 and three quarters of 400
      phases[1].connections = 480
      assert.equal("810", kinds(2, phases))
      assert.is_nil(kinds(3, phases))
   end)

   it("refuses bounds that are none", function()
      for _, row in ipairs {
         { { cached = 1.5 }, "cached: a share above 0 and up to 1, or false expected, got 1.5" },
         { { ports = true }, "ports: a share above 0 and up to 1, or false expected, got true" },
         { { percentile = 75 }, "percentile: one of 50, 90, 95, 99, 99.9, 'checks', or false expected, got 75" },
         { { reconnect = 0.1 }, "unknown field 'reconnect', did you mean 'reconnects'?" },
      } do
         local message = support.refusal(perigee.scenario, {
            target = perigee.target.http { url = "x" }, dataset = { "a" }, guards = row[1], phases = { { "p" } },
         })
         support.contains("scenario.guards: ", message)
         support.contains(row[2], message)
      end
   end)
end)

describe("perigee.floors", function()
   it("are the least numbers of LoadGen's rule, as the document has them", function()
      local document = support.read "docs/warnings.md"
      for _, percentile in ipairs(floors.PERCENTILES) do
         -- Of n, none or one is above.
         local function chance(n)
            local p = percentile / 100
            return p ^ n + n * (1 - p) * p ^ (n - 1)
         end
         local n = floors.of(percentile)
         assert.is_true(chance(n) < 0.01 and chance(n - 1) >= 0.01, "p" .. percentile)
         support.contains(("\n| p%s | %d |\n"):format(percentile, n), document)
      end
   end)

   it("marks percentiles alone", function()
      assert.same({ "~", "", "", "" }, { floors.mark("p99", 661), floors.mark("p99", 662), floors.mark("max", 1), floors.mark("mean", 1) })
   end)
end)

describe("perigee.warnings", function()
   it("are told with their phase", function()
      local list = {}
      warnings.add(list, "dropped", "p", "%d arrivals", 3)
      warnings.add(list, "worker_waits", nil, "waits")
      assert.same({ "phase 'p': 3 arrivals", "waits" }, { warnings.text(list[1]), warnings.text(list[2]) })
   end)

   it("have no kind that nobody knows", function()
      support.contains("there is no kind of warning 'odd'", support.refusal(warnings.add, {}, "odd", nil, "x"))
   end)

   it("stand in the document, each kind in its order", function()
      local written = {}
      for kind in support.read("docs/warnings.md"):match("## Kinds(.-)\n## "):gmatch "\n| `([%w_]+)` |" do written[#written + 1] = kind end
      assert.same(warnings.KINDS, written)
   end)
end)
