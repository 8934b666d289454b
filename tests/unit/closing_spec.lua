local closing = require "perigee.cli.closing"
local support = require "tests.unit.support"

local function result(changes)
   local summary = { verdict = "ok", failures = {}, warnings = {}, phases = {}, checks = {} }
   local r = { exit_code = 0, problems = {}, summary = summary }
   for name, value in pairs(changes or {}) do
      if name == "exit_code" or name == "problems" then r[name] = value else summary[name] = value end
   end
   return r
end

local function check(text, passed, detail)
   return { check = text, passed = passed, detail = detail }
end

describe("perigee.cli.closing", function()
   it("quotes words so that a shell reads them back", function()
      local words = { "plain", "a b", "it's", "$HOME", "", "*", "--rate=5", "a\nb", "`x`", "ü", "a;b", "~", "#" }
      local quoted = {}
      for i, word in ipairs(words) do quoted[i] = closing.quote(word) end
      local pipe = assert(io.popen("printf '%s\\1' " .. table.concat(quoted, " ")))
      assert.equal(table.concat(words, "\1") .. "\1", pipe:read "*a")
      pipe:close()
      assert.same({ "plain", "--rate=5" }, { quoted[1], quoted[7] })
   end)

   it("shows the command without its secrets, however short they are", function()
      local plan = { phases = {}, options = { api_key = "k" } }
      for _, row in ipairs {
         { "chat.lua --api-key '[redacted]' --rate 5", { "chat.lua", "--api-key", "k", "--rate", "5" } },
         { "chat.lua '--api-key=[redacted]'", { "chat.lua", "--api-key=k" } },
         { "a.lua --url 'http://[redacted]@host/x y'", { "a.lua", "--url", "http://me:pw@host/x y" } },
      } do assert.equal("perigee run " .. row[1], closing.command(row[2], plan)) end
   end)

   it("says why the exit status is what it is", function()
      local one = { { name = "p", checks = { check("a < 1", true), check("b < 1", false, "2") } } }
      for _, row in ipairs {
         { {}, "every phase ran" },
         { { checks = { check("a < 1", true) } }, "its check holds" },
         { { checks = { check("a < 1", true), check("c < 1", true) } }, "all 2 checks hold" },
         { { verdict = "failed", exit_code = 3, phases = one }, "phase 'p': the check 'b < 1' does not hold (2)" },
         { { verdict = "failed", exit_code = 3, phases = one, checks = { check("c < 1", false) } },
            "phase 'p': the check 'b < 1' does not hold (2), and 1 more" },
         { { verdict = "failed", exit_code = 1, failures = { "first", "second" } }, "first, and 1 more" },
         { { verdict = "failed", exit_code = 2, failures = { "boom" } }, "an error of the script, see above" },
         { { verdict = "ok", exit_code = 1, problems = { "out/x: disk full" } }, "out/x: disk full" },
         { { verdict = "interrupted", exit_code = 130 }, "SIGINT came" },
         { { verdict = "interrupted", exit_code = 143 }, "SIGTERM came" },
         { { verdict = "client_limited" }, "perigee itself was a limit of what it measured, see the warnings" },
      } do assert.equal(row[2], closing.reason(result(row[1]))) end
   end)

   it("names what was exported, and lets no check steer the terminal", function()
      local r = result { verdict = "failed", checks = { check("x", false, "a\27[2Jb") } }
      r.exported, r.exit_code = { "summary.csv", "vllm-p.json" }, 3
      local lines = closing.text(r, { out = "/nowhere", words = { "a.lua" }, plan = { phases = {}, options = {} } })
      assert.equal("         also there: summary.csv, vllm-p.json\ncommand: perigee run a.lua\n"
         .. "verdict: failed, exit status 3: the check 'x' does not hold (a?[2Jb)\n", lines)
   end)

   it("names each file that a run may write", function()
      for _, name in ipairs { "server.jsonl", "sample_idx_map.json" } do
         local _, folder = support.file(name, "{}")
         local text = closing.text(result(), { out = folder, words = { "a.lua" }, plan = { phases = {}, options = {} } })
         assert.equal("         also there: " .. name, text:match "^[^\n]+")
         support.clean()
      end
   end)

   it("names the files that are there", function()
      local path, folder = support.file("summary.json", "{}")
      local other = support.file("checks.xml", "")
      local text = closing.text(result(), {
         out = folder, files = { other, folder .. "/none" }, words = { "a.lua" }, plan = { phases = {}, options = {} },
      })
      assert.equal(("files:   %s\n         %s\n"):format(path, other) ..
         "command: perigee run a.lua\nverdict: ok, exit status 0: every phase ran\n", text)
      support.clean()
   end)
end)
