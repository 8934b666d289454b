--- perigee run: play a scenario and report.
local closing = require "perigee.cli.closing"
local command = require "perigee.cli.command"
local export = require "perigee.export"
local place = require "perigee.cli.place"
local progress = require "perigee.progress"
local runner = require "perigee.runner"
local scrape = require "perigee.scrape.fields"
local service = require "perigee.service"
local transport = require "perigee.transport"
local workers = require "perigee.workers"

local run = {
   name = "run",
   usage = "usage: perigee run FILE [--option value ...] [--out DIR]",
   definitions = {
      { name = "out", value = "DIR", help = "folder of the results (default results/NAME-TIME)" },
      { name = "seed", value = "N", type = "number", help = "seed instead of the scenario's" },
      transport.OPTIONS[1], transport.OPTIONS[2],
      { name = "workers", value = "N", read = workers.read,
         help = "threads for HTTP (default the scenario's, else by processors and load); 0 is none" },
      { name = "events", value = "ADDR",
         help = "address of the event publisher (default a socket in a private folder); off publishes none" },
      { name = "framing", value = "F", choices = { "topic", "mlcommons" }, default = "topic", help = "of the events: topic or mlcommons" },
      { name = "overflow", value = "RULE", choices = { "spill", "drop", "block" }, default = "spill",
         help = "of events when subscribers are slow: spill, drop or block" },
      { name = "events-memory", value = "MIB", type = "count", default = 256, help = "bound on events that are not delivered yet" },
      { name = "subscribers", value = "N", type = "count", default = 0, help = "subscriptions to wait for before the first request" },
      { name = "subscribers-timeout", value = "S", type = "duration", default = "30s", help = "how long to wait for them" },
      { name = "service", value = "WHAT", repeatable = true,
         help = "start beside the run: metrics, events or a program, with its arguments; may be repeated" },
      { name = "service-timeout", value = "S", type = "duration", default = "60s", help = "how long services may take at the end" },
      { name = "control", value = "ADDR", help = "take commands there (perigee control); auto is a socket in a private folder" },
      { name = "metrics", value = "ADDR", help = "serve the numbers so far to Prometheus, PORT or HOST:PORT; port 0 is a free one" },
      { name = "scrape", value = "URL", read = scrape.read, repeatable = true,
         help = "read what a server tells Prometheus while the run lasts; target: the targets' /metrics; may be repeated" },
      { name = "log", value = "FILE", help = "event log (default DIR/events.plog); off writes none" },
      { name = "junit", value = "FILE", help = "write the checks there as JUnit XML" },
      { name = "export", value = "FORMS", read = export.parse, help = export.HELP },
      { name = "strict", help = "a run with warnings fails, exit status 3" },
      { name = "progress", value = "MODE", choices = progress.MODES, default = "auto", help = table.concat(progress.MODES, ", ") },
      { name = "quiet", help = "no progress and no summary on the terminal" },
      { name = "help", help = "show this text and the scenario's options" },
   },
}

local MIB = 2 ^ 20

local function say(...)
   io.stderr:write(...)
   io.stderr:write("\n")
end

local function announce(values, out)
   return function(address, control, metrics)
      if values.quiet then return end
      say("results: ", out)
      if address then say("events:  ", address) end
      if control then say("control: perigee control ", control, " status") end
      if metrics then say("metrics: ", metrics) end
   end
end

-- The services that the options name, not begun; nil when there are none. Then what cleans up after them.
local function make_services(values, out)
   if not values.service then return nil, function() end end
   local list = {}
   for i, text in ipairs(values.service) do
      local parsed, message = service.parse(text)
      if not parsed then return nil, message, 2 end
      list[i] = parsed
   end
   local snapshots, clean_up = place.private_address "snapshots.ipc"
   if not snapshots then return nil, clean_up, 1 end
   return service.new(list, {
      out = out, snapshots = snapshots,
      on_problem = function(text) say("\nperigee run: ", text) end,
      on_line = function(_, line)
         if values.quiet then return end
         local address, url = line:match "^snapshots: (%S+)", line:match "^metrics: (%S+)"
         if address then say("top:     perigee top ", address) end
         if url then say("metrics: ", url) end
      end,
   }), clean_up
