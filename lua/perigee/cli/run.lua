--- perigee run: play a scenario and report.
local load = require "perigee.cli.load"
local options = require "perigee.cli.options"
local place = require "perigee.cli.place"
local progress = require "perigee.progress"
local runner = require "perigee.runner"

local run = {
   name = "run",
   summary = "play a scenario and report",
   usage = "usage: perigee run FILE [--option value ...] [--out DIR]",
}

local DEFINITIONS = {
   { name = "out", value = "DIR", help = "folder of the results (default results/NAME-TIME)" },
   { name = "seed", value = "N", type = "number", help = "seed instead of the scenario's" },
   { name = "events", value = "ADDR", help = "address of the event publisher (default a socket in DIR)" },
   { name = "framing", value = "F", choices = { "topic", "mlcommons" }, default = "topic", help = "of the events: topic or mlcommons" },
   { name = "overflow", value = "RULE", choices = { "spill", "drop", "block" }, default = "spill",
      help = "of events when subscribers are slow: spill, drop or block" },
   { name = "events-memory", value = "MIB", type = "count", default = 256, help = "bound on events that are not delivered yet" },
   { name = "subscribers", value = "N", type = "count", default = 0, help = "subscriptions to wait for before the first request" },
   { name = "subscribers-timeout", value = "S", type = "duration", default = 30, help = "how long to wait for them" },
   { name = "progress", value = "MODE", choices = progress.MODES, default = "auto", help = table.concat(progress.MODES, ", ") },
   { name = "quiet", help = "no progress and no summary on the terminal" },
   { name = "help", help = "show this text and the scenario's options" },
}

local MIB = 2 ^ 20

local function say(...)
   io.stderr:write(...)
   io.stderr:write("\n")
end

local function announce(values, out)
   return function(address)
      if values.quiet then return end
      say("results: ", out)
      if address then say("events:  ", address) end
   end
end

local function show(result, values)
   if result.text and not values.quiet then io.stdout:write("\n", result.text) end
   if result.error then say("perigee run: ", result.error) end
   for _, problem in ipairs(result.problems) do say("perigee run: ", problem) end
   if not (values.quiet and result.summary) then return end
   for _, text in ipairs(result.summary.failures) do
      if text ~= (result.error or ""):match("^[^\n]*") then say("perigee run: ", text) end
   end
end

local function play(command, out, address)
   local values = command.values
   local result = runner.run(command.plan, {
      out = out,
      events = {
         address = address, framing = values.framing, overflow = values.overflow, spill_dir = out,
         max_bytes = values.events_memory * MIB,
      },
      subscribers = values.subscribers, subscribers_timeout = values.subscribers_timeout,
      progress = values.quiet and "none" or values.progress,
      description = { file = command.file, out = out, events = address, framing = values.framing,
         overflow = values.overflow },
      on_ready = announce(values, out),
   })
   show(result, values)
   return result.exit_code
end

function run.run(args)
   local command, message = load.command(args, DEFINITIONS)
   if not command then return load.refuse(run.name, message) end
   local values = command.values
   if values.help then
      io.stdout:write(load.help_text(run.usage, options.help(DEFINITIONS), command))
      return 0
   end

   local out = values.out or place.default_folder(command.plan.name)
   local made
   made, message = place.make(out)
   if not made then
      say("perigee run: ", message)
      return 1
   end
   if values.events then return play(command, out, values.events) end
   local address, clean_up = place.events_address(out)
   if not address then
      say("perigee run: ", clean_up)
      return 1
   end
   local code = play(command, out, address)
   clean_up()
   return code
end

return run
