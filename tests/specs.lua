-- Runs busted inside the LuaJIT that started this file, whatever interpreter the
-- distribution's own `busted` command was made for.
require "busted.runner" { standalone = false }
