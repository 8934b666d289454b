--- What the unit specs share.
local support = {}

--- The message of the error that fn(...) raises; fails when it raises none.
function support.refusal(fn, ...)
   local ok, message = pcall(fn, ...)
   assert(not ok, "an error was expected")
   return tostring(message)
end

--- Does `text` hold `part`, taken literally? Shows both when not.
function support.contains(part, text)
   assert(type(text) == "string", "a string expected, got " .. type(text))
   assert(text:find(part, 1, true), ("%q\nshould contain\n%q"):format(text, part))
end

--- A file with this content in a folder of its own; its path.
function support.file(name, content)
   local folder = assert(require("perigee.engine").mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/lua_"))
   local path = folder .. "/" .. name
   local file = assert(io.open(path, "wb"))
   file:write(content)
   file:close()
   support.made[#support.made + 1] = path
   support.made[#support.made + 1] = folder
   return path, folder
end

support.made = {}

--- Remove what support.file() made.
function support.clean()
   for _, path in ipairs(support.made) do os.remove(path) end
   support.made = {}
end

function support.read(path)
   local file = assert(io.open(path, "rb"))
   local text = file:read("*a")
   file:close()
   return text
end

--- An io.write-like sink that remembers.
function support.sink()
   local sink = { text = "" }
   function sink:write(...)
      self.text = self.text .. table.concat({ ... })
      return self
   end
   function sink.flush() end
   return sink
end

--- An engine's report of one phase; `changes` replace fields.
function support.phase_report(changes)
   local report = {
      name = "steady", kind = "performance", open = false, end_reason = "requests", duration_ns = 2e9,
      issued = 10, completed = 10, failed = 0, abandoned = 0, cancelled = 0, dropped = 0, inflight = 0,
      tokens_in = 0, tokens_out = 0, token_responses = 0, chunks = 0, errors = {}, finish_reasons = {},
   }
   for name, value in pairs(changes or {}) do report[name] = value end
   return report
end

--- A distribution in ns, all statistics equal but those in `changes`.
function support.distribution(value, changes)
   local d = { count = 10, mean = value, std = 0, min = value, max = value }
   for _, name in ipairs { "p50", "p90", "p95", "p99", "p99.9" } do d[name] = value end
   for name, v in pairs(changes or {}) do d[name] = v end
   return d
end

--- How many conversations of a phase of the summary were started, completed and failed.
---@param phase table
---@return integer[]
function support.conversations(phase)
   local list = {}
   for i, name in ipairs { "started", "completed", "failed" } do list[i] = phase.metrics["conversations_" .. name].value end
   return list
end

return support
