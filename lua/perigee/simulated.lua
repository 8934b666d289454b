--- The endpoint of a run on simulated time: what each request is answered.
local distribution = require "perigee.distribution"
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local stream = require "perigee.stream"
local units = require "perigee.units"
local where = require "perigee.where"

local simulated = {}

-- ---- what an endpoint is made of ----

-- A checker of distributions whose parameters `read` reads.
local function drawn(read, words)
   return function(v)
      local d
      if type(v) == "number" then d = read(v) and { kind = "fixed", a = v } end
      if type(v) == "string" then d = distribution.read(v, read) end
      if d then return true, d end
      return false, words
   end
end

local times = drawn(units.duration, 'a time ("50ms", "uniform:10ms,90ms", "exp:50ms")')
local counts = drawn(distribution.number, 'a number of tokens (16, "uniform:8,64")')

local function share(v)
   if schema.not_negative(v) and v <= 1 then return true, v end
   return false, "a number within 0..1"
end

local function status(v)
   if schema.count(v) and v >= 200 and v <= 599 then return true, v end
   return false, "an HTTP status within 200..599"
end

local function whole(v)
   if schema.not_negative(v) and v == math.floor(v) then return true, v end
   return false, "a whole number"
end

local function duration(v)
   local seconds = units.duration(v)
   if seconds then return true, seconds end
   return false, 'a duration (seconds or "250ms")'
end

--- The simulated endpoint of a test. Times and tokens are fixed or drawn: `"exp:50ms"`, `"uniform:10ms,90ms"`.
---@class perigee.test.Endpoint
---@field ttft? perigee.Duration  (50 ms) from the begin of an answer to its first token
---@field tpot? perigee.Duration  (10 ms) between its tokens
---@field tokens? integer|string  (16) of an answer
---@field error_rate? number  (0) share of the requests that fail, 0 to 1
---@field status? integer  (500) how they fail: an HTTP status
---@field error? string  or a class of failure such as `"reset"`, see [Failures](reference.md#failures)
---@field text? string  of each answer, shared out to its tokens
---@field slots? integer  answers at a time, of each target; further requests wait in order, and `ttft` counts from their turn
---@field answer? fun(request: perigee.test.Request): perigee.test.Answer?  its result goes before these fields

--- A request as the simulated endpoint sees it.
---@class perigee.test.Request
---@field number integer  from 1
---@field id integer  as `r.id`
---@field index? integer  of the sample, from 1
---@field phase string  its name
---@field conversation? string  of its conversation
---@field turn? integer  of its conversation
---@field time number  seconds from the session's start
---@field body string  as it is sent
---@field path string  where to

--- What becomes of one request; nil leaves it to the endpoint. A text without `tokens` has as many as it has words.
---@class perigee.test.Answer
---@field ttft? perigee.Duration  from the begin of the answer to its first token
---@field tpot? perigee.Duration  between its tokens
---@field tokens? integer  of the answer
---@field tokens_in? integer  of the prompt, as usage tells them
---@field status? integer  of HTTP
---@field error? string  a class of failure
---@field text? string  of the answer

-- The defaults are those of the built-in endpoint.
local ENDPOINT = {
   ttft = schema.default(times, { kind = "fixed", a = 0.05 }),
   tpot = schema.default(times, { kind = "fixed", a = 0.01 }),
   tokens = schema.default(counts, { kind = "fixed", a = 16 }),
   error_rate = schema.default(share, 0),
   status = status, error = schema.text, text = schema.string,
   slots = schema.count, answer = schema.func,
}

local ANSWER = {
   ttft = duration, tpot = duration, tokens = whole, tokens_in = whole, status = status, error = schema.text, text = schema.string,
}

-- What the function gave in place of the endpoint's own; once per request, so without a copy.
local function override(answer, given, place)
   if given == nil then return answer end
   if type(given) ~= "table" then
      where.fail("endpoint: the function returned " .. schema.show(given) .. "; a table or nil expected", place)
   end
   for key, value in pairs(given) do
      local check = ANSWER[key]
      if not check then where.fail("endpoint: " .. schema.unknown("field", key, schema.sorted_keys(ANSWER)), place) end
      local ok, result = check(value)
      if not ok then where.fail(("endpoint: %s: %s expected, got %s"):format(key, result, schema.show(value)), place) end
      answer[key] = result
   end
   return answer
end

-- A text without a number of tokens is as many as it has words.
local function count_words(text)
   local _, words = text:gsub("%S+", "")
   return math.max(1, words)
end

local function fail_some(answer, spec, rng)
   if spec.error_rate == 0 or rng:uniform() >= spec.error_rate then return end
   if spec.error then
      answer.error, answer.tokens = spec.error, 0
   else
      answer.status = spec.status or 500
   end
end

--- What the engine's session takes as `simulate`.
---@param endpoint table|function  the fields of ENDPOINT, or its `answer` alone
---@param seed number
---@return { answer: function, slots: integer? }
function simulated.model(endpoint, seed)
   if type(endpoint) == "function" then endpoint = { answer = endpoint } end
   local spec = schema.check("endpoint", ENDPOINT, endpoint)
   local place = spec.answer and where.of(spec.answer)
   local function answer(request)
      -- Keyed by the request, so that what one draws does not change what another one gets.
      local rng = engine.rng(seed, stream.endpoint, request.number)
      local a = {
         ttft = distribution.draw(spec.ttft, rng), tpot = distribution.draw(spec.tpot, rng),
         tokens = math.max(1, math.floor(distribution.draw(spec.tokens, rng) + 0.5)), text = spec.text,
      }
      fail_some(a, spec, rng)
      if not spec.answer then return a end
      local given = spec.answer(request)
      if type(given) == "table" and given.text and not given.tokens then a.tokens = count_words(given.text) end
      return override(a, given, place)
   end
   return { answer = answer, slots = spec.slots }
end

return simulated
