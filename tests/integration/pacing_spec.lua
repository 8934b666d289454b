-- How an open load keeps its schedule, and what is told when it does not.
local drive = require "drive"

local STALL = [[
local stalled = false
local function stall() -- once, the thread that measures is held up
   if stalled then return end
   stalled = true
   local until_s = os.clock() + 0.06
   while os.clock() < until_s do end
end
]]

local function run(fields, before, ...)
   return drive.run(([[
local samples = {}
for i = 1, 40 do samples[i] = "hello " .. i end
%s
return perigee.scenario {
   name = "pacing", target = perigee.target.openai_chat { url = "mock:mode=max" }, dataset = samples, %s
}]]):format(before or "", fields), ...)
end

-- The stamps of a key, in the order of the events.
local function stamps(r, topic, key)
   local list = {}
   drive.perigee("events", "--from", r.dir .. "/events.plog", "--jsonl", r.dir .. "/events.jsonl", "--quiet")
   for _, e in ipairs(drive.jsonl(r.dir .. "/events.jsonl")) do
      if e.event_type == topic then list[#list + 1] = e[key] end
   end
   return list
end

local function ascending(list)
   for i = 2, #list do
      if list[i] < list[i - 1] then return false end
   end
   return true
end

describe("an open load that is held up", function()
   it("makes up for it in order, and counts what was late", function()
      local r = run("load = perigee.load.constant(1000), requests = 200, on = { complete = stall }", STALL)
      assert.equal(0, r.code, r.err)
      local phase = r.summary.phases[1]
      assert.equal(200, phase.completed)
      -- A thousand a second for 60 ms of CPU time: nearly sixty.
      assert.is_true(phase.client.late >= 50, phase.client.late)
      assert.is_true(phase.client.catch_ups >= 1)
      assert.is_true(phase.client.worst_late_ms >= 50)
      assert.is_true(phase.client.busy_share > 0)
      local scheduled = stamps(r, "sample.issued", "scheduled_ns")
      assert.equal(200, #scheduled)
      assert.is_true(ascending(scheduled))
      assert.truthy(r.out:find("\n  client: " .. phase.client.late .. " of 200 issued more than 1 ms late", 1, true), r.out)
   end)

   it("has no arrival at the very end of its time", function()
      local r = run("load = perigee.load.constant(100), duration = '200ms'") -- the next one would be due at 200 ms
      local phase = r.summary.phases[1]
      assert.equal(20, phase.issued + phase.unsent) -- a busy machine may hold some back
   end)

   it("is limited by its client when that is more than the scenario allows", function()
      local r = run("load = perigee.load.constant(1000), requests = 200, on = { complete = stall }", STALL)
      assert.equal("client_limited", r.summary.verdict)
      assert.matches("the client was late", r.summary.warnings[1].detail)
      assert.equal(0, r.code)
   end)

   it("is limited by its client when that had less time to spare than the scenario wants", function()
      local r = run([[load = perigee.load.constant(200), duration = "1.1s", client_limits = { busy = 0.001, lateness_floor = "1h" }]])
      assert.same({ 0, "client_limited" }, { r.code, r.summary.verdict })
      assert.matches("^the client was busy for %d+%% of the time", r.summary.warnings[1].detail)
      assert.same({ lateness = 0.1, lateness_floor_s = 3600, busy = 0.001, failed = 0.05 }, r.summary.config.phases[1].client_limits)
   end)

   it("is sent between the completions of one turn", function()
      -- All ends of a turn are stamped before the first of them is told.
      local r = run([[
load = perigee.load.constant(1000), duration = "20s", tick = "20ms", stop_when = function() return between >= 1 end,
on = { issue = function(r) issued = math.max(issued, r.issued) end, complete = complete, tick = crowd } ]], [[
local between, issued = 0, 0
local function complete(r)
   if r.finished < issued then between = between + 1 end
   local until_s = os.clock() + 20e-6
   while os.clock() < until_s do end
end
local function crowd(p)
   for _ = 1, 60 do p:issue() end
end]])
      assert.same({ 0, "stop_when" }, { r.code, r.summary.phases[1].end_reason }, r.err .. r.out)
   end)

   it("does not count what max_inflight held back", function()
      local r = drive.run [[
return perigee.scenario {
   name = "held", target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=20ms,tokens=1" }, dataset = { "hello" },
   load = perigee.load.burst(8, { max_inflight = 1 }),
}]]
      assert.equal(0, r.code, r.err)
      local phase = r.summary.phases[1]
      assert.is_true(phase.lateness_us.max > 100e3, phase.lateness_us.max)
      assert.is_true(phase.client.late < 8, phase.client.late)
   end)
end)

describe("a request that is made ahead of its time", function()
   it("is asked for once each, in order, and none too many", function()
      local r = run([[load = perigee.load.constant(500), requests = 40,
         request = function(_, i) asked[#asked + 1] = i; return { body = "{}" } end,
         teardown = function(h)
            local f = io.open(h.out .. "/asked", "w")
            f:write(table.concat(asked, " "))
            f:close()
         end]], "local asked = {}")
      assert.equal(0, r.code, r.err)
      local numbers = {}
      for i = 1, 40 do numbers[i] = i end
      assert.equal(table.concat(numbers, " "), drive.read(r.dir .. "/asked"))
   end)

   it("is let go when the phase is stopped before it is sent", function()
      local r = run([[load = perigee.load.constant(200), duration = "10s", on = { complete = function(_, p) p:stop() end } ]])
      assert.equal(0, r.code, r.err)
      local phase = r.summary.phases[1]
      assert.equal("script", phase.end_reason)
      assert.equal(phase.issued, phase.completed)
   end)

   it("leaves out the arrivals for which there is nothing to send", function()
      local r = run([[load = perigee.load.constant(1000), duration = "100ms",
         request = function(_, i) if i % 2 == 0 then return { body = "{}" } end end]])
      assert.equal(0, r.code, r.err)
      local phase = r.summary.phases[1]
      assert.is_true(phase.issued > 10 and phase.issued <= 50, phase.issued)
   end)
end)
