--- Which pages for Prometheus a run scrapes: what a scenario and the command line say.
local opt = require "perigee.opt"
local schema = require "perigee.schema"
local url = require "perigee.scrape.url"

local fields = {}

local EVERY, TIMEOUT = 1, 5 -- seconds

--- Stands for the pages of the plan's targets.
fields.OF_TARGET = "target"

local EXPECTED = ("'%s' or %s"):format(fields.OF_TARGET, url.EXPECTED)
local OF_KEEP = "a list of names of metrics, in which * stands for any text"

local function page(v)
   if v == fields.OF_TARGET then return true, v end
   local address = type(v) == "string" and url.read(v)
   if address then return true, address end
   return false, EXPECTED
end

local function name(v)
   if type(v) == "string" and v:find "^[%w_:*]+$" then return true, v end
   return false, OF_KEEP
end

local pages = schema.list(page, "a list, each of it " .. EXPECTED)

local function one_or_more(v)
   if type(v) == "table" and not getmetatable(v) then return pages(v) end
   local ok, result = page(v)
   return ok, ok and { result } or result
end

local function keep(v)
   if type(v) == "table" and next(v) == nil then return true, v end
   return schema.list(name, OF_KEEP)(v)
end

--- What is read of servers while the run lasts.
---@class perigee.Scrape
---@field url string|string[]  (required) of pages for Prometheus; `"target"`: the path `/metrics` of the targets' servers
---@field every? perigee.Duration  (1 s) time between two scrapes
---@field timeout? perigee.Duration  (5 s) how long an answer may take
---@field keep? string[]  names of more metrics to keep; `*` stands for any text
local FIELDS = {
   url = schema.required(one_or_more), every = schema.default(schema.duration, EVERY),
   timeout = schema.default(schema.duration, TIMEOUT), keep = schema.default(keep, {}),
}

--- A scenario's field `scrape`: a url, a list of them, or a table.
---@param at string
---@param written any
---@param place? string
---@return table checked  { url = list, every = seconds, timeout = seconds, keep = list }
function fields.check(at, written, place)
   if opt.is(written) then return written end
   local is_table = type(written) == "table" and not getmetatable(written) and written[1] == nil
   return schema.check(at, FIELDS, is_table and written or { url = written }, place)
end

--- What the option --scrape takes: the value, or nil and what was expected.
function fields.read(text)
   local ok, result = page(text)
   return ok and result or nil, result
end

--- What a run scrapes: the scenario's choice, with the urls of the command line in place of its own.
---@param own? table     of fields.check()
---@param urls? string[]  of fields.read()
---@return table?
function fields.choose(own, urls)
   if not urls then return own end
   own = own or { every = EVERY, timeout = TIMEOUT, keep = {} }
   return { url = urls, every = own.every, timeout = own.timeout, keep = own.keep }
end

return fields
