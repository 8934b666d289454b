--- What a plan amounts to: which request of a phase is meant for when, and with which sample.
--- The seed decides it, so it can be told before anything is sent.
local engine = require "perigee.engine"
local fingerprint = require "perigee.fingerprint"
local order = require "perigee.order"
local stream = require "perigee.stream"

local agenda = {}

agenda.VERSION = 1 -- of what the checksum covers
agenda.COVERED = 256 -- requests of each phase that it looks at

-- A phase without a dataset has one sample that is empty: the hook or the target brings the content.
agenda.NO_SAMPLES = { {} }

--- The load of a phase, made anew: { schedule = fn } or { strategy = fn } and what else it has. What it reads
--- from files is read once.
---@param p table  a phase of a resolved scenario
---@param seed number
---@return table
function agenda.load(p, seed)
   p.cache = p.cache or {}
   return p.load:build {
      seed = seed, number = p.draws_as or p.number, duration = p.duration or p.max_duration, cache = p.cache, session = p.session,
      order = function(n) return agenda.order(p, seed, n) end,
   }
end

--- The order of a phase, made anew: next(i) -> index | nil.
---@param p table
---@param seed number
---@param n? integer  over so many; else over the phase's samples
---@return fun(i: integer): integer?
function agenda.order(p, seed, n)
   return order.iterator(p.order, n or #(p.dataset or agenda.NO_SAMPLES), engine.rng(seed, p.draws_as or p.number, stream.order))
end

-- What the engine makes of seconds.
local function to_ns(seconds)
   return math.floor(seconds * 1e9 + 0.5)
end

-- Do the stop rules end the phase before the request that comes after `issued` others, t seconds from its start?
-- As phase_check() of the engine has it.
local function is_over(p, issued, t)
   local function past(rule) return rule and to_ns(t) >= to_ns(rule) or false end
   if past(p.max_duration) then return true end
   if issued < (p.min_requests or 0) or not past(p.min_duration or 0) then return false end
   return p.requests and issued >= p.requests or past(p.duration)
end

-- Which sample comes next, from 1: of a load that brings what it sends, else of the order.
local function sampler(p, built, seed)
   if built.asks then return function() return nil end end -- what it sends is its own, and no plan knows it
   if built.content then
      return function(i)
         local body, index = built.content(i)
         return body and index or nil
      end
   end
   if built.sample and not p.dataset then
      return function(i) return i end
   end
   return agenda.order(p, seed)
end

--- The requests of a phase in the order of issue, as its load and its order plan them: what handlers ask for besides
--- is not among them, and what a request function skips is. Functions of the user's are called.
---@param p table
---@param seed number
---@return fun(): integer?, integer?, integer? following  number of the request (from 0), its time (ns from the phase's
---start; nil for a closed load: it depends on the answers), index of its sample (from 0)
function agenda.requests(p, seed)
   local built = agenda.load(p, seed)
   local schedule, sample_of = built.schedule, sampler(p, built, seed)
   if built.strategy then schedule = nil end -- it turns the rate as it likes
   local i, t = 0, 0
   return function()
      if schedule then
         local gap = schedule(i, t)
         if gap == nil then return nil end
         t = t + gap
      end
      if is_over(p, i, t) then return nil end
      i = i + 1
      local index = sample_of(i)
      if index == nil then return nil end
      return i - 1, schedule and to_ns(t) or nil, index - 1
   end
end

-- ---- checksum ----

-- The first of what following(i) gives, as text; it is not asked when a function of the user's answers, which
-- may count its calls.
local function first(what, scripted, following)
   local list = { what }
   for i = 1, scripted and 0 or agenda.COVERED do
      local v = following(i)
      if v == nil then break end
      list[i + 1] = ("%.0f"):format(v)
   end
   return table.concat(list, " ")
end

local function times(schedule)
   local t = 0
   return function(i)
      local gap = schedule and schedule(i - 1, t)
      if not gap or gap == math.huge then return nil end
      t = t + gap
      return to_ns(t)
   end
end

-- What says the same wherever it lies: a file by what is in it, which the load tells.
local function arguments(spec, built)
   local args = {}
   for name, v in pairs(spec.args) do args[name] = v end
   for name, v in pairs(built and built.identity or {}) do args[name] = v end
   local text, scripted = fingerprint.of(args)
   return ("%s %s"):format(spec.kind, text), scripted
end

local STOP_RULES = { "requests", "duration", "min_requests", "min_duration", "max_duration" }

local function phase_text(p, seed)
   local built, rules = agenda.load(p, seed), {}
   local load_text, load_scripted = arguments(p.load, built)
   local order_text, order_scripted = arguments(p.order)
   for _, name in ipairs(STOP_RULES) do rules[name] = p[name] end
   return table.concat({
      ("phase %d"):format(p.number), "load " .. load_text, "order " .. order_text,
      "dataset " .. (p.dataset and p.dataset.sha256 or "none"), "stops " .. (fingerprint.of(rules)),
      first("times", load_scripted, times(built.schedule)),
      first("samples", order_scripted, sampler(p, built, seed)),
   }, "\n")
end

--- The SHA-256 of what decides a plan: the seed, and of each phase its number, load, order, stop rules and the
--- dataset's SHA-256, with the times and the samples of the first COVERED requests. A function of the user's counts by its code
--- and what it captured; it is not called. Target, handlers and request functions are no part of a plan.
---@param plan table  of scenario:resolve()
---@return string hex
function agenda.checksum(plan)
   local parts = { ("perigee plan %d"):format(agenda.VERSION), ("seed %.17g"):format(plan.seed) }
   for _, p in ipairs(plan.phases) do parts[#parts + 1] = phase_text(p, plan.seed) end
   return engine.sha256(table.concat(parts, "\n"))
end

return agenda
