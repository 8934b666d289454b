--- What servers call the figures that are read of their pages: each quantity with its names, the first that is there counts.
--- Of vLLM (both generations of names), SGLang, text-generation-inference and TensorRT-LLM, as their documents tell them.
local names = {}

--- { key, over ("sum" or "mean" of the label sets of several engines or replicas), names }
names.QUANTITIES = {
   { key = "requests_running", over = "sum", names = {
      "vllm:num_requests_running", "sglang:num_running_reqs", "tgi_batch_current_size", "trtllm_num_requests_running" } },
   { key = "requests_waiting", over = "sum", names = {
      "vllm:num_requests_waiting", "sglang:num_queue_reqs", "tgi_queue_size", "trtllm_num_requests_waiting" } },
   { key = "kv_cache_usage", over = "mean", names = {
      "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage", "trtllm_kv_cache_utilization" } },
   { key = "prefix_cache_queries", over = "sum", names = {
      "vllm:prefix_cache_queries_total", "vllm:prefix_cache_queries", "vllm:gpu_prefix_cache_queries_total",
      "vllm:gpu_prefix_cache_queries" } },
   { key = "prefix_cache_hits", over = "sum", names = {
      "vllm:prefix_cache_hits_total", "vllm:prefix_cache_hits", "vllm:gpu_prefix_cache_hits_total",
      "vllm:gpu_prefix_cache_hits" } },
   { key = "prefix_cache_hit_rate", over = "mean", names = {
      "vllm:gpu_prefix_cache_hit_rate", "sglang:cache_hit_rate", "trtllm_kv_cache_hit_rate" } },
   { key = "preemptions", over = "sum", names = { "vllm:num_preemptions_total", "vllm:num_preemptions" } },
   { key = "prompt_tokens", over = "sum", names = { "vllm:prompt_tokens_total", "sglang:prompt_tokens_total" } },
   { key = "generation_tokens", over = "sum", names = {
      "vllm:generation_tokens_total", "sglang:generation_tokens_total" } },
   { key = "generation_rate", over = "sum", names = { "sglang:gen_throughput" } },
}

-- Where the : of a name is not kept it becomes a _: so do proxies, and writers of OpenMetrics.
local known = {}
for _, quantity in ipairs(names.QUANTITIES) do
   for i = 1, #quantity.names do
      local plain = quantity.names[i]:gsub(":", "_")
      if plain ~= quantity.names[i] then table.insert(quantity.names, plain) end
   end
   for _, name in ipairs(quantity.names) do known[name] = quantity end
end

--- The quantity that a name stands for; nil when it is not one of them.
---@param name string
---@return table? quantity
function names.quantity(name)
   return known[name]
end

--- Does a name that is no quantity tell a counter?
---@param name string
function names.is_counter(name)
   return name:find "_total$" ~= nil or name:find "_sum$" ~= nil or name:find "_count$" ~= nil
end

-- Ranks of one engine tell the same things: the label sets that differ in nothing else are one.
local RANKS = { tp_rank = true, pp_rank = true, moe_ep_rank = true }

local function engine_of(labels)
   local parts = {}
   for name, value in pairs(labels) do
      if not RANKS[name] then parts[#parts + 1] = name .. "\0" .. value end
   end
   table.sort(parts)
   return table.concat(parts, "\0")
end

local function is_number(v)
   return v == v and v < math.huge and v > -math.huge
end

-- "vllm:*_seconds_sum" as a pattern of Lua.
local function pattern_of(glob)
   return "^" .. glob:gsub("[^%w_*]", "%%%0"):gsub("%*", ".*") .. "$"
end

--- keep(name) for globs, in which * stands for any text.
---@param globs string[]
---@return fun(name: string): boolean
function names.keeper(globs)
   local patterns = {}
   for i, glob in ipairs(globs) do patterns[i] = pattern_of(glob) end
   return function(name)
      for _, pattern in ipairs(patterns) do
         if name:find(pattern) then return true end
      end
      return false
   end
end

-- The engines' values of each name that is wanted: parts of distributions are none.
local function collect(samples, keep)
   local by_name = {}
   for _, s in ipairs(samples) do
      local wanted = (known[s.name] or keep(s.name)) and not s.labels.le and not s.labels.quantile
      if wanted and is_number(s.value) then
         local engines, key = by_name[s.name] or {}, engine_of(s.labels)
         engines[key] = math.max(engines[key] or s.value, s.value)
         by_name[s.name] = engines
      end
   end
   return by_name
end

--- The values of a page by their names: those of the quantities, and those that `keep` accepts, which are summed over their
--- label sets.
---@param samples table[]  of page.parse()
---@param keep fun(name: string): boolean
---@return table<string, number>
function names.values(samples, keep)
   local values = {}
   for name, engines in pairs(collect(samples, keep)) do
      local sum, n = 0, 0
      for _, v in pairs(engines) do sum, n = sum + v, n + 1 end
      local quantity = known[name]
      values[name] = quantity and quantity.over == "mean" and sum / n or sum
   end
   return values
end

--- The value of a quantity in the values of a page; nil when the server does not tell it.
---@param quantity table
---@param values table<string, number>
---@return number?
function names.read(quantity, values)
   for _, name in ipairs(quantity.names) do
      if values[name] then return values[name] end
   end
end

return names
