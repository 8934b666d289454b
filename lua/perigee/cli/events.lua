--- `perigee events`: follow the events of a running session.
local engine = require "perigee_engine"

---@class perigee.cli.events
local events = {
   name = "events",
   summary = "receive the events of a running session and write them as JSON lines or into a database",
   usage = [[
usage: perigee events --connect ADDR [options]

Receives events until session.ended, an idle time or a signal; then tells on standard
error what came.

  --connect ADDR   the publisher's address: ipc:///path or tcp://host:port
  --topic PREFIX   only topics that begin so; may be repeated (session.ended always comes)
  --jsonl FILE     write each event as a line of JSON; - is standard output
  --sqlite FILE    add each event as a row to the database FILE, which is made when it is
                   not there; events that it has already change nothing. Needs
                   session.started, which then always comes, too
  --idle TIME      give up when nothing came for so long: 10, 250ms, 5s, 2m (default 5m)
  --quiet          no summary when all is well
  --help           this text

Exit status: 0 the session ended and nothing is missing, corrupt or unwritten, 1 otherwise,
2 bad options, 130 or 143 interrupted.]],
}

local UNITS = { ms = 0.001, s = 1, m = 60, h = 3600 }

--- Seconds from "250ms", "5s", "2m", "1h" or a plain number; nil when it is none.
---@param text string
---@return number?
local function seconds(text)
   local number, unit = text:match("^(%d*%.?%d+)(%a*)$")
   local value, factor = tonumber(number), unit == "" and 1 or UNITS[unit]
   if not value or not factor or value <= 0 then
      return nil
   end
   return value * factor
end

-- Each stores the value of its option, or returns what is wrong with it.
local OPTIONS = {
   ["--connect"] = function(opts, value) opts.connect = value end,
   ["--topic"] = function(opts, value)
      opts.topics = opts.topics or {}
      table.insert(opts.topics, value)
   end,
   ["--sqlite"] = function(opts, value) opts.sqlite = value end,
   ["--jsonl"] = function(opts, value) opts.jsonl = value end,
   ["--idle"] = function(opts, value)
      opts.idle_timeout = seconds(value)
      return not opts.idle_timeout and "a time like 10, 250ms, 5s or 2m expected" or nil
   end,
}

local FLAGS = { ["--quiet"] = "quiet", ["--help"] = "help", ["-h"] = "help" }

--- Options as a table, or nil and what is wrong.
---@param args string[]
---@return table? opts
---@return string? problem
local function parse(args)
   local opts = { idle_timeout = 300 }
   local i = 1
   while i <= #args do
      local name, value = args[i]:match("^(%-%-[^=]+)=(.*)$")
      name = name or args[i]
      if FLAGS[name] and not value then
         opts[FLAGS[name]] = true
      elseif OPTIONS[name] then
         if not value then
            i = i + 1
            value = args[i]
         end
         if not value or value == "" then
            return nil, name .. ": a value expected"
         end
         local problem = OPTIONS[name](opts, value)
         if problem then
            return nil, ("%s %s: %s"):format(name, value, problem)
         end
      else
         return nil, args[i] .. ": unknown option"
      end
      i = i + 1
   end
   if not opts.connect and not opts.help then
      return nil, "--connect ADDR is missing"
   end
   if opts.sqlite and opts.sqlite == opts.jsonl then
      return nil, opts.sqlite .. ": one file cannot hold JSON lines and a database"
   end
   return opts
end

--- What is wrong with what was received; empty when all is well.
---@param r table result of engine.subscribe
---@return string[]
local function problems(r)
   local list = {}
   if r.outcome == "idle" then
      table.insert(list, "no event for the idle time, the session did not end")
   elseif r.outcome == "interrupted" then
      table.insert(list, "interrupted")
   elseif r.outcome == "write_failed" then
      table.insert(list, r.message)
   end
   for _, key in ipairs { "missing", "corrupt", "lost_frames", "unstored" } do
      if r[key] > 0 then
         table.insert(list, ("%d %s"):format(r[key], (key:gsub("_", " "))))
      end
   end
   return list
end

---@param args string[] the words after `perigee events`
---@return integer exit_code
function events.run(args)
   local opts, problem = parse(args)
   if not opts then
      io.stderr:write("perigee events: ", problem, "\n", events.usage, "\n")
      return 2
   end
   if opts.help then
      io.stdout:write(events.usage, "\n")
      return 0
   end
   local r, message, code = engine.subscribe(opts)
   if not r then
      io.stderr:write("perigee events: ", message, "\n")
      return code == "EINVAL" and 2 or 1
   end
   local wrong = problems(r)
   if #wrong > 0 or not opts.quiet then
      local stored = opts.sqlite and (", %d rows new, %d known"):format(r.stored, r.known) or ""
      io.stderr:write(("perigee events: %d records in %d frames, %d duplicate%s, %s\n"):format(
         r.records, r.frames, r.duplicate, stored, #wrong > 0 and table.concat(wrong, ", ") or "complete"))
   end
   if r.signal then
      return 128 + r.signal
   end
   return #wrong > 0 and 1 or 0
end

return events
