--- Recorded conversations, sent again: each turn with the recorded history before it, after the
--- answer to the turn before. So many conversations at a time.
local conversation = require "perigee.load.conversation"
local conversation_file = require "perigee.load.conversation_file"
local crowd = require "perigee.load.crowd"
local define = require "perigee.load.define"
local distribution = require "perigee.distribution"
local engine = require "perigee.engine"
local knob = require "perigee.load.knob"
local opt = require "perigee.opt"
local schema = require "perigee.schema"
local stream = require "perigee.stream"
local units = require "perigee.units"

---@class perigee.ConversationsOptions: perigee.FailureOptions
---@field concurrency? integer  (1) conversations at a time
---@field repeats? integer  (1) how often all are played; the phase's order says in which sequence. A repeated one has the id `ID#2`
---@field tool_delay? perigee.Duration  `"recorded"`, or a time to wait before the results of tools are sent: `"500ms"`, `"exp:2s"`,
---   `"uniform:1s,3s"`
---@field session_header? string  a header that carries the id, so that a router can keep a conversation together:
---   `"X-Session-ID"`

local function rows(v)
   if type(v) == "string" and v ~= "" or conversation_file.is(v) then return true, v end
   if type(v) == "table" and not getmetatable(v) then return true, v end
   return false, "a path or a list of rows"
end

local function header_name(v)
   if type(v) == "string" and v:find "^[%w-]+$" then return true, v end
   return false, "the name of a header"
end

local function drawn_delay(v)
   if type(v) == "number" then return schema.not_negative(v) and { kind = "fixed", a = v } or nil end
   return type(v) == "string" and distribution.read(v, units.duration) or nil
end

local function tool_delay(v)
   if v == "recorded" or drawn_delay(v) then return true, v end
   return false, '"recorded", or a time ("500ms", "exp:2s", "uniform:1s,3s")'
end

-- delay(turn, rng) -> seconds before it
local function delays(given)
   if given == "recorded" then return function(turn) return turn.delay end end
   local drawn = given ~= nil and drawn_delay(given)
   return function(turn, rng) return drawn and turn.tool and distribution.draw(drawn, rng) or 0 end
end

local function content(c, turn, id, header)
   local messages = {}
   for i = 1, turn.upto do messages[i] = c.messages[i] end
   return {
      messages = messages, conversation = id, turn = turn.turn, max_tokens = turn.max_tokens,
      extra = turn.tools and { tools = turn.tools } or nil, headers = header and { [header] = id } or nil,
   }
end

-- Play one conversation to its end; false when a turn failed for good.
local function replay(who, c, id, rng)
   local shared = who.shared
   for _, turn in ipairs(c.turns) do
      local delay = shared.delay(turn, rng)
      if delay > 0 then crowd.sleep(who, delay) end
      local _, go_on = conversation.turn(shared.args, who, content(c, turn, id, shared.args.session_header))
      if not go_on then return false end
   end
   return true
end

-- A function that gives the next conversation, the id of its replay and its number; nil after the last.
local function queue(list, repeats, following)
   local number, played = 0, {}
   return function()
      number = number + 1
      local index = number <= repeats * #list and following(number)
      if not index then return nil end
      local c = list[index]
      played[index] = (played[index] or 0) + 1
      return c, played[index] > 1 and ("%s#%d"):format(c.id, played[index]) or c.id, number
   end
end

local function work(who)
   local shared = who.shared
   while not crowd.is_surplus(who) do
      local c, id, number = shared.following()
      if not c then return end
      shared.counters.started:inc()
      local rng = engine.rng(shared.context.seed or 0, shared.context.number or 1, stream.user + number)
      local whole = replay(who, c, id, rng)
      shared.counters[whole and "completed" or "failed"]:inc()
   end
end

local function build(args, context)
   local n = knob.concurrency(args.concurrency)
   return {
      results = true, knobs = n.knobs, asks = true, identity = { rows = args.rows.sha256 },
      content = function() error("load.conversations has no samples: p:issue{} needs a prompt, messages or a body", 0) end,
      strategy = function(p)
         local list = args.rows
         local shared = {
            args = args, context = context, counters = conversation.counters(), delay = delays(args.tool_delay),
            following = queue(list, args.repeats, context.order(#list)),
         }
         crowd.new(p):run(n, function(all, i)
            all:start(p.elapsed, "conversation worker " .. i, work, { shared = shared })
         end)
      end,
   }
end

-- The file is read when the scenario loads, so that what is wrong with it is told then.
local function check(args, place)
   conversation.counters()
   if opt.is(args.rows) or conversation_file.is(args.rows) then return nil end
   local list, problem = conversation_file.read(args.rows, place)
   args.rows = list
   return problem
end

--- Closed: recorded conversations, each turn with the history before it; the phase ends with the last.
---@param rows string|perigee.ConversationRow[]  a JSONL file, or a list in the script; a relative path is meant from the script's
---   folder, else from the current one
---@param opts? perigee.ConversationsOptions
return define.closed("conversations", { "rows" }, {
   rows = schema.required(rows), concurrency = schema.default(schema.count, 1), repeats = schema.default(schema.count, 1),
   tool_delay = tool_delay, session_header = header_name, on_failure = conversation.FIELDS.on_failure,
   retries = conversation.FIELDS.retries, retry_after = conversation.FIELDS.retry_after,
}, build, check)
