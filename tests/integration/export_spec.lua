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

   it("has the same files when the report is made from the log", function()
      local again = drive.perigee("report", dir .. "/out/events.plog", "--out", dir .. "/again", "--export", "csv,prometheus,vllm")
      assert.equal(0, again.code, again.err)
      for _, name in ipairs { "requests.jsonl", "report.html", "series.jsonl", "histograms.hgrm", "histograms.hlog", "summary.csv",
         "requests.csv", "metrics.prom", "vllm-first_one.json", "vllm-second.json" } do
         assert.equal(drive.read(dir .. "/out/" .. name), drive.read(dir .. "/again/" .. name), name)
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
