--- Frames at the bottom of a terminal, and lines that scroll by above them.
---
--- The cursor is parked on an empty line above the frame: whoever writes without asking writes there, whatever width the
--- terminal gets meanwhile nothing has to be counted to find the frame again, and each frame is one write that goes over
--- the one before from there on.
local engine = require "perigee.engine"
local frame = require "perigee.live.frame"

local screen = {}
local Screen = {}
local Screen_mt = { __name = "perigee.live.screen", __index = Screen }

-- Where the terminal knows of it a frame is shown whole, never half (DEC mode 2026); elsewhere it is passed over.
local BEGIN, END = "\27[?2026h", "\27[?2026l"
local HIDE, SHOW = "\27[?25l", "\27[?25h"
local WIPE = "\r\27[J" -- from the cursor to the end

--- options: out (a file), fd (of it, to be held; nil: none), size (of terminal.size_of), colour, blocks.
---@param options table
function screen.new(options)
   return setmetatable({
      out = options.out, fd = options.fd, size = options.size, colour = options.colour, blocks = options.blocks, drawn = false,
      waiting = "",
   }, Screen_mt)
end

-- What the terminal has no room for waits: nobody who measures waits for a terminal.
function Screen:_write(text)
   if self.fd and self.held then
      self.waiting = engine.terminal_write(self.waiting .. text)
      return
   end
   self.writing = true -- not to be captured
   self.out:write(text)
   self.out:flush()
   self.writing = false
end

-- From the first frame on the cursor has to come back.
function Screen:_hold()
   if self.held then return end
   self.held = true
   if self.fd then engine.terminal_hold(self.fd) end
end

--- Draw a moment in the place of the one before. The last column stays free, so that nothing wraps.
---@param model table  of perigee.live.frame
function Screen:draw(model)
   self:_hold()
   if self.waiting ~= "" then self:_write("") end
   if self.waiting ~= "" then return end -- the terminal is stopped, or slow
   local columns, rows = self.size()
   local lines = frame.lines(model, math.max(1, columns - 1), math.max(1, rows - 1), self)
   local parts = { BEGIN, HIDE, "\r\27[K" }
   for _, l in ipairs(lines) do parts[#parts + 1] = "\n" .. frame.text(l, self.colour) .. "\27[K" end
   parts[#parts + 1] = ("\27[J\27[%dA\r"):format(#lines)
   parts[#parts + 1] = END
   self.drawn, self.height = true, #lines
   self:_write(table.concat(parts))
end

--- Take the frame away: what is written next begins on a clean line. The next frame comes below it.
function Screen:lift()
   if self.drawn then self:_write(WIPE) end
   self.drawn = false
end

--- Lines that stay. Each ends with a newline.
---@param text string
function Screen:say(text)
   self:_write((self.drawn and WIPE or "") .. text)
   self.drawn = false
end

--- The cursor is back, and no frame is left, or with `stay` the last one above it.
---@param stay? boolean
function Screen:close(stay)
   if not self.held then return end
   local last = self.waiting .. (not self.drawn and "" or stay and ("\27[%dB\n"):format(self.height) or WIPE) .. SHOW
   self.drawn, self.held, self.waiting = false, false, ""
   if self.fd then engine.terminal_release() end
   self:_write(last)
end

return screen
