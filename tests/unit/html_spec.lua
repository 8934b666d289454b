--- report.html: charts as SVG, and the page around them.
local charts = require "perigee.report.html.charts"
local engine = require "perigee.engine"
local figure = require "perigee.report.html.figure"
local html = require "perigee.report.html"
local scale = require "perigee.report.html.scale"
local sweep = require "perigee.report.html.sweep"

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
      local linear = scale.linear(0, 60)
      assert.same({ 0, 20, 40, 60 }, linear.ticks)
      near(0.5, linear.at(30))
      assert.same({ 0, 0.5, 1, 1.5, 2, 2.5 }, scale.linear(0, 2.5).ticks)
   end)

   it("ends with a tick when asked, round in multiples of a unit", function()
      local linear = scale.linear(0, 2.6, { round = true })
      assert.same({ 0, 1, 2, 3 }, linear.ticks)
      near(1, linear.at(3))
      assert.same({ 0, 120, 240 }, scale.linear(0, 350, { unit = 60 }).ticks) -- minutes
   end)

   it("is logarithmic, from tick to tick", function()
      local log = scale.log(1, 1000)
      near(1 / 3, log.at(10))
      near(1, log.ticks[1])
      near(1000, log.ticks[#log.ticks])
      near(0, log.at(0)) -- nothing is below its lowest value
      local few = scale.log(3, 90).ticks
      for i, v in ipairs { 2, 5, 10, 20, 50, 100 } do near(v, few[i]) end
   end)

   it("stretches the tail: each nine is as wide as the one before", function()
      local tail = scale.tail(0.999)
      near(0, tail.at(0))
      near(1 / 3, tail.at(0.9))
      near(2 / 3, tail.at(0.99))
      near(1, tail.at(0.9999))
      assert.equal(5, #tail.ticks)
   end)

   it("has room for a single value", function()
      for _, narrow in ipairs { scale.linear(0, 0), scale.log(5, 5) } do
         local at = narrow.at(5)
         assert.is_true(at == at and at < math.huge and #narrow.ticks > 1)
      end
   end)
end)

describe("a figure", function()
   local function draw(lines, changes)
      local description = {
         title = "A <title>", about = 'of "all"', lines = lines, x = { label = "x & y", high = 10 }, y = { label = "'y'" },
      }
      for key, value in pairs(changes or {}) do description[key] = value end
      return figure.text(description)
   end

   local function line(x, y, changes)
      local l = { label = "a<b", x = x, y = y }
      for key, value in pairs(changes or {}) do l[key] = value end
      return l
   end

   -- The cells of the table, row by row.
   local function cells(text)
      local rows = {}
      for row in text:match("<tbody>(.*)</tbody>"):gmatch "<tr>(.-)</tr>" do
         local list = {}
         for cell in row:gmatch "<t[hd][^>]*>(.-)</t[hd]>" do list[#list + 1] = cell end
         rows[#rows + 1] = list
      end
      return rows
   end

   it("is told to those who do not see it, and escaped", function()
      local text = draw({ line({ 0, 10 }, { 0, 100 }), line({ 0, 10 }, { 3, 4 }) })
      well_formed(text)
      assert.truthy(text:find('role="img" aria-label="A &lt;title&gt;. of &quot;all&quot; The numbers follow as a table."', 1, true))
      for _, part in ipairs { "<b>A &lt;title&gt;</b>", "a&lt;b</li>", ">x &amp; y</text>", ">&#39;y&#39;</text>" } do
         assert.truthy(text:find(part, 1, true), part)
      end
   end)

   it("has its numbers in a table", function()
      local text = draw { line({ 0, 1, 2 }, { 5, false, 20000 }), line({ 1, 2 }, { 1.5, 0 }) }
      assert.same({ { "0", "5", "–" }, { "1", "–", "1.5" }, { "2", "20k", "0" } }, cells(text))
   end)

   it("thins the table of many points, and says so", function()
      local x, y = {}, {}
      for i = 1, 600 do x[i], y[i] = i, i end
      local text = draw { line(x, y) }
      assert.equal(60, #cells(text))
      assert.truthy(text:find("one interval of 10; series.jsonl has all", 1, true))
   end)

   it("has the rows of the table that are asked for, each with the first point from there on", function()
      local text = draw({ line({ 0.4, 0.6, 1 }, { 4, 6, 10 }) }, { rows = { 0.5, 0.9 } })
      assert.same({ { "0.5", "6" }, { "0.9", "10" } }, cells(text))
   end)

   it("has exact values in the table where they are known", function()
      local lines = { line({ 0.4, 0.6 }, { 4, 6 }, { at = { [0.5] = 5 } }) }
      assert.same({ { "0.5", "5" } }, cells(draw(lines, { rows = { 0.5 } })))
   end)

   it("names points in the table", function()
      assert.same({ { "p&amp;q", "1", "7" } }, cells(draw { line({ 1 }, { 7 }, { names = { "p&q" } }) }))
   end)

   it("leaves a gap where a value is missing", function()
      local path = draw { line({ 0, 2, 4, 6, 8 }, { 10, 20, false, 30, 40 }) }
      assert.equal(2, select(2, path:gsub('class="line s1" d="M[^"]*L', "")))
   end)

   it("shows a single value as a dot, and what all are zero", function()
      assert.truthy(draw({ line({ 5 }, { 50 }) }):find("<circle", 1, true))
      well_formed(draw { line({ 1, 2 }, { 0, 0 }) })
   end)

   it("is nothing without a number", function()
      assert.equal("", draw {})
      assert.equal("", draw { line({ 1, 2 }, { false, false }) })
   end)

   it("draws a limit across where it is in sight, and names it anyway", function()
      local lines = { line({ 0, 10 }, { 0, 100 }) }
      local near_it = draw(lines, { limit = { value = 150, label = "<limit>" } })
      assert.truthy(near_it:find('<path class="limit" d="M%d+ '))
      assert.truthy(near_it:find("&lt;limit&gt;</li>", 1, true))
      local far = draw(lines, { limit = { value = 500, label = "limit" } })
      assert.equal(1, select(2, far:gsub('<path class="limit"', ""))) -- in the legend
      assert.truthy(far:find("limit (above the picture)", 1, true))
   end)

   it("draws times on a logarithmic axis when they are far apart", function()
      local text = draw({ line({ 0, 10 }, { 1e3, 1e9 }) }, { y = figure.times "t" })
      assert.truthy(text:find(">1 us</text>", 1, true))
      assert.truthy(text:find(">1 s</text>", 1, true))
      assert.truthy(draw({ line({ 0, 10 }, { 1e8, 1e9 }) }, { y = figure.times "t" }):find(">0</text>.*>1 s</text>"))
   end)

   it("draws intervals and marks", function()
      local text = draw({ line({ 0, 10 }, { 5, 6 }, { intervals = { { 0, 4, 7 } } }) }, { marks = { { x = 10, y = 6, text = "b<" } } })
      well_formed(text)
      assert.truthy(text:find('class="bar s1"', 1, true))
      assert.truthy(text:find("b&lt;</li>", 1, true))
   end)

   it("shortens numbers", function()
      for text, v in pairs { ["0"] = 0, ["1.5"] = 1.5, ["20"] = 20, ["1500"] = 1500, ["20k"] = 20000, ["1.5M"] = 1.5e6, ["3G"] = 3e9 } do
         assert.equal(text, figure.short(v))
      end
      assert.equal("20 ms", figure.time(20e6))
      assert.equal("1.5 s", figure.time(1.5e9))
      assert.equal("100 us", figure.time(1e5))
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
      checks = {}, mlperf = null,
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
         latency_p50 = 1e6, latency_p90 = 1e6, latency_p99 = i * 1e6, lateness_max = 2e4 }
   end
   return list
end

-- The titles of the figures of a page.
local function titles(page)
   local list = {}
   for title in page:gmatch "<figcaption><b>(.-)</b>" do list[#list + 1] = title end
   return list
end

-- The chart of that title over time.
local function over_time(p, list, title)
   for _, chart in ipairs(charts.over_time(p, list)) do
      if chart.title == title then return chart end
   end
   error("no chart " .. title)
end

local HOSTILE = [["><i>&'"]]

describe("report.html", function()
   it("is one well-formed file without scripts, links or images from elsewhere", function()
      local page = html.render(summary { phase "p" }, HISTOGRAMS, { phases = { { name = "p", series = bins(5) } } })
      well_formed(page)
      for _, word in ipairs { "<script", "http:", "https:", "url(", "<link", "<img", "@import" } do
         assert.is_nil(page:find(word, 1, true), word)
      end
      assert.same({ "Percentiles", "Latency", "Rate", "In flight", "Lateness of the client" }, titles(page))
   end)

   it("escapes what the scenario brought", function()
      local hostile = phase(HOSTILE, { tags = { [HOSTILE] = phase "t" }, errors = { [HOSTILE] = 1 }, conclusion = { text = HOSTILE },
         metrics = { [HOSTILE] = { kind = "gauge", value = 1, unit = HOSTILE } }, end_reason = HOSTILE,
         checks = { { check = HOSTILE, passed = true, detail = HOSTILE } } })
      local page = html.render(summary({ hostile }, { failures = { HOSTILE }, config = { model = HOSTILE }, checks = hostile.checks }),
         {}, { phases = {} })
      well_formed(page)
      assert.is_nil(page:find("<b><", 1, true))
      assert.is_nil(page:find("<i>", 1, true))
      assert.is_nil(page:find("<h1><b>", 1, true))
      assert.is_true(select(2, page:gsub("&quot;&gt;&lt;i&gt;&amp;&#39;&quot;", "")) >= 10)
   end)

   it("tells checks, errors, metrics, tags and what the strategy found", function()
      local page = html.render(summary({ phase("p", {
         checks = { { check = "ttft.p99 < 1ms", passed = false, detail = "5 ms" } },
         metrics = { words = { kind = "histogram", unit = "w", distribution = distribution(7) } },
         tags = { long = phase "long" }, error_examples = { refused = "<not> at home" },
         conclusion = { text = "at most 9/s", columns = { "rate", "passed" }, steps = { { rate = 9, passed = true } } },
      }) }, { checks = { { check = "overall.p50 < 2", passed = true } },
         mlperf = { { phase = "p", valid = false, findings = { "too few" } } } }), HISTOGRAMS, { phases = {} })
      for _, text in ipairs { "ttft.p99 &lt; 1ms", "does not hold", "refused", "words", ">long</th>", "at most 9/s", ">yes<",
         "overall.p50 &lt; 2", "too few", "&lt;not&gt; at home" } do
         assert.truthy(page:find(text, 1, true), text)
      end
   end)

   it("marks percentiles of too few values, and says what the mark is", function()
      local function page(count)
         local d = distribution(20)
         d.count = count
         local p = phase("p", { latency_ms = d, service_time_ms = null, ttft_ms = null, lateness_us = null })
         return html.render(summary { p }, HISTOGRAMS, { phases = {} })
      end
      assert.truthy(page(662):find("<td>20.0 ms</td><td>~20.0 ms</td><td>20.0 ms</td></tr>", 1, true)) -- p99, p99.9, max
      assert.truthy(page(662):find("~ fewer values than a claim takes", 1, true))
      assert.is_nil(page(6636):find("~", 1, true))
   end)

   it("tells the intervals of percentiles", function()
      local d = distribution(20)
      d.count = 6636
      d.ci95 = { p50 = { 18, 23 }, p99 = { 19, null } }
      local page = html.render(summary { phase("p", { latency_ms = d }) }, HISTOGRAMS, { phases = {} })
      assert.truthy(page:find("<td>20.0 ms<small>18.0 ms – 23.0 ms</small></td>", 1, true))
      assert.equal(1, select(2, page:gsub('class="bar s1"', "")))
   end)

   it("draws tags when there are several, the busiest of many", function()
      local p = phase("p", { tags = { ["<a>"] = phase "a", b = phase "b", c = phase "c" } })
      local curves = { { tag = "<a>", curve = { 1e6, 0.5, 2e6, 1 } }, { tag = "b", curve = { 1e6, 0.5, 3e6, 1 } } }
      local list = { { phase = "p", metric = "latency", curve = { 1e6, 0.5, 3e6, 1 }, tags = curves } }
      local page = html.render(summary { p }, list, { phases = {} })
      well_formed(page)
      assert.same({ "Percentiles", "Latency by tag" }, titles(page))
      assert.truthy(page:find("The 2 busiest of 3 tags.", 1, true))
      assert.truthy(page:find("&lt;a&gt;</li>", 1, true))
      p.tags = { b = p.tags.b }
      assert.same({ "Percentiles" }, titles(html.render(summary { p }, list, { phases = {} })))
   end)

   it("has no charts over time for a phase of one interval", function()
      local page = html.render(summary { phase "p" }, HISTOGRAMS, { phases = { { name = "p", series = bins(1) } } })
      assert.same({ "Percentiles" }, titles(page))
   end)

   it("draws failures by class, the rarest together", function()
      local list = bins(2)
      list[1].failures = { a = 9, b = 8, c = 7, d = 6, e = 5, f = 2 }
      list[2].failures = { g = 1, a = 1 }
      local chart = over_time(phase "p", list, "Failures")
      local names, last = {}, nil
      for i, line in ipairs(chart.lines) do names[i], last = line.label, line end
      assert.same({ "a", "b", "c", "d", "e", "other" }, names)
      assert.same({ 2, 1 }, last.y)
      assert.same({ 9, 1 }, chart.lines[1].y)
   end)

   it("takes rates of the time that the phase lasted", function()
      local list = bins(3)
      local short = phase("p", { duration_s = 2.5 }) -- half of the last interval
      local sent = over_time(short, list, "Rate").lines[1]
      assert.same({ 5, 5, 10 }, sent.y)
      assert.same({ 0.5, 1.5, 2.25 }, sent.x)
      short.duration_s = 2.1 -- too little of it
      assert.same({ 5, 5, false }, over_time(short, list, "Rate").lines[1].y)
   end)

   it("marks percentiles of too few values wherever they stand, and says what the mark means", function()
      local page = html.render(summary { phase "p" }, HISTOGRAMS, { phases = {} })
      for _, name in ipairs { "first token p99", "latency p99" } do
         assert.truthy(page:find(("<dt>%s</dt><dd>~"):format(name), 1, true), name)
      end
      local overview = page:match "<caption>Phases.-</table>"
      assert.equal(4, select(2, overview:gsub("<td>~", ""))) -- 10 values are too few for a p50, too
      assert.truthy(overview:find("Phases (~ fewer values", 1, true))
      local many = distribution(20)
      many.count = 1000
      overview = html.render(summary { phase("p", { latency_ms = many, ttft_ms = many }) }, HISTOGRAMS, { phases = {} })
         :match "<caption>Phases.-</table>"
      assert.is_nil(overview:find("~", 1, true))
   end)

   it("shows the latency with failures as infinite where there are some", function()
      local with_failures = { count = 700, failures = 40, p50 = 6, p90 = 7, p95 = null, p99 = null, ["p99.9"] = null }
      local failing = phase("p", { latency_with_failures_ms = with_failures })
      local row = html.render(summary { failing }, HISTOGRAMS, { phases = {} }):match '>latency, failures infinite</th>(.-)</tr>'
      assert.equal("<td>700</td><td>∞</td><td>6.00 ms</td><td>7.00 ms</td><td>∞</td><td>∞</td><td>~∞</td><td>∞</td>", row)
      with_failures.failures = 0
      assert.is_nil(html.render(summary { failing }, HISTOGRAMS, { phases = {} }):find("failures infinite", 1, true))
   end)

   it("has the other definitions of the first token, closed at first", function()
      local page = html.render(summary { phase("p", { first_byte_ms = distribution(1), first_event_ms = distribution(2),
         ttft_service_ms = distribution(4), first_reasoning_ms = null }) }, HISTOGRAMS, { phases = {} })
      well_formed(page)
      local table_of = page:match "<details><summary>Other definitions of the first token and of gaps</summary>(.-)</details>"
      local names = {}
      for name in table_of:gmatch '<th scope="row">(.-)</th>' do names[#names + 1] = name end
      assert.same({ "first token, from its sending", "first byte", "first event" }, names)
      assert.truthy(table_of:find(">first byte</th><td>10</td><td>1.00 ms</td>", 1, true))
      page = html.render(summary { phase "p" }, HISTOGRAMS, { phases = {} })
      assert.is_nil(page:find("Other definitions", 1, true))
   end)

   it("draws goodput and the bounds of an SLO", function()
      local list = bins(2)
      list[1].good, list[2].good = 1, 1
      local with_slo = phase("p", { goodput = { slo = { latency_ms = 3 }, good = 2, share = 0.2, per_s = 1, share_ci95 = { 0.1, 0.3 } } })
      local page = html.render(summary { with_slo }, HISTOGRAMS, { phases = { { name = "p", series = list } } })
      assert.truthy(page:find("SLO: 3 ms</li>", 1, true))
      assert.truthy(page:find("Good: 20% of the requests (95% interval 10% to 30%), 1/s.", 1, true))
      list[2].completed, list[2].failed, list[2].failures = 2, 3, { cancelled = 1, http = 2 }
      assert.same({ 1, 0.25 }, over_time(with_slo, list, "Goodput").lines[1].y)
   end)
end)

describe("a sweep", function()
   local function phases_at(rates)
      local list = {}
      for i, qps in ipairs(rates) do
         list[i] = phase("rate-" .. qps, {
            qps = qps, ttft_ms = distribution(qps * 10), checks = { { check = "ttft.p99 < 25ms", passed = qps < 3 } },
         })
      end
      return list
   end

   local function figures(phases, config)
      return sweep.figures(summary(phases, { config = config or {} }), {})
   end

   it("draws latency against throughput, and marks the most at which the objective holds", function()
      local list = figures(phases_at { 3, 1, 2 })
      assert.equal(2, #list)
      local ttft = list[1]
      assert.same({ 1, 2, 3 }, ttft.lines[2].x)
      assert.same({ 1e7, 2e7, 3e7 }, ttft.lines[2].y)
      assert.same({ "rate-1", "rate-2", "rate-3" }, ttft.lines[2].names)
      assert.same({ value = 25e6, label = "ttft.p99 < 25ms" }, ttft.limit)
      assert.same({ { x = 2, y = 2e7, text = "best: rate-2" } }, ttft.marks)
      assert.is_nil(list[2].limit)
      well_formed(figure.text(ttft))
   end)

   it("marks none where a check is broken or no objective is set", function()
      local phases = phases_at { 1, 2, 3 }
      for _, p in ipairs(phases) do p.checks[2] = { check = "error_rate < 1%", passed = false } end
      assert.same({}, figures(phases)[1].marks)
      for _, p in ipairs(phases) do p.checks = {} end
      assert.same({}, figures(phases)[1].marks)
   end)

   it("draws no bound that not all phases have", function()
      local phases = phases_at { 1, 2, 3 }
      phases[2].checks[1].check = "ttft.p99 < 15ms"
      local ttft = figures(phases)[1]
      assert.same({ nil, {} }, { ttft.limit, ttft.marks })
      phases[2].checks = {}
      ttft = figures(phases)[1]
      assert.same({ nil, {} }, { ttft.limit, ttft.marks })
   end)

   it("is of three performance phases at least", function()
      local phases = phases_at { 1, 2, 3 }
      phases[1].kind = "warmup"
      assert.same({}, figures(phases))
   end)

   it("is followed by the distributions of up to six phases", function()
      local phases, histograms = phases_at { 1, 2, 3, 4, 5, 6 }, {}
      for i, p in ipairs(phases) do histograms[i] = { phase = p.name, metric = "latency", curve = { i * 1e6, 0.5, i * 2e6, 1 } } end
      local list = sweep.figures(summary(phases, { config = {} }), histograms)
      local by_phase = list[3]
      assert.same({ "Latency by phase", 6 }, { by_phase.title, #by_phase.lines })
      assert.same({ "rate-2", 2e6, 4e6 }, { by_phase.lines[2].label, unpack(by_phase.lines[2].y) })
      phases[7] = phase "one more"
      assert.equal(2, #sweep.figures(summary(phases, { config = {} }), histograms))
   end)

   it("is of the steps of a load, too, with its condition", function()
      local function step(rate, ms, passed)
         return { rate = rate, completed_per_s = rate - 1, passed = passed, ttft_ms = { p50 = ms, p90 = 2 * ms, p99 = 3 * ms } }
      end
      local found = { knob = "rate", slo = "ttft.p90 < 50ms", steps = { step(10, 5, true), step(40, 30, false), step(20, 20, true) } }
      local list = sweep.steps(found)
      assert.equal(1, #list)
      assert.same({ 9, 19, 39 }, list[1].lines[2].x)
      assert.same({ "p90", 10e6, 40e6, 60e6 }, { list[1].lines[2].label, unpack(list[1].lines[2].y) })
      assert.same({ "10/s", "20/s", "40/s" }, list[1].lines[2].names)
      assert.same({ value = 50e6, label = "ttft.p90 < 50ms" }, list[1].limit)
      assert.same({ { x = 19, y = 40e6, text = "best: 20/s" } }, list[1].marks)
      found.slo = null
      assert.same({ "p99", nil }, { sweep.steps(found)[1].lines[2].label, sweep.steps(found)[1].limit })
      found.slo = { "error_rate < 1%", "ttft.p99 < 10ms" }
      assert.same({ value = 10e6, label = "ttft.p99 < 10ms" }, sweep.steps(found)[1].limit)
      assert.same({}, sweep.steps(found)[1].marks)
   end)

   it("is nothing of a conclusion of another shape, which is told all the same", function()
      local step = { rate = 1, completed_per_s = 1, ttft_ms = "x" }
      for _, conclusion in ipairs { "text", 5, true, {}, { 1, 2 }, { text = { 1 } }, { knob = 1, steps = {} }, { knob = "rate", steps = 5 },
         { knob = "rate", slo = 5, columns = 5, steps = { step, step, step } }, { columns = { "a" }, steps = { 1, "b", {} } } } do
         assert.same({}, sweep.steps(conclusion))
         local page = html.render(summary { phase("p", { conclusion = conclusion }) }, {}, { phases = {} })
         well_formed(page)
         assert.truthy(page:find("<b>Conclusion:</b>", 1, true))
      end
   end)

   it("is of no sides that took turns: these are drawn round by round", function()
      local phases, config = {}, { phases = {} }
      for i, name in ipairs { "old.1", "new.1", "new.2", "old.2" } do
         local d = distribution(i)
         d.ci95 = { p50 = { i - 0.5, i < 4 and i + 0.5 or null } }
         phases[i] = phase(name, { ttft_ms = d })
         config.phases[i] = { name = name, side = name:match "%a+" }
      end
      local list = figures(phases, config)
      assert.equal(2, #list)
      assert.same({ label = "old", x = { 1, 2 }, y = { 1e6, 4e6 }, intervals = { { 1, 5e5, 1.5e6 } }, dots = true }, list[1].lines[1])
      assert.same({ 2e6, 3e6 }, list[1].lines[2].y)
      well_formed(figure.text(list[1]))
   end)
end)
