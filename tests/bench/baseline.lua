--- What was measured before, in a file of the repository: how far the figures of today are from it, and whether they may be
--- compared at all.
local json = require("perigee_engine").json
local files = require "files"

local baseline = {}

--- A change of so much, in percent, may come from how the machine shared out its time: requests that came together are handled
--- in fewer turns. Two runs on a free machine differ by less than 2, one with a load of ten on each core counts 5 to 8 more.
baseline.NOISE = 5

local ALIKE = { "compiler", "luajit", "libcurl", "cpu" } -- what figures are of, beside perigee

--- What is in the file; without it nothing was measured before.
---@return { figures: table<string, number>, [string]: any }
function baseline.read(path)
   local kept = json.decode(files.read(path))
   return type(kept) == "table" and kept or { figures = {} }
end

--- Of what results.start() made, and the figures by their names.
---@return string path
function baseline.write(path, result, figures)
   local kept = {
      at = result.at, perigee = result.versions.perigee, cpu = result.cpu, load_1m = result.load_1m, command = result.command,
      figures = figures,
   }
   for _, name in ipairs { "compiler", "luajit", "libcurl" } do kept[name] = result.versions[name] end
   return files.write(path, json.encode(kept, 2) .. "\n")
end

--- "+1.2%", and whether it is beyond the noise: "more" or "less"; "-" for what is new.
---@param now number
---@param before? number
---@return string
function baseline.change(now, before)
   if not before then return "-" end
   local percent = 100 * (now / before - 1)
   local word = math.abs(percent) <= baseline.NOISE and "" or percent > 0 and "  more" or "  less"
   return ("%+.1f%%%s"):format(percent, word)
end

--- Lines on what the kept figures are of, and on what has changed beside perigee since: then a difference may be that one's.
---@return string[]
function baseline.remarks(kept, result)
   if not kept.at then return { "nothing was kept before" } end
   local lines = { ("kept on %s, of %s, at a load of %s; now it is %s"):format(
      kept.at:match "^[^T]+", kept.perigee, tostring(kept.load_1m), tostring(result.load_1m)) }
   for _, name in ipairs(ALIKE) do
      local now = name == "cpu" and result.cpu or result.versions[name]
      if now ~= kept[name] then
         lines[#lines + 1] = ("not alike: %s is %s, and was %s then: a change may be of that"):format(
            name, tostring(now), tostring(kept[name]))
      end
   end
   return lines
end

return baseline
