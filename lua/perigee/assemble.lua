--- From a phase of the plan to the table that the engine's session takes.
local agenda = require "perigee.agenda"
local define = require "perigee.load.define"

local assemble = {}

-- build(i, index): what the engine sends next. Skips are nil, the end is false.
local function builder(samples, following, make, record_text)
   local drawn = 0
   return function(_, index)
      if index == nil then
         drawn = drawn + 1
         index = following(drawn)
         if index == nil then return false end
      end
      local sample = samples[index]
      local body, path, headers, tag, method, prompt, least, most = make(sample, index)
      if body == nil then return nil end
      return body, index, path, headers, tag, method, record_text and (prompt or sample.prompt or body) or nil, least, most
   end
end

-- The same for a load that brings its samples, one for each request: none is kept.
local function recorded(sample_of, make, record_text)
   return function(i)
      local sample = sample_of(i)
      if not sample then return false end
      local body, path, headers, tag, method, prompt, least, most = make(sample, i)
      if body == nil then return nil end
      return body, i, path, headers, tag, method, record_text and (prompt or sample.prompt) or nil, least, most
   end
end

-- The samples of a load in their order: each arrival has its own, whatever becomes of those before it. What scripts
-- ask for of the load takes the next one and moves the rest.
local function counted(build)
   local asked, latest = 0, 0
   return function(_, _, arrival)
      if arrival then latest = arrival else asked = asked + 1 end
      return build(latest + asked)
   end
end

-- Does the load bring what is sent?
local function brings_content(p, built)
   return built.content ~= nil or built.sample ~= nil and not p.dataset
end

-- The build function, and whether it keeps what it returns: a body, an index and what the answer's tokens shall be.
local function content(p, built, samples, seed, target)
   if built.content then return counted(built.content) end
   if brings_content(p, built) then
      return counted(recorded(built.sample, target.build(p.request, true), p.record_text))
   end
   local make, kept = target.build(p.request)
   return builder(samples, agenda.order(p, seed), make, p.record_text), kept and not p.record_text
end

-- Texts are kept only where a script can read them.
local function wants_text(p)
   return p.load.kind == "strategy" or p.on.complete ~= nil or p.on.error ~= nil
end

-- A load that reads texts needs whole bodies only where nothing else is decoded.
local function wants_body(p, target)
   return wants_text(p) or target.client.decoder == "raw"
end

--- The arguments of session:phase.
---@param p table       a phase of the plan
---@param seed number
---@param target table  the phase's target, built: { client =, build =, ask = }
---@return table
function assemble.phase(p, seed, target)
   local samples = p.dataset or agenda.NO_SAMPLES
   local built, limits = agenda.load(p, seed), define.sender(p.load).args
   local results = built.results or p.load.kind == "strategy"
   local keep = built.texts or wants_text(p)
   local build, kept = content(p, built, samples, seed, target)
   local slo = p.slo or {}
   return {
      name = p.name, kind = p.kind, client = target.client,
      samples = #samples, sample = function(index) return samples[index] end,
      schedule = built.schedule, strategy = built.strategy, knobs = built.knobs,
      build = build, kept = kept, ask = target.ask,
      max_inflight = limits.max_inflight, overload = limits.overload, paired = brings_content(p, built),
      requests = p.requests, duration = p.duration,
      min_requests = p.min_requests, min_duration = p.min_duration, max_duration = p.max_duration,
      drain = p.drain, deadline = p.deadline, stall = p.stall, stop_when = p.stop_when,
      max_error_rate = p.max_error_rate and p.max_error_rate.share, error_rate_requests = p.max_error_rate and p.max_error_rate.requests,
      tick = p.tick,
      keep_text = keep, keep_body = keep and wants_body(p, target), results = results,
      record_text = p.record_text, record_body = p.record_body, chunk_events = p.chunk_events,
      slo_latency = slo.latency, slo_ttft = slo.ttft, slo_tpot = slo.tpot,
      on = p.on,
   }
end

return assemble
