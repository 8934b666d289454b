--- The programs in the tables of `make bench` and `make bench-llm`: how each is told to send a job, how many of its requests
--- succeeded, and what it says of them. A job: see measure.lua.
local json = require("perigee_engine").json
local files = require "files"
local llm_peers = require "llm_peers"

local quote, write = files.quote, files.write

local peers = {}

local PATH = "/v1/chat/completions"

--- Where a program is: where tests/bench/install-peers puts it (PEERS, as there), or on the PATH; nil when it is not here.
local function find(name)
   for _, folder in ipairs { "/bin/", "/node/node_modules/.bin/", ("/venv/%s/bin/"):format(name) } do
      local file = io.open(llm_peers.HOME .. folder .. name)
      if file then
         file:close()
         return llm_peers.HOME .. folder .. name
      end
   end
   return os.execute(("command -v %s >/dev/null 2>&1"):format(name)) == 0 and name or nil
end

local function number(text, pattern) return tonumber(text:match(pattern)) end

-- What most of them are told in the same words, after the options of their own.
local function url(job) return job.url .. PATH end

-- ---- wrk, wrk2 and vegeta send for a time ----

local function wrk(program, more)
   return function(job)
      local script = write(job.dir .. "/wrk.lua", ([[
wrk.method, wrk.path = "POST", "%s"
wrk.headers["Content-Type"] = "application/json"
local file = io.open(%q)
wrk.body = file:read "*a"
file:close()
]]):format(PATH, job.body_file))
      return ("%s -t1 -c%d -d%ds %s -s %s %s"):format(program, job.connections, job.seconds, more or "", quote(script), job.url)
   end
end

local function wrk_count(text)
   local bad = number(text, "Non%-2xx or 3xx responses: (%d+)") or 0
   return number(text, "(%d+) requests in") - bad
end

local function vegeta(program)
   return function(job)
      local targets = write(job.dir .. "/vegeta", ("POST %s\nContent-Type: application/json\n@%s\n"):format(url(job), job.body_file))
      return ("env GOMAXPROCS=1 %s attack -rate=0 -max-workers=%d -workers=%d -connections=%d -duration=%ds "
         .. "-targets=%s -output=%s.out"):format(
         program, job.connections, job.connections, job.connections, job.seconds, targets, targets)
   end
end

local function vegeta_count(_, job, program)
   return json.decode(files.output(("%s report -type=json %s/vegeta.out"):format(program, job.dir))).status_codes["200"]
end

-- ---- the others send a number of requests ----

local function h2load(program)
   return function(job)
      return ("%s --h1 -n %d -c %d -t 1 -d %s -H 'content-type: application/json' %s"):format(
         program, job.requests, job.connections, quote(job.body_file), url(job))
   end
end

local function hey(program)
   return function(job)
      return ("env GOMAXPROCS=1 %s -n %d -c %d -m POST -T application/json -D %s %s"):format(
         program, job.requests, job.connections, quote(job.body_file), url(job))
   end
end

local function bombardier(program)
   return function(job)
      return ("env GOMAXPROCS=1 %s -n %d -c %d -m POST -H 'Content-Type: application/json' -f %s -p r -o json %s"):format(
         program, job.requests, job.connections, quote(job.body_file), url(job))
   end
end

local function fortio(program)
   return function(job)
      return ("env GOMAXPROCS=1 %s load -quiet -qps 0 -n %d -c %d -content-type application/json -payload-file %s %s"):format(
         program, job.requests, job.connections, quote(job.body_file), url(job))
   end
end

local function oha(program)
   return function(job)
      return ("%s -n %d -c %d -m POST -T application/json -D %s --no-tui --output-format json %s"):format(
         program, job.requests, job.connections, quote(job.body_file), url(job))
   end
end

local function autocannon(program)
   return function(job)
      return ("%s -c %d -a %d -m POST -i %s -H content-type=application/json --json %s"):format(
         program, job.connections, job.requests, quote(job.body_file), url(job))
   end
