--- The programs for language models in the tables of `make bench` and `make bench-llm`. They make their own prompts, of so
--- many tokens, which are bytes: the tokenizer that tests/bench/install-peers makes needs no download.
local json = require("perigee_engine").json

local files = require "files"

--- Where tests/bench/install-peers puts things.
local llm_peers = { HOME = os.getenv "PEERS" or "build/peers" }

local TOKENIZER = llm_peers.HOME .. "/tokenizer"

local PROMPT, ANSWER = 440, 16

local function aiperf(program)
   return function(job)
      return ("env TMPDIR=%s %s profile -m m --url %s --endpoint-type chat %s --concurrency %d --request-count %d --tokenizer %s --ui none "
         .. "--isl %d --isl-stddev 0 --output-artifact-dir %s/aiperf"):format(
         job.dir, program, job.url, job.streamed and "--streaming" or "", job.connections, job.requests, TOKENIZER, PROMPT, job.dir)
   end
end

local function aiperf_report(job) return json.decode(files.read(job.dir .. "/aiperf/profile_export_aiperf.json")) end

local function aiperf_figures(job)
   local report = aiperf_report(job)
   local ttft, latency = report.time_to_first_token, report.request_latency
   return { ttft_p50_ms = ttft.p50, ttft_p99_ms = ttft.p99, latency_p50_ms = latency.p50, latency_p99_ms = latency.p99 }
end

local function guidellm(program)
   return function(job)
      return ("env HF_HUB_OFFLINE=1 %s run --disable-console --backend kind=openai_http,target=%s,model=m "
         .. "--profile kind=concurrent,streams=%d --constraint kind=max_requests,count=%d --tokenizer kind=hf_auto,model=%s "
         .. "--data kind=synthetic_text,prompt_tokens=%d,output_tokens=%d --output kind=json,path=%s/guidellm.json"):format(
         program, job.url, job.connections, job.requests, TOKENIZER, PROMPT, ANSWER, job.dir)
   end
end

local function guidellm_report(job) return json.decode(files.read(job.dir .. "/guidellm.json")).benchmarks[1].metrics end

local function guidellm_figures(job)
   local metrics = guidellm_report(job)
   local ttft, latency = metrics.time_to_first_token_ms.successful.percentiles, metrics.request_latency.successful.percentiles
   return {
      ttft_p50_ms = ttft.p50, ttft_p99_ms = ttft.p99, latency_p50_ms = latency.p50 * 1e3, latency_p99_ms = latency.p99 * 1e3,
   }
end

local function vllm(program)
   return function(job)
      return ("env HF_HUB_OFFLINE=1 %s bench serve --backend openai-chat --base-url %s --endpoint %s --model m --tokenizer %s "
         .. "--dataset-name random --random-input-len %d --random-output-len %d --num-prompts %d --max-concurrency %d "
         .. "--percentile-metrics ttft,e2el --metric-percentiles 99 --disable-tqdm "
         .. "--save-result --result-dir %s --result-filename vllm.json"):format(
         program, job.url, "/v1/chat/completions", TOKENIZER, PROMPT, ANSWER, job.requests, job.connections, job.dir)
   end
end

local function vllm_report(job) return json.decode(files.read(job.dir .. "/vllm.json")) end

local function vllm_figures(job)
   local r = vllm_report(job)
   return {
      ttft_p50_ms = r.median_ttft_ms, ttft_p99_ms = r.p99_ttft_ms, latency_p50_ms = r.median_e2el_ms, latency_p99_ms = r.p99_e2el_ms,
   }
end

-- Of mlcommons.
local function endpoints(program)
   return function(job)
      local prompts = files.write(job.dir .. "/prompts.jsonl", ('{"prompt":"%s"}\n'):format(("x"):rep(PROMPT)):rep(job.connections))
      return ("env HF_HUB_OFFLINE=1 %s benchmark online --endpoints %s --model m --tokenizer %s --dataset %s,parser.prompt=prompt "
         .. "--load-pattern concurrency --concurrency %d --num-samples %d --duration 0 --workers 1 --no-cpu-affinity --streaming %s "
         .. "--report-dir %s/endpoints"):format(
         program, job.url, TOKENIZER, prompts, job.connections, job.requests, job.streamed and "on" or "off", job.dir)
   end
end

local function endpoints_report(job) return json.decode(files.read(job.dir .. "/endpoints/performance/result_summary.json")) end

local function endpoints_figures(job)
   local r = endpoints_report(job)
   local ttft, latency = r.ttft.percentiles, r.latency.percentiles
   return {
      ttft_p50_ms = ttft["50.0"] / 1e6, ttft_p99_ms = ttft["99.0"] / 1e6, latency_p50_ms = latency["50.0"] / 1e6,
      latency_p99_ms = latency["99.0"] / 1e6,
   }
end

llm_peers.LIST = {
   {
      name = "inference-endpoint", command = endpoints, figures = endpoints_figures,
      count = function(_, job)
         local r = endpoints_report(job)
         return r.n_samples_completed - r.n_samples_failed
      end,
      python = true, missing = "tests/bench/install-peers gets it from its source",
   },
   {
      name = "aiperf", command = aiperf, count = function(_, job) return aiperf_report(job).request_count.avg end, figures = aiperf_figures,
      python = true,
   },
   {
      name = "guidellm", command = guidellm, count = function(_, job) return guidellm_report(job).request_totals.successful end,
      figures = guidellm_figures, streams_only = true, python = true,
   },
   {
      name = "vllm", command = vllm, count = function(_, job) return vllm_report(job).completed end, figures = vllm_figures,
      streams_only = true, python = true,
      missing = "tests/bench/install-peers vllm gets it, with a whole engine for models",
   },
}

return llm_peers
