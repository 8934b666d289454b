--- Fenced code blocks of a Markdown file, with the HTML comment before each.
local markdown = {}

---@param path string
---@return { path: string, line: integer, language: string, text: string, note: string? }[]
function markdown.blocks(path)
   local list, block, note, number = {}, nil, nil, 0
   for line in io.lines(path) do
      number = number + 1
      local fence = line:match "^```(.*)$"
      if block and fence then
         block.text = table.concat(block.lines, "\n") .. "\n"
         list[#list + 1], block, note = block, nil, nil
      elseif block then
         block.lines[#block.lines + 1] = line
      elseif fence then
         block = { path = path, line = number, language = fence, lines = {}, note = note }
      elseif line:find "%S" then
         note = line:match "^<!%-%- (.-) %-%->$"
      end
   end
   assert(not block, path .. ": a code block is not closed")
   return list
end

return markdown
