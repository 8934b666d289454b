--- Users: each runs the phase's function `session` in a coroutine of its own, again and again.
local conversation = require "perigee.load.conversation"
local crowd = require "perigee.load.crowd"
local define = require "perigee.load.define"
local knob = require "perigee.load.knob"
local schema = require "perigee.schema"
local user = require "perigee.load.user"
local where = require "perigee.where"

-- Time would stand still: nothing was waited for since the session before began.
local function check_steps(u)
   if u.iteration > 0 and u.steps == u.steps_before and u.shared.iterations == math.huge then
      where.fail("the session came back without a request or a sleep: it would be called without end",
         where.of(u.shared.session))
   end
   u.steps_before = u.steps
end

-- One session after the other. A session that is given up ends the coroutine, and this begins anew.
local function play(u)
   local shared = u.shared
   while u.iteration < shared.iterations and not crowd.is_surplus(u) do
      check_steps(u)
      u.iteration = u.iteration + 1
      shared.counters.started:inc()
      shared.session(u)
      shared.counters.completed:inc()
   end
end

---@class perigee.UsersOptions: perigee.FailureOptions
---@field ramp? perigee.Duration  the users begin one after another in this time, else all at once
---@field iterations? integer  sessions of each user, after which the phase ends; without it each begins a new one until the phase
---   stops

--- Closed: users at once, each a coroutine that runs the phase's `session` again and again.
---@param n integer  users
---@param opts? perigee.UsersOptions
return define.closed("users", { "n" }, {
   n = schema.required(schema.count), ramp = schema.duration, iterations = schema.count,
   on_failure = conversation.FIELDS.on_failure, retries = conversation.FIELDS.retries,
   retry_after = conversation.FIELDS.retry_after,
}, function(args, context)
   local shared = {
      rules = args, context = context, session = context.session, counters = conversation.counters(),
      iterations = args.iterations or math.huge,
   }
   local n = knob.concurrency(args.n)
   return {
      results = true, texts = true, asks = true, knobs = n.knobs, identity = { session = context.session },
      strategy = function(p)
         crowd.new(p):run(n, function(all, id)
            local begins = id <= args.n and (args.ramp or 0) * (id - 1) / args.n or 0
            all:start(math.max(begins, p.elapsed), "user " .. id, play, user.new(id, p, shared))
         end)
      end,
   }
end, function() conversation.counters() end)
