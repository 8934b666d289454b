--- Results and events that cannot be written or are not read: told, counted, in the exit code.
local account = require "account"
local drive = require "drive"
local engine = require "perigee_engine"

local TEXT = [[
return perigee.scenario {
   target = perigee.target.openai_chat { url = "%s" },
   dataset = { { prompt = "a b c d" } },
   load = perigee.load.concurrency(4), requests = %d,
   on = { phase_start = function() %s end },
}]]

local function text(requests, url, start)
   return TEXT:format(url or "mock:", requests, start or "")
end

local function write_to(out, ...)
   local dir = drive.tempdir()
   drive.write(dir .. "/file", "")
   return drive.perigee("run", drive.scenario(dir, text(20)), "--out", out:gsub("DIR", dir), "--progress", "none", ...), dir
end

describe("the folder of the results", function()
   for _, row in ipairs {
      { "DIR/file", "/file: not a directory" },
      { "DIR/file/below", "/file" },
      { "/proc/nowhere", "/proc/nowhere: No such file or directory" },
      { "", "path is empty" },
   } do
      it("cannot be made: " .. row[1], function()
         local r = write_to(row[1])
         assert.equal(1, r.code, r.err)
         assert.truthy(r.err:find(row[2], 1, true), r.err)
      end)
   end

   --- Run with one of the files replaced beforehand.
   local function with_file(make)
      local dir = drive.tempdir()
      os.execute(("mkdir %s/out; cd %s/out; %s"):format(dir, dir, make))
      local r = drive.perigee("run", drive.scenario(dir, text(20)), "--out", dir .. "/out", "--progress", "none")
      return r, dir .. "/out"
   end

   it("has no room for the requests: the rest is written, and the loss is told", function()
      local r, out = with_file "ln -s /dev/full requests.jsonl"
      assert.equal(1, r.code, r.err)
      local summary = assert(engine.json.decode(drive.read(out .. "/summary.json")))
      assert.same({ "failed", 20 }, { summary.verdict, summary.phases[1].completed })
      assert.truthy(table.concat(summary.failures, "\n"):find("/requests.jsonl: No space left on device", 1, true), r.out)
   end)

   for _, name in ipairs { "summary.json", "summary.txt", "config.json" } do
      it("cannot take " .. name, function()
         local r, out = with_file("mkdir " .. name)
         assert.equal(1, r.code, r.err)
         assert.truthy(r.err:find(name, 1, true), r.err)
         assert.equal(20, #drive.jsonl(out .. "/requests.jsonl"))
      end)
   end

   it("cannot take the requests", function()
      local r, out = with_file "mkdir requests.jsonl"
      assert.equal(1, r.code, r.err)
      assert.truthy(r.err:find("/requests.jsonl: Is a directory", 1, true), r.err)
      assert.is_nil(drive.read(out .. "/summary.json"))
   end)

   it("belongs to one run at a time: a second one is refused and spoils nothing", function()
      local dir = drive.tempdir()
      local out = dir .. "/out"
      local second = drive.command("run", drive.scenario(dir, text(5), "second.lua"), "--out", out, "--events",
         "ipc://" .. dir .. "/second.ipc", "--progress", "none")
      local start = ("os.execute [=[%s >%s/told 2>&1; echo $? >%s/code]=]"):format(second, dir, dir)
      local first = drive.perigee("run", drive.scenario(dir, text(20, "mock:", start)), "--out", out, "--progress", "none")
      assert.equal(0, first.code, first.err)
      assert.equal("1\n", drive.read(dir .. "/code"))
      assert.truthy(drive.read(dir .. "/told"):find(out .. "/events.plog: another run writes to it", 1, true))
      assert.equal(20, #drive.jsonl(out .. "/requests.jsonl"))
      assert.equal(0, drive.perigee("report", out .. "/events.plog").code)
   end)

   it("is full", function()
      local dir = drive.tempdir()
      local r = drive.shell(table.concat({
         "mkdir " .. dir .. "/full && mount -t tmpfs -o size=64k none " .. dir .. "/full 2>/dev/null || exit 77",
         "head -c 60K /dev/zero >" .. dir .. "/full/filler",
         drive.command("run", drive.scenario(dir, text(2000)), "--out", dir .. "/full", "--progress", "none") .. "; code=$?",
         "umount " .. dir .. "/full; exit $code",
      }, "\n"))
      if r.code == 77 then return pending "a file system cannot be mounted here" end
      assert.equal(1, r.code, r.err)
      for _, name in ipairs { "requests.jsonl", "summary.json" } do
         assert.truthy((r.out .. r.err):find("/" .. name .. ": No space left on device", 1, true), r.out .. r.err)
      end
   end)
end)

describe("an address", function()
   it("of events that is in use is named, and nothing is sent", function()
      local dir = drive.tempdir()
      local first = assert(engine.spawn { "luajit", "tests/integration/event_source.lua", "1", "endless" })
      local address = assert(first:read_line(20))
      local r = drive.run(text(5), "--events", address)
      first:stop(5)
      assert.equal(1, r.code, r.err)
      assert.truthy(r.err:find(address, 1, true) and r.err:find("in use", 1, true), r.err)
      assert.is_nil(r.summary)
      os.remove(dir)
   end)
end)

-- A subscriber gets a signal when the run has begun; then comes what the row adds.
local SUBSCRIBED = [[
DIR=%s
%s >/dev/null 2>&1 & subscriber=$!
%s --subscribers 1 --progress none & run=$!
for _ in $(seq 1000); do [ -e $DIR/started ] && break; sleep 0.02; done
kill -%s $subscriber
touch $DIR/go
%s
wait $run; code=$?
kill -KILL $subscriber 2>/dev/null; exit $code]]

local INTERRUPT = [[
for _ in $(seq 1000); do [ -e $DIR/ended ] && break; sleep 0.02; done
while kill -INT $run 2>/dev/null; do sleep 0.3; done]]

local function with_subscriber(signal, requests, more)
   local dir = drive.tempdir()
   local address = "ipc://" .. dir .. "/events.ipc"
   local hooks = ([[io.open("%s/started", "w"):close() while not io.open("%s/go") do os.execute("sleep 0.02") end end,
      phase_end = function() io.open("%s/ended", "w"):close()]]):format(dir, dir, dir)
   local r = drive.shell(SUBSCRIBED:format(dir,
      drive.command("events", "--connect", address, "--jsonl", dir .. "/events.jsonl"),
      drive.command("run", drive.scenario(dir, text(requests, "mock:", hooks)), "--out", dir .. "/out", "--events", address),
      signal, more or ""))
   r.dir = dir .. "/out"
   r.summary = assert(engine.json.decode(assert(drive.read(r.dir .. "/summary.json"))))
   account.balance(r)
   assert.equal(requests, r.summary.phases[1].completed)
   return r
end

describe("a subscriber", function()
   it("that dies does not hold up the run, and the run says so", function()
      local r = with_subscriber("KILL", 2000)
      assert.equal(1, r.code, r.out .. r.err)
      assert.equal("failed", r.summary.verdict)
      assert.truthy(r.out:find("1 of the event subscriptions that were awaited were gone before the end", 1, true), r.out)
   end)

   it("that stops reading does not hold up the run, and an interrupt ends the waiting for it", function()
      local r = with_subscriber("STOP", 2000, INTERRUPT)
      assert.equal(130, r.code, r.out .. r.err)
      assert.equal("interrupted", r.summary.verdict)
      assert.truthy(r.out:find("%d+ event records did not reach their subscribers"), r.out)
   end)

   it("that gets all of it is no trouble", function()
      local r = with_subscriber("CONT", 20)
      assert.equal(0, r.code, r.out .. r.err)
   end)
end)
