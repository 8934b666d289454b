--- Built-in endpoints that a run starts for the urls "mock:..." and stops at its end.
local engine = require "perigee.engine"
local where = require "perigee.where"

local Endpoints = {}
local Endpoints_mt = { __name = "perigee.endpoints", __index = Endpoints }

local START_TIMEOUT, STOP_TIMEOUT = 5, 2 -- seconds

local BASE = { "mock", "--port", "0", "--until-eof" }

local endpoint = {}

-- In the tree scripts/perigee is beside lua/, installed it is PREFIX/bin/perigee
-- for PREFIX/share/lua/5.1/perigee.
local function launcher()
   for _, path in ipairs { where.home .. "../../scripts/perigee", where.home .. "../../../../bin/perigee" } do
      local file = io.open(path)
      if file then
         file:close()
         return path
      end
   end
   return "perigee"
end

--- The program that starts perigee's own commands.
endpoint.launcher = launcher

--- The arguments of `perigee mock` for "mock:mode=timed,ttft=uniform:10ms,90ms": an item
--- without a name belongs to the value before it.
---@param url string
---@return string[]
function endpoint.arguments(url)
   local argv = { unpack(BASE) }
   for item in url:sub(#"mock:" + 1):gmatch "[^,]+" do
      local name, value = item:match("^%s*(%a[%w_-]*)=(.*)$")
      if name then
         argv[#argv + 1] = "--" .. name:gsub("_", "-")
         argv[#argv + 1] = value
      elseif #argv > #BASE then
         argv[#argv] = argv[#argv] .. "," .. item
      else
         error(("%s: name=value expected, got '%s'"):format(url, item), 0)
      end
   end
   return argv
end

--- An empty set of endpoints.
function endpoint.new()
   return setmetatable({ by_url = {} }, Endpoints_mt)
end

--- A set for a run on simulated time: nothing is started.
function endpoint.simulated()
   return { simulated = true, address = function() return "http://simulated" end, stop = function() end }
end

local function start(url)
   local argv = endpoint.arguments(url)
   table.insert(argv, 1, launcher())
   local process, message = engine.spawn(argv)
   if not process then error({ message = "the built-in endpoint could not be started: " .. message, code = "EIO" }, 0) end
   local line = process:read_line(START_TIMEOUT)
   local address = line and line:match("^listening on (http://%S+)")
   if address then return { process = process, address = address } end
   -- It has told why on standard error; status 2 means that the url is at fault.
   local refused = process:stop(line and 0 or STOP_TIMEOUT) == 2
   local said = line and ": " .. line or ""
   error({ message = ("the built-in endpoint for '%s' did not start%s"):format(url, said), code = refused and "EINVAL" or "EIO" }, 0)
end

--- The address of the endpoint for this url, started on first use. Raises { message, code } when that fails.
function Endpoints:address(url)
   local running = self.by_url[url] or start(url)
   self.by_url[url] = running
   return running.address
end

function Endpoints:stop()
   for _, running in pairs(self.by_url) do running.process:stop(STOP_TIMEOUT) end
   self.by_url = {}
end

return endpoint
