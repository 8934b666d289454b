--- Statistics of comparisons: numbers in, numbers out. An estimate is a table { value, low, high, df }: an interval of
--- 95 % confidence around a value, a bound being nil where the data give none, and the degrees of freedom behind it
--- (math.huge: the normal distribution).
local engine = require "perigee.engine"

local statistics = {}

statistics.CONFIDENCE = 0.95

-- ---- distributions ----

-- The logarithm of the gamma function, x > 0: Stirling's series (DLMF 5.11.1) from 10 on, by recurrence below.
local function log_gamma(x)
   local shift = 0
   while x < 10 do
      shift = shift + math.log(x)
      x = x + 1
   end
   local y = 1 / (x * x)
   return (x - 0.5) * math.log(x) - x + 0.5 * math.log(2 * math.pi) - shift
      + (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y / 1680))) / x
end

local TINY, CLOSE = 1e-300, 1e-15

local function not_zero(x)
   return math.abs(x) < TINY and TINY or x
end

-- The continued fraction of the incomplete beta function (DLMF 8.17.22), evaluated forwards as Lentz does (W. J. Lentz,
-- Generating Bessel functions in Mie scattering calculations using continued fractions, Applied Optics 15, 1976).
local function beta_fraction(a, b, x)
   local c, d = 1, 1 / not_zero(1 - (a + b) * x / (a + 1))
   local result = d
   for m = 1, 10000 do
      local even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
      d, c = 1 / not_zero(1 + even * d), not_zero(1 + even / c)
      result = result * d * c
      local odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
      d, c = 1 / not_zero(1 + odd * d), not_zero(1 + odd / c)
      result = result * d * c
      if math.abs(d * c - 1) < CLOSE then break end
   end
   return result
end

-- The regularised incomplete beta function I_x(a, b); its fraction converges below the mean, and beyond by symmetry.
local function incomplete_beta(x, a, b)
   if x <= 0 then return 0 end
   if x >= 1 then return 1 end
   local front = math.exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * math.log(x) + b * math.log(1 - x))
   if x < (a + 1) / (a + b + 2) then return front * beta_fraction(a, b, x) / a end
   return 1 - front * beta_fraction(b, a, 1 - x) / b
end

-- Both tails of the normal distribution beyond |z|: G. Marsaglia, Evaluating the normal distribution, JSS 11(4), 2004.
local function normal_tails(z)
   if z > 8 then return 0 end
   local sum, term, i = z, z, 1
   while sum + term ~= sum do
      i = i + 2
      term = term * z * z / i
      sum = sum + term
   end
   return math.max(0, 1 - 2 * sum * math.exp(-z * z / 2) / math.sqrt(2 * math.pi))
end

--- How probable it is that Student's t lies at least as far from 0 (DLMF 8.17.4 with the t distribution's definition).
---@param t number
---@param df number  degrees of freedom, above 0; math.huge is the normal distribution
---@return number p  of both tails
function statistics.tails(t, df)
   t = math.abs(t)
   if t ~= t then return 1 end
   if t == math.huge then return 0 end
   if df == math.huge then return normal_tails(t) end
   return incomplete_beta(df / (df + t * t), df / 2, 0.5)
end

--- The t beyond which, to both sides, lies what the confidence leaves.
---@param df number
---@param confidence? number  (0.95)
---@return number t
function statistics.critical(df, confidence)
   local beyond = 1 - (confidence or statistics.CONFIDENCE)
   local low, high = 0, 2
   while statistics.tails(high, df) > beyond do high = high * 2 end
   for _ = 1, 60 do
      local middle = (low + high) / 2
      if statistics.tails(middle, df) > beyond then low = middle else high = middle end
   end
   return high
end

local Z95 = 1.959964

--- Wilson's interval of a share, 95 %: E. B. Wilson, Probable inference, JASA 22 (1927).
---@param count number
---@param n number  of all
---@return number[]? interval  { low, high }; nil of none
function statistics.share_interval(count, n)
   if n == 0 then return nil end
   local p, zz = count / n, Z95 * Z95 / n
   local middle, half = (p + zz / 2) / (1 + zz), Z95 * math.sqrt(p * (1 - p) / n + zz / (4 * n)) / (1 + zz)
   return { math.max(0, middle - half), math.min(1, middle + half) }
end

-- ---- samples ----

--- Mean and variance (of a sample: divided by n - 1; 0 of one value), by B. P. Welford's recurrence (Technometrics 4, 1962).
---@param list number[]
---@return number mean
---@return number variance
function statistics.moments(list)
   local mean, squares = 0, 0
   for i, x in ipairs(list) do
      local delta = x - mean
      mean = mean + delta / i
      squares = squares + delta * (x - mean)
   end
   return mean, #list > 1 and squares / (#list - 1) or 0
end

