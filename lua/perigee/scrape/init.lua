--- What servers tell Prometheus while a run lasts: a process for each page (`perigee scrape`), whose lines become events, so
--- that a log gives the same report.
local endpoint = require "perigee.endpoint"
local engine = require "perigee.engine"
local fields = require "perigee.scrape.fields"
local scraper = require "perigee.scrape.scraper"
local url = require "perigee.scrape.url"

local scrape = {}
local Scrape = {}
local Scrape_mt = { __name = "perigee.scrape", __index = Scrape }

local FIRST_TIMEOUT = scraper.DEADLINE + 5 -- seconds until each process has told of its first scrape
local LAST_TIMEOUT = scraper.DEADLINE + 1 -- and of its last one, when it is asked for that
local STOP_TIMEOUT = 1 -- seconds that a process may take to end

local function add(list, seen, address, client)
   local key = address .. "\0" .. (client.unix_socket or "")
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
   local argv = { endpoint.launcher(), "scrape", source.url, "--until-eof", "--every", tostring(chosen.every) }
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

--- Start to scrape what a plan says; nothing when it says nothing. Raises { message, code } when a process cannot be started.
---@param plan table
---@param targets table<table, table>  of runner.build_targets()
---@return table scrapes
function scrape.start(plan, targets)
   local self = setmetatable({ children = {}, lines = {}, told = 0 }, Scrape_mt)
   for _, source in ipairs(plan.scrape and sources(plan, targets) or {}) do
      local process, message = engine.spawn(arguments(source, plan.scrape))
      if not process then
         self:stop()
         error({ message = "scrape: " .. message, code = "EIO" }, 0)
      end
      table.insert(self.children, { process = process, source = url.shown(source.url) })
   end
   return self
end

-- A process that ended by itself is a failure of the kind that its server might have.
local function ended(self, child)
   child.ended = true
   if self.finishing then return end
   local status = child.process:wait(STOP_TIMEOUT)
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

--- Make events of the lines that are none yet: from now on, as they come. Before a session begins there are no events, and
--- after its end they reach the log alone.
---@param session table
function Scrape:tell(session)
   while self.lines[self.told + 1] do
      local _, _, code = engine.tell_scrape(session, self.lines[self.told + 1])
      if code == "ECLOSED" then return end
      self.told = self.told + 1
   end
end

--- Wait until each page has been looked at once, so that no phase begins before; go on to listen in the session's loop.
---@param session table
function Scrape:await(session)
   local deadline = engine.clock() + FIRST_TIMEOUT
   for _, child in ipairs(self.children) do read(self, child, deadline, true) end
   for _, child in ipairs(self.children) do
      child.process:watch(function()
         read(self, child, 0)
         self:tell(session)
      end)
   end
end

--- The phases are over: look at each page once more, and end.
---@param hurry? boolean  do not wait for slow ones
function Scrape:finish(hurry)
   self.finishing = true
   local deadline = engine.clock() + (hurry and STOP_TIMEOUT or LAST_TIMEOUT)
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
