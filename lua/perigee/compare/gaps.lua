--- The gaps between the chunks of a run, from its event log, in batches of whole requests: the gaps of one request are like
--- each other, so that requests, not gaps, are what is drawn.
local engine = require "perigee.engine"
local statistics = require "perigee.compare.statistics"

local gaps = {}

local SHARES = { 0.5, 0.9, 0.95, 0.99, 0.999 }
local KEYS = { itl = "itl_ms", itl_token = "itl_token_ms" }
local NS_PER_US, NS_PER_MS = 1e3, 1e6

-- Counts of gaps by their logarithm: a value is known to 0.05 %.
local BINS = 1000

local function bin_of(ns)
   return ns > 0 and math.floor(math.log(ns) * BINS + 0.5) or -1
end

local function value_of(bin)
   return bin < 0 and 0 or math.exp(bin / BINS)
end

-- ---- reading ----

local function new_batches(n)
   local list = {}
   for b = 1, n do
      list[b] = { count = 0, sum = 0, below = {} }
      for i in ipairs(SHARES) do list[b].below[i] = 0 end
   end
   return list
end

-- nil when the phase has no such values.
local function new_set(phase, key, batches)
   local d = phase[key]
   if type(d) ~= "table" then return nil end
   local set = { batches = new_batches(batches), bins = {}, count = 0, limits = {} }
   for i, q in ipairs(SHARES) do
      -- A percentile of the summary, and a little: what was divided may have lost a bit.
      set.limits[i] = (tonumber(d["p" .. q * 100]) or math.huge) * NS_PER_MS * (1 + 1e-12)
   end
   return set
end

local function add_gaps(set, batch, list, n, scale)
   local limits, below, bins = set.limits, batch.below, set.bins
   for i = 1, n do
      local ns = math.floor(list[i] * scale)
      local bin = bin_of(ns)
      batch.sum = batch.sum + ns
      bins[bin] = (bins[bin] or 0) + 1
      for k = 1, #limits do
         if ns <= limits[k] then below[k] = below[k] + 1 end
      end
   end
   batch.count, set.count = batch.count + n, set.count + n
end

--- What gathers the gaps of a phase; nil when its successes are too few to be batches.
---@param phase table  of summary.json
---@return { completed: integer, ended: integer, itl: table?, itl_token: table? }? gathered
function gaps.new(phase)
   local batches = engine.batches.count(phase.completed)
   if batches == 0 then return nil end
   local gathered = { completed = phase.completed, ended = 0, batches = batches }
   for name, key in pairs(KEYS) do gathered[name] = new_set(phase, key, batches) end
   return gathered
end

--- Add the next success, in the order of ending.
---@param gathered table
---@param list number[]     its gaps in microseconds
---@param n integer         how many of the list these are
---@param per_token? number  chunks for each token of it; nil: it told no tokens
function gaps.add(gathered, list, n, per_token)
   local b = math.min(gathered.batches, math.floor(gathered.ended * gathered.batches / gathered.completed) + 1)
   gathered.ended = gathered.ended + 1
   if gathered.itl then add_gaps(gathered.itl, gathered.itl.batches[b], list, n, NS_PER_US) end
   if gathered.itl_token and per_token then
      add_gaps(gathered.itl_token, gathered.itl_token.batches[b], list, n, NS_PER_US * per_token)
   end
end

-- Are these the gaps that the summary counts?
local function is_whole(gathered, phase)
   for name, key in pairs(KEYS) do
      if gathered[name] and gathered[name].count ~= phase[key].count then return false end
   end
   return true
end

--- The gaps of the phases of a run, by name; those that the summary does not count so are left out.
---@param path string   of the event log
---@param run table     of perigee.compare.results
---@return table<string, table>? by_phase
---@return string? message  also of phases that are left out
function gaps.read(path, run)
   local by_number, by_phase = {}, {}
   for i, config in ipairs(run.summary.config.phases) do
      local phase = run.phases[config.name]
      by_number[i] = phase and gaps.new(phase.summary)
      by_phase[config.name] = by_number[i]
   end
   local ok, message = engine.log_gaps(path, function(number, list, n, per_token)
      if by_number[number] then gaps.add(by_number[number], list, n, per_token) end
   end)
   if not ok then return nil, message end
   for name, gathered in pairs(by_phase) do
      if not is_whole(gathered, run.phases[name].summary) then
         by_phase[name] = nil
         message = ("%s: its gaps of phase '%s' are not those of summary.json"):format(path, name)
      end
   end
   return by_phase, message
end

-- ---- estimates ----

-- How far the sum over all requests of what the batches have is from what was to be expected: 95 % of it, and the degrees of
-- freedom.
local function half_width(set, of)
   local off = {}
   for b, batch in ipairs(set.batches) do off[b] = of(batch) end
   local variance, df = engine.batches.variance(off)
   return statistics.critical(df) * math.sqrt(variance) * #off, df
end

-- The value of that rank; nil outside.
local function at_rank(set, rank)
   if rank < 1 or rank > set.count then return nil end
   local keys, seen = {}, 0
   for bin in pairs(set.bins) do keys[#keys + 1] = bin end
   table.sort(keys)
   for _, bin in ipairs(keys) do
      seen = seen + set.bins[bin]
      if seen >= rank then return value_of(bin) / NS_PER_MS end
   end
end

local function index_of(q)
   for i, share in ipairs(SHARES) do
      if share == q then return i end
   end
end

--- The interval of a percentile: that of the share of gaps at or below it, a ratio of two sums over requests, turned back into
--- values (R. S. Woodruff, JASA 47, 1952, for clusters as here).
---@param set table   of gaps.new
---@param q number    0.5, 0.9, 0.95, 0.99 or 0.999
---@return number? low  ms; nil: the gaps give no such bound
---@return number? high
---@return number df
function gaps.quantile(set, q)
   local i, below = index_of(q), 0
   for _, batch in ipairs(set.batches) do below = below + batch.below[i] end
   local share = below / set.count
   local half, df = half_width(set, function(batch) return batch.below[i] - share * batch.count end)
   half = math.max(half, statistics.critical(math.huge) * math.sqrt(q * (1 - q) * set.count))
   return at_rank(set, math.floor(q * set.count - half)), at_rank(set, math.ceil(q * set.count + half) + 1), df
end

--- The interval of the mean, a ratio of two sums over requests.
---@param set table
---@return number low  ms
---@return number high
---@return number df
function gaps.mean(set)
   local sum = 0
   for _, batch in ipairs(set.batches) do sum = sum + batch.sum end
   local mean = sum / set.count
   local half, df = half_width(set, function(batch) return batch.sum - mean * batch.count end)
   half = half / set.count
   return (mean - half) / NS_PER_MS, (mean + half) / NS_PER_MS, df
end

return gaps
