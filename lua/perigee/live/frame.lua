--- The live view of one moment as lines that fit: pure, of `perigee run` and `perigee top` alike.
local chart = require "perigee.live.chart"
local text = require "perigee.text"
local units = require "perigee.units"

local frame = {}

-- What a frame shows, a model; what is nil is left out. Times in seconds, percentiles in ns, rates per second.
--   title             the scenario or the session
--   state             said behind it when it is not the plain case: "draining"; state_colour, else yellow
--   name, number, of  of the phase, and of how many; elapsed: of the phase
--   goal              { share =, text =, left = (nil: not known) }; run_left: of the whole run
--   done, sent, asked, tokens  per second of late; in_flight: now
--   counts            { issued =, completed =, failed =, dropped = } of the phase
--   recent_s          how many seconds "of late" are
--   rows              list of { name, recent = { p50 =, p90 =, p99 = }, whole = likewise of the phase }
--   late              { count =, worst_ns = } of arrivals that the client issued late
--   rates, p99s       lists over time, false for a gap: requests that succeeded per second, 99th percentile of the latency
--   errors            count by class
--   checks            list of { text =, passed = (nil before a look), detail = }, of those that may end the run
--   lost              what is missing of the events, as text

local LABEL = 9          -- columns
local WIDEST = 100       -- a frame is not stretched beyond
local TABLE_CELL = 9     -- columns of a percentile
local SPARK = 60         -- columns at most
local SPARK_WORDS = 16   -- columns behind it
local SHORTEST_BAR = 8   -- columns
local MOST_CHECKS = 4
local PERCENTILES = { "p50", "p90", "p99" }

-- A part of a line is { text, colour, columns }, the latter where they are known. A line is a list of parts with a rank:
-- where there is no room the highest go first.
local function line(rank, ...)
   return { rank = rank, ... }
end

local function per_second(x, unit)
   return units.number(x) .. (unit or "") .. "/s"
end

