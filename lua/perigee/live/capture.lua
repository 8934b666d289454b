--- What a script prints while a view is drawn scrolls by above it: print, io.write and the write of io.stdout and
--- io.stderr lift the view first, and pass on whole lines only.
local capture = {}

local MOST_HELD = 64 * 1024 -- bytes of a line without an end

-- The text of write's arguments; nil when one of them is none, which the file itself tells.
local function joined(...)
   local parts = { ... }
   for i = 1, select("#", ...) do
      local kind = type(parts[i])
      if kind ~= "string" and kind ~= "number" then return nil end
   end
   return table.concat(parts)
end

--- Begin. files: those that show on the view's terminal. Returns the function that ends it and writes what is left.
---@param screen table           of perigee.live.screen
---@param files userdata[]
---@param after fun()            called when lines were written: the view may be drawn again
---@return fun() finish
function capture.begin(screen, files, after)
   local methods = getmetatable(io.stdout).__index
   local write, old_print, old_io_write = methods.write, print, io.write
   local held = {}
   for _, file in ipairs(files) do held[file] = "" end

   local function pass(file, text)
      screen:lift()
      write(file, text)
      file:flush()
   end
   methods.write = function(file, ...)
      local text = not screen.writing and held[file] and joined(...)
      if not text then return write(file, ...) end
      text = held[file] .. text
      local whole, rest = text:match "^(.*\n)([^\n]*)$"
      if not whole and #text > MOST_HELD then whole, rest = text .. "\n", "" end
      held[file] = rest or text
      if whole then
         pass(file, whole)
         after()
      end
      return file
   end
   io.write = function(...) return io.output():write(...) end -- luacheck: ignore
   print = function(...) -- luacheck: ignore
      local parts = { ... }
      for i = 1, select("#", ...) do parts[i] = tostring(parts[i]) end
      io.stdout:write(table.concat(parts, "\t"), "\n")
   end
   return function()
      methods.write, io.write, print = write, old_io_write, old_print -- luacheck: ignore
      for file, text in pairs(held) do
         if text ~= "" then pass(file, text .. "\n") end
      end
   end
end

return capture
