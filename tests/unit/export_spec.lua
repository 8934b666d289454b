--- The results in the forms of other tools: csv, prometheus, vllm, and what HdrHistogram's tools read.
local csv = require "perigee.export.csv"
local engine = require "perigee.engine"
local export = require "perigee.export"
local hdr = require "perigee.report.hdr"
local prometheus = require "perigee.export.prometheus"
local support = require "tests.unit.support"
local vllm = require "perigee.export.vllm"

local null = engine.json.null

local function distribution(count, value)
   return { count = count, mean = value, std = 0, min = value, max = value, p50 = value, p90 = value, p95 = value, p99 = value,
      ["p99.9"] = value }
end

local function phase(changes)
   local p = {
      name = 'say "hi", twice', kind = "performance", end_reason = "requests", duration_s = 2,
      issued = 4, completed = 3, failed = 1, abandoned = 0, cancelled = 0, dropped = 0,
      rate_asked_per_s = null, rate_delivered_per_s = 2.5, output_tokens_per_s = 9, tokens_in = 30, tokens_out = 18, chunks = 18,
      latency_ms = distribution(3, 250), ttft_ms = distribution(3, 0.1), service_time_ms = null, tpot_ms = null, itl_ms = null,
      lateness_us = distribution(4, 12), errors = { refused = 1 }, finish_reasons = { stop = 3 }, metrics = {}, checks = {},
   }
   for key, value in pairs(changes or {}) do p[key] = value end
   return p
end

local function summary(...)
   return { phases = { phase(...) }, started_at = "2025-03-01T12:34:56.123Z", config = { phases = {
      { name = 'say "hi", twice', load = { kind = "gamma", rate = 5, burstiness = 0.5 }, target = { model = "m" } } } } }
end

local REQUESTS = table.concat({
   '{"sample_uuid":"a","phase":"say \\"hi\\", twice","index":0,"ok":true,"scheduled_ns":1000000000,"issued_ns":1000001000,'
      .. '"finished_ns":1250000000,"latency_ms":250,"lateness_us":1,"ttft_ms":0.1,"tokens_in":10,"tokens_out":6,"text":"a,b"}',
   '{"sample_uuid":"b","phase":"say \\"hi\\", twice","index":1,"ok":false,"error":"refused","error_message":"no","scheduled_ns":1100000000,'
      .. '"issued_ns":1100000000,"finished_ns":1200000000,"latency_ms":100}',
   '{"sample_uuid":"c","phase":"other","index":0,"ok":true}',
}, "\n") .. "\n"

local function with_requests(text, fn)
   local path = os.tmpname()
   local file = assert(io.open(path, "wb"))
   file:write(text)
   file:close()
   local results = { fn(path) }
   os.remove(path)
   return unpack(results, 1, 3)
end

