local endpoint = require "perigee.endpoint"
local support = require "tests.unit.support"

describe("perigee.endpoint", function()
   it("turns a mock url into arguments", function()
      assert.same({ "mock", "--port", "0", "--until-eof" }, endpoint.arguments "mock:")
      assert.same({ "mock", "--port", "0", "--until-eof", "--mode", "timed", "--ttft", "50ms", "--api-key", "a=b" },
         endpoint.arguments "mock:mode=timed,ttft=50ms,api_key=a=b")
   end)

   it("refuses what is no list of settings", function()
      for _, url in ipairs { "mock:timed", "mock:=1", "mock:mode=timed,x" } do
         support.contains(url .. ": name=value expected", support.refusal(endpoint.arguments, url))
      end
   end)
end)
