--- What programs for language models say of a stream beside what the endpoint knows of it: an endpoint that waits before each
--- token writes down when each answer's first and last bytes went out. Prints how far each one's percentiles are from those,
--- with its CPU time per request, and writes tests/bench/results/llm.json. The client has core 0, the endpoint core 1.
---   tests/bench/lua llm [requests] [in flight] [pattern of names]   default: 800, 8, all
local engine = require "perigee_engine"
local measure = require "measure"
local peers = require "peers"
local align = require "perigee.align"
local results = require "results"

local json, null = engine.json, engine.json.null

local REQUESTS, CONNECTIONS = tonumber(arg[1]) or 800, tonumber(arg[2]) or 8
local ONLY = arg[3] or ""
local FIGURES = { "ttft_p50_ms", "ttft_p99_ms", "latency_p50_ms", "latency_p99_ms" }

local function perigee(transport)
   local row = measure.perigee("perigee " .. transport, ("--transport %s --workers 0"):format(transport))
   local count, phase = row.count, nil
   row.count = function(output, job)
      local n
      n, phase = count(output, job)
      return n
   end
   row.figures = function()
      return {
         ttft_p50_ms = phase.ttft_ms.p50, ttft_p99_ms = phase.ttft_ms.p99, latency_p50_ms = phase.latency_ms.p50,
         latency_p99_ms = phase.latency_ms.p99,
      }
   end
   return row
end

local function percentile(sorted, q) return sorted[math.max(1, math.ceil(q * #sorted))] end

-- What the endpoint wrote down of its last answers: those before are probes of the client.
local function truth(path, requests)
   local ttft, latency, lines = {}, {}, {}
   for line in io.lines(path) do lines[#lines + 1] = line end
   for i = math.max(1, #lines - requests + 1), #lines do
      local r = json.decode(lines[i])
      latency[#latency + 1] = (r.finished_ns - r.received_ns) / 1e6
      ttft[#ttft + 1] = r.first_ns ~= 0 and (r.first_ns - r.received_ns) / 1e6 or nil
   end
   table.sort(ttft)
   table.sort(latency)
   return {
      ttft_p50_ms = percentile(ttft, 0.5), ttft_p99_ms = percentile(ttft, 0.99), latency_p50_ms = percentile(latency, 0.5),
      latency_p99_ms = percentile(latency, 0.99),
   }
end

-- The start is part of the CPU time of one run, so a short run goes first and is taken off.
local function measured(row, dir)
   local log = dir .. "/answers.jsonl"
   local process, url = measure.endpoint("--mode", "timed", "--ttft", "20ms", "--tpot", "2ms", "--tokens", "16", "--log", log)
   local job = {
      url = url, body_file = measure.body(dir, true), connections = CONNECTIONS, dir = dir, streamed = true, seconds = measure.SECONDS,
   }
   local us, rate = measure.round(row, job, math.floor(REQUESTS / 4), REQUESTS)
   process:stop(5)
   return us, rate, row.figures(job), truth(log, REQUESTS)
end

local function row_of(row, dir)
   local us, rate, said, known = measured(row, dir)
   local r = {
      tool = row.name, version = row.version or null, cpu_us_per_request = us or null, requests_per_s = rate or null,
      endpoint = known, said = said,
      error_ms = {},
   }
   for _, name in ipairs(FIGURES) do r.error_ms[name] = said[name] and said[name] - known[name] or null end
   return r
end

local function show(list)
   local lines = { { "error of what it says, ms", "ttft p50", "p99", "latency p50", "p99", "CPU us", "requests/s" } }
   for _, r in ipairs(list) do
      local line = { r.tool }
      for _, name in ipairs(FIGURES) do line[#line + 1] = r.error_ms[name] == null and "-" or ("%+.2f"):format(r.error_ms[name]) end
      for _, v in ipairs { r.cpu_us_per_request, r.requests_per_s } do line[#line + 1] = v == null and "-" or ("%.0f"):format(v) end
      lines[#lines + 1] = line
   end
   for _, line in ipairs(align(lines, "")) do print(line) end
end

measure.main("llm", function(dir)
   local result = results.start("llm", "tests/bench/lua llm " .. table.concat(arg, " "))
   local rows, skipped = peers.rows()
   table.insert(rows, 1, perigee "direct")
   table.insert(rows, 2, perigee "curl")
   for _, row in ipairs(rows) do
      if row.figures and row.name:find(ONLY) then
         local ok, r = pcall(row_of, row, dir)
         if ok then table.insert(result.rows, r) else table.insert(skipped, ("%s: %s"):format(row.name, r)) end
      end
   end
   show(result.rows)
   for _, text in ipairs(skipped) do print("skipped: " .. text) end
   result.requests, result.connections, result.skipped = REQUESTS, CONNECTIONS, skipped
   print("written to " .. results.save(result))
end)
