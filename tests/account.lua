--- Whether the files of a run add up: what every run that began must leave, however it ended.
local drive = require "drive"

local account = {}

local function count_lines(dir)
   local by_phase = {}
   for _, line in ipairs(drive.jsonl(dir .. "/requests.jsonl")) do
      local lines = by_phase[line.phase] or { ok = 0, errors = {} }
      by_phase[line.phase] = lines
      if line.ok then
         lines.ok = lines.ok + 1
      else
         local class = line.error == "http" and "http_" .. line.http_status or line.error
         lines.errors[class] = (lines.errors[class] or 0) + 1
      end
   end
   return by_phase
end

local function sum(counts)
   local total = 0
   for _, n in pairs(counts) do total = total + n end
   return total
end

--- Each issued request has ended once, and summary.json and requests.jsonl tell the same of it.
---@param r table  what drive.run returned, with the summary and the folder
function account.balance(r)
   assert(r.summary, "no summary.json: " .. r.err)
   local by_phase = count_lines(r.dir)
   for _, phase in ipairs(r.summary.phases) do
      local lines = by_phase[phase.name] or { ok = 0, errors = {} }
      local bad = phase.failed + phase.abandoned + phase.cancelled
      local told = ("phase '%s': "):format(phase.name)
      assert(phase.issued == phase.completed + bad, told .. "issued is not the sum of its ends")
      assert(sum(phase.errors) == bad, told .. "the error classes do not add up")
      assert(lines.ok == phase.completed, told .. "requests.jsonl has another number of successes")
      for class, n in pairs(phase.errors) do
         assert(lines.errors[class] == n, ("%s%s: %s in requests.jsonl, %s in the summary"):format(told, class, lines.errors[class], n))
      end
      assert(sum(lines.errors) == bad, told .. "requests.jsonl has another number of failures")
   end
end

return account
