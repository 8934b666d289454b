--- `perigee events --sqlite`: what a run leaves in the database.
local database = require "integration.database"
local drive = require "drive"
local engine = require "perigee_engine"

local SESSION = ("5e"):rep(16) -- of event_source.lua

local RUN = [[return perigee.scenario {
   target = perigee.target.openai_chat { url = "mock:", model = "m" },
   dataset = perigee.dataset.table { { prompt = "a" } },
   load = perigee.load.concurrency(4),
   phases = { { "first", requests = 30 }, { "second", requests = 50 } } }]]

local dir, db

local function source(count, mode)
   local process = assert(engine.spawn { "luajit", "tests/integration/event_source.lua", tostring(count), mode })
   return process, assert(process:read_line(20))
end

local function query(sql)
   return database.query(db, sql)
end

--- Follow one session of the source into the database.
local function follow(count, mode, ...)
   local process, address = source(count, mode)
   local r = drive.perigee("events", "--connect", address, "--sqlite", db, ...)
   process:stop(20)
   return r
end

--- Turn until the query gives this row.
local function await(sql, row)
   local deadline = engine.clock() + 20
   repeat
      local rows = query(sql)
      if rows and rows[1] == row then return true end
      os.execute "sleep 0.01" -- only so as not to spin; the deadline is the rule
   until engine.clock() > deadline
   return false
end

