--- Many coroutines on one strategy: each asks, waits for its answer, sleeps. It stands on
--- what every strategy has: p:issue, p:results, and p:wait with an end.
local heap = require "perigee.heap"
local where = require "perigee.where"

local crowd = {}
local Crowd = {}
local Crowd_mt = { __name = "perigee.crowd", __index = Crowd }

-- What a coroutine of the crowd yields, the first two with an id or seconds.
local ANSWER, SLEEP, ANEW = {}, {}, {}

---@param p table  the phase object of the strategy
function crowd.new(p)
   return setmetatable({ p = p, waiting = {}, sleepers = heap.new(), alive = 0, begun = 0 }, Crowd_mt)
end

--- A coroutine that runs fn(who) from `at` seconds of the phase on.
---@param at number
---@param name string  for errors: "user 3"
---@param fn function
---@param who table  gets the fields `task`, `crowd` and `steps`: how often it slept or asked
function Crowd:start(at, name, fn, who)
   local task = { name = name, fn = fn, who = who }
   who.task, who.crowd, who.steps = task, self, 0
   self.alive = self.alive + 1
   self.sleepers:put(at, task)
end

local function begin(task)
   task.co = coroutine.create(task.fn)
   return task.who
end

local function fail(task, message)
   error(("%s: %s\n%s"):format(task.name, tostring(message), debug.traceback(task.co)), 0)
end

-- Run a coroutine until it waits for something.
local function resume(self, task, value)
   if not task.co then value = begin(task) end
   local ok, what, about = coroutine.resume(task.co, value)
   if not ok then fail(task, what) end
   if coroutine.status(task.co) == "dead" then
      self.alive = self.alive - 1
   elseif what == ANSWER then
      self.waiting[about] = task
   elseif what == SLEEP then
      self.sleepers:put(self.p.elapsed + about, task)
   elseif what == ANEW then
      task.co = nil
      self.sleepers:put(self.p.elapsed, task)
   else
      fail(task, "a session waits through u:sleep(), u:request() and chat:say() only, it does not yield")
   end
end

local function hand_out(self, results)
   for _, r in ipairs(results) do
      local task = self.waiting[r.id]
      if task then
         self.waiting[r.id] = nil
         resume(self, task, r)
      end
   end
end

local GRAIN = 1e-9 -- of the engine's times, in seconds

-- Those who sleep anew for no time have their turn after the others.
local function wake(self)
   local now, sleepers = self.p.elapsed, self.sleepers
   for _ = 1, sleepers.count do
      if sleepers:first() - now >= GRAIN then return end
      resume(self, sleepers:take())
   end
end

--- Hold as many slots as the knob says, until all have ended or the phase stops. In the strategy.
--- A slot is taken by open(all, slot), which starts a coroutine at once or later; who finds
--- that there are too many gives its own back (crowd.is_surplus) and returns.
---@param knob table   of load.knob
---@param open fun(all: table, slot: integer)
function Crowd:run(knob, open)
   local p = self.p
   self.knob, self.slots = knob, 0
   while p:running() do
      while self.slots < knob.value do
         self.slots, self.begun = self.slots + 1, self.begun + 1
         open(self, self.begun)
      end
      hand_out(self, p:results())
      wake(self)
      if self.slots >= knob.value then -- else a session has turned the knob
         if self.alive == 0 then return end
         local first = self.sleepers:first()
         p:wait(first and math.max(0, first - p.elapsed))
      end
   end
end

-- ---- inside its coroutines ----

local function check_inside(who, name)
   if coroutine.running() == who.task.co then return end
   where.fail(name .. " belongs in the session's own coroutine")
end

--- Sleep. Does not come back when the phase stops before.
function crowd.sleep(who, seconds)
   check_inside(who, "u:sleep()")
   who.steps = who.steps + 1
   coroutine.yield(SLEEP, seconds)
end

--- Ask for a request and wait for its result. Does not come back when the phase stops before.
---@return table result  a kept one
function crowd.request(who, asked)
   check_inside(who, "u:request()")
   who.steps = who.steps + 1
   local id, message, code = who.crowd.p:issue(asked)
   if not id and code ~= "ECLOSED" then where.fail("u:request: " .. message) end
   return coroutine.yield(ANSWER, id or -1) -- nothing has the id -1: the phase is over
end

--- Are there more than the knob says? Then the slot is given back, and the coroutine has to return.
---@return boolean
function crowd.is_surplus(who)
   local all = who.crowd
   if all.alive <= all.knob.value then return false end
   all.slots = all.slots - 1
   return true
end

--- Give up this coroutine; its function begins anew. Does not come back.
function crowd.anew(who)
   check_inside(who, "u:fail()")
   coroutine.yield(ANEW)
end

return crowd
