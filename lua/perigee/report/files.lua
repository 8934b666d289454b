--- The files of a run's folder, each written whole or not at all.
local engine = require "perigee.engine"
local hdr = require "perigee.report.hdr"
local html = require "perigee.report.html"
local mlperf = require "perigee.report.mlperf"
local series = require "perigee.report.series"
local server = require "perigee.report.server"

local files = {}

-- What a file is to have, into it. Returns ok, and what is wrong with the file or, second, with the content.
local function fill(file, content)
   local ok, failure = true, nil
   if type(content) == "string" then
      ok, failure = file:write(content)
      return ok, failure
   end
   local done, message = content(function(text)
      if ok then ok, failure = file:write(text) end
   end)
   return ok and done, failure, message
end

--- Write beside the path, then rename.
---@param path string
---@param content string|fun(write: fun(text: string)): boolean?, string?  a text, or what writes it: ok, or nil and why not
---@return boolean? ok
---@return string? message  names the path, or is the content's own
function files.write(path, content)
   local part = path .. ".tmp"
   local file, message = io.open(part, "wb")
   if not file then return nil, message end
   local ok, failure, refusal = fill(file, content)
   local closed, close_failure = file:close()
   if not (ok and closed) then
      os.remove(part)
      return nil, refusal or ("%s: %s"):format(path, failure or close_failure or "cannot be written")
   end
   ok, failure = os.rename(part, path)
   if not ok then return nil, failure end
   return true
end

-- Which sample each request was of, for MLPerf's accuracy tools; an earlier run's says nothing of this one.
local function write_sample_map(directory, summary)
   local path, phases = directory .. "/sample_idx_map.json", {}
   if summary.mlperf == engine.json.null then
      os.remove(path)
      return true
   end
   for i, entry in ipairs(summary.mlperf) do phases[i] = entry.phase end
   return mlperf.write_sample_map(directory .. "/requests.jsonl", path, phases)
end

-- What the servers told; likewise.
local function write_server(directory, entries)
   local path = directory .. "/server.jsonl"
   if entries[1] then return files.write(path, server.text(entries)) end
   os.remove(path)
   return true
end

--- summary.json, summary.txt, series.jsonl, config.json, the histograms and report.html in `directory`; also
--- sample_idx_map.json for MLPerf's phases, of the requests.jsonl that is there, and server.jsonl where servers were scraped.
---@param directory string
---@param summary table
---@param text string         of summary.txt
---@param report table        the engine's, with the series
---@param histograms table[]  as of session:histograms()
---@param scrapes? string[]   lines of perigee.scrape
---@return string[] problems
function files.write_run(directory, summary, text, report, histograms, scrapes)
   local problems, entries = {}, server.entries(report, scrapes)
   for _, entry in ipairs {
      { "summary.json", engine.json.encode(summary, 2) .. "\n" },
      { "summary.txt", text },
      { "series.jsonl", series.text(report) },
      { "config.json", engine.json.encode(summary.config, 2) .. "\n" },
      { "histograms.hgrm", hdr.percentiles(histograms) },
      { "histograms.hlog", hdr.log(histograms, summary) },
      { "report.html", html.render(summary, histograms, report, entries) },
   } do
      local ok, message = files.write(directory .. "/" .. entry[1], entry[2])
      if not ok then problems[#problems + 1] = message end
   end
   local ok, message = write_sample_map(directory, summary)
   if not ok then problems[#problems + 1] = message end
   ok, message = write_server(directory, entries)
   if not ok then problems[#problems + 1] = message end
   return problems
end

return files
