--- perigee: benchmarks of inference endpoints, written in Lua.
--- A script returns `perigee.scenario { ... }`; `perigee run FILE` plays it.
local api = require "perigee.api"
local checks = require "perigee.checks"
local engine = require "perigee.engine"
local interleave = require "perigee.interleave"
local metric = require "perigee.metric"
local opt = require "perigee.opt"
local phase = require "perigee.phase"
local scenario = require "perigee.scenario"
local where = require "perigee.where"

---@class perigee
---@field version string  of the program
---@field api integer  the number of this interface, see [libraries.md](libraries.md)
---@field load perigee.load  see [loads](#loads)
---@field order perigee.order  see [orders](#orders)
---@field dataset perigee.dataset  see [datasets](#datasets)
---@field target perigee.target  see [targets](#targets)
---@field metric perigee.metric  see [metrics of the script](#metrics-of-the-script)
---@field json perigee.json  see [JSON](#json)
---@field test perigee.test  a scenario on simulated time, see [testing.md](testing.md)
local perigee = {
   version = engine.version,
   api = api.NUMBER,
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

--- Go on only when this perigee has the interface that the script needs.
---@param need string|integer  ">= 2", or 2 alone
---@return perigee
function perigee.requires(need)
   api.demand(need, "perigee.requires")
   return perigee
end

--- A scenario, checked; a script returns one.
---@param definition perigee.Definition
---@return perigee.Scenario
function perigee.scenario(definition)
   return (scenario.new(definition))
end

--- Checks a phase where it is written, returns the table; plain tables in `phases` do as well.
---@param definition perigee.Phase
---@return perigee.Phase definition
function perigee.phase(definition)
   phase.check(1, definition)
   return definition
end

--- Phases of two sides or more that take turns, so that whatever changes with time meets all of them alike: the `phases` of a
--- scenario, or a part of them. Each is named after its side and round (`old.1`, `new.1`, `new.2`, `old.2`, ...); the sides of
--- a round share arrivals and order. `perigee compare` compares the sides; see [interleaved phases](#interleaved-phases).
---@param definition perigee.Interleaving
---@return perigee.Phase[]
function perigee.interleave(definition)
   return interleave.phases(definition)
end

--- Stands for the value of the command line option `--name`; replaces a whole value, cannot be joined to a string.
---@param name string  which `options` of the scenario declare
---@return any
function perigee.opt(name)
   return (opt.placeholder(name))
end

--- A function that judges numbers of a phase: do the [checks](#checks) hold?
---@param written string|function|(string|function)[]  one check, or a list of them
---@return fun(report: table): boolean, string judge  gets a report (`p:report()`, `window:report()`), returns whether all of
---   them hold, and what was found
function perigee.slo(written)
   return checks.holds(written, "perigee.slo")
end

--- A generator of random numbers, see [random numbers](#random-numbers).
---@param seed? number  (0) the same seed, the same numbers
---@param stream? number  (0) independent numbers for the same seed
---@return perigee.Rng
function perigee.rng(seed, stream)
   for _, v in ipairs { seed or 0, stream or 0 } do
      if type(v) ~= "number" then where.fail("perigee.rng: a number expected, got a " .. type(v)) end
   end
   return engine.rng(seed or 0, stream or 0)
end

return perigee
