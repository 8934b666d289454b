--- Drives the built program as a user does: whole output, exit status, files.
-- Every run has a deadline; a program that passes it is killed and says 124.
local engine = require "perigee_engine"

local drive = {}

local DEADLINE_S = 120

local function read(path)
   local f = io.open(path, "rb")
   local text = f and f:read "*a"
   if f then f:close() end
   return text
end

local function write(path, text)
   local f = assert(io.open(path, "wb"))
   assert(f:write(text))
   assert(f:close())
end

local function quote(s)
   return "'" .. tostring(s):gsub("'", [['\'']]) .. "'"
end

--- A fresh directory; tests/run removes all of them at its end.
---@return string path
function drive.tempdir()
   return assert(engine.mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/lua_"))
end

--- Run shell text with the deadline.
---@param script string
---@return { code: integer, out: string, err: string }
function drive.shell(script)
   local dir = drive.tempdir()
   write(dir .. "/script", script)
   os.execute(("timeout -k 5 %d bash %s/script >%s/out 2>%s/err </dev/null; echo $? >%s/code")
      :format(DEADLINE_S, dir, dir, dir, dir))
   local result = { code = tonumber(read(dir .. "/code")), out = read(dir .. "/out"), err = read(dir .. "/err") }
   os.execute("rm -rf " .. quote(dir))
   return result
end

--- The command line that runs perigee with these arguments.
function drive.command(...)
   local words = { "scripts/perigee" }
   for _, a in ipairs { ... } do words[#words + 1] = quote(a) end
   return table.concat(words, " ")
end

--- Run perigee.
function drive.perigee(...)
   return drive.shell("exec " .. drive.command(...))
end

--- Write a scenario (Lua text after `local perigee = require "perigee"`) into dir.
---@return string path
function drive.scenario(dir, text, name)
   local path = dir .. "/" .. (name or "scenario.lua")
   write(path, 'local perigee = require "perigee"\n' .. text)
   return path
end

-- What `perigee report` makes of the log.
local REBUILT = { "summary.json", "summary.txt", "config.json", "series.jsonl", "server.jsonl", "histograms.hgrm", "histograms.hlog",
   "report.html", "requests.jsonl", "sample_idx_map.json" }

-- A log gives the files of its run again, byte by byte, whatever the run was.
local function check_log(r)
   if not r.summary or not read(r.dir .. "/events.plog") then return end
   if r.err:find("scenario.teardown", 1, true) then return end -- its error comes when the log is closed
   local folder = drive.tempdir()
   local again = drive.perigee("report", r.dir .. "/events.plog", "--json", "--out", folder)
   assert(again.out == read(r.dir .. "/summary.json"), "the log gives another report: " .. again.err)
   for _, name in ipairs(REBUILT) do
      assert(read(folder .. "/" .. name) == read(r.dir .. "/" .. name), "the log gives another " .. name .. ": " .. again.err)
   end
   os.execute("rm -rf " .. quote(folder))
end

--- Run a scenario's text: the result of the run, with its directory and its summary (nil when none).
function drive.run(text, ...)
   local dir = drive.tempdir()
   local r = drive.perigee("run", drive.scenario(dir, text), "--out", dir .. "/out", "--progress", "none", ...)
   r.dir = dir .. "/out"
   local summary = read(r.dir .. "/summary.json")
   r.summary = summary and assert(engine.json.decode(summary))
   check_log(r)
   return r
end

drive.read, drive.write, drive.quote = read, write, quote

--- All lines of a JSONL file, decoded.
function drive.jsonl(path)
   local list = {}
   for line in io.lines(path) do list[#list + 1] = assert(engine.json.decode(line)) end
   return list
end

--- Is text that of tests/integration/golden/NAME.txt? PERIGEE_GOLDEN=write replaces the files, to be read before they are
--- committed.
function drive.is_golden(name, text)
   local path = "tests/integration/golden/" .. name .. ".txt"
   if os.getenv "PERIGEE_GOLDEN" == "write" then write(path, text) end
   local expected = assert(read(path), path .. " is not there")
   assert(expected == text, ("%s has\n%s\nbut this was printed:\n%s"):format(path, expected, text))
end

--- Where the shared data sets are, or nil.
function drive.shared(name)
   local path = "../shared/data/" .. name
   local f = io.open(path)
   if not f then return nil end
   f:close()
   return path
end

--- Start `perigee mock` with these arguments. Returns the process and its url.
function drive.mock(...)
   local argv = { "scripts/perigee", "mock", "--port", "0", "--until-eof", ... }
   local p = assert(engine.spawn(argv))
   local line, message = p:read_line(20)
   return p, assert(assert(line, message):match "http://%S+$" or line:match "unix:%S+$", line)
end

return drive
