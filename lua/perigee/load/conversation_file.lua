--- Recorded conversations: rows { conversation_id, turn, role, content, ... }, those of a conversation
--- together and in order, as MLCommons' agentic data sets have them. A conversation becomes
--- { id, messages, turns }, where a turn is what the client sends: { turn, upto, tool, delay, max_tokens, tools },
--- `upto` being how many of the messages it takes.
local dataset = require "perigee.dataset"
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local where = require "perigee.where"

local json = engine.json
local conversation_file = {}

--- A row of a recorded conversation, as MLCommons' agentic data sets have them. Those of a conversation stand together.
---@class perigee.ConversationRow
---@field conversation_id string  of which conversation
---@field turn integer  1, 2, 3 ...
---@field role "user"|"assistant"|"tool"  the first one is `user`
---@field content? string|table[]  of users and assistants; of these it need not be there
---@field name? string  of who speaks
---@field system? string  of the first row: a system message before all
---@field tool_calls? table[]  of an assistant: `{ id, function = { name, arguments } }`
---@field reasoning_content? string  of an assistant
---@field tool_results? table[]  of a tool: list of `{ tool_call_id, content }`, each of which becomes a message
---@field delay_seconds? number  before a turn of the client, with `tool_delay = "recorded"`
---@field tools? table[]  from this turn on, in the body
---@field max_tokens? integer  of the answer, goes before the target's
---@field max_new_tokens? integer  another name of `max_tokens`
---@field max_completion_tokens? integer  another one

local Recorded_mt = { __name = "perigee.conversations" }

