--- The programs in the table of `make bench`: how each is told to send a job, and how many of its requests succeeded.
--- A job: { url, body (text), body_file, requests, connections, dir, streamed }.
local peers = {}

local BIN = { "build/peers/bin/", "build/peers/node/node_modules/.bin/", "build/peers/python/bin/" }
local TOKENIZER = "build/peers/tokenizer"

local function quote(s) return "'" .. tostring(s):gsub("'", [['\'']]) .. "'" end

local function write(path, text)
   local file = assert(io.open(path, "w"))
   assert(file:write(text))
   assert(file:close())
   return path
end

local function exists(path)
   local file = io.open(path)
   return file ~= nil and (file:close() or true)
end

--- Where a program is: on the PATH, or where tests/bench/install-peers puts it; nil when it is not here.
local function find(name)
   for _, folder in ipairs(BIN) do
      if exists(folder .. name) then return folder .. name end
   end
   return os.execute(("command -v %s >/dev/null 2>&1"):format(name)) == 0 and name or nil
end

local function number(text, pattern) return tonumber(text:match(pattern)) end

-- ---- wrk and wrk2 send for a time ----

local function wrk_script(job)
   return write(job.dir .. "/wrk.lua", ([[
wrk.method, wrk.path = "POST", "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
local file = io.open(%q)
wrk.body = file:read "*a"
file:close()
]]):format(job.body_file))
end

local function wrk(program, more)
   return function(job)
      return ("%s -t1 -c%d -d%ds %s -s %s %s"):format(program, job.connections, job.seconds, more, quote(wrk_script(job)), job.url)
   end
end

local function wrk_count(text)
   local bad = number(text, "Non%-2xx or 3xx responses: (%d+)") or 0
   return number(text, "(%d+) requests in") - bad
end

-- ---- the others send a number of requests ----

local function h2load(program)
   return function(job)
      return ("%s --h1 -n %d -c %d -t 1 -d %s -H 'content-type: application/json' %s%s"):format(
         program, job.requests, job.connections, quote(job.body_file), job.url, "/v1/chat/completions")
   end
end

local function hey(program)
   return function(job)
      return ("env GOMAXPROCS=1 %s -n %d -c %d -m POST -T application/json -D %s %s%s"):format(
         program, job.requests, job.connections, quote(job.body_file), job.url, "/v1/chat/completions")
   end
end

local function oha(program)
   return function(job)
      return ("%s -n %d -c %d -m POST -T application/json -D %s --no-tui --output-format json %s%s"):format(
         program, job.requests, job.connections, quote(job.body_file), job.url, "/v1/chat/completions")
   end
end

local function autocannon(program)
   return function(job)
      return ("%s -c %d -a %d -m POST -i %s -H content-type=application/json --json %s%s"):format(
         program, job.connections, job.requests, quote(job.body_file), job.url, "/v1/chat/completions")
   end
end

local function k6(program)
   return function(job)
      local script = write(job.dir .. "/k6.js", ([[
import http from 'k6/http';
const body = open('%s');
export default function () {
  http.post('%s/v1/chat/completions', body, { headers: { 'Content-Type': 'application/json' } });
}
]]):format(job.body_file, job.url))
      return ("env GOMAXPROCS=1 %s run --quiet --vus %d --iterations %d %s"):format(program, job.connections, job.requests, quote(script))
   end
end

-- Makes its own prompts of so many tokens, which are bytes.
local function aiperf(program)
   return function(job)
      return ("%s profile -m m --url %s --endpoint-type chat %s --concurrency %d --request-count %d --tokenizer %s --ui none "
         .. "--isl 440 --isl-stddev 0 --output-artifact-dir %s/aiperf"):format(
         program, job.url, job.streamed and "--streaming" or "", job.connections, job.requests, TOKENIZER, job.dir)
   end
end

local function aiperf_count(_, dir)
   local path = dir .. "/aiperf/profile_export_aiperf.json"
   local file = assert(io.open(path))
   local text = file:read "*a"
   file:close()
   os.remove(path)
   return number(text, '"request_count": {[^}]-"avg": (%d+)')
end

local LIST = {
   { "wrk", wrk, wrk_count, "", timed = true, native = true },
   { "wrk2", wrk, wrk_count, "-R 10000000", timed = true, native = true }, -- as fast as it can
   { "h2load", h2load, function(text) return number(text, "(%d+) succeeded") end, native = true },
   { "oha", oha, function(text) return number(text, '"200": (%d+)') end },
   { "hey", hey, function(text) return number(text, "%[200%]%s+(%d+) responses") end },
   { "autocannon", autocannon, function(text) return number(text, '"2xx":(%d+)') end, slow = true },
   { "k6", k6, function(text) return number(text, "http_reqs[^\n]-(%d+)%s") end, slow = true },
   { "aiperf", aiperf, aiperf_count, starts_slowly = true },
}

-- What has no row: the first two come with a whole engine for models, the last is in no package registry.
local OTHERS = { "vllm bench", "guidellm", "mlcommons endpoints" }

--- Rows of those that are here: { name, command(job), count(output, dir), timed (sends for a time), native (no interpreter),
--- slow (a quarter of the requests will do), starts_slowly (one short round will do) }; and a line for
--- each that is not.
---@return table[] rows
---@return string[] skipped
function peers.rows()
   local rows, skipped = {}, {}
   for _, p in ipairs(LIST) do
      local program = find(p[1])
      if program then
         rows[#rows + 1] = {
            name = p[1], command = p[2](program, p[4]), count = p[3], timed = p.timed, native = p.native, slow = p.slow,
            starts_slowly = p.starts_slowly,
         }
      else
         skipped[#skipped + 1] = p[1] .. ": not installed"
      end
   end
   for _, name in ipairs(OTHERS) do skipped[#skipped + 1] = name .. ": cannot be installed by itself" end
   return rows, skipped
end

peers.quote, peers.write = quote, write

return peers
