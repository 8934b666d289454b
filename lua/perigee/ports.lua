--- Local ports: how many connections a phase's target can have at a time, and whether they are used up. A connection that
--- was closed holds its port for about a minute more (TIME_WAIT), so what counts is how many are opened within one.
local ports = {}

local MINUTE_NS = 60e9
local SAMPLE_S = 1 -- between two counts that are kept

local REMEDY = "keep connections alive, set source_addresses, or widen net.ipv4.ip_local_port_range"

--- The most connections that a phase's target can have at a time, by its local ports; nil when nothing is known to bound them.
---@param planned table  of the config
---@param known? number  ports of one local address
---@return number?
function ports.room(planned, known)
   local target = planned.target
   if not (known and target) or target.unix_socket then return nil end
   local urls = type(target.url) == "table" and #target.url or 1
   local sources = planned.transport and planned.transport.source_addresses
   return known * urls * (sources and #sources or 1)
end

--- Connections of the last minute before the end of phase `at`; within a phase they count as spread evenly.
---@param phases { started_ns: number, duration_ns: number, connections: number? }[]
---@param at integer
---@return integer
function ports.opened_lately(phases, at)
   local from, sum = phases[at].started_ns + phases[at].duration_ns - MINUTE_NS, 0
   for i = at, 1, -1 do
      local p = phases[i]
      local inside = math.min(p.duration_ns, p.started_ns + p.duration_ns - from)
      if inside <= 0 and p.duration_ns > 0 then break end
      sum = sum + (p.connections or 0) * (p.duration_ns > 0 and inside / p.duration_ns or 1)
   end
   return math.floor(sum + 0.5)
end

-- More than the bound's share of the room? Then the room.
local function short_of(planned, known, opened)
   local room, share = ports.room(planned, known), planned.guards and planned.guards.ports
   return room and share and opened > share * room and room or nil
end

-- ---- before a run ----

-- Does each request end its connection?
local function closes(target)
   for name, value in pairs(target and target.headers or {}) do
      if tostring(name):lower() == "connection" and tostring(value):lower():find("close", 1, true) then return true end
   end
   return false
end

-- The highest rate that a load of the config asks for, by its kind; of others nobody knows it.
local PEAKS = {
   constant = function(load) return load.rate end,
   poisson = function(load) return load.rate end,
   gamma = function(load) return load.rate end,
   ramp = function(load) return math.max(load.from, load.to) end,
   sine = function(load) return load.mean + load.amplitude end,
   burst = function() return math.huge end,
   steps = function(load)
      local most = 0
      for _, step in ipairs(load.steps) do most = math.max(most, step.rate) end
      return most
   end,
}

-- A phase as it would be reported: its requests at the peak rate, each with a connection of its own.
local function expected(planned, started_ns)
   local load = planned.load
   local rate = PEAKS[load.kind] and PEAKS[load.kind](load)
   local seconds, requests = planned.duration_s or planned.max_duration_s, planned.requests or load.n
   if not rate then return { started_ns = started_ns, duration_ns = (seconds or 0) * 1e9 } end
   local all = requests or math.huge
   seconds = math.min(seconds or math.huge, all / rate)
   if seconds == math.huge then seconds = MINUTE_NS / 1e9 end
   local sent = seconds > 0 and math.min(all, rate * seconds) or all
   return { started_ns = started_ns, duration_ns = seconds * 1e9, connections = closes(planned.target) and sent or 0 }
end

--- What a plan can be warned of before it is played, where its requests ask for `Connection: close` and its loads say their rate.
---@param config table  as of perigee.report.config
---@param known? number  ports of one local address
---@return table<string, string> texts  by the names of the phases
function ports.foresee(config, known)
   local phases, started_ns, texts = {}, 0, {}
   for i, planned in ipairs(config.phases) do
      phases[i] = expected(planned, started_ns)
      started_ns = started_ns + phases[i].duration_ns
      local opened = (phases[i].connections or 0) > 0 and ports.opened_lately(phases, i) or 0
      local room = short_of(planned, known, opened)
      if room then
         texts[planned.name] = ("about %d connections will be opened within a minute, as requests ask for 'Connection: close', "
            .. "the local ports allow %d at a time: %s"):format(opened, room, REMEDY)
      end
   end
   return texts
end

-- ---- during a run ----

local Watch = {}
local Watch_mt = { __name = "perigee.ports.watch", __index = Watch }

--- A watch over a run.
---@param config table  as of perigee.report.config
---@param known? number  ports of one local address
---@param opened fun(): integer  connections so far
function ports.watch(config, known, opened)
   local by_name = {}
   for _, planned in ipairs(config.phases) do by_name[planned.name] = planned end
   return setmetatable({ by_name = by_name, known = known, opened = opened, samples = {}, told = {} }, Watch_mt)
end

-- The count of a minute ago, or the first.
local function before(samples, now)
   while samples[2] and samples[2].at <= now - MINUTE_NS / 1e9 do table.remove(samples, 1) end
   return samples[1] and samples[1].count or 0
end

--- Look at the connections of the last minute. A phase is warned of once.
---@param phase string  the name of the one that runs
---@param now number  seconds
---@return string?
function Watch:look(phase, now)
   local samples, count = self.samples, self.opened()
   local lately = count - before(samples, now)
   if not samples[1] or now - samples[#samples].at >= SAMPLE_S then samples[#samples + 1] = { at = now, count = count } end
   local planned = self.by_name[phase]
   local room = planned and not self.told[phase] and short_of(planned, self.known, lately)
   if not room then return nil end
   self.told[phase] = true
   return ("phase '%s': %d connections were opened within a minute, the local ports allow %d at a time: %s"):format(
      phase, lately, room, REMEDY)
end

return ports
