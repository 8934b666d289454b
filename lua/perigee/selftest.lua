--- What this host can do at best: the costs and grains below which no run on it can measure
--- anything. `perigee selftest` shows and keeps them, and the reports of later runs carry them.
local engine = require "perigee.engine"

local json = engine.json
local selftest = {}

local PACED = { 1000, 10000 } -- arrivals per second
local PACED_SECONDS, SLEEPS, CALLS = 0.5, 300, 200000
local SERVED_SECONDS, SENT_RATE, INFLIGHT = 1, 1000, 16

local function us(ns) return ns / 1e3 end

local function lateness(l)
   return { count = l.count, p50 = us(l.p50), p99 = us(l.p99), max = us(l.max) }
end

local function paced()
   local list = {}
   for i, rate in ipairs(PACED) do
      local p = assert(engine.floor.pacing(rate, PACED_SECONDS))
      list[i] = {
         rate_per_s = rate, lateness_us = lateness(p.lateness), cpu_share = p.cpu_share, spin_share = p.spin_share,
         spin_window_us = us(p.window),
      }
   end
   return json.array(list)
end

-- Through all of a run, events and a handler included, against the built-in endpoint as a process beside it.
local function scenario()
   local perigee = require "perigee"
   local ended = 0
   return perigee.scenario {
      name = "selftest", target = perigee.target.openai_chat { url = "mock:mode=max", model = "m" },
      dataset = { ("x"):rep(440) }, on = { complete = function() ended = ended + 1 end },
      phases = {
         { "warmup", kind = "warmup", load = perigee.load.concurrency(INFLIGHT), requests = 500 },
         { "closed", load = perigee.load.concurrency(INFLIGHT), duration = SERVED_SECONDS },
         { "open", load = perigee.load.poisson(SENT_RATE), duration = SERVED_SECONDS },
      },
   }
end

local function served(events)
   local runner = require "perigee.runner"
   local result = runner.run(scenario():resolve(), { events = { address = events }, progress = "none" })
   if result.outcome ~= "ok" then
      local failures = result.summary and result.summary.failures or {}
      return nil, result.error or failures[1] or "the run against the built-in endpoint was interrupted"
   end
   local by_name = {}
   for _, phase in ipairs(result.report.phases) do by_name[phase.name] = phase end
   local closed, open = by_name.closed, by_name.open
   return {
      concurrency = INFLIGHT,
      requests_per_s = closed.completed / (closed.duration_ns / 1e9),
      cpu_us_per_request = us(closed.busy_ns / closed.completed),
      latency_us = lateness(closed.latency),
      open_rate_per_s = SENT_RATE, open_lateness_us = lateness(open.lateness), open_latency_us = lateness(open.latency),
   }
end

local function noop(r) return r end

--- Measure: takes about four seconds.
---@param address fun(name: string): string?, string|fun()  makes a private socket address, and what removes it (place.private_address)
---@return table? floor  plain data for JSON
---@return string? message
function selftest.measure(address)
   local events, remove = address "events.ipc"
   if not events then return nil, remove end
   local record, message = engine.floor.publisher(events)
   local run = record and nil
   if record then run, message = served(events) end
   remove()
   if not run then return nil, message end
   return {
      at = os.date "!%Y-%m-%dT%H:%M:%SZ", host = engine.host(), versions = { perigee = engine.version, luajit = jit.version },
      clock_ns = engine.floor.clock(), timer_us = lateness(assert(engine.floor.timer(SLEEPS))), pacing = paced(), served = run,
      parse_ns = { stream_event = assert(engine.floor.stream()), answer = assert(engine.floor.answer()) },
      handler_call_ns = engine.floor.call(noop, CALLS), publisher_record_ns = record,
   }
end

-- ---- kept for the reports of later runs ----

--- Where the latest one is kept; nil when there is no home to keep it in.
---@return string? path
---@return string? folder
function selftest.path()
   local state, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
   if not state or state:sub(1, 1) ~= "/" then state = home and home ~= "" and home .. "/.local/state" or nil end
   if not state then return nil end
   return state .. "/perigee/selftest.json", state .. "/perigee"
end

---@param floor table
---@return string? path
---@return string? message
function selftest.keep(floor)
   local path, folder = selftest.path()
   if not path then return nil, "neither XDG_STATE_HOME nor HOME says where" end
   local made, message = engine.mkdir(folder)
   if not made then return nil, message end
   local ok
   ok, message = require("perigee.report.files").write(path, json.encode(floor, 2) .. "\n")
   return ok and path, message
end

--- The one that was kept, when it is of this host and this version; else nil.
---@return table?
function selftest.kept()
   local path = selftest.path()
   local file = path and io.open(path, "rb")
   if not file then return nil end
   local floor = json.decode(file:read "*a" or "")
   file:close()
   if type(floor) ~= "table" or type(floor.host) ~= "table" or type(floor.versions) ~= "table" then return nil end
   local host = engine.host() or {}
   if floor.host.name ~= host.name or floor.host.cpus ~= host.cpus or floor.host.release ~= host.release then return nil end
   return floor.versions.perigee == engine.version and floor or nil
end

return selftest
