local checks = require "perigee.checks"
local align = require "perigee.align"
local config = require "perigee.report.config"
local engine = require "perigee.engine"
local files = require "perigee.report.files"
local perigee = require "perigee"
local report_table = require "perigee.report.table"
local series = require "perigee.report.series"
local summary = require "perigee.report.summary"
local support = require "tests.unit.support"

local null = engine.json.null

local function plan(changes)
   local definition = { name = "t", target = perigee.target.openai_chat { url = "x" }, dataset = { "a" }, phases = { { "steady" } } }
   for k, v in pairs(changes or {}) do definition[k] = v end
   return perigee.scenario(definition):resolve()
end

local function build(report, results, p)
   p = p or plan()
   return summary.build {
      facts = summary.facts(p, config.describe(p), "0123"),
      report = { session_id = "ab", started_realtime_ns = 1700000000.123e9, phases = { report } },
      checks = { steady = results or {} }, judged = { verdict = "ok", failures = {}, warnings = { { kind = "dropped", detail = "w" } } },
   }
end

describe("perigee.report.summary", function()
   it("carries units in its keys and null for what is absent", function()
      local phase = summary.phase(support.phase_report {
         open = true, issued = 11, dropped = 10, tokens_out = 30, token_responses = 3, duration_ns = 2e9,
         first_scheduled_ns = 0, last_scheduled_ns = 1e9, first_issued_ns = 1e6, last_issued_ns = 2001e6,
         latency = support.distribution(5e6), lateness = support.distribution(5e3), errors = { refused = 2 },
         error_examples = { refused = "no" },
      }, { { check = "c", passed = true } })
      assert.same({ 2, 20, 5, 15, 5 }, { phase.duration_s, phase.rate_asked_per_s, phase.rate_delivered_per_s,
         phase.output_tokens_per_s, phase.qps })
      assert.same({ 5, 5, 10 }, { phase.latency_ms.p99, phase.latency_ms["p99.9"], phase.latency_ms.count })
      assert.equal(5, phase.lateness_us.mean)
      assert.equal(null, phase.ttft_ms)
      assert.same({ refused = 2 }, phase.errors)
      assert.same({ refused = "no" }, phase.error_examples)
      assert.same({}, summary.phase(support.phase_report {}).error_examples)
      assert.same({ check = "c", passed = true, aborted = false, detail = null }, phase.checks[1])
   end)

   it("asks no rate of a closed load and divides by nothing that is 0", function()
      local phase = summary.phase(support.phase_report { issued = 1, duration_ns = 0, first_issued_ns = 5, last_issued_ns = 5,
         latency = support.distribution(0, { count = 0 }) })
      for _, key in ipairs { "rate_asked_per_s", "rate_delivered_per_s", "qps", "output_tokens_per_s", "latency_ms" } do
         assert.equal(null, phase[key], key)
      end
   end)

   it("has a view in which failures take for ever", function()
      local phase = summary.phase(support.phase_report {
         latency_with_failures = { count = 12, failures = 2, p50 = 5e6, p90 = nil }, ttft_with_failures = { count = 0, failures = 0 },
      })
      assert.same({ count = 12, failures = 2, p50 = 5, p90 = null, p95 = null, p99 = null, ["p99.9"] = null },
         phase.latency_with_failures_ms)
      assert.equal(null, phase.ttft_with_failures_ms)
   end)

   it("tells the goodput of an SLO, with its interval", function()
      local report = support.phase_report { completed = 90, failed = 8, abandoned = 2, cancelled = 5, good = 81, duration_ns = 9e9,
         slo = { ttft = 500e6, tpot = 50e6 }, tags = { a = support.phase_report { completed = 4, good = 1, duration_ns = 9e9 } } }
      local phase = summary.phase(report)
      assert.same({ { ttft_ms = 500, tpot_ms = 50 }, 81, 0.81, 9 },
         { phase.goodput.slo, phase.goodput.good, phase.goodput.share, phase.goodput.per_s })
      -- Wilson for 81 of 100, and for 10 of 100
      assert.same({ "0.7222 0.8749", "0.0552 0.1744" }, {
         ("%.4f %.4f"):format(unpack(phase.goodput.share_ci95)), ("%.4f %.4f"):format(unpack(phase.error_rate_ci95)) })
      assert.equal(0.1, phase.error_rate)
      assert.equal(0.25, phase.tags.a.goodput.share)
      assert.equal(null, summary.phase(support.phase_report()).goodput)
   end)

   it("tells intervals, and null for a bound that there is not", function()
      local d = support.distribution(4e6, { exact = true, ci95 = { p50 = { low = 3e6, high = 5e6 }, p99 = { low = 4e6 } } })
      local phase = summary.phase(support.phase_report { ttft = d })
      assert.same({ p50 = { 3, 5 }, p99 = { 4, null } }, phase.ttft_ms.ci95)
      assert.is_true(phase.ttft_ms.exact)
   end)

   it("tells the steady window beside the whole", function()
      local phase = summary.phase(support.phase_report { token_responses = 1, steady = {
         from_ns = 4e9, to_ns = 14e9, completed = 100, failed = 1, tokens_out = 500, good = 3, rate_low = 9, rate_high = 11,
         latency_p50 = 2e6, latency_p99 = 3e6 } })
      assert.same({ from_s = 4, to_s = 14, completed = 100, failed = 1, qps = 10, qps_ci95 = { 9, 11 }, output_tokens_per_s = 50,
         good_per_s = null, latency_ms = { p50 = 2, p99 = 3 }, ttft_ms = null }, phase.steady)
      assert.equal(null, summary.phase(support.phase_report()).steady)
   end)

   it("can be written as JSON and holds no NaN", function()
      local text = engine.json.encode(build(support.phase_report { ttft = support.distribution(1e6, { std = 0 / 0 }) }), 2)
      local back = assert(engine.json.decode(text))
      assert.same({ 1, "ok", "t", "ab", "2023-11-14T22:13:20.123Z" },
         { back.schema_version, back.verdict, back.scenario, back.session_id, back.started_at })
      assert.equal(null, back.phases[1].ttft_ms.std)
      assert.equal("0123", back.plan_checksum)
      assert.equal(64, #back.dataset_sha256)
      assert.same({ { kind = "dropped", phase = null, detail = "w" } }, { unpack(back.warnings) })
      assert.matches('"checks": %[%]', text)
   end)
end)

describe("perigee.report.series", function()
   it("has a line for each bin, rates by its width", function()
      local bin = { from_ns = 2e9, width_ns = 2e9, asked = 6, issued = 4, completed = 3, failed = 1, good = 2, tokens_out = 30,
         inflight = 5, inflight_max = 7, latency_p50 = 2e6, latency_p99 = 4e6, lateness_max = 15e3, failures = { reset = 1 } }
      local text = series.text {
         phases = { { name = "a", slo = {}, series = { bin, bin } }, { name = "b", series = { bin } }, { name = "c" } },
      }
      local lines = {}
      for line in text:gmatch "([^\n]*)\n" do lines[#lines + 1] = engine.json.decode(line) end
      assert.equal(3, #lines)
      assert.same({ phase = "a", from_s = 2, width_s = 2, asked = 6, issued = 4, completed = 3, failed = 1, rate_asked_per_s = 3,
         rate_delivered_per_s = 2, qps = 1.5, output_tokens_per_s = 15, good_per_s = 1, in_flight = 5, in_flight_max = 7,
         latency_p50_ms = 2, latency_p99_ms = 4, lateness_max_us = 15, failures = { reset = 1 } }, lines[1])
      assert.same({ "b", nil }, { lines[3].phase, lines[3].good_per_s })
   end)
end)

describe("perigee.report.config", function()
   it("holds no secret", function()
      local p = plan {
         options = { key = { "s3cret-key", "" }, url = { "http://user:pass@host/v1", "" }, password = { "hunter2", "" }, n = { 1, "" } },
         target = perigee.target.openai_chat {
            url = perigee.opt "url", api_key = perigee.opt "key",
            headers = { ["X-Api-Key"] = "abcdef", Authorization = "Basic dXNlcg==", ["X-Other"] = "abcdef and more" },
            extra = { nested = { access_token = "tok-1" }, list = { 1, 2 }, secret = 12345678 },
         },
         requests = 1, setup = function() end,
      }
      local data = config.describe(p, { file = "s.lua" })
      local text = engine.json.encode(data)
      for _, secret in ipairs { "s3cret-key", "user:pass", "hunter2", "abcdef", "dXNlcg", "tok-1", "12345678" } do
         assert.is_nil(text:find(secret, 1, true), secret)
      end
      assert.equal("http://[redacted]@host/v1", data.options.url)
      assert.equal("[redacted]", data.options.key)
      assert.equal("[redacted]", data.phases[1].target.api_key)
      assert.equal(1, data.options.n)
      assert.equal("s.lua", data.run.file)
      assert.equal("key [redacted]!", config.clean("key s3cret-key!", p))
      assert.equal("mock:mode=max,api-key=[redacted],seed=1", config.clean("mock:mode=max,api-key=abc,seed=1", p))
   end)

   it("hides a key from the environment wherever it shows up", function()
      local p = plan { target = perigee.target.openai_chat { url = "x", api_key_env = "PATH" } }
      assert.equal("PATH", config.describe(p).phases[1].target.api_key_env)
      assert.equal("Bearer [redacted]", config.clean("Bearer " .. os.getenv "PATH", p))
   end)

   it("describes functions, datasets and lists", function()
      local p = plan { request = function() return "x" end, load = perigee.load.gaps(function() return 1 end), checks = { "qps > 1" },
         order = { 1 }, target = perigee.target.http { url = { "a", "b" }, body = { 1, x = 2 } } }
      local phase = config.describe(p).phases[1]
      assert.matches("function@.*report_spec.lua:%d+", phase.request)
      assert.matches("function@", phase.load.fn)
      assert.same({ "table", 1 }, { phase.dataset.source, phase.dataset.samples })
      assert.same({ "qps > 1" }, { unpack(phase.checks) })
      assert.same({ "a", "b" }, { unpack(phase.target.url) })
      assert.equal("string", type(engine.json.encode(config.describe(p))))
   end)
end)

describe("perigee.report.table", function()
   it("aligns columns", function()
      assert.same({ "  a     10  x", "  long   2  y" }, align({ { "a", "10", "x" }, { "long", "2", "y" } }, "  "))
      assert.same({ "größe  1", "b      2" }, align({ { "größe", "1" }, { "b", "2" } }, ""))
   end)

   it("shows a phase with its numbers, errors and checks", function()
      local compiled = checks.compile({ "latency.p99 < 1ms", "issued == 10" }, "x")
      local report = support.phase_report { completed = 8, failed = 2, errors = { http_429 = 2 },
         error_examples = { http_429 = "slow\r\n \27[31mdown" }, finish_reasons = { stop = 8 },
         latency = support.distribution(5e6), lateness = support.distribution(12e3), tokens_out = 16, token_responses = 8 }
      local text = report_table.render(build(report, checks.evaluate(compiled, report, {})))
      assert.equal([[
t: ok
  warning: w

steady (performance): 10 requests in 2.00 s, ended by requests
  completed 8  failed 2  (http_429 2)
  first http_429: slow ?[31mdown
  completed 4/s  output 8 tokens/s
  finish reasons: stop 8
               mean       p50       p90       p95       p99     p99.9      max
  latency   5.00 ms  ~5.00 ms  ~5.00 ms  ~5.00 ms  ~5.00 ms  ~5.00 ms  5.00 ms
  lateness  12.0 us  ~12.0 us  ~12.0 us  ~12.0 us  ~12.0 us  ~12.0 us  12.0 us
  FAIL  latency.p99 < 1ms  (5.00 ms)
  pass  issued == 10  (10)

~ fewer values than a claim takes: p50 11, p90 64, p95 130, p99 662, p99.9 6636
]], text)
   end)

   it("shows the latency with failures as infinite where there are some", function()
      local with_failures = { count = 700, failures = 40, p50 = 6e6, p90 = 7e6 }
      local report = support.phase_report { latency = support.distribution(5e6, { count = 660 }), latency_with_failures = with_failures }
      local text = report_table.render(build(report))
      support.contains("\n  failed = inf      inf  6.00 ms  7.00 ms      inf       inf      ~inf      inf\n", text)
      with_failures.failures = 0
      assert.is_nil(report_table.render(build(report)):find("failed = inf", 1, true))
      report.latency, with_failures.failures, with_failures.p50, with_failures.p90 = nil, 700, nil, nil -- not one success
      support.contains("  failed = inf   inf  inf  inf  inf  inf   ~inf  inf\n", report_table.render(build(report)))
   end)

   it("marks percentiles of too few values, and says so where one is marked", function()
      local function text(count, changes)
         local report = support.phase_report(changes)
         report.latency = support.distribution(5e6, { count = count })
         return report_table.render(build(report))
      end
      support.contains("  latency  5.00 ms  5.00 ms  5.00 ms  5.00 ms  ~5.00 ms  ~5.00 ms  5.00 ms\n", text(661))
      support.contains("  latency  5.00 ms  5.00 ms  5.00 ms  5.00 ms  5.00 ms  ~5.00 ms  5.00 ms\n\n~ fewer", text(6635))
      assert.is_nil(text(6636):find("~", 1, true))
      local tagged = text(10000, { tags = { a = support.phase_report { latency = support.distribution(1e6, { count = 661 }) } } })
      support.contains("\n\n~ fewer values", tagged)
      support.contains("  a        10       0      1.00 ms     ~1.00 ms", tagged)
   end)

   it("lets nothing from outside break a line or steer a terminal", function()
      local report = support.phase_report { tags = { ["a\nb\27[2J\255"] = support.phase_report() } }
      local text = report_table.render(build(report, { { check = "x\ty", passed = false, detail = "no\27[7m\nwhy" } }))
      support.contains("\n  a b?[2J?      10       0", text)
      support.contains("\n  FAIL  x y  (no?[7m why)\n", text)
      assert.is_nil(text:find "[%z\1-\9\11-\31\127-\255]")
   end)

   it("shows the goodput, the steady window, the tags and where the histogram took over", function()
      local report = support.phase_report {
         good = 8, slo = { ttft = 500e6, tpot = 50e6 }, lateness = support.distribution(12e3, { exact = true }),
         latency = support.distribution(5e6, { exact = false }),
         steady = { from_ns = 3e9, to_ns = 13e9, completed = 50, failed = 0, rate_low = 4.5, rate_high = 5.5, latency_p50 = 4e6,
            latency_p99 = 9e6, tokens_out = 0, good = 0 },
         tags = {
            b = support.phase_report { issued = 4, failed = 1, good = 0 },
            a = support.phase_report { issued = 6, good = 0, ttft = support.distribution(2e6) },
         },
      }
      local text = report_table.render(build(report))
      for _, line in ipairs {
         "  good (tpot <= 50.0 ms, ttft <= 500 ms): 8 requests, 80%  4/s",
         "  percentiles of latency are from a histogram, at most 0.1% above",
         "  steady from 3.00 s: completed 5/s (95% in 4.50..5.50)  latency p50 4.00 ms p99 9.00 ms",
         "  tag  issued  failed  latency p50  latency p99  ttft p50  ttft p99",
         "  a         6       0            -            -  ~2.00 ms  ~2.00 ms",
         "  b         4       1            -            -         -         -",
      } do support.contains("\n" .. line .. "\n", text) end
   end)

   it("shows the busiest tags alone when there are many", function()
      local tags = {}
      for i = 1, 25 do tags["t" .. i] = support.phase_report { issued = i } end
      local text = report_table.render(build(support.phase_report { tags = tags }))
      support.contains("\n  and 5 more tags in summary.json\n", text)
      support.contains("\n  t25 ", text)
      assert.is_nil(text:find("\n  t5 ", 1, true))
   end)
end)

describe("perigee.report.files", function()
   after_each(support.clean)

   it("replaces a file whole and leaves nothing beside it", function()
      local path = support.file("summary.txt", "old")
      assert.is_true(files.write(path, "new"))
      assert.equal("new", support.read(path))
      assert.is_nil(io.open(path .. ".tmp"))
   end)

   it("writes summary.json, summary.txt, series.jsonl, config.json and the histograms", function()
      local path, folder = support.file("x", "")
      for _, name in ipairs { "summary.json", "summary.txt", "series.jsonl", "config.json", "histograms.hgrm", "histograms.hlog",
         "report.html" } do
         table.insert(support.made, 1, folder .. "/" .. name)
      end
      local built = build(support.phase_report())
      assert.same({}, files.write_run(folder, built, "text\n", { phases = {} }, {}))
      assert.equal("t", engine.json.decode(support.read(folder .. "/summary.json")).scenario)
      assert.equal("text\n", support.read(folder .. "/summary.txt"))
      assert.equal("", support.read(folder .. "/series.jsonl"))
      assert.equal("t", engine.json.decode(support.read(folder .. "/config.json")).name)
      assert.equal("", support.read(folder .. "/histograms.hgrm"))
      assert.is_string(path)
   end)

   it("names the path that cannot be written", function()
      local ok, message = files.write("/no/such/folder/summary.json", "x")
      assert.is_nil(ok)
      support.contains("/no/such/folder/summary.json", message)
      assert.equal(7, #files.write_run("/no/such/folder", build(support.phase_report()), "x", { phases = {} }, {}))
   end)
end)