function Recorded_mt.__tostring(self)
   return ("%s: %d conversations, %d turns, sha256 %s"):format(self.source, #self, self.turns, self.sha256)
end

function conversation_file.is(v)
   return getmetatable(v) == Recorded_mt
end

-- Which roles may come after one.
local FOLLOWS = {
   start = { user = true }, user = { assistant = true }, assistant = { user = true, tool = true },
   tool = { user = true, assistant = true },
}

local function present(v)
   return v ~= nil and v ~= json.null
end

local function is_list(v)
   return type(v) == "table" and #v > 0
end

local function is_text(v)
   return type(v) == "string" and v ~= ""
end

-- What is wrong with a row on its own, or nil.
local function row_problem(row)
   if type(row) ~= "table" then return "an object expected, got " .. type(row) end
   if not is_text(row.conversation_id) then return "'conversation_id': a text expected, got " .. schema.show(row.conversation_id) end
   if not (schema.count(row.turn)) then return "'turn': a whole number from 1 expected, got " .. schema.show(row.turn) end
   if not FOLLOWS[row.role] or row.role == "start" then
      return "'role': 'user', 'assistant' or 'tool' expected, got " .. schema.show(row.role)
   end
   if present(row.system) and type(row.system) ~= "string" then return "'system': a text expected" end
   if present(row.delay_seconds) and not schema.not_negative(row.delay_seconds) then
      return "'delay_seconds': a number of at least 0 expected, got " .. schema.show(row.delay_seconds)
   end
end

local function results_problem(results)
   if not is_list(results) then return "'tool_results': a list of { tool_call_id, content } expected" end
   for i, result in ipairs(results) do
      if type(result) ~= "table" or not is_text(result.tool_call_id) or not present(result.content) then
         return ("'tool_results': entry %d: { tool_call_id, content } expected"):format(i)
      end
   end
end

local function calls_problem(calls)
   if not is_list(calls) then return "'tool_calls': a list expected" end
   for i, call in ipairs(calls) do
      local fn = type(call) == "table" and call["function"]
      if not (is_text(call.id) and type(fn) == "table" and is_text(fn.name)) then
         return ("'tool_calls': entry %d: { id, function = { name, arguments } } expected"):format(i)
      end
   end
end

local CONTENT_PROBLEM = {
   user = function(row) if not (is_text(row.content) or is_list(row.content)) then return "'content': a text expected" end end,
   tool = function(row) return results_problem(row.tool_results) end,
   assistant = function(row)
      if present(row.tool_calls) then return calls_problem(row.tool_calls) end
      if not is_text(row.content) then return "'content' or 'tool_calls' expected" end
   end,
}

-- Does the row fit behind the one before it, of the same conversation?
local function order_problem(row, last)
   if row.turn ~= (last and last.turn or 0) + 1 then
      return ("turn %d after turn %d of conversation '%s'"):format(row.turn, last and last.turn or 0, row.conversation_id)
   end
   local before = last and last.role or "start"
   if not FOLLOWS[before][row.role] then
      return ("role '%s' %s"):format(row.role, last and "after role '" .. before .. "'" or "at the beginning of a conversation")
   end
   if row.role == "tool" and before == "assistant" and not present(last.tool_calls) then
      return "role 'tool' after an assistant that called no tool"
   end
end

-- ---- building ----

local function put_messages(list, row)
   if row.role == "tool" then
      for _, result in ipairs(row.tool_results) do
         list[#list + 1] = { role = "tool", tool_call_id = result.tool_call_id, content = result.content }
      end
      return
   end
   list[#list + 1] = {
      role = row.role, content = present(row.content) and row.content or json.null, name = row.name,
      reasoning_content = row.reasoning_content, tool_calls = row.tool_calls,
   }
end

local function put_turn(conversation, row)
   if row.role == "assistant" then return end
   if present(row.tools) then conversation.tools = row.tools end
   local turns = conversation.turns
   turns[#turns + 1] = {
      turn = row.turn, upto = #conversation.messages, tool = row.role == "tool", tools = conversation.tools,
      delay = present(row.delay_seconds) and row.delay_seconds or 0,
      max_tokens = row.max_tokens or row.max_new_tokens or row.max_completion_tokens,
   }
end

local function begin(row, list, seen)
   if seen[row.conversation_id] then
      return nil, ("the rows of conversation '%s' are not together"):format(row.conversation_id)
   end
   seen[row.conversation_id] = true
   local conversation = { id = row.conversation_id, messages = {}, turns = {} }
   list[#list + 1] = conversation
   return conversation
end

-- A function that takes the rows one by one: nil, or what is wrong.
local function gatherer(list)
   local seen, conversation, last = {}, nil, nil
   return function(row)
      local problem = row_problem(row) or CONTENT_PROBLEM[row.role](row)
      if problem then return problem end
      if not conversation or conversation.id ~= row.conversation_id then
         conversation, problem = begin(row, list, seen)
         if not conversation then return problem end
         last = nil
      end
      problem = order_problem(row, last)
      if problem then return problem end
      if is_text(row.system) and #conversation.messages == 0 then
         conversation.messages[1] = { role = "system", content = row.system }
      end
      put_messages(conversation.messages, row)
      put_turn(conversation, row)
      list.turns = list.turns + (row.role == "assistant" and 0 or 1)
      last = row
   end
end

local function finish(list, source, text)
   if #list == 0 then return nil, source .. ": no conversations" end
   list.source, list.sha256 = source, engine.sha256(text)
   return setmetatable(list, Recorded_mt)
end

local function from_file(path, place)
   local text, message = dataset.read(where.file(path, place))
   if not text then return nil, message end
   local list, number = { turns = 0 }, 0
   local put = gatherer(list)
   for line in text:gsub("^\239\187\191", ""):gmatch "([^\n]*)\n?" do
      number = number + 1
      if line:find "%S" then
         local row, problem = json.decode(line)
         -- What MLCommons' files may begin with.
         local about = type(row) == "table" and row._type == "dataset_metadata"
         if not about then problem = row == nil and problem or put(row) end
         if problem then return nil, ("%s:%d: %s"):format(path, number, problem) end
      end
   end
   return finish(list, path, text)
end

local function from_rows(rows)
   local list = { turns = 0 }
   local put = gatherer(list)
   for i, row in ipairs(rows) do
      local problem = put(row)
      if problem then return nil, ("row %d: %s"):format(i, problem) end
   end
   local ok, text = pcall(json.encode, rows)
   if not ok then return nil, text end
   return finish(list, "rows", text)
end

--- The conversations of a file, or of a list of rows.
---@param given string|table[]
---@param place? string  "file:line" where the script said it: a relative path is meant from that folder first
---@return table? list     with `turns` (count), `source`, `sha256`
---@return string? message names the file and the line, or the row
function conversation_file.read(given, place)
   if type(given) == "string" then return from_file(given, place) end
   return from_rows(given)
end

return conversation_file
