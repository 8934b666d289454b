--- Warnings against real sockets: what the built-in endpoint does reaches the report, and the log tells the same.
local drive = require "drive"
local engine = require "perigee_engine"

local made = {}

-- Run one phase against a target; `rest` are more fields of the scenario.
local function run(target, rest, ...)
   local r = drive.run(([[
return perigee.scenario {
   target = perigee.target.openai_chat { %s },
   dataset = { "one two three four" }, load = perigee.load.concurrency(2), requests = 20,
   %s
}]]):format(target, rest or ""), ...)
   made[#made + 1] = r.dir
   assert.truthy(r.summary, r.err)
   return r, r.summary.phases[1]
end

-- The details of the warnings by their kinds.
local function details(r)
   local by_kind = {}
   for _, w in ipairs(r.summary.warnings) do by_kind[w.kind] = w.detail end
   return by_kind
end

after_each(function()
   for _, dir in ipairs(made) do os.execute("rm -rf " .. drive.quote(dir:gsub("/out$", ""))) end
   made = {}
end)

describe("a warning", function()
   it("tells of tokens that the server had cached", function()
      local r, phase = run('url = "mock:cached-tokens=3"')
      assert.same({ 80, 60, 0.75 }, { phase.tokens_in, phase.tokens_cached, phase.tokens_cached_share })
      assert.matches("^75%% of the input tokens were in the server's cache.*20 requests took turns with 1 samples",
         details(r).cached_tokens)
      for _, line in ipairs(drive.jsonl(r.dir .. "/requests.jsonl")) do assert.equal(3, line.tokens_cached) end
      phase = select(2, run 'url = "mock:cached-tokens=9"') -- no more than there are
      assert.same({ 80, 1 }, { phase.tokens_cached, phase.tokens_cached_share })
      r, phase = run 'url = "mock:"'
      assert.same({ 0, nil }, { phase.tokens_cached, details(r).cached_tokens })
   end)

   it("is given to handlers as r.tokens_cached", function()
      local r = run('url = "mock:cached-tokens=2", stream = false', 'on = { complete = function(r) assert(r.tokens_cached == 2) end },')
      assert.equal(0, r.code, r.err)
   end)

   it("tells of answers that are not as long as asked", function()
      -- The endpoint has four words to echo, and ends by itself.
      local r, phase = run('url = "mock:", max_tokens = 8, extra = { ignore_eos = true }')
      assert.matches("^20 of 20 answers are shorter and 0 longer than asked: 8 tokens asked for on average, 4 got",
         details(r).output_length)
      assert.same({ answers = 20, too_short = 20, too_long = 0, mean_asked = 8, mean_got = 4 }, phase.output_lengths)
      r, phase = run 'url = "mock:", max_tokens = 8' -- it may end before
      assert.is_nil(details(r).output_length)
      assert.same({ answers = 20, too_short = 0, too_long = 0, mean_asked = 8, mean_got = 4 }, phase.output_lengths)
      r = run 'url = "mock:", max_tokens = 3, extra = { ignore_eos = true }'
      assert.is_nil(details(r).output_length)
      r = run 'url = "mock:mode=max,tokens=16", max_tokens = 3' -- it ignores what was asked
      assert.matches("^0 of 20 answers are shorter and 20 longer than asked: 3 tokens asked for", details(r).output_length)
   end)

   it("tells of the lengths that strategies, hooks and traces ask for", function()
      local r = run('url = "mock:", extra = { min_tokens = 5 }', 'request = function() return "two words" end,')
      assert.matches("^20 of 20 answers are shorter", details(r).output_length)
      r = run('url = "mock:"', [[load = perigee.load.strategy(function(p)
         for _ = 1, 3 do p:issue { prompt = "a b", max_tokens = 5, extra = { ignore_eos = true } } end
      end),]])
      assert.matches("^3 of 3 answers are shorter", details(r).output_length)
      local dir = drive.tempdir()
      made[#made + 1] = dir
      drive.write(dir .. "/trace.jsonl", '{"timestamp": 0, "input_length": 3, "output_length": 9}\n'
         .. '{"timestamp": 1, "input_length": 9, "output_length": 9}\n')
      r = drive.run(([[return perigee.scenario { target = perigee.target.openai_chat { url = "mock:" },
         load = perigee.load.trace("%s/trace.jsonl") }]]):format(dir))
      made[#made + 1] = r.dir
      assert.matches("^1 of 2 answers are shorter and 0 longer than asked: 9 tokens asked for on average, 6 got", details(r).output_length)
   end)

   it("tells of answers without token counts", function()
      local r = run 'url = "mock:", include_usage = false'
      assert.matches("^no answer told its token counts", details(r).token_counts)
      r = run('url = "mock:", include_usage = false', 'request = function() return { tag = "t" } end,')
      assert.matches("^no answer told its token counts", details(r).token_counts)
      assert.is_nil(details(run 'url = "mock:"').token_counts)
   end)

   for _, transport in ipairs { "direct", "curl" } do
      for _, workers in ipairs { "0", "1" } do
         it(("tells of connections that the endpoint closes, over %s with %s workers"):format(transport, workers), function()
            local r, phase = run('url = "mock:", headers = { Connection = "close" }', nil, "--transport", transport, "--workers", workers)
            -- Two are needed for two at a time, whatever the endpoint does.
            assert.same({ 20, 18 }, { phase.client.connections, phase.client.reconnects })
            assert.matches("^90%% of the requests paid a new connection, 18 in all", details(r).reconnects)
            r, phase = run('url = "mock:"', nil, "--transport", transport, "--workers", workers)
            assert.same({ 2, 0 }, { phase.client.connections, phase.client.reconnects })
            assert.is_nil(details(r).reconnects)
         end)
      end
   end

   it("does not blame the endpoint for requests that perigee gave up", function()
      local r, phase = run('url = "mock:fault=hang=1"', 'deadline = "20ms",')
      assert.same({ 20, 0 }, { phase.failed, phase.client.reconnects })
      assert.is_nil(details(r).reconnects)
   end)

   it("tells of nothing that clocks did not do", function()
      local r, phase = run 'url = "mock:"'
      assert.same({ 0, 0 }, { phase.client.clock_step_ms, phase.client.suspended_ms })
      assert.same({}, { details(r).clock_step, details(r).suspended })
   end)

   it("stands in the table, the text and the page, and in a log that was cut", function()
      local r = run 'url = "mock:cached-tokens=3"'
      local line = "warning: phase 'performance': 75% of the input tokens were in the server's cache"
      assert.truthy(r.out:find(line, 1, true))
      assert.truthy(drive.read(r.dir .. "/summary.txt"):find(line, 1, true))
      assert.truthy(drive.read(r.dir .. "/report.html"):find("75%% of the input tokens were in the server"))
      local log = drive.read(r.dir .. "/events.plog")
      drive.write(r.dir .. "/cut.plog", log:sub(1, -100)) -- the last block is not whole: nobody judged the run
      local again = drive.perigee("report", r.dir .. "/cut.plog", "--out", r.dir .. "/again")
      assert.truthy(again.out:find("failure: the log ends before", 1, true), again.out)
      assert.truthy(again.out:find(line, 1, true), again.out)
   end)

   it("tells of checks that have too few values, also of the whole run", function()
      local r = run('url = "mock:"', 'checks = { "latency.p50 < 1h", "latency.p90 < 1h" }, overall = { "latency.p99 < 1h" },')
      local found = {}
      for i, w in ipairs(r.summary.warnings) do found[i] = { w.kind, w.phase, w.detail } end
      assert.same({
         { "too_short", "performance", "the check 'latency.p90 < 1h' rests on 20 values, a claim about p90 takes 64" },
         { "too_short", engine.json.null, "the check 'latency.p99 < 1h' rests on 20 values, a claim about p99 takes 662" },
      }, found)
   end)

   it("fails a strict run", function()
      local r = run('url = "mock:"', nil, "--strict") -- twenty requests, of which nobody claims a thing
      assert.same({ 0, "ok", 0 }, { r.code, r.summary.verdict, #r.summary.warnings })
      r = run('url = "mock:cached-tokens=3"', nil, "--strict")
      assert.same({ 3, "failed", "1 warning in a strict run" }, { r.code, r.summary.verdict, r.summary.failures[1] })
      r = run('url = "mock:cached-tokens=3"', "guards = { cached = false }, ", "--strict")
      assert.same({ 0, "ok" }, { r.code, r.summary.verdict })
   end)
end)
