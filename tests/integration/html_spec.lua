--- report.html in a browser. Needs a Chromium; without one it is skipped.
---   PERIGEE_PYTHON   a Python (python3), to read the page as XML
local drive = require "drive"

local PYTHON = os.getenv "PERIGEE_PYTHON" or "python3"

-- Names with all that means something in HTML; every kind of chart.
local SCENARIO = [[
local load = perigee.load
local phases = { { "warmup", kind = "warmup", load = load.concurrency(2), requests = 4 } }
for i = 1, 3 do
   phases[#phases + 1] = { ([=[rate "%d" <b>&'</b>]=]):format(i), load = load.constant(20 * i), duration = "2200ms" }
end
return perigee.scenario {
   name = [=[sweep <i>"of"</i> & 'all']=],
   target = perigee.target.openai_chat {
      url = "mock:mode=timed,ttft=5ms,tpot=1ms,tokens=4,fault=status=0.2,fault=reset=0.1,seed=3", model = [=[m<&"'>]=], stream = true,
   },
   dataset = { { prompt = "x", kind = "<short>" }, { prompt = "y", kind = "l&ng" .. ("g"):rep(55) } },
   request = function(sample) return { tag = sample.kind } end,
   slo = { ttft = "2s" },
   checks = { "ttft.p99 < 5s", "goodput > 1%" },
   phases = phases,
}]]

local function browser()
   return drive.shell("command -v chromium || command -v chromium-browser || command -v google-chrome").out:match "%S+"
end

-- The page as a browser has it after it was loaded; what it says on its console is in err.
local function load(dir, path, options)
   return drive.shell(("timeout 60 %s --headless --no-sandbox --disable-gpu --user-data-dir=%s/profile --enable-logging=stderr"
      .. " --dump-dom %s file://%s"):format(browser(), dir, options or "", path))
end

describe("report.html", function()
   local dir, page

   setup(function()
      dir = drive.tempdir()
      local r = drive.perigee("run", drive.scenario(dir, SCENARIO), "--out", dir .. "/out", "--quiet")
      assert.equal(0, r.code, r.err)
      page = drive.read(dir .. "/out/report.html")
   end)

   teardown(function() os.execute("rm -rf " .. drive.quote(dir)) end)

   local function opened(path, options)
      if not browser() then return pending "no Chromium is installed" end
      local shown = load(dir, path, options)
      if shown.code ~= 0 then return pending("Chromium does not start here: " .. shown.err:sub(-200)) end
      assert.is_nil(shown.err:match ":CONSOLE[^\n]*")
      return shown.out
   end

   it("opens in a browser, which finds nothing to complain about", function()
      local dom = opened(dir .. "/out/report.html")
      if not dom then return end
      assert.truthy(dom:find([[<h2>rate "1" &lt;b&gt;&amp;'&lt;/b&gt;</h2>]], 1, true), dom:sub(1, 400))
      assert.equal(select(2, page:gsub("<figure>", "")), select(2, dom:gsub("<figure>", "")))
   end)

   it("has every kind of chart, each with its numbers", function()
      local titles = {}
      for title in page:gmatch "<figcaption><b>(.-)</b>" do titles[title] = true end
      for _, title in ipairs { "First token against throughput", "Latency against throughput", "Percentiles", "Gaps of streams", "Latency",
         "First token", "Rate", "Output tokens", "Goodput", "In flight", "Lateness of the client", "Failures", "Latency by tag",
         "First token by tag" } do
         assert.is_true(titles[title], title)
      end
      for figure in page:gmatch "<figure>(.-)</figure>" do
         assert.truthy(figure:find "<details><summary>Numbers</summary>.*<tbody><tr>", figure:sub(1, 80))
         assert.is_nil(figure:find "nan%f[^%w]" or figure:find "[^%w]inf%f[^%w]", figure:sub(1, 80))
      end
   end)

   it("is well-formed for the strictest of readers", function()
      local read = drive.shell(("%s -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' %s/out/report.html"):format(PYTHON, dir))
      if read.code == 127 then return pending "no Python" end
      assert.equal(0, read.code, read.err)
   end)

   it("fits a phone of 360 px, and every part of it", function()
      -- A window of Chromium's own is 500 px wide at least: a frame can be narrower.
      drive.write(dir .. "/phone.html", ([[<!DOCTYPE html>
         <iframe id="f" style="width:360px;height:800px;border:0"></iframe><pre id="o"></pre>
         <script>
         const frame = document.getElementById("f");
         frame.onload = () => {
            const page = frame.contentDocument, root = page.documentElement;
            for (const d of page.querySelectorAll("details")) d.open = true;
            const outside = [...page.querySelectorAll("body *")].filter(
               e => !e.closest(".wide, svg, pre") && e.getBoundingClientRect().right > 360.5);
            document.getElementById("o").textContent =
               "width " + root.scrollWidth + " outside " + outside.map(e => e.outerHTML.slice(0, 80));
         };
         frame.srcdoc = %s;
         </script>]]):format((require "perigee.engine".json.encode(page):gsub("</", "<\\/"))))
      local dom = opened(dir .. "/phone.html", "--hide-scrollbars --virtual-time-budget=20000")
      if not dom then return end
      assert.equal("width 360 outside ", dom:match 'id="o">([^<]*)<')
   end)
end)

describe("the size of report.html", function()
   -- As many seconds and as many different values, a hundred times as many requests.
   local function size(requests, rate)
      local r = drive.run(([[
         return perigee.scenario {
            target = perigee.target.openai_chat { url = "mock:mode=max" }, dataset = { { prompt = "x" } },
            load = perigee.load.constant(%d), requests = %d,
         }]]):format(rate, requests), "--log", "off")
      assert.equal(requests, r.summary.phases[1].completed, r.err)
      return #drive.read(r.dir .. "/report.html")
   end

   it("is one of its seconds and charts, not of its requests", function()
      local small, large = size(200, 50), size(20000, 5000)
      assert.is_true(large < 1.5 * small, ("%d bytes of 200 requests, %d of 20000"):format(small, large))
   end)
end)
