--- Where a run puts its files and its event socket.
local engine = require "perigee.engine"

local place = {}

local function exists(path)
   local file = io.open(path)
   return file ~= nil and (file:close() or true)
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

--- The address of a socket in a folder that only this user can enter.
---@param name string  of the socket's file
---@return string? address
---@return string|fun() clean_up or message
function place.private_address(name)
   local parent = os.getenv "TMPDIR"
   local folder = engine.mkdtemp((parent and parent ~= "" and parent or "/tmp") .. "/perigee.")
   if not folder then return nil, ("no temporary folder for %s could be made (TMPDIR)"):format(name) end
   local socket = folder .. "/" .. name
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
