local drive = require "drive"
local engine = require "perigee_engine"

--- Run a scenario with its control socket at $control, and beside it this shell text,
--- which begins when the phase "steady" runs.
local function run_with(text, script, ...)
   local dir = drive.tempdir()
   local control = "ipc://" .. dir .. "/control"
   local r = drive.shell(table.concat({
      "control=" .. control,
      drive.command("run", drive.scenario(dir, text), "--out", dir .. "/out", "--progress", "none", "--control", control, ...)
         .. " >" .. dir .. "/run.out 2>" .. dir .. "/run.err & run=$!",
      [[tell() { scripts/perigee control "$control" "$@"; }]],
      [[until tell status | grep -q '"phase":"steady"'; do kill -0 $run || break; done]],
      script,
      "wait $run; exit $?",
   }, "\n"))
   local summary = drive.read(dir .. "/out/summary.json")
   r.dir, r.summary = dir .. "/out", summary and assert(engine.json.decode(summary))
   r.err = r.err .. (drive.read(dir .. "/run.err") or "")
   r.run_out = drive.read(dir .. "/run.out")
   return r
end

local ENDLESS = [[
return perigee.scenario {
   name = "endless",
   target = perigee.target.openai_chat { url = "mock:" },
   dataset = perigee.dataset.table { { prompt = "x" } },
   phases = { { "steady", load = %s, duration = "1h" } },
}]]

