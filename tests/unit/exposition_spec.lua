--- The page of a session that runs: the numbers of its report, made for less.
local engine = require "perigee.engine"
local exposition = require "perigee.exposition"
local simulated = require "perigee.simulated"

local N = 40 -- requests of each phase

-- Play two phases on simulated time; look(session, n) is called within the handler of the n-th request of the first 2 * N.
local function play(look)
   local n, problem = 0, nil
   local session = assert(engine.session {
      name = "s", simulate = simulated.model({ ttft = "uniform:1ms,90ms", tpot = "1ms", tokens = 5, error_rate = 0.1 }, 7),
   })
   local function complete()
      n = n + 1
      local ok, message = pcall(look, session, n)
      problem = problem or not ok and message
   end
   for _, name in ipairs { "first", 'say "hi"' } do
      assert(session:phase {
         name = name, client = { urls = { "http://x" }, path = "/v1/chat/completions", headers = {}, decoder = "chat" },
         build = function() return "{}", 1 end, requests = N, deadline = 20, on = { complete = complete },
         strategy = function(p)
            for _ = 1, N do
               p:issue()
               p:wait()
            end
         end,
      })
   end
   local outcome = session:run()
   session:close()
   assert(not problem, problem)
   assert.equal("ok", outcome.outcome, outcome.error)
   assert.equal(2 * N, n)
end

-- The lines of a page by what stands before their value.
local function lines_of(page)
   local lines, count = {}, 0
   for key, value in page:gmatch "([^\n]+) (%S+)\n" do
      lines[key] = tonumber(value) or value
      count = count + 1
   end
   return lines, count
end

-- Percentiles of histograms are a little above those observed; the rest is the same.
local function assert_same_page(expected, got)
   local want, have = lines_of(expected), lines_of(got)
   for key, value in pairs(want) do
      local found = have[key]
      if key:find("quantile=", 1, true) then
         assert(found and found >= value - 1e-15 and found <= value * 1.001 + 1e-9, key)
      elseif key:find("_sum{", 1, true) then
         assert(found and math.abs(found - value) <= value * 1e-9, key)
      else
         assert.equal(value, found, key)
      end
      have[key] = nil
   end
   assert.same({}, have)
end

describe("the page of a session", function()
   it("has the numbers of the report, of phases that run and of those that are over", function()
      local looks = 0
      play(function(session, n)
         if n ~= 1 and n % 13 ~= 0 then return end
         looks = looks + 1
         local page = exposition.page(session:numbers {}, { "scenario", "s" })
         assert_same_page(exposition.page(session:report(), { "scenario", "s" }), page)
         local lines, count = lines_of(page)
         assert.is_true(count > 50, count)
         assert.equal(n > N and 0 or 1, lines['perigee_phase_running{phase="first"}'])
         assert.equal(n > N and 1 or nil, lines['perigee_phase_running{phase="say \\"hi\\""}'])
      end)
      assert.equal(7, looks)
   end)

   it("is made of phases that are over only once", function()
      local over = {}
      play(function(session, n)
         local page = exposition.page(session:numbers(over), {}, nil, over)
         assert.equal(exposition.page(session:numbers {}, {}), page)
         assert.same({ n > N, nil }, { over[1] ~= nil, over[2] })
         if n > N then assert.is_false(session:numbers(over).phases[1]) end
      end)
   end)

   it("takes what the script counted anew each time", function()
      local over, counted = {}, 0
      play(function(session, n)
         if n % 20 ~= 0 then return end
         counted = counted + 1
         local function metrics() return { words = { kind = "counter", value = counted } } end
         local page = exposition.page(session:numbers(over), {}, metrics, over)
         assert.equal(counted, lines_of(page)['perigee_script_words_total{phase="first"}'])
      end)
   end)
end)