end

local function k6(program)
   return function(job)
      local script = write(job.dir .. "/k6.js", ([[
import http from 'k6/http';
const body = open('%s');
export default function () {
  http.post('%s', body, { headers: { 'Content-Type': 'application/json' } });
}
]]):format(job.body_file, url(job)))
      return ("env GOMAXPROCS=1 %s run --quiet --vus %d --iterations %d %s"):format(program, job.connections, job.requests, quote(script))
   end
end

local INSTALL = "tests/bench/install-peers gets it"
local BY_HAND = "put one on the PATH to have it in the table"

local LIST = {
   { name = "wrk", command = wrk, count = wrk_count, timed = true, native = true, version = "-v" },
   {
      name = "wrk2", command = wrk, more = "-R 10000000", count = wrk_count, timed = true, native = true, version = "-v", missing = BY_HAND,
   },
   { name = "h2load", command = h2load, count = "(%d+) succeeded", native = true, version = "--version" },
   { name = "oha", command = oha, count = '"200": (%d+)', version = "--version" },
   { name = "bombardier", command = bombardier, count = '"req2xx":(%d+)', go = true },
   { name = "fortio", command = fortio, count = "Code 200 : (%d+)", version = "version" },
   { name = "vegeta", command = vegeta, count = vegeta_count, timed = true, go = true },
   { name = "hey", command = hey, count = "%[200%]%s+(%d+) responses" },
   { name = "autocannon", command = autocannon, count = '"2xx":(%d+)', slow = true, version = "--version" },
   { name = "k6", command = k6, count = "http_reqs[^\n]-(%d+)%s", slow = true, version = "version", missing = BY_HAND },
}
for _, p in ipairs(llm_peers.LIST) do
   p.few = 500 -- requests of the shorter of two runs: so slow that one round will do
   LIST[#LIST + 1] = p
end

-- What has no row, and why.
local OTHERS = {
   "genai-perf: the package of its perf_analyzer has no program in it",
   "llmperf: the package of that name is another program",
}

local PYTHON_VERSION = [[%s/python -c 'import importlib.metadata as m; print(m.version("%s"))' 2>/dev/null]]

-- What it says of itself, what a Go module's binary says of its own, or what a program's environment of Python has.
local function version_of(p, program)
   local folder = p.python and program:match "^(.*)/"
   local command = folder and PYTHON_VERSION:format(folder, p.name)
      or p.go and ("go version -m %s 2>/dev/null | awk '$1 == \"mod\" { print $3 }'"):format(program)
      or p.version and ("%s %s 2>&1"):format(program, p.version)
   return command and files.output(command):match "^[^\n]+"
end

local function row_of(p, program)
   return {
      name = p.name, command = p.command(program, p.more), timed = p.timed, native = p.native, slow = p.slow, few = p.few,
      streams_only = p.streams_only, figures = p.figures,
      count = function(output, job)
         if type(p.count) == "string" then return number(output, p.count) end -- a pattern of what it prints
         return p.count(output, job, program)
      end,
   }
end

--- The row of one of them, with that command as its program.
function peers.row(name, program)
   for _, p in ipairs(LIST) do
      if p.name == name then return row_of(p, program) end
   end
   error(("'%s' is none of the programs compared with"):format(name), 2)
end

--- Rows (see measure.lua) of those that are here, and a line for each that is not: how it gets here.
---@return table[] rows
---@return string[] skipped
function peers.rows()
   local rows, skipped = {}, {}
   for _, p in ipairs(LIST) do
      local program = find(p.name)
      if program then
         local row = row_of(p, program)
         row.version = version_of(p, program)
         rows[#rows + 1] = row
      else
         skipped[#skipped + 1] = ("%s: not installed; %s"):format(p.name, p.missing or INSTALL)
      end
   end
   for _, text in ipairs(OTHERS) do skipped[#skipped + 1] = text end
   return rows, skipped
end

return peers
