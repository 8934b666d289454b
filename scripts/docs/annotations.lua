--- Reads the doc comments of the library: its classes, aliases and functions, in the order of the files.
--- What it understands of LuaLS annotations: @class, @field, @alias, @param, @return, @private. A line that
--- begins with `---` and two spaces or more goes on with the tag above it. A description that begins with
--- parentheses, "(1 s) time between ...", has the default in them.
local annotations = {}

-- ---- one line ----

-- The end of the type that begins at `at`: white space outside of brackets, unless the type goes on behind it.
local function type_end(text, at)
   local depth = 0
   for i = at, #text do
      local c = text:sub(i, i)
      if c:find "[%(%[{<]" then depth = depth + 1 end
      if c:find "[%)%]}>]" then depth = depth - 1 end
      local goes_on = text:sub(i - 1, i - 1):find "[:,|]" or text:find("^%s*|", i)
      if depth == 0 and c:find "%s" and not goes_on then return i - 1 end
   end
   return #text
end

-- "integer  of the data set" -> type, default, text
local function typed(rest)
   local last = type_end(rest, 1)
   local text = rest:sub(last + 1):match "^%s*(.-)%s*$"
   local default, behind = text:match "^(%b())%s*(.*)$"
   if default then return rest:sub(1, last), default:sub(2, -2), behind end
   return rest:sub(1, last), nil, text
end

local function named(rest)
   local bracket, name, optional, behind = rest:match "^(%[?)([%w_.]+)%]?(%??)%s+(.*)$"
   assert(name, "a name and a type expected: " .. rest)
   local kind, default, text = typed(behind)
   return { name = name, positional = bracket == "[", optional = optional == "?", type = kind, default = default, text = text }
end

-- ---- a block of comment lines ----

local TAGS = {
   class = function(block, rest)
      local name, parent = rest:match "^([%w_.]+)%s*:?%s*([%w_.]*)"
      block.class = { name = name, parent = parent ~= "" and parent or nil, fields = {}, methods = {} }
   end,
   field = function(block, rest) table.insert(block.class.fields, named(rest)) end,
   param = function(block, rest) table.insert(block.params, named(rest)) end,
   ["return"] = function(block, rest)
      local kind, _, text = typed(rest)
      table.insert(block.returns, { type = kind, text = text })
   end,
   alias = function(block, rest)
      local name, behind = rest:match "^([%w_.]+)%s+(.*)$"
      block.alias = { name = name, type = (typed(behind)) }
   end,
   private = function(block) block.private = true end,
}

-- The lines with each tag on one.
local function joined(lines)
   local list = {}
   for _, line in ipairs(lines) do
      local more = line:match "^%-%-%-%s%s+(%S.*)$"
      if more and list[#list] and list[#list]:find "^@" then
         list[#list] = list[#list] .. " " .. more
      else
         list[#list + 1] = line:match "^%-%-%-%s?(.-)%s*$"
      end
   end
   return list
end

local function read_block(lines)
   local block, text = { params = {}, returns = {} }, {}
   for _, line in ipairs(joined(lines)) do
      local tag, rest = line:match "^@(%a+)%s*(.*)$"
      if tag and TAGS[tag] then
         TAGS[tag](block, rest)
      elseif not tag then
         text[#text + 1] = line
      end
   end
   block.text = table.concat(text, "\n")
   return block
end

-- The blocks of a file, each with the code behind it.
local function blocks(path)
   local list, lines, all = {}, {}, {}
   for line in io.lines(path) do all[#all + 1] = line end
   all[#all + 1] = "" -- ends a block at the end of the file
   for i, line in ipairs(all) do
      if line:find "^%-%-%-" then
         lines[#lines + 1] = line
      elseif #lines > 0 then
         local block = read_block(lines)
         block.code, block.at = table.concat({ line, all[i + 1], all[i + 2] }, "\n"), ("%s:%d"):format(path, i)
         list[#list + 1], lines = block, {}
      end
   end
   return list
end

-- ---- the library ----

-- The families whose members are made by constructors: the folder or file, and what a member is.
local FAMILIES = {
   { "load", "lua/perigee/load", "perigee.Load" },
   { "order", "lua/perigee/order.lua", "perigee.Order" },
   { "target", "lua/perigee/target", "perigee.Target" },
   { "dataset", "lua/perigee/dataset.lua", "perigee.Dataset" },
}

local function family_of(path)
   for _, family in ipairs(FAMILIES) do
      if path:sub(1, #family[2]) == family[2] then return family[1], family[3] end
   end
end

-- The name of the member that the code makes: define("ramp", ...), define.target { kind = "http", ... },
-- function dataset.jsonl(...), or `return function` of the file that is called like the member.
local function member(code, family, path)
   local first = code:match "^[^\n]*"
   if first:find "^return function%(" then return path:match "([%w_]+)%.lua$" end
   local kind = first:match "[%w_.]+%(\"([%w_]+)\", {" or first:find "{$" and code:match "kind = \"([%w_]+)\""
   return kind or first:match("^function " .. family .. "%.([%w_]+)%(")
end

local function add_class(model, block, classes)
   local class = block.class
   class.text = block.text
   local known = model.classes[class.name]
   assert(not known, ("%s: class %s exists already"):format(block.at, class.name))
   model.classes[class.name] = class
   model.list[#model.list + 1] = class
   local variable = block.code:match "^local (%w+) ="
   if variable then classes[variable] = class end
end

local function add_function(model, block, classes, path)
   local variable, kind, name = block.code:match "^function (%w+)([.:])([%w_]+)%("
   local class = classes[variable]
   local family, result = family_of(path)
   if class then
      block.name, block.method = name, kind == ":"
      table.insert(class.methods, block)
   elseif family and member(block.code, family, path) then
      block.name = member(block.code, family, path)
      if #block.returns == 0 then block.returns[1] = { type = result, text = "" } end
      table.insert(model.families[family], block)
   end
end

local function read_file(model, path)
   local classes = {} -- by the variable that holds it
   for _, block in ipairs(blocks(path)) do
      if block.class then
         add_class(model, block, classes)
      elseif block.alias then
         block.alias.text = block.text
         model.aliases[#model.aliases + 1] = block.alias
      elseif not block.private then
         add_function(model, block, classes, path)
      end
   end
end

--- Read the library.
---@return table model  { classes (by name), list (in order), aliases, families (functions by family) }
function annotations.read()
   local model = { classes = {}, list = {}, aliases = {}, families = {} }
   for _, family in ipairs(FAMILIES) do model.families[family[1]] = {} end
   local pipe = io.popen "LC_ALL=C find lua/perigee -name '*.lua' -not -path '*/template/*' -not -path '*/library/*' | LC_ALL=C sort"
   for path in pipe:lines() do read_file(model, path) end
   pipe:close()
   return model
end

--- The fields of a class, then those of its parents.
---@return table[]
function annotations.fields(model, name)
   local list, class = {}, assert(model.classes[name], "there is no class " .. name)
   while class do
      for _, field in ipairs(class.fields) do list[#list + 1] = field end
      class = class.parent and assert(model.classes[class.parent], "there is no class " .. class.parent)
   end
   return list
end

return annotations
