--- What is read of pages for Prometheus, and which pages: perigee.scrape.* but for its processes.
local engine = require "perigee.engine"
local fields = require "perigee.scrape.fields"
local names = require "perigee.scrape.names"
local page = require "perigee.scrape.page"
local perigee = require "perigee"
local scraper = require "perigee.scrape.scraper"
local support = require "tests.unit.support"
local url = require "perigee.scrape.url"

-- "name{a=1,b=2} value" of each sample.
local function read(text)
   local samples, malformed = page.parse(text)
   if not samples then return nil, malformed end
   local list = {}
   for i, s in ipairs(samples) do
      local labels = {}
      for name, value in pairs(s.labels) do labels[#labels + 1] = name .. "=" .. value end
      table.sort(labels)
      list[i] = ("%s{%s} %s"):format(s.name, table.concat(labels, ","), tostring(s.value))
   end
   return list, malformed
end

describe("a page for Prometheus", function()
   it("is read line by line", function()
      local list, malformed = read(table.concat({
         "# HELP vllm:x what it is", "# TYPE vllm:x gauge", "vllm:x 1", "", "  \t", '  vllm:x{engine="0"}  2.5e3 1700000000000 ',
         "a_total{} 0x", 'b{ p = "1" , q="2",} -7\r', 'c{v="a\\"b\\\\c\\nd}"} .5', "d +Inf", "e -Inf", "f Nan", "g{x=\"\"} 1e-3", "# EOF",
      }, "\n"))
      assert.same({ "vllm:x{} 1", "vllm:x{engine=0} 2500", "b{p=1,q=2} -7", 'c{v=a"b\\c\nd}} 0.5', "d{} inf", "e{} -inf",
         "f{} nan", "g{x=} 0.001" }, list)
      assert.equal(1, malformed)
   end)

   it("has exemplars, times in seconds and quoted names", function()
      assert.same({ "a_total{} 3", "b_bucket{le=1} 4", "c{} 5", "my.metric{l=1} 6" }, (read [[
a_total 3 # {trace_id="x"} 1.0
b_bucket{le="1"} 4 1700000000.123 # {} 0.5 1700000000.0
c 5 1700000000.5
{"my.metric",l="1"} 6
# EOF
]]))
   end)

   it("ends where it ends", function()
      assert.same({ "a{} 1" }, (read "a 1"))
      assert.same({}, (read ""))
      assert.same({}, (read "# nothing but a remark"))
   end)

   for line, why in pairs {
      ["a"] = "no value", ["a "] = "no value", ["1a 2"] = "a name that begins with a digit", ["a b"] = "a value that is no number",
      ['a{b="c" 1'] = "a brace is open", ['a{b="c} 1'] = "a quote is open", ["a{b=c} 1"] = "a value without quotes",
      ['a{b="c"d="e"} 1'] = "no comma", ['a{,b="c"} 1'] = "a comma before", ['a{b="1",b="2"} 1'] = "a label twice",
      ['a{1b="c"} 1'] = "a label that begins with a digit", ['a{"b",c="d"} 1'] = "two names", ["{} 1"] = "no name",
      ['{"a","b"} 1'] = "two quoted names", ["a 1 2 3"] = "too much behind the value", ["a 1 x"] = "a time that is no number",
      ["a 0x10"] = "a number of C's", ["a 1LL"] = "a number of LuaJIT's", ["a 1i"] = "another", ["<html>"] = "another language",
      ["a\0 1"] = "a NUL", ['a{b="c\\'] = "an open escape", ["a 1 #x"] = "a remark", ["a-b 1"] = "a sign in a name",
   } do
      it("has a line with " .. why, function()
         assert.same({ { "before{} 1", "behind{} 2" }, 1 }, { read("before 1\n" .. line .. "\nbehind 2\n") })
         assert.same({ nil, "no line of it is a sample" }, { read(line) })
      end)
   end

   it("has lines and samples without end", function()
      local long = 'a{b="' .. ("x"):rep(70000) .. '"} 1\nb 2\n'
      assert.same({ { "b{} 2" }, 1 }, { read(long) })
      local blanks = (" "):rep(60000)
      assert.same({ { "a{} 1" }, 2 }, { read(("a 1%s\na 1 x%sx\na 1 1 x%s\n"):format(blanks, blanks, blanks)) })
      assert.same({ nil, "more than 100000 samples" }, { read(("a 1\n"):rep(100001)) })
   end)

   it("survives being cut anywhere", function()
      local text = 'a{b="c\\"",d="e"} 1.5 17 # {x="y"} 2\n{"n",l="1"} 6\n'
      for i = 0, #text do
         local list, message = read(text:sub(1, i))
         assert.truthy(list or message, i)
      end
   end)
end)

describe("the values of a page", function()
   local function values(text, ...)
      return names.values(assert(page.parse(text)), names.keeper { ... })
   end

   it("are summed or averaged over engines", function()
      assert.same({ ["vllm:num_requests_waiting"] = 7, ["vllm:kv_cache_usage_perc"] = 0.5 }, values [[
vllm:num_requests_waiting{engine="0"} 3
vllm:num_requests_waiting{engine="1"} 4
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
other 5
]])
   end)

   it("are those of one rank of an engine", function()
      assert.same({ ["sglang:num_queue_reqs"] = 9, ["sglang:token_usage"] = 0.375 }, values [[
sglang:num_queue_reqs{dp_rank="0",tp_rank="0",pp_rank="0"} 4
sglang:num_queue_reqs{dp_rank="0",tp_rank="1",pp_rank="0"} 3
sglang:num_queue_reqs{dp_rank="1",tp_rank="2",pp_rank="0"} 5
sglang:token_usage{dp_rank="0",tp_rank="0"} 0.25
sglang:token_usage{dp_rank="0",tp_rank="1"} 0.25
sglang:token_usage{dp_rank="1",tp_rank="2"} 0.5
]])
   end)

   it("are kept by name, but for parts of distributions and what is no number", function()
      local text = 'x_sum 3\nx_bucket{le="1"} 2\nx{quantile="0.5"} 1\ny 4\ny.z 1\nz NaN\nxa 5\n'
      assert.same({ x_sum = 3, xa = 5 }, values(text, "x*"))
      assert.same({ y = 4 }, values(text, "y", "z"))
      assert.same({}, values(text))
      assert.same({}, values("vllm:num_requests_running +Inf\n"))
   end)

   it("are read by the first name that is there", function()
      for key, text in pairs {
         kv_cache_usage = "vllm:gpu_cache_usage_perc 0.5", requests_running = "tgi_batch_current_size 0.5",
         requests_waiting = "trtllm_num_requests_waiting 0.5", preemptions = "vllm:num_preemptions_total 0.5",
      } do
         local found = {}
         for _, quantity in ipairs(names.QUANTITIES) do found[quantity.key] = names.read(quantity, values(text .. "\n")) end
         assert.same({ [key] = 0.5 }, found)
      end
      assert.equal("requests_running", names.quantity("sglang:num_running_reqs").key)
      assert.is_nil(names.quantity "sglang:num_running_req")
   end)
end)

describe("the line of a scrape", function()
   local function none() return false end
   local function all() return true end
   local function entry() return { source = "s", at_s = 1.5, took_ms = 2 } end

   it("has the values, or the failure", function()
      local function line(r) return engine.json.decode(scraper.line(r, entry(), none)) end
      assert.same({ source = "s", at_s = 1.5, took_ms = 2, values = { tgi_queue_size = 3 } },
         line { ok = true, status = 200, body = "tgi_queue_size 3\n" })
      assert.equal(2, line({ ok = true, status = 200, body = "a\nb\ntgi_queue_size 3\n" }).malformed)
      assert.same({ source = "s", at_s = 1.5, took_ms = 2, failure = "http_503", message = "busy" },
         line { ok = false, error = "http_503", message = "busy" })
      assert.same({ source = "s", at_s = 1.5, took_ms = 2, failure = "not_metrics", message = "no line of it is a sample" },
         line { ok = true, status = 200, body = "<html>\n" })
      assert.same({}, line({ ok = true, status = 200, body = "" }).values)
      assert.equal("http_307", line({ ok = true, status = 307, body = "" }).failure)
   end)

   it("has room for what is known before all else", function()
      local lines = { "vllm:num_requests_waiting 5" }
      for i = 1, 500 do lines[i + 1] = ("a_metric_with_a_long_name_%d %d"):format(i, i) end
      local text = scraper.line({ ok = true, status = 200, body = table.concat(lines, "\n") }, entry(), all)
      assert.is_true(#text <= 4000, #text)
      local read_back, n = engine.json.decode(text), 0
      for _ in pairs(read_back.values) do n = n + 1 end
      assert.equal(5, read_back.values["vllm:num_requests_waiting"])
      assert.equal(501, n + read_back.left_out)
      assert.is_true(n > 50)
   end)

   it("is short whatever the message is", function()
      local text = scraper.line({ ok = false, error = "http_500", message = ("\1\255"):rep(5000) }, entry(), none)
      assert.is_true(#text <= 4000, #text)
      assert.equal("http_500", engine.json.decode(text).failure)
   end)
end)

describe("the url of a page", function()
   it("may leave out the scheme and the path", function()
      for text, expected in pairs {
         ["localhost:8000"] = "http://localhost:8000/metrics", ["http://h"] = "http://h/metrics", ["https://h:1/"] = "https://h:1/metrics",
         ["http://h/a/b?c=d"] = "http://h/a/b?c=d", ["http://[::1]:8000"] = "http://[::1]:8000/metrics",
         ["https://u:p@h/x#frag"] = "https://u:p@h/x", ["h?x=1"] = "http://h/metrics?x=1",
      } do
         assert.equal(expected, url.read(text), text)
      end
   end)

   it("is refused when it is none", function()
      for _, text in ipairs { "", " ", "ftp://h", "http://", "http:///x", "http://h:x", "http://h:99999", "a b", "http://h/\n", "://h",
         "http://h:80:90/", "mock:" } do
         assert.is_nil((url.read(text)), text)
      end
   end)

   it("is shown without user and password", function()
      assert.equal("https://h:1/x?y", url.shown "https://user:pa@ss@h:1/x?y")
      assert.same({ "https://user:pass@h:1", "/x?y" }, { url.split "https://user:pass@h:1/x?y" })
   end)
end)

describe("what a scenario says of scrapes", function()
   local function scenario(value, options)
      return perigee.scenario {
         target = perigee.target.http { url = "x" }, requests = 1, scrape = value, options = options,
      }
   end

   it("is a url, a list or a table", function()
      local function plan(value) return scenario(value):resolve().scrape end
      assert.is_nil(plan(nil))
      assert.same({ url = { "http://h/metrics" }, every = 1, timeout = 5, keep = {} }, plan "h")
      assert.same({ "target", "http://h/x" }, plan({ "target", "h/x" }).url)
      assert.same({ url = { "target" }, every = 0.25, timeout = 2, keep = { "a:*" } },
         plan { url = "target", every = "250ms", timeout = 2, keep = { "a:*" } })
   end)

   it("may be an option's, as a whole or in part", function()
      local options = { page = { "h:1", "page" }, every = { "1s", "time", "duration" } }
      local s = scenario({ url = perigee.opt "page", every = perigee.opt "every" }, options)
      assert.same({ { "http://h:2/metrics" }, 0.5 }, { s:resolve({ page = "h:2", every = "500ms" }).scrape.url,
         s:resolve({ every = "500ms" }).scrape.every })
      s = scenario(perigee.opt "page", { page = options.page })
      assert.same({ "http://h:1/metrics" }, s:resolve().scrape.url)
      support.contains("scenario.scrape: url:", support.refusal(s.resolve, s, { page = "no url" }))
   end)

   it("is checked at load", function()
      for message, value in pairs {
         ["scenario.scrape: url: 'target' or a url (http://HOST:PORT/metrics; the path may be left out) expected, got 'x://x'"] = "x://x",
         ["scenario.scrape: url: a list, each of it 'target' or a url"] = { "h", 5 },
         ["scenario.scrape: 'url' is missing"] = { every = 1 },
         ["scenario.scrape: unknown field 'evry', did you mean 'every'?"] = { url = "h", evry = 1 },
         ["scenario.scrape: every: a duration above 0"] = { url = "h", every = 0 },
         ["scenario.scrape: keep: a list of names of metrics"] = { url = "h", keep = { "a b" } },
         ["scenario.scrape: url: 'target' or a url (http://HOST:PORT/metrics; the path may be left out) expected, got 5"] = 5,
      } do
         support.contains(message, support.refusal(scenario, value))
      end
   end)

   it("gives way to urls of the command line", function()
      local urls = { "http://h/metrics" }
      assert.same({ url = urls, every = 1, timeout = 5, keep = {} }, fields.choose(nil, urls))
      assert.same({ url = urls, every = 2, timeout = 3, keep = { "a" } },
         fields.choose({ url = { "target" }, every = 2, timeout = 3, keep = { "a" } }, urls))
      assert.is_nil(fields.choose(nil, nil))
      assert.same({ nil, "'target' or " .. url.EXPECTED }, { fields.read "x y" })
   end)
end)
