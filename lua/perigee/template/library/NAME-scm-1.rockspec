rockspec_format = "3.0"
package = "NAME"
version = "scm-1"
source = { url = "git+file://." }
description = { summary = "Workloads for perigee", license = "Apache-2.0" }
dependencies = { "lua == 5.1", "perigee" } -- LuaJIT
test_dependencies = { "busted >= 2.0" }
test = { type = "busted" }
build = {
   type = "builtin",
   modules = { ["NAME"] = "lua/NAME/init.lua" },
}
