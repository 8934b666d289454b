--- `perigee mock`: the built-in inference endpoint, run until it is told to stop.
-- @module perigee.cli.mock
local engine = require("perigee_engine")

local mock = {
   name = "mock",
   summary = "run the built-in inference endpoint",
}

mock.usage = [[
usage: perigee mock [options]

An OpenAI-compatible endpoint: POST /v1/chat/completions and /v1/completions, streamed or not,
GET /v1/models, /health and /stats. It prints its address, then serves until it is interrupted.

  --host ADDRESS       numeric address to listen at (127.0.0.1)
  --port N             0 takes any free port (0)
  --unix PATH          listen at a unix socket instead
  --mode MODE          echo: the words of the prompt come back (default)
                       max: precomputed bytes, whatever is asked
                       timed: waits before each token
  --ttft DIST          timed: time to the first token (50ms)
  --tpot DIST          timed: gap before each token after it (10ms)
  --tokens DIST        timed and max: tokens of an answer (16)
  --token-bytes N      timed and max: characters of a token (5)
  --fault KIND=P       a fault with probability P, 0..1; may be given several times
  --fault-status N     what the fault "status" answers with, 400..599 (500)
  --api-key KEY        ask for "Authorization: Bearer KEY"
  --seed N             of all that is drawn (0)
  --until-eof          stop at the end of standard input
  --help               show this text

DIST   50ms, uniform:10ms,90ms, exp:50ms, normal:50ms,10ms, lognormal:50ms,0.5
       (times as seconds or with us, ms, s, m; tokens as plain numbers)
KIND   status, reset, stall, hang, truncate, close, bad_sse, bad_json, bad_http, error_event,
       slow_headers. A request may ask for one with the header "x-perigee-fault: KIND".
]]

-- ---- values: each returns the value, or nil and what was expected ----

local units = { us = 1e-6, ms = 1e-3, s = 1, m = 60, [""] = 1 }
local shapes = { uniform = 2, exp = 1, normal = 2, lognormal = 2 }

local function number(text)
   return text:match("^%d+%.?%d*$") and tonumber(text) or text:match("^%.%d+$") and tonumber(text)
end

local function duration(text)
   local digits, unit = text:match("^([%d.]+)(%a*)$")
   local value = digits and number(digits)
   return value and units[unit] and value * units[unit]
end

--- "50ms" or "kind:a[,b]", as the table that engine.mock takes.
local function distribution(text, parse)
   local kind, rest = text:match("^(%a+):(.+)$")
   if not kind then
      local a = parse(text)
      return a and { kind = "fixed", a = a }
   end
   local first, second = rest, nil
   if shapes[kind] == 2 then
      first, second = rest:match("^([^,]+),([^,]+)$")
   end
   local a = shapes[kind] and first and parse(first)
   local b = second and (kind == "lognormal" and number(second) or kind ~= "lognormal" and parse(second))
   if not a or (second and not b) or (kind == "uniform" and b < a) then
      return nil
   end
   return { kind = kind, a = a, b = b }
end

local function integer(low, high)
   return function(text)
      local value = text:match("^%d+$") and tonumber(text)
      if value and value >= low and value <= high then
         return value
      end
      return nil, ("a whole number within %d..%.0f"):format(low, high)
   end
end

local function text_value(text)
   if text ~= "" then
      return text
   end
   return nil, "some text"
end

local function times(text)
   return distribution(text, duration), "a time such as 50ms, exp:50ms, uniform:10ms,90ms, "
      .. "normal:50ms,10ms or lognormal:50ms,0.5"
end

local function counts(text)
   return distribution(text, number), "a number such as 16, exp:16, uniform:8,64, normal:16,4 or lognormal:16,0.5"
end

local function mode(text)
   return (text == "echo" or text == "max" or text == "timed") and text or nil, "echo, max or timed"
end

local kinds = "status, reset, stall, hang, truncate, close, bad_sse, bad_json, bad_http, error_event, slow_headers"

local function fault(text, config)
   local kind, p = text:match("^([%a_]+)=([%d.]+)$")
   local known = kind and (", " .. kinds .. ","):find(", " .. kind .. ",", 1, true)
   local value = known and number(p)
   if not value or value > 1 then
      return nil, "KIND=P with P within 0..1 and KIND one of " .. kinds
   end
   config.faults[kind] = value
   return config.faults
end

-- ---- options ----

--- name = { key in the config, function that reads the value; none: a flag }
local options = {
   ["--host"] = { "host", text_value },
   ["--port"] = { "port", integer(0, 65535) },
   ["--unix"] = { "unix", text_value },
   ["--mode"] = { "mode", mode },
   ["--ttft"] = { "ttft", times },
   ["--tpot"] = { "tpot", times },
   ["--tokens"] = { "tokens", counts },
   ["--token-bytes"] = { "token_bytes", integer(1, 65536) },
   ["--fault"] = { "faults", fault },
   ["--fault-status"] = { "fault_status", integer(400, 599) },
   ["--api-key"] = { "api_key", text_value },
   ["--seed"] = { "seed", integer(0, 2 ^ 53) },
   ["--until-eof"] = { "until_eof" },
   ["--help"] = { "help" },
}

local function known_options()
   local names = {}
   for name in pairs(options) do
      names[#names + 1] = name
   end
   table.sort(names)
   return table.concat(names, ", ")
end

--- Read the arguments.
---@param args string[]
---@return table|nil config for engine.mock
---@return string|nil message
function mock.parse(args)
   local config = { ttft = 0.05, tpot = 0.01, tokens = 16, faults = {} }
   local i = 1
   while i <= #args do
      local name, value = args[i]:match("^(%-%-[%w-]+)=(.*)$")
      name = name or args[i]
      local option = options[name]
      if not option then
         return nil, ("%s: unknown option; known are %s"):format(name, known_options())
      end
      local key, read = option[1], option[2]
      if not read then
         if value then
            return nil, name .. ": takes no value"
         end
         config[key] = true
      else
         if not value then
            i = i + 1
            value = args[i]
         end
         local result, expected = read(value or "", config)
         if not result then
            return nil, ("%s: %s expected, got '%s'"):format(name, expected, value or "nothing")
         end
         config[key] = result
      end
      i = i + 1
   end
   return config
end

-- ---- run ----

local function address(config, port)
   if config.unix then
      return "unix:" .. config.unix
   end
   local host = config.host or "127.0.0.1"
   return ("http://%s:%d"):format(host:find(":", 1, true) and "[" .. host .. "]" or host, port)
end

local function summary(stats)
   return ("perigee mock: %d connections, %d requests, %d responses, %d faults, %.0f bytes in, %.0f bytes out\n")
      :format(stats.connections, stats.requests, stats.responses, stats.faults, stats.bytes_in, stats.bytes_out)
end

--- Run the endpoint until a signal or, when asked, the end of standard input.
---@param args string[]
---@return integer exit_code
function mock.run(args)
   local config, problem = mock.parse(args)
   if not config then
      io.stderr:write("perigee mock: ", problem, "\n")
      return 2
   end
   if config.help then
      io.stdout:write(mock.usage)
      return 0
   end
   config.on_listen = function(port)
      io.stdout:write("listening on ", address(config, port), "\n")
      io.stdout:flush()
   end
   local stats, message, code = engine.mock(config)
   if not stats then
      io.stderr:write("perigee mock: ", message, "\n")
      return code == "EINVAL" and 2 or 1
   end
   -- A parent that runs it for a while has its own report to show.
   if not config.until_eof then io.stderr:write(summary(stats)) end
   return 0
end

return mock
