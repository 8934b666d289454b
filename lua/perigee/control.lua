--- Commands to a running session: stop, status, rate N, concurrency N. Each is answered
--- with JSON: { ok = true, ... } or { ok = false, error = "..." }.
local engine = require "perigee.engine"
local nearest = require "perigee.nearest"

local control = {}
local Control = {}
local Control_mt = { __name = "perigee.control", __index = Control }

local COMMANDS = {}

function COMMANDS.stop(self)
   self.session:stop()
   return { ok = true, stopping = true }
end

function COMMANDS.status(self)
   local p, null = self.phase, engine.json.null
   local reply = { ok = true, scenario = self.scenario, phase = null }
   if not p then return reply end
   reply.phase, reply.kind, reply.running, reply.elapsed_s = p.name, p.kind, p:running(), p.elapsed
   reply.issued, reply.completed, reply.failed, reply.in_flight = p.issued, p.completed, p.failed, p.inflight
   reply.rate_per_s, reply.concurrency = p.rate or null, p.concurrency or null
   return reply
end

-- What was asked, fit to be shown.
local function show(text)
   return "'" .. text:sub(1, 40):gsub("[^\32-\126]", "?") .. "'"
end

-- Turn a knob of the load of the running phase.
local function turn(self, name, text)
   local n, p = tonumber(text), self.phase
   if not n then return nil, ("%s: a number expected, got %s"):format(name, text and show(text) or "nothing") end
   if not p then return nil, "no phase is running" end
   if not p[name] then return nil, ("the load of phase '%s' has no %s"):format(p.name, name) end
   local ok, done, message = pcall(p["set_" .. name], p, n)
   if not ok then return nil, ("%s: %s"):format(name, tostring(done):match "%((.-)%)" or tostring(done)) end
   if not done then return nil, message end
   return { ok = true, phase = p.name, [name == "rate" and "rate_per_s" or name] = p[name] }
end

function COMMANDS.rate(self, n) return turn(self, "rate", n) end
function COMMANDS.concurrency(self, n) return turn(self, "concurrency", n) end

local TAKES_NUMBER = { rate = true, concurrency = true }
local NAMES = { "stop", "status", "rate", "concurrency" }

--- For a session of this scenario's name; `session` is set when it is open.
---@param scenario string
function control.new(scenario)
   return setmetatable({ scenario = scenario }, Control_mt)
end

--- A phase began, or ended: as the progress view is told.
function Control:start(p) self.phase = p end
function Control:finish() self.phase = nil end

local function obey(self, text)
   local words = {}
   for word in text:gmatch "%S+" do words[#words + 1] = word end
   local name = words[1]
   if not name then return nil, "a command is missing" end
   if not COMMANDS[name] then
      local near = nearest(name, NAMES)
      return nil, ("unknown command %s%s"):format(show(name), near and (", did you mean '%s'?"):format(near) or "")
   end
   if #words > (TAKES_NUMBER[name] and 2 or 1) then return nil, ("%s: too many words"):format(name) end
   local reply, message = COMMANDS[name](self, words[2])
   -- What changes a run is one of its events; before the first phase there are none.
   if reply and name ~= "status" and self.phase then self.session:emit("control", text) end
   return reply, message
end

--- The answer to a request. Never an error.
---@param text string
---@return string json
function Control:answer(text)
   local ok, json = pcall(function()
      local reply, message = obey(self, text)
      return assert(engine.json.encode(reply or { ok = false, error = message }))
   end)
   return ok and json or engine.json.encode { ok = false, error = tostring(json) }
end

return control
