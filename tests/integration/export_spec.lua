--- The results of a run for other tools, read by some of them.
---   PERIGEE_PYTHON   a Python with hdrhistogram (python3)
local drive = require "drive"
local engine = require "perigee_engine"

local json = engine.json
local PYTHON = os.getenv "PERIGEE_PYTHON" or "python3"

local SCENARIO = [[return perigee.scenario {
   target = perigee.target.openai_chat { url = "mock:", model = "m" },
   dataset = { { prompt = "a b c" } }, load = perigee.load.constant(400),
   phases = { { "first one", requests = 60 }, { "second", requests = 40 } } }]]

local READER = [[
import sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 3600000000000, 3))
while True:
    h = reader.get_next_interval_histogram()
    if h is None:
        break
    print(h.get_tag(), h.get_total_count(), h.get_value_at_percentile(50), h.get_max_value())
]]

-- All intervals of a tag as one histogram: "TAG intervals count p50 p99 max"; the stamps go up.
local ADDER = [[
import sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 3600000000000, 3))
sums, intervals, ends = {}, {}, {}
while True:
    h = reader.get_next_interval_histogram()
    if h is None:
        break
    tag = h.get_tag()
    sums.setdefault(tag, HdrHistogram(1, 3600000000000, 3)).add(h)
    intervals[tag] = intervals.get(tag, 0) + 1
    assert h.get_start_time_stamp() >= ends.get(tag, 0) - 1, tag
    assert h.get_start_time_stamp() > 1.6e12, "no time of the day"
    ends[tag] = h.get_end_time_stamp()
for tag, h in sums.items():
    print(tag, intervals[tag], h.get_total_count(), h.get_value_at_percentile(50), h.get_value_at_percentile(99), h.get_max_value())
]]

