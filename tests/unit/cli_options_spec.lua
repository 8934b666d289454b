local options = require "perigee.cli.options"
local support = require "tests.unit.support"

local DEFINITIONS = {
   { name = "out", value = "DIR", help = "folder" },
   { name = "max-tokens", value = "N", type = "count", default = 5, help = "length" },
   { name = "wait", value = "S", type = "duration" },
   { name = "mode", value = "M", choices = { "auto", "none" } },
   { name = "header", value = "H", repeatable = true },
   { name = "quiet" },
   { name = "help" },
}

describe("perigee.cli.options", function()
   it("reads values, flags, repeated options and what stands alone", function()
      local args = { "a", "--out", "x", "--wait=250ms", "--quiet", "b", "--header", "1", "--header=2" }
      local values, positional = options.parse(args, DEFINITIONS)
      assert.same({ out = "x", wait = 0.25, quiet = true, header = { "1", "2" }, max_tokens = 5 }, values)
      assert.same({ "a", "b" }, positional)
   end)

   it("takes - and _ in names as the same", function()
      assert.equal(7, options.parse({ "--max_tokens", "7" }, DEFINITIONS).max_tokens)
      assert.equal(8, options.parse({ "--max-tokens=8" }, DEFINITIONS).max_tokens)
   end)

   it("takes everything after -- as it stands", function()
      local _, positional = options.parse({ "--", "--out", "-x" }, DEFINITIONS)
      assert.same({ "--out", "-x" }, positional)
   end)

   it("takes a value that looks like an option, an empty one, and flags with a value", function()
      assert.equal("--quiet", options.parse({ "--out", "--quiet" }, DEFINITIONS).out)
      assert.equal("", options.parse({ "--out=" }, DEFINITIONS).out)
      assert.is_false(options.parse({ "--quiet=false" }, DEFINITIONS).quiet)
      assert.is_true(options.parse({ "-h" }, DEFINITIONS).help)
   end)

   it("takes true or false behind a flag of type boolean only", function()
      local flag = { { name = "fast", type = "boolean" }, { name = "quiet" } }
      assert.same({ fast = false }, (options.parse({ "--fast", "false" }, flag)))
      assert.same({ fast = true, quiet = true }, (options.parse({ "--fast", "--quiet" }, flag)))
      assert.same({ fast = true }, (options.parse({ "--fast" }, flag)))
      local values, positional = options.parse({ "--fast", "FILE", "--quiet", "false" }, flag)
      assert.is_true(values.fast)
      assert.is_true(values.quiet)
      assert.same({ "FILE", "false" }, positional)
   end)

   it("stops after the positional arguments that were asked for", function()
      local args = { "--quiet", "--header", "1", "--out", "a", "FILE", "--out", "b", "--header", "2" }
      local values, positional, at = options.read({}, args, DEFINITIONS, 1, 1)
      assert.same({ quiet = true, header = { "1" }, out = "a" }, values)
      assert.same({ "FILE" }, positional)
      assert.equal(7, at)
      options.fill_defaults(assert(options.read(values, args, DEFINITIONS, at)), DEFINITIONS)
      assert.same({ quiet = true, header = { "1", "2" }, out = "b", max_tokens = 5 }, values)
   end)

   it("takes a reader of its own, for the default, too", function()
      local definitions = { { name = "size", value = "S", default = "big", read = function(text)
         return ({ big = 10, small = 0 })[text], "big or small"
      end } }
      assert.equal(0, options.parse({ "--size", "small" }, definitions).size)
      assert.equal(10, options.parse({}, definitions).size)
      local values, message = options.parse({ "--size=x" }, definitions)
      assert.is_nil(values)
      assert.equal("option --size: big or small expected, got 'x'", message)
   end)

   it("refuses with the reason", function()
      local invalid = {
         { { "--otu", "x" }, "unknown option --otu, did you mean --out?" },
         { { "--zzzzzzz" }, "unknown option --zzzzzzz" },
         { { "-x" }, "unknown option -x" },
         { { "--out" }, "option --out: a value is missing (DIR)" },
         { { "--max-tokens", "x" }, "option --max-tokens: a whole number >= 0 expected, got 'x'" },
         { { "--wait=fast" }, "option --wait: a duration" },
         { { "--mode", "live" }, "option --mode: one of auto, none expected, got 'live'" },
         { { "--quiet=maybe" }, "option --quiet: true or false expected, got 'maybe'" },
      }
      for _, row in ipairs(invalid) do
         local values, message = options.parse(row[1], DEFINITIONS)
         assert.is_nil(values)
         support.contains(row[2], message)
      end
   end)

   it("shows its definitions in columns", function()
      assert.equal("  --out DIR       folder\n  --max-tokens N  length (default 5)\n  --x             ",
         options.help { DEFINITIONS[1], DEFINITIONS[2], { name = "x" } })
   end)
end)
