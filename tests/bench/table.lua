--- What a request costs, perigee beside its peers (tests/bench/install-peers gets them): CPU time, system calls and
--- instructions of the client, which has one core for itself; the built-in endpoint has the other. Prints two tables, whole
--- answers and streams of 16 events, and writes them to tests/bench/results/requests.json.
---   tests/bench/lua table [requests per round] [rounds] [pattern of names]   40000, 3, all
local engine = require "perigee_engine"
local measure = require "measure"
local peers = require "peers"
local align = require "perigee.align"
local results = require "results"

local null = engine.json.null

local function number_of(i, default)
   return arg[i] and assert(tonumber(arg[i]), ("a number expected, got '%s'"):format(arg[i])) or default
end
local REQUESTS, ROUNDS = number_of(1, 40000), number_of(2, 3)
local ONLY = arg[3] -- these rows and wrk

-- With all that a run keeps; and with as little as it can do.
local function perigee_rows()
   local rows = {}
   for _, transport in ipairs { "direct", "curl" } do
      local options = "--transport " .. transport
      rows[#rows + 1] = measure.perigee("perigee " .. transport, options .. " --workers 0")
      rows[#rows + 1] = measure.perigee(("perigee %s, no events"):format(transport), options .. " --workers 0 --events off --log off")
      rows[#rows + 1] = measure.perigee(("perigee %s, 1 worker"):format(transport), options .. " --workers 1")
   end
   return rows
end

local function all_rows()
   local rows = perigee_rows()
   local others, skipped = peers.rows()
   for _, row in ipairs(others) do rows[#rows + 1] = row end
   local chosen = {}
   for _, row in ipairs(rows) do
      if not ONLY or row.name == "wrk" or row.name:find(ONLY) then chosen[#chosen + 1] = row end
   end
   return chosen, skipped
end

local function median(list)
   local copy = { unpack(list) }
   table.sort(copy)
   return copy[math.ceil(#copy / 2)]
end

local function round(row, job)
   if row.few and row.us[1] then return row.us[1], row.rate[1] end -- once will do
   local few, more = job.connections, row.slow and REQUESTS / 4 or REQUESTS
   if row.few then few, more = row.few, row.few * 5 end
   local us, rate = measure.round(row, job, few, more)
   if not us then error("too few requests: their CPU time is lost in that of the start", 0) end
   return us, rate
end

-- A peer that fails costs its row, not the table: its message is printed, and it is left out.
local function try(row, broken, f, ...)
   local ok, a, b = pcall(f, row, ...)
   if ok then return a, b end
   broken[row.name] = a
   return nil
end

local function time(rows, job, broken)
   for _, row in ipairs(rows) do row.us, row.rate, row.ratio = {}, {}, {} end
   for i = 1, ROUNDS do -- the programs take turns, so that what the machine does meets all alike
      local wrk
      for _, row in ipairs(rows) do
         if not broken[row.name] then row.us[i], row.rate[#row.rate + 1] = try(row, broken, round, job) end
      end
      for _, row in ipairs(rows) do wrk = row.name == "wrk" and row.us[i] or wrk end
      for _, row in ipairs(rows) do row.ratio[i] = wrk and row.us[i] and row.us[i] / wrk end
   end
end

local function count(rows, job, broken, counters)
   local list = {}
   for _, row in ipairs(rows) do
      local calls = not broken[row.name] and try(row, broken, measure.syscalls, job)
      local by_valgrind = not broken[row.name] and try(row, broken, measure.instructions, job)
      local by_processor = not broken[row.name] and counters and try(row, broken, measure.counted_instructions, job)
      if not broken[row.name] then
         list[#list + 1] = {
            tool = row.name, version = row.version or null, answer = job.streamed and "stream" or "whole",
            command = row.command(measure.of(job, REQUESTS)):gsub(job.dir, "DIR"):gsub(job.url, "URL"),
            cpu_us_per_request = median(row.us), cpu_us_least = math.min(unpack(row.us)),
            ratio_to_wrk = row.ratio[1] and median(row.ratio) or null, requests_per_s = row.rate[1] and median(row.rate) or null,
            syscalls_per_request = calls or null, instructions_per_request = by_valgrind or null,
            counted_instructions_per_request = by_processor or null,
         }
      end
   end
   return list
end

local function cell(v, format) return v == null and "-" or format:format(v) end

local function show(list, title)
   local lines = { { title, "CPU us", "x wrk", "syscalls", "instructions", "requests/s" } }
   for _, r in ipairs(list) do
      local instructions = r.instructions_per_request ~= null and r.instructions_per_request or r.counted_instructions_per_request
      lines[#lines + 1] = { r.tool, cell(r.cpu_us_per_request, "%.1f"), cell(r.ratio_to_wrk, "%.2f"),
         cell(r.syscalls_per_request, "%.1f"), cell(instructions, "%.0f"), cell(r.requests_per_s, "%.0f") }
   end
   for _, line in ipairs(align(lines, "")) do print(line) end
   print ""
   io.stdout:flush()
end

measure.main("table", function(dir)
   local result = results.start("requests", "tests/bench/lua table " .. table.concat(arg, " "))
   result.requests, result.rounds, result.connections = REQUESTS, ROUNDS, measure.CONNECTIONS
   local process, url = measure.endpoint("--mode", "max", "--tokens", "16", "--token-bytes", "10")
   local rows, skipped = all_rows()
   local counters, why = measure.counters()
   if not counters then skipped[#skipped + 1] = "instructions by the processor's counters: " .. why end
   for _, streamed in ipairs { false, true } do
      local job = {
         url = url, body_file = measure.body(dir, streamed), connections = measure.CONNECTIONS, seconds = measure.SECONDS, dir = dir,
         streamed = streamed,
      }
      local fit, broken = {}, {}
      for _, row in ipairs(rows) do
         if streamed or not row.streams_only then fit[#fit + 1] = row end
      end
      time(fit, job, broken)
      local list = count(fit, job, broken, counters)
      show(list, streamed and "stream of 16 events" or "POST of 512 bytes")
      for _, r in ipairs(list) do table.insert(result.rows, r) end
      for name, message in pairs(broken) do
         skipped[#skipped + 1] = ("%s, %s: %s"):format(name, streamed and "streams" or "whole", message)
      end
   end
   for _, text in ipairs(skipped) do print("skipped: " .. text) end
   process:stop(2)
   result.skipped = skipped
   print("written to " .. results.save(result))
end)
