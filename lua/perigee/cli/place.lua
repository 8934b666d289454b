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

--- The address for events beside the results, or in a private folder when the path
--- is too long for a socket.
---@param out string
---@return string? address
---@return string|fun() clean_up or message
function place.events_address(out)
   local socket = place.absolute(out) .. "/events.ipc"
   if #socket < MAX_SOCKET_PATH then return "ipc://" .. socket, function() os.remove(socket) end end
   local folder = private_folder()
   if not folder then return nil, "no temporary folder for the event socket could be made (TMPDIR)" end
   socket = folder .. "/events.ipc"
   return "ipc://" .. socket, function()
      os.remove(socket)
      os.remove(folder)
   end
end

--- Make the folder of the results. Returns true, or nil and a message.
function place.make(out)
   return engine.mkdir(out)
end

return place
