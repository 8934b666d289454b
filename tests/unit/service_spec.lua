local service = require "perigee.service"
local support = require "tests.unit.support"

local OPTIONS = { out = "results/x", snapshots = "ipc:///x/s.ipc" }

local function arguments(text)
   local argv = service.arguments(assert(service.parse(text)), "ipc:///x/events.ipc", OPTIONS)
   if text:sub(1, 1) ~= "/" then support.contains("perigee", table.remove(argv, 1)) end
   return argv
end

describe("perigee.service.parse", function()
   it("takes words apart as a shell does", function()
      local parsed = service.parse [[ events  --jsonl 'a b' --topic=x"y z"'' ""  ]]
      assert.same({ name = "events", words = { "--jsonl", "a b", "--topic=xy z", "" } }, parsed)
   end)

   it("takes a path for a program", function()
      assert.same({ name = "./x", program = "./x", words = { "-a" } }, service.parse "./x -a")
   end)

   it("refuses what it does not know", function()
      for text, reason in pairs {
         [""] = "missing", ["  "] = "missing", ["mock"] = "unknown service 'mock'", ["events 'a"] = "quote", ['metrics "'] = "quote",
      } do
         local parsed, message = service.parse(text)
         assert.is_nil(parsed)
         support.contains(reason, message)
      end
   end)
end)

describe("perigee.service.arguments", function()
   it("sends results to the run's folder", function()
      assert.same({ "metrics", "--connect", "ipc:///x/events.ipc", "--out", "results/x", "--publish", "ipc:///x/s.ipc",
         "--until-eof", "--quiet" }, arguments "metrics")
      assert.same({ "events", "--connect", "ipc:///x/events.ipc", "--jsonl", "results/x/events.jsonl", "--until-eof",
         "--quiet" }, arguments "events")
   end)

   it("leaves alone what the user chose", function()
      assert.same({ "metrics", "--out=here", "--publish", "tcp://127.0.0.1:*", "--connect", "ipc:///x/events.ipc",
         "--until-eof", "--quiet" }, arguments "metrics --out=here --publish tcp://127.0.0.1:*")
      assert.same({ "events", "--sqlite", "run.db", "--connect", "ipc:///x/events.ipc", "--until-eof", "--quiet" },
         arguments "events --sqlite run.db")
      assert.same({ "/bin/x", "-v", "--connect", "ipc:///x/events.ipc" }, arguments "/bin/x -v")
   end)
end)

describe("perigee.service.file", function()
   it("is what goes into the run's folder, and nothing that the user sent elsewhere", function()
      for text, expected in pairs {
         metrics = "o/final_snapshot.json", events = "o/events.jsonl", ["events --topic x"] = "o/events.jsonl",
         ["metrics --out=here"] = "none", ["events --sqlite run.db"] = "none", ["/bin/x -v"] = "none",
      } do
         assert.equal(expected, service.file(assert(service.parse(text)), "o") or "none", text)
      end
   end)
end)

describe("a set of services", function()
   it("counts the subscriptions that will come", function()
      local function count(...)
         local list = {}
         for i, text in ipairs { ... } do list[i] = assert(service.parse(text)) end
         return service.new(list, OPTIONS):subscriptions()
      end
      assert.equal(0, count())
      assert.equal(1, count "metrics")
      assert.equal(3, count("metrics", "events", "./x"))
      assert.equal(4, count "events --topic a --topic=b") -- and session.ended, and batch
      assert.equal(4, count "events --topic a --sqlite run.db") -- and session.started
      assert.equal(1, count "events --sqlite run.db")
   end)
end)
