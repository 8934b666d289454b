--- Phases: their fields, what they inherit from the scenario, and their defaults.
local checks = require "perigee.checks"
local dataset = require "perigee.dataset"
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

local ON = {
   issue = schema.func, first = schema.func, chunk = schema.func, complete = schema.func, error = schema.func,
   phase_start = schema.func, phase_end = schema.func, tick = schema.func,
}

local function name(v)
   if type(v) == "string" and v ~= "" and #v <= MAX_NAME and not v:find("%c") then return true, v end
   return false, ("a name of 1 to %d characters"):format(MAX_NAME)
end

--- Fields that a phase takes from the scenario when it does not set them.
phase.INHERITED = {
   target = spec.of "target", dataset = dataset.checker, order = order.checker, load = spec.of "load",
   request = schema.func, on = schema.table, checks = schema.table,
   requests = schema.count, duration = schema.duration, min_requests = schema.count, min_duration = schema.duration,
   max_duration = schema.duration, drain = schema.either(schema.boolean, schema.duration),
   deadline = schema.duration, stall = schema.duration, tick = schema.duration,
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

-- LoadGen's rules with its defaults, and targets for the percentile.
local MLPERF = {
   min_duration = schema.default(schema.duration, 600), min_queries = schema.default(schema.count, 100),
   percentile = schema.default(percentile, 99), latency = schema.duration, ttft = schema.duration, tpot = schema.duration,
}

-- What a good request keeps; at least one of them.
local SLO = { latency = schema.duration, ttft = schema.duration, tpot = schema.duration }

local FIELDS = {
   name = schema.required(name),
   kind = schema.default(schema.one_of { "performance", "warmup", "accuracy" }, "performance"),
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
   local fields = { name = own.name, kind = own.kind }
   for field in pairs(phase.INHERITED) do
      fields[field] = own[field]
      if fields[field] == nil then fields[field] = scenario[field] end
   end
   -- A performance figure's conditions say nothing about a warmup.
   if own.checks == nil and fields.kind ~= "performance" then fields.checks = nil end
   fields.load = fields.load or load.concurrency(1)
   fields.order = fields.order or order.public.sequential()
   return fields
end

-- Loads that bring what is sent.
local BRINGS_CONTENT = { replay = true, trace = true }

local function needs_samples(fields)
   return fields.target.kind ~= "http" and not fields.request and not BRINGS_CONTENT[fields.load.kind]
end

local function require_parts(at, fields, place)
   if not fields.target then where.fail(at .. ": there is no target, neither here nor in the scenario", place) end
   if needs_samples(fields) and not fields.dataset then
      where.fail(("%s: target.%s needs a dataset or a request function"):format(at, fields.target.kind), place)
   end
   local least, most = fields.min_duration, fields.max_duration
   if least and most and not opt.is(least) and not opt.is(most) and least > most then
      where.fail(at .. ": min_duration is above max_duration", place)
   end
end

--- A phase with all that it inherits, checked as a whole.
function phase.effective(scenario, own, number, place)
   local fields = inherit(scenario, own)
   require_parts(("scenario.phases[%d] '%s'"):format(number, tostring(fields.name)), fields, place)
   return fields
end

-- Loads that end by themselves; the others go once through the dataset.
local ENDS_ITSELF = { burst = true, gaps = true, replay = true, steps = true, strategy = true, trace = true }

local function default_requests(fields)
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
   fields.tick = fields.tick or TICK
   fields.deadline = fields.deadline or fields.target.args.timeout or DEADLINE
   if fields.drain == nil or fields.drain == true then fields.drain = DRAIN end
   if not (fields.requests or fields.duration or fields.max_duration or ENDS_ITSELF[fields.load.kind]) then
      fields.requests = default_requests(fields)
      if not fields.requests then
         where.fail(at .. ": nothing ends this phase: set requests, duration or max_duration", place)
      end
   end
   return fields
end

return phase
