--- What a terminal can, by the environment: whether it is one, may be steered, has colours and block characters.
local engine = require "perigee.engine"

local terminal = {}

-- An empty variable is as good as none.
local function value_of(env, name)
   local value = env(name)
   return value ~= "" and value or nil
end

local function is_on(value)
   return value ~= nil and value ~= "0" and value ~= "false"
end

-- The first that is set decides.
local function locale(env)
   return value_of(env, "LC_ALL") or value_of(env, "LC_CTYPE") or value_of(env, "LANG") or ""
end

-- NO_COLOR is the last word, then come those that force.
local function has_colour(env, steered)
   if value_of(env, "NO_COLOR") then return false end
   if is_on(value_of(env, "FORCE_COLOR")) or is_on(value_of(env, "CLICOLOR_FORCE")) then return true end
   return steered and env "CLICOLOR" ~= "0" and env "FORCE_COLOR" ~= "0"
end

--- Look at a descriptor. `steered`: the cursor can be moved there; `watched`: somebody looks, it is no CI job.
---@param fd integer
---@param env? fun(name: string): string?   os.getenv, or a test's
---@param is_terminal? boolean               for tests
---@return { steered: boolean, watched: boolean, colour: boolean, blocks: boolean }
function terminal.look(fd, env, is_terminal)
   env = env or os.getenv
   if is_terminal == nil then is_terminal = engine.isatty(fd) end
   local kind = value_of(env, "TERM")
   local steered = is_terminal and kind ~= nil and kind ~= "dumb"
   return {
      steered = steered,
      watched = steered and not is_on(value_of(env, "CI")),
      colour = has_colour(env, steered),
      blocks = kind ~= "dumb" and locale(env):lower():find "utf%-?8" ~= nil,
   }
end

--- A function that asks for columns and rows each time: a terminal may be resized.
---@param fd integer
---@return fun(): integer, integer
function terminal.size_of(fd)
   return function()
      local _, columns, rows = engine.isatty(fd)
      return columns > 0 and columns or 80, rows > 0 and rows or 24
   end
end

return terminal
