--- perigee scrape: what a server tells Prometheus, again and again, as JSON lines.
local command = require "perigee.cli.command"
local names = require "perigee.scrape.names"
local scraper = require "perigee.scrape.scraper"
local url = require "perigee.scrape.url"

local scrape = {
   name = "scrape",
   usage = "usage: perigee scrape URL [options]",
   fewest = 1, most = 1, missing = "a url is missing",
   definitions = {
      { name = "every", value = "TIME", type = "duration", default = "1s", help = "between two scrapes" },
      { name = "timeout", value = "TIME", type = "duration", default = "5s", help = "how long an answer may take" },
      { name = "count", value = "N", type = "count", help = "stop after so many" },
      { name = "keep", value = "NAME", repeatable = true, help = "keep this one as well, * stands for any text; may be repeated" },
      { name = "unix-socket", value = "PATH", help = "connect there" },
      { name = "insecure", help = "do not verify the certificate" },
      { name = "ca-file", value = "FILE", help = "certificates to trust" },
      { name = "until-eof", help = "at the end of standard input, as it comes with a parent's, scrape once more and stop" },
      { name = "help", help = "show this text" },
   },
   notes = "A line says what was read, or why nothing was. Without --keep these are figures of vLLM, SGLang and the like.",
}

local function write(line)
   return io.stdout:write(line, "\n") and io.stdout:flush()
end

function scrape.run(args)
   local values, words = command.values(scrape, args)
   if not values then return words end
   local address, expected = url.read(words[1])
   if not address then return command.refuse(scrape, ("%s expected, got '%s'"):format(expected, words[1])) end
   local outcome, message = scraper.run {
      url = address, every = values.every, timeout = values.timeout, count = values.count, until_eof = values.until_eof, write = write,
      keep = names.keeper(values.keep or {}),
      unix_socket = values.unix_socket, insecure = values.insecure, ca_file = values.ca_file,
   }
   if not outcome then return command.refuse(scrape, message) end
   if outcome.outcome == "script_error" then return command.refuse(scrape, outcome.error, 1) end
   return outcome.outcome == "interrupted" and 128 + (outcome.signal or 2) or 0
end

return scrape
