--- The doc comments are the one source of the reference and of the types for editors: nothing that a script
--- can name is without one, and what is made from them is as it would be made now.
local annotations = require "docs.annotations"
local schema = require "perigee.schema"
local spec = require "perigee.spec"
local support = require "tests.unit.support"
local tables = require "docs.tables"
local types = require "docs.types"

local perigee = require "perigee"

local model = annotations.read()

local function read(path)
   local file = assert(io.open(path, "rb"))
   local text = file:read "*a"
   file:close()
   return text
end

local function names_in(path, pattern)
   local names = {}
   for name in read(path):gmatch(pattern) do names[name] = true end
   return names
end

local function set(list)
   local names = {}
   for _, name in ipairs(list) do names[name] = true end
   return names
end

--- Names of the fields and methods of a class, with those of its parents.
local function annotated(class)
   local names = {}
   for _, field in ipairs(annotations.fields(model, class)) do
      if not field.positional then names[field.name] = true end
   end
   for _, method in ipairs(model.classes[class].methods) do names[method.name] = true end
   return names
end

--- The names in parentheses at the end of "unknown field 'zzz' (a, b, c)".
local function offered(fn, ...)
   local ok, message = pcall(fn, ...)
   assert.is_false(ok)
   local names = {}
   for name in assert(message:match "%(([^()]*)%)[^()]*$", message):gmatch "[^, ]+" do names[name] = true end
   return names
end

-- Both ways: each name has an annotation, each annotation a name.
local function is_annotated(class, names)
   assert.same(schema.sorted_keys(names), schema.sorted_keys(annotated(class)), class .. ": see its doc comment (---@class)")
end

