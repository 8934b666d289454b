--- Scenarios: what a script returns. Checked when made; resolved with the options of
--- a run to a plan, a plain table without placeholders.
local api = require "perigee.api"
local checks = require "perigee.checks"
local interleave = require "perigee.interleave"
local opt = require "perigee.opt"
local phase = require "perigee.phase"
local schema = require "perigee.schema"
local scrape = require "perigee.scrape.fields"
local where = require "perigee.where"
local workers = require "perigee.workers"

local scenario = {}

--- What a script returns: checked, and played by `perigee run`.
---@class perigee.Scenario
local Scenario = {}
local Scenario_mt = { __name = "perigee.scenario", __index = Scenario }

function Scenario_mt.__tostring(self)
   return "scenario '" .. tostring(self.name) .. "'"
end

--- The fields of a scenario.
---@class perigee.Definition: perigee.Inherited
---@field name? string  (the file's name) of the run; names the folder of the results
---@field api? string|integer  the least `perigee.api` that it needs, `">= 1"`; an older program refuses it, see
---   [libraries.md](libraries.md)
---@field options? table<string, table>  `{ name = { default, "help" [, type] } }` becomes `--name`; types: `string`, `number`,
---   `count` (whole, >= 0), `duration`, `boolean`; `_` in a name may be written `-`. An option without a default needs a type and
---   must be given. One that no `perigee.opt` names is an error, but where `setup` or `teardown` may read it
---@field phases? perigee.Phase[]  run one after another; without it the scenario is one performance phase named `performance`
---@field overall? (string|perigee.Check|fun(run: table): boolean?, string?)[]  of the whole run, see [checks](#checks)
---@field seed? number  (0) of everything drawn: orders and schedules are the same for the same seed
---@field handler_timeout? perigee.Duration  (5 s) a call of the script during the run that does not return for so long is
---   interrupted, see [below](#calls-that-do-not-return)
---@field setup_timeout? perigee.Duration  (5 min) the same for `setup` and `teardown`
---@field workers? integer  (by processors and load) threads for HTTP, 0 to 64, see [workers](#workers)
---@field scrape? string|string[]|perigee.Scrape  pages for Prometheus that are read while the run lasts, see
---   [prometheus.md](prometheus.md#the-servers-side)
---@field setup? fun(run: perigee.Run)  before anything starts
---@field teardown? fun(run: perigee.Run, summary: table?)  at the end, with the same `run`; not when `setup` failed. `summary` is
---   nil when the run could not start

--- What `setup` and `teardown` get.
---@class perigee.Run
---@field scenario string  its name
---@field options table<string, any>  their values by name
---@field seed number  of the run
---@field out? string  the folder of the results
local FIELDS = {
   api = schema.any, name = schema.text, options = schema.table, phases = schema.table, seed = schema.number,
   overall = schema.table, workers = workers.checker, scrape = schema.any, setup = schema.func, teardown = schema.func,
   -- What does not return for so long is interrupted: calls while the session runs; setup and teardown.
   handler_timeout = schema.default(schema.duration, 5), setup_timeout = schema.default(schema.duration, 300),
}
for field, check in pairs(phase.INHERITED) do FIELDS[field] = check end

-- Without `phases` a scenario is one performance phase.
local function check_phases(written, place)
   if written == nil then return { phase.check(1, { "performance" }, place) } end
   local list, seen = {}, {}
   for key in pairs(written) do
      if type(key) ~= "number" then
         where.fail(("scenario.phases: a list of phases expected, found the field %s"):format(schema.show(key)), place)
      end
   end
   for i, entry in ipairs(written) do
      local checked = phase.check(i, entry, place)
      if seen[checked.name] then
         where.fail(("scenario.phases[%d]: a phase named '%s' exists already"):format(i, tostring(checked.name)), place)
      end
      seen[checked.name], list[i] = true, checked
   end
   if #list == 0 then where.fail("scenario.phases: at least one phase expected", place) end
   schema.no_holes("scenario.phases", written, place)
   return list
end

-- Check everything; the normalised fields, with effective phases.
local function check(definition, place)
   -- First: of what a newer interface has, the fields are unknown here.
   if type(definition) == "table" and definition.api ~= nil then api.demand(definition.api, "scenario.api", place) end
   local fields = schema.check("scenario", FIELDS, definition, place)
   phase.check_inner("scenario", fields, place)
   checks.compile(fields.overall, "scenario.overall", place, true)
   if fields.scrape ~= nil then fields.scrape = scrape.check("scenario.scrape", fields.scrape, place) end
   fields.phases = check_phases(fields.phases, place)
   local with_users = false
   for i, own in ipairs(fields.phases) do
      fields.phases[i] = phase.effective(fields, own, i, place)
      with_users = with_users or fields.phases[i].load.kind == "users"
   end
   if fields.session and not with_users then where.fail("scenario: session: no phase has load.users, which calls it", place) end
   return fields
end

--- Make a scenario.
---@param definition table
---@param derived? boolean  by scenario:with, which may leave an option without use
function scenario.new(definition, derived)
   local place = where.caller()
   local fields = check(definition, place)
   local declarations = opt.declarations(fields.options)
   fields.options = nil
   opt.require_declared(fields, declarations)
   -- setup and teardown get the values of all.
   if not (derived or fields.setup or fields.teardown) then opt.require_used(fields, declarations, place) end
   return setmetatable({
      name = fields.name or "scenario", definition = definition, declarations = declarations, fields = fields, place = place,
   }, Scenario_mt)
end

function scenario.is(value)
   return getmetatable(value) == Scenario_mt
end

local function is_plain(t)
   return type(t) == "table" and not getmetatable(t) and t[1] == nil
end

local function merge(base, changes)
   if not (is_plain(base) and is_plain(changes)) then return changes end
   local result = {}
   for k, v in pairs(base) do result[k] = v end
   for k, v in pairs(changes) do result[k] = merge(base[k], v) end
   return result
end

local function named(entry)
   local copy = {}
   for k, v in pairs(entry) do copy[k] = v end
   if copy.name == nil then copy.name, copy[1] = copy[1], nil end
   return copy
end

-- Phases of the same name are merged, others come after.
local function merge_phases(base, changes)
   local list, at = {}, {}
   for i, entry in ipairs(base or {}) do
      list[i] = named(entry)
      at[list[i].name] = i
   end
   for i, entry in ipairs(changes) do
      if type(entry) ~= "table" then where.fail(("scenario:with: phases[%d]: a table expected, got a %s"):format(i, type(entry))) end
      local change = named(entry)
      local known = change.name ~= nil and at[change.name]
      if known then
         list[known] = merge(list[known], change)
      else
         list[#list + 1] = change
      end
   end
   return list
end

--- A new scenario: this one with changes. Tables are merged, lists are replaced, phases of the same name are merged and
--- others are added at the end.
---@param changes perigee.Definition
---@return perigee.Scenario
function Scenario:with(changes)
   if not is_plain(changes) then where.fail("scenario:with: a table of changes expected, got " .. schema.show(changes)) end
   local definition = merge(self.definition, changes)
   if type(changes.phases) == "table" then
      definition.phases = merge_phases(self.definition.phases, changes.phases)
   end
   return scenario.new(definition, true)
end

---@private
--- The plan of a run: options and defaults filled in, datasets loaded.
---@param given? table<string, any>  option values or texts by name
---@return table? plan  { name, seed, workers, options, phases, setup, teardown }
---@return string? message  what is wrong with an option
function Scenario:resolve(given)
   local values, message = opt.values(self.declarations, given or {})
   if not values then return nil, message end
   local definition = opt.substitute(self.fields, function(placeholder)
      local value = values[placeholder.name]
      if value == nil then where.fail(("option --%s is needed: it has no default"):format(placeholder.name), self.place) end
      return value
   end)
   local fields = check(definition, self.place)
   for i, own in ipairs(fields.phases) do phase.complete(own, i, self.place) end
   interleave.share_draws(fields.phases)
   return {
      name = self.name, seed = fields.seed or 0, workers = fields.workers, scrape = fields.scrape, options = values, phases = fields.phases,
      overall = checks.compile(fields.overall, "scenario.overall", self.place, true),
      setup = fields.setup, teardown = fields.teardown,
      handler_timeout = fields.handler_timeout, setup_timeout = fields.setup_timeout,
   }
end

return scenario
