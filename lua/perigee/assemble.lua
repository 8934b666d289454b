--- From a phase of the plan to the table that the engine's session takes.
local engine = require "perigee.engine"
local order = require "perigee.order"
local stream = require "perigee.stream"

local assemble = {}

-- A phase without a dataset has one sample that is empty: the hook or the target brings the content.
local NO_SAMPLES = { {} }

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
      local body, path, headers, tag, method, prompt = make(sample, index)
      if body == nil then return nil end
      if not record_text then return body, index, path, headers, tag, method end
      return body, index, path, headers, tag, method, prompt or sample.prompt or body
   end
end

-- The same for a load that brings its samples, one for each request: none is kept.
local function recorded(sample_of, make, record_text)
   return function(i)
      local sample = sample_of(i)
      if not sample then return false end
      local body, path, headers, tag, method, prompt = make(sample, i)
      if body == nil then return nil end
      return body, i, path, headers, tag, method, record_text and (prompt or sample.prompt) or nil
   end
end

local function content(p, built, samples, following, target)
   if built.content then return built.content end
   if built.sample and not p.dataset then return recorded(built.sample, target.build(p.request, true), p.record_text) end
   return builder(samples, following, target.build(p.request), p.record_text)
end

-- Texts are kept only where a script can read them.
local function wants_text(p)
   return p.load.kind == "strategy" or p.on.complete ~= nil or p.on.error ~= nil
end

--- The arguments of session:phase.
---@param p table       a phase of the plan
---@param seed number
---@param target table  the phase's target, built: { client =, build = }
---@return table
function assemble.phase(p, seed, target)
   local samples = p.dataset or NO_SAMPLES
   local built = p.load:build { seed = seed, number = p.number, duration = p.duration or p.max_duration }
   local following = order.iterator(p.order, #samples, engine.rng(seed, p.number, stream.order))
   local keep, slo = wants_text(p), p.slo or {}
   return {
      name = p.name, kind = p.kind, client = target.client,
      samples = #samples, sample = function(index) return samples[index] end,
      schedule = built.schedule, strategy = built.strategy, knobs = built.knobs,
      build = content(p, built, samples, following, target),
      max_inflight = p.load.args.max_inflight, overload = p.load.args.overload,
      requests = p.requests, duration = p.duration,
      min_requests = p.min_requests, min_duration = p.min_duration, max_duration = p.max_duration,
      drain = p.drain, deadline = p.deadline, stall = p.stall, tick = p.tick,
      keep_text = keep, keep_body = keep, results = p.load.kind == "strategy",
      record_text = p.record_text, record_body = p.record_body, chunk_events = p.chunk_events,
      slo_latency = slo.latency, slo_ttft = slo.ttft, slo_tpot = slo.tpot,
      on = p.on,
   }
end

return assemble
