--- Plays a plan: endpoints, hooks, the engine's session, checks, files, exit code.
local abort = require "perigee.abort"
local agenda = require "perigee.agenda"
local assemble = require "perigee.assemble"
local checks = require "perigee.checks"
local config = require "perigee.report.config"
local control = require "perigee.control"
local endpoint = require "perigee.endpoint"
local engine = require "perigee.engine"
local export = require "perigee.export"
local exposition = require "perigee.exposition"
local files = require "perigee.report.files"
local junit = require "perigee.report.junit"
local metric = require "perigee.metric"
local ports = require "perigee.ports"
local progress = require "perigee.progress"
local scraping = require "perigee.scrape"
local sides = require "perigee.report.sides"
local summary = require "perigee.report.summary"
local report_table = require "perigee.report.table"
local tick = require "perigee.tick"
local transport = require "perigee.transport"
local verdict = require "perigee.verdict"
local where = require "perigee.where"
local workers = require "perigee.workers"

local json = engine.json
local runner = {}

local CLOSE_TIMEOUT = 60 -- seconds for the events to leave

-- { message, code } is not the script's.
local function describe(e)
   return type(e) == "table" and e or where.with_traceback(e)
end

-- Call fn; on an error its message with the user's part of the traceback.
local function guarded(fn, ...)
   local args, n = { ... }, select("#", ...)
   return xpcall(function() return fn(unpack(args, 1, n)) end, describe)
end

--- The targets of a plan, each built once: phases that share one share its connections.
---@param plan table
---@param endpoints { address: fun(self, url: string): string }
---@return table<table, table> by_spec
function runner.build_targets(plan, endpoints)
   local by_spec = {}
   local context = {
      mock = function(url) return endpoints:address(url) end, simulated = endpoints.simulated, forced = plan.forced,
   }
   for _, p in ipairs(plan.phases) do
      by_spec[p.target] = by_spec[p.target] or p.target:build(context)
   end
   return by_spec
end

-- What a handler counts belongs to the phase of its request, also when the next phase has begun.
local function counting_for(name, fn)
   return function(a, b, c)
      local previous = metric.enter(name)
      fn(a, b, c)
      metric.enter(previous)
   end
end

-- The user's handlers, with those who watch (progress, control, checks) told of the phase's begin and end.
local function with_watchers(planned, watchers, on_result)
   local on = {}
   for name, fn in pairs(planned.on) do on[name] = planned.drain and fn or counting_for(planned.name, fn) end
   local user_start, user_end = on.phase_start, on.phase_end
   on.phase_start = function(p)
      metric.enter(planned.name)
      for _, watcher in ipairs(watchers) do watcher:start(p, planned) end
      if user_start then user_start(p) end
   end
   on.phase_end = function(p, report)
      for _, watcher in ipairs(watchers) do watcher:finish(report) end
      if user_end then user_end(p, report) end
   end
   local user_complete = on.complete
   if on_result then
      on.complete = function(r, p)
         on_result(r:keep())
         if user_complete then user_complete(r, p) end
      end
   end
   return on
end

local function assemble_phases(plan, targets)
   local list = {}
   for i, planned in ipairs(plan.phases) do list[i] = assemble.phase(planned, plan.seed, targets[planned.target]) end
   return list, agenda.checksum(plan)
end

local function nothing() end

-- A stop rule of the script is asked at each tick, whether a handler hears of it or not.
local function ticker(planned)
   return planned.on.tick or planned.stop_when and nothing
end

local function add_phases(session, plan, assembled, watchers, watch, on_result)
   local phases = {}
   for i, planned in ipairs(plan.phases) do
      local arguments = assembled[i]
      arguments.on = with_watchers(planned, watchers, on_result)
      arguments.tick, arguments.on.tick = tick.combine(planned.tick, ticker(planned), watch:looker(planned))
      if on_result then
         arguments.keep_text = true
         arguments.keep_body = arguments.keep_body or arguments.client.decoder == "raw"
      end
      local phase, message = session:phase(arguments)
      if not phase then error(("phase '%s': %s"):format(planned.name, message), 0) end
      phases[i] = phase
   end
   return phases
