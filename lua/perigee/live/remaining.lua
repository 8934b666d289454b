--- How far a phase is and how long it will still take, by the stop rule that is going to end it.
local remaining = {}

local HUGE = math.huge

-- Seconds until so many are issued; infinite when none is.
local function until_issued(requests, at)
   if requests <= at.issued then return 0 end
   return at.rate and at.rate > 0 and (requests - at.issued) / at.rate or HUGE
end

-- The first of `requests` and `duration`, each as { rule, seconds left, share }.
local function nearest(goals, at)
   local best
   local function offer(rule, left, share)
      if not best or left < best.left then best = { rule = rule, left = left, share = share } end
   end
   if goals.duration then
      offer("duration", math.max(0, goals.duration - at.elapsed), goals.duration > 0 and at.elapsed / goals.duration or 1)
   end
   if goals.requests then
      offer("requests", until_issued(goals.requests, at), goals.requests > 0 and at.issued / goals.requests or 1)
   end
   return best
end

-- Neither stops the phase before the minimums are met.
local function delayed(best, goals, at)
   local least = math.max(0, (goals.min_duration or 0) - at.elapsed, until_issued(goals.min_requests or 0, at))
   if not best or best.left >= least then return best end
   local share = least < HUGE and at.elapsed / (at.elapsed + least) or at.issued / goals.min_requests
   return { rule = "minimum", left = least, share = share }
end

--- The rule that is nearest, by the rate of late: { rule = "requests"|"duration"|"minimum"|"max_duration",
--- left = seconds or nil, share = 0 to 1 }; nil when nothing is known to end the phase.
---@param goals table  of a phase of the plan: requests, duration, min_requests, min_duration, max_duration
---@param at { elapsed: number, issued: number, rate?: number }  seconds, count, issued per second
---@return { rule: string, left?: number, share: number }?
function remaining.of(goals, at)
   local best = delayed(nearest(goals, at), goals, at)
   local most = goals.max_duration
   if most then
      local left = math.max(0, most - at.elapsed)
      if not best or left < best.left then
         best = { rule = "max_duration", left = left, share = most > 0 and at.elapsed / most or 1 }
      end
   end
   if not best then return nil end
   if best.left == HUGE then best.left = nil end
   best.share = math.min(1, best.share)
   return best
end

--- Seconds of all phases after number `n`, by their durations; nil when one of them has none. They may end earlier.
---@param phases table[]  of the plan
---@param n integer
---@return number?
function remaining.after(phases, n)
   local sum = 0
   for i = n + 1, #phases do
      local p = phases[i]
      local own = not p.min_requests and p.duration and math.max(p.duration, p.min_duration or 0)
      local most = math.min(own or HUGE, p.max_duration or HUGE)
      if most == HUGE then return nil end
      sum = sum + most
   end
   return sum
end

return remaining
