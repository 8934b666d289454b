--- Phases: their fields, what they inherit from the scenario, and their defaults.
local checks = require "perigee.checks"
local dataset = require "perigee.dataset"
local define = require "perigee.load.define"
local guards = require "perigee.guards"
local limits = require "perigee.limits"
local load = require "perigee.load"
local opt = require "perigee.opt"
local order = require "perigee.order"
local schema = require "perigee.schema"
local spec = require "perigee.spec"
local where = require "perigee.where"

local phase = {}

local MAX_NAME = 63 -- bytes, the engine's limit
local DRAIN = 300 -- seconds
local DEADLINE = 600 -- seconds per request
local TICK = 1 -- seconds
local ERROR_RATE_REQUESTS = 100 -- that ended, before max_error_rate is looked at

--- Functions that hear of requests and of the phase while it runs.
---@class perigee.Handlers
---@field issue? fun(r: perigee.Result, p: perigee.PhaseObject)  the request was handed to the client
---@field first? fun(r: perigee.Result, p: perigee.PhaseObject)  the first content-bearing chunk of a stream came
---@field chunk? fun(r: perigee.Result, p: perigee.PhaseObject, text: string)  each content-bearing chunk came
---@field error? fun(r: perigee.Result, p: perigee.PhaseObject)  the request failed, before `complete`
---@field complete? fun(r: perigee.Result, p: perigee.PhaseObject)  the request ended, well or not: look at `r.ok`
---@field tick? fun(p: perigee.PhaseObject)  about every `tick` seconds from the phase's start to its end, the drain included
---@field phase_start? fun(p: perigee.PhaseObject)  the phase begins
---@field phase_end? fun(p: perigee.PhaseObject, report: table)  it has ended; the report is the engine's, in nanoseconds:
---   the keys are those of a phase of `summary.json` without their units
local ON = {
   issue = schema.func, first = schema.func, chunk = schema.func, complete = schema.func, error = schema.func,
   phase_start = schema.func, phase_end = schema.func, tick = schema.func,
}

local function name(v)
   if type(v) == "string" and v ~= "" and #v <= MAX_NAME and not v:find("%c") then return true, v end
   return false, ("a name of 1 to %d bytes without control characters"):format(MAX_NAME)
end

-- "5%", 0.05 or { "5%", requests = 50 }, as { share =, requests = }.
local function error_rate(v)
   if type(v) ~= "table" then v = { v } end
   local words = 'a share such as "5%" or 0.05, or { "5%", requests = 50 },'
   local share, requests = v[1] == nil and v.share or v[1], v.requests
   for key in pairs(v) do
      if key ~= 1 and key ~= "share" and key ~= "requests" then return false, words end
   end
   local good, read = schema.share(share)
   if not good or requests ~= nil and not schema.count(requests) then return false, words end
   return true, { share = read, requests = requests or ERROR_RATE_REQUESTS }
end

