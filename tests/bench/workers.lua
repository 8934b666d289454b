--- What HTTP workers cost and what they take off the thread that measures, by both transports: as many requests as there can be
--- (64 in flight), an open load, and slow streams. Prints a table for each and writes tests/bench/results/workers.json. The
--- endpoint has core 1, the client all cores. lua/perigee/workers.lua chooses by these figures.
---   tests/bench/lua workers [seconds of each row] [pattern of tables]   default: 3, all
local engine = require "perigee_engine"
local files = require "files"
local measure = require "measure"
local align = require "perigee.align"
local results = require "results"

local json, null = engine.json, engine.json.null

local SECONDS = tonumber(arg[1]) or 3
local ONLY = arg[2] or ""
local RATE = 10000 -- of the open load
local SLOW = { "--mode", "timed", "--ttft", "100ms", "--tpot", "20ms", "--tokens", "26", "--token-bytes", "10" }
local FAST = { "--mode", "max", "--tokens", "16", "--token-bytes", "10" }

local SCENARIO = [[
local perigee = require "perigee"
local ended = 0
return perigee.scenario {
   name = "workers", options = { seconds = { 1, "of the phase", "number" } },
   target = perigee.target.openai_chat { url = "%s", model = "m", stream = %s },
   dataset = { ("x"):rep(440) },
   on = { complete = function() ended = ended + 1 end },
   phases = {
      { "warmup", kind = "warmup", load = perigee.load.concurrency(200), requests = 200 },
      { "steady", load = perigee.load.%s, duration = perigee.opt "seconds" },
   },
}
]]

local KINDS = {
   { title = "64 in flight", load = "concurrency(64)", stream = false, endpoint = FAST },
   { title = "64 in flight, streams of 16 events", load = "concurrency(64)", stream = true, endpoint = FAST },
   { title = ("%d/s Poisson"):format(RATE), load = ("poisson(%d)"):format(RATE), stream = false, endpoint = FAST },
   { title = ("%d/s Poisson, streams of 16 events"):format(RATE), load = ("poisson(%d)"):format(RATE), stream = true, endpoint = FAST },
   { title = "1000 streams in flight, 50 events a second each", load = "concurrency(1000)", stream = true, endpoint = SLOW },
}

-- The phase of a run, and the CPU time of the whole process.
local function run(job, transport, workers, seconds)
   local command = ("scripts/perigee run %s --out %s/report --progress none --quiet --seconds %g --transport %s --workers %d"):format(
      job.file, job.dir, seconds, transport, workers)
   local output, cpu = measure.run(command, job.dir, "0,1")
   local summary = json.decode(files.read(job.dir .. "/report/summary.json"))
   if not summary then error(("no report:\n%s\n%s"):format(command, output), 0) end
   return summary.phases[2], cpu
end

-- The start is no part of the CPU time: a short run is taken off a longer one.
local function row_of(kind, job, transport, workers)
   local short, cpu0 = run(job, transport, workers, SECONDS / 3)
   local phase, cpu = run(job, transport, workers, SECONDS)
   local c, n = phase.client, phase.completed
   local function each(share) return share and share ~= null and share * phase.duration_s * 1e6 / n or null end
   return {
      load = kind.title, transport = transport, workers = workers, requests_per_s = n / phase.duration_s,
      cpu_us_per_request = (cpu - cpu0) * 1e6 / (n - short.completed),
      session_us_per_request = each(c.busy_share), worker_us_per_request = each(c.workers_busy_share),
      session_busy_share = c.busy_share, workers_busy_share = c.workers_busy_share or null,
      lateness_p50_us = phase.lateness_us.p50, lateness_p99_us = phase.lateness_us.p99,
   }
end

local function cell(v, format) return (v == nil or v == null) and "-" or format:format(v) end

local function show(kind, rows)
   local lines = { { kind.title, "workers", "requests/s", "CPU us", "session us", "busiest worker us", "session busy", "worker busy",
      "lateness p50 us", "p99" } }
   for _, r in ipairs(rows) do
      lines[#lines + 1] = { r.transport, tostring(r.workers), cell(r.requests_per_s, "%.0f"), cell(r.cpu_us_per_request, "%.1f"),
         cell(r.session_us_per_request, "%.1f"), cell(r.worker_us_per_request, "%.1f"), cell(r.session_busy_share, "%.2f"),
         cell(r.workers_busy_share, "%.2f"), cell(r.lateness_p50_us, "%.1f"), cell(r.lateness_p99_us, "%.0f") }
   end
   for _, line in ipairs(align(lines, "")) do print(line) end
   print ""
   io.stdout:flush()
end

-- Both transports with 0, 1 and 2 workers.
local function rows_of(kind, dir)
   local process, url = measure.endpoint(unpack(kind.endpoint))
   local job = { dir = dir, file = files.write(dir .. "/workers.lua", SCENARIO:format(url, tostring(kind.stream), kind.load)) }
   local rows = {}
   for _, transport in ipairs { "direct", "curl" } do
      for workers = 0, 2 do rows[#rows + 1] = row_of(kind, job, transport, workers) end
   end
   process:stop(2)
   return rows
end

measure.main("workers", function(dir)
   local result = results.start("workers", "tests/bench/lua workers " .. table.concat(arg, " "))
   result.seconds = SECONDS
   for _, kind in ipairs(KINDS) do
      if kind.title:find(ONLY) then
         local rows = rows_of(kind, dir)
         show(kind, rows)
         for _, row in ipairs(rows) do result.rows[#result.rows + 1] = row end
      end
   end
   print("written to " .. results.save(result))
end)
