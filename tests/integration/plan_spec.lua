--- The plan of a scenario as the program tells it, and as it is played on a real clock.
local drive = require "drive"

local SCENARIO = [[
local load, order = perigee.load, perigee.order
return perigee.scenario {
   name = "plan", seed = 3,
   target = perigee.target.openai_chat { url = "mock:mode=max", model = "m" },
   dataset = { "a", "b", "c", "d", "e", "f", "g" },
   phases = {
      { "closed", load = load.concurrency(4), order = order.shuffle(), requests = 30 },
      { "open", load = load.gamma(400, 0.5), order = order.zipf(1), duration = "300ms" },
      { "own", load = load.gaps(function(i, _, rng) return i < 40 and rng:exponential(0.002) or nil end), order = { 3, 1 } },
   },
}]]

local function plan_of(path, ...)
   local r = drive.perigee("explain", path, "--plan", ...)
   assert.equal(0, r.code, r.err)
   return r
end

describe("perigee explain --plan", function()
   it("tells what is played: every request with its time and its sample", function()
      local r = drive.run(SCENARIO)
      assert.equal(0, r.code, r.err)
      local path = r.dir .. "/plan.jsonl"
      drive.write(path, plan_of((r.dir:gsub("/out$", "/scenario.lua"))).out)
      local planned, played, started, unsent = {}, {}, {}, {}
      for _, phase in ipairs(r.summary.phases) do unsent[phase.name] = phase.unsent end
      for _, p in ipairs(drive.jsonl(path)) do
         planned[p.phase] = planned[p.phase] or {}
         table.insert(planned[p.phase], p)
      end
      for _, p in ipairs(drive.jsonl(r.dir .. "/requests.jsonl")) do
         played[p.phase] = played[p.phase] or {}
         table.insert(played[p.phase], p)
      end
      for name, list in pairs(played) do
         table.sort(list, function(a, b) return a.scheduled_ns < b.scheduled_ns end)
         local plan = planned[name]
         -- On a busy machine the phase may end before its last arrivals are sent.
         assert.equal(#plan, #list + unsent[name], name)
         started[name] = list[1].scheduled_ns - (tonumber(plan[1].scheduled_ns) or 0)
         local expected, got = {}, {}
         for i, p in ipairs(list) do
            expected[i] = name == "closed" and plan[i].index or { plan[i].index, plan[i].scheduled_ns }
            got[i] = name == "closed" and p.index or { p.index, p.scheduled_ns - started[name] }
         end
         if name == "closed" then -- several are asked for at the same moment
            table.sort(expected)
            table.sort(got)
         end
         assert.same(expected, got, name)
      end
      assert.equal(40, #played.own)
   end)

   it("tells all that a client sends or leaves unsent, however late it stops", function()
      local r = drive.run [[
         local held
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:mode=max" }, dataset = { "a" },
            load = perigee.load.constant(100), duration = "100ms",
            on = { issue = function()
               if held then return end
               held = os.clock()
               while os.clock() - held < 0.3 do end
            end },
         }]]
      assert.equal(0, r.code, r.err)
      local planned = select(2, plan_of((r.dir:gsub("/out$", "/scenario.lua"))).out:gsub("\n", "\n"))
      local phase = r.summary.phases[1]
      assert.same({ "duration", planned }, { phase.end_reason, phase.issued + phase.unsent })
   end)

   it("is the same each time, with the checksum of the run and of its log", function()
      local r = drive.run(SCENARIO, "--seed", "9")
      local path = (r.dir:gsub("/out$", "/scenario.lua"))
      assert.equal(plan_of(path, "--seed", "9").out, plan_of(path, "--seed", "9").out)
      assert.not_equal(plan_of(path, "--seed", "9").out, plan_of(path).out)
      local shown = drive.perigee("explain", path, "--seed", "9").out:match "\nplan (%x+)\n"
      assert.equal(64, #shown)
      assert.equal(shown, r.summary.plan_checksum) -- that the log gives the same summary is checked by drive.run
      assert.not_equal(shown, drive.perigee("explain", path).out:match "\nplan (%x+)\n")
   end)

   it("is cut at the limit, and says so", function()
      local r = plan_of("examples/quickstart.lua", "--phase", "steady", "--limit", "2")
      local lines = select(2, r.out:gsub("\n", ""))
      assert.equal(2, lines)
      assert.equal("perigee explain: phase 'steady' has more than 2 requests; --limit N shows more\n", r.err)
      r = drive.perigee("explain", "examples/quickstart.lua", "--plan", "--phase", "stedy")
      assert.same({ 2, "", "perigee explain: there is no phase 'stedy'; the phases are 'warmup', 'steady', 'poisson'\n" },
         { r.code, r.out, r.err })
   end)
end)