describe("perigee control", function()
   it("stops a run in order", function()
      local r = run_with(ENDLESS:format "perigee.load.concurrency(2)", "tell stop", "--service", "events")
      assert.equal(0, r.code, r.err)
      assert.equal("script", r.summary.phases[1].end_reason)
      assert.truthy(r.out:find('"stopping":true', 1, true), r.out)
      local told
      for _, e in ipairs(drive.jsonl(r.dir .. "/events.jsonl")) do
         if e.event_type == "custom.control" then told = e.data end
      end
      assert.equal("stop", told)
   end)

   it("tells what runs", function()
      local r = run_with(ENDLESS:format "perigee.load.constant(50)", "tell status; tell stop")
      local status = assert(engine.json.decode(r.out:match "^[^\n]+"))
      assert.equal("endless", status.scenario)
      assert.equal("steady", status.phase)
      assert.equal("performance", status.kind)
      assert.equal(50, status.rate_per_s)
      assert.equal(engine.json.null, status.concurrency)
      assert.same({ "number", "number" }, { type(status.elapsed_s), type(status.issued) })
   end)

   it("changes the rate of an open load that runs", function()
      for _, kind in ipairs { "constant", "poisson" } do
         -- At its own rate it would take hours.
         local r = run_with(([[
            return perigee.scenario {
               target = perigee.target.openai_chat { url = "mock:" },
               dataset = perigee.dataset.table { { prompt = "x" } },
               phases = { { "steady", load = perigee.load.%s(0.01), requests = 300 } },
            }]]):format(kind), "tell rate 1000")
         assert.equal(0, r.code, r.err)
         assert.equal(300, r.summary.phases[1].completed)
         assert.truthy(r.out:find('"rate_per_s":1000', 1, true), r.out)
      end
   end)

   it("changes the concurrency of a closed load that runs", function()
      local r = run_with([[
         local most = 0
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=5ms,tokens=2" },
            dataset = perigee.dataset.table { { prompt = "x" } },
            phases = { { "steady", load = perigee.load.concurrency(1), duration = "1h" } },
            on = { issue = function(r, p)
               most = math.max(most, p.inflight)
               if p.inflight == 7 then p:stop() end
            end, phase_end = function() print("most", most) end },
         }]], "tell concurrency 7")
      assert.equal(0, r.code, r.err)
      assert.truthy(r.run_out:find("most\t7", 1, true), r.run_out)
   end)

   it("answers what it cannot do with an error, and the run goes on", function()
      local commands = {
         ["dance"] = "unknown command 'dance'",
         ["rates 5"] = "did you mean 'rate'?",
         ["rate"] = "a number expected, got nothing",
         ["rate fast"] = "a number expected, got 'fast'",
         ["rate -3"] = "a rate of at least 0 expected",
         ["rate inf"] = "a rate of at least 0 expected",
         ["rate '1 2'"] = "too many words",
         ["concurrency 4"] = "the load of phase 'steady' has no concurrency",
         ["stop now"] = "too many words",
         ["' '"] = "a command is missing",
      }
      local script = {}
      for command in pairs(commands) do script[#script + 1] = "tell -- " .. command .. " 2>&1; echo code $?" end
      script[#script + 1] = "tell stop"
      local r = run_with(ENDLESS:format "perigee.load.constant(50)", table.concat(script, "\n"))
      assert.equal(0, r.code, r.err)
      for command, reason in pairs(commands) do
         assert.truthy(r.out:find(reason, 1, true), command .. ":\n" .. r.out)
      end
      local _, count = r.out:gsub("code 1\n", "")
      assert.equal(10, count, r.out)
   end)

   it("opens a socket of the user's own with auto, and removes it", function()
      local dir = drive.tempdir()
      local file = drive.scenario(dir, ENDLESS:format "perigee.load.concurrency(1)")
      local r = drive.shell(table.concat({
         drive.command("run", file, "--out", dir .. "/out", "--progress", "none", "--control", "auto") .. " 2>" .. dir .. "/err & run=$!",
         "until grep -q '^control:' " .. dir .. "/err; do kill -0 $run || exit 9; done",
         "address=$(sed -n 's/^control: perigee control \\(.*\\) status/\\1/p' " .. dir .. "/err)",
         "folder=$(dirname ${address#ipc://}); stat -c 'mode %a' $folder",
         "until scripts/perigee control $address status | grep -q steady; do kill -0 $run || exit 8; done",
         "scripts/perigee control $address stop",
         "wait $run || exit 7",
         "test ! -e $folder",
      }, "\n"))
      assert.equal(0, r.code, r.out .. r.err .. (drive.read(dir .. "/err") or ""))
      assert.truthy(r.out:find("mode 700", 1, true), r.out)
   end)

   it("says so when nobody answers, and refuses bad usage", function()
      local r = drive.perigee("control", "ipc:///nonexistent/control", "status", "--timeout", "50ms")
      assert.equal(1, r.code)
      assert.truthy(r.err:find("no answer", 1, true), r.err)
      assert.equal(2, drive.perigee("control", "x://y", "status").code)
      assert.equal(2, drive.perigee("control", "ipc:///a").code)
      assert.equal(2, drive.perigee("control").code)
      r = drive.run(ENDLESS:format "perigee.load.concurrency(1)", "--control", "nowhere")
      assert.equal(2, r.code)
      assert.truthy(r.err:find("nowhere", 1, true), r.err)
   end)
end)

describe("a handler", function()
   it("changes the rate: the distances change, and nothing comes in a burst", function()
      local r = drive.run([[
         local count = 0
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" },
            dataset = perigee.dataset.table { { prompt = "x" } },
            load = perigee.load.constant(100),
            requests = 400,
            on = { issue = function(r, p)
               count = count + 1
               if count == 20 then assert(p:set_rate(500)); assert(p.rate == 500) end
               if count == 40 then p:set_rate(1000) end
            end },
         }]])
      assert.equal(0, r.code, r.err)
      local lines = drive.jsonl(r.dir .. "/requests.jsonl")
      table.sort(lines, function(a, b) return a.scheduled_ns < b.scheduled_ns end)
      assert.equal(400, #lines)
      local function distance(i) return (lines[i + 1].scheduled_ns - lines[i].scheduled_ns) / 1e6 end
      -- A client that is late sets the rate later, after some more arrivals, and the next one is not in the past.
      local i = 1
      local function pass(ms, first_change)
         while i < 400 and math.abs(distance(i) - ms) <= 1e-3 do i = i + 1 end
         assert.is_true(i >= first_change, ("arrival %d: not after %g ms, but %s"):format(i + 1, ms, i < 400 and distance(i)))
      end
      pass(10, 20)
      assert.is_true(distance(i) >= 2 - 1e-3)
      i = i + 1
      pass(2, 40)
      assert.is_true(distance(i) >= 1 - 1e-3)
      i = i + 1
      pass(1, 400)
   end)

   it("that sets the rate all the time does not hold the next arrival up", function()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=1ms,tpot=1ms,tokens=20" },
            dataset = perigee.dataset.table { { prompt = "x" } },
            load = perigee.load.constant(200),
            requests = 40,
            on = { chunk = function(r, p) p:set_rate(200) end },
         }]])
      assert.equal(0, r.code, r.err)
      local lines = drive.jsonl(r.dir .. "/requests.jsonl")
      table.sort(lines, function(a, b) return a.scheduled_ns < b.scheduled_ns end)
      assert.equal(40, #lines)
      for i = 1, 39 do assert.is_true(lines[i + 1].scheduled_ns - lines[i].scheduled_ns >= 5e6 - 1e3) end
   end)

   it("keeps arrivals that are due and wait for room", function()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:mode=timed,ttft=30ms,tokens=2" },
            dataset = perigee.dataset.table { { prompt = "x" } },
            load = perigee.load.constant(1000, { max_inflight = 1 }),
            requests = 10,
            on = { complete = function(r, p) if p.completed == 1 then p:set_rate(0.001) end end },
         }]])
      assert.equal(0, r.code, r.err)
      assert.equal(10, r.summary.phases[1].completed) -- all were due when the rate fell
   end)

   it("is told what a load does not have, and what a knob does not take", function()
      for call, reason in pairs {
         ["p:set_rate(5)"] = "the load of phase 'steady' has no rate",
         ["p:set_concurrency(0)"] = "a whole number of at least 1 expected",
         ["p:set_concurrency(1.5)"] = "a whole number of at least 1 expected",
         ["p:set_concurrency('many')"] = "number expected",
         ["assert(p.rate == nil and p.concurrency == 2); error('as it should be')"] = "as it should be",
      } do
         local r = drive.run(([[
            return perigee.scenario {
               target = perigee.target.openai_chat { url = "mock:" },
               dataset = perigee.dataset.table { { prompt = "x" } },
               phases = { { "steady", load = perigee.load.concurrency(2), requests = 10 } },
               on = { phase_start = function(p) %s end },
            }]]):format(call))
         assert.equal(2, r.code, call)
         assert.truthy(r.err:find(reason, 1, true), r.err)
      end
   end)

   it("cannot turn a phase that issues no more", function()
      local r = drive.run([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:" },
            dataset = perigee.dataset.table { { prompt = "x" } },
            load = perigee.load.constant(1000), requests = 5,
            on = { phase_end = function(p) print(p:set_rate(5)) end },
         }]])
      assert.equal(0, r.code, r.err)
      assert.truthy(r.out:find("nil\tthe phase issues no more\tECLOSED", 1, true), r.out)
   end)
end)