--- The mean of a list as an estimate, with Student's interval (Biometrika 6, 1908).
---@param list number[]  at least two
---@return { value: number, low: number, high: number, df: number } estimate
function statistics.mean(list)
   local mean, variance = statistics.moments(list)
   local half = statistics.critical(#list - 1) * math.sqrt(variance / #list)
   return { value = mean, low = mean - half, high = mean + half, df = #list - 1 }
end

-- A difference whose standard error is known: its interval and the probability of one as large without any.
local function judged(difference, error, df)
   local half = statistics.critical(df) * error
   local p = difference == 0 and 1 or statistics.tails(difference / error, df)
   return { value = difference, low = difference - half, high = difference + half, df = df, p = p }
end

--- The mean of differences of pairs: Student's paired test.
---@param list number[]  second minus first of each pair; at least two
---@return table estimate  with p
function statistics.paired(list)
   local mean, variance = statistics.moments(list)
   return judged(mean, math.sqrt(variance / #list), #list - 1)
end

--- The difference of two means: B. L. Welch's test (Biometrika 34, 1947); where one list has a single value Student's, which
--- takes the variance of the other one for both.
---@param a number[]
---@param b number[]  three values at least in both together
---@return table estimate  of b - a, with p
function statistics.unpaired(a, b)
   local mean_a, variance_a = statistics.moments(a)
   local mean_b, variance_b = statistics.moments(b)
   if #a == 1 or #b == 1 then
      local df = #a + #b - 2
      local pooled = (variance_a * (#a - 1) + variance_b * (#b - 1)) / df
      return judged(mean_b - mean_a, math.sqrt(pooled * (1 / #a + 1 / #b)), df)
   end
   local part_a, part_b = variance_a / #a, variance_b / #b
   local sum = part_a + part_b
   local df = sum > 0 and sum * sum / (part_a * part_a / (#a - 1) + part_b * part_b / (#b - 1)) or #a + #b - 2
   return judged(mean_b - mean_a, math.sqrt(sum), df)
end

-- ---- two estimates ----

local function root(x, y)
   return x and y and math.sqrt(x * x + y * y) or nil
end

local function minus(x, y)
   return x and y and x - y or nil
end

--- The difference of two independent estimates whose intervals need not be symmetrical: from the variance that each bound
--- stands for (G. Y. Zou and A. Donner, Construction of confidence limits about effect measures, Statistics in Medicine 27,
--- 2008; of shares with Wilson's interval it is R. G. Newcombe's method 10, ibid. 17, 1998). p is where that interval would
--- touch 0; a bound that is missing makes it 1 when it is the one that faces the other estimate.
---@param a table
---@param b table
---@return table estimate  of b - a, with p
function statistics.difference(a, b)
   local value, df = b.value - a.value, math.min(a.df, b.df)
   local below = root(minus(b.value, b.low), minus(a.high, a.value))
   local above = root(minus(b.high, b.value), minus(a.value, a.low))
   local facing = below
   if value < 0 then facing = above end
   local p = 1
   if value ~= 0 and facing then p = statistics.tails(value / facing * statistics.critical(df), df) end
   return { value = value, low = minus(value, below), high = above and value + above, df = df, p = p }
end

-- ---- one series ----

-- Of the list's parts of equal length, in order; the values that are too many at the end are left out.
local function batch_means(values, batches)
   local length, means = math.floor(#values / batches), {}
   for b = 1, batches do
      local sum = 0
      for i = (b - 1) * length + 1, b * length do sum = sum + values[i] end
      means[b] = sum / length
   end
   return means
end

statistics.BATCHES = 20

--- How many independent values would tell a mean with a confidence of 95 % as well as those of a series do, at most their
--- count: by the means of up to 20 batches, and by what these are correlated themselves (engine/metrics/batch_means.h has the
--- formula and its sources), less as much as Student's t is beyond the normal distribution.
---@param values number[]  in the order in which they came
---@return number independent  all of them when they are too few to tell
---@return number df  of what is found by it
function statistics.independent(values)
   local n, batches = #values, engine.batches.count(#values)
   local _, variance = statistics.moments(values)
   if batches == 0 or variance == 0 then return n, math.max(1, (batches > 0 and batches or n) - 1) end
   local of_mean, df = engine.batches.variance(batch_means(values, batches))
   local wider = statistics.critical(df) / statistics.critical(math.huge)
   return n / math.max(1, of_mean * n / variance * wider * wider), df
end

--- The mean of a series as an estimate, its values being correlated.
---@param values number[]  in the order in which they came; at least two
---@return table estimate
function statistics.series_mean(values)
   local mean, variance = statistics.moments(values)
   local independent, df = statistics.independent(values)
   local half = statistics.critical(math.huge) * math.sqrt(variance / independent)
   return { value = mean, low = mean - half, high = mean + half, df = df }
end

--- A percentile of a series as an estimate: the interval of the share of values at or below it, wider by the correlation of
--- that share, turned back into values (R. S. Woodruff, Confidence intervals for medians and other position measures, JASA
--- 47, 1952; for series P. Heidelberger and P. A. W. Lewis, Operations Research 32, 1984).
---@param values number[]  in the order in which they came
---@param sorted number[]  the same, sorted
---@param q number         0 to 1
---@return table estimate  value is the lowest with at least that share at or below it
function statistics.quantile(values, sorted, q)
   local n = #values
   local value, marks = sorted[math.max(1, math.ceil(q * n - 1e-9))], {}
   for i = 1, n do marks[i] = values[i] <= value and 1 or 0 end
   local independent, df = statistics.independent(marks)
   local half = statistics.critical(math.huge) * n * math.sqrt(q * (1 - q) / independent)
   local low, high = math.floor(n * q - half), math.ceil(n * q + half) + 1
   return { value = value, low = sorted[low], high = sorted[high], df = df }
end

-- ---- many ----

--- S. Holm's adjustment (Scandinavian Journal of Statistics 6, 1979): each p as it would have to be for one test alone, so that the
--- probability of any false finding among all of them is bounded.
---@param list number[]
---@return number[] adjusted  in the same order
function statistics.holm(list)
   local order, adjusted, most = {}, {}, 0
   for i = 1, #list do order[i] = i end
   table.sort(order, function(i, j)
      if list[i] ~= list[j] then return list[i] < list[j] end
      return i < j
   end)
   for rank, i in ipairs(order) do
      most = math.max(most, math.min(1, (#list - rank + 1) * list[i]))
      adjusted[i] = most
   end
   return adjusted
end

return statistics