local function header(m, width)
   local l = line(1, { text.cut(text.clean(m.title), math.max(10, math.floor(width / 3))), "bold" })
   if m.name then
      local number = m.of and m.of > 1 and ("phase %d of %d "):format(m.number, m.of) or "phase "
      local room = math.max(8, math.floor(width / 2) - #number)
      l[#l + 1] = { number .. text.cut(text.clean(m.name), room) }
   end
   if m.state then l[#l + 1] = { text.clean(m.state), m.state_colour or "yellow" } end
   if m.elapsed then l[#l + 1] = { units.seconds(m.elapsed) } end
   return l
end

-- The bar takes what its words leave.
local function progress(m, width, options)
   if not m.goal then return nil end
   local words = { { ("%3d%%"):format(math.floor(m.goal.share * 100)) }, { m.goal.text } }
   if m.goal.left then table.insert(words, 2, { units.seconds(m.goal.left) .. " left", "bold" }) end
   if m.run_left then words[#words + 1] = { "run " .. units.seconds(m.run_left) .. " left" } end
   local l, taken = line(1), 0
   for _, word in ipairs(words) do taken = taken + 2 + #word[1] end
   while #words > 1 and taken > width - SHORTEST_BAR do taken = taken - 2 - #table.remove(words)[1] end
   local frame_columns = options.blocks and 0 or 2
   local room = math.max(0, width - taken - frame_columns)
   local bar = chart.bar(m.goal.share, room, options.blocks)
   l[1] = { options.blocks and bar or "[" .. bar .. "]", m.state and "yellow" or "green", room + frame_columns }
   for _, word in ipairs(words) do l[#l + 1] = word end
   return l
end

local function rates(m)
   local l = line(2, { text.fill("rate", LABEL - 2), "dim" })
   l[#l + 1] = { "done " .. (m.done and per_second(m.done) or "-"), "bold" }
   l[#l + 1] = { ("in flight %d"):format(m.in_flight) }
   if m.sent then l[#l + 1] = { "sent " .. per_second(m.sent) } end
   if m.asked then l[#l + 1] = { "asked " .. per_second(m.asked) } end
   if m.tokens then l[#l + 1] = { "output " .. per_second(m.tokens, " tokens") } end
   return l
end

local function counts(m)
   local c = m.counts
   local l = line(6, { text.fill("count", LABEL - 2), "dim" }, { ("issued %d"):format(c.issued) })
   l[#l + 1] = { ("completed %d"):format(c.completed) }
   l[#l + 1] = { ("failed %d"):format(c.failed), c.failed > 0 and "red" or nil }
   if (c.dropped or 0) > 0 then l[#l + 1] = { ("dropped %d"):format(c.dropped), "yellow" } end
   return l
end

-- Cells of one group of percentiles as one part.
local function cells(values)
   local parts = {}
   for i, name in ipairs(PERCENTILES) do
      local v = values and values[name]
      parts[i] = text.fill(v and units.ns(v) or "-", TABLE_CELL, true)
   end
   return table.concat(parts)
end

-- The percentiles of late, and beside them those of the phase when there is room.
local function percentiles(m, lines)
   if not (m.rows and m.rows[1]) then return end
   local has_recent = m.recent_s ~= nil
   local group = #PERCENTILES * TABLE_CELL
   local function row(rank, label, recent, whole, colour)
      local l = line(rank, { text.fill(label, LABEL - 2), "dim" })
      if has_recent then l[#l + 1] = { recent, colour } end
      l[#l + 1] = { whole, colour }
      lines[#lines + 1] = l
   end
   local names = {}
   for i, name in ipairs(PERCENTILES) do names[i] = text.fill(name, TABLE_CELL, true) end
   local heads = table.concat(names)
   if has_recent then
      local late = ("last %d s"):format(math.max(1, math.floor(m.recent_s + 0.5)))
      row(5, "", text.fill(late, group, true), text.fill("phase", group, true), "dim")
   end
   row(3, "", heads, heads, "dim")
   for i, r in ipairs(m.rows) do row(i == 1 and 3 or 4, r[1], cells(r.recent), cells(r.whole)) end
end

local function lateness(m)
   if not m.late then return nil end
   local l = line(8, { text.fill("late", LABEL - 2), "dim" })
   l[2] = { ("%d of %d issued more than 1 ms late"):format(m.late.count, m.counts.issued), m.late.count > 0 and "yellow" or nil }
   if m.late.worst_ns > 0 then l[3] = { "worst " .. units.ns(m.late.worst_ns) } end
   return l
end

local function spark(label, values, width, options, show, colour)
   if not (values and values[2]) then return nil end
   local columns = math.max(1, math.min(SPARK, #values, width - LABEL - SPARK_WORDS))
   local drawn, highest = chart.spark(values, columns, options.blocks)
   if not highest then return nil end
   return line(7, { text.fill(label, LABEL - 2), "dim" }, { drawn, colour, columns }, { "max " .. show(highest), "dim" })
end

-- Most first, each with its count.
local function errors(m)
   local names = {}
   for name in pairs(m.errors or {}) do names[#names + 1] = name end
   if not names[1] then return nil end
   table.sort(names, function(a, b)
      if m.errors[a] ~= m.errors[b] then return m.errors[a] > m.errors[b] end
      return a < b
   end)
   local l = line(2, { text.fill("errors", LABEL - 2), "red" })
   for _, name in ipairs(names) do l[#l + 1] = { ("%s %d"):format(text.clean(name), m.errors[name]), "red" } end
   return l
end

-- What fails stands first.
local function checks(m, lines)
   local shown = 0
   for _, failing in ipairs { true, false } do
      for _, check in ipairs(m.checks or {}) do
         if (check.passed == false) == failing and shown < MOST_CHECKS then
            shown = shown + 1
            local word = check.passed == nil and "-" or check.passed and "pass" or "FAIL"
            lines[#lines + 1] = line(failing and 3 or 6, { text.fill(shown == 1 and "checks" or "", LABEL - 2), "dim" },
               { text.fill(word, 4), failing and "red" or check.passed and "green" or nil }, { text.clean(check.text) },
               check.detail and { text.clean(check.detail) } or nil)
         end
      end
   end
end

local function all_lines(m, width, options)
   local lines = {}
   local function add(l) lines[#lines + 1] = l end
   add(header(m, width))
   add(progress(m, width, options))
   if m.lost then add(line(1, { "LOST", "red" }, { m.lost, "red" })) end
   add(line(9, { "" }))
   add(rates(m))
   add(counts(m))
   add(lateness(m))
   add(errors(m))
   checks(m, lines)
   add(line(9, { "" }))
   percentiles(m, lines)
   add(line(9, { "" }))
   add(spark("rate", m.rates, width, options, per_second, "cyan"))
   add(spark("p99", m.p99s, width, options, units.ns, "magenta"))
   return lines
end

-- Whole lines go, those of the highest rank first and of these the last.
local function drop_to(lines, height)
   while #lines > height do
      local worst = #lines
      for i = #lines, 1, -1 do
         if lines[i].rank > lines[worst].rank then worst = i end
      end
      table.remove(lines, worst)
   end
   return lines
end

-- Parts that fit, two blanks between them: a number cut in two would be another one. Only the first is cut.
local function fit(l, width)
   local kept, columns = {}, 0
   for i, part in ipairs(l) do
      local size = part[3] or text.width(part[1])
      local room = width - columns - (i > 1 and 2 or 0)
      if size > room then
         if i == 1 then kept[1] = { text.cut(part[1], width), part[2] } end
         break
      end
      kept[i], columns = part, width - room + size
   end
   return kept
end

--- The lines of a frame: lists of parts { text, colour }, to be written with two blanks between them.
---@param m table  a model
---@param width integer   columns that may be used
---@param height integer  lines
---@param options { blocks: boolean }
---@return { [1]: string, [2]: string? }[][]
function frame.lines(m, width, height, options)
   width = math.min(width, WIDEST)
   local lines = drop_to(all_lines(m, width, options), height)
   for i, l in ipairs(lines) do lines[i] = fit(l, width) end
   return lines
end

local CODES = {
   bold = "\27[1m", dim = "\27[2m", red = "\27[31m", green = "\27[32m", yellow = "\27[33m", magenta = "\27[35m", cyan = "\27[36m",
}

--- One line as text, with colours or plain.
---@param parts { [1]: string, [2]: string? }[]
---@param colour boolean
---@return string
function frame.text(parts, colour)
   local pieces = {}
   for i, part in ipairs(parts) do
      local code = colour and CODES[part[2]]
      pieces[i] = code and code .. part[1] .. "\27[0m" or part[1]
   end
   return (table.concat(pieces, "  "):gsub(" +$", ""))
end

--- The one line that stays of a phase: what it did and how it ended.
---@param p table  name, issued, duration_s, qps, failed, errors, end_reason; latency and ttft: { p50 =, p99 = } in ns
---@param width? integer  columns; what does not fit is left out, the least important first
---@return string
function frame.finished(p, width)
   local l = { { text.clean(p.name) }, { ("%d requests in %s"):format(p.issued, units.seconds(p.duration_s)) } }
   if p.failed > 0 then
      local of_class = errors { errors = p.errors }
      local list = {}
      for i = 2, of_class and #of_class or 0 do list[i - 1] = of_class[i][1] end
      l[#l + 1] = { ("failed %d%s"):format(p.failed, list[1] and " (" .. table.concat(list, ", ") .. ")" or "") }
   end
   if p.qps then l[#l + 1] = { per_second(p.qps) } end
   for _, name in ipairs { "latency", "ttft" } do
      local d = p[name]
      if d and d.p50 then l[#l + 1] = { ("%s p50 %s p99 %s"):format(name, units.ns(d.p50), units.ns(d.p99)) } end
   end
   if p.end_reason and p.end_reason ~= "" then l[#l + 1] = { "ended by " .. text.clean(p.end_reason) } end
   return frame.text(width and fit(l, width) or l, false)
end

return frame
