--- Metrics of a script: made in its file, counted from its handlers, told for each phase.
--- A name means the same metric in the whole Lua state, so that modules can share one.
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local where = require "perigee.where"

local null = engine.json.null
local metric = {}

local STATISTICS = { "mean", "std", "min", "max" }
local QUANTILES = { p50 = 0.5, p90 = 0.9, p95 = 0.95, p99 = 0.99, ["p99.9"] = 0.999 }

-- What a check means by these names is perigee's own.
local RESERVED = {
   "latency", "service_time", "ttft", "ttft_service", "tpot", "itl", "itl_token", "lateness", "first_byte", "first_event",
   "first_content", "first_reasoning", "latency_with_failures", "ttft_with_failures", "issued", "completed", "failed", "abandoned",
   "dropped", "error_rate", "goodput",
   "goodput_per_s", "qps", "output_tokens_per_s", "tokens_per_s",
}

metric.OVERALL = "\0overall" -- no phase can be called so

local by_name = {}
local current = "" -- the phase that is counted for; "" is in no report

-- A metric: name, kind, unit, and for each phase in which it was used a cell.
local function cell(self)
   local found = self.cells[current]
   if not found then
      found = self.new_cell()
      self.cells[current] = found
   end
   return found
end

local function finite(v, what)
   if type(v) ~= "number" or v ~= v or math.abs(v) == math.huge then
      error(("%s: a finite number expected, got %s"):format(what, schema.show(v)), 3)
   end
   return v
end

-- ---- kinds ----

local function number_cell()
   return { count = 0 }
end

---@class perigee.Histogram
local Histogram = { kind = "histogram", new_cell = function() return assert(engine.histogram()) end }
function Histogram.merge(to, from) to:merge(from) end
Histogram.__index, Histogram.__name = Histogram, "perigee.metric.histogram"

--- Count a number of at least 0.
---@param v number
function Histogram:add(v)
   if finite(v, self.name .. ":add") < 0 then error(("%s:add: a number of at least 0 expected, got %g"):format(self.name, v), 2) end
   cell(self):add(v)
end

---@private
--- A statistic of a phase; nil when it has none.
---@param phase string
---@param key string  mean, p99, count ...
function Histogram:value(phase, key)
   local h = self.cells[phase]
   if not h then return (key == "count" or key == "sum") and 0 or nil end
   if QUANTILES[key] then return h:quantile(QUANTILES[key]) end
   return h[key](h)
end

function Histogram:describe(phase)
   local distribution = { count = self:value(phase, "count") }
   for _, key in ipairs(STATISTICS) do distribution[key] = self:value(phase, key) end
   for key in pairs(QUANTILES) do distribution[key] = self:value(phase, key) end
   return { sum = self:value(phase, "sum"), distribution = distribution.count > 0 and distribution or null }
end

---@class perigee.Counter
local Counter = { kind = "counter", new_cell = number_cell }
function Counter.merge(to, from)
   to.count, to.value = to.count + from.count, (to.value or 0) + (from.value or 0)
end
Counter.__index, Counter.__name = Counter, "perigee.metric.counter"

--- Count n, a number of at least 0; 1 without it.
---@param n? number
function Counter:inc(n)
   local c = cell(self)
   if n ~= nil and finite(n, self.name .. ":inc") < 0 then
      error(("%s:inc: a number of at least 0 expected, got %g"):format(self.name, n), 2)
   end
   c.count, c.value = c.count + 1, (c.value or 0) + (n or 1)
end

function Counter:value(phase)
   local c = self.cells[phase]
   return c and c.value or 0
end

---@class perigee.Gauge
local Gauge = { kind = "gauge", new_cell = number_cell }
function Gauge.merge(to, from)
   to.count, to.value = to.count + from.count, from.value
end
Gauge.__index, Gauge.__name = Gauge, "perigee.metric.gauge"

--- Set it; the last value counts.
---@param v number
function Gauge:set(v)
   finite(v, self.name .. ":set")
   local c = cell(self)
   c.count, c.value = c.count + 1, v
