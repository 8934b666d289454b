--- What all targets share: addresses, headers, timeouts, and the `request` hook.
local dataset = require "perigee.dataset"
local engine = require "perigee.engine"
local opt = require "perigee.opt"
local schema = require "perigee.schema"
local spec = require "perigee.spec"
local transport = require "perigee.transport"
local where = require "perigee.where"

local define = {}

-- A token of HTTP: what a header's name and a method are made of.
local TOKEN = "^[%w!#$%%&'*+.^_`|~-]+$"

local function header_value(v)
   return (type(v) == "string" or type(v) == "number") and not tostring(v):gsub("\t", ""):find("%c")
end

local function method(v)
   if type(v) == "string" and v:find(TOKEN) then return true, v end
   return false, "the name of a method"
end

local function headers(v)
   local words = "a table of header names = values (no line breaks or control characters)"
   if type(v) ~= "table" or getmetatable(v) then return false, words end
   for name, value in pairs(v) do
      local good_name = type(name) == "string" and name:find(TOKEN)
      if not good_name or not (header_value(value) or opt.is(value)) then return false, words end
   end
   return true, v
end

-- host, host:port or [address]:port, with or without a user before it.
local function authority(text)
   local place = text:gsub("^.*@", "")
   local host, port = place:match "^(%[[^%[%]]+%])(.*)$"
   if not host then host, port = place:match "^([^:%[%]]+)(.*)$" end
   if not host then return false end
   local number = tonumber(port:match "^:(%d+)$")
   return port == "" or port == ":" or number ~= nil and number >= 1 and number <= 65535
end

-- A mistake in it is told before anything starts; what a client thinks of it comes later.
local function url(v)
   local words = "a url such as http://host:8000 (http or https, no spaces, no query)"
   if type(v) ~= "string" or v:find "[%s%c]" then return false, words end
   if v:sub(1, 5) == "mock:" then return true, v end
   local scheme, rest = v:match "^(%a[%w+.-]*)://(.*)$"
   if v:lower():find "^[%w+]*unix:/" then return false, "a url such as http://host:8000, and the path of a unix socket in unix_socket," end
   local known = not scheme or scheme:lower() == "http" or scheme:lower() == "https"
   if known and not v:find "[?#]" and authority((rest or v):match "^[^/]*") then return true, v end
   return false, words
end

local function path(v)
   if type(v) == "string" and v:sub(1, 1) == "/" and not v:find("[%s%c#]") then return true, v end
   return false, "a path that begins with '/', without spaces or '#'"
end

define.path = path

