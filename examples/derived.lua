-- A scenario made from another one: its steady phase is longer, and there is a condition.
local quickstart = require "quickstart"

return quickstart:with {
   name = "derived",
   phases = { { "steady", requests = 400 } },
   checks = { "error_rate < 1%" },
}
