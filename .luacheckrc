std = "luajit"
max_line_length = 140
files["tests"] = { std = "+busted" }
exclude_files = { "build" }
