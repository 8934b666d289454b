--- Phases that take turns, so that whatever changes with time meets all sides alike.
local phase = require "perigee.phase"
local schema = require "perigee.schema"
local where = require "perigee.where"

local interleave = {}

local ROUNDS = 6

--- What takes turns: a phase for each side, and how often. The first side is the baseline.
---@class perigee.Interleaving
---@field [integer] perigee.Phase  two at least; its name is the side's
---@field rounds? integer  (6) how often each side has its turn, at least 2; an even number puts each side first as often as last

-- "old.3" of side "old" in round 3.
local function turn(side, round)
   local fields = {}
   for key, value in pairs(side) do fields[key] = value end
   local name = fields.name or fields[1]
   fields.name, fields[1], fields.side = ("%s.%d"):format(name, round), nil, name
   return fields
end

local function check_sides(definition)
   local names = {}
   for i, side in ipairs(definition) do
      local checked = phase.check(i, side)
      if checked.side then where.fail(("perigee.interleave: side '%s': its side is its name"):format(checked.name)) end
      if names[checked.name] then where.fail(("perigee.interleave: a side named '%s' exists already"):format(checked.name)) end
      names[checked.name] = true
   end
   if #definition < 2 then where.fail(("perigee.interleave: two sides at least expected, got %d"):format(#definition)) end
end

local function check(definition)
   if type(definition) ~= "table" or getmetatable(definition) then
      where.fail("perigee.interleave: a table of sides expected, got " .. schema.show(definition))
   end
   schema.no_holes("perigee.interleave", definition)
   local options = {}
   for key, value in pairs(definition) do
      if type(key) ~= "number" then options[key] = value end
   end
   options = schema.check("perigee.interleave", { rounds = schema.default(schema.count, ROUNDS) }, options)
   if type(options.rounds) ~= "number" or options.rounds < 2 then
      where.fail("perigee.interleave: rounds: a whole number >= 2 expected, got " .. schema.show(options.rounds))
   end
   check_sides(definition)
   return options
end

--- Phases of the sides in turns: in odd rounds in their order, in even ones backwards (a b, b a, a b ...), so that a
--- steady drift weighs on all sides alike.
---@param definition table
---@return table[] phases
function interleave.phases(definition)
   local options, list = check(definition), {}
   for round = 1, options.rounds do
      local first, last, step = 1, #definition, 1
      if round % 2 == 0 then first, last, step = last, first, -1 end
      for i = first, last, step do list[#list + 1] = phase.check(#list + 1, turn(definition[i], round)) end
   end
   return list
end

--- Which phases are of one round: the k-th of each side. Each gets in `draws_as` the number of the first of its round,
--- whose random numbers it shares: all sides of a round have the same arrivals and samples.
---@param phases table[]  of a plan, with their numbers; changed
function interleave.share_draws(phases)
   local rounds, first = {}, {}
   for _, p in ipairs(phases) do
      if p.side then
         local round = (rounds[p.side] or 0) + 1
         rounds[p.side], first[round] = round, first[round] or p.number
         p.draws_as = first[round]
      end
   end
end

return interleave
