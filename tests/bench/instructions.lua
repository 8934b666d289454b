--- Instructions in user space per request, by callgrind: what a change costs can be told by them on a machine with other
--- work, too. Prints them beside those of tests/bench/instructions.json, which RECORD=1 writes anew.
---   tests/bench/lua instructions [pattern of names]
local engine = require "perigee_engine"
local files = require "files"
local measure = require "measure"
local align = require "perigee.align"
local results = require "results"

local json = engine.json
local FEW, MORE = 2000, 10000 -- requests: as many as it takes for two runs to differ by no more than 3 %
local KEPT = "tests/bench/instructions.json"

local ROWS = {
   { "direct", "--transport direct", false }, { "curl", "--transport curl", false },
   { "direct, no events", "--transport direct --events off --log off", false },
   { "direct, stream of 16 events", "--transport direct", true }, { "curl, stream of 16 events", "--transport curl", true },
}

local function change(now, before)
   return before and ("%+.1f%%"):format(100 * (now / before - 1)) or "-"
end

measure.main("instructions", function(dir)
   if not measure.have "valgrind" then error("valgrind is not installed", 0) end
   local kept = json.decode(files.read(KEPT)) or { instructions = {} }
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
         table.insert(result.rows, { of = name, instructions_per_request = n, kept = kept.instructions[name] or json.null })
         lines[#lines + 1] = { name, tostring(n), tostring(kept.instructions[name] or "-"), change(n, kept.instructions[name]) }
      end
   end
   process:stop(2)
   for _, line in ipairs(align(lines, "")) do print(line) end
   print(("kept: of %s, with %s and %s"):format(kept.perigee or "nothing", kept.libcurl or "-", kept.luajit or "-"))
   print("written to " .. results.save(result))
   if os.getenv "RECORD" and not arg[1] then
      files.write(KEPT, json.encode({ perigee = engine.version, libcurl = result.versions.libcurl, luajit = jit.version,
         compiler = result.versions.compiler, instructions = now }, 2) .. "\n")
      print("kept as " .. KEPT)
   end
end)
