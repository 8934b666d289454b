--- The documents, and a user's folder to try what they show.
local drive = require "drive"
local markdown = require "markdown"

local documents = {}

local ROOT = io.popen("pwd"):read "*l"

--- The paths of all pages.
---@return string[]
function documents.pages()
   local list = { "README.md" }
   for path in io.popen("ls docs/*.md docs/*/*.md examples/*.md"):lines() do list[#list + 1] = path end
   return list
end

--- Where a block of code stands.
function documents.place(block)
   return ("%s:%d"):format(block.path, block.line)
end

--- All blocks of one language.
---@param language string
function documents.blocks(language)
   local list = {}
   for _, path in ipairs(documents.pages()) do
      for _, block in ipairs(markdown.blocks(path)) do
         if block.language == language then list[#list + 1] = block end
      end
   end
   return list
end

local made = {}

--- A folder like that of a user who has the examples: perigee is a command, prompts.jsonl lies there.
---@return string path
function documents.workplace()
   local dir = drive.tempdir()
   made[#made + 1] = dir
   assert(os.execute(("cp -R examples %s/examples && cp examples/prompts.jsonl %s/"):format(dir, dir)) == 0)
   return dir
end

--- Remove the folders that were made.
function documents.clean()
   for _, dir in ipairs(made) do os.execute("rm -rf " .. drive.quote(dir)) end
   made = {}
end

--- Write what the page calls files, for its shell lines.
function documents.write_files(dir, path)
   for _, block in ipairs(markdown.blocks(path)) do
      local name = (block.note or ""):match "^file: (%S+)$"
      if name then drive.write(dir .. "/" .. name, block.text) end
   end
end

--- Run shell text in a folder.
function documents.shell(dir, text)
   return drive.shell(table.concat({
      "cd " .. drive.quote(dir),
      ("export PATH=%s:$PATH PERIGEE_BUILD=%s"):format(drive.quote(ROOT .. "/scripts"), drive.quote(os.getenv "PERIGEE_BUILD")),
      ("export XDG_STATE_HOME=%s/state"):format(drive.quote(dir)),
      text,
   }, "\n"))
end

return documents
