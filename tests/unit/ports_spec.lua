local config = require "perigee.report.config"
local explain = require "perigee.cli.explain"
local perigee = require "perigee"
local ports = require "perigee.ports"
local support = require "tests.unit.support"

local KNOWN = 1000 -- ports of one address
local CLOSE = { Connection = "close" }

-- The config of a scenario with these phases; `fields` are of its target.
local function config_of(phases, fields)
   fields = fields or { headers = CLOSE }
   fields.url = fields.url or "http://h"
   local scenario = perigee.scenario { name = "t", target = perigee.target.http(fields), dataset = { "a" }, phases = phases }
   return config.describe(scenario:resolve())
end

describe("local ports", function()
   it("are seen to run short before a run whose requests close their connections", function()
      for _, row in ipairs {
         { { load = perigee.load.constant(20), duration = "41s" }, 820 },
         { { load = perigee.load.constant(20), duration = "40s" }, nil }, -- up to 80 %
         { { load = perigee.load.poisson(20), duration = "1h" }, 1200 },
         { { load = perigee.load.gamma(20, 2), requests = 801 }, 801 },
         { { load = perigee.load.constant(1000), requests = 800 }, nil },
         { { load = perigee.load.ramp(1, 15, { over = "1m" }), duration = "1m" }, 900 },
         { { load = perigee.load.steps { { 2, "1m" }, { 15, "1m" } }, duration = "2m" }, 900 },
         { { load = perigee.load.sine { mean = 10, amplitude = 5, period = "10s" }, duration = "1m" }, 900 },
         { { load = perigee.load.burst(900) }, 900 },
         { { load = perigee.load.constant(20), duration = "41s", guards = { ports = false } }, nil },
         { { load = perigee.load.constant(20), duration = "41s", guards = { ports = 0.9 } }, nil },
         { { load = perigee.load.concurrency(20), duration = "1h" }, nil }, -- nobody knows how fast the answers come
         { { load = perigee.load.gaps(function() return 1 end), duration = "1h" }, nil },
         { { load = perigee.load.search { rate = { 10, 1000 }, slo = "error_rate < 1%" }, duration = "1h" }, nil },
      } do
         row[1][1] = "p"
         local text = ports.foresee(config_of { row[1] }, KNOWN).p
         assert.equal(row[2], text and tonumber(text:match "^about (%d+) connections will be opened within a minute"), text)
         if text then support.contains("the local ports allow 1000 at a time: keep connections alive", text) end
      end
   end)

   it("are counted over the phases of a minute", function()
      local list = {}
      for i = 1, 3 do list[i] = { "p" .. i, load = perigee.load.constant(20), duration = "15s" } end
      local texts = ports.foresee(config_of(list), KNOWN)
      assert.same({ nil, nil }, { texts.p1, texts.p2 })
      support.contains("about 900 connections", texts.p3)
   end)

   it("are no matter where connections are kept, are not of that kind, or there are more ports", function()
      local phases = { { "p", load = perigee.load.constant(20), duration = "41s" } }
      local two = { "http://a", "http://b" }
      for _, fields in ipairs {
         { headers = {} }, { headers = { Connection = "keep-alive" } }, { headers = CLOSE, unix_socket = "/s" },
         { headers = CLOSE, url = two }, { headers = CLOSE, source_addresses = { "127.0.0.1", "127.0.0.2" } },
      } do
         assert.same({}, ports.foresee(config_of(phases, fields), KNOWN))
      end
      assert.same({}, ports.foresee(config_of(phases), nil)) -- nobody knows how many there are
      support.contains("about 820", ports.foresee(config_of(phases, { headers = { connection = "Close" } }), KNOWN).p)
   end)

   it("are told of by explain, with the phase", function()
      local plan = perigee.scenario {
         name = "t", target = perigee.target.http { url = "http://h", headers = CLOSE }, dataset = { "a" }, duration = "1m",
         phases = { { "few", load = perigee.load.constant(1) }, { "many", load = perigee.load.constant(1e6) } },
      }:resolve()
      local text = explain.render(plan, "t.lua")
      assert.matches("phase 2 'many'.*\n  warning   about 60000000 connections will be opened within a minute", text)
      assert.is_nil(text:match("phase 1 'few'(.-)phase 2"):find("warning", 1, true))
   end)

   it("are watched while a run opens connections, and told of once per phase", function()
      local opened = 0
      local watch = ports.watch(config_of { { "a" }, { "b" }, { "c", guards = { ports = false } } }, KNOWN, function() return opened end)
      local function look(phase, now, count)
         opened = count
         local text = watch:look(phase, now)
         return text and tonumber(text:match("^phase '" .. phase .. "': (%d+) connections were opened within a minute"))
      end
      assert.is_nil(look("a", 1000, 0))
      assert.is_nil(look("a", 1030, 800))
      assert.equal(801, look("a", 1030.5, 801))
      assert.is_nil(look("a", 1031, 900)) -- it was told
      assert.is_nil(look("c", 1031, 950))
      assert.is_nil(look("x", 1031, 950)) -- of no plan
      assert.is_nil(look("b", 1095, 1000)) -- the first of them are more than a minute ago
      assert.equal(1100, look("b", 1096, 2000)) -- since the latest count that is a minute old
   end)

   it("keep a bounded number of counts", function()
      local watch = ports.watch(config_of { { "a" } }, KNOWN, function() return 0 end)
      for i = 1, 10000 do watch:look("a", i / 4) end
      assert.is_true(#watch.samples <= 62, #watch.samples)
   end)
end)
