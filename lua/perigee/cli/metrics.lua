--- perigee metrics: the aggregator of a session as a process of its own.
local engine = require "perigee.engine"
local exposition = require "perigee.exposition"
local files = require "perigee.report.files"
local place = require "perigee.cli.place"
local snapshot = require "perigee.snapshot"
local commands = require "perigee.cli.command"

local DEFAULT_IDLE, DEFAULT_INTERVAL = 300, 0.25 -- seconds

local metrics = {
   name = "metrics",
   usage = "usage: perigee metrics --connect ADDR [--publish ADDR] [--listen ADDR] [--out DIR|FILE.json] [options]",
   definitions = {
      { name = "connect", value = "ADDR", help = "the publisher's address: ipc:///path or tcp://host:port" },
      { name = "publish", value = "ADDR", help = "where to publish snapshots (default a socket in a private folder)" },
      { name = "listen", value = "ADDR", help = "serve the numbers so far to Prometheus, PORT or HOST:PORT; port 0 is a free one" },
      { name = "out", value = "PATH", help = "folder of final_snapshot.json, or a file that ends in .json (default .)" },
      { name = "interval", value = "TIME", type = "duration", help = "between two snapshots (default 250ms)" },
      { name = "idle", value = "TIME", type = "duration", help = "give up when nothing came for so long (default 5m)" },
      { name = "until-eof", help = "give up soon after standard input has ended, as it does with a parent" },
      { name = "quiet", help = "no summary when all is well" },
      { name = "help", help = "show this text" },
   },
   notes = [[
Folds the events of a session as the session itself does. The last snapshot is written
whatever the end: of the session, of the publisher, or a signal.
Exit status: 0 the session ended and every event was counted, 1 otherwise, 2 bad options,
130 or 143 interrupted.]],
}

-- The path of the last snapshot; its folder is made.
local function target(out)
   if out and out:match "%.json$" then return out end
   local folder = out or "."
   local ok, message = engine.mkdir(folder)
   if not ok then return nil, message end
   return folder .. "/final_snapshot.json"
end

local function open_beacon(address)
   if address then return engine.beacon(address) end
   local path, clean_up = place.private_address "snapshots.ipc"
   if not path then return nil, clean_up end
   local beacon, message, code = engine.beacon(path)
   if not beacon then
      clean_up()
      return nil, message, code
   end
   return beacon, clean_up
end

-- What `seen` holds, for Prometheus; false when nobody is to be served.
local function open_page(address, seen)
   if not address then return false end
   return engine.exposition {
      address = address,
      on_get = function() return exposition.page(seen.report or { phases = {} }, {}) end,
   }
end

local function follow(values, beacon, path, seen)
   local last, stats, problem
   local function on_snapshot(report, now)
      seen.report, last, stats = report, snapshot.build(report, now), now
      beacon:send(engine.json.encode(last))
      if now.outcome then
         local ok, message = files.write(path, engine.json.encode(last, 2) .. "\n")
         problem = not ok and message or nil
      end
   end
   local outcome, message, code = engine.aggregate {
      connect = values.connect, interval = values.interval or DEFAULT_INTERVAL, idle_timeout = values.idle or DEFAULT_IDLE,
      until_eof = values.until_eof, on_snapshot = on_snapshot,
   }
   if not outcome then return nil, message, code end
   return last, stats, problem
end

local WHY = {
   running = "no end", ended = "complete", interrupted = "interrupted",
   incomplete = "incomplete: the session did not end, nothing came for the idle time",
}

local function tell(values, last, stats)
   local losses = snapshot.losses(stats)
   local why = losses and stats.outcome == "ended" and "incomplete: " .. losses or WHY[last.state]
   if stats.outcome == "ended" and not stats.started then why = "incomplete: the beginning was missed" end
   if last.state ~= "ended" or not values.quiet then
      io.stderr:write(("perigee metrics: %d records in %d frames, %s\n"):format(stats.records, stats.frames, why))
   end
end

local function exit_code(code)
   return code == "EINVAL" and 2 or 1
end

function metrics.run(args)
   local values, done = commands.values(metrics, args)
   if not values then return done end
   if not values.connect then return commands.refuse(metrics, "option --connect is missing") end
   if values.interval == 0 or values.idle == 0 then return commands.refuse(metrics, "a time above 0 expected") end
   local path, message = target(values.out)
   if not path then return commands.refuse(metrics, message, 1) end
   local beacon, clean_up, code = open_beacon(values.publish)
   if not beacon then return commands.refuse(metrics, clean_up, exit_code(code)) end
   local seen = {}
   local page, refusal = open_page(values.listen, seen)
   if page ~= nil then
      io.stdout:write("snapshots: ", beacon:address(), "\n", page and "metrics: " .. page:url() .. "\n" or "")
      io.stdout:flush()
   end
   local last, stats, problem
   if page ~= nil then last, stats, problem = follow(values, beacon, path, seen) end
   if page then page:close() end
   beacon:close()
   if type(clean_up) == "function" then clean_up() end
   if page == nil then return commands.refuse(metrics, "option --listen: " .. refusal) end
   if not last then return commands.refuse(metrics, stats, exit_code(problem)) end
   tell(values, last, stats)
   if problem then return commands.refuse(metrics, problem, 1) end
   if stats.signal then return 128 + stats.signal end
   return last.state == "ended" and 0 or 1
end

return metrics
