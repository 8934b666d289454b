local engine = require "perigee.engine"
local support = require "tests.unit.support"
local target = require "perigee.target"

local CONTEXT = { mock = function(url) return "http://127.0.0.1:1/?" .. url end }

local function build(spec) return spec:build(CONTEXT) end

-- The decoded body for a sample, and what else the builder gave.
local function body(spec, sample, request)
   local text, path, headers, tag, method = build(spec).build(request)(sample, 1)
   return text and engine.json.decode(text), path, headers, tag, method
end

describe("perigee.target.openai_chat", function()
   local chat = target.openai_chat

   it("sends a prompt as a chat that asks for usage", function()
      assert.same({
         model = "m", stream = true, stream_options = { include_usage = true }, max_tokens = 5, temperature = 0,
         messages = { { role = "user", content = "hi" } },
      }, body(chat { url = "x", model = "m", max_tokens = 5, temperature = 0 }, { prompt = "hi" }))
   end)

   it("puts the system message before prompts and messages, and leaves the sample alone", function()
      local sample = { messages = { { role = "user", content = "a" }, { role = "assistant", content = "b" } } }
      local spec = chat { url = "x", system = "s" }
      assert.same({ "s", "a", "b" }, (function()
         local list = {}
         for i, m in ipairs(body(spec, sample).messages) do list[i] = m.content end
         return list
      end)())
      assert.equal(2, #sample.messages)
      assert.equal("s", body(spec, { prompt = "p" }).messages[1].content)
   end)

   it("merges extra fields last, and lets a sample set its answer length", function()
      local out = body(chat { url = "x", stream = false, max_tokens = 5, extra = { top_k = 3, stream = true } },
         { prompt = "p", max_tokens = 9 })
      assert.same({ 3, true, 9 }, { out.top_k, out.stream, out.max_tokens })
      assert.is_nil(out.stream_options)
   end)

   it("says which sample has no content", function()
      support.contains("sample 1 has neither 'prompt' nor 'messages'", support.refusal(body, chat { url = "x" }, { body = "b" }))
   end)

   it("encodes a sample once when nothing can change it", function()
      local make, sample = build(chat { url = "x" }).build(), { prompt = "a" }
      local first = make(sample, 1)
      sample.prompt = "b"
      assert.equal(first, (make(sample, 1)))
   end)

   it("describes the client for the engine", function()
      local client = build(chat {
         url = { "host:1/", "https://h/v1", "mock:x=1" }, api_key = "KEY", headers = { ["x-a"] = "1", ["content-type"] = "text/x" },
         connect_timeout = "1s", first_byte_timeout = 2, insecure = true,
      }).client
      assert.same({ "http://host:1", "https://h", "http://127.0.0.1:1/?mock:x=1" }, client.urls)
      assert.same({ "Authorization: Bearer KEY", "content-type: text/x", "x-a: 1" }, client.headers)
      assert.equal("/v1/chat/completions", client.path)
      assert.same({ "POST", "chat", 1, 2, true },
         { client.method, client.decoder, client.connect_timeout, client.first_byte_timeout, client.insecure })
   end)

   it("keeps /v1 of a url when the path is given", function()
      local client = build(chat { url = "http://h/v1", path = "/chat" }).client
      assert.same({ "http://h/v1", "/chat" }, { client.urls[1], client.path })
   end)

   it("takes the api key from the variable that is named", function()
      assert.same({ "Authorization: Bearer " .. os.getenv "PATH", "Content-Type: application/json" },
         build(chat { url = "x", api_key_env = "PATH" }).client.headers)
      support.contains("NO_SUCH_VARIABLE (api_key_env) is not set",
         support.refusal(build, chat { url = "x", api_key_env = "NO_SUCH_VARIABLE" }))
   end)
end)

describe("perigee.target.openai_completions", function()
   local completions = target.openai_completions

   it("sends the prompt", function()
      local out = body(completions { url = "x", model = "m" }, { prompt = "hi" })
      assert.same({ "hi", "m", true }, { out.prompt, out.model, out.stream })
      assert.equal("/v1/completions", build(completions { url = "x" }).client.path)
   end)

   it("says which sample has no prompt", function()
      support.contains("sample 1 has no 'prompt'", support.refusal(body, completions { url = "x" }, { messages = { {} } }))
   end)
end)

describe("perigee.target.http", function()
   it("sends the sample's body, else its prompt", function()
      local make = build(target.http { url = "x", method = "PUT", path = "/p" })
      assert.same({ "PUT", "/p", "raw" }, { make.client.method, make.client.path, make.client.decoder })
      assert.equal("b", (make.build()({ body = "b", prompt = "p" }, 1)))
      assert.equal("p", (make.build()({ prompt = "p" }, 2)))
      assert.equal('{"a":1}', (make.build()({ body = { a = 1 } }, 3)))
      assert.equal("", (make.build()({}, 4)))
   end)
end)

describe("a request function", function()
   local chat, http = target.openai_chat { url = "x" }, target.http { url = "x" }

   it("replaces the prompt with a string", function()
      assert.equal("new", body(chat, { prompt = "old" }, function() return "new" end).messages[1].content)
      assert.equal("new", (build(http).build(function() return "new" end)({ prompt = "old" }, 1)))
   end)

   it("gets the sample and its index", function()
      local sample, got = { prompt = "p" }, nil
      build(http).build(function(...) got = { ... } return "x" end)(sample, 7)
      assert.equal(sample, got[1])
      assert.equal(7, got[2])
   end)

   it("may give path, headers, body, tag and method", function()
      local text, path, headers, tag, method = build(http).build(function()
         return { path = "/q", headers = { B = 2, A = "1" }, body = { n = 1 }, tag = "t", method = "PUT" }
      end)({}, 1)
      assert.same({ '{"n":1}', "/q", { "A: 1", "B: 2" }, "t", "PUT" }, { text, path, headers, tag, method })
   end)

   it("leaves the body to the target when it gives none", function()
      local out, _, _, tag = body(chat, { prompt = "p" }, function() return { tag = "t" } end)
      assert.same({ "p", "t" }, { out.messages[1].content, tag })
   end)

   it("skips a sample with nil", function()
      assert.is_nil((build(http).build(function() return nil end)({}, 1)))
   end)

   it("is refused when it returns something else", function()
      local invalid = {
         { 5, "request: a string, a table or nil expected, got 5" },
         { false, "request: a string, a table or nil expected, got false" },
         { { bdy = "x" }, "request: unknown field 'bdy', did you mean 'body'?" },
         { { path = "nope" }, "request: path: a path that begins with '/', without spaces or '#' expected" },
         { { headers = { ["a b"] = "x" } }, "request: headers: a table of header names" },
         { { headers = { a = "x\r\nEvil: 1" } }, "no line breaks or control characters" },
         { { body = 5 }, "request: body: a string or a table expected, got 5" },
      }
      for _, row in ipairs(invalid) do
         support.contains(row[2], support.refusal(build(http).build(function() return row[1] end), {}, 1))
      end
   end)
end)

describe("perigee.target arguments", function()
   it("take urls of every good shape", function()
      for _, url in ipairs {
         "h", "h:8000", "127.0.0.1:1/v1", "HTTP://h:65535/", "https://user:secret@h:8443/a/b", "unix:8000", "http://[::1]:8000", "[::1]",
         "http://h:", "http://größe.example", "mock:", "mock:mode=timed,ttft=uniform:1ms,2ms",
      } do
         assert.has_no.errors(function() target.openai_chat { url = url } end)
      end
   end)

   it("are refused with the reason", function()
      local invalid = {
         { {}, "target.openai_chat: 'url' is missing" },
         { { url = "" }, "a url such as http://host:8000 (http or https, no spaces, no query) or a list of urls expected, got ''" },
         { { url = "a b" }, "a url such as" },
         { { url = "unix:/run/x" }, "the path of a unix socket in unix_socket, or a list of urls expected, got 'unix:/run/x'" },
         { { url = {} }, "a list of urls" },
         { { url = "x", modle = "m" }, "unknown field 'modle', did you mean 'model'?" },
         { { url = "x", path = "v1" }, "path: a path that begins with '/', without spaces or '#' expected, got 'v1'" },
         { { url = "x", headers = { "X: 1" } }, "headers: a table of header names" },
         { { url = "x", headers = { X = "a\nb" } }, "headers: a table of header names" },
         { { url = "x", headers = { X = {} } }, "headers: a table of header names" },
         { { url = "x", max_tokens = 0 }, "max_tokens: a whole number >= 1" },
         { { url = "x", stream = 1 }, "stream: true or false expected" },
         { { url = "x", timeout = "-1s" }, "timeout: a duration above 0" },
         { { url = "x", api_key = "a", api_key_env = "B" }, "api_key and api_key_env exclude each other" },
      }
      for _, row in ipairs(invalid) do support.contains(row[2], support.refusal(target.openai_chat, row[1])) end
      for _, url in ipairs {
         "ftp://h", "http://", "http:///v1", "h:0", "h:99999", "http://h:port", "http://[::1", "http://h/?q", "http://h/#f", "::1",
      } do
         support.contains("url: a url such as", support.refusal(target.openai_chat, { url = url }))
         support.contains("url: a url such as", support.refusal(target.openai_chat, { url = { "http://h", url } }))
      end
      support.contains("method: one of 'GET'", support.refusal(target.http, { url = "x", method = "FETCH" }))
      support.contains("did you mean 'openai_chat'?", support.refusal(function() return target.openai_chta end))
   end)
end)
