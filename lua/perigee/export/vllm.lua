--- The result file of `vllm bench serve`, for the tools that read it. Times in seconds where
--- its lists have them, in milliseconds where the key says so. Latencies count from the
--- intended time, as everywhere in perigee; start_times is the intended time, and queue_times
--- how long a request waited in the client. Absent parts are null.
local engine = require "perigee.engine"
local requests = require "perigee.export.requests"

local json = engine.json
local null = json.null
local vllm = {}

-- Its percentile names, from ours.
local STATISTICS = { mean = "mean", p50 = "median", std = "std", p90 = "p90", p95 = "p95", p99 = "p99" }
local METRICS = { ttft = "ttft_ms", tpot = "tpot_ms", itl = "itl_ms", e2el = "latency_ms" }

-- Its names of what a target speaks; plain HTTP has none.
local ENDPOINTS = { openai_chat = "openai-chat", openai_completions = "openai" }

local function or_null(v)
   if v == nil then return null end
   return v
end

local function distributions(out, phase)
   for theirs, ours in pairs(METRICS) do
      local values = phase[ours]
      for statistic, name in pairs(STATISTICS) do
         out[("%s_%s_ms"):format(name, theirs)] = values and values ~= null and or_null(values[statistic]) or null
      end
   end
end

-- The phase's load as its options would say it.
local function traffic(out, planned)
   local load = planned and planned.load or {}
   out.request_rate = load.rate or "inf"
   out.burstiness = load.burstiness or 1
   out.max_concurrency = or_null(load.kind == "concurrency" and load.n or load.max_inflight)
end

-- The most that were in flight at a time, from (start, end) pairs.
local function most_at_once(spans)
   local edges = {}
   for _, span in ipairs(spans) do
      edges[#edges + 1] = { span[1], 1 }
      edges[#edges + 1] = { span[2], -1 }
   end
   table.sort(edges, function(a, b) return a[1] < b[1] or a[1] == b[1] and a[2] < b[2] end)
   local now, most = 0, 0
   for _, edge in ipairs(edges) do
      now = now + edge[2]
      most = math.max(most, now)
   end
   return most
end

local LISTS = { "input_lens", "output_lens", "ttfts", "itls", "latencies", "start_times", "queue_times", "generated_texts", "errors" }

local function new_lists()
   local lists = { spans = {} }
   for _, name in ipairs(LISTS) do lists[name] = json.array {} end
   return lists
end

local function seconds(ms)
   return ms and ms / 1e3 or 0
end

-- gaps: of the next success, nil where they are not known.
local function add(lists, r, gaps)
   local n = #lists.errors + 1
   lists.input_lens[n] = r.tokens_in or 0
   lists.output_lens[n] = r.tokens_out or 0
   lists.ttfts[n] = seconds(r.ttft_ms)
   lists.itls[n] = json.array(gaps or {})
   lists.latencies[n] = seconds(r.latency_ms)
   lists.start_times[n] = (r.scheduled_ns or 0) / 1e9
   lists.queue_times[n] = (r.lateness_us or 0) / 1e6
   lists.generated_texts[n] = r.text or ""
   lists.errors[n] = r.error and (r.error .. (r.error_message and ": " .. r.error_message or "")) or ""
   if r.issued_ns and r.finished_ns then lists.spans[#lists.spans + 1] = { r.issued_ns, r.finished_ns } end
end

local function planned_phase(summary, name)
   for i, p in ipairs(summary.config and summary.config.phases or {}) do
      if p.name == name then return p, i end
   end
end

-- The gaps of each success of a phase in seconds, in the order of ending, as requests.jsonl has it; an empty list without a log,
-- or where it has not all of them.
local function gaps_of(log, number, completed)
   local list = {}
   if not (log and number) then return list end
   local ok = engine.log_gaps(log, function(of, gaps, n)
      if of ~= number then return end
      local copy = {}
      for i = 1, n do copy[i] = gaps[i] / 1e6 end
      list[#list + 1] = copy
   end)
   return ok and #list == completed and list or {}
end

local function totals(out, phase)
   local duration = phase.duration_s
   local function per_second(n) return duration > 0 and n / duration or 0 end
   local tokens_in = phase.tokens_in ~= null and phase.tokens_in or 0
   local tokens_out = phase.tokens_out ~= null and phase.tokens_out or 0
   out.duration, out.completed = duration, phase.completed
   out.failed = phase.failed + phase.abandoned + phase.cancelled
   out.num_prompts = phase.issued
   out.total_input_tokens, out.total_output_tokens = tokens_in, tokens_out
   out.request_throughput = per_second(phase.completed)
   out.output_throughput = per_second(tokens_out)
   out.total_token_throughput = per_second(tokens_in + tokens_out)
   local goodput = type(phase.goodput) == "table" and phase.goodput ~= null and phase.goodput.per_s
   out.request_goodput = goodput or null
end

--- One phase of a summary in the form of a result file.
---@param summary table
---@param phase table   of its phases
---@param path string   of requests.jsonl
---@param log? string    the event log, for the gaps of each request
---@return table? result
---@return string? message
function vllm.phase(summary, phase, path, log)
   local lists, successes = new_lists(), 0
   local planned, number = planned_phase(summary, phase.name)
   local gaps = gaps_of(log, number, phase.completed)
   local ok, message = requests.each(path, function(r)
      if r.phase ~= phase.name then return end
      if r.ok then successes = successes + 1 end
      add(lists, r, r.ok and gaps[successes])
   end)
   if not ok then return nil, message end
   local endpoint = or_null(ENDPOINTS[planned and planned.target and planned.target.kind])
   local out = {
      date = type(summary.started_at) == "string" and summary.started_at:gsub("[-:]", ""):sub(1, 15):gsub("T", "-") or null,
      endpoint_type = endpoint, backend = endpoint, label = null, tokenizer_id = null,
      model_id = planned and planned.target and or_null(planned.target.model) or null,
      max_concurrent_requests = most_at_once(lists.spans), max_output_tokens_per_s = null,
   }
   for _, name in ipairs(LISTS) do out[name] = lists[name] end
   traffic(out, planned)
   totals(out, phase)
   distributions(out, phase)
   return out
end

return vllm