--- What may stand in the scenario and in a phase alike: a phase takes what it does not set.
---@class perigee.Inherited
---@field target? perigee.Target  (required) where requests go; in the phase or in the scenario
---@field dataset? perigee.Dataset|(string|perigee.Sample)[]  the samples, or a list of them in place; not needed when
---   `request` or the load brings the content, or with `target.http`
---@field order? perigee.Order|integer[]|fun(i: integer, n: integer, rng: perigee.Rng): integer?  (`order.sequential()`)
---   which sample comes next; a list of indices and a function are orders too, see [orders](#orders)
---@field load? perigee.Load  (`load.concurrency(1)`) when requests are sent, see [loads](#loads)
---@field request? fun(sample: perigee.Sample, i: integer): string|perigee.Asked|nil  see [the request hook](#the-request-hook)
---@field session? fun(u: perigee.User)  of `load.users`, see [users and conversations](#users-and-conversations)
---@field on? perigee.Handlers  see [handlers](#handlers)
---@field checks? (string|perigee.Check|fun(phase: table): boolean?, string?)[]  see [checks](#checks)
---@field requests? integer  stop after so many were issued
---@field duration? perigee.Duration  stop issuing after this time
---@field min_requests? integer  `requests` and `duration` do not stop the phase before so many were issued
---@field min_duration? perigee.Duration  nor before this time is over
---@field max_duration? perigee.Duration  stops the phase whatever the minimums say
---@field drain? boolean|perigee.Duration  (true: 300 s) wait for what is in flight before the next phase, for so long at most;
---   what is left then is *abandoned* and the run fails. `false`: the next phase begins at once, stragglers are counted for
---   their own phase
---@field deadline? perigee.Duration  (the target's `timeout`, else 600 s) of one request, from its issue; past it the request
---   fails as `timeout`
---@field stall? perigee.Duration  no completion for so long while requests are in flight: they are abandoned, the run fails
---@field max_error_rate? string|number|table  `"5%"`, `0.05` or `{ "5%", requests = 50 }`: the phase ends and the run fails once
---   more of the requests that ended have failed, of at least so many (100). Cancelled ones do not count
---@field stop_when? fun(p: perigee.PhaseObject): boolean?  returns whether the phase ends. Asked once in each turn of the loop in
---   which requests ended, and at each tick; not before `min_requests` and `min_duration` are met
---@field slo? perigee.Slo  what a good request keeps:
---   `{ ttft = "500ms", tpot = "50ms", latency = "5s" }`, any of them; the report has the goodput
---@field mlperf? boolean|perigee.Mlperf  `true` or a table of rules: the report tells the phase as MLPerf's tools do, and whether it is
---   valid; see [MLPerf](#mlperf)
---@field tick? perigee.Duration  (1 s) time between two calls of `on.tick`, and between two looks of `stop_when` while nothing ends
---@field client_limits? perigee.ClientLimits  when perigee itself was the limit of what was measured, see
---   [client limits](#client-limits)
---@field guards? perigee.Guards  from where on the report warns of what the phase measured, see [warnings](warnings.md)
---@field record_text? boolean  (false) events and `requests.jsonl` carry prompts and answers
---@field record_body? boolean  (false) events carry whole request bodies, so that `load.replay` can send them again
---@field chunk_events? boolean  (false) each content-bearing chunk is an event `sample.recv_non_first`

--- A part of a run, `{ "steady", load = ..., requests = 100 }`; the first positional value is the name.
---@class perigee.Phase: perigee.Inherited
---@field [1]? string  the name
---@field name? string  (required) 1 to 63 bytes; must be the only one of the scenario
---@field kind? "performance"|"warmup"|"accuracy"  ("performance") all are reported alike, but only performance phases are framed
---   by the tracking events and must have a success
---@field side? string  which side of a comparison the phase belongs to: `perigee.interleave` sets it

-- Fields that a phase takes from the scenario when it does not set them.
phase.INHERITED = {
   target = spec.of "target", dataset = dataset.checker, order = order.checker, load = spec.of "load",
   request = schema.func, session = schema.func, on = schema.table, checks = schema.table,
   requests = schema.count, duration = schema.duration, min_requests = schema.count, min_duration = schema.duration,
   max_duration = schema.duration, drain = schema.either(schema.boolean, schema.duration),
   max_error_rate = error_rate, stop_when = schema.func,
   deadline = schema.duration, stall = schema.duration, tick = schema.duration, client_limits = schema.table,
   guards = schema.table,
   -- What the events carry beside the stamps: prompts and answers, whole bodies (for load.replay), each chunk.
   record_text = schema.boolean, record_body = schema.boolean, chunk_events = schema.boolean,
   slo = schema.table,
   mlperf = schema.either(schema.boolean, schema.table),
}

local PERCENTILES = { 50, 75, 80, 90, 95, 97, 99, 99.9 }
local function percentile(v)
   for _, p in ipairs(PERCENTILES) do
      if v == p then return true, v end
   end
   return false, "one of " .. table.concat(PERCENTILES, ", ")
end

--- LoadGen's rules with its defaults, and targets for the percentile.
---@class perigee.Mlperf
---@field min_duration? perigee.Duration  (600 s) from the first to the last scheduled time of an open load, to the last issue of a
---   closed one
---@field min_queries? integer  (100) that were issued
---@field percentile? number  (99) of the targets: 50, 75, 80, 90, 95, 97, 99 or 99.9
---@field latency? perigee.Duration  target, counted from the issue as LoadGen does
---@field ttft? perigee.Duration  likewise
---@field tpot? perigee.Duration  likewise
local MLPERF = {
   min_duration = schema.default(schema.duration, 600), min_queries = schema.default(schema.count, 100),
   percentile = schema.default(percentile, 99), latency = schema.duration, ttft = schema.duration, tpot = schema.duration,
}

--- What a good request keeps; at least one of them.
---@class perigee.Slo
---@field latency? perigee.Duration  from the intended time to the end
---@field ttft? perigee.Duration  from the intended time to the first content-bearing delta
---@field tpot? perigee.Duration  time per output token after the first
local SLO = { latency = schema.duration, ttft = schema.duration, tpot = schema.duration }

local FIELDS = {
   name = schema.required(name),
   kind = schema.default(schema.one_of { "performance", "warmup", "accuracy" }, "performance"),
   side = name,
}
for field, check in pairs(phase.INHERITED) do FIELDS[field] = check end

local function check_slo(at, written, place)
   local slo = schema.check(at, SLO, written, place)
   if next(slo) == nil then where.fail(at .. ": at least one of latency, tpot, ttft expected", place) end
   return slo
end

--- What a scenario and a phase check alike: the tables inside.
---@param at string
function phase.check_inner(at, fields, place)
   if fields.slo and not opt.is(fields.slo) then fields.slo = check_slo(at .. ".slo", fields.slo, place) end
   if fields.mlperf and not opt.is(fields.mlperf) then
      fields.mlperf = schema.check(at .. ".mlperf", MLPERF, fields.mlperf == true and {} or fields.mlperf, place)
   end
   if type(fields.on) == "table" then schema.check(at .. ".on", ON, fields.on, place) end
   if fields.client_limits then
      fields.client_limits = schema.check(at .. ".client_limits", limits.FIELDS, fields.client_limits, place)
   end
   if fields.guards then fields.guards = schema.check(at .. ".guards", guards.FIELDS, fields.guards, place) end
   checks.compile(fields.checks, at .. ".checks", place)
end

--- Check what the user wrote for phase `number`; a normalised copy.
function phase.check(number, written, place)
   local at = ("scenario.phases[%d]"):format(number)
   if type(written) ~= "table" or getmetatable(written) then
      where.fail(("%s: a table expected, got %s"):format(at, schema.show(written)), place)
   end
   local fields = {}
   for k, v in pairs(written) do fields[k] = v end
   if fields[1] ~= nil then
      if fields.name ~= nil then where.fail(at .. ": the name is given twice", place) end
      fields.name, fields[1] = fields[1], nil
   end
   if type(fields.name) == "string" then at = ("%s '%s'"):format(at, fields.name) end
   fields = schema.check(at, FIELDS, fields, place)
   phase.check_inner(at, fields, place)
   return fields
end

local function inherit(scenario, own)
   local fields = { name = own.name, kind = own.kind, side = own.side }
   for field in pairs(phase.INHERITED) do
      fields[field] = own[field]
      if fields[field] == nil then fields[field] = scenario[field] end
   end
   -- A performance figure's conditions say nothing about a warmup.
   if own.checks == nil and fields.kind ~= "performance" then fields.checks = nil end
   fields.load = fields.load or load.concurrency(1)
   -- What its load has no use for it does not take.
   if fields.load.kind ~= "users" then fields.session = own.session end
   if fields.load.kind == "conversations" then fields.dataset, fields.request = own.dataset, own.request end
   fields.order = fields.order or order.public.sequential()
   return fields
end

-- Loads that bring what is sent.
local BRINGS_CONTENT = { conversations = true, replay = true, strategy = true, trace = true, users = true }

local function needs_samples(fields)
   return fields.target.kind ~= "http" and not fields.request and not BRINGS_CONTENT[define.sender(fields.load).kind]
end

local function require_parts(at, fields, place)
   if not fields.target then where.fail(at .. ": there is no target, neither here nor in the scenario", place) end
   if needs_samples(fields) and not fields.dataset then
      where.fail(("%s: target.%s needs a dataset or a request function"):format(at, fields.target.kind), place)
   end
   if fields.load.kind == "users" and not fields.session then
      where.fail(at .. ": load.users needs a session, the function of each user", place)
   end
   local least, most = fields.min_duration, fields.max_duration
   if least and most and not opt.is(least) and not opt.is(most) and least > most then
      where.fail(at .. ": min_duration is above max_duration", place)
   end
end

--- A phase with all that it inherits, checked as a whole.
function phase.effective(scenario, own, number, place)
   local fields = inherit(scenario, own)
   local at = ("scenario.phases[%d] '%s'"):format(number, tostring(fields.name))
   require_parts(at, fields, place)
   if own.session and fields.load.kind ~= "users" then where.fail(at .. ": session: only load.users calls it", place) end
   if fields.load.kind == "conversations" and (own.dataset or own.request) then
      where.fail(("%s: %s: load.conversations brings all that is sent"):format(at, own.dataset and "dataset" or "request"), place)
   end
   return fields
end

-- Loads that end by themselves; the others go once through the dataset.
local ENDS_ITSELF = {
   burst = true, conversations = true, gaps = true, replay = true, saturate = true, search = true, steps = true,
   strategy = true, trace = true,
}

local function ends_itself(fields)
   return ENDS_ITSELF[fields.load.kind] or fields.load.kind == "users" and fields.load.args.iterations
end

-- Loads for which once through the dataset says nothing.
local GOES_ON = { aimd = true, users = true }

local function default_requests(fields)
   if GOES_ON[fields.load.kind] then return nil end
   if fields.order.kind == "list" then return #fields.order.args.indices end
   return fields.dataset and #fields.dataset or nil
end

--- Fill in what is left open; no placeholder is left. Changes and returns `fields`.
function phase.complete(fields, number, place)
   local at = ("scenario.phases[%d] '%s'"):format(number, fields.name)
   fields.number = number
   fields.dataset = fields.dataset and dataset.loaded(fields.dataset)
   fields.checks = checks.compile(fields.checks, at .. ".checks", place)
   fields.on = fields.on or {}
   fields.client_limits = fields.client_limits or limits.DEFAULTS
   fields.guards = fields.guards or guards.DEFAULTS
   fields.tick = fields.tick or TICK
   fields.deadline = fields.deadline or fields.target.args.timeout or DEADLINE
   if fields.drain == nil or fields.drain == true then fields.drain = DRAIN end
   if not (fields.requests or fields.duration or fields.max_duration or fields.stop_when or ends_itself(fields)) then
      fields.requests = default_requests(fields)
      if not fields.requests then
         where.fail(at .. ": nothing ends this phase: set requests, duration, max_duration or stop_when"
            .. (fields.load.kind == "users" and ", or iterations of load.users" or ""), place)
      end
   end
   return fields
end

return phase
