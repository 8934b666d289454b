--- Urls of pages for Prometheus.
local url = {}

url.EXPECTED = "a url (http://HOST:PORT/metrics; the path may be left out)"

-- scheme, who (user and password, "@" included), host, port, path
local function parts(text)
   local scheme, rest = text:match "^(https?)://(.*)$"
   if not scheme then scheme, rest = "http", not text:find("://", 1, true) and text or "" end
   local authority, path = rest:match "^([^/?#]*)([^#]*)"
   local who, address = authority:match "^(.*@)(.*)$"
   address = address or authority
   local host, port = address:match "^(%[[%x:.]+%])(.*)$"
   if not host then host, port = address:match "^([^:]*)(.*)$" end
   return scheme, who or "", host, port, path
end

--- A url as it is asked for: `HOST:PORT` means http, and a path that is left out is /metrics.
---@param text string
---@return string? url
---@return string? expected  in words
function url.read(text)
   local scheme, who, host, port, path = parts(text)
   local bad = host == "" or text:find "[%s%c]" or host:find "[^%w%.%-_%[%]:]"
      or port ~= "" and not (port:match "^:%d+$" and tonumber(port:sub(2)) <= 65535)
   if bad then return nil, url.EXPECTED end
   return scheme .. "://" .. who .. host .. port .. path:gsub("^/?$", "/metrics"):gsub("^%?", "/metrics?")
end

--- The server and the path of a url.
---@param text string  of url.read
---@return string base
---@return string path
function url.split(text)
   local scheme, who, host, port, path = parts(text)
   return scheme .. "://" .. who .. host .. port, path
end

--- A url as it is shown: without user and password.
---@param text string  of url.read
---@return string
function url.shown(text)
   local scheme, _, host, port, path = parts(text)
   return scheme .. "://" .. host .. port .. path
end

return url
