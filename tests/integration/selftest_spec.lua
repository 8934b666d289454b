-- `perigee selftest`, and what later runs make of it.
local drive = require "drive"
local engine = require "perigee_engine"

local json = engine.json

local RUN = [[local perigee = require "perigee"
return perigee.scenario { name = "r", target = perigee.target.openai_chat { url = "mock:" }, dataset = { "a" }, requests = 1 }]]

local home, measured

-- Run perigee with its state in a folder of the test's own.
local function perigee(...)
   return drive.shell(("export XDG_STATE_HOME=%s; exec %s"):format(drive.quote(home), drive.command(...)))
end

local function carried()
   drive.write(home .. "/r.lua", RUN)
   local r = perigee("run", home .. "/r.lua", "--out", home .. "/out", "--progress", "none", "--quiet")
   assert.equal(0, r.code, r.err)
   return json.decode(drive.read(home .. "/out/summary.json")).selftest
end

-- Every number of a table, however deep, by its path.
local function numbers(t, path, found)
   for k, v in pairs(t) do
      local at = path .. "." .. tostring(k)
      if type(v) == "table" then numbers(v, at, found) elseif type(v) == "number" then found[at] = v end
   end
   return found
end

describe("perigee selftest", function()
   setup(function()
      home = drive.tempdir()
      measured = perigee("selftest", "--json")
   end)
   teardown(function() os.execute("rm -rf " .. drive.quote(home)) end)

   it("measures each part", function()
      assert.same({ 0, "" }, { measured.code, measured.err })
      local floor = assert(json.decode(measured.out))
      for _, key in ipairs { "at", "host", "versions", "clock_ns", "timer_us", "pacing", "served", "parse_ns", "handler_call_ns",
         "publisher_record_ns" } do
         assert.truthy(floor[key], key)
      end
      for path, n in pairs(numbers(floor, "", {})) do assert.is_true(n >= 0 and n < 1e9, path) end
      assert.equal(300, floor.timer_us.count)
      assert.same({ 1000, 10000 }, { floor.pacing[1].rate_per_s, floor.pacing[2].rate_per_s })
      assert.is_true(floor.served.requests_per_s > 0 and floor.served.cpu_us_per_request > 0)
      for _, cost in ipairs { floor.clock_ns, floor.parse_ns.stream_event, floor.parse_ns.answer, floor.handler_call_ns,
         floor.publisher_record_ns } do
         assert.is_true(cost > 0)
      end
   end)

   it("is carried by the reports of later runs on this host", function()
      local kept = carried()
      assert.same(json.decode(measured.out), kept)
      local path = home .. "/perigee/selftest.json"
      local text = drive.read(path)
      local of_other_host, of_other_version = text:gsub('"cpus": %d+', '"cpus": 4096'), text:gsub('"perigee": "[^"]*"', '"perigee": "0"')
      for _, other in ipairs { of_other_host, of_other_version, "{", "[]", "" } do
         drive.write(path, other)
         assert.equal(json.null, carried())
      end
      os.remove(path)
      assert.equal(json.null, carried())
   end)

   it("shows a table, and keeps nothing when it shall not", function()
      local r = perigee("selftest", "--no-keep")
      assert.same({ 0, "" }, { r.code, r.err })
      for _, row in ipairs { "a sleep ends late by", "1000 arrivals/s are late by", "requests per second", "a handler, called" } do
         assert.truthy(r.out:find("\n  " .. row, 1, true), r.out)
      end
      assert.is_nil(drive.read(home .. "/perigee/selftest.json"))
   end)

   it("says when the figures cannot be kept", function()
      local old = home
      home = home .. "/file/below"
      drive.write(old .. "/file", "")
      local r = perigee("selftest", "--json")
      home = old
      assert.equal(1, r.code)
      assert.truthy(json.decode(r.out))
      assert.matches("^perigee selftest: the figures are not kept: .*/file", r.err)
   end)

   it("refuses what it does not know", function()
      local r = perigee("selftest", "now")
      assert.same({ 2, "perigee selftest: unexpected argument 'now'\n" }, { r.code, r.err })
   end)
end)
