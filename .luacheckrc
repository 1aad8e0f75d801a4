std = "lua54"
max_line_length = 120
exclude_files = { "build/**" }
self = false

files["tests/**/*_spec.lua"] = { std = "+busted" }
files["tests/conformance/*.lua"] = { std = "+busted" }
