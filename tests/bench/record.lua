--- Runs a benchmark, shows what it prints, and keeps its lines of JSON as rows of tests/bench/results/NAME.json.
---   tests/bench/lua record NAME COMMAND [argument ...]
local json = require("perigee_engine").json
local files = require "files"
local results = require "results"

local name = arg[1]
if not arg[2] then
   io.stderr:write "usage: tests/bench/lua record NAME COMMAND [argument ...]\n"
   os.exit(2)
end
local words = {}
for i = 2, #arg do words[i - 1] = arg[i]:find "^[%w_./:=,-]+$" and arg[i] or files.quote(arg[i]) end
local command = table.concat(words, " ")
local result = results.start(name, command)

local pipe = assert(io.popen(command .. '; echo "exit status $?"'))
for line in pipe:lines() do
   local status = line:match "^exit status (%d+)$"
   if status then
      result.exit_status = tonumber(status)
   else
      print(line)
      io.stdout:flush()
      local row = line:find "^{" and json.decode(line)
      if row then result.rows[#result.rows + 1] = row end
   end
end
pipe:close()
if #result.rows > 0 then io.stderr:write("written to ", results.save(result), "\n") end
os.exit(result.exit_status or 1)
