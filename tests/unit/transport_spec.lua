local perigee = require "perigee"
local transport = require "perigee.transport"

local function target(fields)
   fields.url = fields.url or "http://h"
   return perigee.target.http(fields)
end

local function plan(load, fields, forced)
   return { phases = { { name = "p", load = load, target = target(fields or {}) } }, forced = forced }
end

describe("the choice of a transport", function()
   for _, row in ipairs {
      { "http://h", nil, nil, "direct", "plain http://" },
      { "h:8000", nil, nil, "direct", "plain http://" },
      { "mock:mode=max", nil, nil, "direct", "plain http://" },
      { "http://h", "curl", nil, "curl", "asked for" },
      { "http://h", "direct", nil, "direct", "asked for" },
      { "http://h", "direct", "curl", "curl", "asked for" },
      { "http://h", "curl", "auto", "direct", "plain http://" },
      { "https://h", nil, nil, "curl", "TLS" },
      { { "http://h", "https://h" }, "auto", nil, "curl", "TLS" },
      { "http://user:word@h", nil, nil, "curl", "user" },
      { "http://h\195\182st", nil, nil, "curl", "characters" },
   } do
      local url = type(row[1]) == "table" and table.concat(row[1], ", ") or row[1]
      it(("of %s, %s, %s is %s"):format(url, tostring(row[2]), tostring(row[3]), row[4]), function()
         local name, why = transport.of(target({ url = row[1], transport = row[2] }).args, { transport = row[3] })
         assert.equal(row[4], name)
         assert.truthy(why:find(row[5], 1, true), why)
      end)
   end

   it("refuses plain sockets for what they do not serve, and names the url", function()
      local ok, message = pcall(transport.of, target({ url = { "http://h", "https://secure" }, transport = "direct" }).args)
      assert.is_false(ok)
      assert.equal('target: transport "direct": url "https://secure": TLS is libcurl\'s to speak', message)
   end)

   it("takes only its own names", function()
      local ok, message = pcall(target, { transport = "qurl" })
      assert.is_false(ok)
      assert.truthy(message:find("did you mean 'curl'?", 1, true), message)
   end)
end)

describe("source addresses", function()
   local function refusal(fields, forced)
      local ok, message = pcall(transport.check_sources, target(fields).args, forced or {}, "target.http")
      return not ok and message or nil
   end

   it("are of the family of the url", function()
      for _, row in ipairs {
         { "http://127.0.0.1:80", "127.0.0.2" }, { "127.0.0.1/v1", "127.0.0.2" }, { "http://[::1]:80/v1", "::1" },
         { "mock:", "127.0.0.2" }, { "http://user:word@[::1]", "fe80::1" },
         { "http://localhost", "::1" }, { "localhost", "127.0.0.1" }, -- who knows what a name means?
      } do
         assert.is_nil(refusal { url = row[1], source_addresses = { row[2] } })
      end
      assert.is_nil(refusal { url = "http://127.0.0.1", source_addresses = { "::1" }, unix_socket = "/s" })
      assert.is_nil(refusal({ url = "http://127.0.0.1", source_addresses = { "::1" } }, { source_addresses = { "127.0.0.2" } }))
   end)

   it("are refused when they are of another, with both names", function()
      assert.truthy(refusal({ url = "http://user:word@[::1]:80/x", source_addresses = { "::1", "127.0.0.2" } }):find(
         "target.http: source_addresses: '127.0.0.2' is IPv4, and the url 'http://user:word@[::1]:80/x' is IPv6", 1, true))
      assert.equal("option --source: '::1' is IPv6, and the url 'mock:' is IPv4",
         refusal({ url = { "http://h", "mock:" } }, { source_addresses = { "::1" } }))
   end)
end)

describe("what connections need", function()
   local function refusal(planned, descriptors, ports, threads)
      local ok, e = pcall(transport.check_limits, planned, threads or 0, descriptors, ports)
      return not ok and assert(e.code == "EINVAL" and e.message, e) or nil
   end

   it("is more than there is", function()
      assert.equal("phase 'p': 1064 file descriptors are needed, the limit is 1024: raise it (ulimit -Hn) or lower the load",
         refusal(plan(perigee.load.concurrency(1000)), 1024, 28232))
      assert.truthy(refusal(plan(perigee.load.burst(30000)), 1e6, 28232):find(
         "30000 connections are needed, the local ports allow 28232", 1, true))
      assert.truthy(refusal(plan(perigee.load.concurrency(40)), 120, 28232, 64):find("424 file descriptors are needed", 1, true))
      local two = { source_addresses = { "127.0.0.2", "127.0.0.3" } }
      assert.truthy(refusal(plan(perigee.load.poisson(1, { max_inflight = 60000 }), {}, two), 1e6, 28232))
   end)

   it("is there", function()
      local few = plan(perigee.load.concurrency(1e6))
      few.phases[1].requests = 900
      assert.is_nil(refusal(few, 1024, 28232))
      assert.is_nil(refusal(plan(perigee.load.concurrency(960)), 1024, 28232))
      assert.is_nil(refusal(plan(perigee.load.poisson(1e6)), 100, 100))
      assert.is_nil(refusal(plan(perigee.load.burst(30000), { unix_socket = "/s" }), 1e6, 28232))
      assert.is_nil(refusal(plan(perigee.load.burst(30000), { url = { "http://a", "http://b" } }), 1e6, 28232))
      assert.is_nil(refusal(plan(perigee.load.burst(30000), nil, { source_addresses = { "127.0.0.2", "127.0.0.3" } }), 1e6, 28232))
      assert.is_nil(refusal(plan(perigee.load.burst(30000)), 1e6, nil))
   end)
end)
