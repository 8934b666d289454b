--- Arrivals as they were recorded. Without a dataset the phase also gets prompts of
--- the recorded lengths: a token is a word, and rows that share blocks share a prefix.
local define = require "perigee.load.define"
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local trace_file = require "perigee.load.trace_file"
local where = require "perigee.where"

---@class perigee.TraceOptions: perigee.LoadOptions
---@field speed? number  (1) 2 plays twice as fast
---@field from? perigee.Duration  begin of a window in the trace's own time
---@field to? perigee.Duration  its end
---@field max_input? integer  tokens; longer prompts are cut
---@field max_output? integer  tokens; longer answers are not asked for
local BLOCK = 512 -- tokens of a block, as Mooncake counts them
local CACHED_BLOCKS = 4096 -- about 2.5 KB each

-- Short words that tokenizers tend to keep whole.
local WORDS = {
   "the", "time", "of", "a", "day", "and", "year", "to", "way", "in", "man", "is", "world", "life", "that", "hand",
   "part", "for", "child", "eye", "on", "place", "week", "with", "case", "point", "as", "work", "fact", "by", "group", "at",
}

-- The text of a block: the same for the same id, whoever asks.
local function block_text(id, words)
   local random, list = engine.rng(id, 512), {}
   for i = 1, words do list[i] = WORDS[random:int(1, #WORDS)] end
   return table.concat(list, " ")
end

local function cache()
   local texts, count = {}, 0
   return function(id)
      local text = texts[id]
      if text then return text end
      if count == CACHED_BLOCKS then texts, count = {}, 0 end
      text = block_text(id, BLOCK)
      texts[id], count = text, count + 1
      return text
   end
end

-- A prompt of `tokens` words. A row without block ids shares nothing: its blocks are its own.
local function prompt_of(row, tokens, text_of)
   local parts, left, i = {}, tokens, 0
   while left > 0 do
      i = i + 1
      local id = row.blocks and row.blocks[i] or -(row.line * 4096 + i)
      parts[i] = left >= BLOCK and text_of(id) or block_text(id, left)
      left = left - BLOCK
   end
   return table.concat(parts, " ")
end

local function windowed(rows, args)
   local list = { sha256 = rows.sha256 }
   for _, row in ipairs(rows) do
      if row.at >= (args.from or 0) and row.at < (args.to or math.huge) then list[#list + 1] = row end
   end
   return list
end

local function read(args, place)
   local rows, message = trace_file.read(where.file(args.path, place))
   if not rows then where.fail("load.trace: " .. message, place) end
   rows = windowed(rows, args)
   if #rows == 0 then where.fail(("load.trace: %s has no arrivals in the window"):format(args.path), place) end
   return rows
end

local function capped(tokens, most)
   return math.max(1, math.min(tokens, most or math.huge))
end

--- Open: arrivals as a trace file has them, with prompts of the recorded lengths; the phase ends with it.
---@param path string  Mooncake (JSONL), Azure LLM inference or BurstGPT (CSV); a relative one is meant from the script's folder,
---   else from the current one
---@param opts? perigee.TraceOptions
return define.open("trace", { "path" }, {
   path = schema.required(schema.text), speed = schema.default(schema.positive, 1),
   from = schema.duration, to = schema.duration, max_input = schema.count, max_output = schema.count,
}, function(args, context, place)
   local kept = context.cache or {} -- for who builds it again
   kept.rows = kept.rows or read(args, place)
   local rows, text_of = kept.rows, cache()
   local start = rows[1].at
   return {
      identity = { path = rows.sha256 },
      schedule = function(i, t)
         local row = rows[i + 1]
         return row and math.max(0, (row.at - start) / args.speed - t)
      end,
      sample = function(i)
         local row = rows[i]
         if not row then return nil end
         return {
            prompt = prompt_of(row, capped(row.input, args.max_input), text_of),
            max_tokens = capped(row.output, args.max_output), exact_length = true,
         }
      end,
   }
end)
