--- Endpoints that misbehave: the class of the failure, its message, the exit code.
local account = require "account"
local drive = require "drive"
local engine = require "perigee_engine"

-- One request to the endpoint of the row; its handlers tell what they got.
local ONE = [[
return perigee.scenario {
   target = perigee.target.openai_chat(%s),
   dataset = { { prompt = "one two three four five six" } },
   requests = 1, deadline = %s,
   on = { error = function(r) print("on.error", r.error, r.status, r.message) end },
}]]

local function one(transport, target, deadline)
   return drive.run(ONE:format(target, deadline or "'20s'"), "--transport", transport)
end

local function faulty(fault)
   return ('{ url = "mock:", headers = { ["x-perigee-fault"] = "%s" } }'):format(fault)
end

local function at(url, more)
   return ('{ url = "%s", %s }'):format(url, more or "")
end

-- Listens and never accepts, with its queue of connections full: no connection comes about.
local FULL = [[
import socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(0)
held = []
for _ in range(8):
    c = socket.socket(); c.setblocking(False)
    c.connect_ex(s.getsockname()); held.append(c)
print(s.getsockname()[1], flush=True)
sys.stdin.read()
]]

-- A port that was free a moment ago.
local FREE = [[
import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])
]]

local function python(code)
   local p = assert(engine.spawn { "python3", "-c", code })
   return p, assert(p:read_line(20))
end

for _, transport in ipairs { "direct", "curl" } do
   describe("a faulty endpoint over " .. transport, function()
      local function fails(r, class, message)
         assert.equal(1, r.code, r.err)
         account.balance(r)
         assert.equal("failed", r.summary.verdict)
         assert.same({ [class] = 1 }, r.summary.phases[1].errors)
         local line = drive.jsonl(r.dir .. "/requests.jsonl")[1]
         assert.truthy(line.error_message:find(message, 1, true), line.error_message)
         assert.truthy(r.out:find("on.error\t" .. class, 1, true), r.out)
         assert.same({ [class] = line.error_message }, r.summary.phases[1].error_examples)
         assert.truthy(drive.read(r.dir .. "/summary.txt"):find(("\n  first %s: %s\n"):format(class, line.error_message), 1, true))
         assert.truthy(r.out:find(message, 1, true), r.out)
         assert.truthy(r.err:find("not one request succeeded (1 issued, 1 failed)", 1, true)
            or r.out:find("not one request succeeded (1 issued, 1 failed)", 1, true), r.out .. r.err)
      end

      for _, row in ipairs {
         -- fault, class, message, deadline, options of the target
         { "reset", "reset", "reset" },
         { "close", "reset", "closed" },
         { "truncate", "truncated", "the stream ended after" },
         { "stall", "timeout", "deadline", "'100ms'" },
         { "hang", "timeout", "deadline", "'100ms'" },
         { "bad_sse", "bad_sse", "no line of a stream" },
         { "bad_json", "bad_json", "JSON" },
         { "bad_http", "bad_http", "HTTP" },
         { "error_event", "stream_error", "error" },
         { "status=401", "http_401", '"error"' },
         { "status=429", "http_429", '"error"' },
         { "status=500", "http_500", '"error"' },
      } do
         it(("answers with %s: %s"):format(row[1], row[2]), function()
            fails(one(transport, faulty(row[1]), row[4]), row[2], row[3])
         end)
      end

      it("sends no first byte before its deadline", function()
         fails(one(transport, '{ url = "mock:", first_byte_timeout = "100ms", headers = { ["x-perigee-fault"] = "hang" } }'),
            "first_byte_timeout", "no response byte")
      end)

      it("has no socket at the path", function()
         fails(one(transport, at("http://localhost", 'unix_socket = "/nonexistent/socket"')), "connect",
            "/nonexistent/socket: No such file or directory")
      end)

      it("refuses the connection", function()
         local p, port = python(FREE)
         p:stop(5)
         fails(one(transport, at("http://127.0.0.1:" .. port)), "refused", "127.0.0.1")
      end)

      it("never accepts the connection", function()
         local p, port = python(FULL)
         local r = one(transport, at("http://127.0.0.1:" .. port, 'connect_timeout = "200ms"'))
         p:stop(5)
         fails(r, "connect_timeout", "connect")
      end)

      it("is slow with its headers, which is no fault", function()
         local r = one(transport, faulty "slow_headers")
         assert.equal(0, r.code, r.err)
         account.balance(r)
         assert.equal(1, r.summary.phases[1].completed)
      end)

      it("mixes faults by chance, and every request is accounted for", function()
         local r = drive.run([[
            return perigee.scenario {
               target = perigee.target.openai_chat { url = "mock:seed=3,fault=status=0.1,fault=reset=0.1,fault=stall=0.05,"
                  .. "fault=truncate=0.1,fault=close=0.1,fault=bad_sse=0.1,fault=bad_json=0.1,fault=bad_http=0.1,fault=error_event=0.1" },
               dataset = { { prompt = "one two three four" } },
               load = perigee.load.concurrency(16), requests = 400, deadline = "150ms",
               checks = { "error_rate < 50%" },
            }]], "--transport", transport)
         assert.equal(3, r.code, r.err)
         account.balance(r)
         local phase = r.summary.phases[1]
         assert.equal(400, phase.issued)
         assert.is_true(phase.completed > 0 and phase.failed > phase.completed)
         for _, class in ipairs { "http_500", "reset", "timeout", "truncated", "bad_sse", "bad_json", "bad_http", "stream_error" } do
            assert.is_true((phase.errors[class] or 0) > 0, class)
         end
      end)
   end)
end
