--- What a run shows while it runs, on stderr: a live view on a terminal, else a line every few seconds.
local capture = require "perigee.live.capture"
local engine = require "perigee.engine"
local frame = require "perigee.live.frame"
local gather = require "perigee.live.gather"
local screen = require "perigee.live.screen"
local terminal = require "perigee.live.terminal"
local units = require "perigee.units"

local progress = {}
local Progress = {}
local Progress_mt = { __name = "perigee.progress", __index = Progress }

progress.MODES = { "auto", "live", "lines", "none" }

local LIVE_TICK, LINES_TICK = 0.25, 5 -- seconds
local SOONEST = 0.05 -- seconds between two frames, when a script prints
local RATE_WINDOW = 1 -- seconds over which the rate of a line is taken

local STDOUT, STDERR = 1, 2

-- Live needs a terminal that can be steered; `auto` also somebody who looks.
local function resolve_mode(mode, look)
   if mode == "live" then return look.steered and "live" or "lines" end
   if mode == "auto" then return look.watched and "live" or "lines" end
   return mode
end

--- options: mode ("auto"|"live"|"lines"|"none"), plan (scenario and phases); out (a file, stderr) and look (of
--- terminal.look) for tests.
---@param options { mode?: string, plan?: table, out?: table, look?: table }
function progress.new(options)
   local look = options.look or terminal.look(STDERR)
   local self = setmetatable({
      mode = resolve_mode(options.mode or "auto", look), out = options.out or io.stderr, plan = options.plan, frames = 0,
   }, Progress_mt)
   if self.mode == "live" then
      self.screen = screen.new {
         out = self.out, fd = not options.out and STDERR or nil, size = terminal.size_of(STDERR),
         colour = look.colour, blocks = look.blocks,
      }
   end
   return self
end

--- Seconds between two calls of tick(); nil when there is nothing to show.
function Progress:interval()
   if self.mode == "none" then return nil end
   return self.mode == "live" and LIVE_TICK or LINES_TICK
end

-- What scripts print on this terminal goes above the view.
local function begin_capture(self)
   if not self.screen or self.release or self.out ~= io.stderr then return end
   local files = { io.stderr }
   if engine.isatty(STDOUT) then files[2] = io.stdout end
   self.release = capture.begin(self.screen, files, function() self:redraw() end)
end

--- A phase began. p: the engine's live view of it; planned: the phase of the plan.
function Progress:start(p, planned)
   self.phase, self.planned = p, planned
   self.mark, self.rate = { elapsed = 0, ended = 0 }, nil
   self.gather = gather.new(p, planned, self.plan)
   begin_capture(self)
end

-- Requests ended per second, over at least the last second.
local function recent_rate(self, elapsed, ended)
   local mark = self.mark
   if elapsed - mark.elapsed >= RATE_WINDOW then
      self.rate = (ended - mark.ended) / (elapsed - mark.elapsed)
      self.mark = { elapsed = elapsed, ended = ended }
   end
   return self.rate
end

local function goal(planned)
   if planned.requests then return (" of %d"):format(planned.requests) end
   return ""
end

--- The line for now: "steady  1.50 s / 60.0 s  issued 30 of 100 ...".
function Progress:line()
   local p, planned = self.phase, self.planned
   local parts = { p.name }
   local limit = planned.duration or planned.max_duration
   parts[#parts + 1] = units.seconds(p.elapsed) .. (limit and " / " .. units.seconds(limit) or "")
   parts[#parts + 1] = ("issued %d%s"):format(p.issued, goal(planned))
   parts[#parts + 1] = ("done %d"):format(p.completed)
   parts[#parts + 1] = ("in flight %d"):format(p.inflight)
   if p.failed > 0 then parts[#parts + 1] = ("failed %d"):format(p.failed) end
   local rate = recent_rate(self, p.elapsed, p.completed + p.failed)
   if rate then parts[#parts + 1] = units.number(rate) .. "/s" end
   return table.concat(parts, "  ")
end

local function draw(self)
   self.drawn_at = engine.clock()
   self.screen:draw(self.gather:model(self.watch))
end

--- Something was printed above the view: it comes back at once, or soon when there is much.
function Progress:redraw()
   if self.phase and engine.clock() - (self.drawn_at or 0) >= SOONEST then draw(self) end
end

-- A line that stays above what is drawn.
local function say(self, text)
   if self.screen then return self.screen:say(text .. "\n") end
   self.out:write(text, "\n")
   self.out:flush()
end

--- Time to show something.
function Progress:tick()
   if not self.phase or self.mode == "none" then return end
   local warning = self.ports and self.ports:look(self.phase.name, engine.clock())
   if warning then say(self, "warning: " .. warning) end
   if self.screen then return draw(self) end
   say(self, self:line())
end

--- The phase ended: a line of it stays. report: the engine's of the phase.
---@param report table
function Progress:finish(report)
   if not self.phase then return end
   self.phase = nil
   if self.mode == "none" then return end
   local ended = gather.finished(report)
   say(self, frame.finished(ended, self.screen and self.screen.size() - 1))
end

--- The run is over, however it ended: nothing is left of the view, and the terminal is as it was.
function Progress:close()
   self.phase = nil
   if self.release then self.release() end
   self.release = nil
   if self.screen then self.screen:close() end
end

return progress
