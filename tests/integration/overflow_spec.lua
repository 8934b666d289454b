local drive = require "drive"
local engine = require "perigee_engine"

-- Stops the subscriber --pid while the phase runs, then prints what became of the
-- events and lets it go on. 2 MB of events at least are made.
local SCENARIO = [[
local json = require("perigee_engine").json
local subscriber
local function kill(signal)
   assert(os.execute(("kill -%s %d"):format(signal, subscriber)) == 0)
end
return perigee.scenario {
   options = { pid = { 0, "subscriber" } },
   target = perigee.target.openai_chat { url = "mock:", model = "m" },
   dataset = perigee.dataset.table { { prompt = ("word "):rep(200) } },
   phases = { { "only", load = perigee.load.concurrency(16), requests = 2000, record_text = true } },
   setup = function(run) subscriber = run.options.pid end,
   on = {
      phase_start = function() kill "STOP" end,
      phase_end = function(p)
         assert(p.session:flush())
         print("stats", json.encode(p.session:stats()))
         kill "CONT"
      end,
   },
}
]]

--- Run the scenario beside `perigee events`: the run, the subscriber's exit code and what it
--- wrote, the stats at the end of the phase, the events.
local function run_stopped(...)
   local dir = drive.tempdir()
   local address = "ipc://" .. dir .. "/events.ipc"
   local r = drive.shell(table.concat({
      drive.command("events", "--connect", address, "--jsonl", dir .. "/events.jsonl") .. " 2>" .. dir .. "/told & pid=$!",
      drive.command("run", drive.scenario(dir, SCENARIO), "--events", address, "--subscribers", "1",
         "--out", dir .. "/out", "--progress", "none", "--events-memory", "1", ...) .. " --pid $pid; code=$?",
      "kill -CONT $pid; wait $pid; echo subscriber $?",
      "exit $code",
   }, "\n"))
   local stats = r.out:match "stats\t(%b{})"
   return {
      code = r.code, text = r.out .. r.err, subscriber = tonumber(r.out:match "subscriber (%d+)"),
      stats = stats and engine.json.decode(stats), told = drive.read(dir .. "/told"),
      events = drive.jsonl(dir .. "/events.jsonl"), files = io.popen("ls " .. dir .. "/out"):read "*a",
   }
end

describe("a subscriber that is stopped and goes on", function()
   it("gets every event, by way of the disk", function()
      local r = run_stopped()
      assert.equal(0, r.code, r.text)
      assert.equal(0, r.subscriber, r.told)
      assert.is_true(r.stats.spilled > 0)
      assert.is_true(r.stats.spill_bytes > 0)
      assert.is_true(r.stats.held <= 2 ^ 20)
      assert.equal(0, r.stats.dropped)
      assert.equal(0, r.stats.buffered)
      assert.equal(r.stats.put, r.stats.sent + r.stats.pending)
      local seen, counts = {}, {}
      for _, e in ipairs(r.events) do
         assert.is_nil(seen[e.seq])
         seen[e.seq] = true
         counts[e.event_type] = (counts[e.event_type] or 0) + 1
      end
      for seq = 0, #r.events - 1 do assert.is_true(seen[seq], seq) end
      assert.equal(2000, counts["sample.issued"])
      assert.equal(2000, counts["sample.complete"])
      assert.equal("session.ended", r.events[#r.events].event_type)
      assert.is_nil(r.files:find("spill", 1, true))
   end)

   it("misses what was dropped, and both sides say how much", function()
      local r = run_stopped("--overflow", "drop")
      assert.equal(1, r.code, r.text)
      local dropped = tonumber(r.text:match "(%d+) events were dropped: the subscribers were too slow")
      assert.is_true(dropped >= r.stats.dropped and r.stats.dropped > 0)
      assert.equal(0, r.stats.spilled)
      assert.is_true(r.stats.held <= 2 ^ 20)
      assert.equal(1, r.subscriber)
      assert.truthy(r.told:find((" %d missing"):format(dropped), 1, true), r.told)
   end)
end)

describe("perigee run", function()
   it("refuses a rule for slow subscribers that is none", function()
      local r = drive.perigee("run", "examples/quickstart.lua", "--overflow", "lose")
      assert.equal(2, r.code)
      assert.truthy(r.err:find("spill, drop, block", 1, true), r.err)
   end)

   it("delivers under block as long as the subscribers read", function()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" },
            dataset = perigee.dataset.table { { prompt = "x" } },
            load = perigee.load.concurrency(4), requests = 100,
            on = { phase_end = function(p) print("blocked", p.session:stats().blocked_ns) end },
         }]], "--overflow", "block")
      assert.equal(0, r.code, r.err)
      assert.equal(0, tonumber(r.out:match "blocked\t(%d+)"))
   end)
end)
