--- What a run shows while it runs, on stderr: a line that is rewritten on a
--- terminal, else a line every few seconds.
local engine = require "perigee.engine"
local units = require "perigee.units"

local progress = {}
local Progress = {}
local Progress_mt = { __name = "perigee.progress", __index = Progress }

progress.MODES = { "auto", "live", "lines", "none" }

local LIVE_TICK, LINES_TICK = 0.25, 5 -- seconds
local RATE_WINDOW = 1 -- seconds over which the shown rate is taken

local function resolve_mode(mode)
   if mode ~= "auto" then return mode end
   local term = os.getenv "TERM"
   return engine.isatty(2) and term ~= "dumb" and "live" or "lines"
end

--- options: mode ("auto"|"live"|"lines"|"none"); out (a file, stderr), width, colour for tests.
---@param options table
function progress.new(options)
   local mode = resolve_mode(options.mode or "auto")
   local terminal, columns = engine.isatty(2)
   local no_colour = os.getenv "NO_COLOR"
   local colour = options.colour
   if colour == nil then colour = terminal and (no_colour == nil or no_colour == "") end
   return setmetatable({
      mode = mode, out = options.out or io.stderr, colour = colour,
      width = options.width or (columns and columns > 0 and columns or 80),
   }, Progress_mt)
end

--- Seconds between two calls of tick(); nil when there is nothing to show.
function Progress:interval()
   if self.mode == "none" then return nil end
   return self.mode == "live" and LIVE_TICK or LINES_TICK
end

--- A phase began. p: the engine's live view of it; planned: the phase of the plan.
function Progress:start(p, planned)
   self.phase, self.planned = p, planned
   self.mark, self.rate = { elapsed = 0, ended = 0 }, nil
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

--- Time to show something.
function Progress:tick()
   if not self.phase or self.mode == "none" then return end
   local line = self:line()
   if self.mode == "lines" then
      self.out:write(line, "\n")
   else
      line = line:sub(1, self.width - 1)
      if self.colour and self.phase.failed > 0 then line = "\27[31m" .. line .. "\27[0m" end
      self.out:write("\r\27[K", line)
      self.shown = true
   end
   self.out:flush()
end

--- The phase ended: its last line stays.
function Progress:finish()
   if not self.phase then return end
   local line = self:line()
   self:clear()
   if self.mode ~= "none" then self.out:write(line, "\n") end
   self.out:flush()
   self.phase = nil
end

--- Take the rewritten line away, so that other output starts on a clean one.
function Progress:clear()
   if self.shown then
      self.out:write("\r\27[K")
      self.out:flush()
   end
   self.shown = false
end

return progress
