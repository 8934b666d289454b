--- Guards: what else than the client may make the figures of a phase say something that they seem not to say.
--- Rules over the engine's report and the configuration that a log holds, so that a log gives the same warnings.
local checks = require "perigee.checks"
local floors = require "perigee.floors"
local ports = require "perigee.ports"
local schema = require "perigee.schema"
local units = require "perigee.units"
local warnings = require "perigee.warnings"

local guards = {}

local function share(v)
   if v == false or schema.number(v) and v > 0 and v <= 1 then return true, v end
   return false, "a share above 0 and up to 1, or false"
end

local function percentile(v)
   if v == false or v == "checks" or floors.of(v) then return true, v end
   return false, ("one of %s, 'checks', or false"):format(table.concat(floors.PERCENTILES, ", "))
end

--- From where on a phase is warned of. `false` turns a rule off.
---@class perigee.Guards
---@field cached? number|boolean  (0.1) more than this share of the input tokens were in the server's cache
---@field lengths? number|boolean  (0.01) more than this share of the answers are not as long as the request asked
---@field counts? number|boolean  (0.01) more than this share of the answers told no token counts
---@field reconnects? number|boolean  (0.01) more than this share of the requests paid a new connection because the endpoint had closed
---   a kept one
---@field ports? number|boolean  (0.8) connections of one minute took more than this share of the local ports
---@field percentile? number|boolean|string  (checks) the percentiles that the requests of a performance phase are to be enough for:
---   those that its checks name, or all up to 50, 90, 95, 99 or 99.9
guards.FIELDS = {
   cached = schema.default(share, 0.1), lengths = schema.default(share, 0.01), counts = schema.default(share, 0.01),
   reconnects = schema.default(share, 0.01), ports = schema.default(share, 0.8),
   percentile = schema.default(percentile, "checks"),
}

guards.DEFAULTS = {}
for name, field in pairs(guards.FIELDS) do guards.DEFAULTS[name] = field.default end

local STEADY_S = 10 -- fewer whole seconds are not looked at for a steady window

-- Is count more than the bound's share of n?
local function beyond(bound, count, n)
   return bound and n > 0 and count > bound * n
end

-- Whoever sends a sample again may find it cached.
local function repeats(planned, report)
   local samples = planned.dataset and planned.dataset.samples
   if not samples or samples == 0 or report.issued <= samples then return "" end
   return ("; %d requests took turns with %d samples"):format(report.issued, samples)
end

local function cached(report, bounds, planned, add)
   if not beyond(bounds.cached, report.tokens_cached or 0, report.tokens_in or 0) then return end
   add("cached_tokens", "%s of the input tokens were in the server's cache: ttft is that of a warm prefix%s",
      units.percent(report.tokens_cached / report.tokens_in), repeats(planned, report))
end

local function lengths(report, bounds, _, add)
   local l = report.lengths
   if not (l and beyond(bounds.lengths, l.too_short + l.too_long, l.answers)) then return end
   add("output_length", "%d of %d answers are shorter and %d longer than asked: %s tokens asked for on average, %s got",
      l.too_short, l.answers, l.too_long, units.number(l.asked / l.answers), units.number(l.got / l.answers))
end

-- Only what was decoded has chunks.
local function counts(report, bounds, _, add)
   local without = report.completed - (report.token_responses or 0)
   if (report.chunks or 0) == 0 or not beyond(bounds.counts, without, report.completed) then return end
   if without == report.completed then
      add("token_counts", "no answer told its token counts (usage): there are no tpot, no itl by tokens and no tokens per second")
   else
      add("token_counts", "%d of %d answers told no token counts (usage): tpot, itl by tokens and tokens per second are of the rest",
         without, report.completed)
   end
end

local function reconnects(report, bounds, _, add)
   if not beyond(bounds.reconnects, report.reconnects or 0, report.issued) then return end
   add("reconnects", "%s of the requests paid a new connection, %d in all, because the endpoint had closed kept ones",
      units.percent(report.reconnects / report.issued), report.reconnects)
end

