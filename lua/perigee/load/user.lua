--- A user of load.users: what the function `session` gets, and its chats.
local conversation = require "perigee.load.conversation"
local crowd = require "perigee.load.crowd"
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local stream = require "perigee.stream"
local units = require "perigee.units"
local where = require "perigee.where"

local user = {}

-- The session ends as failed, and the next one of this user begins. Does not come back.
local function give_up(u)
   u.shared.counters.failed:inc()
   crowd.anew(u)
end

-- ---- chats ----

--- A conversation with its history.
---@class perigee.Chat
---@field messages table[]  the history: system, user, assistant ...
---@field id string  `conversation_id` of its events
---@field turn integer  number of the latest turn, from 1
local Chat = {}
local Chat_mt = { __name = "perigee.chat", __index = Chat }

--- What one turn of a chat may have of its own.
---@class perigee.TurnOptions
---@field model? string  in place of the target's
---@field max_tokens? integer  of the answer
---@field temperature? number  of the sampling
---@field extra? table  more fields of the body
---@field deadline? perigee.Duration  of the request, from its issue
---@field tag? string  as the request hook gives it
---@field headers? table<string, string|number>  names and values
---@field path? string  in place of the target's

--- What all turns of a chat have. What becomes of one that failed says the load, where the chat does not.
---@class perigee.ChatSettings: perigee.TurnOptions
---@field system? string  a system message first
---@field id? string  (`PHASE/USER/NUMBER`) `conversation_id` of its events
---@field on_failure? "end"|"continue"|"retry"  (the load's) of a turn
---@field retries? integer  (the load's) at most
---@field retry_after? perigee.Duration  (the load's) before each time
local CHAT = {
   system = schema.text, model = schema.text, max_tokens = schema.count, temperature = schema.number, extra = schema.table,
   deadline = schema.duration, tag = schema.text, headers = schema.table, path = schema.text, id = schema.text,
   on_failure = conversation.FIELDS.on_failure.check, retries = schema.count, retry_after = schema.duration,
}

-- Fields of a chat that go into each of its requests.
local SENT = { "model", "max_tokens", "temperature", "extra", "deadline", "tag", "headers", "path" }

local function asked_of(self, options)
   local asked = {}
   for _, name in ipairs(SENT) do asked[name] = self.settings[name] end
   for name, value in pairs(options or {}) do asked[name] = value end
   asked.messages, asked.conversation, asked.turn = self.messages, self.id, self.turn
   return asked
end

--- Send a message `{ role =, content =, ... }` of any role, such as the result of a tool, with the history before it, and wait
--- for the answer, a kept [result](#the-result).
---@param message table
---@param options? perigee.TurnOptions
---@return perigee.Result answer
function Chat:send(message, options)
   if type(message) ~= "table" or type(message.role) ~= "string" then
      where.fail("chat:send: a message ({ role =, content = }) expected, got " .. schema.show(message))
   end
   local u, messages = self.user, self.messages
   messages[#messages + 1] = message
   self.turn = self.turn + 1
   local answer, go_on = conversation.turn(self.rules, u, asked_of(self, options))
   if answer.ok then
      messages[#messages + 1] = { role = "assistant", content = answer.text }
   else
      messages[#messages] = nil
   end
   if not go_on then give_up(u) end
   return answer
end

--- The same for a text that the user says.
---@param text string
---@param options? perigee.TurnOptions
---@return perigee.Result answer
function Chat:say(text, options)
   if type(text) ~= "string" then where.fail("chat:say: a text expected, got " .. schema.show(text)) end
   return self:send({ role = "user", content = text }, options)
end

-- ---- users ----

--- A user of `load.users`: what `session` gets.
---@class perigee.User
---@field id integer  from 1
---@field iteration integer  how many times its session began, this time included
---@field rng perigee.Rng  of this user alone, see [random numbers](#random-numbers): the same for the same seed, phase and id
---@field phase perigee.PhaseObject  see [the phase object](#the-phase-object)
local User = {}
local User_mt = { __name = "perigee.user" }

-- The generator is made when it is asked for: most of 10 000 users draw nothing.
function User_mt.__index(self, key)
   if key ~= "rng" then return User[key] end
   self.rng = engine.rng(self.shared.context.seed or 0, self.shared.context.number or 1, stream.user + self.id)
   return self.rng
end

--- A conversation, whose history is sent along.
---@param options? perigee.ChatSettings
---@return perigee.Chat
function User:chat(options)
   local settings = schema.check("u:chat", CHAT, options or {})
   self.chats = self.chats + 1
   local rules = {}
   for name in pairs(conversation.FIELDS) do
      rules[name] = settings[name]
      if rules[name] == nil then rules[name] = self.shared.rules[name] end
   end
   return setmetatable({
      user = self, settings = settings, rules = rules, turn = 0,
      id = settings.id or ("%s/%d/%d"):format(self.phase.name, self.id, self.chats),
      messages = settings.system and { { role = "system", content = settings.system } } or {},
   }, Chat_mt)
end

--- Send one request, as `p:issue` takes it (without it: the next sample), and wait for its result, good or not.
---@param asked? perigee.Content
---@return perigee.Result result
function User:request(asked)
   return crowd.request(self, asked or {})
end

--- Think for a while.
---@param time perigee.Duration
function User:sleep(time)
   local seconds = units.duration(time)
   if not seconds then where.fail("u:sleep: a duration (seconds or \"250ms\") expected, got " .. schema.show(time)) end
   crowd.sleep(self, seconds)
end

--- End this session as failed; the event `custom.session_failed` has `user`, `iteration` and `message`. Does not come back.
---@param message string
function User:fail(message)
   local text = engine.json.encode { user = self.id, iteration = self.iteration, message = tostring(message) }
   self.phase.session:emit("session_failed", text)
   give_up(self)
end

--- Does the phase still issue?
---@return boolean
function User:running()
   return self.phase:running()
end

--- A user for a crowd.
---@param id integer
---@param p table        the phase object
---@param shared { rules: table, counters: table, context: table }
function user.new(id, p, shared)
   return setmetatable({ id = id, phase = p, shared = shared, iteration = 0, chats = 0 }, User_mt)
end

return user
