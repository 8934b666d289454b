--- What a request costs, perigee beside its peers: CPU time, system calls and instructions of the client, which has
--- one core for itself; the built-in endpoint has the other. Prints two tables, whole answers and streams of 16 events,
--- and writes them to tests/bench/results/requests.json. Run by tests/bench/run.
local engine = require "perigee_engine"
local peers = require "peers"
local report_table = require "perigee.report.table"

local json, quote, write = engine.json, peers.quote, peers.write

local REQUESTS, ROUNDS = tonumber(arg[1]) or 40000, tonumber(arg[2]) or 3
local ONLY = arg[3] -- a pattern of names: these rows and wrk
local CONNECTIONS, SECONDS = 16, 3
local FEW, MORE = 500, 2500 -- requests of the runs that are counted call by call
local dir = os.tmpname()
os.remove(dir)
assert(engine.mkdir(dir))

-- ---- running ----

local function read(path)
   local file = io.open(path, "rb")
   local text = file and file:read "*a" or ""
   if file then file:close() end
   return text
end

-- Run on the client's core: what it printed, on both outputs, and its CPU and wall time in seconds.
local function pinned(command)
   write(dir .. "/job", ("TIMEFORMAT='%%U %%S %%R'\ntime taskset -c 0 %s >%s/out 2>%s/err"):format(command, dir, dir))
   os.execute(("bash %s/job 2>%s/time"):format(dir, dir))
   local user, system, wall = read(dir .. "/time"):match "([%d.]+) ([%d.]+) ([%d.]+)%s*$"
   return read(dir .. "/out") .. read(dir .. "/err"), tonumber(user) + tonumber(system), tonumber(wall)
end

local function job(stream, requests)
   return {
      url = stream.url, body_file = stream.body_file, requests = requests, connections = CONNECTIONS, seconds = SECONDS, dir = dir,
      streamed = stream.streamed,
   }
end

local function count(row, output)
   local ok, n = pcall(row.count, output, dir)
   if ok and n and n > 0 then return n end
   error(("%s gave no result:\n%s"):format(row.name, output), 0)
end

local function timed_run(row, stream, requests)
   local output, cpu, wall = pinned(row.command(job(stream, requests)))
   return count(row, output), cpu, wall
end

-- What the requests beyond the first few cost: microseconds of CPU per request, and requests per second.
local function beyond(row, stream, first, requests)
   local few, few_cpu, few_wall = timed_run(row, stream, first)
   local n, cpu, wall = timed_run(row, stream, requests)
   return (cpu - few_cpu) * 1e6 / (n - few), (n - few) / math.max(0.001, wall - few_wall)
end

-- One round. A program's start is no part of it; of those that run for a time it is too little to show.
local function round(row, stream)
   if row.timed then
      local n, cpu, wall = timed_run(row, stream)
      return cpu * 1e6 / n, n / wall
   end
   if row.starts_slowly then -- once will do
      if row.us[1] then return row.us[1], row.rate[1] end
      return beyond(row, stream, FEW, MORE)
   end
   return beyond(row, stream, CONNECTIONS, row.slow and REQUESTS / 4 or REQUESTS)
end

-- ---- counting ----

local function have(program) return os.execute(("command -v %s >/dev/null 2>&1"):format(program)) == 0 end

-- Per request, from two runs of different length, so that the start does not count; from one of those that run for a time.
local function per_request(row, stream, measure)
   local n, total = measure(row.command(job(stream, MORE)))
   if row.timed then return total / n end
   local few, few_total = measure(row.command(job(stream, FEW)))
   return (total - few_total) / (n - few)
end

local function counted(row, wrap, total_of)
   return function(command)
      local output = pinned(wrap .. " " .. command)
      return count(row, output), assert(total_of(output), row.name .. ": nothing was counted")
   end
end

local function syscalls(row, stream)
   if row.starts_slowly or not have "strace" then return nil end
   return per_request(row, stream, counted(row, ("strace -f -c -qq -o %s/calls"):format(dir), function()
      return tonumber(read(dir .. "/calls"):match "\n%s*100%.00%s+[%d.]+%s+%d+%s+(%d+)[^\n]* total")
   end))
end

local function instructions(row, stream)
   if not row.native or not have "valgrind" then return nil end
   local wrap = ("valgrind --tool=callgrind --trace-children=yes --callgrind-out-file=%s/callgrind.%%p"):format(dir)
   return per_request(row, stream, counted(row, wrap, function(output)
      local sum = 0
      for n in output:gmatch "Collected : (%d+)" do sum = sum + tonumber(n) end
      return sum > 0 and sum or nil
   end))
end

-- ---- perigee ----

local SCENARIO = [[
local perigee = require "perigee"
local ended = 0
local file = io.open(%q)
local body = file:read "*a"
file:close()
return perigee.scenario {
   name = "bench", options = { requests = { 1, "how many", "count" } },
   target = %s,
   dataset = perigee.dataset.table { { %s } },
   load = perigee.load.concurrency(%d),
   on = { complete = function(r) if r.ok then ended = ended + 1 end end },
   phases = { { "steady", requests = perigee.opt "requests" } },
}
]]

local function scenario(stream)
   local target = stream.streamed and ('perigee.target.openai_chat { url = "%s", model = "m", stream = true }'):format(stream.url)
      or ('perigee.target.http { url = "%s", path = "/v1/chat/completions", method = "POST", headers = %s }')
         :format(stream.url, '{ ["Content-Type"] = "application/json" }')
   local sample = stream.streamed and 'prompt = ("x"):rep(440)' or "body = body"
   return write(dir .. "/bench.lua", SCENARIO:format(stream.body_file, target, sample, CONNECTIONS))
