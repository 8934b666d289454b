local dataset = require("perigee.dataset").public
local datasets = require "perigee.dataset"
local engine = require "perigee.engine"
local opt = require "perigee.opt"
local support = require "tests.unit.support"

describe("perigee.dataset.jsonl", function()
   after_each(support.clean)

   it("reads one sample per line, and skips blank ones", function()
      local text = '{"prompt":"a","id":1}\n\n  \r\n{"messages":[{"role":"user","content":"b"}]}'
      local data = dataset.jsonl((support.file("x.jsonl", text)))
      assert.equal(2, #data)
      assert.equal("a", data:get(1).prompt)
      assert.equal(1, data:get(1).id)
      assert.equal("b", data:get(2).messages[1].content)
      assert.is_nil(data:get(3))
      assert.equal(engine.sha256(text), data.sha256)
      assert.matches("x.jsonl$", data.source)
   end)

   it("passes over the byte order mark that some editors put first", function()
      local data = dataset.jsonl((support.file("x.jsonl", '\239\187\191{"prompt":"a"}\r\n{"prompt":"b"}\r\n')))
      assert.same({ "a", "b" }, { data:get(1).prompt, data:get(2).prompt })
   end)

   it("names the column that is no text", function()
      local path = support.file("x.jsonl", '{"t":"a"}\n')
      local message = support.refusal(dataset.jsonl, path, { prompt = opt.placeholder "column" })
      assert.truthy(message:find("our names = their columns (a text for 'prompt') expected", 1, true), message)
   end)

   it("maps their columns to our names", function()
      local path = support.file("x.jsonl", '{"text_input":"a","n":3,"other":1}\n')
      local data = dataset.jsonl(path, { prompt = "text_input", max_tokens = "n" })
      assert.same({ prompt = "a", max_tokens = 3 }, data:get(1))
   end)

   it("finds a relative path beside the script that names it", function()
      local path, folder = support.file("data.jsonl", '{"prompt":"a"}\n')
      local script = folder .. "/script.lua"
      support.made[#support.made - 1] = script
      table.insert(support.made, 1, path)
      local file = assert(io.open(script, "w"))
      file:write 'local d = require "perigee.dataset".public.jsonl "data.jsonl"\nreturn d\n'
      file:close()
      assert.equal(1, #dofile(script))
   end)

   it("names file and line of what is wrong", function()
      local invalid = {
         { "", nil, "x.jsonl: the dataset is empty" },
         { "\n \n", nil, "x.jsonl: the dataset is empty" },
         { '{"prompt":"a"}\n{"prompt":', nil, "x.jsonl:2: " },
         { '{"prompt":"a"}\n\n[1]\n', nil, "x.jsonl:3: none of 'prompt', 'messages' and 'body'" },
         { '5\n', nil, "x.jsonl:1: an object expected, got number" },
         { '{"text":"a"}\n', nil, "x.jsonl:1: none of 'prompt', 'messages' and 'body'" },
         { '{"prompt":5}\n', nil, "x.jsonl:1: 'prompt' is a number, a string expected" },
         { '{"messages":"hi"}\n', nil, "x.jsonl:1: 'messages' is a string, a list expected" },
         { '{"prompt":null}\n', nil, "x.jsonl:1: none of 'prompt'" },
         { '{"t":"a"}\n{"u":"b"}\n', { prompt = "t" }, "x.jsonl:2: no column 't' (for 'prompt')" },
         { '{"t":null}\n', { prompt = "t" }, "x.jsonl:1: no column 't' (for 'prompt')" },
      }
      for _, row in ipairs(invalid) do
         support.contains(row[3], support.refusal(dataset.jsonl, (support.file("x.jsonl", row[1])), row[2]))
      end
   end)

   it("refuses wrong arguments", function()
      local invalid = {
         { {}, "dataset.jsonl: 'path' is missing" },
         { { 5 }, "dataset.jsonl: path: a string that is not empty expected, got 5" },
         { { "x", "prompt" }, "our names = their columns" },
         { { "x", { "prompt" } }, "our names = their columns" },
         { { "x", { prompt = 5 } }, "our names = their columns" },
         { { "no/such/file.jsonl" }, "no/such/file.jsonl: No such file" },
      }
      for _, row in ipairs(invalid) do support.contains(row[2], support.refusal(dataset.jsonl, unpack(row[1]))) end
   end)

   it("waits for the options when the path is one", function()
      local path = support.file("x.jsonl", '{"prompt":"a"}\n')
      local later = opt.substitute(dataset.jsonl(opt.placeholder "file"), function() return path end)
      assert.equal(1, #datasets.loaded(later))
   end)
end)

describe("perigee.dataset.table", function()
   it("takes prompts and samples", function()
      local data = dataset.table { "a", { prompt = "b", tag = "t" } }
      assert.equal(2, #data)
      assert.equal("a", data:get(1).prompt)
      assert.equal("t", data:get(2).tag)
      assert.equal(engine.sha256 '[{"prompt":"a"},{"prompt":"b","tag":"t"}]', data.sha256)
   end)

   it("refuses what is no list of samples", function()
      local invalid = {
         { {}, "dataset.table: the dataset is empty" },
         { "text", "a list of samples expected, got 'text'" },
         { { 5 }, "dataset.table: sample 1: an object expected, got number" },
         { { "a", { text = "b" } }, "dataset.table: sample 2: none of" },
         { { { prompt = "a", fn = print } }, "dataset.table: cannot write" },
      }
      for _, row in ipairs(invalid) do support.contains(row[2], support.refusal(dataset.table, row[1])) end
   end)
end)
