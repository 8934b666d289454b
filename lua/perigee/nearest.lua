--- Which of the names that exist was meant by one that does not.

-- Edit distance where two neighbours that changed places count once ("laod").
local function distance(a, b)
   local rows = { [0] = {} }
   for j = 0, #b do rows[0][j] = j end
   for i = 1, #a do
      local row, above = { [0] = i }, rows[i - 1]
      for j = 1, #b do
         local cost = a:byte(i) == b:byte(j) and 0 or 1
         row[j] = math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost)
         if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
            row[j] = math.min(row[j], rows[i - 2][j - 2] + 1)
         end
      end
      rows[i] = row
   end
   return rows[#a][#b]
end

--- The name closest to `word`, or nil when none is close enough to be a slip.
---@param word string
---@param names string[]
---@return string?
local function nearest(word, names)
   local best, best_distance
   for _, name in ipairs(names) do
      local d = distance(word:lower(), name:lower())
      if not best_distance or d < best_distance then best, best_distance = name, d end
   end
   if best and best_distance <= math.max(1, math.floor(#best / 3)) then return best end
   return nil
end

return nearest
