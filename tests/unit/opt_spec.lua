local opt = require "perigee.opt"
local spec = require "perigee.spec"
local schema = require "perigee.schema"
local support = require "tests.unit.support"

describe("perigee.opt declarations", function()
   it("take the type from the default, or as given", function()
      assert.same({
         { name = "calls", default = 3, help = "calls", type = "count" },
         { name = "fast", default = false, help = "", type = "boolean" },
         { name = "key", help = "no default", type = "string" },
         { name = "rate", default = 5, help = "requests per second", type = "number" },
         { name = "wait", default = 0.25, help = "pause", type = "duration" },
      }, opt.declarations {
         rate = { 5, "requests per second" }, wait = { "250ms", "pause", "duration" }, fast = { false },
         calls = { 3, "calls", "count" }, key = { nil, "no default", "string" },
      })
   end)

   it("refuse what is none", function()
      local invalid = {
         { { ["bad name"] = { 1, "" } }, "letters, digits and _" },
         { { [1] = { 1, "" } }, "letters, digits and _" },
         { { rate = 5 }, "scenario.options.rate: { default, \"help\" [, type] } expected, got number" },
         { { rate = { 5, 6 } }, "the help text must be a string" },
         { { rate = {} }, "needs a type" },
         { { rate = { 5, "", "float" } }, "unknown type 'float'" },
         { { rate = { {}, "" } }, "unknown type 'table'" },
         { { rate = { "x", "", "number" } }, "default: a number expected, got 'x'" },
         { { n = { 1.5, "", "count" } }, "default: a whole number >= 0 expected" },
      }
      for _, row in ipairs(invalid) do support.contains(row[2], support.refusal(opt.declarations, row[1])) end
   end)
end)

describe("perigee.opt values", function()
   local list = opt.declarations {
      rate = { 5, "" }, model = { "m", "" }, fast = { false, "" }, wait = { 1, "", "duration" },
   }

   it("are the defaults where nothing is given", function()
      assert.same({ rate = 5, model = "m", fast = false, wait = 1 }, opt.values(list, {}))
   end)

   it("are converted from text to the option's type", function()
      assert.same({ rate = 2.5, model = "7", fast = true, wait = 0.1 },
         opt.values(list, { rate = "2.5", model = "7", fast = "true", wait = "100ms" }))
   end)

   it("are refused with the option's name and type", function()
      local invalid = {
         { { rate = "fast" }, "option --rate: a number expected, got 'fast'" },
         { { rate = "nan" }, "option --rate: a number expected" },
         { { fast = "maybe" }, "option --fast: true or false expected, got 'maybe'" },
         { { wait = "5 apples" }, "option --wait: a duration" },
         { { rat = "5" }, "unknown option --rat, did you mean --rate?" },
         { { zzzzzz = "5" }, "unknown option --zzzzzz" },
      }
      for _, row in ipairs(invalid) do
         local values, message = opt.values(list, row[1])
         assert.is_nil(values)
         support.contains(row[2], message)
      end
   end)
end)

describe("perigee.opt placeholders", function()
   local make = spec.constructor {
      family = "load", kind = "probe", positional = { "rate" }, fields = { rate = schema.required(schema.positive) },
      build = function(args) return args.rate end,
   }

   it("are replaced wherever they stand, objects keep their identity", function()
      local shared = make(opt.placeholder "rate")
      local tree = { a = { b = { opt.placeholder "model" } }, first = shared, second = shared, fn = print }
      local out = opt.substitute(tree, function(p) return p.name == "rate" and 7 or "m" end)
      assert.equal("m", out.a.b[1])
      assert.equal(7, out.first:build())
      assert.equal(out.first, out.second)
      assert.equal(print, out.fn)
      assert.is_true(opt.is(tree.a.b[1]))
   end)

   it("leave objects without placeholders and cycles as they are", function()
      local literal, cycle = make(3), {}
      cycle.self = cycle
      local out = opt.substitute({ literal = literal, cycle = cycle }, error)
      assert.equal(literal, out.literal)
      assert.equal(out.cycle, out.cycle.self)
   end)

   it("have their values checked like literal ones", function()
      local bad = { load = make(opt.placeholder "rate") }
      assert.matches("opt_spec.lua:%d+: load.probe: rate: a finite number above 0 expected, got %-1",
         support.refusal(opt.substitute, bad, function() return -1 end))
   end)

   it("are refused when no option of the name is declared", function()
      local message = support.refusal(opt.require_declared, { opt.placeholder "ulr" }, opt.declarations { url = { "x", "" } })
      assert.matches("opt_spec.lua:%d+: perigee.opt 'ulr': .*did you mean 'url'%?", message)
   end)

   it("cannot be joined to strings", function()
      support.contains("whole value", support.refusal(function() return "http://" .. opt.placeholder "host" end))
   end)
end)