end

-- The address of the control socket, nil when none is asked for. Then what cleans up after it.
local function control_address(values)
   if values.control ~= "auto" then return values.control, function() end end
   return place.private_address "control.ipc"
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

-- Files that have a path of their own, and those of services.
local function others(values, out)
   local list = {}
   if values.log and values.log ~= "off" then list[1] = values.log end
   list[#list + 1] = values.junit
   for _, text in ipairs(values.service or {}) do list[#list + 1] = service.file(service.parse(text), out) end
   return list
end

local function show(result, loaded, out)
   local tell, values = teller(), loaded.values
   if result.text and not values.quiet then io.stdout:write("\n", result.text) end
   if result.error then tell(result.error) end
   for _, problem in ipairs(result.problems) do tell(problem) end
   if not result.summary then return end
   if not values.quiet then
      io.stdout:flush()
      io.stderr:write("\n", closing.text(result, {
         out = out, files = others(values, out), words = loaded.words, plan = loaded.plan,
      }))
      return
   end
   for _, text in ipairs(result.summary.failures) do tell(text) end
end

local function play_on(loaded, out, address, services, control)
   local values = loaded.values
   local result = runner.run(loaded.plan, {
      workers = values.workers, out = out,
      log = values.log ~= "off" and (values.log or out .. "/events.plog") or nil,
      strict = values.strict, junit = values.junit, export = values.export,
      events = address and {
         address = address, framing = values.framing, overflow = values.overflow, spill_dir = out,
         max_bytes = values.events_memory * MIB,
      } or nil,
      subscribers = values.subscribers, subscribers_timeout = values.subscribers_timeout,
      progress = values.quiet and "none" or values.progress,
      description = {
         file = loaded.file, out = out, events = address or "off", framing = values.framing, overflow = values.overflow,
         services = values.service, control = control, metrics = values.metrics,
      },
      on_ready = announce(values, out), on_warning = not values.quiet and function(text) say("warning: ", text) end or nil,
      services = services, close_timeout = services and values.service_timeout, control = control, metrics = values.metrics,
   })
   show(result, loaded, out)
   return result.exit_code
end

local function play(loaded, out, address)
   local values = loaded.values
   local services, remove_snapshots, code = make_services(values, out)
   if code then return command.refuse(run, remove_snapshots, code) end
   local control, remove_control = control_address(values)
   if type(remove_control) == "string" then return command.refuse(run, remove_control, 1) end
   code = play_on(loaded, out, address, services, control)
   remove_control()
   remove_snapshots()
   return code
end

-- Why this run cannot be one that publishes nothing; nil when it can, or does publish.
local function needs_events(values)
   if values.events ~= "off" then return nil end
   if values.service then return "--service needs the events that --events off turns off" end
   return values.subscribers > 0 and "--subscribers needs the events that --events off turns off" or nil
end

function run.run(args)
   local loaded, code = command.scenario(run, args)
   if not loaded then return code end
   loaded.words = args
   loaded.plan.scrape = scrape.choose(loaded.plan.scrape, loaded.values.scrape)
   local refusal = needs_events(loaded.values)
   if refusal then return command.refuse(run, refusal) end

   local out = loaded.values.out or place.default_folder(loaded.plan.name)
   local made, message = place.make(out)
   if not made then return command.refuse(run, message, 1) end
   if loaded.values.events == "off" then return play(loaded, out, nil) end
   if loaded.values.events then return play(loaded, out, loaded.values.events) end
   local address, clean_up = place.private_address "events.ipc"
   if not address then return command.refuse(run, clean_up, 1) end
   code = play(loaded, out, address)
   clean_up()
   return code
end

return run
