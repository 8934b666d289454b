--- What a program costs on the client's core, 0, while the endpoint has core 1: time, system calls, instructions.
--- A row: { name, command(job), count(output, job): requests that succeeded, timed (it sends for a time, not a number),
--- native (callgrind can run it), few (it is so slow that one short round will do), cpu[], rate[] }.
--- A job: { url, body_file, requests, connections, seconds, dir, streamed, few, more (requests of the two runs of which the
--- difference is counted) }.
local engine = require "perigee_engine"
local files = require "files"

local json, quote, write = engine.json, files.quote, files.write

local measure = { CONNECTIONS = 16, SECONDS = 3, FEW = 500, MORE = 2500 }

function measure.have(program) return os.execute(("command -v %s >/dev/null 2>&1"):format(program)) == 0 end

--- Why nothing can be measured here; nil when all is well.
function measure.lacks()
   if not measure.have "taskset" then return "taskset is needed" end
   if (engine.host().usable_cpus or 1) < 2 then return "two cores are needed" end
   return nil
end

--- Runs `main` with a folder that is removed after it, whatever happens; ends the process.
function measure.main(name, main)
   local lacks = measure.lacks()
   if lacks then
      io.stderr:write("skipped: ", lacks, "\n")
      os.exit(0)
   end
   local dir = assert(engine.mkdtemp "/tmp/perigee-bench.")
   local ok, message = pcall(main, dir)
   os.execute("rm -rf " .. quote(dir))
   if not ok then
      io.stderr:write("tests/bench/", name, ": ", tostring(message), "\n")
      os.exit(1)
   end
end

--- The built-in endpoint on core 1, and its address.
function measure.endpoint(...)
   local process = assert(engine.spawn { "taskset", "-c", "1", "scripts/perigee", "mock", "--port", "0", "--until-eof", ... })
   return process, assert(assert(process:read_line(10)):match "http://%S+")
end

--- A request of about 512 bytes, in a file.
function measure.body(dir, streamed)
   local text = ('{"model":"m","stream":%s,"messages":[{"role":"user","content":"%s"}]}'):format(tostring(streamed), ("x"):rep(440))
   return write(("%s/%s.json"):format(dir, streamed and "stream" or "whole"), text)
end

-- ---- running ----

--- On the client's core, or on those that are named ("0,1"): what it printed, on both outputs, and its CPU and wall time in
--- seconds.
function measure.run(command, dir, cores)
   write(dir .. "/job", ("TIMEFORMAT='%%U %%S %%R'\ntime taskset -c %s timeout 300 %s >%s/out 2>%s/err"):format(
      cores or "0", command, dir, dir))
   os.execute(("bash %s/job 2>%s/time"):format(dir, dir))
   local user, system, wall = files.read(dir .. "/time"):match "([%d.]+) ([%d.]+) ([%d.]+)%s*$"
   return files.read(dir .. "/out") .. files.read(dir .. "/err"), tonumber(user) + tonumber(system), tonumber(wall)
end

local function count(row, output, job)
   local ok, n = pcall(row.count, output, job)
   if ok and n and n > 0 then return n end
   error(("%s gave no result:\n%s\n%s"):format(row.name, row.command(job), output), 0)
end

--- The same job for another number of requests.
function measure.of(job, requests) return setmetatable({ requests = requests }, { __index = job }) end

local function timed_run(row, job)
   local output, cpu, wall = measure.run(row.command(job), job.dir)
   return count(row, output, job), cpu, wall
end

--- Microseconds of CPU per request, and requests per second, of one round. A program's start is no part of it: a run of `few`
--- is taken off one of `more`; of those that run for a time it is too little to show. No rate: the program takes as long for
--- few as for many, because it looks at the time only now and then. No CPU time: it is lost in
--- that of the start.
function measure.round(row, job, few, more)
   if row.timed then
      local n, cpu, wall = timed_run(row, job)
      return cpu * 1e6 / n, n / wall
   end
   local n0, cpu0, wall0 = timed_run(row, measure.of(job, few))
   local n, cpu, wall = timed_run(row, measure.of(job, more))
   local spent, seconds = cpu - cpu0, wall - wall0
   return spent > cpu / 20 and spent * 1e6 / (n - n0) or nil, seconds > wall / 20 and (n - n0) / seconds or nil
