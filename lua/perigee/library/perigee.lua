---@meta perigee
-- The types of perigee for editors: `require "perigee"` completes and is checked with this folder in
-- `workspace.library` of .luarc.json. Made by `make docs` from the doc comments of the library; not to be edited.

--- Seconds as a number, or a text with units: "250ms", "2s", "1m30s", "1h".
---@alias perigee.Duration number|string

--- A check that may end the run before its time.
---@class perigee.Check
---@field [1]? string|fun(phase: table): boolean?, string?  the check
---@field check? string|fun(phase: table): boolean?, string?  the check; also as the first positional value
---@field abort? boolean  (false) look at it about once a second while the phase runs, and before the next one begins. When it has data and does not hold, the run ends in order: a phase that issues is ended by `check`, no further phase begins, exit status 3. The report says which check it was; its result stays as it was then
---@field after? perigee.Duration  (0) of the phase, before which it is not looked at

--- A sample has at least one of `prompt`, `messages` and `body`. Other fields are the script's own.
---@class perigee.Sample
---@field prompt? string  one user message of a chat, or the prompt of a completion
---@field messages? table[]  of a chat, as the endpoint takes them
---@field body? string|table  of a plain request; a table is sent as JSON
---@field max_tokens? integer  of the answer, goes before the target's
---@field [string] any

--- Samples; `#dataset` counts them.
---@class perigee.Dataset
---@field [integer] perigee.Sample
---@field source string  the file, or "table"
---@field sha256 string  of its content
local perigee_Dataset = {}

--- Sample i, from 1.
---@param i integer
---@return perigee.Sample? sample
function perigee_Dataset:get(i) end

--- From where on a phase is warned of. `false` turns a rule off.
---@class perigee.Guards
---@field cached? number|boolean  (0.1) more than this share of the input tokens were in the server's cache
---@field lengths? number|boolean  (0.01) more than this share of the answers are not as long as the request asked
---@field counts? number|boolean  (0.01) more than this share of the answers told no token counts
---@field reconnects? number|boolean  (0.01) more than this share of the requests paid a new connection because the endpoint had closed a kept one
---@field ports? number|boolean  (0.8) connections of one minute took more than this share of the local ports
---@field percentile? number|boolean|string  (checks) the percentiles that the requests of a performance phase are to be enough for: those that its checks name, or all up to 50, 90, 95, 99 or 99.9

