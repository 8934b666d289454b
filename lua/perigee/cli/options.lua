--- A table-driven parser of command line options.
--- A definition: { name, value = "DIR" (absent: a flag), help, default, repeatable (the values
--- become a list), and how the text is read: choices, read or type (of perigee.opt; "string") }.
--- read(text) gives the value, or nil and what was expected. A default in text is read as well.
local nearest = require "perigee.nearest"
local opt = require "perigee.opt"

local options = {}

-- --max-tokens and --max_tokens are the same option.
local function canonical(name)
   return (name:gsub("-", "_"))
end

local function by_name(definitions)
   local map, names = {}, {}
   for _, d in ipairs(definitions) do
      map[canonical(d.name)] = d
      names[#names + 1] = d.name
   end
   return map, names
end

local function convert(d, text)
   if d.choices then
      for _, choice in ipairs(d.choices) do
         if text == choice then return text end
      end
      return nil, ("one of %s expected, got '%s'"):format(table.concat(d.choices, ", "), text)
   end
   if d.read then
      local value, expected = d.read(text)
      if value == nil then return nil, ("%s expected, got '%s'"):format(expected, text) end
      return value
   end
   return opt.convert(d.type or "string", text)
end

-- A flag is set by its name alone; one of type boolean also takes a "false" behind it.
local function read_flag(d, args, at, attached)
   if attached ~= nil then
      local value, message = opt.convert("boolean", attached)
      return value, message or 1
   end
   if d.type ~= "boolean" or args[at + 1] == nil then return true, 1 end
   local value = opt.convert("boolean", args[at + 1])
   if value == nil then return true, 1 end
   return value, 2
end

-- The value of option d: after "=", or the next argument. Returns value and the arguments used, or nil, message.
local function read_value(d, args, at, attached)
   if not d.value then return read_flag(d, args, at, attached) end
   local text = attached
   if text == nil then text = args[at + 1] end
   if text == nil then return nil, "a value is missing (" .. d.value .. ")" end
   local value, message = convert(d, text)
   if value == nil then return nil, message end
   return value, attached == nil and 2 or 1
end

local function store(values, d, value)
   local key = canonical(d.name)
   if d.repeatable then
      values[key] = values[key] or {}
      table.insert(values[key], value)
   else
      values[key] = value
   end
end

local function unknown(name, names)
   local near = nearest(name, names)
   return ("unknown option --%s%s"):format(name, near and ", did you mean --" .. near .. "?" or "")
end

-- One option at args[at]: the arguments used, or nil, message.
local function take(values, map, names, args, at)
   local name, attached = args[at]:match("^%-%-([^=]+)=(.*)$")
   name = name or args[at]:sub(3)
   local d = map[canonical(name)]
   if not d and args[at] == "-h" then d, name = map.help, "help" end
   if not d then return nil, args[at]:sub(1, 2) == "--" and unknown(name, names) or "unknown option " .. args[at] end
   local value, used = read_value(d, args, at, attached)
   if value == nil then return nil, ("option --%s: %s"):format(name, used) end
   store(values, d, value)
   return used
end

--- The defaults of what is not among the values.
function options.fill_defaults(values, definitions)
   for _, d in ipairs(definitions) do
      local key, default = canonical(d.name), d.default
      if values[key] == nil and type(default) == "string" then default = assert(convert(d, default)) end
      if values[key] == nil then values[key] = default end
   end
end

--- Parse args.
---@param args string[]
---@param definitions table[]
---@return table? values  by name, with _ for -; defaults filled in
---@return string[]|string positional, or the message
function options.parse(args, definitions)
   local values, positional = options.read({}, args, definitions, 1)
   if values then options.fill_defaults(values, definitions) end
   return values, positional
end

--- Parse args from position `first` into `values`, in which a later one replaces an earlier one.
---@param values table
---@param args string[]
---@param definitions table[]
---@param first integer
---@param stop_at? integer  stop after so many positional arguments, without defaults: to be continued
---@return table? values
---@return string[]|string positional, or the message
---@return integer? next      where it stopped
function options.read(values, args, definitions, first, stop_at)
   local map, names = by_name(definitions)
   local positional, at, only_positional = {}, first, false
   while at <= #args and not (stop_at and #positional >= stop_at) do
      local arg = args[at]
      if only_positional or arg:sub(1, 1) ~= "-" or arg == "-" then
         positional[#positional + 1] = arg
         at = at + 1
      elseif arg == "--" then
         only_positional = true
         at = at + 1
      else
         local used, message = take(values, map, names, args, at)
         if not used then return nil, message end
         at = at + used
      end
   end
   return values, positional, at
end

--- Help lines for definitions.
---@param definitions table[]
---@return string
function options.help(definitions)
   local width, lines = 0, {}
   for _, d in ipairs(definitions) do
      width = math.max(width, #d.name + (d.value and #d.value + 1 or 0))
   end
   for _, d in ipairs(definitions) do
      local left = d.name .. (d.value and " " .. d.value or "")
      local default = d.default ~= nil and (" (default %s)"):format(tostring(d.default)) or ""
      lines[#lines + 1] = ("  --%s%s  %s%s"):format(left, (" "):rep(width - #left), d.help or "", default)
   end
   return table.concat(lines, "\n")
end

return options
