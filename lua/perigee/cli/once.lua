--- perigee once: one request of a scenario, shown in full.
local assemble = require "perigee.assemble"
local command = require "perigee.cli.command"
local config = require "perigee.report.config"
local endpoint = require "perigee.endpoint"
local engine = require "perigee.engine"
local runner = require "perigee.runner"
local transport = require "perigee.transport"
local units = require "perigee.units"
local where = require "perigee.where"

local once = {
   name = "once",
   usage = "usage: perigee once FILE [--option value ...] [--index N] [--phase NAME]",
   definitions = {
      { name = "index", value = "N", type = "count", default = 1, help = "sample to send, from 1" },
      { name = "phase", value = "NAME", help = "phase whose target and request are used (default the first performance phase)" },
      { name = "seed", value = "N", type = "number", help = "seed instead of the scenario's" },
      transport.OPTIONS[1], transport.OPTIONS[2],
      { name = "help", help = "show this text and the scenario's options" },
   },
}

local function choose(plan, name)
   for _, p in ipairs(plan.phases) do
      if name == p.name or (not name and p.kind == "performance") then return p end
   end
   if not name then return plan.phases[1] end
   return nil, ("no phase is named '%s'"):format(name)
end

local function pretty(text)
   local value = engine.json.decode(text)
   return type(value) == "table" and engine.json.encode(value, 2) or text
end

local function header_lines(lists)
   local lines = {}
   for _, list in ipairs(lists) do
      for _, line in ipairs(list) do
         local name = line:match("^([^:]*):")
         lines[#lines + 1] = config.is_secret(name) and name .. ": [redacted]" or line
      end
   end
   return lines
end

--- The request as text.
---@param client table  the target's client
---@param sent table    { body, index, path, headers, tag, method }, what was built
function once.show_request(client, sent)
   local lines = { ("%s %s%s"):format(sent.method or client.method, client.urls[1], sent.path or client.path or "") }
   for _, line in ipairs(header_lines { client.headers, sent.headers or {} }) do lines[#lines + 1] = line end
   lines[#lines + 1] = ""
   lines[#lines + 1] = pretty(sent.body)
   return table.concat(lines, "\n") .. "\n"
end

local function stamps(r)
   local parts = {}
   for _, name in ipairs { "ttft", "latency", "service_time", "tpot" } do
      if r[name] then parts[#parts + 1] = name .. " " .. units.seconds(r[name]) end
   end
   return table.concat(parts, "  ")
end

local function answer_lines(r)
   local lines = {}
   local function add(name, v)
      if v ~= nil and v ~= "" then lines[#lines + 1] = ("%-13s %s"):format(name, tostring(v)) end
   end
   add("tokens in", r.tokens_in)
   add("tokens out", r.tokens_out)
   add("finish reason", r.finish_reason)
   add("bytes", r.bytes)
   if not r.ok then add("failure", r.error .. (r.message and ": " .. r.message or "")) end
   local text = r.text and r.text ~= "" and r.text or (r.body and pretty(r.body))
   if text and text ~= "" then lines[#lines + 1] = "\n" .. text end
   return lines
end

--- The answer as text.
---@param r table        the kept result
---@param chunks table[] { seconds after the issue, text }
function once.show_answer(r, chunks)
   local lines = { "", ("status %s  %s"):format(tostring(r.status or "-"), stamps(r)) }
   for _, chunk in ipairs(chunks) do
      lines[#lines + 1] = ("  %10s  %s"):format(units.seconds(chunk[1]), engine.json.encode(chunk[2]))
   end
   for _, line in ipairs(answer_lines(r)) do lines[#lines + 1] = line end
   return table.concat(lines, "\n") .. "\n"
end

-- Of these the first turn is sent.
local BRINGS_TURNS = { conversations = true, users = true }

-- The phase's arguments, changed to send one request and to remember all of it.
local function arguments(planned, plan, target, index, seen)
   local a = assemble.phase(planned, plan.seed, target)
   local build = a.build
   a.build = function(i, at)
      local sent = { build(i, at) }
      seen.sent = { body = sent[1], index = sent[2], path = sent[3], headers = sent[4], tag = sent[5], method = sent[6] }
      if not sent[1] then return sent[1] end
      return unpack(sent, 1, 6)
   end
   local ask = a.ask
   a.ask = function(asked)
      local content = ask(asked)
      seen.sent = seen.sent or content
      return content
   end
   a.schedule, a.max_inflight, a.overload = nil, nil, nil
   if not BRINGS_TURNS[planned.load.kind] then a.strategy = function(p) p:issue(index) end end
   a.requests, a.duration, a.max_duration, a.min_requests, a.min_duration, a.stall = 1, nil, nil, nil, nil, nil
   a.drain, a.keep_text, a.keep_body = planned.deadline, true, true
   local function ended(r) seen.result = r:keep() end
   a.on = {
      chunk = function(r, p, text) seen.chunks[#seen.chunks + 1] = { p.elapsed - r.issued, text } end,
      complete = ended, error = ended,
   }
   return a
end

local function send(planned, plan, index, endpoints)
   local target = runner.build_targets({ phases = { planned }, forced = plan.forced }, endpoints)[planned.target]
   local seen = { chunks = {}, client = target.client }
   local session, message = engine.session { seed = plan.seed, name = plan.name }
   if not session then error(message, 0) end
   local phase
   phase, message = session:phase(arguments(planned, plan, target, index, seen))
   if phase then seen.outcome = session:run() end
   session:close(0)
   if not phase then error(message, 0) end
   return seen
end

local function show(seen, plan)
   if seen.sent and seen.sent.body then io.stdout:write(config.clean(once.show_request(seen.client, seen.sent), plan)) end
   if seen.result then io.stdout:write(config.clean(once.show_answer(seen.result, seen.chunks), plan)) end
   local outcome = seen.outcome
   if outcome.outcome == "script_error" then return command.refuse(once, where.shorten(outcome.error)) end
   if outcome.outcome == "interrupted" then return 128 + (outcome.signal or 2) end
   if not seen.result then
      local skipped = seen.sent and "the request function skipped this sample"
      return command.refuse(once, outcome.error or skipped or "nothing was sent", 1)
   end
   return seen.result.ok and 0 or 1
end

function once.run(args)
   local loaded, code = command.scenario(once, args)
   if not loaded then return code end
   local planned, message = choose(loaded.plan, loaded.values.phase)
   if not planned then return command.refuse(once, message) end
   local index, samples = loaded.values.index, planned.dataset and #planned.dataset or 1
   if index < 1 or index > samples then
      return command.refuse(once, ("option --index: a sample in 1..%d expected, got %d"):format(samples, index))
   end
   local endpoints = endpoint.new()
   local ok, seen = pcall(send, planned, loaded.plan, index, endpoints)
   endpoints:stop()
   if not ok then
      local failed = runner.failure(seen)
      return command.refuse(once, failed.error, failed.exit_code)
   end
   return show(seen, loaded.plan)
end

return once
