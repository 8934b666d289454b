--- HTTP on threads of its own: the same run, whatever their number.
local account = require "account"
local drive = require "drive"
local engine = require "perigee_engine"
local ffi = require "ffi"

local TEXT = [[
local load, target = perigee.load, perigee.target
local ffi = require "ffi"
ffi.cdef "int getpid(void); int kill(int pid, int signal);"
local function signal(n) ffi.C.kill(ffi.C.getpid(), n) end
local count = 0
local function at(n) count = count + 1; return count == n end
local samples = {}
for i = 1, 20 do samples[i] = { prompt = "a b c " .. i } end
local hanging = target.openai_chat { url = "mock:", stream = true, headers = { ["x-perigee-fault"] = "hang" } }
return perigee.scenario { dataset = samples, order = perigee.order.shuffle(), seed = 5, load = load.poisson(2000),
   target = target.openai_chat { url = "mock:mode=timed,ttft=1ms,tpot=1ms,tokens=3", stream = true },
   phases = { { "a" } }, requests = 100,
   %s
}]]

local function run(fields, ...)
   local r = drive.run(TEXT:format(fields or ""), ...)
   if r.summary then account.balance(r) end
   return r
end

-- What was planned for each request, in the order of the intended times.
local function planned(r)
   local lines = drive.jsonl(r.dir .. "/requests.jsonl")
   table.sort(lines, function(a, b) return a.scheduled_ns < b.scheduled_ns end)
   local list = {}
   for i, line in ipairs(lines) do list[i] = { line.index, line.scheduled_ns - lines[1].scheduled_ns } end
   return list, lines
end

describe("workers", function()
   it("change nothing of the plan", function()
      local plans = {}
      for _, n in ipairs { 0, 1, 3 } do
         local r = run(nil, "--workers", n)
         assert.equal(0, r.code, r.out .. r.err)
         assert.equal(100, r.summary.phases[1].completed)
         assert.same({ count = n, why = "--workers" }, r.summary.config.workers)
         local share = r.summary.phases[1].client.workers_busy_share
         if n == 0 then assert.equal(engine.json.null, share) else assert.is_true(share >= 0) end
         if n > 0 and ffi.os == "Linux" then assert.is_true(share > 0) end
         local plan, lines = planned(r)
         local used = {}
         for _, line in ipairs(lines) do
            used[tostring(line.worker_id)] = true
            assert.is_true(line.issued_ns >= line.scheduled_ns and line.first_ns >= line.issued_ns)
         end
         assert.equal(n == 0, used["nil"] or false)
         for i = 0, n - 1 do assert.is_true(used[tostring(i)], "worker " .. i .. " had nothing to do") end
         plans[#plans + 1] = plan
      end
      assert.same(plans[1], plans[2])
      assert.same(plans[1], plans[3])
   end)

   it("carry any transport", function()
      for _, transport in ipairs { "direct", "curl" } do
         local r = run("workers = 1,", "--transport", transport)
         assert.equal(0, r.code, r.out .. r.err)
         assert.equal(100, r.summary.phases[1].completed)
         assert.equal(transport, r.summary.config.phases[1].transport.name)
         for _, line in ipairs(drive.jsonl(r.dir .. "/requests.jsonl")) do assert.equal(0, line.worker_id) end
      end
   end)

   it("are in the events, the report and the plan", function()
      local dir = drive.tempdir()
      local r = run("workers = 2,", "--service", ("events --jsonl %s/events"):format(dir))
      assert.equal(0, r.code, r.out .. r.err)
      assert.truthy(r.out:find("HTTP on 2 worker threads (the scenario's workers)", 1, true), r.out)
      local ids = {}
      for _, e in ipairs(drive.jsonl(dir .. "/events")) do
         if e.worker_id then ids[e.event_type .. e.worker_id] = true end
      end
      for _, kind in ipairs { "sample.issued", "sample.recv_first", "sample.complete" } do
         assert.is_true(ids[kind .. 0] and ids[kind .. 1], kind)
      end
      local file = drive.scenario(drive.tempdir(), TEXT:format "workers = 2,")
      assert.truthy(drive.perigee("explain", file).out:find("workers: HTTP on 2 worker threads (the scenario's workers)", 1, true))
      assert.truthy(drive.perigee("explain", file, "--workers", "0").out:find("workers: HTTP on the session's thread (--workers)", 1, true))
   end)

   it("give handlers what they give without", function()
      local seen = {}
      for _, n in ipairs { 0, 2 } do
         local r = run([[load = load.concurrency(3), requests = 12, record_text = true, chunk_events = true,
            on = {
               first = function(r) print("first", r.chunks, r.text, r.status, r.ttft > 0, r.first >= r.issued) end,
               chunk = function(r, p, text) print("chunk", r.chunks, r.text, text) end,
               complete = function(r) print("complete", r.ok, r.chunks, r.text, r.tokens_out, r.finish_reason, r.service_time > 0) end,
            },]], "--workers", n)
         assert.equal(0, r.code, r.out .. r.err)
         local lines = {}
         for line in r.out:gmatch "[^\n]+" do
            if line:find "^first" or line:find "^chunk" or line:find "^complete" then lines[#lines + 1] = line end
         end
         assert.equal(12 * 5, #lines)
         table.sort(lines)
         seen[#seen + 1] = lines
      end
      assert.same(seen[1], seen[2])
   end)

   it("let deadlines, cancels and failures be", function()
      local rows = {
         { [[target = hanging, deadline = "50ms",]], { timeout = 20 } },
         { [[target = hanging, drain = "50ms",]], { abandoned = 20 } },
         { [[on = { first = function(r) r:cancel() end },]], { cancelled = 20 } },
         { [[target = target.openai_chat { url = "mock:", headers = { ["x-perigee-fault"] = "reset" } },]], { reset = 20 } },
      }
      for _, row in ipairs(rows) do
         local r = run("requests = 20, " .. row[1], "--workers", "2")
         assert.same(row[2], r.summary.phases[1].errors)
      end
   end)

   it("stop in order with the first signal, at once with the second", function()
      local r = run([[load = load.concurrency(8), requests = 4000, on = { first = function() if at(20) then signal(2) end end },]],
         "--workers", "2")
      assert.equal(130, r.code, r.out .. r.err)
      local phase = r.summary.phases[1]
      assert.equal("interrupted", phase.end_reason)
      assert.equal(phase.issued, phase.completed)
      r = run([[load = load.concurrency(8), target = hanging, on = { issue = function() if at(8) then signal(15) signal(15) end end },]],
         "--workers", "2")
      assert.equal(143, r.code, r.out .. r.err)
      assert.same({ abandoned = 8 }, r.summary.phases[1].errors)
   end)

   it("are refused when they are no number of threads", function()
      local r = run(nil, "--workers", "65")
      assert.equal(2, r.code)
      assert.truthy(r.err:find("option --workers: a whole number from 0 to 64 expected, got '65'", 1, true), r.err)
   end)

   it("are no part of simulated time", function()
      local r = drive.shell([[
         LUA_PATH="lua/?.lua;lua/?/init.lua;$LUA_PATH" ${LUAJIT:-luajit} -e '
            local perigee = require "perigee"
            local s = perigee.scenario { workers = 4, requests = 10, load = perigee.load.constant(10),
               dataset = { { prompt = "a" } }, target = perigee.target.openai_chat { url = "http://127.0.0.1:1" } }
            print(perigee.test.run(s).exit_code)']])
      assert.equal("0\n", r.out, r.err)
   end)
end)