end

local function perigee_row(name, options)
   return {
      name = name, native = true,
      command = function(j)
         return ("scripts/perigee run %s --out %s/report --progress none --requests %d %s"):format(scenario(j), dir, j.requests, options)
      end,
      count = function()
         local summary = json.decode(read(dir .. "/report/summary.json"))
         os.remove(dir .. "/report/summary.json")
         return summary.phases[1].completed
      end,
   }
end

-- With events, log, records and a handler; and with as little as it can do.
local function perigee_rows()
   local pipe = io.popen "scripts/perigee run --help"
   local help = pipe:read "*a"
   pipe:close()
   local transports = help:find("--transport", 1, true) and { "direct", "curl" } or { "" }
   local workers = help:find("--workers", 1, true) and { 0, 1 } or { "" }
   local rows = {}
   for _, transport in ipairs(transports) do
      for _, n in ipairs(workers) do
         local name = ("perigee %s%s"):format(transport == "" and "curl" or transport, n ~= "" and " workers=" .. n or "")
         local options = (transport ~= "" and "--transport " .. transport or "") .. (n ~= "" and " --workers " .. n or "")
         rows[#rows + 1] = perigee_row(name, options)
         if n == "" or n == 0 then rows[#rows + 1] = perigee_row(name .. " no events", options .. " --events off --log off") end
      end
   end
   return rows
end

-- ---- the table ----

local function median(list)
   local copy = { unpack(list) }
   table.sort(copy)
   return copy[math.ceil(#copy / 2)]
end

local function measure(rows, stream)
   for _, row in ipairs(rows) do row.us, row.rate, row.ratio = {}, {}, {} end
   for i = 1, ROUNDS do -- the tools take turns, so that what the machine does meets all alike
      local wrk
      for _, row in ipairs(rows) do
         row.us[i], row.rate[i] = round(row, stream)
         if row.name == "wrk" then wrk = row.us[i] end
      end
      for _, row in ipairs(rows) do row.ratio[i] = wrk and row.us[i] / wrk end
   end
end

local function results(rows, stream)
   local list = {}
   for i, row in ipairs(rows) do
      list[i] = {
         tool = row.name, answer = stream.name, cpu_us_per_request = median(row.us), cpu_us_least = math.min(unpack(row.us)),
         ratio_to_wrk = row.ratio[1] and median(row.ratio) or json.null, requests_per_s = median(row.rate),
         syscalls_per_request = syscalls(row, stream) or json.null, instructions_per_request = instructions(row, stream) or json.null,
      }
   end
   return list
end

local function cell(v, format) return v == json.null and "-" or format:format(v) end

local function show(list, stream)
   local lines = { { stream.title, "CPU us", "x wrk", "syscalls", "instructions", "requests/s" } }
   for _, r in ipairs(list) do
      lines[#lines + 1] = { r.tool, cell(r.cpu_us_per_request, "%.1f"), cell(r.ratio_to_wrk, "%.2f"),
         cell(r.syscalls_per_request, "%.1f"), cell(r.instructions_per_request, "%.0f"), cell(r.requests_per_s, "%.0f") }
   end
   for _, line in ipairs(align(lines, "")) do print(line) end
   print ""
end

local function machine()
   local function first(command)
      local pipe = io.popen(command)
      local line = pipe:read "*l"
      pipe:close()
      return line
   end
   return {
      at = os.date "!%Y-%m-%dT%H:%M:%SZ", revision = first "git describe --always --dirty", host = engine.host(),
      cpu = first "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo", load = first "cut -d' ' -f1 /proc/loadavg",
      requests = REQUESTS, rounds = ROUNDS, connections = CONNECTIONS,
   }
end

local function endpoint()
   local process = assert(engine.spawn { "taskset", "-c", "1", "scripts/perigee", "mock", "--mode", "max", "--tokens", "16",
      "--token-bytes", "10", "--port", "0", "--until-eof" })
   return process, assert(assert(process:read_line(10)):match "http://%S+")
end

local function body(name, streamed)
   local text = ('{"model":"m","stream":%s,"messages":[{"role":"user","content":"%s"}]}'):format(tostring(streamed), ("x"):rep(440))
   return write(("%s/%s.json"):format(dir, name), text)
end

local function main()
   local process, url = endpoint()
   local rows, skipped = peers.rows()
   for i, row in ipairs(perigee_rows()) do table.insert(rows, i, row) end
   if ONLY then
      for i = #rows, 1, -1 do
         if rows[i].name ~= "wrk" and not rows[i].name:find(ONLY) then table.remove(rows, i) end
      end
   end
   local all = { machine = machine(), rows = {} }
   for _, stream in ipairs {
      { name = "whole", title = "POST of 512 bytes", url = url, body_file = body("whole", false), streamed = false },
      { name = "stream", title = "stream of 16 events", url = url, body_file = body("stream", true), streamed = true },
   } do
      measure(rows, stream)
      local list = results(rows, stream)
      show(list, stream)
      for _, r in ipairs(list) do table.insert(all.rows, r) end
   end
   for _, text in ipairs(skipped) do print("skipped: " .. text) end
   process:stop(2)
   assert(engine.mkdir "tests/bench/results")
   write("tests/bench/results/requests.json", json.encode(all, 2) .. "\n")
end

local ok, message = pcall(main)
os.execute("rm -rf " .. quote(dir))
if not ok then
   io.stderr:write("tests/bench/run: ", tostring(message), "\n")
   os.exit(1)
end
