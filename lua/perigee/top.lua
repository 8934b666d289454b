--- The view of `perigee top`: what a snapshot shows, as the frame of a live view, as text or as one line.
local frame = require "perigee.live.frame"
local remaining = require "perigee.live.remaining"
local text = require "perigee.text"
local units = require "perigee.units"

local top = {}
local Top = {}
local Top_mt = { __name = "perigee.top", __index = Top }

local RATE_WINDOW = 1 -- seconds over which the rate of a line is taken
local STATE_COLOURS = { running = "green", ended = "green", interrupted = "yellow", incomplete = "red" }
local MS = 1e6 -- ns
local ENOUGH = 1000 -- columns and lines of a frame that nothing bounds

--- A view that has seen nothing yet.
function top.new()
   return setmetatable({ ended = {} }, Top_mt)
end

-- A number of JSON, where null is no number.
local function number(v)
   return type(v) == "number" and v or nil
end

local function table_of(v)
   return type(v) == "table" and v or nil
end

local function count_ended(snapshot)
   local n = 0
   for _, p in ipairs(snapshot.phases) do n = n + p.completed + p.failed + p.abandoned + p.cancelled end
   return n
end

--- Take the next snapshot into account: the rate is over at least the last second.
function Top:see(snapshot)
   self.snapshot = snapshot
   local now, ended = snapshot.monotonic_s, count_ended(snapshot)
   local mark = self.mark
   if not mark or ended < mark.ended or now < mark.at then
      self.mark, self.rate = { at = now, ended = ended }, nil
   elseif now - mark.at >= RATE_WINDOW then
      self.rate = (ended - mark.ended) / (now - mark.at)
      self.mark = { at = now, ended = ended }
   end
end

-- The phase that runs, else the last one.
local function current(snapshot)
   local last, at
   for i, p in ipairs(snapshot.phases) do
      last, at = p, i
      if p.name == snapshot.phase then return p, i end
   end
   return last, at
end

-- { p50 =, ... } in ns of a distribution of a snapshot, in ms.
local function percentiles(d)
   if not table_of(d) then return nil end
   return { p50 = d.p50 * MS, p90 = d.p90 * MS, p99 = d.p99 * MS }
end

