--- The view of `perigee top`: a snapshot as lines, and lines as one write.
local units = require "perigee.units"

local top = {}
local Top = {}
local Top_mt = { __name = "perigee.top", __index = Top }

local RATE_WINDOW = 1 -- seconds over which the shown rate is taken
local BAR = 24 -- characters
local RED, GREEN, YELLOW, BOLD, PLAIN = "\27[31m", "\27[32m", "\27[33m", "\27[1m", "\27[0m"
local STATE_COLOURS = { running = GREEN, ended = GREEN, interrupted = YELLOW, incomplete = RED }

local DISTRIBUTIONS = {
   { "latency", "latency_ms" }, { "ttft", "ttft_ms" }, { "tpot", "tpot_ms" }, { "itl", "itl_ms" },
}
local QUANTILES = { "p50", "p90", "p95", "p99", "max" }

--- options: colour.
function top.new(options)
   return setmetatable({ colour = options.colour, drawn = 0 }, Top_mt)
end

-- Names come from outside: nothing in them may steer the terminal.
local function clean(text)
   return (tostring(text):gsub("[%c\127]", "?"))
end

-- A number of JSON, where null is no number.
local function number(v)
   return type(v) == "number" and v or nil
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
   local last
   for _, p in ipairs(snapshot.phases) do
      last = p
      if p.name == snapshot.phase then return p end
   end
   return last
end

local function milliseconds(v)
   return number(v) and units.ns(v * 1e6) or "-"
end

local function rate_text(self, phase)
   local rate = self.rate or phase and number(phase.qps)
   return rate and units.number(rate) .. "/s" or "-"
end

local function paint(self, colour, text)
   return self.colour and colour and { colour, text } or text
end

local function phase_line(snapshot, p)
   local running = p.name == snapshot.phase
   return ("%-20s %-12s %9s %9d %9d %7d %7d %9s"):format(
      clean(p.name), running and "running" or clean(p.end_reason), units.seconds(p.duration_s),
      p.issued, p.completed, p.failed, p.dropped, number(p.qps) and units.number(p.qps) or "-")
end

