-- Runs busted inside the LuaJIT that started this file, whatever interpreter the
-- distribution's own `busted` command was made for.
local ffi = require "ffi"

-- A sanitizer's runtime was loaded for this process. The LuaJITs that it starts load their
-- own (tests/run), and other programs, such as curl, need none.
ffi.cdef "int unsetenv(const char *name);"
ffi.C.unsetenv "LD_PRELOAD"

require "busted.runner" { standalone = false }
