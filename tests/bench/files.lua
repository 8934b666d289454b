--- Small files and the shell, for the programs of this folder.
local files = {}

--- A word of a command.
function files.quote(s) return "'" .. tostring(s):gsub("'", [['\'']]) .. "'" end

--- The whole of a file; empty when it cannot be read.
function files.read(path)
   local file = io.open(path, "rb")
   local text = file and file:read "*a" or ""
   if file then file:close() end
   return text
end

--- Returns the path.
function files.write(path, text)
   local file = assert(io.open(path, "w"))
   assert(file:write(text))
   assert(file:close())
   return path
end

--- All that a command prints.
function files.output(command)
   local pipe = assert(io.popen(command))
   local text = pipe:read "*a"
   pipe:close()
   return text
end

return files
