--- A line of JSON on how a run kept its schedule: pacing_row SUMMARY TRANSPORT WORKERS ARRIVALS RATE.
local json = require("perigee_engine").json
local files = require "files"

local p = json.decode(files.read(arg[1])).phases[2]
local l, c = p.lateness_us, p.client
local function round(v, unit) return math.floor(v / unit + 0.5) * unit end
print(json.encode {
   bench = "run", transport = arg[2], workers = tonumber(arg[3]), arrivals = arg[4], rate = tonumber(arg[5]),
   sent_per_s = round(p.rate_delivered_per_s, 1), p50_us = round(l.p50, 0.01), p99_us = round(l.p99, 0.1), max_us = round(l.max, 1),
   late = c.late, busy_share = round(c.busy_share, 0.001), spin_share = round(c.spin_share, 0.001),
   busy_us_per_request = round(c.busy_share * 1e6 / p.rate_delivered_per_s, 0.1),
})
