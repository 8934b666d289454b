std = "luajit"
max_line_length = 140
files["tests"] = { std = "+busted" }
files["examples/spec"] = { std = "+busted" }
exclude_files = { "build", "lua/perigee/library" } -- the types are made, and longer than a screen