end

-- What writes the report when a call into the script does not return and cannot be interrupted.
local function rescue(options)
   if not (options.log and options.out) or options.simulate then return nil end
   return { endpoint.launcher(), "report", options.log, "--out", options.out }
end

local function open_session(plan, options, view, facts, threads)
   local session, message, code = engine.session {
      seed = plan.seed, name = plan.name,
      events = options.events, subscribers = options.subscribers, subscribers_timeout = options.subscribers_timeout,
      requests_file = options.out and options.out .. "/requests.jsonl",
      log_file = options.log, description = json.encode(facts),
      tick = view:interval(), on_tick = view:interval() and function() view:tick() end or nil,
      workers = threads, simulate = options.simulate, on_event = options.on_event,
      handler_timeout = plan.handler_timeout, rescue = rescue(options),
   }
   if not session then error({ message = message, code = code }, 0) end
   return session
end

local function evaluate(plan, run)
   local results, planned = {}, {}
   for _, p in ipairs(plan.phases) do planned[p.name] = p end
   for _, phase in ipairs(run.report.phases) do
      local name = phase.name
      local compiled = planned[name] and planned[name].checks or {}
      results[name] = checks.evaluate(compiled, phase, summary.phase(phase, nil, run.metrics[name], run.conclusions[name]), {
         aborted = run.aborted, timeout = plan.handler_timeout,
      })
   end
   return results
end

-- What the strategies found, by the names of their phases.
local function conclusions(phases)
   local found = {}
   for _, p in ipairs(phases) do found[p.name] = p.conclusion and json.decode(p.conclusion) end
   return found
end