-- A default and what must be given stand in the comment as in the schema.
local function is_like(at, field, written)
   if type(field) ~= "table" then return end
   if field.required then assert.is_false(written.optional, at .. " must be given: no `?`") end
   if field.default == nil then return end
   local value = type(field.default) == "string" and ('"%s"'):format(field.default) or tostring(field.default)
   assert.is_true(written.optional, at .. " has a default: `?`")
   assert.equal(value, (written.default or ""):sub(1, #value), at .. ": its default, in parentheses")
end

describe("the doc comments", function()
   it("have the library", function()
      local names = set(schema.sorted_keys(perigee))
      names.test = true -- loaded when it is asked for
      is_annotated("perigee", names)
      is_annotated("perigee.json", set(schema.sorted_keys(perigee.json)))
      is_annotated("perigee.metric", set(schema.sorted_keys(perigee.metric)))
      is_annotated("perigee.test", set(schema.sorted_keys(perigee.test)))
   end)

   it("have every field of scenarios, phases, checks, handlers and request hooks", function()
      is_annotated("perigee.Definition", offered(perigee.scenario, { zzzzzz = 1 }))
      is_annotated("perigee.Phase", offered(perigee.phase, { "p", zzzzzz = 1 }))
      is_annotated("perigee.Handlers", offered(perigee.phase, { "p", on = { zzzzzz = 1 } }))
      is_annotated("perigee.Check", offered(perigee.phase, { "p", checks = { { "issued > 1", zzzzzz = 1 } } }))
      is_annotated("perigee.Asked", offered(perigee.target.http { url = "x" }:build({}).build(function()
         return { zzzzzz = 1 }
      end), {}, 1))
      is_annotated("perigee.Content", offered(function()
         perigee.target.openai_chat({ url = "x", model = "m" }):build({}).ask { zzzzzz = 1 }
      end))
      is_annotated("perigee.MetricOptions", offered(perigee.metric.counter, "annotated", { zzzzzz = 1 }))
   end)

   it("have what sessions of users get", function()
      local chat, user
      local result = perigee.test.run(perigee.scenario {
         target = perigee.target.openai_chat { url = "x" }, load = perigee.load.users(1, { iterations = 1 }),
         session = function(u)
            local _ = u.rng -- made when it is asked for
            user, chat = u, u:chat {}
            u:chat { zzzzzz = 1 }
         end,
      })
      is_annotated("perigee.ChatSettings", offered(error, result.error:match "^[^\n]*"))
      for class, object in pairs { ["perigee.User"] = user, ["perigee.Chat"] = chat } do
         local names = annotated(class)
         for name in pairs(names) do assert.is_truthy(object[name], class .. " has no " .. name) end
      end
      assert.is_nil(user.zzzzzz)
   end)

   it("have what the test kit takes", function()
      local scenario = perigee.scenario { target = perigee.target.http { url = "x" }, requests = 1 }
      is_annotated("perigee.test.Options", offered(perigee.test.run, scenario, { zzzzzz = 1 }))
      is_annotated("perigee.test.Endpoint", offered(perigee.test.run, scenario, { endpoint = { zzzzzz = 1 } }))
      local played = perigee.test.run(scenario, { endpoint = function() return { zzzzzz = 1 } end })
      is_annotated("perigee.test.Answer", offered(error, played.error:match "^[^\n]*"))
      local names = set(schema.sorted_keys(perigee.test.run(scenario)))
      names.error = true
      is_annotated("perigee.test.Result", names)
   end)

   it("have what the engine gives to scripts", function()
      local function merged(...)
         local names = {}
         for _, part in ipairs { ... } do for name in pairs(part) do names[name] = true end end
         return names
      end
      is_annotated("perigee.Result", merged(
         names_in("engine/lua/l_result.c", 'X%([%u_]+, "([%l_]+)"%)'), names_in("engine/lua/l_result.c", '{ "(%l+)", [%l_]+ },')))
      is_annotated("perigee.PhaseObject", merged(
         names_in("engine/lua/l_phase.c", '{ "([%l_]+)", [%l_]+ }'), names_in("engine/lua/l_phase.c", 'strcmp%(key, "([%l_]+)"%)')))
      is_annotated("perigee.Window", names_in("engine/lua/l_window.c", '{ "(%l+)", l_%l+ }'))
      is_annotated("perigee.Rng", names_in("engine/lua/l_rng.c", '{ "(%l+)", l_%l+ }'))
      local session, text = names_in("engine/lua/l_session.c", '{ "([%l_]+)", l_[%l_]+ }'), read "docs/reference.md"
      for name in pairs(session) do -- some belong to `perigee run`
         if text:match "\n(`session:phase`[^\n]*\n[^\n]*)\n":find("`session:" .. name .. "`", 1, true) then session[name] = nil end
      end
      is_annotated("perigee.Session", session)
   end)

   it("know of each class of the engine whether scripts see it", function()
      local public = set { "phase", "result", "rng", "session", "window", "json" }
      local inner = set { "aggregate", "beacon", "content", "control", "exposition", "glance", "hdr", "histogram", "input", "log", "mock",
         "numbers", "report", "rollup", "simulate", "subscriber", "system", "terminal", "transport", "floor", "batches" }
      local pipe = io.popen "ls engine/lua/l_*.c"
      for path in pipe:lines() do
         local name = path:match "l_(%l+)%.c$"
         assert.is_true(public[name] or inner[name], path .. ": do scripts see it? Then it needs a class in lua/perigee/objects.lua")
      end
      pipe:close()
   end)

   it("tell the number of the interface", function()
      assert.truthy(read "docs/libraries.md":find(("number of the interface, now %d."):format(perigee.api), 1, true))
   end)

   for _, family in ipairs { "load", "order", "target", "dataset" } do
      it("have every " .. family .. " and all its arguments", function()
         local documented = {}
         for _, fn in ipairs(model.families[family]) do
            assert.is_nil(documented[fn.name], fn.name .. " is described twice")
            documented[fn.name] = true
            assert.truthy(fn.text:find "%S", fn.name)
            local arguments = {}
            for _, p in ipairs(fn.params) do
               local class = model.classes[p.type]
               local list = class and #class.fields > 0 and annotations.fields(model, p.type) or { p }
               for _, f in ipairs(list) do arguments[f.name] = f end
            end
            local def = spec.definition(perigee[family][fn.name])
            if def then
               assert.same(schema.sorted_keys(def.fields), schema.sorted_keys(arguments), ("%s.%s: see its @param"):format(family, fn.name))
               for name, field in pairs(def.fields) do is_like(("%s.%s: %s"):format(family, fn.name, name), field, arguments[name]) end
            end
         end
         assert.same(schema.sorted_keys(perigee[family]), schema.sorted_keys(documented), "a comment (---) above the constructor")
      end)
   end

   it("say something of each name", function()
      local silent, count = {}, 0
      for _, class in ipairs(model.list) do
         for _, field in ipairs(class.fields) do
            count = count + 1
            if field.text == "" and not field.default and not field.positional then
               silent[#silent + 1] = class.name .. "." .. field.name
            end
            -- Editors would take it for an index of the type.
            assert.is_nil(field.text:find "^%[", class.name .. "." .. field.name .. ": its text must not begin with a bracket")
         end
      end
      assert.is_true(count > 150, count)
      assert.same({}, silent)
   end)

   it("name only types that exist", function()
      local known = { ["perigee"] = true, ["perigee.load"] = true, ["perigee.order"] = true, ["perigee.target"] = true,
         ["perigee.dataset"] = true }
      for name in pairs(model.classes) do known[name] = true end
      for _, alias in ipairs(model.aliases) do known[alias.name] = true end
      for kind in types.text(model):gmatch "%-%-%-@%a+ ([^\n]*)" do
         for name in kind:gsub("%(https?://[^)]*%)", ""):gmatch "%f[%w]perigee%.[%a.]*%u[%w]*" do
            assert.is_true(known[name], name)
         end
      end
   end)
end)

describe("what is made from them", function()
   it("is committed: run `make docs`", function()
      assert.equal(types.text(model), read "lua/perigee/library/perigee.lua")
      local pipe = io.popen "ls docs/*.md docs/*/*.md examples/*.md"
      local made = 0
      for path in pipe:lines() do
         local text = read(path)
         assert.equal(tables.fill(model, text, path), text, path)
         if text:find("<!-- made: ", 1, true) then made = made + 1 end
      end
      pipe:close()
      assert.is_true(made > 20, made)
   end)

   it("shows every class on some page", function()
      local shown, pipe = {}, io.popen "cat docs/*.md docs/*/*.md"
      for what, name in pipe:read "*a":gmatch "<!%-%- made: (%l+) ([%w_.]+)[^\n]*%-%->" do
         shown[name] = true
         local family, member = name:match "^(%l+)%.([%w_]+)$"
         for _, fn in ipairs(what == "arguments" and model.families[family] or {}) do
            for _, p in ipairs(fn.name == member and fn.params or {}) do shown[p.type] = true end
         end
      end
      pipe:close()
      for _, class in ipairs(model.list) do -- a parent's fields stand in its children's tables
         if shown[class.name] and class.parent then shown[class.parent] = true end
      end
      for _, class in ipairs(model.list) do
         assert.is_true(shown[class.name] or #class.fields + #class.methods == 0, class.name .. " is on no page")
      end
   end)

   it("is Lua", function()
      assert.truthy(loadfile "lua/perigee/library/perigee.lua")
   end)
end)

describe("a page", function()
   local small = {
      classes = {
         ["perigee.P"] = { name = "perigee.P", methods = {}, fields = {
            { name = "p", type = "string|nil", text = "of P", optional = true },
         } },
      }, families = {},
   }
   small.classes["perigee.C"] = { name = "perigee.C", parent = "perigee.P", methods = {}, fields = {
      { name = "a", type = "perigee.Duration|string[]", default = "1 s", text = "either | or" },
      { name = "call", type = "fun(self: perigee.C, x: table<string, integer>, y?: fun(a: any)): integer", text = "does" },
   } }

   local function filled(marker)
      return tables.fill(small, ("before\n<!-- made: %s -->\nold\n<!-- end -->\nbehind"):format(marker), "page.md")
   end

   it("gets its tables, and nothing else of it changes", function()
      assert.equal(table.concat({
         "before", "<!-- made: fields perigee.C -->", "| field | type (default) | what |", "|---|---|---|",
         "| `a` | duration or string[] (1 s) | either \\| or |", "| `call` | function (required) | does |", "| `p` | string | of P |",
         "<!-- end -->", "behind" }, "\n"), filled "fields perigee.C")
      assert.truthy(filled "members perigee.C c":find("| `c:call(x [, y])` | does |", 1, true))
   end)

   it("is named when it asks for what is not there", function()
      support.contains("page.md: 'feilds' is none of files, fields", support.refusal(filled, "feilds perigee.C"))
      support.contains("there is no class perigee.X", support.refusal(filled, "fields perigee.X"))
   end)
end)