end

-- ---- counting ----

-- Per request, from two runs of different length, so that the start does not count; from one of those that run for a time.
local function per_request(row, job, wrap, total_of)
   local function run(requests)
      local j = measure.of(job, requests)
      local output = measure.run(wrap .. " " .. row.command(j), job.dir)
      return count(row, output, j), assert(total_of(output), row.name .. ": nothing was counted")
   end
   local n, total = run(job.more or measure.MORE)
   if row.timed then return total / n end
   local n0, total0 = run(job.few or measure.FEW)
   return (total - total0) / (n - n0)
end

--- All system calls of a summary of strace, of which the head says where their column ends; nil: it is none.
function measure.calls_in(text)
   local head, total = text:match "([^\n]*calls[^\n]*)\n", text:match "([^\n]* total)%s*$"
   return head and total and tonumber(total:sub(1, select(2, head:find " calls")):match "(%d+)$")
end

--- Of what callgrind said of a program and of those that it started; nil: it said nothing.
function measure.instructions_in(text)
   local sum = 0
   for n in text:gmatch "Collected : (%d+)" do sum = sum + tonumber(n) end
   return sum > 0 and sum or nil
end

--- System calls per request; nil where they cannot be counted.
function measure.syscalls(row, job)
   if row.few or not measure.have "strace" then return nil end
   return per_request(row, job, ("strace -f -c -qq -o %s/calls"):format(job.dir), function()
      return measure.calls_in(files.read(job.dir .. "/calls"))
   end)
end

--- Instructions in user space per request, by callgrind; nil for what it cannot run.
function measure.instructions(row, job)
   if not row.native or not measure.have "valgrind" then return nil end
   local wrap = ("valgrind --tool=callgrind --trace-children=yes --callgrind-out-file=%s/callgrind.%%p"):format(job.dir)
   return per_request(row, job, wrap, measure.instructions_in)
end

--- Whether the processor's own counters are there; if not, why.
function measure.counters()
   if not measure.have "perf" then return false, "perf is not installed" end
   if files.output("perf stat -x, -e instructions true 2>&1"):find "^%d+," then return true end
   return false, "this machine does not let perf count instructions"
end

--- Instructions per request by those counters, the kernel's share as well; of any program.
function measure.counted_instructions(row, job)
   if row.few then return nil end
   return per_request(row, job, ("perf stat -x, -e instructions -o %s/perf"):format(job.dir), function()
      return tonumber(files.read(job.dir .. "/perf"):match "\n(%d+),")
   end)
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

local function scenario(job)
   local target = job.streamed and ('perigee.target.openai_chat { url = "%s", model = "m", stream = true }'):format(job.url)
      or ('perigee.target.http { url = "%s", path = "/v1/chat/completions", method = "POST", headers = %s }')
         :format(job.url, '{ ["Content-Type"] = "application/json" }')
   local sample = job.streamed and 'prompt = ("x"):rep(440)' or "body = body"
   return write(job.dir .. "/bench.lua", SCENARIO:format(job.body_file, target, sample, job.connections))
end

--- perigee with a handler, and with events, log and requests.jsonl unless `options` say otherwise.
function measure.perigee(name, options)
   return {
      name = name, native = true, version = engine.version,
      command = function(job)
         return ("scripts/perigee run %s --out %s/report --progress none --quiet --requests %d %s"):format(
            scenario(job), job.dir, job.requests, options)
      end,
      count = function(_, job)
         local summary = json.decode(files.read(job.dir .. "/report/summary.json"))
         os.remove(job.dir .. "/report/summary.json")
         return summary.phases[1].completed, summary.phases[1]
      end,
   }
end

return measure
