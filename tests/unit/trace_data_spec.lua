-- Traces as they are published: what load.trace makes of the real files.
local drive = require "drive"
local engine = require "perigee.engine"
local load = require "perigee.load"
local support = require "tests.unit.support"
local trace_file = require "perigee.load.trace_file"

after_each(support.clean)

local MOONCAKE, AZURE = "mooncake_synthetic_trace.jsonl", "AzureLLMInferenceTrace_code.csv"

local function times(built)
   local list, t = {}, 0
   while true do
      local gap = built.schedule(#list, t)
      if not gap then return list end
      t = t + gap
      list[#list + 1] = t
   end
end

local function words(text)
   local list = {}
   for word in text:gmatch "%S+" do list[#list + 1] = word end
   return list
end

-- A test of a shared file, skipped where that is not.
local function with(name, title, fn)
   it(title, function()
      local path = drive.shared(name)
      if not path then return pending "../shared/data is not here" end
      fn(path)
   end)
end

local function mooncake_rows(path)
   local rows = {}
   for line in io.lines(path) do rows[#rows + 1] = assert(engine.json.decode(line)) end
   return rows
end

describe("Mooncake's trace", function()
   with(MOONCAKE, "is played with its times and lengths", function(path)
      local rows, built = mooncake_rows(path), load.trace(path):build {}
      local list = times(built)
      assert.equal(3993, #list)
      for i, row in ipairs(rows) do assert.near((row.timestamp - rows[1].timestamp) / 1000, list[i], 1e-9) end
      for i = 1, #rows, 97 do
         local sample = built.sample(i)
         assert.equal(rows[i].input_length, #words(sample.prompt))
         assert.equal(rows[i].output_length, sample.max_tokens)
      end
      assert.is_nil(built.sample(3994))
   end)

   with(MOONCAKE, "gives the same 512 words for the same block and others for another, whoever asks first", function(path)
      local rows, text_of, id_of, whole, again = mooncake_rows(path), {}, {}, 0, 0
      -- Two loads that read the rows in opposite directions.
      local forth, back = load.trace(path):build { seed = 1 }, load.trace(path):build { seed = 2 }
      local function look(built, i)
         local row, list = rows[i], words(built.sample(i).prompt)
         for k, id in ipairs(row.hash_ids) do
            local first, last = (k - 1) * 512 + 1, math.min(k * 512, row.input_length)
            local text = last >= first and table.concat(list, " ", first, last) or ""
            if last - first + 1 == 512 then
               if text_of[id] then again = again + 1 end
               assert.is_true(text_of[id] == nil or text_of[id] == text)
               assert.is_true(id_of[text] == nil or id_of[text] == id)
               text_of[id], id_of[text], whole = text, id, whole + 1
            elseif text_of[id] then -- a block that is cut is the begin of the whole one
               assert.equal(text, text_of[id]:sub(1, #text))
            end
         end
      end
      for i = 1, #rows, 37 do look(forth, i) end
      for i = #rows, 1, -41 do look(back, i) end
      assert.is_true(whole > 3000 and again > 500, ("%d, %d"):format(whole, again))
   end)

   with(MOONCAKE, "has prompts that share as long a prefix as their blocks", function(path)
      local rows, built, compared = mooncake_rows(path), load.trace(path):build {}, 0
      local latest = {} -- row with this first block
      for j, row in ipairs(rows) do
         local i = latest[row.hash_ids[1]]
         latest[row.hash_ids[1]] = j
         if i and compared < 60 and j % 5 == 0 then
            local a, b = rows[i], row
            local shared = 0
            while a.hash_ids[shared + 1] and a.hash_ids[shared + 1] == b.hash_ids[shared + 1] do shared = shared + 1 end
            local one, two = words(built.sample(i).prompt), words(built.sample(j).prompt)
            local same = 0
            while one[same + 1] and one[same + 1] == two[same + 1] do same = same + 1 end
            local whole = math.min(shared * 512, a.input_length, b.input_length)
            assert.is_true(same >= whole and same < whole + 32, ("rows %d: %d words, %d blocks"):format(i, same, shared))
            compared = compared + 1
         end
      end
      assert.equal(60, compared)
   end)

   with(MOONCAKE, "is cut to a window, to lengths, and played faster", function(path)
      local rows = mooncake_rows(path)
      local start, inside = rows[1].timestamp, {}
      for _, row in ipairs(rows) do
         local t = (row.timestamp - start) / 1000
         if t >= 60 and t < 180 then inside[#inside + 1] = { t = t, input = row.input_length, output = row.output_length } end
      end
      local built = load.trace(path, { from = "1m", to = "3m", speed = 4, max_input = 1000, max_output = 20 }):build {}
      local list = times(built)
      assert.is_true(#inside > 10)
      assert.equal(#inside, #list)
      for i, row in ipairs(inside) do
         assert.near((row.t - inside[1].t) / 4, list[i], 1e-9)
         local sample = built.sample(i)
         assert.equal(math.min(1000, row.input), #words(sample.prompt))
         assert.equal(math.max(1, math.min(20, row.output)), sample.max_tokens)
      end
   end)
end)

describe("Azure's trace", function()
   with(AZURE, "is read to the last of its seven digits", function(path)
      local rows, number, first = assert(trace_file.read(path)), 0, nil
      for line in io.lines(path) do
         local h, m, s, digits, input, output = line:match "^2023%-11%-16 (%d+):(%d+):(%d+)%.(%d+),(%d+),(%d+)\r?$"
         if h then
            assert.equal(7, #digits)
            number = number + 1
            -- In units of 100 ns: whole numbers.
            local ticks = ((h * 60 + m) * 60 + s) * 1e7 + tonumber(digits)
            first = first or ticks
            assert.near((ticks - first) / 1e7, rows[number].at, 0.5e-7)
            assert.same({ tonumber(input), tonumber(output) }, { rows[number].input, rows[number].output })
         end
      end
      assert.equal(8819, number)
      assert.equal(8819, #rows)
   end)

   with(AZURE, "is played in order", function(path)
      local list = times(load.trace(path, { to = "5m" }):build {})
      assert.equal(0, list[1])
      assert.is_true(#list > 100 and list[#list] < 300)
      for i = 2, #list do assert.is_true(list[i] >= list[i - 1]) end
   end)
end)

describe("BurstGPT's trace", function()
   it("may end its lines either way and begin with a byte order mark", function()
      local lines = { "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type" }
      for i = 1, 50 do lines[i + 1] = ("%d,ChatGPT,%d,%d,%d,Conversation log"):format(5 + i * i, 10 * i, i, 11 * i) end
      local unix, dos = table.concat(lines, "\n"), table.concat(lines, "\r\n")
      local texts = { unix .. "\n", dos .. "\r\n", "\239\187\191" .. dos }
      for k, text in ipairs(texts) do
         local built = load.trace(support.file(k .. ".csv", text), { speed = 2, max_input = 200 }):build {}
         local list = times(built)
         assert.equal(50, #list)
         for i = 1, 50 do
            assert.near((i * i - 1) / 2, list[i], 1e-9)
            local sample = built.sample(i)
            assert.same({ math.min(200, 10 * i), i }, { #words(sample.prompt), sample.max_tokens })
         end
      end
   end)
end)
