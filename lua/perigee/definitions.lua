--- Every metric with its formula, and what other tools call it: the one source of
--- `perigee explain-metrics` and docs/metrics.md.
--- A peer's entry is { its name, how it differs }; without the second it is the same.
local definitions = {}

--- The tools that are compared, in the order of the tables; as their sources were in 2025 and 2026.
definitions.PEERS = {
   { key = "vllm", name = "vLLM bench serve" }, { key = "aiperf", name = "AIPerf" }, { key = "guidellm", name = "GuideLLM" },
   { key = "inference_perf", name = "inference-perf" }, { key = "genai_bench", name = "genai-bench" },
   { key = "endpoints", name = "MLPerf endpoints" },
}

definitions.NOTES = {
   "scheduled is the intended time of a request, which a late client does not move; issued is when it was handed to the "
      .. "client; finished is the end of the response. One monotonic clock.",
   "A chunk is an event of a stream that carries generated output (content, reasoning or a tool call); one that only names "
      .. "a role, or only tells usage, is none. Tokens are those of the server's usage.",
   "Distributions are of successful requests, but lateness of all that ended. A percentile is the lowest value with at "
      .. "least that share of the values at or below it (nearest rank): observed up to 10,000 values, from a histogram of three "
      .. "digits beyond. vLLM bench, AIPerf and genai-bench interpolate between two values (numpy's default); MLPerf endpoints "
      .. "takes the observed one below (numpy's 'lower'); LoadGen takes the one of rank floor(n q) + 1.",
}

-- What all of those mean who know no intended time.
local FROM_ISSUE = "counted from the sending, as service_time is: what the client was late is not in it"

