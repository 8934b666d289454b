--- Where in the user's own files something was said, so that errors point there.
local where = {}

-- Frames of the library are skipped; a frame of the command line ends the search:
-- what called it is the launcher, which no user wrote.
local HOME = debug.getinfo(1, "S").source:match("^@(.*)where%.lua$") or "?"
local CLI = HOME .. "cli/"

where.home = HOME

local function is_below(source, directory)
   return source:sub(2, #directory + 1) == directory
end

--- The nearest frame outside the library: "file:line" and the file, or nil.
---@return string? place
---@return string? file
function where.caller()
   local level = 2
   while true do
      local info = debug.getinfo(level, "Sl")
      if not info or is_below(info.source, CLI) then return nil end
      local foreign = info.source:sub(1, 1) == "@" and info.currentline > 0 and not is_below(info.source, HOME)
      if foreign then
         local file = info.source:sub(2)
         return file .. ":" .. info.currentline, file
      end
      level = level + 1
   end
end

--- Where a function of the user's begins: "file:line", or nil.
---@param fn function
---@return string? place
function where.of(fn)
   local info = debug.getinfo(fn, "S")
   if info.source:sub(1, 1) ~= "@" or is_below(info.source, HOME) then return nil end
   return info.source:sub(2) .. ":" .. info.linedefined
end

--- Raise message as an error of the user's file.
---@param message string
---@param place? string  where it was said, when that is not on the stack any more
function where.fail(message, place)
   place = place or where.caller()
   error((place and place .. ": " or "") .. message, 0)
end

--- The frames of a traceback that are the user's, one a line; "" when there are none.
function where.traceback(level)
   local lines = {}
   for at = (level or 1) + 1, 200 do
      local info = debug.getinfo(at, "Sln")
      if not info or is_below(info.source, CLI) then break end
      if info.source:sub(1, 1) == "@" and info.currentline > 0 and not is_below(info.source, HOME) then
         local what = info.what == "main" and "in the main chunk" or ("in function '%s'"):format(info.name or "?")
         lines[#lines + 1] = ("   %s:%d: %s"):format(info.source:sub(2), info.currentline, what)
      end
   end
   return table.concat(lines, "\n")
end

-- Does a "file:line: " outside the library stand in the text?
local function names_place(text)
   for path in text:gmatch "(%S+):%d+: " do
      if not is_below("@" .. path, HOME) then return true end
   end
   return false
end

--- The handler of an xpcall: the message and the user's frames.
---@param e any
---@return string
function where.with_traceback(e)
   local trace = where.traceback(2)
   return tostring(e) .. (trace ~= "" and "\n" .. trace or "")
end

--- A message with a traceback, without the traceback's lines that are not the user's.
--- When none would be left, the message alone if it names a place of the user's, else
--- as it is: then the fault is not the user's either.
---@param text string
---@return string
function where.shorten(text)
   local head, trace = text:match("^(.-)\nstack traceback:\n(.*)$")
   if not head then return text end
   local lines = {}
   for line in trace:gmatch("[^\n]+") do
      local path = line:match("^%s*(.-):%d+:")
      local ours = not path or is_below("@" .. path, HOME) or path:find("/perigee$")
      if not ours then lines[#lines + 1] = "   " .. line:match("^%s*(.*)$") end
   end
   if #lines == 0 then return names_place(head) and head or text end
   return head .. "\n" .. table.concat(lines, "\n")
end

--- The folder of a file: "." when it has none.
function where.directory(file)
   return file:match("^(.*)/[^/]*$") or "."
end

--- A file that a script names: a relative path is meant from the script's folder, else from the current one.
---@param path string
---@param place? string  "file:line" where it was said
---@return string path
function where.file(path, place)
   if path:sub(1, 1) == "/" or not place then return path end
   local beside = where.directory(place) .. "/" .. path
   local file = io.open(beside)
   if not file then return path end
   file:close()
   return beside
end

return where
