--- report.html: charts as SVG, and the page around them.
local charts = require "perigee.report.html.charts"
local engine = require "perigee.engine"
local html = require "perigee.report.html"
local svg = require "perigee.report.html.svg"
local units = require "perigee.units"

local null = engine.json.null

local VOID = { meta = true, path = true, circle = true }

--- Each tag is closed, in order; what is left open or closed too often is an error.
local function well_formed(text)
   local open = {}
   text = text:gsub("^<!DOCTYPE html>", ""):gsub("<style>.-</style>", "")
   for closing, name, attributes, ending in text:gmatch "<(/?)([%a][%w]*)([^<>]-)(/?)>" do
      assert.equal(0, select(2, attributes:gsub('"', "")) % 2, name .. attributes)
      if closing == "/" then
         assert.equal(table.remove(open), name)
      elseif ending ~= "/" and not VOID[name] then
         open[#open + 1] = name
      end
   end
   assert.same({}, open)
   assert.is_nil(text:gsub("<[^<>]*>", ""):find "[<>]")
end

local function near(expected, actual)
   assert.is_true(math.abs(expected - actual) < 1e-9, ("%g expected, got %g"):format(expected, actual))
end

describe("a scale", function()
   it("is linear, with ticks of 1, 2 or 5", function()
      local scale = svg.linear(0, 60)
      assert.same({ 0, 20, 40, 60 }, scale.ticks)
      near(0.5, scale.at(30))
      assert.same({ 0, 0.5, 1, 1.5, 2, 2.5 }, svg.linear(0, 2.5).ticks)
   end)

   it("is logarithmic", function()
      local scale = svg.log(1, 1000)
      near(1 / 3, scale.at(10))
      assert.equal(1, scale.ticks[1])
      near(1000, scale.ticks[#scale.ticks])
      near(0, scale.at(0)) -- nothing is below its lowest value
   end)

   it("stretches the tail: each nine is as wide as the one before", function()
      local scale = svg.tail(0.999)
      near(0, scale.at(0))
      near(1 / 3, scale.at(0.9))
      near(2 / 3, scale.at(0.99))
      near(1, scale.at(0.9999))
      assert.equal(5, #scale.ticks)
   end)

   it("has room for a single value", function()
      for _, scale in ipairs { svg.linear(0, 0), svg.log(5, 5) } do
         local at = scale.at(5)
         assert.is_true(at == at and at < math.huge)
      end
   end)
end)

describe("a chart", function()
   local function chart(series, limit)
      return svg.chart {
         title = "A <title>", description = 'of "all"', series = series, limit = limit,
         x = { scale = svg.linear(0, 10), label = "x & y", format = units.number },
         y = { scale = svg.linear(0, 100), label = "y", format = units.number },
      }
   end

   it("is told to those who do not see it, and escaped", function()
      local text = chart { { name = "a<b", points = { 0, 0, 10, 100 } } }
      well_formed(text)
      assert.truthy(text:find('role="img"', 1, true))
      assert.truthy(text:find("A &lt;title&gt;</title>", 1, true))
      assert.truthy(text:find("of &quot;all&quot;</desc>", 1, true))
      assert.truthy(text:find("a&lt;b", 1, true))
   end)

   it("leaves a gap where a value is missing", function()
      local path = chart({ { name = "a", points = { 0, 10, 2, 20, 4, false, 6, 30, 8, 40 } } }):match 'class="line s1" d="([^"]*)"'
      assert.equal(2, select(2, path:gsub("M", "")))
      assert.equal(2, select(2, path:gsub("L", "")))
   end)

   it("shows a single value as a dot", function()
      assert.truthy(chart({ { name = "a", points = { 5, 50 } } }):find("<circle", 1, true))
   end)

   it("draws a limit only where it is in sight", function()
      local series = { { name = "a", points = { 0, 0, 10, 100 } } }
      assert.truthy(chart(series, { value = 50, text = "limit" }):find(">limit</text>", 1, true))
      assert.is_nil(chart(series, { value = 500, text = "limit" }):find(">limit</text>", 1, true))
   end)
end)

-- ---- the page ----

local function distribution(value)
   return { count = 10, mean = value, std = 1, min = value, max = value,
      p50 = value, p90 = value, p95 = value, p99 = value, ["p99.9"] = value }
end

local function phase(name, changes)
   local p = {
      name = name, kind = "performance", end_reason = "requests", duration_s = 2,
      issued = 10, completed = 9, failed = 1, abandoned = 0, cancelled = 0, dropped = 0, qps = 4.5,
      rate_asked_per_s = null, rate_delivered_per_s = 5, output_tokens_per_s = null, tokens_in = null, tokens_out = null, chunks = null,
      latency_ms = distribution(20), service_time_ms = distribution(19), ttft_ms = distribution(5), tpot_ms = null, itl_ms = null,
      lateness_us = distribution(30), errors = { refused = 1 }, finish_reasons = {}, metrics = {}, checks = {},
   }
   for key, value in pairs(changes or {}) do p[key] = value end
   return p
end

local function summary(phases, changes)
   local s = {
      scenario = "<b>", verdict = "ok", failures = {}, warnings = {}, session_id = "0f", started_at = null, host = null,
      versions = { perigee = "1" }, dataset_sha256 = null, plan_checksum = null, config = { name = "</pre><script>" }, phases = phases,
   }
   for key, value in pairs(changes or {}) do s[key] = value end
   return s
end

local HISTOGRAMS = {
   { phase = "p", metric = "latency", curve = { 1e6, 0.5, 2e6, 0.9, 3e6, 1 } },
   { phase = "p", metric = "ttft", curve = { 1e5, 0.5, 2e5, 1 } },
}

local function bins(n)
   local list = {}
   for i = 1, n do
      list[i] = { from_ns = (i - 1) * 1e9, width_ns = 1e9, asked = 5, issued = 5, completed = i, failed = 0, inflight = 1, inflight_max = 2,
         latency_p50 = 1e6, latency_p99 = i * 1e6 }
   end
   return list
end

describe("report.html", function()
   it("is one well-formed file without scripts, links or images from elsewhere", function()
      local page = html.render(summary { phase "p" }, HISTOGRAMS, { phases = { { name = "p", series = bins(5) } } })
      well_formed(page)
      for _, word in ipairs { "<script", "http:", "https:", "url(", "<link", "<img", "@import" } do
         assert.is_nil(page:find(word, 1, true), word)
      end
      assert.equal(4, select(2, page:gsub("<svg", "")))
   end)

   it("escapes what the scenario brought", function()
      local page = html.render(summary({ phase('"><i>') }, { failures = { "<u>" } }), {}, { phases = {} })
      well_formed(page)
      assert.is_nil(page:find("<b>", 1, true))
      assert.is_nil(page:find("<i>", 1, true))
      assert.is_nil(page:find("<u>", 1, true))
   end)

   it("tells checks, errors, metrics and tags", function()
      local page = html.render(summary { phase("p", {
         checks = { { check = "ttft.p99 < 1ms", passed = false, detail = "5 ms" } },
         metrics = { words = { kind = "histogram", unit = "w", distribution = distribution(7) } },
         tags = { long = phase "long" }, error_examples = { refused = "<not> at home" },
      }) }, HISTOGRAMS, { phases = {} })
      for _, text in ipairs { "ttft.p99 &lt; 1ms", "does not hold", "refused", "&lt;not&gt; at home", "words", "tagged long: 10" } do
         assert.truthy(page:find(text, 1, true), text)
      end
   end)

   it("has no charts over time for a phase of one interval", function()
      local page = html.render(summary { phase "p" }, HISTOGRAMS, { phases = { { name = "p", series = bins(1) } } })
      assert.equal(1, select(2, page:gsub("<svg", "")))
   end)

   it("draws a sweep of three performance phases, with the objective of their checks", function()
      local phases = {}
      for i = 1, 3 do
         phases[i] = phase("rate-" .. i, {
            qps = i, ttft_ms = distribution(i * 10), checks = { { check = "ttft.p99 < 25ms", passed = i < 3 } },
         })
      end
      local text = charts.sweep(phases)
      well_formed(text)
      assert.truthy(text:find("ttft.p99 &lt; 25ms", 1, true))
      assert.equal(6, select(2, text:gsub("<circle", "")))
      assert.is_nil(charts.sweep { phases[1], phases[2] })
   end)
end)
