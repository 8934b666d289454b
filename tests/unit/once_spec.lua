local once = require "perigee.cli.once"

describe("perigee once", function()
   it("shows a request with its secrets hidden", function()
      local client = {
         method = "POST", urls = { "http://h:1" }, path = "/v1/x",
         headers = { "Authorization: Bearer KEY", "Content-Type: application/json" },
      }
      assert.equal([[
POST http://h:1/v1/x
Authorization: [redacted]
Content-Type: application/json

{
  "a": 1
}
]], once.show_request(client, { body = '{"a":1}' }))
   end)

   it("shows what the request function changed", function()
      local client = { method = "POST", urls = { "http://h:1" }, path = "/v1/x", headers = {} }
      assert.equal("PUT http://h:1/y\nA: 1\nX-API-Key: [redacted]\n\nplain text\n",
         once.show_request(client, { body = "plain text", method = "PUT", path = "/y", headers = { "A: 1", "X-API-Key: 5" } }))
   end)

   it("shows an answer with the time of each chunk", function()
      local r = { ok = true, status = 200, ttft = 0.05, latency = 0.1, tokens_out = 2, finish_reason = "stop", bytes = 30, text = "a\nb" }
      assert.equal([[

status 200  ttft 50.0 ms  latency 100 ms
     50.0 ms  "a\n"
      100 ms  "b"
tokens out    2
finish reason stop
bytes         30

a
b
]], once.show_answer(r, { { 0.05, "a\n" }, { 0.1, "b" } }))
   end)

   it("shows a failure and the body that came with it", function()
      local text = once.show_answer({ ok = false, status = 500, error = "http_500", message = "broken", latency = 0.1, bytes = 9,
         text = "", body = '{"e":1}' }, {})
      assert.equal("\nstatus 500  latency 100 ms\nbytes         9\nfailure       http_500: broken\n\n{\n  \"e\": 1\n}\n", text)
      assert.matches("^\nstatus %-  latency", once.show_answer({ ok = false, error = "refused", latency = 1 }, {}))
   end)
end)
