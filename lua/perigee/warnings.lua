--- Warnings: what a reader has to know before they trust the figures of a run.
--- Each is { kind =, phase = (nil: of the whole run), detail = }; docs/warnings.md tells what to do about every kind.
local warnings = {}

--- All kinds, in the order of the document.
warnings.KINDS = {
   "failed", "dropped", "unsent", "tags_full",
   "client_late", "client_busy", "client_failed", "worker_waits",
   "cached_tokens", "output_length", "token_counts", "reconnects", "ports", "clock_step", "suspended", "too_short", "scrape",
}

local known = {}
for _, kind in ipairs(warnings.KINDS) do known[kind] = true end

---@class perigee.Warning
---@field kind string  one of those below
---@field phase? string  the name of the phase; null: it is about the whole run
---@field detail string  in words, with the numbers

--- Put one at the end of a list. The rest is as of string.format.
---@param list perigee.Warning[]
---@param kind string
---@param phase string?
---@param format string
function warnings.add(list, kind, phase, format, ...)
   if not known[kind] then error("there is no kind of warning '" .. tostring(kind) .. "'", 2) end
   list[#list + 1] = { kind = kind, phase = phase, detail = format:format(...) }
end

--- One as a line for people: "phase 'steady': 3 of 10 requests failed".
---@param warning perigee.Warning  also as in summary.json, where phase may be null
---@return string
function warnings.text(warning)
   if type(warning.phase) ~= "string" then return warning.detail end
   return ("phase '%s': %s"):format(warning.phase, warning.detail)
end

return warnings
