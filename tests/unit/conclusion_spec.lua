--- What a strategy concluded, as texts.
local conclusion = require "perigee.report.conclusion"
local engine = require "perigee.engine"
local report_table = require "perigee.report.table"

describe("a conclusion", function()
   it("is its text, and its steps in columns", function()
      local text, columns, rows = conclusion.told {
         text = "9/s", columns = { "rate", "passed", "why" },
         steps = { { rate = 2.25, passed = true }, { rate = 3, passed = false, why = "late" } },
      }
      assert.same({ "9/s", { "rate", "passed", "why" }, { { "2.25", "yes", "-" }, { "3", "no", "late" } } }, { text, columns, rows })
   end)

   it("is all of it without a text", function()
      assert.same({ '{"found":4}', {}, {} }, { conclusion.told { found = 4 } })
      assert.equal("2", (conclusion.told(2)))
   end)

   it("may have any shape", function()
      for _, found in ipairs { { text = "t", columns = 5, steps = 5 }, { text = "t", columns = { "a" }, steps = 5 },
         { text = "t", columns = { "a", { 1 } }, steps = { 1, "b", {}, { a = { 2 } } } }, { text = { 1 } }, { text = engine.json.null },
         true, "text" } do
         local phase = {
            name = "p", kind = "performance", issued = 0, completed = 0, failed = 0, duration_s = 1, errors = {}, finish_reasons = {},
            tags = {}, metrics = {}, checks = {}, conclusion = found,
         }
         local text = report_table.render { scenario = "s", verdict = "ok", failures = {}, warnings = {}, phases = { phase }, checks = {} }
         assert.truthy(text:find("  conclusion: ", 1, true))
      end
   end)
end)
