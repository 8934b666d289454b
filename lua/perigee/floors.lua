--- How many values a claim about a percentile takes.
local floors = {}

-- The fewest values of which a claim about the percentile p can be made with the confidence c = 0.99: the least n with
-- P(no more than one of n is above the percentile) < 1 - c, where each is above with 1 - p. Roughly 6.64 / (1 - p). It is the
-- floor of MLPerf's LoadGen: mlcommons/inference, loadgen/early_stopping.cc; engine/metrics/early_stopping computes it.
local ROWS = { { 50, 11 }, { 90, 64 }, { 95, 130 }, { 99, 662 }, { 99.9, 6636 } }

--- The percentiles that are told, from the lowest: 50 to 99.9.
floors.PERCENTILES = {}

local by_percentile, by_name = {}, {}
for i, row in ipairs(ROWS) do
   floors.PERCENTILES[i] = row[1]
   by_percentile[row[1]], by_name["p" .. row[1]] = row[2], row[2]
end

--- The fewest values for a percentile; nil: it is none of those.
---@param percentile number  99
---@return integer?
function floors.of(percentile)
   return by_percentile[percentile]
end

--- What stands before a statistic in a table: "~" when it is a percentile of too few values.
---@param name string   of the statistic, "p99"
---@param count number  of values
---@return string
function floors.mark(name, count)
   return by_name[name] and count < by_name[name] and "~" or ""
end

--- What the mark means, for what stands below a table.
floors.LEGEND = "~ fewer values than a claim takes:"
for _, row in ipairs(ROWS) do floors.LEGEND = ("%s p%s %d,"):format(floors.LEGEND, row[1], row[2]) end
floors.LEGEND = floors.LEGEND:sub(1, -2)

return floors
