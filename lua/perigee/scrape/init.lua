--- What servers tell Prometheus while a run lasts: a process for each page (`perigee scrape`), whose lines become events, so
--- that a log gives the same report.
local endpoint = require "perigee.endpoint"
local engine = require "perigee.engine"
local fields = require "perigee.scrape.fields"
local url = require "perigee.scrape.url"

local scrape = {}
local Scrape = {}
local Scrape_mt = { __name = "perigee.scrape", __index = Scrape }

-- Seconds beyond the timeout of an answer: until each process has told of its first scrape, and of its last one when it is
-- asked for that.
local FIRST_SPARE, LAST_SPARE = 5, 1
local STOP_TIMEOUT = 1 -- seconds that a process may take to end
local REAP_TIMEOUT = 0.05 -- and from the end of its output to its own, for which the run waits

local function add(list, seen, address, client)
   local key = url.shown(address) .. "\0" .. (client.unix_socket or "") -- as it is told in the report
   if seen[key] then return end
   seen[key] = true
   list[#list + 1] = {
      url = address, unix_socket = client.unix_socket, insecure = client.insecure, ca_file = client.ca_file,
   }
end

-- The pages, each once.
local function sources(plan, targets)
   local list, seen = {}, {}
   for _, address in ipairs(plan.scrape.url) do
      if address ~= fields.OF_TARGET then add(list, seen, address, {}) end
      for _, p in ipairs(address == fields.OF_TARGET and plan.phases or {}) do
         local client = targets[p.target].client
         for _, of_target in ipairs(client.urls) do add(list, seen, url.read((url.split(of_target))), client) end
      end
   end
   return list
end

local function arguments(source, chosen)
   local argv = { endpoint.launcher(), "scrape", source.url, "--until-eof", "--every", tostring(chosen.every),
      "--timeout", tostring(chosen.timeout) }
   local function option(name, value)
      argv[#argv + 1] = name
      argv[#argv + 1] = value
   end
   if source.insecure then option("--insecure") end
   if source.unix_socket then option("--unix-socket", source.unix_socket) end
   if source.ca_file then option("--ca-file", source.ca_file) end
   for _, name in ipairs(chosen.keep) do option("--keep", name) end
   return argv
end

--- The scrapes of a run, not begun. `lines` is what was read.
function scrape.new()
   return setmetatable({ children = {}, lines = {}, told = 0, timeout = 0 }, Scrape_mt)
end

--- Start what a plan says. Raises { message, code } when a process cannot be started.
---@param plan table
---@param targets table<table, table>  of runner.build_targets()
function Scrape:begin(plan, targets)
   if not plan.scrape then return end
   self.timeout = plan.scrape.timeout
   for _, source in ipairs(sources(plan, targets)) do
      local process, message = engine.spawn(arguments(source, plan.scrape))
      if not process then error({ message = "scrape: " .. message, code = "EIO" }, 0) end
      table.insert(self.children, { process = process, source = url.shown(source.url) })
   end
end

-- A process that ended by itself is a failure of the kind that its server might have.
local function ended(self, child)
   child.ended = true
   if self.closing then return end
   local status = child.process:wait(REAP_TIMEOUT)
   table.insert(self.lines, engine.json.encode {
      source = child.source, at_s = engine.clock(), took_ms = 0, failure = "client",
      message = "the process that scrapes has ended" .. (status and (" (exit status %d)"):format(status) or ""),
   })
end

-- All lines that come until the deadline, or one. Returns whether more may come.
local function read(self, child, deadline, one)
   while not child.ended do
      local line, _, code = child.process:read_line(math.max(0, deadline - engine.clock()))
      if line then
         table.insert(self.lines, line)
         if one then return end
      elseif code == "ETIMEDOUT" then
         return
      else
         ended(self, child)
      end
   end
end

--- Make events of the lines that are none yet. Before a session begins there are no events, and after its end they reach
--- the log alone.
function Scrape:tell()
   while self.lines[self.told + 1] do
      local _, _, code = engine.tell_scrape(self.session, self.lines[self.told + 1])
      if code == "ECLOSED" then return end
      self.told = self.told + 1
   end
end

--- Wait until each page has been looked at once, so that no phase begins before; go on to listen in the session's loop.
---@param session table
function Scrape:await(session)
   self.session = session
   local deadline = engine.clock() + self.timeout + FIRST_SPARE
   for _, child in ipairs(self.children) do read(self, child, deadline, true) end
   for _, child in ipairs(self.children) do
      child.process:watch(function()
         read(self, child, 0)
         self:tell()
      end)
   end
end

--- A phase begins, and with the first one events.
function Scrape:start() self:tell() end

--- A phase has ended.
function Scrape.finish() end

--- The phases are over: look at each page once more, and end.
---@param hurry? boolean  do not wait for slow ones
function Scrape:close(hurry)
   self.closing = true
   local deadline = engine.clock() + (hurry and 0 or self.timeout) + LAST_SPARE
   for _, child in ipairs(self.children) do child.process:close_input() end
   for _, child in ipairs(self.children) do read(self, child, deadline) end
   self:stop()
end

--- End without another look. Twice is fine.
function Scrape:stop()
   for _, child in ipairs(self.children) do child.process:stop(STOP_TIMEOUT) end
   self.children = {}
end

return scrape
