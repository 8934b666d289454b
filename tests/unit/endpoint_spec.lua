local endpoint = require "perigee.endpoint"
local support = require "tests.unit.support"

describe("perigee.endpoint", function()
   it("turns a mock url into arguments", function()
      assert.same({ "mock", "--port", "0", "--until-eof" }, endpoint.arguments "mock:")
      assert.same({ "mock", "--port", "0", "--until-eof", "--mode", "timed", "--ttft", "50ms", "--api-key", "a=b" },
         endpoint.arguments "mock:mode=timed,ttft=50ms,api_key=a=b")
   end)

   it("keeps a value with commas together", function()
      assert.same({ "mock", "--port", "0", "--until-eof", "--ttft", "uniform:10ms,90ms", "--fault", "status=0.1" },
         endpoint.arguments "mock:ttft=uniform:10ms,90ms,fault=status=0.1")
   end)

   it("refuses what is no list of settings", function()
      for _, url in ipairs { "mock:timed", "mock:=1", "mock:x,mode=timed" } do
         support.contains(url .. ": name=value expected", support.refusal(endpoint.arguments, url))
      end
   end)
end)
