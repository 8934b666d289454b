--- perigee.report.server: what scrapes amount to in each phase.
local charts = require "perigee.report.html.server"
local engine = require "perigee.engine"
local server = require "perigee.report.server"
local support = require "tests.unit.support"

local null = engine.json.null

-- A session that begins at 100 s, with phases of 10 s: "one" from its start on, "two" after a pause of 2 s.
local REPORT = {
   started_ns = 100e9,
   phases = {
      support.phase_report { name = "one", started_ns = 100e9, duration_ns = 10e9 },
      support.phase_report { name = "two", started_ns = 112e9, duration_ns = 10e9 },
   },
}

local function line(at_s, values, changes)
   local entry = { source = "http://h/metrics", at_s = 100 + at_s, took_ms = 1, values = values }
   for name, v in pairs(changes or {}) do entry[name] = v end
   return engine.json.encode(entry)
end

local function failed(at_s, class, message)
   return line(at_s, nil, { failure = class, message = message })
end

local function running(at_s, n) return line(at_s, { ["vllm:num_requests_running"] = n }) end

local function rows(lines)
   local out = {}
   for _, row in ipairs(server.section(REPORT, lines)) do out[row.phase] = row end
   return out
end

describe("perigee.report.server", function()
   it("has nothing where nothing was scraped", function()
      assert.equal(null, server.section(REPORT, {}))
      assert.equal(null, server.section(REPORT, nil))
      assert.same({}, server.lines(null, "one"))
      assert.same({}, server.lines(nil, "one"))
      assert.equal("", server.text(server.entries(REPORT, nil)))
   end)

   it("puts scrapes into phases by their time", function()
      local entries = server.entries(REPORT, { running(12, 3), running(-0.5, 0), running(10, 2), running(11, 9), "no json", "5" })
      local got = {}
      for i, e in ipairs(entries) do got[i] = ("%g %s"):format(e.t_s, tostring(e.phase)) end
      assert.same({ "-0.5 nil", "10 one", "11 nil", "12 two" }, got)
      assert.same({ t_s = 12, phase = "two", source = "http://h/metrics", took_ms = 1, values = { ["vllm:num_requests_running"] = 3 } },
         engine.json.decode(server.text(entries):match "[^\n]*\n$"))
   end)

   it("tells gauges of the scrapes within a phase", function()
      local list = rows { running(-1, 50), running(1, 2), running(2, 6), running(3, 4), running(11, 70), running(13, 1) }
      assert.same({ mean = 4, min = 2, max = 6, last = 4 }, list.one.requests_running)
      assert.same({ mean = 1, min = 1, max = 1, last = 1 }, list.two.requests_running)
      assert.same({ 3, 1, null, null }, { list.one.scrapes, list.two.scrapes, list.one.requests_waiting, list.one.kv_cache_usage })
   end)

   local function tokens(at_s, n) return line(at_s, { ["vllm:generation_tokens_total"] = n }) end

   it("tells counters from the scrape before to the scrape behind", function()
      local list = rows { tokens(-2, 5), tokens(-1, 10), tokens(5, 20), tokens(11, 130), tokens(20, 150), tokens(23, 160), tokens(30, 999) }
      assert.same({ 10, 12 }, { list.one.generation_tokens_per_s, list.one.counted_s })
      assert.same({ 2.5, 12 }, { list.two.generation_tokens_per_s, list.two.counted_s })
      assert.equal(null, list.one.prompt_tokens_per_s)
   end)

   it("passes over failures where it needs a value", function()
      local list = rows { tokens(-1, 10), failed(-0.5, "timeout"), failed(10.5, "timeout"), tokens(11, 130) }
      assert.same({ 10, 12, 0, {} }, { list.one.generation_tokens_per_s, list.one.counted_s, list.one.scrapes, list.one.failures })
   end)

   it("begins anew with a counter that fell", function()
      assert.equal(5, rows({ tokens(0, 100), tokens(2, 130), tokens(4, 7), tokens(10, 20) }).one.generation_tokens_per_s)
   end)

   it("makes no rate of one scrape", function()
      local one = rows({ tokens(5, 100) }).one
      assert.same({ null, null, 1 }, { one.generation_tokens_per_s, one.counted_s, one.scrapes })
   end)

   it("has the hit rate of counters, else the server's own", function()
      local function hits(at_s, hit, asked)
         return line(at_s, { ["vllm:prefix_cache_hits_total"] = hit, ["vllm:prefix_cache_queries_total"] = asked,
            ["vllm:gpu_prefix_cache_hit_rate"] = 1 })
      end
      assert.equal(0.25, rows({ hits(0, 100, 1000), hits(10, 110, 1040) }).one.prefix_cache_hit_rate)
      assert.equal(null, rows({ hits(0, 100, 1000), hits(10, 100, 1000) }).one.prefix_cache_hit_rate)
      local function own(at_s, v) return line(at_s, { ["sglang:cache_hit_rate"] = v, ["sglang:gen_throughput"] = v * 100 }) end
      local one = rows({ own(1, 0.25), own(2, 0.75) }).one
      assert.same({ 0.5, 50 }, { one.prefix_cache_hit_rate, one.generation_tokens_per_s })
   end)

   it("has what was kept besides", function()
      local function kept(at_s, a, b) return line(at_s, { x_total = a, y = b, ["vllm:num_requests_running"] = 1 }) end
      assert.same({ x_total = { added = 30, per_s = 3 }, y = { mean = 3, min = 2, max = 4, last = 4 } },
         rows({ kept(0, 10, 2), kept(10, 40, 4) }).one.metrics)
   end)

   it("keeps sources apart and says so", function()
      local section = server.section(REPORT, {
         line(1, { ["vllm:num_requests_waiting"] = 3, ["vllm:kv_cache_usage_perc"] = 0.5 }),
         line(1, { ["sglang:num_queue_reqs"] = 5 }, { source = "http://g/metrics" }),
         line(2, nil, { source = "http://g/metrics", failure = "timeout" }),
      })
      assert.same({
         "  server http://g/metrics: waiting 5 (max 5)  failed scrapes timeout 1",
         "  server http://h/metrics: waiting 3 (max 3)  KV-cache 50% (max 50%)",
      }, server.lines(section, "one"))
      assert.same({
         "  server http://g/metrics: no scrape fell into this phase", "  server http://h/metrics: no scrape fell into this phase",
      }, server.lines(section, "two"))
   end)

   it("says when a page has none of the names", function()
      local lines = { line(1, { other = 3 }) }
      assert.same({ "  server: none of the known metrics" }, server.lines(server.section(REPORT, lines), "one"))
   end)

   local function warnings(lines)
      local list, texts = {}, {}
      server.warn(REPORT, lines, list)
      for i, w in ipairs(list) do
         assert.same({ "scrape" }, { w.kind, w.phase })
         texts[i] = w.detail
      end
      return texts
   end

   it("warns once of each source", function()
      assert.same({}, warnings { running(1, 1) })
      assert.same({
         "2 of 3 scrapes of http://h/metrics failed (refused 1, timeout 1), the last with: no answer",
         "the page of http://h/metrics has none of the metrics that are looked for",
      }, warnings { failed(1, "refused", "x"), failed(2, "timeout", "no\nanswer"), line(3, {}) })
      assert.same({
         "3 lines of the page of http://h/metrics are not of Prometheus' format and were passed over",
         "7 metrics of http://h/metrics found no room and were left out: keep fewer",
      }, warnings { line(1, { x = 1 }, { malformed = 2 }), line(2, { x = 1 }, { malformed = 3, left_out = 7 }) })
   end)
end)

