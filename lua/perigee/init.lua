--- perigee: benchmarks of inference endpoints, written in Lua.
--- A script returns `perigee.scenario { ... }`; `perigee run FILE` plays it.
local checks = require "perigee.checks"
local engine = require "perigee.engine"
local metric = require "perigee.metric"
local opt = require "perigee.opt"
local phase = require "perigee.phase"
local scenario = require "perigee.scenario"
local where = require "perigee.where"

local perigee = {
   version = engine.version,
   json = engine.json,
   load = require "perigee.load",
   order = require("perigee.order").public,
   dataset = require("perigee.dataset").public,
   target = require "perigee.target",
   metric = metric.public,
}

-- What only tests need is loaded when they ask for it.
setmetatable(perigee, { __index = function(self, name)
   if name ~= "test" then return nil end
   self.test = require "perigee.test"
   return self.test
end })

--- Make a scenario.
---@param definition table
function perigee.scenario(definition)
   return (scenario.new(definition))
end

--- Check a phase on its own, where it is written; `phases` takes plain tables as well.
---@param definition table
---@return table definition
function perigee.phase(definition)
   phase.check(1, definition)
   return definition
end

--- The value of a command line option, which `options` of the scenario declares.
---@param name string
function perigee.opt(name)
   return (opt.placeholder(name))
end

--- A function that judges numbers of a phase (p:report(), window:report()): do the checks hold?
---@param written string|function|(string|function)[]  as in `checks`
---@return fun(report: table): boolean, string  and what was found
function perigee.slo(written)
   return checks.holds(written, "perigee.slo")
end

--- A generator of random numbers: uniform, int, exponential, normal, lognormal, gamma, poisson.
---@param seed? number
---@param stream? number  independent numbers for the same seed
function perigee.rng(seed, stream)
   for _, v in ipairs { seed or 0, stream or 0 } do
      if type(v) ~= "number" then where.fail("perigee.rng: a number expected, got a " .. type(v)) end
   end
   return engine.rng(seed or 0, stream or 0)
end

return perigee
