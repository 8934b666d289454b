--- Services: programs that a run starts beside itself, that subscribe to its events,
--- and that it looks after: `perigee metrics`, `perigee events`, or a program of the user's.
local endpoint = require "perigee.endpoint"
local engine = require "perigee.engine"

local service = {}
local Services = {}
local Services_mt = { __name = "perigee.services", __index = Services }

local COMMANDS = { "metrics", "events" }
local AWAIT_SLICE = 0.05 -- seconds between two looks at those that start
-- Seconds from the end of a program's output to its own, before the run and in it: the run waits for so long.
local REAP_FIRST, REAP_TIMEOUT = 5, 0.05

-- Words as a shell takes them apart, with '' and "" around what holds blanks.
local function split(text)
   local words, word, quote = {}, nil, nil
   for c in text:gmatch "." do
      if quote then
         if c == quote then quote = nil else word = word .. c end
      elseif c == "'" or c == '"' then
         quote, word = c, word or ""
      elseif c:match "%s" then
         if word then words[#words + 1] = word end
         word = nil
      else
         word = (word or "") .. c
      end
   end
   if quote then return nil, "a quote is not closed" end
   if word then words[#words + 1] = word end
   return words
end

--- What --service says: the name of a perigee command or a program's path, then arguments.
---@param text string
---@return { name: string, program: string?, words: string[] }?
---@return string? message
function service.parse(text)
   local words, message = split(text)
   if not words then return nil, message end
   local name = table.remove(words, 1)
   if not name then return nil, "a service is missing" end
   if name:find("/", 1, true) then return { name = name, program = name, words = words } end
   for _, command in ipairs(COMMANDS) do
      if name == command then return { name = name, words = words } end
   end
   return nil, ("unknown service '%s' (%s, or the path of a program)"):format(name, table.concat(COMMANDS, ", "))
end

local function given(words, option)
   for _, word in ipairs(words) do
      if word == option or word:sub(1, #option + 1) == option .. "=" then return true end
   end
   return false
end

local function append(list, ...)
   for _, word in ipairs { ... } do list[#list + 1] = word end
end

-- Does it write where the user said?
local function has_output(name, words)
   if name == "metrics" then return given(words, "--out") end
   return given(words, "--jsonl") or given(words, "--sqlite")
end

local FILES = { metrics = "/final_snapshot.json", events = "/events.jsonl" }

--- The file that a service writes into the folder of the results; nil: none, as far as is known.
---@param parsed table  of service.parse
---@param out string
---@return string?
function service.file(parsed, out)
   if parsed.program or has_output(parsed.name, parsed.words) then return nil end
   return out .. FILES[parsed.name]
end

-- What a command is told beyond the user's words.
local DEFAULTS = {
   metrics = function(argv, words, options)
      if not has_output("metrics", words) then append(argv, "--out", options.out) end
      if not given(words, "--publish") then append(argv, "--publish", options.snapshots) end
      append(argv, "--until-eof", "--quiet")
   end,
   events = function(argv, words, options)
      if not has_output("events", words) then append(argv, "--jsonl", options.out .. FILES.events) end
      append(argv, "--until-eof", "--quiet")
   end,
}

--- The command line of a service.
---@param parsed table    of service.parse
---@param address string  of the events
---@param options { out: string, snapshots: string }
---@return string[]
function service.arguments(parsed, address, options)
   local argv = parsed.program and { parsed.program } or { endpoint.launcher(), parsed.name }
   append(argv, unpack(parsed.words))
   append(argv, "--connect", address)
   if not parsed.program then DEFAULTS[parsed.name](argv, parsed.words, options) end
   return argv
end

-- Topics are subscribed one by one, with session.ended and the name of a batch, and for a
-- database with session.started.
local function subscriptions(parsed)
   local topics, others = 0, given(parsed.words, "--sqlite") and 3 or 2
   for _, word in ipairs(parsed.words) do
      if word == "--topic" or word:match "^%-%-topic=" then topics = topics + 1 end
   end
   return topics > 0 and topics + others or 1
end

--- A set of services that have not begun.
---@param list table[]  of service.parse
---@param options table  out (folder), snapshots (address), timeout (seconds, at the end),
--- on_line(name, text) for what they print, on_problem(text) for what goes wrong in the run
function service.new(list, options)
   return setmetatable({ list = list, options = options, running = {}, problems = {} }, Services_mt)
end

--- How many subscriptions they make.
---@return integer
function Services:subscriptions()
   local count = 0
   for _, parsed in ipairs(self.list) do count = count + subscriptions(parsed) end
   return count
end

local function how(status)
   if status == nil then return "closed its output" end
   return status > 128 and ("was ended by signal %d"):format(status - 128) or ("ended with exit status %d"):format(status)
end

function Services:complain(text)
   self.problems[#self.problems + 1] = text
   if self.subscribed and self.options.on_problem then self.options.on_problem(text) end
end

-- Called from the loop. The end of its output is the end of the service.
local function listen(self, running)
   local line, _, code = running.process:read_line(0)
   while line do
      if self.options.on_line then self.options.on_line(running.name, line) end
      line, _, code = running.process:read_line(0)
   end
   if code == "ETIMEDOUT" or running.ended then return end
   running.ended = true
   local status = running.process:wait(self.subscribed and REAP_TIMEOUT or REAP_FIRST)
   self:complain(("service '%s' %s %s"):format(
      running.name, how(status), self.subscribed and "while the run went on" or "before it had subscribed"))
end

--- Start them all. Returns true, or nil and a message.
function Services:start(address)
   for _, parsed in ipairs(self.list) do
      local process, message = engine.spawn(service.arguments(parsed, address, self.options))
      if not process then return nil, ("service '%s': %s"):format(parsed.name, message) end
      local running = { name = parsed.name, process = process }
      self.running[#self.running + 1] = running
      process:watch(function() listen(self, running) end)
   end
   return true
end

local function names(list)
   local quoted = {}
   for i, running in ipairs(list) do quoted[i] = "'" .. running.name .. "'" end
   return table.concat(quoted, ", ")
end

--- Wait until they have subscribed, besides `others` subscriptions. Returns true, or nil
--- and a message: one has ended, or the time is over.
---@param session table
---@param others integer
---@param timeout number
function Services:await(session, others, timeout)
   local deadline = engine.clock() + timeout
   local count = others + self:subscriptions()
   while not session:await(count, AWAIT_SLICE) do
      if self.problems[1] then return nil, self.problems[1] end
      if engine.clock() >= deadline then
         return nil, ("the services %s did not subscribe within %g s"):format(names(self.running), timeout)
      end
   end
   self.subscribed = true
   return true
end

--- The session has ended and told so: wait for their own ends, then insist. They are
--- given `timeout` seconds together.
---@param timeout number
function Services:finish(timeout)
   local deadline = engine.clock() + timeout
   for _, running in ipairs(self.running) do
      local status = running.process:wait(math.max(0, deadline - engine.clock()))
      if not running.ended and status == nil then
         self:complain(("service '%s' did not end within %g s and was stopped"):format(running.name, timeout))
      elseif not running.ended and status ~= 0 then
         self:complain(("service '%s' %s"):format(running.name, how(status)))
      end
   end
   self:stop()
end

--- Stop what still runs.
function Services:stop()
   for _, running in ipairs(self.running) do running.process:stop(0) end
   self.running = {}
end

return service