describe("perigee.report.html.server", function()
   local function drawn(lines, name, from_s)
      return charts.charts(server.entries(REPORT, lines), { name = name, duration_s = 10 }, from_s)
   end

   it("draws what there is, from the start of the phase", function()
      local list = drawn({
         line(1, { ["vllm:num_requests_waiting"] = 9 }), line(13, { ["vllm:num_requests_waiting"] = 3 }), failed(14, "timeout"),
         line(15, { ["vllm:num_requests_waiting"] = 5 }),
      }, "two", 12)
      assert.same({ 1, "Queue of the server", 1 }, { #list, list[1].title, #list[1].lines })
      assert.same({ label = "waiting", x = { 1, 2, 3 }, y = { 3, false, 5 } }, list[1].lines[1])
      assert.same({}, drawn({ line(1, { other = 1 }) }, "one", 0))
      assert.same({}, drawn({ running(1, 1) }, "two", 12))
   end)

   it("has a line for each source", function()
      local list = drawn({
         line(1, { ["sglang:token_usage"] = 0.5, ["sglang:num_running_reqs"] = 1, ["sglang:num_queue_reqs"] = 2 }),
         line(1, { ["sglang:token_usage"] = 0.25 }, { source = "http://g/metrics" }),
      }, "one", 0)
      local labels = {}
      for _, chart in ipairs(list) do
         for _, l in ipairs(chart.lines) do labels[#labels + 1] = l.label end
      end
      assert.same({ "running, http://h/metrics", "waiting, http://h/metrics", "in use, http://g/metrics", "in use, http://h/metrics" },
         labels)
   end)

   it("averages neighbours when there are many", function()
      local lines = {}
      for i = 1, 1500 do lines[i] = i == 4 and failed(i / 200, "timeout") or running(i / 200, i) end
      local of = drawn(lines, "one", 0)[1].lines[1]
      assert.same({ 500, 500 }, { #of.x, #of.y })
      assert.same({ 2, 5.5, 0.01, 1499 }, { of.y[1], of.y[2], of.x[1], of.y[500] })
   end)
end)
