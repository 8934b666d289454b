--- How many threads HTTP gets: as many as asked for, or by the machine and the load.
local engine = require "perigee.engine"
local transport = require "perigee.transport"

local workers = {}

workers.MAX = 64

-- With so much one thread is about half busy, as measured (docs/performance.md); beyond, arrivals wait for each other.
-- Below, a worker costs more than it takes off the thread that measures.
local IN_FLIGHT = 1000 -- streams of 50 events a second
local RATE = { direct = 20000, curl = 10000 } -- requests per second
local FEWEST_CPUS = 4  -- below, a further thread takes from the endpoint or the script what it gives

--- A whole number from 0 to workers.MAX.
function workers.checker(v)
   if type(v) == "number" and v == math.floor(v) and v >= 0 and v <= workers.MAX then return true, v end
   return false, ("a whole number from 0 to %d"):format(workers.MAX)
end

--- The same for the text of an option.
function workers.read(text)
   local ok, value = workers.checker(tonumber(text))
   if ok then return value end
   return nil, value
end

-- As far as the arguments of a load say it.
local function highest_rate(args)
   local highest = (args.mean or 0) + (args.amplitude or 0)
   for _, name in ipairs { "rate", "from", "to" } do
      if type(args[name]) == "number" then highest = math.max(highest, args[name]) end
   end
   for _, step in ipairs(args.steps or {}) do highest = math.max(highest, step.rate) end
   return highest
end

-- The threads that the busiest phase could use, and what it does; as far as its load says so.
local function busiest(plan)
   local most, what = 0, "no load above what one thread does"
   for _, p in ipairs(plan.phases) do
      local args = p.load.args
      local in_flight, rate = math.max(args.n or 0, args.max_inflight or 0), highest_rate(args)
      local by_flight, by_rate = in_flight / IN_FLIGHT, rate / RATE[transport.of(p.target.args, plan.forced)]
      if math.max(by_flight, by_rate) > math.max(most, 1) then
         most = math.max(by_flight, by_rate)
         what = by_flight >= by_rate and ("%d in flight in phase '%s'"):format(in_flight, p.name)
            or ("%g requests per second in phase '%s'"):format(rate, p.name)
      end
   end
   return most, what
end

--- How many, and why: for the report.
---@param plan { workers?: integer, phases: table[] }
---@param asked? integer  of the command line
---@return { count: integer, why: string }
function workers.choose(plan, asked)
   if asked then return { count = asked, why = "--workers" } end
   if plan.workers then return { count = plan.workers, why = "the scenario's workers" } end
   local most, what = busiest(plan)
   if most <= 1 then return { count = 0, why = what } end
   local cpus = workers.usable_cpus()
   if cpus < FEWEST_CPUS then
      return { count = 0, why = ("%s, but %d usable processors are fewer than %d"):format(what, cpus, FEWEST_CPUS) }
   end
   -- One for the session, one for the rest of the machine.
   return { count = math.min(math.ceil(most), cpus - 2, workers.MAX), why = ("%s, %d usable processors"):format(what, cpus) }
end

--- Processors that this process may run on.
---@return integer
function workers.usable_cpus()
   local host = engine.host() or {}
   return host.usable_cpus or host.cpus or 1
end

--- What choose() does on this machine when nobody asks for a number.
---@return string
function workers.rule()
   local cpus = workers.usable_cpus()
   if cpus < FEWEST_CPUS then return ("0: %d usable processors are fewer than %d"):format(cpus, FEWEST_CPUS) end
   return ("up to %d: one for each %d requests in flight or %d per second (libcurl: %d) of the busiest phase, none up to that"):format(
      math.min(cpus - 2, workers.MAX), IN_FLIGHT, RATE.direct, RATE.curl)
end

--- One line for people.
---@param chosen { count: integer, why: string }
---@return string
function workers.describe(chosen)
   local where = chosen.count == 0 and "HTTP on the session's thread" or ("HTTP on %d worker thread%s"):format(
      chosen.count, chosen.count == 1 and "" or "s")
   return ("%s (%s)"):format(where, chosen.why)
end

return workers