-- csv.requests() as one text.
local function requests_text(path)
   local parts = {}
   local ok, message = csv.requests(path, function(text) parts[#parts + 1] = text end)
   return ok and table.concat(parts) or nil, message
end

-- The fields of a line, which hold no line breaks.
local function fields(line)
   local out = {}
   for quoted, plain in (line .. ","):gmatch '()([^,"]*),' do out[#out + 1] = { quoted, plain } end
   return out
end

describe("csv", function()
   it("has a line for each phase, with distributions spread over columns", function()
      local head, line = csv.summary(summary()):match "^(.-)\r\n(.-)\r\n$"
      assert.equal("phase,kind,tag,", head:sub(1, 15))
      for _, name in ipairs { "latency_ms_p99", "lateness_us_count", "errors.refused", "finish_reasons.stop", "rate_asked_per_s" } do
         assert.truthy(("," .. head .. ","):find("," .. name .. ",", 1, true), name)
      end
      assert.is_nil(("," .. head .. ","):find(",tpot_ms,", 1, true)) -- absent, and no column that would never hold anything
      assert.equal('"say ""hi"", twice",performance,,0,', line:sub(1, 35))
   end)

   it("has the tags of a phase by their names", function()
      local p = phase { name = "plain", tags = {} }
      local names = {}
      for i = 1, 40 do p.tags[("tag%02d"):format(i * 7 % 40)] = { issued = i } end
      for name in csv.summary({ phases = { p } }):gmatch "plain,performance,(tag%d+)," do names[#names + 1] = name end
      assert.equal(40, #names)
      for i = 2, 40 do assert.is_true(names[i - 1] < names[i]) end
   end)

   it("has as many fields in each line", function()
      local p = phase { name = "plain" }
      p.tags = { long = { issued = 1, latency_ms = distribution(1, 2.5) } }
      local lines = {}
      for line in csv.summary({ phases = { p } }):gmatch "(.-)\r\n" do lines[#lines + 1] = line end
      assert.equal(3, #lines)
      assert.equal("plain,performance,long,", lines[3]:sub(1, 23))
      for _, line in ipairs(lines) do assert.equal(#fields(lines[1]), #fields(line), line) end
   end)

   it("keeps all digits of a number", function()
      local text = csv.summary { phases = { phase { duration_s = 0.1, rate_delivered_per_s = 1 / 3 } } }
      assert.truthy(text:find(",0.1,", 1, true))
      assert.truthy(text:find(",0.3333333333333333,", 1, true))
   end)

   it("has the requests with all their keys, empty where one has none", function()
      local text = with_requests(REQUESTS, requests_text)
      local lines = {}
      for line in text:gmatch "(.-)\r\n" do lines[#lines + 1] = line end
      assert.same({ 4, "sample_uuid,phase,index,", "c,other,0," }, { #lines, lines[1]:sub(1, 24), lines[4]:sub(1, 10) })
      assert.truthy(lines[2]:find('"a,b"', 1, true))
   end)

   it("leaves out a torn last line and refuses one in the middle", function()
      assert.truthy(with_requests(REQUESTS .. '{"sample_uuid":"d","pha', requests_text))
      local text, message = with_requests('{"a":1}\n{"b\n{"c":1}\n', requests_text)
      assert.is_nil(text)
      assert.truthy(message:find(":2: ", 1, true), message)
   end)

   it("names a file that is not there", function()
      local text, message = requests_text "/nowhere/requests.jsonl"
      assert.is_nil(text)
      assert.truthy(message:find("/nowhere/requests.jsonl", 1, true))
   end)
end)

describe("prometheus", function()
   local text = prometheus.render(summary())

   it("counts and measures in base units, labelled with the phase", function()
      for _, line in ipairs {
         'perigee_requests_total{phase="say \\"hi\\", twice",outcome="completed"} 3',
         'perigee_errors_total{phase="say \\"hi\\", twice",class="refused"} 1',
         'perigee_latency_seconds{phase="say \\"hi\\", twice",quantile="0.99"} 0.25',
         'perigee_latency_seconds_sum{phase="say \\"hi\\", twice"} 0.75',
         'perigee_latency_seconds_count{phase="say \\"hi\\", twice"} 3',
         'perigee_lateness_seconds{phase="say \\"hi\\", twice",quantile="0.5"} 1.2e-05',
         'perigee_tokens_total{phase="say \\"hi\\", twice",direction="out"} 18',
      } do
         assert.truthy(("\n" .. text):find("\n" .. line .. "\n", 1, true), line .. "\n" .. text)
      end
   end)

   it("says nothing of what is absent", function()
      assert.is_nil(text:find("perigee_rate_asked{", 1, true))
      assert.is_nil(text:find("perigee_tpot_seconds{", 1, true))
   end)

   it("tells each family once, with its type, before its samples", function()
      local types, current = {}, nil
      for line in text:gmatch "[^\n]+" do
         local name, kind = line:match "^# TYPE (%S+) (%S+)$"
         if name then
            assert.is_nil(types[name])
            types[name], current = kind, name
         elseif line:sub(1, 1) ~= "#" then
            assert.equal(current, line:sub(1, #current), line)
         end
      end
      assert.same({ "counter", "summary", "gauge" },
         { types.perigee_requests_total, types.perigee_ttft_seconds, types.perigee_rate_delivered })
   end)
end)

describe("vllm", function()
   local function result(requests, changes)
      local s = summary(changes)
      return with_requests(requests, function(path) return vllm.phase(s, s.phases[1], path) end)
   end

   it("has the keys of its result file in its units", function()
      local r = assert(result(REQUESTS))
      assert.same(
         { "20250301-123456", "m", 4, 3, 1, 2, 5, 0.5, null, 30, 18, 1.5, 9, 24 },
         { r.date, r.model_id, r.num_prompts, r.completed, r.failed, r.duration, r.request_rate, r.burstiness, r.max_concurrency,
            r.total_input_tokens, r.total_output_tokens, r.request_throughput, r.output_throughput, r.total_token_throughput })
      assert.same({ 250, 250, 250, 0, 0.1, null }, { r.mean_e2el_ms, r.median_e2el_ms, r.p99_e2el_ms, r.std_e2el_ms, r.p99_ttft_ms,
         r.mean_tpot_ms })
   end)

   it("lists the requests of the phase alone", function()
      local r = assert(result(REQUESTS))
      assert.same({ 10, 0 }, { r.input_lens[1], r.input_lens[2] })
      assert.same({ 2, 0.0001, 0.25, 1, "a,b" }, { #r.ttfts, r.ttfts[1], r.latencies[1], r.start_times[1], r.generated_texts[1] })
      assert.same({ "", "refused: no" }, { r.errors[1], r.errors[2] })
      assert.equal(2, r.max_concurrent_requests)
   end)

   it("tells the goodput, and what the target speaks by its own names", function()
      local r = assert(result(REQUESTS, { goodput = { good = 2, per_s = 1.25 } }))
      assert.same({ 1.25, null }, { r.request_goodput, r.backend })
      assert.equal(null, assert(result(REQUESTS)).request_goodput)
      for kind, name in pairs { openai_chat = "openai-chat", openai_completions = "openai", http = null } do
         local s = summary()
         s.config.phases[1].target.kind = kind
         r = with_requests(REQUESTS, function(path) return vllm.phase(s, s.phases[1], path) end)
         assert.same({ name, name }, { r.backend, r.endpoint_type })
      end
   end)

   it("tells a closed load by its concurrency", function()
      local s = summary()
      s.config.phases[1].load = { kind = "concurrency", n = 16 }
      local r = with_requests(REQUESTS, function(path) return vllm.phase(s, s.phases[1], path) end)
      assert.same({ "inf", 1, 16 }, { r.request_rate, r.burstiness, r.max_concurrency })
   end)
end)

describe("histograms", function()
   local list = {
      { phase = "a b", metric = "latency", max = 5e6, started_ns = 2e9, ended_ns = 3.5e9, percentiles = "TEXT\n", encoded = "HIST" },
      { phase = "a b", metric = "ttft", max = 4e6, started_ns = 2e9, ended_ns = 3.5e9, percentiles = "MORE\n", encoded = "MORE" },
   }

   it("are titled in histograms.hgrm", function()
      assert.equal("#[a b.latency, ms]\nTEXT\n\n#[a b.ttft, ms]\nMORE\n\n", hdr.percentiles(list))
   end)

   it("are tagged lines of a histogram log", function()
      local text = hdr.log(list, summary())
      assert.equal("#[Histogram log format version 1.3]\n", text:sub(1, 36))
      assert.truthy(text:find("\nTag=a_b.latency,0.000,1.500,5.000,HIST\nTag=a_b.ttft,0.000,1.500,4.000,MORE\n", 1, true), text)
   end)
end)

describe("the list of forms", function()
   after_each(support.clean)

   it("is read with blanks", function()
      assert.same({ "csv", "vllm" }, export.parse "csv, vllm")
   end)

   it("names what it knows when there is another", function()
      for _, text in ipairs { "cvs", "", "csv,", "csv vllm" } do
         local names, expected = export.parse(text)
         assert.same({ nil, "some of csv, prometheus, vllm" }, { names, expected })
      end
   end)

   it("tells each file that could not be written", function()
      local problems = export.write({ "prometheus" }, "/nowhere", summary(), "/nowhere/requests.jsonl")
      assert.equal(1, #problems)
      assert.truthy(problems[1]:find("^export prometheus: /nowhere/metrics.prom"))
   end)

   it("leaves no part of a file whose requests cannot be read", function()
      local folder = select(2, support.file("requests.jsonl", '{"a":1}\n{"b\n{"c":1}\n'))
      local problems = export.write({ "csv" }, folder, summary(), folder .. "/requests.jsonl")
      assert.equal(1, #problems)
      assert.truthy(problems[1]:find("^export csv: .*/requests.jsonl:2: "), problems[1])
      for name, there in pairs { ["summary.csv"] = true, ["requests.csv"] = false, ["requests.csv.tmp"] = false } do
         local file = io.open(folder .. "/" .. name)
         assert.equal(there, file ~= nil, name)
         if file then file:close() end
         os.remove(folder .. "/" .. name)
      end
   end)

   it("has a file for each phase, also where only signs differ", function()
      local path, folder = support.file("requests.jsonl", '{"phase":"a/b","index":1}\n')
      local s = { phases = { phase { name = "a b" }, phase { name = "a/b" }, phase { name = "a_b-2" } }, config = {} }
      assert.same({}, export.write({ "vllm" }, folder, s, path))
      for name, count in pairs { a_b = 0, ["a_b-2"] = 1, ["a_b-2-2"] = 0 } do
         local result = assert(engine.json.decode(support.read(folder .. "/vllm-" .. name .. ".json")))
         assert.equal(count, #result.latencies, name)
         os.remove(folder .. "/vllm-" .. name .. ".json")
      end
   end)
end)
