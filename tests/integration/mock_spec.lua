-- The built-in endpoint as a program: its output, its exit status, its answers to a real client.
local engine = require("perigee_engine")

local DEADLINE = 10

--- Start `perigee mock` with these arguments, its errors among its output.
local function start(...)
   local args = {}
   for i, a in ipairs { ... } do
      args[i] = ("%q"):format(a)
   end
   local code = ("os.exit(require('perigee.cli.mock').run({%s}), true)"):format(table.concat(args, ","))
   return assert(engine.spawn { "sh", "-c", 'exec "$0" "$@" 2>&1', "luajit", "-e", code })
end

--- Its exit status and all it printed.
local function finish(p)
   local lines = {}
   local line, _, code = p:read_line(DEADLINE)
   while line do
      lines[#lines + 1] = line
      line, _, code = p:read_line(DEADLINE)
   end
   assert.equal("ECLOSED", code)
   return p:stop(DEADLINE), table.concat(lines, "\n")
end

local function start_listening(...)
   local p = start(...)
   local line, message = p:read_line(DEADLINE)
   local url = assert(line, message):match("^listening on (http://127%.0%.0%.1:%d+)$")
   assert(url, line)
   return p, url
end

local function curl(url, ...)
   local command = { "curl", "-s", "-m", tostring(DEADLINE) }
   for _, a in ipairs { ... } do
      command[#command + 1] = "'" .. a .. "'"
   end
   command[#command + 1] = url
   local pipe = assert(io.popen(table.concat(command, " ")))
   local text = pipe:read("*a")
   pipe:close()
   return text
end

describe("perigee mock", function()
   it("answers a real client and tells what it did", function()
      local p, url = start_listening("--until-eof")
      local text = curl(url .. "/v1/chat/completions", "-d",
         [[{"model":"m","messages":[{"role":"user","content":"hello world"}]}]])
      local answer = assert(engine.json.decode(text))
      assert.equal("hello world", answer.choices[1].message.content)
      assert.equal(2, answer.usage.completion_tokens)
      local models = assert(engine.json.decode(curl(url .. "/v1/models")))
      assert.equal("model", models.data[1].object)
      assert.equal(0, p:stop(DEADLINE))
   end)

   it("streams events that are each JSON, in the timed mode", function()
      local p, url = start_listening("--until-eof", "--mode", "timed", "--ttft", "exp:1ms",
         "--tpot", "uniform:100us,200us", "--tokens", "6", "--token-bytes", "4", "--seed", "3")
      local text = curl(url .. "/v1/completions", "-N", "-d", [[{"prompt":"x","stream":true}]])
      local tokens = {}
      for data in text:gmatch("data: ({.-})\n\n") do
         tokens[#tokens + 1] = assert(engine.json.decode(data)).choices[1].text
      end
      assert.equal("abcd bcd cde def efg fgh", table.concat(tokens))
      assert.equal("data: [DONE]\n\n", text:sub(-14))
      assert.equal(0, p:stop(DEADLINE))
   end)

   it("injects the faults that it was started with", function()
      local p, url = start_listening("--until-eof", "--fault", "status=1", "--fault-status", "429")
      local text = curl(url .. "/v1/completions", "-i", "-d", [[{"prompt":"x"}]])
      assert.truthy(text:find("HTTP/1.1 429 Too Many Requests", 1, true))
      assert.truthy(text:find("Retry-After: 1", 1, true))
      assert.equal(0, p:stop(DEADLINE))
   end)

   it("asks for its key", function()
      local p, url = start_listening("--until-eof", "--api-key", "secret")
      assert.truthy(curl(url .. "/v1/models"):find("API key", 1, true))
      assert.truthy(curl(url .. "/v1/models", "-H", "Authorization: Bearer secret"):find("perigee-mock", 1, true))
      assert.equal(0, p:stop(DEADLINE))
   end)

   it("serves at a unix socket and removes it", function()
      local path = os.tmpname() .. ".sock"
      local p = start("--until-eof", "--unix", path)
      assert.equal("listening on unix:" .. path, p:read_line(DEADLINE))
      assert.equal([[{"status":"ok"}]], curl("http://x/health", "--unix-socket", path))
      assert.equal(0, p:stop(DEADLINE))
      assert.is_nil(io.open(path))
   end)

   it("ends at once when there is no input to wait for", function()
      local code = "os.exit(require('perigee.cli.mock').run({'--until-eof'}), true)"
      local p = assert(engine.spawn { "sh", "-c", 'exec "$0" "$@" 2>&1 </dev/null', "luajit", "-e", code })
      assert.equal(0, (finish(p)))
   end)

   it("ends in order when it is interrupted", function()
      local code = "os.exit(require('perigee.cli.mock').run({}), true)"
      local p = assert(engine.spawn { "sh", "-c", 'echo $$; exec "$0" "$@" 2>&1', "luajit", "-e", code })
      local pid = assert(p:read_line(DEADLINE)):match("^%d+$")
      assert.truthy(p:read_line(DEADLINE):find("listening on", 1, true))
      os.execute("kill -TERM " .. pid)
      local status, output = finish(p)
      assert.equal(0, status)
      assert.equal("perigee mock: 0 connections, 0 requests, 0 responses, 0 faults, 0 bytes in, 0 bytes out", output)
   end)

   it("names the address that is taken", function()
      local p, url = start_listening("--until-eof")
      local status, output = finish(start("--port", url:match("%d+$")))
      assert.equal(1, status)
      assert.equal(("perigee mock: 127.0.0.1 port %s: address already in use"):format(url:match("%d+$")), output)
      assert.equal(0, p:stop(DEADLINE))
   end)

   it("shows its options", function()
      local status, output = finish(start("--help"))
      assert.equal(0, status)
      assert.truthy(output:find("^usage: perigee mock"))
      assert.truthy(output:find("\n  --ttft DIST        timed: time to the first token (default 50ms)\n", 1, true), output)
   end)

   local refused = {
      { "--prot", "unknown option --prot, did you mean --port?" },
      { "listen", "unexpected argument 'listen'" },
      { "--until-eof=1s", "option --until-eof: true or false expected, got '1s'" },
      { "--port", "option --port: a value is missing (N)" },
      { "--port=", "option --port: a whole number within 0..65535 expected, got ''" },
      { "--port=65536", "option --port: a whole number within 0..65535 expected, got '65536'" },
      { "--port=80.5", "option --port: a whole number within 0..65535 expected, got '80.5'" },
      { "--mode=fast", "option --mode: one of echo, max, timed expected, got 'fast'" },
      { "--ttft=50parsecs", "option --ttft: a time such as 50ms" },
      { "--ttft=-1", "option --ttft: a time such as 50ms" },
      { "--tpot=uniform:2ms,1ms", "option --tpot: a time such as 50ms" },
      { "--tpot=uniform:2ms", "option --tpot: a time such as 50ms" },
      { "--tpot=cauchy:2ms", "option --tpot: a time such as 50ms" },
      { "--tokens=16ms", "option --tokens: a number such as 16" },
      { "--token-bytes=0", "option --token-bytes: a whole number within 1..65536" },
      { "--fault=nope=0.1", "option --fault: KIND=P with P within 0..1 and KIND one of status, reset" },
      { "--fault=reset=1.1", "option --fault: KIND=P with P within 0..1" },
      { "--fault=reset", "option --fault: KIND=P with P within 0..1" },
      { "--fault-status=200", "option --fault-status: a whole number within 400..599" },
      { "--api-key=", "option --api-key: some text expected" },
      { "--host=localhost", "localhost: a numeric address was expected" },
   }
   for _, row in ipairs(refused) do
      it("refuses " .. row[1], function()
         local status, output = finish(start(row[1]))
         assert.equal(2, status)
         assert.truthy(output:find(row[2], 1, true), output)
      end)
   end
end)

describe("engine.mock", function()
   it("passes a script's error on as a failure and lets go of the port", function()
      local port
      local options = { on_listen = function(p)
         port = p
         error("stop here")
      end }
      local stats, message, code = engine.mock(options)
      assert.is_nil(stats)
      assert.equal("ESCRIPT", code)
      assert.truthy(message:find("stop here", 1, true))
      options.port = port
      assert.equal("ESCRIPT", select(3, engine.mock(options)))
   end)

   it("names the option that is wrong", function()
      local rows = {
         { { port = "x" }, "port" },
         { { port = 65536 }, "port" },
         { { mode = "fast" }, "mode" },
         { { ttft = true }, "ttft" },
         { { ttft = { kind = "cauchy" } }, "kind" },
         { { faults = { nope = 1 } }, "nope" },
         { { faults = 1 }, "faults" },
      }
      for _, row in ipairs(rows) do
         local ok, message = pcall(engine.mock, row[1])
         assert.is_false(ok)
         assert.truthy(message:find(row[2], 1, true), message)
      end
   end)
end)
