--- perigee top: a terminal view of a running session, from its snapshots.
local engine = require "perigee.engine"
local top = require "perigee.top"
local commands = require "perigee.cli.command"

local DEFAULT_IDLE = 60 -- seconds
local LINE_INTERVAL = 1 -- seconds between two plain lines

local command = {
   name = "top",
   usage = "usage: perigee top ADDR [--once]",
   fewest = 1, most = 1,
   definitions = {
      { name = "once", help = "show one frame and leave" },
      { name = "idle", value = "TIME", type = "duration", help = "give up when no snapshot came for so long (default 60s)" },
      { name = "help", help = "show this text" },
   },
   notes = [[
ADDR is where `perigee metrics` publishes; `perigee run --service metrics` prints it. On a
terminal the view is redrawn in place, elsewhere it is a line per second. It ends with the
session. Exit status: 0 the session has ended (or --once), 1 no snapshot came, 2 bad usage,
130 interrupted.]],
}

local HIDE_CURSOR, SHOW_CURSOR = "\27[?25l", "\27[?25h"

-- The size is asked for each time: a terminal may be resized.
local function draw(view)
   local _, columns, rows = engine.isatty(1)
   io.stdout:write(view:frame(columns > 0 and columns or 80, rows > 0 and rows or 24))
   io.stdout:flush()
end

local function say_line(view, last)
   local now = engine.clock()
   if last.at and now - last.at < LINE_INTERVAL and view.snapshot.state == "running" then return end
   last.at = now
   io.stdout:write(view:line(), "\n")
   io.stdout:flush()
end

-- nil for a text that is no snapshot of a version we know.
local function decode(text)
   local snapshot = engine.json.decode(text)
   if type(snapshot) ~= "table" or snapshot.schema_version ~= 1 then return nil end
   return snapshot
end

-- Watch until the session ends. Returns as engine.watch does.
local function follow(address, values, terminal)
   local no_colour = os.getenv "NO_COLOR"
   local view = top.new { colour = terminal and (no_colour == nil or no_colour == "") }
   local last = {}
   return engine.watch {
      connect = address, idle_timeout = values.idle or DEFAULT_IDLE,
      on_text = function(text)
         local snapshot = decode(text)
         if not snapshot then return true end
         view:see(snapshot)
         if values.once then io.stdout:write(view:text())
         elseif terminal then draw(view)
         else say_line(view, last) end
         return not values.once and snapshot.state == "running"
      end,
   }
end

function command.run(args)
   local values, list = commands.values(command, args)
   if not values then return list end
   if values.idle == 0 then return commands.refuse(command, "a time above 0 expected") end
   local terminal = engine.isatty(1) and os.getenv "TERM" ~= "dumb" and not values.once
   if terminal then io.stdout:write(HIDE_CURSOR) end
   local result, message, code = follow(list[1], values, terminal)
   if terminal then io.stdout:write(SHOW_CURSOR) end
   io.stdout:flush()
   if not result then return commands.refuse(command, message, code == "EINVAL" and 2 or 1) end
   if result.signal then return 128 + result.signal end
   if result.outcome == "idle" then return commands.refuse(command, "no snapshot came", 1) end
   return 0
end

return command
