--- make docs: writes what is made from the doc comments of the library. With `check` it writes nothing and
--- fails when a file is not as it would be written.
local annotations = require "docs.annotations"
local tables = require "docs.tables"
local types = require "docs.types"

local function read(path)
   local file = io.open(path, "rb")
   local text = file and file:read "*a"
   if file then file:close() end
   return text
end

local check, stale = arg[1] == "check", 0

local function put(path, text)
   if read(path) == text then return end
   stale = stale + 1
   print((check and "stale: " or "written: ") .. path)
   if check then return end
   local file = assert(io.open(path, "wb"))
   assert(file:write(text))
   assert(file:close())
end

local model = annotations.read()
put("lua/perigee/library/perigee.lua", types.text(model))
local pipe = io.popen "LC_ALL=C ls docs/*.md docs/*/*.md examples/*.md"
for path in pipe:lines() do put(path, tables.fill(model, read(path), path)) end
pipe:close()
os.exit(check and stale > 0 and 1 or 0)
