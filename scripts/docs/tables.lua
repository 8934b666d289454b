--- The tables of the documents. A page asks for one between two comments,
---    <!-- made: fields perigee.Phase -->  ...  <!-- end -->
--- and what stands between them is replaced.
local annotations = require "docs.annotations"

local tables = {}

local function cell(text)
   return (text:gsub("\n", " "):gsub("|", "\\|"))
end

-- Types as a reader knows them: perigee.Duration is a duration.
local function shown(kind)
   kind = kind:gsub("perigee%.([%w_]+)", function(name) return (name:gsub("(%l)(%u)", "%1 %2"):lower()) end)
   kind = kind:gsub("table%b<>", "table"):gsub("fun%b()[^|%])]*", "function"):gsub("|nil", "")
   return (kind:gsub("|", " or "))
end

local function with_default(item)
   return shown(item.type) .. (item.default and (" (%s)"):format(item.default) or "")
end

-- a, and b that may be left out -> "a [, b]"
local function parameters(params)
   local text, open = "", 0
   for i, p in ipairs(params) do
      if p.optional then
         text, open = text .. (i > 1 and " [, " or "[") .. p.name, open + 1
      else
         text = text .. (i > 1 and ", " or "") .. p.name
      end
   end
   return text .. ("]"):rep(open)
end

-- The parameters of a type `fun(self: X, index?: integer): integer`, but for self; nil when it is none. Then: is it a method?
local function of_fun(kind)
   local inner = kind:match "^fun(%b())"
   if not inner then return nil end
   local params, depth, part = {}, 0, ""
   for c in (inner:sub(2, -2) .. ","):gmatch "." do
      if c:find "[%({<]" then depth = depth + 1 elseif c:find "[%)}>]" then depth = depth - 1 end
      if c == "," and depth == 0 then
         local name, optional = part:match "^%s*([%w_.]+)(%??)"
         if name then params[#params + 1] = { name = name, optional = optional == "?" } end
         part = ""
      else
         part = part .. c
      end
   end
   local method = params[1] ~= nil and params[1].name == "self"
   if method then table.remove(params, 1) end
   return params, method
end

local function field_table(list)
   local out = { "| field | type (default) | what |", "|---|---|---|" }
   for _, f in ipairs(list) do
      if not f.positional then
         local required = (f.optional or f.default) and "" or " (required)"
         out[#out + 1] = ("| `%s` | %s%s | %s |"):format(f.name, with_default(f), required, cell(f.text))
      end
   end
   return out
end

local function fields(model, name)
   return field_table(annotations.fields(model, name))
end

-- Without those of its parents.
local function own(model, name)
   return field_table(assert(model.classes[name], "there is no class " .. name).fields)
end

-- As a script writes them: p:issue([index]), p.inflight
local function members(model, name, receiver)
   local out = { "| name | what |", "|---|---|" }
   local class = assert(model.classes[name], "there is no class " .. name)
   for _, f in ipairs(annotations.fields(model, name)) do
      local params, method = of_fun(f.type)
      local call = params and ("(%s)"):format(parameters(params)) or ""
      local row = ("| `%s%s%s%s` | %s |"):format(receiver, method and ":" or ".", f.name, call, cell(f.text))
      out[#out + 1] = not f.positional and row or nil
   end
   for _, m in ipairs(class.methods) do
      out[#out + 1] = ("| `%s%s%s(%s)` | %s |"):format(receiver, m.method and ":" or ".", m.name, parameters(m.params), cell(m.text))
   end
   return out
end

local function find(model, name)
   local family, member = name:match "^(%l+)%.([%w_]+)$"
   for _, fn in ipairs(model.families[family] or {}) do
      if fn.name == member then return fn end
   end
   error("there is no " .. name)
end

local PAGES = { load = "loads", order = "orders" }

-- All of a family; `from` is the folder of the pages, seen from the page.
local function family(model, name, from)
   local out = { ("| %s | what |"):format(name), "|---|---|" }
   for _, fn in ipairs(model.families[name]) do
      local code = ("`%s.%s(%s)`"):format(name, fn.name, parameters(fn.params))
      if PAGES[name] then code = ("[%s](%s%s.md)"):format(code, from or PAGES[name] .. "/", fn.name) end
      out[#out + 1] = ("| %s | %s |"):format(code, cell(fn.text))
   end
   return out
end

-- The arguments of one constructor, with the fields of a table of options.
local function arguments(model, name)
   local out = { "| argument | type (default) | what |", "|---|---|---|" }
   local function add(item, prefix)
      out[#out + 1] = ("| `%s%s` | %s | %s |"):format(prefix, item.name, with_default(item), cell(item.text))
   end
   for _, p in ipairs(find(model, name).params) do
      local class = model.classes[p.type]
      if class and #class.fields > 0 then
         for _, f in ipairs(annotations.fields(model, p.type)) do add(f, p.name .. ".") end
      else
         add(p, "")
      end
   end
   return #out > 2 and out or { "It takes no arguments." }
end

-- Each handler with its arguments.
local function handlers(model, name, from)
   local out = { "| handler | when |", "|---|---|" }
   for _, f in ipairs(annotations.fields(model, name)) do
      out[#out + 1] = ("| [`on.%s(%s)`](%s%s.md) | %s |"):format(
         f.name, parameters(of_fun(f.type)), from or "handlers/", f.name, cell(f.text))
   end
   return out
end

-- The Lua files of a folder, each with the comment at its head.
local function files(_, folder)
   local out, pipe = { "| file | what |", "|---|---|" }, io.popen(("LC_ALL=C ls %s/*.lua"):format(folder:gsub("%.", "/")))
   for path in pipe:lines() do
      local text, name = {}, path:match "[^/]+$"
      for line in io.lines(path) do
         if not line:find "^%-%-" then break end
         text[#text + 1] = line:match "^%-%-%s*(.-)%s*$"
      end
      out[#out + 1] = ("| [%s](%s) | %s |"):format(name, path:match "^examples/(.*)$", cell(table.concat(text, " ")))
   end
   pipe:close()
   return out
end

local MADE = { files = files, fields = fields, own = own, members = members, family = family, arguments = arguments, handlers = handlers }

--- The text of a page with its tables made anew.
---@param model table  of docs.annotations
---@param text string
---@param path string  for errors
---@return string
function tables.fill(model, text, path)
   return (text:gsub("(<!%-%- made: (%l+) ([%w_.]+) ?(%S-) %-%->\n).-(<!%-%- end %-%->)", function(begin, what, name, more, finish)
      local make = assert(MADE[what], ("%s: '%s' is none of files, fields, own, members, family, arguments, handlers"):format(path, what))
      return begin .. table.concat(make(model, name, more ~= "" and more or nil), "\n") .. "\n" .. finish
   end))
end

return tables
