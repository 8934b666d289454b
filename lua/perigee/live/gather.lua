--- A phase that runs as the model of a frame: from its counters and its series, nothing is measured for the view.
local engine = require "perigee.engine"
local remaining = require "perigee.live.remaining"
local units = require "perigee.units"

local gather = {}
local Gather = {}
local Gather_mt = { __name = "perigee.live.gather", __index = Gather }

local RECENT = 5 -- seconds that "of late" means, and up to a bin more
local BINS = 60 -- bins of the sparklines
local NEW_BINS = 3 -- that may have changed since the frame before
local WHOLE_EVERY = 1 -- seconds between two looks at the percentiles of the whole phase
local SHORTEST = 0.2 -- seconds over which a rate says something

--- p: the engine's phase; planned: of the plan, which may be nil for tests.
function gather.new(p, planned, plan)
   return setmetatable({ p = p, planned = planned, plan = plan, bins = {}, last_bin = 0 }, Gather_mt)
end

-- Bins that ended are kept: only the latest can have changed, unless their width has.
local function read_glance(self, elapsed)
   local width = self.width_s
   local missing = width and elapsed / width - self.last_bin or BINS
   local whole = not self.whole_at or elapsed - self.whole_at >= WHOLE_EVERY
   local g = engine.glance(self.p, RECENT, missing < NEW_BINS - 1 and NEW_BINS or BINS + 1, whole)
   if whole then self.whole, self.whole_at = g.whole, elapsed end
   if not g.width_s then return g end
   if width and g.width_s ~= width then
      self.bins, self.width_s = {}, nil
      return read_glance(self, elapsed)
   end
   self.width_s, self.last_bin = g.width_s, math.floor(elapsed / g.width_s)
   for n, bin in pairs(g.bins) do self.bins[n] = bin end
   return g
end

--- The bins up to the last that has ended: completed per second, and the 99th percentile of the latency in ns or false.
---@param bins table<integer, table>  of engine.glance
---@param last integer
---@param width number  seconds of a bin
---@return number[] rates
---@return (number|false)[] p99s
function gather.over_time(bins, last, width)
   local rates, p99s = {}, {}
   for n = math.max(1, last - BINS + 1), last do
      local bin = bins[n]
      rates[#rates + 1] = bin and bin.completed / width or 0
      p99s[#p99s + 1] = bin and bin.latency_p99 or false
   end
   return rates, p99s
end

local function percentiles(point, name)
   if not (point and point[name .. "_p50"]) then return nil end
   return { p50 = point[name .. "_p50"], p90 = point[name .. "_p90"], p99 = point[name .. "_p99"] }
end

local function rows(recent, whole)
   local list = {}
   for _, name in ipairs { "latency", "ttft" } do
      local r, w = percentiles(recent, name), percentiles(whole, name)
      if r or w or name == "latency" then list[#list + 1] = { name, recent = r, whole = w } end
   end
   return list
end

-- What the load asks for. Of one that holds arrivals back only its own word counts: the events know
-- but what was sent.
local function asked(self, g, seconds)
   if not g.open then return nil end
   if self.p.rate then return self.p.rate end
   if self.planned.load and self.planned.load.args.max_inflight then return nil end
   return g.recent and g.recent.asked / seconds
end

local RULE_TEXTS = {
   duration = function(m, planned) return ("%s of %s"):format(units.seconds(m.elapsed), units.seconds(planned.duration)) end,
   max_duration = function(m, planned)
      return ("%s of %s at most"):format(units.seconds(m.elapsed), units.seconds(planned.max_duration))
   end,
   requests = function(m, planned) return ("%d of %d requests"):format(m.counts.issued, planned.requests) end,
   minimum = function() return "until the minimum is met" end,
}

local function add_goal(self, m)
   local found = remaining.of(self.planned, { elapsed = m.elapsed, issued = m.counts.issued, rate = m.sent })
   if not found then return end
   m.goal = { share = found.share, left = found.left, text = RULE_TEXTS[found.rule](m, self.planned) }
   local phases = self.plan and self.plan.phases or {}
   local after = self.planned.number and self.planned.number < #phases and remaining.after(phases, self.planned.number)
   if found.left and after then m.run_left = found.left + after end
end

-- No more requests: how many of those in flight have come back.
local function add_drain(self, m)
   self.drain = self.drain or { at = m.elapsed, inflight = m.in_flight }
   local took, most = m.elapsed - self.drain.at, self.planned.drain
   m.state = "draining"
   m.goal = {
      share = self.drain.inflight > 0 and math.max(0, 1 - m.in_flight / self.drain.inflight) or 1,
      text = ("%d in flight, %s%s"):format(m.in_flight, units.seconds(took), most and " of " .. units.seconds(most) .. " at most" or ""),
   }
end

local function add_rates(self, m, g)
   local seconds = g.recent_from_s and m.elapsed - g.recent_from_s or m.elapsed
   if seconds < SHORTEST then return end
   local recent = g.recent or { completed = 0, issued = 0, tokens_out = 0 }
   m.recent_s = seconds
   m.done, m.sent = recent.completed / seconds, recent.issued / seconds
   m.tokens = self.whole and self.whole.tokens_out > 0 and recent.tokens_out / seconds or nil
   m.asked = asked(self, g, seconds)
end

--- The model for now.
---@param watch? table  of perigee.abort: the checks that may end the run
---@return table  of perigee.live.frame
function Gather:model(watch)
   local p, planned = self.p, self.planned
   local elapsed = p.elapsed
   local g = read_glance(self, elapsed)
   local m = {
      title = self.plan and self.plan.name or "", name = p.name, elapsed = elapsed,
      number = planned.number, of = self.plan and #self.plan.phases,
      in_flight = p.inflight, counts = { issued = p.issued, completed = p.completed, failed = p.failed, dropped = p.dropped },
      rows = rows(g.recent, self.whole), errors = g.errors, checks = watch and watch:states(),
      late = g.open and { count = g.late, worst_ns = g.worst_late_ns } or nil,
   }
   add_rates(self, m, g)
   if self.width_s then m.rates, m.p99s = gather.over_time(self.bins, self.last_bin, self.width_s) end
   if g.running then add_goal(self, m) else add_drain(self, m) end
   return m
end

--- A phase that has ended, for frame.finished().
---@param report table  the engine's
function gather.finished(report)
   return {
      name = report.name, issued = report.issued, duration_s = report.duration_ns / 1e9,
      qps = report.duration_ns > 0 and report.completed / (report.duration_ns / 1e9) or nil,
      failed = report.failed + report.abandoned, errors = report.errors, end_reason = report.end_reason,
      latency = report.latency, ttft = report.ttft,
   }
end

return gather