describe("perigee events --sqlite", function()
   before_each(function()
      dir = drive.tempdir()
      db = dir .. "/events.db"
   end)

   after_each(function() os.execute("rm -rf " .. drive.quote(dir)) end)

   it("stores each event once and tells how many", function()
      local r = follow(500)
      assert.equal("perigee events: 502 records in 502 frames, 0 duplicate, 502 rows new, 0 known, complete\n", r.err)
      assert.equal(0, r.code)
      assert.same({ SESSION .. "|502|0|501" },
         query "SELECT session_id, count(*), min(seq), max(seq) FROM events GROUP BY 1")
      assert.same({ SESSION .. "|1000|1501" }, query "SELECT session_id, started_ns, ended_ns FROM sessions")
   end)

   it("adds to a database only what is new", function()
      assert.equal(0, follow(300, nil, "--topic", "custom.none").code) -- start and end alone
      local r = follow(300)
      assert.equal(0, r.code)
      assert.truthy(r.err:find("300 rows new, 2 known", 1, true), r.err)
      assert.same({ "302" }, query "SELECT count(*) FROM events")
   end)

   it("finds the session of events whose start it missed", function()
      local r = follow(50, "late")
      assert.equal(1, r.code) -- one record is missing
      assert.same({ SESSION .. "|51" }, query "SELECT session_id, count(*) FROM events GROUP BY 1")
   end)

   it("takes the same session from two at once", function()
      local address = "ipc://" .. dir .. "/events"
      local command = drive.command("events", "--quiet", "--connect", address, "--sqlite", db)
      local r = drive.shell(table.concat({
         command .. " & a=$!", command .. " & b=$!",
         drive.command("run", drive.scenario(dir, RUN), "--events", address, "--subscribers", "2", "--quiet",
            "--out", dir .. "/out") .. "; code=$?",
         "wait $a || exit 8", "wait $b || exit 9", "exit $code",
      }, "\n"))
      assert.equal(0, r.code, r.err)
      -- 80 samples of three events; two phases of four; the the session's start and end, its configuration and its end of load
      assert.same({ "252|251" }, query "SELECT count(*), max(seq) FROM events")
   end)

   it("is written together with the JSON lines", function()
      assert.equal(0, follow(20, nil, "--jsonl", dir .. "/events.jsonl").code)
      assert.equal(22, #drive.jsonl(dir .. "/events.jsonl"))
      assert.same({ "22" }, query "SELECT count(*) FROM events")
   end)

   it("learns the session whatever the topics are", function()
      assert.equal(0, follow(20, nil, "--topic", "custom.none").code)
      assert.same({ SESSION .. "|session.started", SESSION .. "|session.ended" },
         query "SELECT session_id, event_type FROM events ORDER BY seq")
   end)

   it("stores what is good among broken frames", function()
      local r = follow(240, "garbage")
      assert.equal(1, r.code)
      assert.truthy(r.err:find("242 rows new, 0 known, 241 corrupt", 1, true), r.err)
      assert.same({ "242" }, query "SELECT count(*) FROM events")
   end)

   it("keeps what came when it is terminated", function()
      local process, address = source(100, "endless")
      local follower = assert(engine.spawn { "bash", "-c", "echo $$; exec " ..
         drive.command("events", "--quiet", "--connect", address, "--sqlite", db) .. " 2>/dev/null" })
      local pid = assert(follower:read_line(20))
      assert.is_true(await("SELECT count(*) FROM events", "101"))
      os.execute("kill -TERM " .. pid)
      assert.equal(143, follower:stop(20))
      assert.same({ "101" }, query "SELECT count(*) FROM events")
      process:stop(0)
   end)

   it("fails when the disk is full, and says how much is not stored", function()
      local process, address = source(20000)
      local r = drive.shell("trap '' XFSZ; ulimit -f 512; exec " ..
         drive.command("events", "--connect", address, "--sqlite", db))
      process:stop(20)
      assert.equal(1, r.code)
      local stored, unstored = r.err:match "(%d+) rows new, 0 known, cannot write: .-, (%d+) unstored"
      assert.truthy(stored, r.err)
      assert.is_true(tonumber(unstored) > 0)
      assert.same({ stored }, query "SELECT count(*) FROM events")
   end)

   it("refuses what is no database of its own", function()
      drive.write(db, ("text\n"):rep(1000))
      local r = drive.perigee("events", "--connect", "ipc:///nonexistent/events", "--sqlite", db)
      assert.equal(1, r.code)
      assert.equal(("perigee events: %s: file is not a database\n"):format(db), r.err)
      drive.write(dir .. "/lines", "kept")
      drive.perigee("events", "--connect", "ipc:///nonexistent/events", "--sqlite", db, "--jsonl", dir .. "/lines")
      assert.equal("kept", drive.read(dir .. "/lines"))
   end)

   it("holds what a run told", function()
      local address = "ipc://" .. dir .. "/events"
      local follower = assert(engine.spawn { "scripts/perigee", "events", "--quiet", "--connect", address, "--sqlite", db })
      local r = drive.run(RUN, "--events", address, "--subscribers", "1")
      assert.equal(0, r.code, r.err)
      assert.equal(0, follower:stop(20))
      assert.same({ "0|30", "1|50" }, query [[SELECT phase, count(*) FROM events
         WHERE event_type = 'sample.complete' AND failure IS NULL AND http_status = 200 GROUP BY phase]])
      assert.same({ r.summary.session_id }, query "SELECT DISTINCT session_id FROM events")
      assert.same({ "1" }, query "SELECT count(*) FROM sessions WHERE ended_ns > started_ns")
   end)
end)

describe("a session", function()
   it("is named at its ends and those of its phases, for who joins late", function()
      dir = drive.tempdir()
      local address = "ipc://" .. dir .. "/events"
      local follower = assert(engine.spawn { "scripts/perigee", "events", "--quiet", "--connect", address,
         "--jsonl", dir .. "/events.jsonl" })
      local r = drive.run(RUN, "--events", address, "--subscribers", "1")
      assert.equal(0, r.code, r.err)
      assert.equal(0, follower:stop(20))
      local naming = {}
      for _, e in ipairs(drive.jsonl(dir .. "/events.jsonl")) do
         if e.session_id == r.summary.session_id then naming[#naming + 1] = e.event_type end
      end
      assert.same({ "session.started", "custom.phase_start", "custom.phase_end", "custom.phase_start",
         "custom.phase_end", "session.ended" }, naming)
      os.execute("rm -rf " .. drive.quote(dir))
   end)
end)

describe("a narrow subscriber", function()
   it("receives its topic alone, in batches", function()
      dir = drive.tempdir()
      local address = "ipc://" .. dir .. "/events"
      local follower = assert(engine.spawn { "bash", "-c", "exec " .. drive.command("events", "--connect", address,
         "--topic", "sample.complete", "--jsonl", dir .. "/events.jsonl") .. " 2>" .. dir .. "/told" })
      local r = drive.run([[return perigee.scenario {
         target = perigee.target.openai_chat { url = "mock:", model = "m" },
         dataset = perigee.dataset.table { { prompt = "a" } },
         load = perigee.load.concurrency(16), phases = { { "p", requests = 1500 } } }]],
         "--events", address, "--subscribers", "3") -- its topic, session.ended and the batches of mlcommons
      assert.equal(0, r.code, r.err)
      assert.equal(0, follower:stop(20))
      local counts = {}
      for _, e in ipairs(drive.jsonl(dir .. "/events.jsonl")) do
         counts[e.event_type] = (counts[e.event_type] or 0) + 1
      end
      assert.same({ ["sample.complete"] = 1500, ["session.ended"] = 1 }, counts)
      local told = drive.read(dir .. "/told")
      local records, frames = told:match "^perigee events: (%d+) records in (%d+) frames, 0 duplicate, complete"
      assert.equal(1501, tonumber(records), told)
      assert.is_true(tonumber(frames) < 150, told) -- a flush each 1000 records of all topics or 100 ms
      os.execute("rm -rf " .. drive.quote(dir))
   end)
end)
