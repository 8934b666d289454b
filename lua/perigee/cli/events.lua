--- `perigee events`: follow the events of a running session.
local command = require "perigee.cli.command"
local engine = require "perigee.engine"
local log_damage = require("perigee.report.from_log").damage
local units = require "perigee.units"

local function idle_time(text)
   local seconds = units.duration(text)
   return seconds and seconds > 0 and seconds or nil, "a time above 0 such as 10, 250ms or 2m"
end

local events = {
   name = "events",
   usage = [[
usage: perigee events --connect ADDR [options]
       perigee events --from LOG [--jsonl FILE] [--sqlite FILE]

With --from: writes the events of a log. Else: receives events until session.ended, an
idle time or a signal; then tells on standard error what came.]],
   definitions = {
      { name = "connect", value = "ADDR", help = "the publisher's address: ipc:///path or tcp://host:port" },
      { name = "from", value = "LOG", help = "read an event log instead: the events.plog of a run" },
      { name = "topic", value = "PREFIX", repeatable = true,
         help = "only topics that begin so; may be repeated (session.ended always comes)" },
      { name = "jsonl", value = "FILE", help = "write each event as a line of JSON; - is standard output" },
      { name = "sqlite", value = "FILE", help = "add each event as a row to the database, which is made when it is not there" },
      { name = "idle", value = "TIME", read = idle_time, default = "5m", help = "give up when nothing came for so long" },
      { name = "until-eof", help = "give up soon after standard input has ended, as it does with a parent" },
      { name = "quiet", help = "no summary when all is well" },
      { name = "help", help = "show this text" },
   },
   notes = [[
Events that the database has already change nothing; it needs session.started, which then always comes, too.
Exit status: 0 the session ended and nothing is missing, corrupt or unwritten, 1 otherwise,
2 bad options, 130 or 143 interrupted.]],
}

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

-- The events of a log, for those who did not subscribe.
local function export(values)
   if values.connect or values.topic then return command.refuse(events, "--from excludes --connect and --topic") end
   if not (values.jsonl or values.sqlite) then return command.refuse(events, "--from needs --jsonl FILE or --sqlite FILE") end
   local stats, message, code = engine.export_log { from = values.from, jsonl = values.jsonl, sqlite = values.sqlite }
   if not stats then return command.refuse(events, message, code == "ENOENT" and 2 or 1) end
   local wrong = log_damage(values.from, stats)
   if not stats.ended then wrong[#wrong + 1] = values.from .. ": the log ends before its session did" end
   for _, text in ipairs(wrong) do command.refuse(events, text) end
   if not values.quiet then io.stderr:write(("perigee events: %d records in %d blocks\n"):format(stats.records, stats.blocks)) end
   return #wrong > 0 and 1 or 0
end

---@param args string[] the words after `perigee events`
---@return integer exit_code
function events.run(args)
   local values, done = command.values(events, args)
   if not values then return done end
   if values.sqlite and values.sqlite == values.jsonl then
      return command.refuse(events, "--sqlite and --jsonl name the same file")
   end
   if values.from then return export(values) end
   if not values.connect then return command.refuse(events, "option --connect is missing") end
   local r, message, code = engine.subscribe {
      connect = values.connect, topics = values.topic, jsonl = values.jsonl, sqlite = values.sqlite, idle_timeout = values.idle,
      until_eof = values.until_eof,
   }
   if not r then return command.refuse(events, message, code == "EINVAL" and 2 or 1) end
   local wrong = problems(r)
   if #wrong > 0 or not values.quiet then
      local stored = values.sqlite and (", %d rows new, %d known"):format(r.stored, r.known) or ""
      io.stderr:write(("perigee events: %d records in %d frames, %d duplicate%s, %s\n"):format(
         r.records, r.frames, r.duplicate, stored, #wrong > 0 and table.concat(wrong, ", ") or "complete"))
   end
   if r.signal then return 128 + r.signal end
   return #wrong > 0 and 1 or 0
end

return events
