--- Asks for a page again and again, in a process of its own. Each answer becomes one line of JSON:
--- { source, at_s (when it was asked for, of the machine's monotonic clock), took_ms, values } or, in place of the values,
--- { failure, message }; also malformed (lines of the page) and left_out (values that found no room), when there are any.
local engine = require "perigee.engine"
local names = require "perigee.scrape.names"
local page = require "perigee.scrape.page"
local schema = require "perigee.schema"
local url = require "perigee.scrape.url"

local scraper = {}

local MAX_PAGE = 8 * 2 ^ 20 -- bytes
local MAX_LINE = 4000 -- bytes of JSON: what a reader of the process takes as one line
local MAX_MESSAGE = 200 -- bytes

-- Their values in the order in which they find room: what is known first.
local function by_importance(values)
   local known, others = {}, {}
   for _, name in ipairs(schema.sorted_keys(values)) do
      local list = names.quantity(name) and known or others
      list[#list + 1] = name
   end
   for _, name in ipairs(others) do known[#known + 1] = name end
   return known
end

-- The line, with as many values as there is room for.
local function encode(entry)
   local line = engine.json.encode(entry)
   if #line <= MAX_LINE then return line end
   local values, room, left_out = {}, MAX_LINE - #engine.json.encode { source = entry.source, failure = "" } - 150, 0
   for _, name in ipairs(by_importance(entry.values)) do
      local size = #engine.json.encode { [name] = entry.values[name] }
      if size <= room then values[name], room = entry.values[name], room - size else left_out = left_out + 1 end
   end
   entry.values, entry.left_out = values, left_out
   return engine.json.encode(entry)
end

local function fail(entry, class, message)
   entry.failure, entry.message = class, message ~= "" and message:sub(1, MAX_MESSAGE) or nil
end

--- The line about an answer.
---@param r table  { ok, status, error, message, body } of a result
---@param entry table  { source, at_s, took_ms }
---@param keep fun(name: string): boolean
---@return string
function scraper.line(r, entry, keep)
   if not r.ok then
      fail(entry, r.error, r.message or "")
      return encode(entry)
   end
   if r.status ~= 200 then -- a redirect, nothing new
      fail(entry, "http_" .. r.status, "the page is not there")
      return encode(entry)
   end
   local samples, malformed = page.parse(r.body)
   if not samples then
      fail(entry, "not_metrics", malformed)
   else
      entry.values = names.values(samples, keep)
      entry.malformed = malformed > 0 and malformed or nil
   end
   return encode(entry)
end

local function client_of(options)
   local base, path = url.split(options.url)
   return {
      urls = { base }, path = path, method = "GET", decoder = "raw", connect_timeout = options.timeout, max_response_bytes = MAX_PAGE,
      headers = { "Accept: text/plain;version=0.0.4;q=0.9,*/*;q=0.1" },
      unix_socket = options.unix_socket, insecure = options.insecure, ca_file = options.ca_file,
   }
end

local function round(ms)
   return math.floor(ms * 1e3 + 0.5) / 1e3
end

-- Write what has come; false when nobody reads it any more.
local function tell(p, begun, options)
   for _, r in ipairs(p:results()) do
      local entry = { source = url.shown(options.url), at_s = begun + r.issued, took_ms = round((r.finished - r.issued) * 1e3) }
      if not options.write(scraper.line(r, entry, options.keep)) then return false end
   end
   return true
end

-- Ask at the multiples of `every`, but for those that come while an answer is waited for.
local function strategy(options, state)
   return function(p)
      local every, begun, due, asked = options.every, engine.clock() - p.elapsed, 0, 0
      state.phase = p
      if state.ended then state.finish() end
      while p:running() do
         if not state.ended and p.inflight == 0 and p.elapsed >= due then
            p:issue()
            asked, due = asked + 1, due + every * math.max(1, math.ceil((p.elapsed - due) / every))
         end
         p:wait(p.inflight == 0 and math.max(0, due - p.elapsed) or nil) -- an answer has its timeout
         if not tell(p, begun, options) then return end
         if p.inflight == 0 and (state.ended or asked == options.count) then return end
      end
   end
end

local function nothing() return "" end

-- The end of standard input asks for a last scrape, which begins after it.
local function watch_input(state)
   function state.finish()
      state.ended = true
      if state.phase then state.phase:issue() end
   end
   local input = engine.on_input_end(state.finish)
   state.ended = input == nil
   return input
end

--- Scrape until `count` answers, the end of standard input (`until_eof`; then once more), a signal, or until write() fails.
---@param options table  url (of url.read()), every and timeout (seconds), keep(name), write(line) -> truth, count, until_eof, and of
--- the client unix_socket, insecure, ca_file
---@return table? outcome  of the session
---@return string? message
function scraper.run(options)
   local session, message = engine.session { name = "scrape" }
   if not session then return nil, message end
   local state = {}
   local phase
   phase, message = session:phase {
      name = "scrape", kind = "accuracy", client = client_of(options), build = nothing, strategy = strategy(options, state),
      results = true, keep_body = true, deadline = options.timeout, drain = false, on = {},
   }
   local outcome
   if phase then
      local input = options.until_eof and watch_input(state)
      outcome = session:run()
      if input then input:close() end
   end
   session:close(0)
   return outcome, message
end

return scraper
