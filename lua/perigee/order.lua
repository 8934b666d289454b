--- Sample orders: which sample comes next. Nothing here knows about time.
local schema = require "perigee.schema"
local spec = require "perigee.spec"
local where = require "perigee.where"

-- Each kind's build(args, { n =, rng = }) returns next(i) -> index | nil for request i.
local function kind(name, positional, fields, build)
   return spec.constructor { family = "order", kind = name, positional = positional, fields = fields, build = build }
end

local function cycle(indices)
   local n = #indices
   return function(i) return indices[(i - 1) % n + 1] end
end

-- Draw k with probability weights[k] / their sum.
local function draw(weights, rng)
   local sums, total = {}, 0
   for k, w in ipairs(weights) do
      total = total + w
      sums[k] = total
   end
   return function()
      local x, low, high = rng:uniform() * total, 1, #sums
      while low < high do
         local middle = math.floor((low + high) / 2)
         if sums[middle] > x then high = middle else low = middle + 1 end
      end
      return low
   end
end

local orders = {}

--- 1, 2, ... n, and again.
orders.sequential = kind("sequential", {}, {}, function(_, context)
   local n = context.n
   return function(i) return (i - 1) % n + 1 end
end)

--- Each sample once per epoch, shuffled anew for each. A step of the shuffle (Fisher and Yates) with each
--- request: shuffling a large dataset at once would make the first request of an epoch late.
orders.shuffle = kind("shuffle", {}, {}, function(_, context)
   local n, rng, indices = context.n, context.rng, {}
   for k = 1, n do indices[k] = k end
   local at = 0
   return function()
      at = at % n + 1
      local other = rng:int(at, n)
      indices[at], indices[other] = indices[other], indices[at]
      return indices[at]
   end
end)

--- Any sample each time, with replacement.
orders.random = kind("random", {}, {}, function(_, context)
   local n, rng = context.n, context.rng
   return function() return rng:int(1, n) end
end)

local function in_dataset(kind_name, index, n, place)
   if index > n then where.fail(("order.%s: there is no sample %d, the dataset has %d"):format(kind_name, index, n), place) end
end

--- Always the same sample.
---@param index integer  of the sample, from 1
orders.single = kind("single", { "index" }, { index = schema.required(schema.count) }, function(args, context, place)
   in_dataset("single", args.index, context.n, place)
   return function() return args.index end
end)

--- These samples in turn, and again; a plain table of indices means the same.
---@param indices integer[]  of samples, from 1
orders.list = kind("list", { "indices" }, {
   indices = schema.required(schema.list(schema.count, "a list of indices (whole numbers >= 1)")),
}, function(args, context, place)
   for _, index in ipairs(args.indices) do in_dataset("list", index, context.n, place) end
   return cycle(args.indices)
end)

--- A function says which; a plain function means the same.
---@param fn fun(i: integer, n: integer, rng: perigee.Rng): integer?  gets the number of the request, the number of samples and
---   random numbers; returns the index of a sample, nil ends the phase
orders.custom = kind("custom", { "fn" }, { fn = schema.required(schema.func) }, function(args, context)
   return function(i) return args.fn(i, context.n, context.rng) end
end)

local function weight(v)
   return schema.number(v) and v >= 0, v
end

--- Sample k with a probability in proportion to weights[k].
---@param weights number[]  one for each sample, at least 0
orders.weighted = spec.constructor {
   family = "order", kind = "weighted", positional = { "weights" },
   fields = { weights = schema.required(schema.list(weight, "a list of numbers >= 0")) },
   check = function(args)
      if type(args.weights) ~= "table" or getmetatable(args.weights) then return nil end
      local total = 0
      for _, w in ipairs(args.weights) do total = total + (tonumber(w) or 1) end
      if total <= 0 then return "the weights add up to 0" end
   end,
   build = function(args, context, place)
      if #args.weights ~= context.n then
         where.fail(("order.weighted: %d weights for %d samples"):format(#args.weights, context.n), place)
      end
      return draw(args.weights, context.rng)
   end,
}

--- Sample k with a probability in proportion to 1 / k^exponent.
---@param exponent? number  (1) above 0; the higher, the more of it goes to the first samples
orders.zipf = kind("zipf", { "exponent" }, { exponent = schema.default(schema.positive, 1) }, function(args, context)
   local weights = {}
   for k = 1, context.n do weights[k] = k ^ -args.exponent end
   return draw(weights, context.rng)
end)

local order = schema.namespace("order", orders)
local internal = {}

--- A schema checker: an order, a table of indices or a function; normalised to an order.
function internal.checker(v)
   if spec.is(v, "order") then return true, v end
   for name, constructor in pairs(orders) do
      if v == constructor then return false, ("order.%s is a function that makes an order, order.%s(); an order"):format(name, name) end
   end
   if type(v) == "function" then return true, orders.custom(v) end
   if type(v) == "table" and not getmetatable(v) and #v > 0 then return true, orders.list(v) end
   return false, "an order (perigee.order.*), a list of indices or a function"
end

--- next(i) -> index | nil, with what an order gives checked against 1..n.
---@param s table    a spec of the family order
---@param n integer  number of samples
---@param rng table
function internal.iterator(s, n, rng)
   local following = s:build { n = n, rng = rng }
   return function(i)
      local index = following(i)
      if index == nil then return nil end
      if type(index) ~= "number" or index ~= math.floor(index) or index < 1 or index > n then
         where.fail(("order.%s: request %d asks for sample %s; a whole number in 1..%d expected"):format(
            s.kind, i, schema.show(index), n), s.args.fn and where.of(s.args.fn) or s.place)
      end
      return index
   end
end

return { public = order, checker = internal.checker, iterator = internal.iterator }
