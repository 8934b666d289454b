--- Instructions in user space per request, by callgrind: what a change costs can be told by them on a machine with other
--- work, too. Prints them beside those of tests/bench/instructions.json, which RECORD=1 writes anew.
---   tests/bench/lua instructions [pattern of names]
local engine = require "perigee_engine"
local baseline = require "baseline"
local measure = require "measure"
local align = require "perigee.align"
local results = require "results"

local json = engine.json
local FEW, MORE = 2000, 10000 -- requests: as many as it takes for two runs to differ by less than 2 %
local KEPT = "tests/bench/instructions.json"

local ROWS = {
   { "direct", "--transport direct", false }, { "curl", "--transport curl", false },
   { "direct, no events", "--transport direct --events off --log off", false },
   { "direct, stream of 16 events", "--transport direct", true }, { "curl, stream of 16 events", "--transport curl", true },
}

measure.main("instructions", function(dir)
   if not measure.have "valgrind" then error("valgrind is not installed", 0) end
   local kept = baseline.read(KEPT)
   local result = results.start("instructions", "tests/bench/lua instructions")
   local process, url = measure.endpoint("--mode", "max", "--tokens", "16", "--token-bytes", "10")
   local lines, now = { { "instructions per request", "now", "kept", "change" } }, {}
   for _, row in ipairs(ROWS) do
      local name, options, streamed = unpack(row)
      if not arg[1] or name:find(arg[1]) then
         local job = {
            url = url, body_file = measure.body(dir, streamed), connections = measure.CONNECTIONS, dir = dir, streamed = streamed,
            few = FEW, more = MORE,
         }
         local n = math.floor(measure.instructions(measure.perigee(name, options .. " --workers 0"), job) + 0.5)
         now[name] = n
         local before = kept.figures[name]
         table.insert(result.rows, { of = name, instructions_per_request = n, kept = before or json.null })
         lines[#lines + 1] = { name, tostring(n), tostring(before or "-"), baseline.change(n, before) }
      end
   end
   process:stop(2)
   for _, line in ipairs(align(lines, "")) do print(line) end
   for _, line in ipairs(baseline.remarks(kept, result)) do print(line) end
   print("written to " .. results.save(result))
   if os.getenv "RECORD" and not arg[1] then print("kept as " .. baseline.write(KEPT, result, now)) end
end)
