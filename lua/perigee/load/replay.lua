--- The load of an earlier run, from its event log: the same bodies at the same intended times.
local define = require "perigee.load.define"
local engine = require "perigee.engine"
local schema = require "perigee.schema"
local where = require "perigee.where"

---@class perigee.ReplayOptions: perigee.LoadOptions
---@field phase? string  (the first performance phase) the name of the phase whose requests are sent again

-- The phase of that name, or the first one of kind performance.
local function choose(path, phases, name, place)
   local names = {}
   for _, p in ipairs(phases) do
      names[#names + 1] = "'" .. p.name .. "'"
      if name and p.name == name or not name and p.kind == "performance" then return p end
   end
   where.fail(("load.replay: %s holds no %s; its phases are %s"):format(
      path, name and ("phase '%s'"):format(name) or "performance phase", table.concat(names, ", ")), place)
end

local function recorded(args, place)
   local phases, message = engine.log_requests(where.file(args.path, place))
   if not phases then where.fail("load.replay: " .. message, place) end
   local requests = choose(args.path, phases, args.phase, place).requests
   if not (requests[1] and requests[1].body) then
      where.fail(("load.replay: %s holds no bodies; record them with record_body = true"):format(args.path), place)
   end
   table.sort(requests, function(a, b) return a.at < b.at end)
   return requests
end

--- Open: the requests of an earlier run's event log, at their intended times.
---@param path string  its events.plog, written with `record_body = true`; a relative one is meant from the script's folder, else
---   from the current one
---@param opts? perigee.ReplayOptions
return define.open("replay", { "path" }, { path = schema.required(schema.text), phase = schema.text }, function(args, context, place)
   local kept = context.cache or {} -- for who builds it again
   kept.requests = kept.requests or recorded(args, place)
   local requests = kept.requests
   return {
      identity = { path = ("%d requests until %.9f"):format(#requests, requests[#requests].at) },
      schedule = function(i, t)
         local following = requests[i + 1]
         return following and math.max(0, following.at - t)
      end,
      content = function(i)
         local r = requests[i]
         if not r then return false end
         return r.body, r.index, r.path, nil, r.tag, r.method
      end,
   }
end)
