--- OpenAI-compatible endpoints: /v1/chat/completions and /v1/completions.
local define = require "perigee.target.define"
local engine = require "perigee.engine"
local schema = require "perigee.schema"

local json = engine.json
local openai = {}

--- Fields of the OpenAI targets.
---@class perigee.OpenaiOptions: perigee.TargetOptions
---@field model? string  name of the model
---@field stream? boolean  (true) server-sent events; without it there is no ttft, tpot or itl
---@field include_usage? boolean  (true) asks for `stream_options.include_usage`; without usage there are no token counts
---@field max_tokens? integer  of each answer
---@field temperature? number  of the sampling
---@field extra? table  more fields of the body; goes before the others

---@class perigee.ChatOptions: perigee.OpenaiOptions
---@field system? string  a system message first
local function fields(more)
   local common = {
      model = schema.text,
      stream = schema.default(schema.boolean, true),
      include_usage = schema.default(schema.boolean, true),
      max_tokens = schema.count,
      temperature = schema.number,
      extra = schema.table,
   }
   for name, check in pairs(more) do common[name] = check end
   return common
end

-- The body's fields that do not depend on the sample.
local function settings(args)
   local body = { model = args.model, stream = args.stream, max_tokens = args.max_tokens, temperature = args.temperature }
   if args.stream and args.include_usage then body.stream_options = { include_usage = true } end
   for name, value in pairs(args.extra or {}) do body[name] = value end
   return body
end

local function copy(t)
   local out = {}
   for k, v in pairs(t) do out[k] = v end
   return out
end

-- What a script may change of one request (p:issue).
local CHANGES = {
   model = schema.text, max_tokens = schema.count, temperature = schema.number, extra = schema.table,
}

local function asked(more)
   local all = copy(CHANGES)
   for name, check in pairs(more) do all[name] = check end
   return all
end

local function apply(body, changes)
   body.model, body.temperature = changes.model or body.model, changes.temperature or body.temperature
   for name, value in pairs(changes.extra or {}) do body[name] = value end
end

-- A sample's own answer length goes before the target's.
local function body_for(common, sample, changes)
   local body = copy(common)
   if type(sample.max_tokens) == "number" then body.max_tokens = sample.max_tokens end
   if changes then apply(body, changes) end
   return body
end

-- How long the answer is asked to be, in tokens: at least, at most; nil where nothing is said. A sample of a trace has the
-- length that was recorded.
local function asked_length(body, sample)
   local most = body.max_tokens or body.max_completion_tokens
   if most and (body.ignore_eos == true or sample.exact_length) then return most, most end
   return body.min_tokens, most
end

local function message_list(v)
   local words = "a list of messages ({ role =, content = })"
   if type(v) ~= "table" or #v == 0 then return false, words end
   for _, message in ipairs(v) do
      if type(message) ~= "table" or type(message.role) ~= "string" then return false, words end
   end
   return true, v
end

-- A list of messages that belongs to the caller.
local function messages(sample, text, index)
   if not text and type(sample.messages) == "table" and #sample.messages > 0 then
      return json.array { unpack(sample.messages) }
   end
   text = text or sample.prompt
   if type(text) ~= "string" then error(("sample %d has neither 'prompt' nor 'messages'"):format(index), 0) end
   return json.array { { role = "user", content = text } }
end

--- Chat completions at `/v1/chat/completions`: `messages` of the sample, or its prompt as one user message.
---@param options perigee.ChatOptions
openai.chat = define.target {
   kind = "openai_chat", default_path = "/v1/chat/completions", content_type = "application/json", decoder = "chat",
   fields = fields { system = schema.text }, asked = asked { messages = message_list },
   encoder = function(args)
      local common = settings(args)
      local system = args.system and { role = "system", content = args.system }
      return function(sample, text, index, changes)
         local body = body_for(common, sample, changes)
         body.messages = messages(sample, text, index)
         -- A conversation of the script's may have a system message of its own.
         if system and not (changes and body.messages[1].role == "system") then table.insert(body.messages, 1, system) end
         return json.encode(body), asked_length(body, sample)
      end
   end,
}

--- Completions of a plain prompt at `/v1/completions`.
---@param options perigee.OpenaiOptions
openai.completions = define.target {
   kind = "openai_completions", default_path = "/v1/completions", content_type = "application/json",
   decoder = "completions",
   fields = fields {}, asked = asked {},
   encoder = function(args)
      local common = settings(args)
      return function(sample, text, index, changes)
         local body = body_for(common, sample, changes)
         body.prompt = text or sample.prompt
         if type(body.prompt) ~= "string" then error(("sample %d has no 'prompt'"):format(index), 0) end
         return json.encode(body), asked_length(body, sample)
      end
   end,
}

return openai
