--- Whether the client itself was the limit of what a phase measured: how late it was, and how busy.
local define = require "perigee.load.define"
local schema = require "perigee.schema"
local units = require "perigee.units"
local warnings = require "perigee.warnings"

local limits = {}

local function share(v)
   if schema.number(v) and v > 0 and v <= 1 then return true, v end
   return false, "a share above 0 and up to 1"
end

--- When the client is the limit of what a phase measured.
---@class perigee.ClientLimits
---@field lateness? number  (0.1) the p99 of lateness is above this share of the median latency and above `lateness_floor`, in an
---   open load without `max_inflight`
---@field lateness_floor? perigee.Duration  (10 ms) a p99 of lateness below it is never too much
---@field busy? number  (0.9) the thread that measures worked for more than this share of the phase, polling left out, or an HTTP
---   worker did. A phase of less than a second is not judged so. A closed load against an endpoint that answers at once
---   always ends here: the rate is then perigee's own
---@field failed? number  (0.05) more than this share of the requests failed for want of the client's own memory, descriptors or
---   ports: the run has failed. Fewer only limit it
limits.FIELDS = {
   lateness = schema.default(share, 0.1), -- p99 of lateness, of the median latency
   lateness_floor = schema.default(schema.duration, 0.01), -- and not below this
   busy = schema.default(share, 0.9), -- of one core, of a phase that lasts a second at least
   failed = schema.default(share, 0.05), -- of the requests
}

local LEAST_DURATION = 1e9 -- ns: a shorter phase is its own beginning

limits.DEFAULTS = {}
for name, field in pairs(limits.FIELDS) do limits.DEFAULTS[name] = field.default end

--- Share of the phase in which the busiest thread worked, and which it is; nil when that was not told.
---@param report table  the engine's of the phase
---@return number? share
---@return string? who  "the client" for the session's thread, or "an HTTP worker"
function limits.busy_share(report)
   if not report.busy_ns or report.duration_ns <= 0 then return nil end
   local worker_ns = report.worker_busy_ns or 0
   if worker_ns > report.busy_ns then return worker_ns / report.duration_ns, "an HTTP worker" end
   return report.busy_ns / report.duration_ns, "the client"
end

local function late(bounds, planned, report)
   local lateness, latency = report.lateness, report.latency
   -- Waiting below max_inflight is the user's wish.
   if not (report.open and lateness and latency) or define.sender(planned.load).args.max_inflight then return nil end
   local p99 = lateness.p99
   if p99 <= bounds.lateness_floor * 1e9 or p99 <= bounds.lateness * latency.p50 then return nil end
   return "client_late", ("the client was late: p99 of lateness is %s"):format(units.ns(p99))
end

local function busy(bounds, report)
   local part, who = limits.busy_share(report)
   if not part or part <= bounds.busy or report.duration_ns < LEAST_DURATION then return nil end
   return "client_busy", ("%s was busy for %.0f%% of the time: what was measured may be the client's own limit"):format(who, part * 100)
end

-- Requests that failed for want of memory, descriptors or ports of our own.
local function failures(report)
   return report.errors and report.errors.client or 0
end

local function failed(report)
   local count = failures(report)
   if count == 0 then return nil end
   return "client_failed", ("%d requests failed in the client itself: what was measured is its limit"):format(count)
end

--- Why a phase has failed: too many of its requests had no chance, for want of what the client itself lacked. Nil: they had.
---@param planned table  the phase of the plan
---@param report table   the engine's
---@return string?
function limits.failure(planned, report)
   local bounds, count = planned.client_limits or limits.DEFAULTS, failures(report)
   if count <= bounds.failed * report.issued then return nil end
   return ("%d of %d requests failed in the client itself, more than client_limits.failed allows (%s)"):format(
      count, report.issued, units.percent(bounds.failed))
end

--- Warn where the client was the limit of a phase.
---@param planned table  the phase of the plan
---@param report table   the engine's
---@param list perigee.Warning[]
---@return boolean limited  was it?
function limits.look(planned, report, list)
   local bounds, before = planned.client_limits or limits.DEFAULTS, #list
   local function add(kind, text)
      if kind then warnings.add(list, kind, report.name, "%s", text) end
   end
   add(failed(report))
   add(late(bounds, planned, report))
   add(busy(bounds, report))
   return #list > before
end

return limits
