--- perigee selftest: what this host can do at best.
local command = require "perigee.cli.command"
local engine = require "perigee.engine"
local place = require "perigee.cli.place"
local align = require "perigee.align"
local units = require "perigee.units"

local selftest = {
   name = "selftest",
   usage = "usage: perigee selftest [--json] [--no-keep]",
   definitions = {
      { name = "json", help = "print the figures as JSON" },
      { name = "no-keep", help = "do not keep them for the reports of later runs" },
      { name = "help", help = "show this text" },
   },
   notes = [[
Takes about four seconds and sends requests to the built-in endpoint alone. The result is kept in
$XDG_STATE_HOME/perigee/selftest.json (else ~/.local/state/perigee): reports of later runs on this
host carry it.]],
}

local function time(us) return units.ns(us * 1e3) end

local function lateness_cells(what, l)
   return { what, time(l.p50), time(l.p99), time(l.max) }
end

local function distributions(floor)
   local rows = { { "", "p50", "p99", "max" }, lateness_cells("a sleep ends late by", floor.timer_us) }
   for _, p in ipairs(floor.pacing) do
      rows[#rows + 1] = lateness_cells(("%.0f arrivals/s are late by"):format(p.rate_per_s), p.lateness_us)
   end
   local s = floor.served
   rows[#rows + 1] = lateness_cells(("%.0f requests/s are late by"):format(s.open_rate_per_s), s.open_lateness_us)
   rows[#rows + 1] = lateness_cells("and answered after", s.open_latency_us)
   rows[#rows + 1] = lateness_cells(("answered with %d in flight"):format(s.concurrency), s.latency_us)
   return align(rows, "  ")
end

local function costs(floor)
   local s = floor.served
   local rows = {
      { "requests per second", units.number(math.floor(s.requests_per_s + 0.5)) },
      { "CPU of a request", time(s.cpu_us_per_request) },
      { "an event of a stream, parsed", units.ns(floor.parse_ns.stream_event) },
      { "an answer of 1 KiB, parsed", units.ns(floor.parse_ns.answer) },
      { "a handler, called", units.ns(floor.handler_call_ns) },
      { "a record, published", units.ns(floor.publisher_record_ns) },
      { "the clock, read", units.ns(floor.clock_ns) },
   }
   for _, p in ipairs(floor.pacing) do
      rows[#rows + 1] = { ("polling at %.0f arrivals/s"):format(p.rate_per_s), units.percent(p.spin_share) .. " of a core" }
   end
   return align(rows, "  ")
end

--- The figures as a table.
---@param floor table  of perigee.selftest.measure
---@return string
function selftest.render(floor)
   local host = floor.host
   local lines = { ("perigee %s on %s: %s %s, %d processors"):format(
      floor.versions.perigee, host.name, host.system, host.machine, host.cpus), "" }
   for _, list in ipairs { distributions(floor), { "" }, costs(floor) } do
      for _, line in ipairs(list) do lines[#lines + 1] = line end
   end
   lines[#lines + 1] = ""
   lines[#lines + 1] = "What a run measures near these figures is this host's own."
   return table.concat(lines, "\n") .. "\n"
end

---@param args string[]
---@return integer exit_code
function selftest.run(args)
   local values, code = command.values(selftest, args)
   if not values then return code end
   local library = require "perigee.selftest"
   local floor, message = library.measure(place.private_address)
   if not floor then return command.refuse(selftest, message, 1) end
   io.stdout:write(values.json and engine.json.encode(floor, 2) .. "\n" or selftest.render(floor))
   if values.no_keep then return 0 end
   local kept
   kept, message = library.keep(floor)
   if not kept then return command.refuse(selftest, "the figures are not kept: " .. message, 1) end
   return 0
end

return selftest
