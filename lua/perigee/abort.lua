--- Watches the checks that may end a run (abort = true), while it runs and at the end of each phase.
local engine = require "perigee.engine"
local metric = require "perigee.metric"
local summary = require "perigee.report.summary"

local json = engine.json

local abort = {}
local Watch = {}
local Watch_mt = { __name = "perigee.abort", __index = Watch }

--- A watcher of so many phases. `details` gets the check that ended the run, and why.
---@param phases integer
function abort.new(phases)
   return setmetatable({ phases = phases, details = {} }, Watch_mt)
end

local function able(planned)
   local list = {}
   for _, check in ipairs(planned.checks) do
      if check.abort then list[#list + 1] = check end
   end
   return list
end

--- The function to call about once a second; nil when no check of the phase may end the run.
---@param planned table  phase of the plan
---@return (fun(p: table))?
function Watch:looker(planned)
   if able(planned)[1] then return function() self:look() end end
end

function Watch:start(p, planned)
   self.phase, self.checks, self.last = p, able(planned), planned.number == self.phases
   self.seen = {}
end

--- The checks of the phase as of the last look: { text, passed (nil before the first), detail }.
---@return { text: string, passed?: boolean, detail?: string }[]
function Watch:states()
   local list = {}
   for i, check in ipairs(self.checks or {}) do
      local seen = self.seen[check] or {}
      list[i] = { text = check.text, passed = seen.passed, detail = seen.detail }
   end
   return list
end

-- The phase so far, as it would stand in summary.json.
local function summary_of(p, report)
   return summary.phase(report, nil, metric.values(report.name), p.conclusion and json.decode(p.conclusion))
end

--- Ends the run when a check has data and does not hold.
function Watch:look()
   local p, report = self.phase, nil
   for _, check in ipairs(self.checks) do
      if next(self.details) then return end -- one is enough
      if p.elapsed >= check.after then
         report = report or p:report()
         local passed, detail, script_error = check.test(report, summary_of(p, report))
         if script_error then error(script_error, 0) end
         self.seen[check] = { passed = passed, detail = detail }
         if passed == false then
            self.details[check] = detail or "does not hold"
            p.session:stop "check"
         end
      end
   end
end

--- The phase is over: may another one begin?
function Watch:finish()
   if not self.last then self:look() end
end

return abort
