--- The one form of what a benchmark found: tests/bench/results/NAME.json (docs/performance.md says how to read it).
local engine = require "perigee_engine"
local files = require "files"

local json = engine.json

local results = { FOLDER = "tests/bench/results" }

-- The first line that a command prints.
local function line(command) return files.output(command .. " 2>/dev/null"):match "^[^\n]+" or json.null end

--- When, on what and with what: taken before anything is measured, as the load of the machine is part of it.
---@param name string
---@param command string  that makes the figures again
function results.start(name, command)
   return {
      benchmark = name, command = command, at = os.date "!%Y-%m-%dT%H:%M:%SZ", host = engine.host(),
      cpu = line "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo", load_1m = tonumber(files.read "/proc/loadavg":match "%S+") or json.null,
      versions = {
         perigee = engine.version, luajit = jit.version, libcurl = line "curl-config --version || curl --version | cut -d' ' -f1,2",
         compiler = line((os.getenv "CC" or "cc") .. " --version"),
      },
      rows = {},
   }
end

--- Writes what results.start() began; says where.
function results.save(result)
   assert(engine.mkdir(results.FOLDER))
   local path = ("%s/%s.json"):format(results.FOLDER, result.benchmark)
   return files.write(path, json.encode(result, 2) .. "\n")
end

return results
