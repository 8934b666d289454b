--- How many threads HTTP gets.
local perigee = require "perigee"
local workers = require "perigee.workers"

local load = perigee.load

local function plan(fields)
   fields.target = perigee.target.http { url = "http://127.0.0.1:1" }
   return assert(perigee.scenario(fields):resolve {})
end

describe("perigee.workers", function()
   local usable = workers.usable_cpus

   after_each(function() workers.usable_cpus = usable end)

   local function on(cpus)
      workers.usable_cpus = function() return cpus end
   end

   it("takes what the command line, then what the scenario says", function()
      on(64)
      local p = plan { workers = 3, load = load.constant(1e6), requests = 1 }
      assert.same({ count = 3, why = "the scenario's workers" }, workers.choose(p))
      assert.same({ count = 0, why = "--workers" }, workers.choose(p, 0))
   end)

   it("chooses by the busiest phase and the processors", function()
      local rows = {
         { load.concurrency(1000), 16, 0, "no load above what one thread does" },
         { load.concurrency(2500), 16, 3, "2500 in flight in phase 'performance', 16 usable processors" },
         { load.concurrency(1e5), 16, 14 },
         { load.concurrency(2500), 3, 0, "2500 in flight in phase 'performance', but 3 usable processors are fewer than 4" },
         { load.concurrency(2500), 4, 2 },
         { load.concurrency(1e6), 512, 64 },
         { load.poisson(20000), 16, 0 },
         { load.poisson(20001), 16, 2, "20001 requests per second in phase 'performance', 16 usable processors" },
         { load.poisson(5, { max_inflight = 4000 }), 16, 4 },
         { load.burst(1500), 16, 2 },
         { load.ramp(5, 60000, { over = 1 }), 16, 3 },
         { load.steps { { 5, 1 }, { 40000, 1 } }, 16, 2 },
         { load.sine { mean = 18000, amplitude = 12000, period = 1 }, 16, 2 },
         { load.strategy(function() end), 16, 0 },
      }
      for i, row in ipairs(rows) do
         on(row[2])
         local chosen = workers.choose(plan { load = row[1], requests = 1 })
         assert.equal(row[3], chosen.count, "row " .. i)
         if row[4] then assert.equal(row[4], chosen.why) end
      end
   end)

   it("expects less of a thread over libcurl", function()
      on(16)
      for _, row in ipairs { { "direct", 0 }, { "curl", 2 } } do
         local p = plan { load = load.poisson(20000), requests = 1 }
         p.forced = { transport = row[1] }
         assert.equal(row[2], workers.choose(p).count, row[1])
      end
   end)

   it("describes what was chosen", function()
      assert.equal("HTTP on the session's thread (why)", workers.describe { count = 0, why = "why" })
      assert.equal("HTTP on 1 worker thread (why)", workers.describe { count = 1, why = "why" })
      assert.equal("HTTP on 2 worker threads (why)", workers.describe { count = 2, why = "why" })
   end)

   it("says what the machine allows", function()
      on(2)
      assert.equal("0: 2 usable processors are fewer than 4", workers.rule())
      on(8)
      assert.equal("up to 6: one for each 1000 in flight or 20000 per second (libcurl: 10000) of the busiest phase, none up to that",
         (workers.rule():gsub("requests in flight", "in flight")))
   end)

   it("refuses what is no number of threads", function()
      for text, expected in pairs { ["-1"] = false, ["65"] = false, ["1.5"] = false, x = false, ["0"] = 0, ["64"] = 64 } do
         local value, message = workers.read(text)
         assert.equal(expected or nil, value)
         assert.equal(not expected and "a whole number from 0 to 64" or nil, message)
      end
      local ok, message = pcall(plan, { workers = 2.5, requests = 1 })
      assert.is_false(ok)
      assert.truthy(message:find("workers: a whole number from 0 to 64 expected, got 2.5", 1, true), message)
   end)

   it("counts the processors that the process may use", function()
      local host = require "perigee.engine".host()
      assert.is_true(host.usable_cpus >= 1 and host.usable_cpus <= host.cpus)
      assert.equal(host.usable_cpus, usable())
   end)
end)
