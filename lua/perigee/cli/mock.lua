--- `perigee mock`: the built-in inference endpoint, run until it is told to stop.
local command = require "perigee.cli.command"
local distribution = require "perigee.distribution"
local engine = require "perigee.engine"
local units = require "perigee.units"

-- ---- what its options take: each reader gives the value, or nil and what was expected ----

local FAULTS = "status, reset, stall, hang, truncate, close, bad_sse, bad_json, bad_http, error_event, slow_headers"

local number = distribution.number

local function integer(low, high)
   local expected = ("a whole number within %d..%.0f"):format(low, high)
   return function(text)
      local value = number(text)
      return value and value == math.floor(value) and value >= low and value <= high and value or nil, expected
   end
end

local function some_text(text)
   return text ~= "" and text or nil, "some text"
end

local function times(text)
   return distribution.read(text, units.duration),
      "a time such as 50ms, exp:50ms, uniform:10ms,90ms, normal:50ms,10ms or lognormal:50ms,0.5"
end

local function counts(text)
   return distribution.read(text, number), "a number such as 16, exp:16, uniform:8,64, normal:16,4 or lognormal:16,0.5"
end

local function fault(text)
   local kind, p = text:match "^([%a_]+)=(.*)$"
   local known = kind and (", " .. FAULTS .. ","):find(", " .. kind .. ",", 1, true)
   p = known and number(p)
   return p and p <= 1 and { kind = kind, p = p } or nil, "KIND=P with P within 0..1 and KIND one of " .. FAULTS
end

local mock = {
   name = "mock",
   usage = [[
usage: perigee mock [options]

An OpenAI-compatible endpoint: POST /v1/chat/completions and /v1/completions, streamed or not,
GET /v1/models, /health and /stats. It prints its address, then serves until it is interrupted.]],
   definitions = {
      { name = "host", value = "ADDRESS", read = some_text, default = "127.0.0.1", help = "numeric address to listen at" },
      { name = "port", value = "N", read = integer(0, 65535), default = 0, help = "port; 0 takes any free one" },
      { name = "unix", value = "PATH", read = some_text, help = "listen at a unix socket instead" },
      { name = "mode", value = "MODE", choices = { "echo", "max", "timed" }, default = "echo", help = "how it answers" },
      { name = "ttft", value = "DIST", read = times, default = "50ms", help = "timed: time to the first token" },
      { name = "tpot", value = "DIST", read = times, default = "10ms", help = "timed: gap before each token after it" },
      { name = "tokens", value = "DIST", read = counts, default = "16", help = "timed and max: tokens of an answer" },
      { name = "token-bytes", value = "N", read = integer(1, 65536), default = 5, help = "timed and max: characters of a token" },
      { name = "cached-tokens", value = "N", read = integer(0, 2 ^ 31), default = 0,
         help = "tokens of each prompt, at most, that usage tells as cached" },
      { name = "fault", value = "KIND=P", read = fault, repeatable = true, help = "a fault with probability P; may be repeated" },
      { name = "fault-status", value = "N", read = integer(400, 599), default = 500, help = 'what the fault "status" answers with' },
      { name = "api-key", value = "KEY", read = some_text, help = 'ask for "Authorization: Bearer KEY"' },
      { name = "seed", value = "N", read = integer(0, 2 ^ 53), default = 0, help = "of all that is drawn" },
      { name = "log", value = "FILE", read = some_text, help = "echo and timed: write when each answer went out, as JSON lines" },
      { name = "until-eof", help = "stop at the end of standard input" },
      { name = "help", help = "show this text" },
   },
   notes = [[
MODE   echo: the words of the prompt come back; max: precomputed bytes, whatever is asked;
       timed: waits before each token
DIST   50ms, uniform:10ms,90ms, exp:50ms, normal:50ms,10ms, lognormal:50ms,0.5
       (times as seconds or with ns, us, ms, s, m, h; tokens as plain numbers)
KIND   status, reset, stall, hang, truncate, close, bad_sse, bad_json, bad_http, error_event,
       slow_headers. A request may ask for one with the header "x-perigee-fault: KIND".]],
}

-- ---- run ----

local function address(config, port)
   if config.unix then return "unix:" .. config.unix end
   return ("http://%s:%d"):format(config.host:find(":", 1, true) and "[" .. config.host .. "]" or config.host, port)
end

local function summary(stats)
   return ("perigee mock: %d connections, %d requests, %d responses, %d faults, %.0f bytes in, %.0f bytes out\n")
      :format(stats.connections, stats.requests, stats.responses, stats.faults, stats.bytes_in, stats.bytes_out)
end

--- Run the endpoint until a signal or, when asked, the end of standard input.
---@param args string[]
---@return integer exit_code
function mock.run(args)
   local config, done = command.values(mock, args)
   if not config then return done end
   config.faults = {}
   for _, f in ipairs(config.fault or {}) do config.faults[f.kind] = f.p end
   config.on_listen = function(port)
      io.stdout:write("listening on ", address(config, port), "\n")
      io.stdout:flush()
   end
   local stats, message, code = engine.mock(config)
   if not stats then return command.refuse(mock, message, code == "EINVAL" and 2 or 1) end
   -- A parent that runs it for a while has its own report to show.
   if not config.until_eof then io.stderr:write(summary(stats)) end
   return 0
end

return mock