describe("a run's folder", function()
   local dir, r

   setup(function()
      dir = drive.tempdir()
      r = drive.perigee("run", drive.scenario(dir, SCENARIO), "--out", dir .. "/out", "--export", "csv,prometheus,vllm", "--quiet")
   end)

   teardown(function() os.execute("rm -rf " .. drive.quote(dir)) end)

   local function summary() return assert(json.decode(drive.read(dir .. "/out/summary.json"))) end

   it("has the forms that were asked for", function()
      assert.equal(0, r.code, r.err)
      local lines = select(2, drive.read(dir .. "/out/requests.csv"):gsub("\r\n", ""))
      assert.equal(101, lines)
      assert.equal(3, select(2, drive.read(dir .. "/out/summary.csv"):gsub("\r\n", "")))
      assert.truthy(drive.read(dir .. "/out/metrics.prom"):find('perigee_requests_total{phase="second",outcome="completed"} 40\n', 1, true))
      local vllm = assert(json.decode(drive.read(dir .. "/out/vllm-first_one.json")))
      assert.same({ 60, 60, 180, 400 }, { vllm.completed, #vllm.ttfts, vllm.total_output_tokens, vllm.request_rate })
   end)

   it("has the gaps of each request in vLLM's form", function()
      local phase = summary().phases[1]
      local vllm = assert(json.decode(drive.read(dir .. "/out/vllm-first_one.json")))
      local sum, count = 0, 0
      for i, gaps in ipairs(vllm.itls) do
         assert.equal(vllm.output_lens[i] - 1, #gaps) -- a token in a chunk
         for _, s in ipairs(gaps) do sum, count = sum + s * 1e3, count + 1 end
      end
      assert.equal(phase.itl_ms.count, count)
      assert.is_true(count > 0 and math.abs(sum / count - phase.itl_ms.mean) < 1e-6)
      local without = drive.run([[return perigee.scenario {
         target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a b c" }, requests = 2 }]], "--log", "off", "--export", "vllm")
      assert.same({ {}, {} }, json.decode(drive.read(without.dir .. "/vllm-performance.json")).itls)
   end)

   it("has histograms that HdrHistogram's reader reads, with the report's own numbers", function()
      if drive.shell(PYTHON .. " -c 'import hdrh'").code ~= 0 then return pending(PYTHON .. " cannot import hdrh") end
      drive.write(dir .. "/reader.py", READER)
      local read = drive.shell(("%s %s/reader.py %s/out/histograms.hlog"):format(PYTHON, dir, dir))
      assert.equal(0, read.code, read.err)
      local seen = {}
      for tag, count, p50, max in read.out:gmatch "(%S+) (%d+) (%d+) (%d+)\n" do
         seen[tag] = { tonumber(count), tonumber(p50), tonumber(max) }
      end
      local phases = summary().phases
      for name, phase in pairs { first_one = phases[1], second = phases[2] } do
         local ours, theirs = phase.latency_ms, assert(seen[name .. ".latency"], read.out)
         assert.equal(ours.count, theirs[1])
         for i, value in ipairs { ours.p50, ours.max } do -- three digits, rounded up
            assert.is_true(theirs[i + 1] >= value * 1e6 - 1 and theirs[i + 1] <= value * 1e6 * 1.001, read.out)
         end
      end
   end)

   it("gets a histogram log over time of its log, which adds up to the whole", function()
      if drive.shell(PYTHON .. " -c 'import hdrh'").code ~= 0 then return pending(PYTHON .. " cannot import hdrh") end
      local again = drive.perigee("report", dir .. "/out/events.plog", "--out", dir .. "/over", "--hlog-interval", "20ms")
      assert.equal(0, again.code, again.err)
      drive.write(dir .. "/adder.py", ADDER)
      local read = drive.shell(("%s %s/adder.py %s/over/histograms.hlog"):format(PYTHON, dir, dir))
      assert.equal(0, read.code, read.err)
      local seen = {}
      for tag, n, rest in read.out:gmatch "(%S+) (%d+) (%d+ %d+ %d+ %d+)\n" do seen[tag] = { tonumber(n), rest } end
      assert.equal(0, drive.perigee("report", dir .. "/out/events.plog", "--out", dir .. "/over2", "--hlog-interval", "1h").code)
      local whole = drive.shell(("%s %s/adder.py %s/over2/histograms.hlog"):format(PYTHON, dir, dir))
      local tags = 0
      for tag, n, rest in whole.out:gmatch "(%S+) (%d+) (%d+ %d+ %d+ %d+)\n" do
         tags = tags + 1
         assert.same({ "1", rest }, { n, seen[tag] and seen[tag][2] }, tag)
      end
      assert.is_true(tags > 10 and seen["first_one.latency"][1] > 3 and seen["first_one.latency"][1] <= 60, read.out)
      for name, phase in pairs { first_one = summary().phases[1], second = summary().phases[2] } do
         assert.equal(phase.latency_ms.count, tonumber(seen[name .. ".latency"][2]:match "%d+"))
         assert.equal(phase.itl_ms.count, tonumber(seen[name .. ".itl"][2]:match "%d+"))
      end
      assert.equal(drive.read(dir .. "/out/summary.json"), drive.read(dir .. "/over/summary.json"))
   end)

   it("has the same files when the report is made from the log", function()
      local again = drive.perigee("report", dir .. "/out/events.plog", "--out", dir .. "/again", "--export", "csv,prometheus,vllm")
      assert.equal(0, again.code, again.err)
      for _, name in ipairs { "requests.jsonl", "report.html", "series.jsonl", "histograms.hgrm", "histograms.hlog", "summary.csv",
         "requests.csv", "metrics.prom", "vllm-first_one.json", "vllm-second.json" } do
         assert.equal(drive.read(dir .. "/out/" .. name), drive.read(dir .. "/again/" .. name), name)
      end
   end)
end)

describe("--hlog-interval", function()
   it("needs a folder and a length", function()
      for _, row in ipairs {
         { { "--hlog-interval", "1s" }, "--hlog-interval needs --out, the folder it writes to" },
         { { "--out", "/nowhere/x", "--hlog-interval", "0.1ms" }, "option --hlog-interval: at least 1ms expected" },
         { { "--out", "/nowhere/x", "--hlog-interval", "often" }, "option --hlog-interval: " },
      } do
         local r = drive.perigee("report", "events.plog", unpack(row[1]))
         assert.equal(2, r.code)
         assert.truthy(r.err:find(row[2], 1, true), r.err)
      end
   end)
end)

describe("--export", function()
   it("names its forms", function()
      local r = drive.perigee("run", "examples/quickstart.lua", "--export", "xlsx")
      assert.same({ 2, "perigee run: option --export: some of csv, prometheus, vllm expected, got 'xlsx'\n" }, { r.code, r.err })
   end)

   it("needs a folder when it reports a log", function()
      local r = drive.perigee("report", "x.plog", "--export", "csv")
      assert.same({ 2, "perigee report: --export needs --out, the folder it writes to\n" }, { r.code, r.err })
   end)

   it("tells what could not be written, and the run counts as incomplete", function()
      local dir = drive.tempdir()
      os.execute(("mkdir -p %s/out/metrics.prom"):format(dir))
      local r = drive.perigee("run", drive.scenario(dir, SCENARIO), "--out", dir .. "/out", "--export", "prometheus", "--quiet")
      os.execute("rm -rf " .. drive.quote(dir))
      assert.equal(1, r.code)
      assert.truthy(r.err:find("metrics.prom", 1, true), r.err)
   end)
end)
