--- Where a run puts its files and its event socket.
local engine = require "perigee.engine"

local place = {}

local MAX_SOCKET_PATH = 100 -- bytes, with room to the 108 of the system

local function exists(path)
   local file = io.open(path)
   return file ~= nil and (file:close() or true)
end

--- A path from the root; the path itself when the current directory is not known.
function place.absolute(path)
   if path:sub(1, 1) == "/" then return path end
   local current = os.getenv "PWD"
   if not current or current:sub(1, 1) ~= "/" then return path end
   return (current:gsub("/$", "")) .. "/" .. path
end

--- results/NAME-YYYYmmdd-HHMMSS, with a number behind it when that is taken.
---@param name string  of the scenario
---@param now? integer  seconds since 1970
function place.default_folder(name, now)
   local base = ("results/%s-%s"):format(name:gsub("[^%w_.-]+", "-"):gsub("^%.+", ""), os.date("%Y%m%d-%H%M%S", now))
   local path, n = base, 1
   while exists(path) do
      n = n + 1
      path = base .. "-" .. n
   end
   return path
end

-- A folder that only this user can enter.
local function private_folder()
   local pipe = io.popen('mktemp -d "${TMPDIR:-/tmp}/perigee.XXXXXX" 2>/dev/null')
   local path = pipe and pipe:read("*l")
   if pipe then pipe:close() end
   return path ~= "" and path or nil
end

--- The address of a socket in a folder that only this user can enter.
---@param name string  of the socket's file
---@return string? address
---@return string|fun() clean_up or message
function place.private_address(name)
   local folder = private_folder()
   if not folder then return nil, ("no temporary folder for %s could be made (TMPDIR)"):format(name) end
   local socket = folder .. "/" .. name
   return "ipc://" .. socket, function()
      os.remove(socket)
      os.remove(folder)
   end
end

--- The address of a socket beside the results, or in a private folder when the path
--- is too long for a socket.
---@param out string
---@param name string  of the socket's file
---@return string? address
---@return string|fun() clean_up or message
function place.address(out, name)
   local socket = place.absolute(out) .. "/" .. name
   if #socket < MAX_SOCKET_PATH then return "ipc://" .. socket, function() os.remove(socket) end end
   return place.private_address(name)
end

--- The address for events.
function place.events_address(out)
   return place.address(out, "events.ipc")
end

--- Make the folder of the results. Returns true, or nil and a message.
function place.make(out)
   return engine.mkdir(out)
end

return place
