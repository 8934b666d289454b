local schema = require "perigee.schema"
local spec = require "perigee.spec"
local support = require "tests.unit.support"

describe("perigee.spec constructors", function()
   local pair = spec.constructor {
      family = "load", kind = "pair", positional = { "a", "b" }, options = true,
      fields = { a = schema.required(schema.number), b = schema.number, c = schema.text },
      build = function(args, context) return { args.a, args.b, args.c, context.seed } end,
   }

   it("take leading arguments and a table of options", function()
      assert.same({ 1, 2, "x", 9 }, pair(1, 2, { c = "x" }):build { seed = 9 })
      assert.same({ 1 }, pair(1):build())
   end)

   it("refuse a wrong call", function()
      for _, row in ipairs {
         { { 1, 2, {}, 4 }, "load.pair: at most 3 arguments expected, got 4" },
         { { 1, 2, 3 }, "load.pair: a table of options expected, got 3" },
         { { 1, 2, { a = 1 } }, "load.pair: 'a' is given twice" },
         { { 1, 2, { d = 1 } }, "load.pair: unknown field 'd'" },
         { { }, "load.pair: 'a' is missing" },
      } do
         support.contains(row[2], support.refusal(pair, unpack(row[1])))
      end
   end)

   it("show their kind and arguments", function()
      assert.equal("pair(1, 2, c=x)", tostring(pair(1, 2, { c = "x" })))
   end)

   it("know their family", function()
      assert.is_true(spec.is(pair(1), "load"))
      assert.is_false(spec.is(pair(1), "order"))
      assert.is_false(spec.is({}, "load"))
      assert.is_false((spec.of "order"(pair(1))))
   end)
end)
