--- How a target's requests travel: over plain sockets or libcurl, and what their connections need of the system.
local engine = require "perigee.engine"
local where = require "perigee.where"

local transport = {}

transport.MODES = { "auto", "direct", "curl" }

--- The options of commands that send, or say how they would.
transport.OPTIONS = {
   { name = "transport", value = "NAME", choices = transport.MODES,
      help = "auto, direct (plain sockets) or curl, instead of the targets' own" },
   { name = "source", value = "ADDR", repeatable = true,
      help = "local address that connections come from, instead of the targets' own; may be repeated" },
}

local RESERVE = 64 -- descriptors of a run beside those of its connections
local OF_A_WORKER = 5 -- and of each HTTP worker's loop

local function urls_of(args)
   return type(args.url) == "table" and args.url or { args.url }
end

-- The built-in endpoint is not started yet; it speaks plain HTTP.
local function base(url)
   if url:sub(1, 5) == "mock:" then return "http://127.0.0.1" end
   return url:find("^%a[%w+.-]*://") and url or "http://" .. url
end

--- What the options of a command say, for the plan: { transport =, source_addresses = }.
function transport.forced(values)
   return { transport = values.transport, source_addresses = values.source }
end

--- The transport of a target and why it is that one. Raises an error when the one asked for cannot serve it.
---@param args table     the target's arguments
---@param forced? table  of transport.forced()
---@return "direct"|"curl" name
---@return string why
function transport.of(args, forced)
   local urls = {}
   for i, url in ipairs(urls_of(args)) do urls[i] = base(url) end
   local name, why = engine.transport { urls = urls, transport = forced and forced.transport or args.transport }
   if not name then error("target: " .. why, 0) end
   return name, why
end

-- The family of an address that is a number; nil of a name.
local function family(host)
   if host:find(":", 1, true) then return "IPv6" end
   return host:find "^%d+%.%d+%.%d+%.%d+$" and "IPv4" or nil
end

local function host_of(url)
   local place = base(url):match "^%a[%w+.-]*://([^/]*)":gsub("^.*@", "")
   return place:match "^%[(.*)%]" or place:match "^[^:]*"
end

--- Refuse source addresses from which there is no way to the address of a url: those of another family. Of names that is
--- not known before they are looked up.
---@param args table     the target's arguments
---@param forced table   of transport.forced()
---@param at string      the target, in an error
---@param place? string  where the script said it
function transport.check_sources(args, forced, at, place)
   if args.unix_socket then return end
   for _, source in ipairs(forced.source_addresses or args.source_addresses or {}) do
      for _, url in ipairs(urls_of(args)) do
         local from, to = family(source), family(host_of(url))
         if from and to and from ~= to then
            local problem = ("'%s' is %s, and the url '%s' is %s"):format(source, from, url, to)
            if forced.source_addresses then error("option --source: " .. problem, 0) end
            where.fail(("%s: source_addresses: %s"):format(at, problem), place)
         end
      end
   end
end

-- Loads whose n is a number of connections.
local COUNTS = { concurrency = true, burst = true, users = true }

-- The connections that a phase may have open at a time; nil when its load does not say.
local function peak(p)
   local args = p.load.args
   local most = args.max_inflight or COUNTS[p.load.kind] and args.n
   return most and math.min(most, p.requests or most) or nil
end

local function check_descriptors(p, needed, have)
   needed = needed + RESERVE
   if needed <= have then return end
   error({ code = "EINVAL", message = ("phase '%s': %d file descriptors are needed, the limit is %d: raise it (ulimit -Hn) "
      .. "or lower the load"):format(p.name, needed, have) }, 0)
end

local function check_ports(p, needed, ports, forced)
   local args = p.target.args
   local sources = forced.source_addresses or args.source_addresses or { "one" }
   local most = ports * #sources * #urls_of(args)
   if args.unix_socket or needed <= most then return end
   error({ code = "EINVAL", message = ("phase '%s': %d connections are needed, the local ports allow %d "
      .. "(%d for each of %d source addresses): set source_addresses"):format(p.name, needed, most, ports, #sources) }, 0)
end

--- Refuse a plan whose loads need more connections than the system allows. Raises { message, code }.
---@param plan table
---@param threads integer     HTTP workers
---@param descriptors number  as engine.limits() tells them
---@param ports? number
function transport.check_limits(plan, threads, descriptors, ports)
   for _, p in ipairs(plan.phases) do
      local needed = peak(p)
      if needed or threads > 0 then check_descriptors(p, (needed or 0) + threads * OF_A_WORKER, descriptors) end
      if needed and ports then check_ports(p, needed, ports, plan.forced or {}) end
   end
end

return transport