local function clocks(report, _, _, add)
   local step, slept = report.clock_step_ns or 0, report.suspended_ns or 0
   if step ~= 0 then
      add("clock_step", "the system's clock was set %s by %s: latencies are not touched, times of the day are",
         step > 0 and "forward" or "back", units.ns(math.abs(step)))
   end
   if slept > 0 then
      add("suspended", "the machine slept for %s: requests in flight waited, and no clock of the latencies ran", units.ns(slept))
   end
end

-- All percentiles up to that one, and a window after the start.
local function short(report, bounds, _, add)
   local highest = bounds.percentile
   if report.kind ~= "performance" or type(highest) ~= "number" then return end
   local parts = {}
   for _, p in ipairs(floors.PERCENTILES) do
      if p <= highest and report.completed < floors.of(p) then parts[#parts + 1] = ("p%s (%d)"):format(p, floors.of(p)) end
   end
   if parts[1] then parts = { ("%d successes are too few for %s"):format(report.completed, table.concat(parts, ", ")) } end
   if report.duration_ns < STEADY_S * 1e9 and not report.steady then
      parts[#parts + 1] = ("%s are too short to tell the start from the rest (%d s)"):format(
         units.seconds(report.duration_ns / 1e9), STEADY_S)
   end
   if parts[1] then add("too_short", "%s", table.concat(parts, "; ")) end
end

-- Values of the phases that a check is about.
local function values_of(claim, phases)
   local sum = 0
   for _, report in ipairs(phases) do
      local part = claim.tag and (report.tags or {})[claim.tag] or not claim.tag and report
      sum = sum + (part and part[claim.metric] and part[claim.metric].count or 0)
   end
   return sum
end

-- Checks whose percentile has too few values; one without any fails as it is.
local function look_at_claims(texts, phases, add)
   local parts = {}
   for _, text in ipairs(texts or {}) do
      local claim = checks.claim(text)
      local n, least = claim and values_of(claim, phases) or 0, claim and floors.of(claim.percentile)
      if n > 0 and n < least then
         parts[#parts + 1] = ("the check '%s' rests on %d values, a claim about p%s takes %d"):format(text, n, claim.percentile, least)
      end
   end
   if parts[1] then add("too_short", "%s", table.concat(parts, "; ")) end
end

local function claims(report, bounds, planned, add)
   if report.kind == "performance" and bounds.percentile == "checks" then look_at_claims(planned.checks, { report }, add) end
end

local RULES = { cached, lengths, counts, reconnects, clocks, short, claims }

local function crowded(phases, at, bounds, planned, known, add)
   local room = ports.room(planned, known)
   if not (room and phases[at].started_ns and (phases[at].connections or 0) > 0) then return end
   local opened = ports.opened_lately(phases, at)
   if not beyond(bounds.ports, opened, room) then return end
   add("ports", "%d connections were opened within a minute, the local ports allow %d at a time: beyond that requests fail as 'client'",
      opened, room)
end

-- The checks of the whole run are about its performance phases together: said once, with the last of them.
local function claims_of_run(config, phases, at, bounds, list)
   local performance = {}
   for i, p in ipairs(phases) do
      if p.kind == "performance" then performance[#performance + 1] = p end
      if i > at and p.kind == "performance" then return end
   end
   if phases[at].kind ~= "performance" or bounds.percentile ~= "checks" then return end
   look_at_claims(config.overall, performance, function(kind, ...) warnings.add(list, kind, nil, ...) end)
end

--- Warn of the phase number `at` of a report.
---@param config table    of the run, as a log has it: phases with guards, dataset, target and transport
---@param report table    the engine's, of the whole run
---@param at integer
---@param local_ports? number  of one local address
---@param list perigee.Warning[]
function guards.look(config, report, at, local_ports, list)
   local phase, planned = report.phases[at], {}
   for _, p in ipairs(config.phases or {}) do
      if p.name == phase.name then planned = p end
   end
   local bounds = planned.guards or guards.DEFAULTS
   local function add(kind, ...) warnings.add(list, kind, phase.name, ...) end
   for _, rule in ipairs(RULES) do rule(phase, bounds, planned, add) end
   crowded(report.phases, at, bounds, planned, local_ports, add)
   claims_of_run(config, report.phases, at, bounds, list)
end

return guards