--- name, unit, formula, key (of a phase in summary.json), note, and by tool what it is there.
definitions.METRICS = {
   { name = "latency", unit = "ms", key = "latency_ms", formula = "finished - scheduled",
      note = "Waiting for the client, or for max_inflight, counts: no coordinated omission.",
      vllm = { "e2el", "from the sending to the last chunk with choices; not to the end of the response" },
      aiperf = { "request_latency", "from the sending to the last response event" },
      guidellm = { "request_latency", FROM_ISSUE }, inference_perf = { "request_latency", FROM_ISSUE },
      genai_bench = { "e2e_latency", FROM_ISSUE }, endpoints = { "latency", FROM_ISSUE } },
   { name = "service_time", unit = "ms", key = "service_time_ms", formula = "finished - issued",
      note = "What the endpoint was seen to take.",
      vllm = { "e2el", "to the last chunk with choices" }, aiperf = { "request_latency", "to the last response event" },
      guidellm = { "request_latency" }, inference_perf = { "request_latency" }, genai_bench = { "e2e_latency" },
      endpoints = { "latency" } },
   { name = "lateness", unit = "us", key = "lateness_us", formula = "issued - scheduled",
      note = "The tool's own delay; with max_inflight also the queue before it.",
      aiperf = { "credit_drop_latency", "from the order to send to the sending, not from the intended time" } },
   { name = "ttft", unit = "ms", key = "ttft_ms", formula = "first chunk - scheduled",
      note = "Content, reasoning or tool call, whichever comes first.",
      vllm = { "ttft", "from the sending, to the first event with choices: a chunk that only names the role counts" },
      aiperf = { "time_to_first_token", "from the sending, to the first response that it could parse" },
      guidellm = { "time_to_first_token_ms", "from the sending, to the first event with text, reasoning included" },
      inference_perf = { "time_to_first_token", "from the sending, to the first chunk with text; only of streams with two tokens" },
      genai_bench = { "ttft", "from the sending, to the first event with text" },
      endpoints = { "ttft", "from the issue, to the first chunk that is told" } },
   { name = "ttft_service", unit = "ms", key = "ttft_service_ms", formula = "first chunk - issued",
      note = "The same from the sending: compare this one with other tools.",
      vllm = { "ttft", "to the first event with choices" }, aiperf = { "time_to_first_token" },
      guidellm = { "time_to_first_token_ms" }, inference_perf = { "time_to_first_token" }, genai_bench = { "ttft" },
      endpoints = { "ttft" } },
   { name = "first_byte", unit = "ms", key = "first_byte_ms", formula = "first byte of the response - scheduled",
      note = "The head of the response; many servers send it only with the first token.",
      aiperf = { "stream_setup_latency", "from the sending" } },
   { name = "first_event", unit = "ms", key = "first_event_ms", formula = "first event of a stream with data - scheduled",
      note = "Whatever it says, also a role alone.",
      vllm = { "ttft", "from the sending; the event must have choices" } },
   { name = "first_content", unit = "ms", key = "first_content_ms", formula = "first chunk with content - scheduled",
      note = "After the reasoning, where a model reasons.",
      guidellm = { "time_to_first_output_token_ms", "from the sending" } },
   { name = "first_reasoning", unit = "ms", key = "first_reasoning_ms", formula = "first chunk with reasoning - scheduled" },
   { name = "tpot", unit = "ms", key = "tpot_ms", formula = "(finished - first chunk) / (tokens_out - 1)",
      note = "One value for a request, so each request weighs the same. None below two tokens.",
      vllm = { "tpot", "to the last chunk with choices; tokens from usage, else from its tokenizer" },
      aiperf = { "inter_token_latency", "to the last response event; tokens from its tokenizer" },
      guidellm = { "inter_token_latency_ms", "to the last token; its time_per_output_token_ms is "
         .. "(last token - sending) / tokens_out, which has the first token in it" },
      inference_perf = { "time_per_output_token", "to the last token; tokens from its tokenizer unless told otherwise" },
      genai_bench = { "tpot" },
      endpoints = { "tpot", "divided by the tokens after the first chunk, counted by its tokenizer" } },
   { name = "itl", unit = "ms", key = "itl_ms", formula = "time between two neighbouring chunks",
      note = "One value for each gap, so long answers weigh more. A chunk may hold several tokens: then it is no token's time.",
      vllm = { "itl" }, aiperf = { "inter_chunk_latency" },
      inference_perf = { "inter_token_latency", "the tokens of one chunk have gaps of 0 between them" } },
   { name = "itl_token", unit = "ms", key = "itl_token_ms", formula = "itl / (tokens_out / chunks of the response)",
      note = "As if the tokens of a response were spread evenly over its chunks; comparable between servers that bundle "
         .. "differently. The sum of a response stays that of its gaps only where each chunk holds one token." },
   { name = "input_tokens", unit = "tokens", key = "input_tokens", formula = "usage.prompt_tokens",
      vllm = { "total_input_tokens", "a sum; from usage, else its own count" },
      aiperf = { "input_sequence_length", "from its tokenizer" }, guidellm = { "prompt_tokens" },
      inference_perf = { "prompt_len", "from its tokenizer" }, genai_bench = { "num_input_tokens" },
      endpoints = { "input_sequence_lengths", "from its tokenizer" } },
   { name = "output_tokens", unit = "tokens", key = "output_tokens", formula = "usage.completion_tokens",
      vllm = { "total_output_tokens", "a sum; from usage, else from its tokenizer" },
      aiperf = { "output_sequence_length", "from its tokenizer" },
      guidellm = { "output_tokens", "without usage a token for each event" },
      inference_perf = { "output_len", "from its tokenizer unless told otherwise" }, genai_bench = { "num_output_tokens" },
      endpoints = { "output_sequence_lengths", "from its tokenizer" } },
   { name = "qps", unit = "1/s", key = "qps", formula = "completed / duration of the phase",
      note = "From the phase's start to its end, the drain included. MLPerf's completed window is in the mlperf section.",
      vllm = { "request_throughput", "from the start to the last end" },
      aiperf = { "request_throughput", "from the first sending to the last response" },
      guidellm = { "requests_per_second", "a mean over time, without warm-up and cool-down where asked" },
      inference_perf = { "requests_per_sec", "from the first start to the last end" },
      genai_bench = { "requests_per_second" },
      endpoints = { "qps", "with Poisson arrivals (completed - 1) / (first issue to the end of the latest issue)" } },
   { name = "output_tokens_per_s", unit = "tokens/s", key = "output_tokens_per_s", formula = "sum of tokens_out / duration of the phase",
      note = "Of successful requests. Not the speed that one user sees: that is 1 / tpot.",
      vllm = { "output_throughput" }, aiperf = { "output_token_throughput" }, guidellm = { "output_tokens_per_second" },
      inference_perf = { "output_tokens_per_sec" }, genai_bench = { "mean_output_throughput_tokens_per_s" },
      endpoints = { "tps", "over the same window as its qps" } },
   { name = "rate_asked_per_s", unit = "1/s", key = "rate_asked_per_s", formula = "(arrivals - 1) / (last - first scheduled time)",
      note = "Of an open load; dropped arrivals included.", vllm = { "request_rate", "the setting, not what was drawn" } },
   { name = "rate_delivered_per_s", unit = "1/s", key = "rate_delivered_per_s", formula = "(issued - 1) / (last - first issue)",
      note = "Below the asked one: the client was late, or max_inflight held requests back.",
      inference_perf = { "achieved_rate", "issued / time of sending" } },
   { name = "goodput", unit = "share", key = "goodput", formula = "good / (completed + failed + abandoned)",
      note = "A good request succeeds and keeps every bound of the phase's slo, by its own latency, ttft and tpot, from the "
         .. "intended time.",
      inference_perf = { "goodput_percentage", "of successful requests" } },
   { name = "goodput_per_s", unit = "1/s", key = "goodput", formula = "good / duration of the phase",
      vllm = { "request_goodput" }, aiperf = { "goodput" }, inference_perf = { "request_goodput" } },
   { name = "error_rate", unit = "share", key = "error_rate", formula = "(failed + abandoned) / (completed + failed + abandoned)",
      note = "What the script cancelled is left out.",
      vllm = { "failed", "a count" }, aiperf = { "error_request_count", "a count" }, genai_bench = { "error_rate" },
      inference_perf = { "failures", "a count" }, endpoints = { "n_samples_failed", "a count" } },
   { name = "latency_with_failures", unit = "ms", key = "latency_with_failures_ms",
      formula = "percentiles of latency, a failed or abandoned request counted as infinite",
      note = "A server that refuses under load does not get a better percentile by it. null: infinite. ttft_with_failures likewise." },
}

--- A metric by its name.
---@param name string
---@return table?
function definitions.find(name)
   for _, m in ipairs(definitions.METRICS) do
      if m.name == name then return m end
   end
end

return definitions
