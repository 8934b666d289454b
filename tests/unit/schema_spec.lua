local schema = require "perigee.schema"
local opt = require "perigee.opt"
local support = require "tests.unit.support"

local FIELDS = {
   rate = schema.required(schema.positive),
   count = schema.count,
   wait = schema.duration,
   mode = schema.default(schema.one_of { "queue", "drop" }, "queue"),
   flag = schema.default(schema.boolean, false),
   urls = schema.either(schema.text, schema.list(schema.text, "a list of texts")),
}

describe("perigee.schema.check", function()
   it("normalises values and fills in defaults", function()
      local out = schema.check("here", FIELDS, { rate = 5, wait = "250ms", urls = { "a", "b" } })
      assert.same({ rate = 5, wait = 0.25, mode = "queue", flag = false, urls = { "a", "b" } }, out)
   end)

   it("lets a placeholder stand for any value", function()
      local placeholder = opt.placeholder "rate"
      assert.equal(placeholder, schema.check("here", FIELDS, { rate = placeholder }).rate)
      assert.equal(placeholder, schema.check("here", FIELDS, { rate = 1, urls = { placeholder } }).urls[1])
   end)

   it("refuses wrong fields with place, reason and the accepted values", function()
      local invalid = {
         { { rat = 5 }, "here: unknown field 'rat', did you mean 'rate'? (count, flag, mode, rate, urls, wait)" },
         { { rate = 5, zzzzzzz = 1 }, "here: unknown field 'zzzzzzz' (count" },
         { { 5 }, "here: unknown field 1" },
         { {}, "here: 'rate' is missing" },
         { { rate = 0 }, "here: rate: a finite number above 0 expected, got 0" },
         { { rate = -1 }, "got -1" },
         { { rate = math.huge }, "a finite number above 0" },
         { { rate = 0 / 0 }, "a finite number above 0" },
         { { rate = "5" }, "got '5'" },
         { { rate = 1, count = 1.5 }, "here: count: a whole number >= 1 expected, got 1.5" },
         { { rate = 1, count = 0 }, "a whole number >= 1 expected" },
         { { rate = 1, wait = "5 days" }, "here: wait: a duration above 0" },
         { { rate = 1, wait = 0 }, "here: wait: a duration above 0" },
         { { rate = 1, mode = "qeue" }, "one of 'queue', 'drop' (did you mean 'queue'?) expected, got 'qeue'" },
         { { rate = 1, flag = "yes" }, "here: flag: true or false expected, got 'yes'" },
         { { rate = 1, urls = {} }, "a string that is not empty or a list of texts expected, got an empty table" },
         { { rate = 1, urls = { "a", 5 } }, "a list of texts" },
         { "text", "here: a table expected, got 'text'" },
         { setmetatable({}, {}), "here: a table expected" },
      }
      for _, row in ipairs(invalid) do
         support.contains(row[2], support.refusal(schema.check, "here", FIELDS, row[1]))
      end
   end)

   it("points at the line of the caller, or at the place given", function()
      local message = support.refusal(function() schema.check("here", FIELDS, {}) end)
      assert.matches("schema_spec%.lua:%d+: here: 'rate' is missing", message)
      support.contains("file.lua:7: here:", support.refusal(schema.check, "here", FIELDS, {}, "file.lua:7"))
   end)
end)

describe("perigee.schema.namespace", function()
   it("refuses a name that it does not have", function()
      local space = schema.namespace("load", { poisson = true, burst = true })
      support.contains("load: unknown name 'poison', did you mean 'poisson'? (burst, poisson)",
         support.refusal(function() return space.poison end))
   end)
end)
