--- What a run was made of, as plain data for config.json, without secrets.
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local transport = require "perigee.transport"

local json = engine.json
local config = {}

local REDACTED = "[redacted]"

-- Header and option names whose values nobody should find in a result.
local function is_secret(name)
   name = tostring(name):lower():gsub("_", "-")
   return name == "authorization" or name == "proxy-authorization" or name == "cookie" or name == "x-auth-token"
      or name:find("api%-?key$") ~= nil or name:find("secret") ~= nil or name:find("password") ~= nil
      or name == "token" or name:find("access%-token$") ~= nil
end

config.is_secret, config.REDACTED = is_secret, REDACTED

local function function_text(fn)
   local info = debug.getinfo(fn, "S")
   return ("function@%s:%d"):format(info.short_src, info.linedefined)
end

local function is_list(t)
   local keys = 0
   for _ in pairs(t) do keys = keys + 1 end
   return keys == #t
end

local function plain(value, seen)
   local kind = type(value)
   if kind == "function" then return function_text(value) end
   if kind ~= "table" then
      if kind == "userdata" and value ~= json.null then return tostring(value) end
      return value
   end
   local mt = getmetatable(value)
   if mt and mt.__tostring then return tostring(value) end
   if seen[value] then return "..." end
   seen[value] = true
   local out, list = setmetatable({}, mt), is_list(value)
   for k, v in pairs(value) do
      out[list and k or tostring(k)] = is_secret(k) and REDACTED or plain(v, seen)
   end
   seen[value] = nil
   return out
end

-- Every string that stands in a secret place.
local function collect(value, found, seen)
   if type(value) ~= "table" or seen[value] or getmetatable(value) then return end
   seen[value] = true
   for k, v in pairs(value) do
      if type(v) == "string" and is_secret(k) and v ~= "" then
         found[#found + 1] = v
         found[#found + 1] = v:match("^%a+ (%S+)$") -- of "Bearer KEY"
      else
         collect(v, found, seen)
      end
   end
end

-- A shorter secret is only hidden where it is the whole text: it would be found in any word.
local SHORT = 4

local function clean_text(text, secrets)
   for _, secret in ipairs(secrets) do
      if text == secret then return REDACTED end
      local from, to = text:find(secret, 1, true)
      while from and #secret >= SHORT do
         text = text:sub(1, from - 1) .. REDACTED .. text:sub(to + 1)
         from, to = text:find(secret, from + #REDACTED, true)
      end
   end
   text = text:gsub("(api%-key=)[^,&%s]+", "%1" .. REDACTED) -- of the built-in endpoint's url
   return (text:gsub("(%a[%w+.-]*://)[^/@%s]*@", "%1" .. REDACTED .. "@"))
end

local function clean(value, secrets)
   if type(value) == "string" then return clean_text(value, secrets) end
   if type(value) ~= "table" then return value end
   local out = setmetatable({}, getmetatable(value))
   for k, v in pairs(value) do out[k] = clean(v, secrets) end
   return out
end

local function spec_data(s)
   local out = {}
   for name, v in pairs(s.args) do out[name] = v end
   out.kind = s.kind
   return out
end

-- In units that JSON has.
local function limits_data(l)
   return { lateness = l.lateness, lateness_floor_s = l.lateness_floor, busy = l.busy, failed = l.failed }
end

local function transport_data(args, forced)
   local name, why = transport.of(args, forced)
   return { name = name, why = why, source_addresses = forced and forced.source_addresses or args.source_addresses }
end

local function check_texts(list)
   local texts = {}
   for i, check in ipairs(list) do texts[i] = check.text end
   return json.array(texts)
end

local function mlperf_data(rules)
   if not rules then return nil end
   return {
      min_duration_s = rules.min_duration, min_queries = rules.min_queries, percentile = rules.percentile,
      latency_s = rules.latency, ttft_s = rules.ttft, tpot_s = rules.tpot,
   }
end

local function phase_data(p, forced)
   local handlers = schema.sorted_keys(p.on)
   return {
      name = p.name, kind = p.kind, side = p.side, load = spec_data(p.load), order = spec_data(p.order), target = spec_data(p.target),
      transport = transport_data(p.target.args, forced),
      dataset = p.dataset and { source = p.dataset.source, sha256 = p.dataset.sha256, samples = #p.dataset } or nil,
      request = p.request, session = p.session,
      requests = p.requests, duration_s = p.duration, min_requests = p.min_requests,
      min_duration_s = p.min_duration, max_duration_s = p.max_duration, drain_s = p.drain, deadline_s = p.deadline,
      stall_s = p.stall, stop_when = p.stop_when, max_error_rate = p.max_error_rate,
      tick_s = p.on.tick and p.tick, record_text = p.record_text, record_body = p.record_body,
      chunk_events = p.chunk_events, client_limits = limits_data(p.client_limits), guards = p.guards,
      slo_s = p.slo, mlperf = mlperf_data(p.mlperf),
      checks = check_texts(p.checks), on = json.array(handlers),
   }
end

local function secrets_of(plan)
   local found, seen = {}, {}
   for _, p in ipairs(plan.phases) do collect(p.target.args, found, seen) end
   collect(plan.options, found, seen)
   for _, p in ipairs(plan.phases) do
      local variable = p.target.args.api_key_env
      found[#found + 1] = variable and os.getenv(variable) or nil
   end
   table.sort(found, function(a, b) return #a > #b end)
   return found
end

--- The plan as plain data that JSON can hold, secrets redacted.
---@param plan table
---@param run? table  how it was run: file, out, events ...
---@param threads? { count: integer, why: string }  of perigee.workers
---@return table
function config.describe(plan, run, threads)
   local phases = {}
   for i, p in ipairs(plan.phases) do phases[i] = phase_data(p, plan.forced) end
   local overall = check_texts(plan.overall or {})
   local data = plain({
      name = plan.name, seed = plan.seed, options = plan.options, phases = phases, overall = overall, run = run, workers = threads,
      scrape = plan.scrape and { urls = plan.scrape.url, every_s = plan.scrape.every, timeout_s = plan.scrape.timeout,
         keep = json.array(plan.scrape.keep) } or nil,
   }, {})
   return clean(data, secrets_of(plan))
end

--- A text without the plan's secrets, for what is shown on a terminal.
function config.clean(text, plan)
   return clean_text(text, secrets_of(plan))
end

return config