end

function Gauge:value(phase)
   local c = self.cells[phase]
   return c and c.value
end

local function describe_number(self, phase)
   local value = self:value(phase)
   return { value = value == nil and null or value }
end
Counter.describe, Gauge.describe = describe_number, describe_number

-- ---- making ----

---@class perigee.MetricOptions
---@field unit? string  shown in reports; of a time, checks may use another one

--- Metrics of the script.
---@class perigee.metric
---@field histogram fun(name: string, opts?: perigee.MetricOptions): perigee.Histogram  a distribution of numbers of at least 0,
---   counted by `m:add`
---@field counter fun(name: string, opts?: perigee.MetricOptions): perigee.Counter  a sum, counted by `m:inc`
---@field gauge fun(name: string, opts?: perigee.MetricOptions): perigee.Gauge  the last value, set by `m:set`
local FIELDS = { unit = schema.text }

local function check_name(name, at)
   if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
      where.fail(("%s: a name of letters, digits and _ expected, got %s"):format(at, schema.show(name)))
   end
   for _, taken in ipairs(RESERVED) do
      if name == taken then where.fail(("%s: '%s' is a metric of perigee's own"):format(at, name)) end
   end
end

local function constructor(class)
   local at = "metric." .. class.kind
   return function(name, options)
      check_name(name, at)
      local unit = schema.check(at, FIELDS, options or {}, where.caller()).unit
      local known = by_name[name]
      if known and (known.kind ~= class.kind or known.unit ~= unit) then
         where.fail(("%s: '%s' exists already as a %s%s"):format(at, name, known.kind, known.unit and " in " .. known.unit or ""))
      end
      by_name[name] = known or setmetatable({ name = name, unit = unit, cells = {} }, class)
      return by_name[name]
   end
end

--- Counters that belong together: a phase that counts none of them tells none.
---@param group string
---@param names string[]
---@return perigee.Counter ...
function metric.group(group, names)
   local list = {}
   for i, name in ipairs(names) do
      list[i] = metric.public.counter(name)
      list[i].group = group
   end
   return unpack(list)
end

metric.public = schema.namespace("metric", {
   histogram = constructor(Histogram), counter = constructor(Counter), gauge = constructor(Gauge),
})

-- ---- for the run ----

--- The metric of this name, or nil.
function metric.find(name)
   return by_name[name]
end

---@return string[] sorted
function metric.names()
   return schema.sorted_keys(by_name)
end

--- Forget what was counted: a run begins.
function metric.reset()
   for _, m in pairs(by_name) do m.cells = {} end
   current = ""
end

--- Gather what these phases counted under the name metric.OVERALL, as one more phase.
---@param phases string[] in the order of their run
function metric.gather(phases)
   for _, m in pairs(by_name) do
      m.cells[metric.OVERALL] = nil
      for _, phase in ipairs(phases) do
         if m.cells[phase] then
            m.cells[metric.OVERALL] = m.cells[metric.OVERALL] or m.new_cell()
            m.merge(m.cells[metric.OVERALL], m.cells[phase])
         end
      end
   end
end

--- What comes is of this phase. Returns the phase before.
---@param phase string
---@return string
function metric.enter(phase)
   local previous = current
   current = phase
   return previous
end

--- All metrics of a phase as they stand in summary.json.
---@param phase string
---@return table<string, table>
function metric.values(phase)
   local values, used = {}, {}
   for _, m in pairs(by_name) do
      if m.group and m.cells[phase] then used[m.group] = true end
   end
   for name, m in pairs(by_name) do
      if m.group and not used[m.group] then goto continue end
      local entry, c = m:describe(phase), m.cells[phase]
      entry.kind, entry.unit = m.kind, m.unit or null
      entry.count = m.kind == "histogram" and m:value(phase, "count") or c and c.count or 0
      values[name] = entry
      ::continue::
   end
   return values
end

return metric