--- Fields of all targets.
---@class perigee.TargetOptions
---@field url string|string[]  base url, or a list of them that is used in turn; `host:8000` means `http://host:8000`; a trailing
---   `/v1` is not doubled; `mock:...` starts the built-in endpoint, see [mock.md](mock.md)
---@field path? string  (of the kind) appended to the url
---@field headers? table<string, string|number>  names and values
---@field api_key? string  sent as `Authorization: Bearer`; redacted in all output
---@field api_key_env? string  the environment variable that holds it; never both
---@field unix_socket? string  connect to this path
---@field connect_timeout? perigee.Duration  (10 s) until the connection stands
---@field first_byte_timeout? perigee.Duration  from the issue to the first byte of the answer
---@field timeout? perigee.Duration  the `deadline` of requests whose phase sets none
---@field max_response_bytes? integer  (64 MiB) of one kept body or text
---@field insecure? boolean  (false) do not verify the TLS certificate
---@field ca_file? string  (the system's) certificates to trust, in PEM form; a relative path is meant from the script's folder, else
---   from the current one
---@field transport? "auto"|"direct"|"curl"  ("auto") plain sockets or libcurl; `"auto"` is direct where it can be, see
---   [transports](#transports)
---@field source_addresses? string[]  (the system's choice) numeric local addresses that connections come from, in turn; of the
---   family (IPv4 or IPv6) of the url's address
local COMMON = {
   url = schema.required(schema.either(url, schema.list(url, "a list of urls"))),
   unix_socket = schema.text,
   path = path,
   headers = headers,
   api_key = schema.text,
   api_key_env = schema.text,
   connect_timeout = schema.default(schema.duration, 10),
   first_byte_timeout = schema.duration,
   timeout = schema.duration,
   max_response_bytes = schema.count,
   insecure = schema.boolean,
   ca_file = schema.text,
   transport = schema.one_of(transport.MODES),
   source_addresses = schema.list(schema.text, "a list of numeric addresses"),
}

--- A list of "Name: value", sorted, of a table; later tables replace by name.
---@return string[]
function define.header_list(...)
   local by_name = {}
   for i = 1, select("#", ...) do
      for name, value in pairs((select(i, ...)) or {}) do by_name[name:lower()] = name .. ": " .. tostring(value) end
   end
   local list = {}
   for _, name in ipairs(schema.sorted_keys(by_name)) do list[#list + 1] = by_name[name] end
   return list
end

-- "host:8000" means http://host:8000; "mock:..." stands for an address that the run provides.
local function address(text, context)
   if text:sub(1, 5) == "mock:" then return context.mock(text) end
   return text:find("^%a[%w+.-]*://") and text or "http://" .. text
end

local function api_key(args, context)
   if args.api_key then return args.api_key end
   if not args.api_key_env then return nil end
   if context.simulated then return "simulated" end -- a test needs no secrets
   local key = os.getenv(args.api_key_env)
   if not key or key == "" then
      error(("target: the environment variable %s (api_key_env) is not set"):format(args.api_key_env), 0)
   end
   return key
end

-- Where the certificates to trust are: a file that can be read and has one.
local function ca_file(args, at, place)
   if not args.ca_file then return nil end
   local file = where.file(args.ca_file, place)
   local text, problem = dataset.read(file)
   if text and not text:find "%-%-%-%-%-BEGIN [%u%d ]*CERTIFICATE%-%-%-%-%-" then
      problem = file .. ": it has no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
   end
   if problem then where.fail(("%s: ca_file: %s"):format(at, problem), place) end
   return file
end

-- A base url that ends with /v1 is meant without the /v1 of the default path.
local function join(text, args, default_path)
   text = text:gsub("/+$", "")
   if not args.path and default_path and default_path:sub(1, 4) == "/v1/" then text = text:gsub("/v1$", "") end
   return text
end

--- The client part of a target, as the engine's session takes it.
---@param args table      the target's arguments
---@param def table       the kind: default_path, content_type, decoder
---@param context table   mock(url) -> url of a started endpoint; simulated: there is none at all; forced: of the command line
---@param place? string   where the script said it
local function client(args, def, context, place)
   local forced, at = context.forced or {}, "target." .. def.kind
   transport.check_sources(args, forced, at, place)
   local urls = {}
   for i, text in ipairs(type(args.url) == "table" and args.url or { args.url }) do
      urls[i] = join(address(text, context), args, def.default_path)
   end
   local key = api_key(args, context)
   if key and not header_value(key) then error("target: the api key holds a line break or a control character", 0) end
   return {
      urls = urls,
      unix_socket = args.unix_socket,
      path = args.path or def.default_path,
      method = args.method or "POST",
      headers = define.header_list(
         { ["Content-Type"] = def.content_type }, { Authorization = key and "Bearer " .. key }, args.headers),
      decoder = def.decoder,
      connect_timeout = args.connect_timeout,
      first_byte_timeout = args.first_byte_timeout,
      timeout = args.timeout,
      max_response_bytes = args.max_response_bytes,
      insecure = args.insecure or false,
      ca_file = ca_file(args, at, place),
      transport = forced.transport or args.transport,
      source_addresses = forced.source_addresses or args.source_addresses,
   }
end

--- What the request hook may return in a table.
---@class perigee.Asked
---@field body? string|table  as it is; a table becomes JSON; without it the sample's own
---@field path? string  in place of the target's
---@field method? string  in place of the target's
---@field headers? table<string, string|number>  added or replaced by name; an empty value takes one away
---@field tag? string  marks the request in events, `requests.jsonl` and handlers; the metrics are told for each tag as
---   well, see [tags](#tags)
local REQUEST_FIELDS = { path = path, headers = headers, body = schema.either(schema.string, schema.table),
   tag = schema.text, method = method }

-- Without a hook a sample's body never changes: encode it once.
local function cached(encode)
   local bodies, least, most = {}, {}, {}
   return function(sample, index)
      if not bodies[index] then bodies[index], least[index], most[index] = encode(sample, nil, index) end
      return bodies[index], nil, nil, nil, nil, nil, least[index], most[index]
   end
end

-- A body as text; a table is written as JSON.
local function json_text(body, place)
   if type(body) ~= "table" then return body end
   local ok, text = pcall(engine.json.encode, body)
   if not ok then where.fail("request: body: " .. text, place) end
   return text
end

-- encode(sample, text, index) -> body, least, most, where text is what the hook gave instead of the sample's own.
-- passing: each sample is seen once, there is nothing to cache. Returns also whether the function keeps what it returns.
local function builder(encode, request, passing)
   if not request and passing then
      return function(sample, index)
         local body, least, most = encode(sample, nil, index)
         return body, nil, nil, nil, nil, nil, least, most
      end
   end
   if not request then return cached(encode), true end
   local place = where.of(request)
   return function(sample, index)
      local asked = request(sample, index)
      if asked == nil then return nil end
      if type(asked) == "string" then
         local body, least, most = encode(sample, asked, index)
         return body, nil, nil, nil, nil, asked, least, most
      end
      if type(asked) ~= "table" then
         where.fail("request: a string, a table or nil expected, got " .. schema.show(asked), place)
      end
      local r = schema.check("request", REQUEST_FIELDS, asked, place)
      local own, body, least, most = json_text(r.body, place), nil, nil, nil
      if not own then body, least, most = encode(sample, nil, index) end
      return own or body, r.path, r.headers and define.header_list(r.headers), r.tag, r.method, own, least, most
   end
end

--- What a script asks for with `p:issue`.
---@class perigee.Content
---@field prompt? string  sent as the target sends prompts
---@field messages? table[]  a list of `{ role =, content = }` (`target.openai_chat`); with a system message of its own the
---   target's is left out
---@field body? string|table  sent as it is; a table becomes JSON
---@field model? string  beside a prompt or messages, in place of the target's (OpenAI targets)
---@field max_tokens? integer  likewise
---@field temperature? number  likewise
---@field extra? table  likewise: more fields of the body
---@field path? string  in place of the target's
---@field method? string  in place of the target's
---@field headers? table<string, string|number>  added or replaced by name; an empty value takes one away
---@field tag? string  as the request hook gives it
---@field index? integer  of the sample; without prompt, messages and body that sample is sent, else the order's next one
---@field deadline? perigee.Duration  of this request, from its issue; in place of the phase's
---@field conversation? string  told in results, events (`conversation_id`) and `requests.jsonl`
---@field turn? integer  likewise
---@field attempt? integer  told as `r.attempt`

-- What a script may say of a request beside its content.
local ASKED = {
   path = path, headers = headers, body = REQUEST_FIELDS.body, tag = schema.text, method = method, prompt = schema.string,
   index = schema.count, deadline = schema.duration, conversation = schema.text, turn = schema.whole, attempt = schema.count,
}

-- The fields of what a script asks for, checked; a copy. Once per request, so without sorting names.
local function check_asked(fields, asked, kind)
   local out = {}
   for key, value in pairs(asked) do
      local check = fields[key]
      if not check then where.fail(("p:issue: %s, to target.%s"):format(schema.unknown("field", key, schema.sorted_keys(fields)), kind)) end
      local ok, result = check(value)
      if not ok then where.fail(("p:issue: %s: %s expected, got %s"):format(key, result, schema.show(value))) end
      out[key] = result
   end
   return out
end

-- ask(table) -> content, what the engine takes for p:issue{...}. Without body, prompt and
-- messages it has no body: the sample's is sent.
local function asker(def, encode)
   local fields = {}
   for name, check in pairs(ASKED) do fields[name] = check end
   for name, check in pairs(def.asked) do fields[name] = check end
   return function(asked)
      local content = check_asked(fields, asked, def.kind)
      if content.headers then content.headers = define.header_list(content.headers) end
      local of_sample = not (content.body or content.prompt or content.messages)
      if of_sample then
         for name in pairs(def.asked) do
            if content[name] ~= nil then where.fail(("p:issue: %s: needs a prompt or messages beside it"):format(name)) end
         end
         return content
      end
      if content.body then
         content.body = json_text(content.body)
      else
         local ok, text, least, most = pcall(encode, content, content.prompt, nil, content)
         if not ok then where.fail("p:issue: " .. tostring(text)) end
         content.body, content.tokens_least, content.tokens_most = text, least, most
      end
      content.messages = nil -- they are in the body, and may grow until it is sent
      content.prompt = content.prompt or content.body
      return content
   end
end

--- A constructor of a target. def: kind, fields, check, default_path, content_type,
--- decoder, asked (fields of p:issue that only this kind has),
--- encoder(args) -> encode(sample, text, index, changes) -> body, least, most, where changes are values of those fields, and
--- least and most the tokens that the answer is asked to have (nil: nothing is said). The target builds
--- { client =, ask = function(table) -> content,
---   build = function(request) -> function(sample, index) -> body, path, headers, tag, method, prompt, least, most },
--- where prompt is what the hook put in place of the sample's own; true behind the function says that it keeps each body that
--- it returns, and returns nothing else but least and most.
function define.target(def)
   local fields = {}
   for name, check in pairs(COMMON) do fields[name] = check end
   for name, check in pairs(def.fields) do fields[name] = check end
   return spec.constructor {
      family = "target", kind = def.kind, positional = {}, options = true, fields = fields,
      check = function(args)
         if args.api_key and args.api_key_env then return "api_key and api_key_env exclude each other" end
         return def.check and def.check(args)
      end,
      build = function(args, context, place)
         local encode = def.encoder(args)
         return {
            client = client(args, def, context, place),
            build = function(request, passing) return builder(encode, request, passing) end,
            ask = asker(def, encode),
         }
      end,
   }
end

return define
