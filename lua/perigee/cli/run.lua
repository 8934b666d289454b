--- perigee run: play a scenario and report.
local command = require "perigee.cli.command"
local place = require "perigee.cli.place"
local progress = require "perigee.progress"
local runner = require "perigee.runner"

local run = {
   name = "run",
   usage = "usage: perigee run FILE [--option value ...] [--out DIR]",
   definitions = {
      { name = "out", value = "DIR", help = "folder of the results (default results/NAME-TIME)" },
      { name = "seed", value = "N", type = "number", help = "seed instead of the scenario's" },
      { name = "events", value = "ADDR", help = "address of the event publisher (default a socket in DIR)" },
      { name = "framing", value = "F", choices = { "topic", "mlcommons" }, default = "topic", help = "of the events: topic or mlcommons" },
      { name = "subscribers", value = "N", type = "count", default = 0, help = "subscriptions to wait for before the first request" },
      { name = "subscribers-timeout", value = "S", type = "duration", default = "30s", help = "how long to wait for them" },
      { name = "log", value = "FILE", help = "event log (default DIR/events.plog); off writes none" },
      { name = "progress", value = "MODE", choices = progress.MODES, default = "auto", help = table.concat(progress.MODES, ", ") },
      { name = "quiet", help = "no progress and no summary on the terminal" },
      { name = "help", help = "show this text and the scenario's options" },
   },
}

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

-- Nothing is told twice: what failed stands in the summary as well, as its first line.
local function teller()
   local told = {}
   return function(text)
      local first = text:match("^[^\n]*")
      if not told[first] then say("perigee run: ", text) end
      told[first] = true
   end
end

local function show(result, values)
   local tell = teller()
   if result.text and not values.quiet then io.stdout:write("\n", result.text) end
   if result.error then tell(result.error) end
   for _, problem in ipairs(result.problems) do tell(problem) end
   if not (values.quiet and result.summary) then return end
   for _, text in ipairs(result.summary.failures) do tell(text) end
end

local function play(loaded, out, address)
   local values = loaded.values
   local result = runner.run(loaded.plan, {
      out = out,
      log = values.log ~= "off" and (values.log or out .. "/events.plog") or nil,
      events = { address = address, framing = values.framing },
      subscribers = values.subscribers, subscribers_timeout = values.subscribers_timeout,
      progress = values.quiet and "none" or values.progress,
      description = { file = loaded.file, out = out, events = address, framing = values.framing },
      on_ready = announce(values, out),
   })
   show(result, values)
   return result.exit_code
end

function run.run(args)
   local loaded, code = command.scenario(run, args)
   if not loaded then return code end

   local out = loaded.values.out or place.default_folder(loaded.plan.name)
   local made, message = place.make(out)
   if not made then return command.refuse(run, message, 1) end
   if loaded.values.events then return play(loaded, out, loaded.values.events) end
   local address, clean_up = place.events_address(out)
   if not address then return command.refuse(run, clean_up, 1) end
   code = play(loaded, out, address)
   clean_up()
   return code
end

return run
