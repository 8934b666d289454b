rockspec_format = "3.0"
package = "perigee"
version = "scm-1"
source = { url = "git+file://." }
description = {
   summary = "A Lua-scriptable benchmark engine for inference endpoints",
   detailed = [[
      A C engine (libuv, libcurl, ZeroMQ) drives an inference endpoint; Lua
      scripts define phases, sample orders, delay functions and callbacks.]],
   license = "Apache-2.0",
}
dependencies = { "lua == 5.1" } -- LuaJIT
external_dependencies = {
   LIBUV = { header = "uv.h" },
   LIBZMQ = { header = "zmq.h" },
   SQLITE = { header = "sqlite3.h" },
   LIBCURL = { library = "curl" } -- its headers may lie where LuaRocks does not look,
}
test_dependencies = { "busted >= 2.0" }
test = { type = "command", command = "make test" }
deploy = { wrap_bin_scripts = false } -- the launcher finds LuaJIT and its library by itself
build = {
   type = "make",
   build_target = "all",
   install_target = "install",
   install_variables = { LUADIR = "$(LUADIR)", LIBDIR = "$(LIBDIR)", BINDIR = "$(BINDIR)" },
}
