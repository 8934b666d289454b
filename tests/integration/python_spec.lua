--- Subscribers in another language: the example of docs/events.md, a decoder of the mlcommons
--- framing, and the one of mlcommons/endpoints itself.
---   PERIGEE_PYTHON            a Python with pyzmq and msgspec (python3)
---   PERIGEE_ENDPOINTS_PYTHON  one with inference_endpoint (the same)
local drive = require "drive"
local engine = require "perigee_engine"

local PYTHON = os.getenv "PERIGEE_PYTHON" or "python3"
local ENDPOINTS_PYTHON = os.getenv "PERIGEE_ENDPOINTS_PYTHON" or PYTHON

local SCENARIO = [[return perigee.scenario {
   target = perigee.target.openai_chat { url = "mock:", model = "m", stream = true },
   dataset = perigee.dataset.table { { prompt = "grüß dich" }, { prompt = "hallo" } },
   load = perigee.load.concurrency(8),
   record_text = true,
   phases = { { "p", requests = 400 } } }]]

local function missing(python, modules)
   local r = drive.shell(("%s -c 'import %s'"):format(python, modules))
   return r.code ~= 0 and ("%s cannot import %s"):format(python, modules) or nil
end

--- Run the scenario while the Python program listens; what that printed.
local function listen(python, script, framing, arguments)
   local dir = drive.tempdir()
   local address = "ipc://" .. dir .. "/events"
   drive.write(dir .. "/script.py", script)
   local listener = assert(engine.spawn { "bash", "-c", ("exec timeout 100 %s %s/script.py %s 2>%s/problem"):format(
      python, dir, arguments(dir, address), dir) })
   local r = drive.run(SCENARIO, "--events", address, "--framing", framing, "--subscribers", "1")
   assert.equal(0, r.code, r.err)
   local line = listener:read_line(60)
   local more = line and listener:read_line(60)
   local status = listener:stop(20)
   assert.equal(0, status, drive.read(dir .. "/problem"))
   os.execute("rm -rf " .. drive.quote(dir))
   return line, more
end

local function by_address(_, address) return address end

describe("the example of docs/events.md", function()
   for _, framing in ipairs { "topic", "mlcommons" } do
      it("counts what comes in the framing " .. framing, function()
         local problem = missing(PYTHON, "zmq, msgspec")
         if problem then return pending(problem) end
         local script = assert(drive.read "docs/events.md":match "```python\n(.-)```")
         local events, samples = listen(PYTHON, script, framing, by_address)
         -- start and end of session, tracking and phase, what the run is, the end of the load, and three for each sample
         assert.equal((framing == "topic" and 1208 or 1205) .. " events, 0 missing", events)
         assert.equal("400 samples complete", samples)
      end)
   end
end)

local EXPECTED = {
   ["session.started"] = 1, ["session.ended"] = 1, ["session.stop_loadgen"] = 1,
   ["session.start_performance_tracking"] = 1, ["session.stop_performance_tracking"] = 1,
   ["sample.issued"] = 400, ["sample.recv_first"] = 400, ["sample.complete"] = 400,
}

describe("the mlcommons framing", function()
   it("is decoded by a program written from its description", function()
      local problem = missing(PYTHON, "zmq, msgspec")
      if problem then return pending(problem) end
      local script = drive.read "tests/integration/mlcommons_decode.py"
      local seen = assert(engine.json.decode((listen(PYTHON, script, "mlcommons", by_address))))
      assert.same({}, seen.wrong)
      assert.same(EXPECTED, seen.counts)
      assert.equal(0, seen.still_open)
      assert.is_true(seen.batches > 0 and seen.frames < 400)
   end)

   it("is decoded by the subscriber of mlcommons/endpoints as it is", function()
      local problem = missing(ENDPOINTS_PYTHON, "inference_endpoint.async_utils.transport.zmq.pubsub")
      if problem then return pending(problem) end
      local script = drive.read "tests/integration/mlcommons_endpoints.py"
      local line = listen(ENDPOINTS_PYTHON, script, "mlcommons", function(dir) return dir .. " events" end)
      local seen = assert(engine.json.decode(line))
      assert.same({}, seen.undecoded)
      assert.same(EXPECTED, seen.counts)
      assert.equal(400, seen.samples)
      assert.same({ PromptData = 400, TextModelOutput = 400 }, seen.data)
      assert.is_true(#seen.output > 0)
   end)
end)
