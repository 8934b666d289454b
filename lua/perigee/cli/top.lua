--- perigee top: a terminal view of a running session, from its snapshots.
local engine = require "perigee.engine"
local screen = require "perigee.live.screen"
local terminal = require "perigee.live.terminal"
local top = require "perigee.top"
local commands = require "perigee.cli.command"

local DEFAULT_IDLE = 60 -- seconds
local LINE_INTERVAL = 1 -- seconds between two plain lines

local command = {
   name = "top",
   usage = "usage: perigee top ADDR [--once] [--idle TIME]",
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

local STDOUT = 1

-- Phases that have ended scroll away above the one that runs.
local function draw(view, on)
   local finished = view:finished(on:size() - 1)
   if finished ~= "" then on:say(finished) end
   on:draw(view:model())
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

-- Watch until the session ends. on: the screen to draw on, nil: there is none. Returns as engine.watch does.
local function follow(address, values, look, on)
   local view, last = top.new(), {}
   return engine.watch {
      connect = address, idle_timeout = values.idle or DEFAULT_IDLE,
      on_text = function(text)
         local snapshot = decode(text)
         if not snapshot then return true end
         view:see(snapshot)
         if values.once then io.stdout:write(view:text(look.blocks))
         elseif on then draw(view, on)
         else say_line(view, last) end
         return not values.once and snapshot.state == "running"
      end,
   }
end

function command.run(args)
   local values, list = commands.values(command, args)
   if not values then return list end
   if values.idle == 0 then return commands.refuse(command, "a time above 0 expected") end
   local look = terminal.look(STDOUT)
   local on = look.steered and not values.once and screen.new {
      out = io.stdout, fd = STDOUT, size = terminal.size_of(STDOUT), colour = look.colour, blocks = look.blocks,
   } or nil
   local result, message, code = follow(list[1], values, look, on)
   if on then on:close(true) end
   io.stdout:flush()
   if not result then return commands.refuse(command, message, code == "EINVAL" and 2 or 1) end
   if result.signal then return 128 + result.signal end
   if result.outcome == "idle" then return commands.refuse(command, "no snapshot came", 1) end
   return 0
end

return command
