--- The value of a key of a summary: JSON's null, which stands for what is absent, becomes nil.
local null = require("perigee.engine").json.null

---@generic T
---@param v T
---@return T?
local function present(v)
   if v == null then return nil end
   return v
end

return present