local function losses(received)
   local parts = {}
   for _, name in ipairs { "missing", "corrupt", "lost_frames", "duplicate", "uncounted" } do
      if (received[name] or 0) > 0 then parts[#parts + 1] = ("%d %s"):format(received[name], (name:gsub("_", " "))) end
   end
   return table.concat(parts, ", ")
end

local function goal_of(s, p, rate)
   local goals = table_of(s.goal) or {}
   local wanted = { requests = number(goals.requests), duration = number(goals.duration_s) }
   local found = remaining.of(wanted, { elapsed = p.duration_s, issued = p.issued, rate = rate })
   if not found then return nil end
   return {
      share = found.share, left = s.state == "running" and found.left or nil,
      text = found.rule == "requests" and ("%d of %d requests"):format(p.issued, wanted.requests)
         or ("%s of %s"):format(units.seconds(p.duration_s), units.seconds(wanted.duration)),
   }
end

local function rows(p, recent)
   local list = {}
   for _, name in ipairs { "latency", "ttft", "tpot", "itl" } do
      local whole, late = percentiles(p[name .. "_ms"]), percentiles(recent and recent[name .. "_ms"])
      if whole or name == "latency" then list[#list + 1] = { name, recent = late, whole = whole } end
   end
   return list
end

-- null is a gap.
local function in_ns(list)
   local out = {}
   for i, v in ipairs(list) do out[i] = number(v) and v * MS or false end
   return out
end

--- What is shown of the latest snapshot.
---@return table  of perigee.live.frame
function Top:model()
   local s = self.snapshot
   local p, at = current(s)
   local lost = losses(s.received)
   local m = {
      title = "session " .. (type(s.session_id) == "string" and s.session_id:sub(1, 8) or "-"),
      state = s.state, state_colour = STATE_COLOURS[s.state], in_flight = s.in_flight, lost = lost ~= "" and lost or nil,
      counts = { issued = 0, completed = 0, failed = 0 },
   }
   if not p then return m end
   local recent = table_of(s.recent)
   m.name, m.number, m.elapsed = p.name, at, p.duration_s
   m.counts = { issued = p.issued, completed = p.completed, failed = p.failed + p.abandoned + p.cancelled, dropped = p.dropped }
   m.recent_s = recent and recent.seconds
   m.done = recent and recent.qps or number(p.qps)
   m.sent = recent and recent.rate_delivered_per_s
   m.tokens = number(recent and recent.output_tokens_per_s or p.output_tokens_per_s)
   m.goal = goal_of(s, p, m.sent)
   m.rows, m.errors = rows(p, recent), p.errors
   if recent then m.rates, m.p99s = recent.series.qps, in_ns(recent.series.latency_p99_ms) end
   return m
end

-- { p50 =, p99 = } in ns, for the line of an ended phase.
local function summarised(p)
   return {
      name = p.name, issued = p.issued, duration_s = p.duration_s, qps = number(p.qps), failed = p.failed + p.abandoned,
      errors = p.errors, end_reason = type(p.end_reason) == "string" and p.end_reason or nil,
      latency = percentiles(p.latency_ms), ttft = percentiles(p.ttft_ms),
   }
end

--- The lines of the phases that have ended since the last call, as one text.
---@param width? integer  columns
---@return string
function Top:finished(width)
   local s, lines = self.snapshot, {}
   for i, p in ipairs(s.phases) do
      if p.name ~= s.phase and not self.ended[i] then
         self.ended[i] = true
         lines[#lines + 1] = frame.finished(summarised(p), width) .. "\n"
      end
   end
   return table.concat(lines)
end

--- All of it as plain text, without any steering: the phases that have ended, then the frame.
---@param blocks boolean  block characters, else ASCII
---@return string
function Top:text(blocks)
   local parts = { self:finished() }
   for _, l in ipairs(frame.lines(self:model(), ENOUGH, ENOUGH, { blocks = blocks })) do
      parts[#parts + 1] = frame.text(l, false) .. "\n"
   end
   return table.concat(parts)
end

local function milliseconds(d, name)
   d = table_of(d)
   return d and number(d[name]) and units.ns(d[name] * MS) or "-"
end

-- "http_429 7, timeout 2"
local function error_list(errors)
   local names, parts = {}, {}
   for name in pairs(errors) do names[#names + 1] = name end
   table.sort(names, function(a, b)
      if errors[a] ~= errors[b] then return errors[a] > errors[b] end
      return a < b
   end)
   for i, name in ipairs(names) do parts[i] = ("%s %d"):format(text.clean(name), errors[name]) end
   return table.concat(parts, ", ")
end

--- One plain line: for a pipe or a file.
function Top:line()
   local s = self.snapshot
   local p = current(s)
   if not p then return ("%s  events %d"):format(text.clean(s.state), s.received.records) end
   local errors, lost = error_list(p.errors), losses(s.received)
   local goal = goal_of(s, p)
   local rate = self.rate or number(p.qps)
   return ("%s  %s  %s  issued %d  done %d  failed %d  in flight %d  %s  latency p50 %s p99 %s  ttft p50 %s p99 %s%s%s"):format(
      text.clean(s.state), text.clean(p.name), goal and goal.text or units.seconds(p.duration_s), p.issued, p.completed, p.failed,
      s.in_flight, rate and units.number(rate) .. "/s" or "-",
      milliseconds(p.latency_ms, "p50"), milliseconds(p.latency_ms, "p99"),
      milliseconds(p.ttft_ms, "p50"), milliseconds(p.ttft_ms, "p99"),
      errors ~= "" and "  errors " .. errors or "", lost ~= "" and "  lost " .. lost or "")
end

return top