---@class perigee
---@field version string  of the program
---@field api integer  the number of this interface, see [libraries.md](libraries.md)
---@field load perigee.load  see [loads](#loads)
---@field order perigee.order  see [orders](#orders)
---@field dataset perigee.dataset  see [datasets](#datasets)
---@field target perigee.target  see [targets](#targets)
---@field metric perigee.metric  see [metrics of the script](#metrics-of-the-script)
---@field json perigee.json  see [JSON](#json)
---@field test perigee.test  a scenario on simulated time, see [testing.md](testing.md)
local perigee = {}

--- Go on only when this perigee has the interface that the script needs.
---@param need string|integer  ">= 2", or 2 alone
---@return perigee
function perigee.requires(need) end

--- A scenario, checked; a script returns one.
---@param definition perigee.Definition
---@return perigee.Scenario
function perigee.scenario(definition) end

--- Checks a phase where it is written, returns the table; plain tables in `phases` do as well.
---@param definition perigee.Phase
---@return perigee.Phase definition
function perigee.phase(definition) end

--- Phases of two sides or more that take turns, so that whatever changes with time meets all of them alike: the `phases` of a
--- scenario, or a part of them. Each is named after its side and round (`old.1`, `new.1`, `new.2`, `old.2`, ...); the sides of
--- a round share arrivals and order. `perigee compare` compares the sides; see [interleaved phases](#interleaved-phases).
---@param definition perigee.Interleaving
---@return perigee.Phase[]
function perigee.interleave(definition) end

--- Stands for the value of the command line option `--name`; replaces a whole value, cannot be joined to a string.
---@param name string  which `options` of the scenario declare
---@return any
function perigee.opt(name) end

--- A function that judges numbers of a phase: do the [checks](#checks) hold?
---@param written string|function|(string|function)[]  one check, or a list of them
---@return fun(report: table): boolean, string judge  gets a report (`p:report()`, `window:report()`), returns whether all of them hold, and what was found
function perigee.slo(written) end

--- A generator of random numbers, see [random numbers](#random-numbers).
---@param seed? number  (0) the same seed, the same numbers
---@param stream? number  (0) independent numbers for the same seed
---@return perigee.Rng
function perigee.rng(seed, stream) end

--- What takes turns: a phase for each side, and how often. The first side is the baseline.
---@class perigee.Interleaving
---@field [integer] perigee.Phase  two at least; its name is the side's
---@field rounds? integer  (6) how often each side has its turn, at least 2; an even number puts each side first as often as last

--- When the client is the limit of what a phase measured.
---@class perigee.ClientLimits
---@field lateness? number  (0.1) the p99 of lateness is above this share of the median latency and above `lateness_floor`, in an open load without `max_inflight`
---@field lateness_floor? perigee.Duration  (10 ms) a p99 of lateness below it is never too much
---@field busy? number  (0.9) the thread that measures worked for more than this share of the phase, polling left out, or an HTTP worker did. A phase of less than a second is not judged so. A closed load against an endpoint that answers at once always ends here: the rate is then perigee's own
---@field failed? number  (0.05) more than this share of the requests failed for want of the client's own memory, descriptors or ports: the run has failed. Fewer only limit it

---@class perigee.AimdOptions: perigee.SteppingOptions
---@field slo string|string[]  a check, or a list of them, as of `load.search`
---@field increase? number  (a twentieth of the range) added after a window in which the SLO holds
---@field decrease? number  (0.7) factor after one in which it does not

---@class perigee.StrategyOptions
---@field load? perigee.Load  an open load, which sends on its own; the strategy may turn its rate (0: a pause) and ask for requests besides

--- What becomes of a turn that failed.
---@class perigee.FailureOptions
---@field on_failure? "end"|"continue"|"retry"  ("end") what a turn that failed does: it ends its session, or recorded conversation, as failed; it does not, and the next one is sent; it is sent again, and ends it when that fails as well
---@field retries? integer  (3) how often it is sent again, at most
---@field retry_after? perigee.Duration  (1 s) before each time

--- A row of a recorded conversation, as MLCommons' agentic data sets have them. Those of a conversation stand together.
---@class perigee.ConversationRow
---@field conversation_id string  of which conversation
---@field turn integer  1, 2, 3 ...
---@field role "user"|"assistant"|"tool"  the first one is `user`
---@field content? string|table[]  of users and assistants; of these it need not be there
---@field name? string  of who speaks
---@field system? string  of the first row: a system message before all
---@field tool_calls? table[]  of an assistant: `{ id, function = { name, arguments } }`
---@field reasoning_content? string  of an assistant
---@field tool_results? table[]  of a tool: list of `{ tool_call_id, content }`, each of which becomes a message
---@field delay_seconds? number  before a turn of the client, with `tool_delay = "recorded"`
---@field tools? table[]  from this turn on, in the body
---@field max_tokens? integer  of the answer, goes before the target's
---@field max_new_tokens? integer  another name of `max_tokens`
---@field max_completion_tokens? integer  another one

---@class perigee.ConversationsOptions: perigee.FailureOptions
---@field concurrency? integer  (1) conversations at a time
---@field repeats? integer  (1) how often all are played; the phase's order says in which sequence. A repeated one has the id `ID#2`
---@field tool_delay? perigee.Duration  `"recorded"`, or a time to wait before the results of tools are sent: `"500ms"`, `"exp:2s"`, `"uniform:1s,3s"`
---@field session_header? string  a header that carries the id, so that a router can keep a conversation together: `"X-Session-ID"`

--- What open loads take in a table behind their own arguments.
---@class perigee.LoadOptions
---@field max_inflight? integer  no more than so many requests in flight
---@field overload? "queue"|"drop"|"abort"  ("queue") what becomes of an arrival beyond `max_inflight`: it waits, and its latency counts from the intended time; it is counted as `dropped` and never sent; the run fails

---@class perigee.ReplayOptions: perigee.LoadOptions
---@field phase? string  (the first performance phase) the name of the phase whose requests are sent again

---@class perigee.SaturateOptions: perigee.SteppingOptions
---@field factor? number  (1.5) from step to step
---@field threshold? number  (0.05) a rate is saturated when more than this share of it is not answered in its window, or the requests in flight pile up by as much; a number in flight, when it brings less than this share more than the best step before

---@class perigee.SearchOptions: perigee.SteppingOptions
---@field slo string|string[]  a check such as `"ttft.p99 < 500ms"`, or a list of them, all of which must hold in a window. One without data does not; metrics of the script count for the whole phase
---@field tolerance? number  (0.05) share of the value to which it is found; whole numbers of `concurrency` at best
---@field repeats? integer  (1) how often a step that does not hold is repeated before that is believed
---@field state? string  a file in which the search is kept after each step. Where it exists the search goes on from it; that of a finished one, or of another range or SLO, is refused

--- What all loads take that go in steps.
---@class perigee.SteppingOptions: perigee.LoadOptions
---@field rate? number[]  the range `{ low, high }` of requests per second; either this or `concurrency` is required
---@field concurrency? integer[]  the range `{ low, high }` of requests in flight
---@field window? perigee.Duration  (30 s) how long a step is measured. A p99 needs some hundreds of requests to be more than their maximum
---@field settle? perigee.Duration  (5 s) before it
---@field arrivals? "poisson"|"even"  ("poisson") of rates

---@class perigee.TraceOptions: perigee.LoadOptions
---@field speed? number  (1) 2 plays twice as fast
---@field from? perigee.Duration  begin of a window in the trace's own time
---@field to? perigee.Duration  its end
---@field max_input? integer  tokens; longer prompts are cut
---@field max_output? integer  tokens; longer answers are not asked for

--- A conversation with its history.
---@class perigee.Chat
---@field messages table[]  the history: system, user, assistant ...
---@field id string  `conversation_id` of its events
---@field turn integer  number of the latest turn, from 1
local perigee_Chat = {}

--- Send a message `{ role =, content =, ... }` of any role, such as the result of a tool, with the history before it, and wait
--- for the answer, a kept [result](#the-result).
---@param message table
---@param options? perigee.TurnOptions
---@return perigee.Result answer
function perigee_Chat:send(message, options) end

--- The same for a text that the user says.
---@param text string
---@param options? perigee.TurnOptions
---@return perigee.Result answer
function perigee_Chat:say(text, options) end

--- What one turn of a chat may have of its own.
---@class perigee.TurnOptions
---@field model? string  in place of the target's
---@field max_tokens? integer  of the answer
---@field temperature? number  of the sampling
---@field extra? table  more fields of the body
---@field deadline? perigee.Duration  of the request, from its issue
---@field tag? string  as the request hook gives it
---@field headers? table<string, string|number>  names and values
---@field path? string  in place of the target's

--- What all turns of a chat have. What becomes of one that failed says the load, where the chat does not.
---@class perigee.ChatSettings: perigee.TurnOptions
---@field system? string  a system message first
---@field id? string  (`PHASE/USER/NUMBER`) `conversation_id` of its events
---@field on_failure? "end"|"continue"|"retry"  (the load's) of a turn
---@field retries? integer  (the load's) at most
---@field retry_after? perigee.Duration  (the load's) before each time

--- A user of `load.users`: what `session` gets.
---@class perigee.User
---@field id integer  from 1
---@field iteration integer  how many times its session began, this time included
---@field rng perigee.Rng  of this user alone, see [random numbers](#random-numbers): the same for the same seed, phase and id
---@field phase perigee.PhaseObject  see [the phase object](#the-phase-object)
local perigee_User = {}

--- A conversation, whose history is sent along.
---@param options? perigee.ChatSettings
---@return perigee.Chat
function perigee_User:chat(options) end

--- Send one request, as `p:issue` takes it (without it: the next sample), and wait for its result, good or not.
---@param asked? perigee.Content
---@return perigee.Result result
function perigee_User:request(asked) end

--- Think for a while.
---@param time perigee.Duration
function perigee_User:sleep(time) end

--- End this session as failed; the event `custom.session_failed` has `user`, `iteration` and `message`. Does not come back.
---@param message string
function perigee_User:fail(message) end

--- Does the phase still issue?
---@return boolean
function perigee_User:running() end

---@class perigee.UsersOptions: perigee.FailureOptions
---@field ramp? perigee.Duration  the users begin one after another in this time, else all at once
---@field iterations? integer  sessions of each user, after which the phase ends; without it each begins a new one until the phase stops

--- What loads take whose rate changes.
---@class perigee.VaryingOptions: perigee.LoadOptions
---@field arrivals? "poisson"|"even"  ("poisson") an arrival comes when the rate, summed up since the last one, reaches an exponential number of mean 1, or 1

---@class perigee.RampOptions: perigee.VaryingOptions
---@field over? perigee.Duration  (the phase's duration) how long the way takes

---@class perigee.SineOptions: perigee.VaryingOptions
---@field mean number  requests per second on average
---@field amplitude number  requests per second, at most `mean`
---@field period perigee.Duration  of one swing

---@class perigee.Histogram
local perigee_Histogram = {}

--- Count a number of at least 0.
---@param v number
function perigee_Histogram:add(v) end

---@class perigee.Counter
local perigee_Counter = {}

--- Count n, a number of at least 0; 1 without it.
---@param n? number
function perigee_Counter:inc(n) end

---@class perigee.Gauge
local perigee_Gauge = {}

--- Set it; the last value counts.
---@param v number
function perigee_Gauge:set(v) end

---@class perigee.MetricOptions
---@field unit? string  shown in reports; of a time, checks may use another one

--- Metrics of the script.
---@class perigee.metric
---@field histogram fun(name: string, opts?: perigee.MetricOptions): perigee.Histogram  a distribution of numbers of at least 0, counted by `m:add`
---@field counter fun(name: string, opts?: perigee.MetricOptions): perigee.Counter  a sum, counted by `m:inc`
---@field gauge fun(name: string, opts?: perigee.MetricOptions): perigee.Gauge  the last value, set by `m:set`

--- A load: when requests are sent, see `perigee.load`.
---@class perigee.Load

--- An order: which sample comes next, see `perigee.order`.
---@class perigee.Order

--- A target: where requests go and how a sample becomes one, see `perigee.target`.
---@class perigee.Target

--- A result: valid during its handler. What is not known is nil. Stamps are seconds from the phase's start.
---@class perigee.Result
---@field id integer  number of the request in the session, from 0
---@field index? integer  of the sample, from 1
---@field sample? perigee.Sample  what the data set holds there
---@field phase string  name of its phase
---@field tag? string  of the request hook
---@field conversation? string  of a chat, of a recorded conversation, or what `p:issue` was told
---@field turn? integer  likewise
---@field attempt integer  1, and one more for each `r:retry()`
---@field ok boolean  did it succeed; false until it has ended
---@field status? integer  of HTTP
---@field error? string  its [class](#failures) (`http_500` for HTTP failures)
---@field message? string  what is known of the failure
---@field scheduled number  when it was meant to be issued; of a closed load: when it was asked for
---@field issued number  when it was handed to the client; with workers: when its worker took it
---@field sent? number  when its last byte was on its way
---@field first_byte? number  first byte of the answer's head
---@field first? number  first content
---@field finished? number  the end
---@field latency? number  seconds from scheduled to finished, see [metrics](#metrics)
---@field service_time? number  seconds from issued to finished
---@field ttft? number  seconds from scheduled to the first content
---@field tpot? number  seconds per token after the first
---@field itl_max? number  the longest gap between two chunks, in seconds
---@field chunks? integer  content-bearing ones
---@field tokens_in? integer  of the server's usage
---@field tokens_out? integer  of the server's usage
---@field tokens_cached? integer  of the server's usage: those of `tokens_in` that it had cached
---@field finish_reason? string  of the answer
---@field bytes? integer  of the body
---@field text string  of the answer, "" when there is none
---@field reasoning string  of the answer, "" when there is none
---@field body string  raw, "" when there is none
---@field keep fun(self: perigee.Result): perigee.Result  a plain table with all of these, to be kept
---@field json fun(self: perigee.Result): any, string?, string?  the body decoded, or `nil, message, code`
---@field cancel fun(self: perigee.Result)  ends the request as `cancelled`
---@field retry fun(self: perigee.Result, seconds?: number): integer|true|nil, string?, string?  asks for the same request again, now or after that time: same content, sample, tag, conversation and turn, with `attempt` one higher; the new id (true when it comes later), or `nil, message, code` when the phase issues no more. How often is the script's to say

--- A phase while it runs: what handlers and strategies get.
---@class perigee.PhaseObject
---@field issue fun(self: perigee.PhaseObject, what?: integer|perigee.Content): integer?, string?, string?  ask for one more request: of the order's next sample, of the sample with this index, or with [content of its own](#content-of-its-own); its id (`r.id`), or `nil, message, code` when the phase issues no more
---@field fill fun(self: perigee.PhaseObject, n: integer): integer  ask for as many as are missing to n in flight, of the whole session; how many these were
---@field cancel fun(self: perigee.PhaseObject, id: integer): boolean  end a request of this phase as `cancelled`; one that is not yet sent is taken back and leaves no trace. Was there such a request?
---@field after fun(self: perigee.PhaseObject, seconds: number, fn: fun(p: perigee.PhaseObject)): true?, string?, string?  call `fn(p)` then, if the phase still issues
---@field sleep fun(self: perigee.PhaseObject, seconds: number): boolean  only in the phase's strategy; returns whether the phase still runs
---@field wait fun(self: perigee.PhaseObject, seconds?: number): boolean  only in the phase's strategy: until a request ended or the phase stops, for so long at most; returns whether it still runs
---@field results fun(self: perigee.PhaseObject): perigee.Result[]  the results (kept tables) since the last call; only with a strategy
---@field running fun(self: perigee.PhaseObject): boolean  does it still issue
---@field stop fun(self: perigee.PhaseObject)  end it: it drains, the next one begins
---@field report fun(self: perigee.PhaseObject): table  the engine's numbers of the phase so far, as `on.phase_end` gets them (`lua_busy` and `gc_pause` as `{ ns, count, max_ns }`); takes a moment (about a millisecond), so not for each request
---@field window fun(self: perigee.PhaseObject): perigee.Window  what is measured from now on, see [a window](#a-window)
---@field conclude fun(self: perigee.PhaseObject, value: any)  what the strategy found so far, anything that JSON has: the phase's `conclusion` in the report, and an event `custom.conclusion`. The last one counts. A `text` in it is shown, and `steps` as a table when `columns` names their keys
---@field set_rate fun(self: perigee.PhaseObject, n: number): boolean?, string?, string?  requests per second of a `constant`, `poisson` or `gamma` load, 0 for a pause; what was planned beyond now is planned anew
---@field set_concurrency fun(self: perigee.PhaseObject, n: integer): boolean?, string?, string?  requests in flight of a `concurrency` load, users of `users`, conversations at a time of `conversations`; a lower one is reached as answers come in, or as sessions and conversations end
---@field name string  as the scenario has it
---@field kind string  performance, warmup or accuracy
---@field inflight integer  requests asked for or sent, and not ended
---@field idle boolean  is nothing in flight or asked for, and no arrival of the load due that `max_inflight` holds back
---@field total_inflight integer  the same as `p.inflight` of the whole session
---@field issued integer  so far
---@field completed integer  so far
---@field failed integer  so far; here every end that is no success
---@field dropped integer  so far: arrivals that `max_inflight` refused
---@field elapsed number  seconds since its start
---@field rate? number  of a `constant`, `poisson` or `gamma` load
---@field concurrency? integer  of a `concurrency`, `users` or `conversations` load
---@field conclusion? string  the last one, as JSON
---@field session perigee.Session  the run, see [the session object](#the-session-object)

--- What a phase measures from a moment on. While it is there, each request is counted once more.
---@class perigee.Window
---@field report fun(self: perigee.Window): table  its numbers, as `p:report()` gives those of the phase; takes about a millisecond
---@field restart fun(self: perigee.Window)  it begins anew, now

--- The run, as `p.session`.
---@class perigee.Session
---@field stop fun(self: perigee.Session)  end the run in order: drain (30 s at most), report
---@field flush fun(self: perigee.Session)  send the events that are buffered, as far as the socket takes them
---@field emit fun(self: perigee.Session, name: string, text?: string)  an event `custom.<name>` for subscribers; the name has 1 to 32 bytes and is none of `phase_start`, `phase_end`, `run_config`, `run_outcome`, `conclusion`, `scrape`
---@field address fun(self: perigee.Session): string?  of the event publisher, nil when there is none
---@field stats fun(self: perigee.Session): table?  of the publisher: `put`, `sent`, `dropped`, `spilled`, `buffered`, `pending` and more, see [events.md](events.md#slow-subscribers)
---@field report fun(self: perigee.Session): table  the engine's numbers so far, in nanoseconds, by phase
---@field overall fun(self: perigee.Session): table?  the same of all performance phases together; nil when there are none
---@field together fun(self: perigee.Session, numbers: integer[]): table?  the same of the phases with these numbers, from 1; nil when none of them began

--- Random numbers: the same for the same seed and stream.
---@class perigee.Rng
---@field uniform fun(self: perigee.Rng, low?: number, high?: number): number  within [low, high), (0, 1) without them
---@field int fun(self: perigee.Rng, low: integer, high: integer): integer  within low..high
---@field exponential fun(self: perigee.Rng, mean?: number): number  mean 1 without it
---@field normal fun(self: perigee.Rng, mean?: number, std?: number): number  0 and 1 without them
---@field lognormal fun(self: perigee.Rng, mu?: number, sigma?: number): number  of the logarithm; 0 and 1 without them
---@field gamma fun(self: perigee.Rng, shape: number, scale?: number): number  scale 1 without it
---@field poisson fun(self: perigee.Rng, mean: number): integer  a count

--- JSON text and Lua values.
---@class perigee.json
---@field encode fun(v: any, indent?: integer): string  what JSON cannot hold is an error
---@field decode fun(text: string): any, string?, string?  or `nil, message, code`
---@field array fun(t: table): table  marks a table as a list, so that an empty one is `[]`
---@field null any  stands for null

--- Functions that hear of requests and of the phase while it runs.
---@class perigee.Handlers
---@field issue? fun(r: perigee.Result, p: perigee.PhaseObject)  the request was handed to the client
---@field first? fun(r: perigee.Result, p: perigee.PhaseObject)  the first content-bearing chunk of a stream came
---@field chunk? fun(r: perigee.Result, p: perigee.PhaseObject, text: string)  each content-bearing chunk came
---@field error? fun(r: perigee.Result, p: perigee.PhaseObject)  the request failed, before `complete`
---@field complete? fun(r: perigee.Result, p: perigee.PhaseObject)  the request ended, well or not: look at `r.ok`
---@field tick? fun(p: perigee.PhaseObject)  about every `tick` seconds from the phase's start to its end, the drain included
---@field phase_start? fun(p: perigee.PhaseObject)  the phase begins
---@field phase_end? fun(p: perigee.PhaseObject, report: table)  it has ended; the report is the engine's, in nanoseconds: the keys are those of a phase of `summary.json` without their units

--- What may stand in the scenario and in a phase alike: a phase takes what it does not set.
---@class perigee.Inherited
---@field target? perigee.Target  (required) where requests go; in the phase or in the scenario
---@field dataset? perigee.Dataset|(string|perigee.Sample)[]  the samples, or a list of them in place; not needed when `request` or the load brings the content, or with `target.http`
---@field order? perigee.Order|integer[]|fun(i: integer, n: integer, rng: perigee.Rng): integer?  (`order.sequential()`) which sample comes next; a list of indices and a function are orders too, see [orders](#orders)
---@field load? perigee.Load  (`load.concurrency(1)`) when requests are sent, see [loads](#loads)
---@field request? fun(sample: perigee.Sample, i: integer): string|perigee.Asked|nil  see [the request hook](#the-request-hook)
---@field session? fun(u: perigee.User)  of `load.users`, see [users and conversations](#users-and-conversations)
---@field on? perigee.Handlers  see [handlers](#handlers)
---@field checks? (string|perigee.Check|fun(phase: table): boolean?, string?)[]  see [checks](#checks)
---@field requests? integer  stop after so many were issued
---@field duration? perigee.Duration  stop issuing after this time
---@field min_requests? integer  `requests` and `duration` do not stop the phase before so many were issued
---@field min_duration? perigee.Duration  nor before this time is over
---@field max_duration? perigee.Duration  stops the phase whatever the minimums say
---@field drain? boolean|perigee.Duration  (true: 300 s) wait for what is in flight before the next phase, for so long at most; what is left then is *abandoned* and the run fails. `false`: the next phase begins at once, stragglers are counted for their own phase
---@field deadline? perigee.Duration  (the target's `timeout`, else 600 s) of one request, from its issue; past it the request fails as `timeout`
---@field stall? perigee.Duration  no completion for so long while requests are in flight: they are abandoned, the run fails
---@field max_error_rate? string|number|table  `"5%"`, `0.05` or `{ "5%", requests = 50 }`: the phase ends and the run fails once more of the requests that ended have failed, of at least so many (100). Cancelled ones do not count
---@field stop_when? fun(p: perigee.PhaseObject): boolean?  returns whether the phase ends. Asked once in each turn of the loop in which requests ended, and at each tick; not before `min_requests` and `min_duration` are met
---@field slo? perigee.Slo  what a good request keeps: `{ ttft = "500ms", tpot = "50ms", latency = "5s" }`, any of them; the report has the goodput
---@field mlperf? boolean|perigee.Mlperf  `true` or a table of rules: the report tells the phase as MLPerf's tools do, and whether it is valid; see [MLPerf](#mlperf)
---@field tick? perigee.Duration  (1 s) time between two calls of `on.tick`, and between two looks of `stop_when` while nothing ends
---@field client_limits? perigee.ClientLimits  when perigee itself was the limit of what was measured, see [client limits](#client-limits)
---@field guards? perigee.Guards  from where on the report warns of what the phase measured, see [warnings](warnings.md)
---@field record_text? boolean  (false) events and `requests.jsonl` carry prompts and answers
---@field record_body? boolean  (false) events carry whole request bodies, so that `load.replay` can send them again
---@field chunk_events? boolean  (false) each content-bearing chunk is an event `sample.recv_non_first`

--- A part of a run, `{ "steady", load = ..., requests = 100 }`; the first positional value is the name.
---@class perigee.Phase: perigee.Inherited
---@field [1]? string  the name
---@field name? string  (required) 1 to 63 bytes; must be the only one of the scenario
---@field kind? "performance"|"warmup"|"accuracy"  ("performance") all are reported alike, but only performance phases are framed by the tracking events and must have a success
---@field side? string  which side of a comparison the phase belongs to: `perigee.interleave` sets it

--- LoadGen's rules with its defaults, and targets for the percentile.
---@class perigee.Mlperf
---@field min_duration? perigee.Duration  (600 s) from the first to the last scheduled time of an open load, to the last issue of a closed one
---@field min_queries? integer  (100) that were issued
---@field percentile? number  (99) of the targets: 50, 75, 80, 90, 95, 97, 99 or 99.9
---@field latency? perigee.Duration  target, counted from the issue as LoadGen does
---@field ttft? perigee.Duration  likewise
---@field tpot? perigee.Duration  likewise

--- What a good request keeps; at least one of them.
---@class perigee.Slo
---@field latency? perigee.Duration  from the intended time to the end
---@field ttft? perigee.Duration  from the intended time to the first content-bearing delta
---@field tpot? perigee.Duration  time per output token after the first

--- What a script returns: checked, and played by `perigee run`.
---@class perigee.Scenario
local perigee_Scenario = {}

--- A new scenario: this one with changes. Tables are merged, lists are replaced, phases of the same name are merged and
--- others are added at the end.
---@param changes perigee.Definition
---@return perigee.Scenario
function perigee_Scenario:with(changes) end

--- The fields of a scenario.
---@class perigee.Definition: perigee.Inherited
---@field name? string  (the file's name) of the run; names the folder of the results
---@field api? string|integer  the least `perigee.api` that it needs, `">= 1"`; an older program refuses it, see [libraries.md](libraries.md)
---@field options? table<string, table>  `{ name = { default, "help" [, type] } }` becomes `--name`; types: `string`, `number`, `count` (whole, >= 0), `duration`, `boolean`; `_` in a name may be written `-`. An option without a default needs a type and must be given. One that no `perigee.opt` names is an error, but where `setup` or `teardown` may read it
---@field phases? perigee.Phase[]  run one after another; without it the scenario is one performance phase named `performance`
---@field overall? (string|perigee.Check|fun(run: table): boolean?, string?)[]  of the whole run, see [checks](#checks)
---@field seed? number  (0) of everything drawn: orders and schedules are the same for the same seed
---@field handler_timeout? perigee.Duration  (5 s) a call of the script during the run that does not return for so long is interrupted, see [below](#calls-that-do-not-return)
---@field setup_timeout? perigee.Duration  (5 min) the same for `setup` and `teardown`
---@field workers? integer  (by processors and load) threads for HTTP, 0 to 64, see [workers](#workers)
---@field scrape? string|string[]|perigee.Scrape  pages for Prometheus that are read while the run lasts, see [prometheus.md](prometheus.md#the-servers-side)
---@field setup? fun(run: perigee.Run)  before anything starts
---@field teardown? fun(run: perigee.Run, summary: table?)  at the end, with the same `run`; not when `setup` failed. `summary` is nil when the run could not start

--- What `setup` and `teardown` get.
---@class perigee.Run
---@field scenario string  its name
---@field options table<string, any>  their values by name
---@field seed number  of the run
---@field out? string  the folder of the results

--- What is read of servers while the run lasts.
---@class perigee.Scrape
---@field url string|string[]  (required) of pages for Prometheus; `"target"`: the path `/metrics` of the targets' servers
---@field every? perigee.Duration  (1 s) time between two scrapes
---@field timeout? perigee.Duration  (5 s) how long an answer may take
---@field keep? string[]  names of more metrics to keep; `*` stands for any text

--- The simulated endpoint of a test. Times and tokens are fixed or drawn: `"exp:50ms"`, `"uniform:10ms,90ms"`.
---@class perigee.test.Endpoint
---@field ttft? perigee.Duration  (50 ms) from the begin of an answer to its first token
---@field tpot? perigee.Duration  (10 ms) between its tokens
---@field tokens? integer|string  (16) of an answer
---@field error_rate? number  (0) share of the requests that fail, 0 to 1
---@field status? integer  (500) how they fail: an HTTP status
---@field error? string  or a class of failure such as `"reset"`, see [Failures](reference.md#failures)
---@field text? string  of each answer, shared out to its tokens
---@field slots? integer  answers at a time, of each target; further requests wait in order, and `ttft` counts from their turn
---@field answer? fun(request: perigee.test.Request): perigee.test.Answer?  its result goes before these fields

--- A request as the simulated endpoint sees it.
---@class perigee.test.Request
---@field number integer  from 1
---@field id integer  as `r.id`
---@field index? integer  of the sample, from 1
---@field phase string  its name
---@field conversation? string  of its conversation
---@field turn? integer  of its conversation
---@field time number  seconds from the session's start
---@field body string  as it is sent
---@field path string  where to

--- What becomes of one request; nil leaves it to the endpoint. A text without `tokens` has as many as it has words.
---@class perigee.test.Answer
---@field ttft? perigee.Duration  from the begin of the answer to its first token
---@field tpot? perigee.Duration  between its tokens
---@field tokens? integer  of the answer
---@field tokens_in? integer  of the prompt, as usage tells them
---@field status? integer  of HTTP
---@field error? string  a class of failure
---@field text? string  of the answer

--- Fields of all targets.
---@class perigee.TargetOptions
---@field url string|string[]  base url, or a list of them that is used in turn; `host:8000` means `http://host:8000`; a trailing `/v1` is not doubled; `mock:...` starts the built-in endpoint, see [mock.md](mock.md)
---@field path? string  (of the kind) appended to the url
---@field headers? table<string, string|number>  names and values
---@field api_key? string  sent as `Authorization: Bearer`; redacted in all output
---@field api_key_env? string  the environment variable that holds it; never both
---@field unix_socket? string  connect to this path
---@field connect_timeout? perigee.Duration  (10 s) until the connection stands
---@field first_byte_timeout? perigee.Duration  from the issue to the first byte of the answer
---@field timeout? perigee.Duration  the `deadline` of requests whose phase sets none
---@field max_response_bytes? integer  (64 MiB) of one kept body or text
---@field insecure? boolean  (false) do not verify the TLS certificate
---@field ca_file? string  (the system's) certificates to trust, in PEM form; a relative path is meant from the script's folder, else from the current one
---@field transport? "auto"|"direct"|"curl"  ("auto") plain sockets or libcurl; `"auto"` is direct where it can be, see [transports](#transports)
---@field source_addresses? string[]  (the system's choice) numeric local addresses that connections come from, in turn; of the family (IPv4 or IPv6) of the url's address

--- What the request hook may return in a table.
---@class perigee.Asked
---@field body? string|table  as it is; a table becomes JSON; without it the sample's own
---@field path? string  in place of the target's
---@field method? string  in place of the target's
---@field headers? table<string, string|number>  added or replaced by name; an empty value takes one away
---@field tag? string  marks the request in events, `requests.jsonl` and handlers; the metrics are told for each tag as well, see [tags](#tags)

--- What a script asks for with `p:issue`.
---@class perigee.Content
---@field prompt? string  sent as the target sends prompts
---@field messages? table[]  a list of `{ role =, content = }` (`target.openai_chat`); with a system message of its own the target's is left out
---@field body? string|table  sent as it is; a table becomes JSON
---@field model? string  beside a prompt or messages, in place of the target's (OpenAI targets)
---@field max_tokens? integer  likewise
---@field temperature? number  likewise
---@field extra? table  likewise: more fields of the body
---@field path? string  in place of the target's
---@field method? string  in place of the target's
---@field headers? table<string, string|number>  added or replaced by name; an empty value takes one away
---@field tag? string  as the request hook gives it
---@field index? integer  of the sample; without prompt, messages and body that sample is sent, else the order's next one
---@field deadline? perigee.Duration  of this request, from its issue; in place of the phase's
---@field conversation? string  told in results, events (`conversation_id`) and `requests.jsonl`
---@field turn? integer  likewise
---@field attempt? integer  told as `r.attempt`

---@class perigee.HttpOptions: perigee.TargetOptions
---@field method? "GET"|"POST"|"PUT"|"PATCH"|"DELETE"|"HEAD"|"OPTIONS"
---@field body? string|table  of requests whose sample has none

--- Fields of the OpenAI targets.
---@class perigee.OpenaiOptions: perigee.TargetOptions
---@field model? string  name of the model
---@field stream? boolean  (true) server-sent events; without it there is no ttft, tpot or itl
---@field include_usage? boolean  (true) asks for `stream_options.include_usage`; without usage there are no token counts
---@field max_tokens? integer  of each answer
---@field temperature? number  of the sampling
---@field extra? table  more fields of the body; goes before the others

---@class perigee.ChatOptions: perigee.OpenaiOptions
---@field system? string  a system message first

--- Scenarios on simulated time.
---@class perigee.test
local perigee_test = {}

--- The scenario of a file, as `perigee run` reads it: what lies beside the file is found, and it gives the name.
---@param file string  or the name of a module
---@return perigee.Scenario
function perigee_test.load(file) end

--- Play a scenario on simulated time.
---@param given perigee.Scenario
---@param options? perigee.test.Options
---@return perigee.test.Result
function perigee_test.run(given, options) end

--- How a scenario is played.
---@class perigee.test.Options
---@field endpoint? perigee.test.Endpoint|fun(request: perigee.test.Request): perigee.test.Answer?  a function is its `answer`
---@field options? table<string, any>  values of the scenario's options by name
---@field seed? number
---@field clock? "virtual"  ("virtual") the only one there is

--- What came of it.
---@class perigee.test.Result
---@field exit_code integer  as of `perigee run`
---@field outcome string  `"ok"`, `"failed"` or `"script_error"`
---@field error? string  of the script
---@field problems string[]  what else `perigee run` would tell
---@field summary? table  as in summary.json
---@field phases table<string, table>  the phases of the summary by name
---@field report? table  as of `session:report()`, in nanoseconds
---@field checks table<string, table[]>  by phase: `{ check, passed, detail }`
---@field overall table[]  the same of the whole run
---@field requests perigee.Result[]  in the order of issue: what `r:keep()` gives in a handler
---@field events table[]  `{ type, time, phase, index, conversation, turn, tag, reason, error, text }`, `time` in seconds from the session's start

---@class perigee.Warning
---@field kind string  one of those below
---@field phase? string  the name of the phase; null: it is about the whole run
---@field detail string  in words, with the numbers

---@class perigee.load
local perigee_load = {}

--- In steps: additive increase, multiplicative decrease under an SLO, until the phase ends.
---@param opts perigee.AimdOptions
---@return perigee.Load
function perigee_load.aimd(opts) end

--- Closed: n requests in flight, of the whole session; the next is sent when one has ended.
---@param n integer  requests in flight
---@return perigee.Load
function perigee_load.concurrency(n) end

--- Closed: a coroutine of the script's own that issues, sleeps and waits. With `load` it watches over an open load, and is
--- one.
---@param fn fun(p: perigee.PhaseObject)  see [the phase object](../reference.md#the-phase-object)
---@param opts? perigee.StrategyOptions
---@return perigee.Load
function perigee_load.strategy(fn, opts) end

--- Closed: recorded conversations, each turn with the history before it; the phase ends with the last.
---@param rows string|perigee.ConversationRow[]  a JSONL file, or a list in the script; a relative path is meant from the script's folder, else from the current one
---@param opts? perigee.ConversationsOptions
---@return perigee.Load
function perigee_load.conversations(rows, opts) end

--- Open: requests at even distances, the first at 0.
---@param rate number  requests per second
---@param opts? perigee.LoadOptions
---@return perigee.Load
function perigee_load.constant(rate, opts) end

--- Open: requests at random, independent distances, as of many users who know nothing of each other.
---@param rate number  requests per second on average
---@param opts? perigee.LoadOptions
---@return perigee.Load
function perigee_load.poisson(rate, opts) end

--- Open: n requests at once; then the phase ends.
---@param n integer  requests
---@param opts? perigee.LoadOptions
---@return perigee.Load
function perigee_load.burst(n, opts) end

--- Open: a delay function says how long it is to the next request.
---@param fn fun(i: integer, t: number, rng: perigee.Rng): number?  gets arrival i (from 1), its scheduled time t in seconds and random numbers; returns the seconds to the next arrival, nil ends the phase. The first arrival is at 0
---@param opts? perigee.LoadOptions
---@return perigee.Load
function perigee_load.gaps(fn, opts) end

--- Open: the requests of an earlier run's event log, at their intended times.
---@param path string  its events.plog, written with `record_body = true`; a relative one is meant from the script's folder, else from the current one
---@param opts? perigee.ReplayOptions
---@return perigee.Load
function perigee_load.replay(path, opts) end

--- In steps: upwards until more load brings no more answers; the phase ends with it.
---@param opts perigee.SaturateOptions
---@return perigee.Load
function perigee_load.saturate(opts) end

--- In steps: the highest rate, or number in flight, at which an SLO holds; the phase ends with it.
---@param opts perigee.SearchOptions
---@return perigee.Load
function perigee_load.search(opts) end

--- Open: arrivals as a trace file has them, with prompts of the recorded lengths; the phase ends with it.
---@param path string  Mooncake (JSONL), Azure LLM inference or BurstGPT (CSV); a relative one is meant from the script's folder, else from the current one
---@param opts? perigee.TraceOptions
---@return perigee.Load
function perigee_load.trace(path, opts) end

--- Closed: users at once, each a coroutine that runs the phase's `session` again and again.
---@param n integer  users
---@param opts? perigee.UsersOptions
---@return perigee.Load
function perigee_load.users(n, opts) end

--- Open: from one rate to another in a straight line, then on at the second.
---@param from number  requests per second at the beginning, 0 is allowed
---@param to number  requests per second at the end
---@param opts? perigee.RampOptions
---@return perigee.Load
function perigee_load.ramp(from, to, opts) end

--- Open: one rate after the other; the phase ends after the last.
---@param steps { [1]: number, [2]: perigee.Duration }[]  the rate in requests per second and the duration of each
---@param opts? perigee.VaryingOptions
---@return perigee.Load
function perigee_load.steps(steps, opts) end

--- Open: a rate that swings around its mean: mean + amplitude * sin(2 pi t / period).
---@param opts perigee.SineOptions
---@return perigee.Load
function perigee_load.sine(opts) end

--- Open: gaps of a gamma distribution, burstier or more even than Poisson's.
---@param rate number  requests per second on average
---@param burstiness number  the shape of the distribution: burstier than Poisson below 1, Poisson at 1, more even above
---@param opts? perigee.LoadOptions
---@return perigee.Load
function perigee_load.gamma(rate, burstiness, opts) end

---@class perigee.order
local perigee_order = {}

--- 1, 2, ... n, and again.
---@return perigee.Order
function perigee_order.sequential() end

--- Each sample once per epoch, shuffled anew for each. A step of the shuffle (Fisher and Yates) with each
--- request: shuffling a large dataset at once would make the first request of an epoch late.
---@return perigee.Order
function perigee_order.shuffle() end

--- Any sample each time, with replacement.
---@return perigee.Order
function perigee_order.random() end

--- Always the same sample.
---@param index integer  of the sample, from 1
---@return perigee.Order
function perigee_order.single(index) end

--- These samples in turn, and again; a plain table of indices means the same.
---@param indices integer[]  of samples, from 1
---@return perigee.Order
function perigee_order.list(indices) end

--- A function says which; a plain function means the same.
---@param fn fun(i: integer, n: integer, rng: perigee.Rng): integer?  gets the number of the request, the number of samples and random numbers; returns the index of a sample, nil ends the phase
---@return perigee.Order
function perigee_order.custom(fn) end

--- Sample k with a probability in proportion to weights[k].
---@param weights number[]  one for each sample, at least 0
---@return perigee.Order
function perigee_order.weighted(weights) end

--- Sample k with a probability in proportion to 1 / k^exponent.
---@param exponent? number  (1) above 0; the higher, the more of it goes to the first samples
---@return perigee.Order
function perigee_order.zipf(exponent) end

---@class perigee.target
local perigee_target = {}

--- Any HTTP endpoint: the sample's `body`, else the target's, else the prompt, else nothing; a table is sent as JSON.
---@param options perigee.HttpOptions
---@return perigee.Target
function perigee_target.http(options) end

--- Chat completions at `/v1/chat/completions`: `messages` of the sample, or its prompt as one user message.
---@param options perigee.ChatOptions
---@return perigee.Target
function perigee_target.openai_chat(options) end

--- Completions of a plain prompt at `/v1/completions`.
---@param options perigee.OpenaiOptions
---@return perigee.Target
function perigee_target.openai_completions(options) end

---@class perigee.dataset
local perigee_dataset = {}

--- One JSON object per line. Lines may end in CR LF, and a byte order mark is passed over.
---@param path string  a relative one is meant from the script's folder, else from the current one
---@param fields? table<string, string>  maps our names to columns: `{ prompt = "text_input" }`
---@return perigee.Dataset
function perigee_dataset.jsonl(path, fields) end

--- A list in the script: strings (prompts) or tables; a plain list in `dataset` means the same.
---@param list (string|perigee.Sample)[]
---@return perigee.Dataset
function perigee_dataset.table(list) end

return perigee
