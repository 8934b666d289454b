--- A search against the built-in endpoint, with real sockets and a real clock.
local drive = require "drive"

-- Four requests at a time of 20 ms each: 200 per second and not more, whatever the machine.
local SCENARIO = [[
return perigee.scenario {
   name = "search", options = { state = { "", "file" }, most = { "1m", "time", "duration" } },
   target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=20ms,tpot=0ms,tokens=1", model = "m" },
   dataset = { "a" },
   load = perigee.load.search {
      slo = "ttft.p50 < 300ms", rate = { 40, 1280 }, window = "400ms", settle = "100ms", tolerance = 0.5, max_inflight = 4,
      state = perigee.opt "state",
   },
   max_duration = perigee.opt "most",
}]]

describe("load.search", function()
   it("finds no more than the endpoint has, and tells it everywhere", function()
      local dir = drive.tempdir()
      local state = dir .. "/state.json"
      local r = drive.run(SCENARIO, "--state", state)
      assert.equal(0, r.code, r.err)
      local found = r.summary.phases[1].conclusion
      assert.is_true(found.done)
      assert.is_true(found.failed <= 1280)
      -- 400 ms of 640/s and more leave a queue of more than 300 ms behind 200/s.
      assert.is_true(not found.found or found.found < 640, found.text)
      local engine = require "perigee_engine"
      assert.same(found, engine.json.decode(drive.read(state)))
      local text = drive.read(r.dir .. "/summary.txt")
      assert.truthy(text:find("\n  conclusion: " .. found.text .. "\n    rate ", 1, true), text)
      local told = drive.perigee("events", "--from", r.dir .. "/events.plog", "--jsonl", "-", "--quiet")
      local _, count = told.out:gsub("custom%.conclusion", "")
      local values = {}
      for _, step in ipairs(found.steps) do values[step.rate] = true end
      local distinct = 0
      for _ in pairs(values) do distinct = distinct + 1 end
      assert.equal(distinct, count) -- one after each value, repeats included
      os.execute("rm -rf " .. drive.quote(dir))
   end)

   it("goes on from its file after it was ended", function()
      local dir = drive.tempdir()
      local state = dir .. "/state.json"
      local first = drive.run(SCENARIO, "--state", state, "--most", "1s")
      assert.equal(0, first.code, first.err)
      assert.is_false(first.summary.phases[1].conclusion.done)
      local before = #first.summary.phases[1].conclusion.steps
      local second = drive.run(SCENARIO, "--state", state)
      assert.equal(0, second.code, second.err)
      local found = second.summary.phases[1].conclusion
      assert.is_true(found.done)
      assert.is_true(#found.steps > before)
      local third = drive.run(SCENARIO, "--state", state)
      assert.equal(2, third.code)
      assert.truthy(third.err:find("state.json: the search is finished", 1, true), third.err)
      os.execute("rm -rf " .. drive.quote(dir))
   end)
end)