local function distribution_line(name, d)
   local cells = { ("%-10s"):format(name) }
   for _, q in ipairs(QUANTILES) do cells[#cells + 1] = ("%10s"):format(milliseconds(type(d) == "table" and d[q])) end
   return table.concat(cells)
end

-- { timeout = 2, http_429 = 7 } -> "http_429 7, timeout 2"
local function error_list(p)
   local names, parts = {}, {}
   for name in pairs(p.errors) do names[#names + 1] = name end
   table.sort(names, function(a, b)
      if p.errors[a] ~= p.errors[b] then return p.errors[a] > p.errors[b] end
      return a < b
   end)
   for i, name in ipairs(names) do parts[i] = ("%s %d"):format(clean(name), p.errors[name]) end
   return table.concat(parts, ", ")
end

-- What the phase is to reach, as a share of it; nil when nothing bounds it.
local function progress(snapshot, p)
   local goals = type(snapshot.goal) == "table" and snapshot.goal or {}
   local requests, seconds = number(goals.requests), number(goals.duration_s)
   local share = math.max(requests and p.issued / requests or 0, seconds and p.duration_s / seconds or 0)
   if not (requests or seconds) then return nil end
   return math.min(1, share), requests and ("%d of %d requests"):format(p.issued, requests)
      or ("%s of %s"):format(units.seconds(p.duration_s), units.seconds(seconds))
end

local function progress_line(snapshot, p)
   local share, text = progress(snapshot, p)
   if not share then return nil end
   local full = math.floor(share * BAR + 0.5)
   return ("%-10s[%s%s] %s"):format(clean(p.name), ("#"):rep(full), ("."):rep(BAR - full), text)
end

local function losses(received)
   local parts = {}
   for _, name in ipairs { "missing", "corrupt", "lost_frames", "duplicate", "uncounted" } do
      if (received[name] or 0) > 0 then parts[#parts + 1] = ("%d %s"):format(received[name], (name:gsub("_", " "))) end
   end
   return table.concat(parts, ", ")
end

--- The lines of a frame; each a text, or { colour, text }.
---@return (string|string[])[]
function Top:lines()
   local s = self.snapshot
   local p = current(s)
   local lines = { paint(self, STATE_COLOURS[s.state], ("perigee top   %s   session %s"):format(
      clean(s.state), type(s.session_id) == "string" and clean(s.session_id):sub(1, 8) or "-")) }
   local function add(text, colour) lines[#lines + 1] = paint(self, colour, text) end
   local lost = losses(s.received)
   add(("events %d%s"):format(s.received.records, lost ~= "" and "   LOST: " .. lost or ""), lost ~= "" and RED)
   if not p then return lines end
   add(("rate %s   in flight %d   output tokens %s/s"):format(rate_text(self, p), s.in_flight,
      number(p.output_tokens_per_s) and units.number(p.output_tokens_per_s) or "-"))
   local bar = progress_line(s, p)
   if bar then add(bar) end
   add("")
   add(("%-10s%10s%10s%10s%10s%10s"):format(clean(p.name):sub(1, 10), unpack(QUANTILES)), BOLD)
   for _, d in ipairs(DISTRIBUTIONS) do
      if type(p[d[2]]) == "table" or d[1] == "latency" then add(distribution_line(d[1], p[d[2]])) end
   end
   local errors = error_list(p)
   if errors ~= "" then add("errors    " .. errors, RED) end
   add("")
   add(("%-20s %-12s %9s %9s %9s %7s %7s %9s"):format(
      "phase", "state", "time", "issued", "done", "failed", "dropped", "rate/s"), BOLD)
   for _, phase in ipairs(s.phases) do add(phase_line(s, phase)) end
   return lines
end

-- The first `width` columns, without cutting a character of UTF-8 in two.
local function cut(text, width)
   local columns, at = 0, 1
   while at <= #text do
      local byte = text:byte(at)
      local size = byte < 0x80 and 1 or byte < 0xe0 and 2 or byte < 0xf0 and 3 or 4
      if columns == width then break end
      columns, at = columns + 1, at + size
   end
   return text:sub(1, at - 1)
end

--- A frame as one text that redraws the one before in its place. The terminal's last
--- column and row stay free, so that nothing wraps or scrolls.
---@param width integer
---@param height integer
---@return string
function Top:frame(width, height)
   local lines = self:lines()
   local count = math.max(1, math.min(#lines, height - 1))
   local parts = { self.drawn > 0 and ("\27[%dA\r"):format(self.drawn) or "" }
   for i = 1, count do
      local line = lines[i]
      local colour, text = type(line) == "table" and line[1], type(line) == "table" and line[2] or line
      text = cut(text, width - 1)
      parts[#parts + 1] = (colour and colour .. text .. PLAIN or text) .. "\27[K\n"
   end
   parts[#parts + 1] = "\27[J"
   self.drawn = count
   return table.concat(parts)
end

--- The frame as plain text, without any steering.
function Top:text()
   local parts = {}
   for i, line in ipairs(self:lines()) do parts[i] = (type(line) == "table" and line[2] or line) .. "\n" end
   return table.concat(parts)
end

--- One plain line: for a pipe or a file.
function Top:line()
   local s = self.snapshot
   local p = current(s)
   if not p then return ("%s  events %d"):format(clean(s.state), s.received.records) end
   local latency, ttft = p.latency_ms, p.ttft_ms
   local errors, lost = error_list(p), losses(s.received)
   local share, goal = progress(s, p)
   return ("%s  %s  %s  issued %d  done %d  failed %d  in flight %d  %s  latency p50 %s p99 %s  ttft p50 %s p99 %s%s%s"):format(
      clean(s.state), clean(p.name), share and goal or units.seconds(p.duration_s), p.issued, p.completed, p.failed, s.in_flight,
      rate_text(self, p),
      milliseconds(type(latency) == "table" and latency.p50), milliseconds(type(latency) == "table" and latency.p99),
      milliseconds(type(ttft) == "table" and ttft.p50), milliseconds(type(ttft) == "table" and ttft.p99),
      errors ~= "" and "  errors " .. errors or "", lost ~= "" and "  lost " .. lost or "")
end

return top