-- Of the whole run: strings are about all performance phases together, a function gets the phases by number and name.
local function evaluate_overall(session, plan, run)
   if not (plan.overall and plan.overall[1]) then return {} end
   local names, phases = {}, {}
   for i, report in ipairs(run.report.phases) do
      local phase = summary.phase(report, run.checks[report.name], run.metrics[report.name], run.conclusions[report.name])
      phases[i], phases[report.name] = phase, phase
      if report.kind == "performance" then names[#names + 1] = report.name end
   end
   local all = session:overall() or { completed = 0, failed = 0, abandoned = 0, duration_ns = 0 }
   all.name = metric.OVERALL
   metric.gather(names)
   return checks.evaluate(plan.overall, all, { scenario = plan.name, phases = phases }, { timeout = plan.handler_timeout })
end

local function metric_values(report)
   local values = {}
   for _, phase in ipairs(report.phases) do values[phase.name] = metric.values(phase.name) end
   return values
end

-- Write the files; what could not be written turns a good exit code into a failure.
local function publish(result, options)
   local problems = options.out
      and files.write_run(options.out, result.summary, result.text, result.report, result.histograms, result.scrapes) or {}
   if options.junit then
      local ok, message = files.write(options.junit, junit.render(result.summary))
      if not ok then problems[#problems + 1] = message end
   end
   if options.out and options.export then
      local list, written = export.write(options.export, options.out, result.summary, options.out .. "/requests.jsonl", options.log)
      result.exported = written
      for _, problem in ipairs(list) do problems[#problems + 1] = problem end
   end
   for _, problem in ipairs(problems) do
      result.problems[#result.problems + 1] = problem
      if result.exit_code == verdict.EXIT.ok or result.exit_code == verdict.EXIT.check then
         result.exit_code = verdict.EXIT.failed
      end
   end
end

-- The log's last record says how the run was judged: with it the log alone gives the same report. So that it does,
-- the run's own is made of what the record can hold.
local function close_log(session, run)
   local record = json.encode {
      judged = run.judged, checks = run.checks, overall = run.overall, metrics = run.metrics, conclusions = run.conclusions,
   }
   for name, value in pairs(json.decode(record)) do run[name] = value end
   local ok, message = session:close_log(record)
   if ok then return end
   local failures = run.judged.failures
   failures[#failures + 1] = message
   if run.judged.exit_code == verdict.EXIT.ok then
      run.judged.verdict, run.judged.exit_code = "failed", verdict.EXIT.failed
   end
end

-- What the session measured, as summary, text and exit code.
local function conclude(session, plan, options, run)
   run.plan, run.metrics, run.strict = plan, metric_values(run.report), options.strict
   run.checks = evaluate(plan, run)
   run.overall = evaluate_overall(session, plan, run)
   run.judged = verdict.judge(run)
   close_log(session, run)
   run.together = {}
   for i, group in ipairs(sides.groups(run.facts.config)) do run.together[i] = session:together(group) end
   local built = summary.build(run)
   local result = {
      outcome = run.outcome.outcome, report = run.report, checks = run.checks, overall = run.overall, histograms = run.histograms,
      scrapes = run.scrapes,
      summary = built, text = report_table.render(built), exit_code = run.judged.exit_code,
      error = run.judged.script_error and where.shorten(run.judged.script_error), problems = {},
   }
   publish(result, options)
   return result
end

-- Open the control socket, when one is asked for.
local function open_control(session, plan, address)
   local commands = control.new(plan.name)
   commands.session = session
   if not address then return commands, nil end
   local socket, message, code = engine.control {
      address = address, on_request = function(text) return commands:answer(text) end,
   }
   if not socket then error({ message = message, code = code }, 0) end
   return commands, socket
end

-- Start the services and wait until they have subscribed.
local function start_services(session, options)
   local services = options.services
   if not services then return end
   local ok, message = services:start(session:address())
   if ok then ok, message = services:await(session, options.subscribers or 0, options.subscribers_timeout or 30) end
   if not ok then error({ message = message, code = "EIO" }, 0) end
end

-- Let the events leave, then see the services off: one deadline for both. A signal ends the waiting.
local function leave(session, options, run)
   local services, outcome = options.services, run.outcome
   local deadline = engine.clock() + (options.close_timeout or CLOSE_TIMEOUT)
   local function left() return math.max(0, deadline - engine.clock()) end
   local signal = session:linger(left())
   engine.hold_signals(true) -- soon nobody handles them, and the report is not written
   run.undelivered = session:close_events(signal and 0 or left())
   if signal and outcome.outcome ~= "script_error" then outcome.outcome, outcome.signal = "interrupted", outcome.signal or signal end
   if not services then return end
   if run.report.session_id == "" then return services:stop() end -- it never began, and they wait for its end
   services:finish(math.max(1, left()))
   for _, problem in ipairs(services.problems) do table.insert(outcome.problems, problem) end
end

-- Run a session that is open: the outcome, the report and what was lost.
local function play(session, plan, options, assembled, view, facts, scrapes)
   local commands, socket = open_control(session, plan, options.control)
   local page = options.metrics and exposition.of_session(session, plan.name, options.metrics)
   local watch = abort.new(#plan.phases)
   view.watch = watch
   view.ports = ports.watch(facts.config, facts.local_ports, function() return session:connections() end)
   local phases = add_phases(session, plan, assembled, { watch, view, scrapes, socket and commands or nil }, watch, options.on_result)
   if options.on_ready then options.on_ready(session:address(), socket and socket:address(), page and page:url()) end
   start_services(session, options)
   scrapes:await(session)
   local run = { outcome = session:run(), aborted = watch.details }
   scrapes:close(run.outcome.outcome == "interrupted")
   run.scrapes = scrapes.lines
   view:close()
   if socket then socket:close() end
   if page then page:close() end
   run.report, run.conclusions = session:report(), conclusions(phases)
   run.histograms = options.out and session:histograms()
   leave(session, options, run)
   scrapes:tell()
   return run
end

-- What can be told before the first request.
local function foresee(plan, options, facts)
   if not options.on_warning then return end
   local texts = ports.foresee(facts.config, facts.local_ports)
   for _, p in ipairs(plan.phases) do
      if texts[p.name] then options.on_warning(("phase '%s': %s"):format(p.name, texts[p.name])) end
   end
end

local function run_session(plan, options, endpoints)
   -- Simulated time has one thread.
   local chosen = options.simulate and { count = 0, why = "simulated" } or workers.choose(plan, options.workers)
   if not endpoints.simulated then transport.check_limits(plan, chosen.count, engine.limits()) end
   local targets = runner.build_targets(plan, endpoints)
   -- Before the outputs are emptied: a load may read what an earlier run left there.
   local could, assembled, checksum = guarded(assemble_phases, plan, targets)
   if not could then error(assembled, 0) end
   local view = progress.new { mode = options.progress, plan = plan }
   metric.reset()
   local facts = summary.facts(plan, config.describe(plan, options.description, chosen), checksum)
   foresee(plan, options, facts)
   local session = open_session(plan, options, view, facts, chosen.count)
   local scrapes = scraping.new()
   local ok, result = guarded(function()
      if not endpoints.simulated then scrapes:begin(plan, targets) end
      local run = play(session, plan, options, assembled, view, facts, scrapes)
      run.facts = facts
      return conclude(session, plan, options, run)
   end)
   view:close()
   scrapes:stop()
   if not ok and options.services then options.services:stop() end
   session:close(0)
   if not ok then error(result, 0) end
   return result
end

--- Put a plan together as for a run, without an endpoint, secrets or traffic. Raises what a run would refuse.
---@param plan table
function runner.rehearse(plan, endpoints)
   assemble_phases(plan, runner.build_targets(plan, endpoints))
end

--- What an error before the first request amounts to: a text, or { message, code }.
function runner.failure(e)
   if type(e) ~= "table" then return { exit_code = verdict.EXIT.usage, error = tostring(e), problems = {} } end
   local is_usage = e.code == "EINVAL" or e.code == "ESCRIPT"
   return { exit_code = is_usage and verdict.EXIT.usage or verdict.EXIT.failed, error = e.message, problems = {} }
end

-- The report is written already, so that teardown can read it: its error is added.
local function fail_afterwards(result, options, message)
   result.problems[#result.problems + 1] = message
   result.exit_code = verdict.EXIT.usage
   local written = result.summary
   if not written then return end
   written.verdict = "failed"
   table.insert(written.failures, (message:match("^[^\n]*")))
   result.text = report_table.render(written)
   publish(result, options)
end

-- setup and teardown get a table that says what is run, and may leave things in it.
local function hook(plan, name, handle, ...)
   if not plan[name] then return true end
   local ok, message = engine.guard("scenario." .. name, plan.setup_timeout, describe, plan[name], handle, ...)
   return ok, ok or ("scenario.%s: %s"):format(name, message)
end

--- Play a plan.
--- options: workers (threads for HTTP, in place of the plan's),
--- out (folder, exists), log (path of the event log), junit (path), export (of perigee.export),
--- events, subscribers, subscribers_timeout, progress, strict (warnings fail the run),
--- description (for config.json), on_ready(address, control_address, metrics_url), close_timeout,
--- services (perigee.service, not begun; close_timeout is theirs too), control (an address), metrics (of perigee.exposition);
--- for tests simulate ({ answer =, slots = }: no endpoint, simulated time), on_event(e), on_result(r), a kept result.
---@param plan table
---@param options table
---@return { exit_code: integer, summary: table?, text: string?, error: string?, problems: string[] } result  also outcome, report, checks
function runner.run(plan, options)
   if options.junit then os.remove(options.junit) end -- an earlier run's says nothing of this one
   local endpoints = options.simulate and endpoint.simulated() or endpoint.new()
   local handle = { scenario = plan.name, options = plan.options, seed = plan.seed, out = options.out }
   local ok, message = hook(plan, "setup", handle)
   if not ok then return runner.failure(message) end

   local result
   ok, result = xpcall(run_session, function(e)
      return type(e) == "table" and e or tostring(e)
   end, plan, options, endpoints)
   if not ok then result = runner.failure(result) end
   engine.hold_signals(false)
   endpoints:stop()

   ok, message = hook(plan, "teardown", handle, result.summary)
   if not ok then fail_afterwards(result, options, message) end
   return result
end

return runner
