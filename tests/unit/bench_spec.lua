-- What the benchmarks read of other programs: tests/bench/outputs holds what each printed of a small job, of which the
-- endpoint answered a part with status 500.
package.path = "tests/bench/?.lua;" .. package.path
local baseline = require "baseline"
local files = require "files"
local measure = require "measure"
local peers = require "peers"

local OUTPUTS = "tests/bench/outputs"

local JOB = {
   url = "http://127.0.0.1:1", requests = 1234, connections = 17, seconds = 3, dir = OUTPUTS, body_file = "tests/bench/outputs/body.json",
   streamed = true,
}

local function output(name) return files.read(("%s/%s"):format(OUTPUTS, name)) end

describe("a program compared with", function()
   local succeeded = { -- as each counts them
      wrk = 35485 - 8885, wrk2 = 35485 - 8885, h2load = 14, hey = 13, bombardier = 14, fortio = 14, autocannon = 16, oha = 16,
   }
   for name, n in pairs(succeeded) do
      it("has only its successes counted: " .. name, function()
         local text = output((name == "wrk2" and "wrk" or name) .. ".txt")
         assert.equal(n, peers.row(name, name).count(text, JOB))
      end)
   end

   it("has its successes counted when there is nothing else: wrk", function()
      assert.equal(50437, peers.row("wrk", "wrk").count(output "wrk-all-good.txt", JOB))
   end)

   it("is asked for its report: vegeta", function()
      -- In place of the program, which would read its own file.
      assert.equal(6384, peers.row("vegeta", ("cat %s/vegeta.json; :"):format(OUTPUTS)).count("", JOB))
   end)

   it("counts nothing in what says nothing", function()
      for _, name in ipairs { "h2load", "hey", "bombardier", "fortio", "autocannon", "oha", "k6" } do
         assert.is_nil(peers.row(name, name).count("connection refused\n", JOB), name)
      end
   end)

   it("is told the url, and how much to send", function()
      for _, name in ipairs { "h2load", "hey", "bombardier", "fortio", "autocannon", "oha", "aiperf", "guidellm", "vllm" } do
         local command = peers.row(name, "PROGRAM").command(JOB)
         for _, part in ipairs { "PROGRAM", JOB.url, "%f[%d]1234%f[%D]", "%f[%d]17%f[%D]" } do
            assert.truthy(command:find(part), ("%s: no %s in: %s"):format(name, part, command))
         end
      end
   end)

   it("has a row for its name alone", function()
      assert.has_error(function() peers.row("ab", "ab") end, "'ab' is none of the programs compared with")
   end)
end)

describe("a program for language models", function()
   local said = {
      aiperf = { count = 20, ttft_p50_ms = 24.024, ttft_p99_ms = 77.798, latency_p50_ms = 54.711, latency_p99_ms = 105.070 },
      ["inference-endpoint"] = {
         count = 20, ttft_p50_ms = 21.245, ttft_p99_ms = 60.179, latency_p50_ms = 51.148, latency_p99_ms = 96.055,
      },
      vllm = { count = 20, ttft_p50_ms = 22.882, ttft_p99_ms = 84.941, latency_p50_ms = 52.755, latency_p99_ms = 112.888 },
      guidellm = { count = 20, ttft_p50_ms = 44.916, ttft_p99_ms = 99.883, latency_p50_ms = 69.769, latency_p99_ms = 123.585 },
   }
   for name, expected in pairs(said) do
      it("has its figures read in milliseconds: " .. name, function()
         local row = peers.row(name, name)
         local figures = row.figures(JOB)
         figures.count = row.count("", JOB)
         for key, value in pairs(expected) do assert.near(value, figures[key], 1e-3, key) end
      end)
   end
end)

describe("a counter of the benchmarks", function()
   it("finds the system calls in a summary of strace", function()
      assert.equal(115, measure.calls_in(output "strace.txt"))
   end)

   it("finds them where no errors and no time per call are told", function()
      assert.equal(7, measure.calls_in [[
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
100.00    0.000000                     7           total
]])
      assert.is_nil(measure.calls_in "strace: cannot attach\n")
   end)

   it("adds up the instructions of all processes", function()
      assert.equal(310729 + 229160, measure.instructions_in "==7== Collected : 310729\n==8==\n==8== Collected : 229160\n")
      assert.is_nil(measure.instructions_in "==7== Callgrind\n")
   end)
end)

describe("figures that were kept", function()
   local result = {
      at = "2026-11-24T12:00:00Z", cpu = "a processor", command = "a command", load_1m = 0.5,
      versions = { perigee = "1.0", luajit = "LuaJIT 2.1", libcurl = "libcurl 8.0", compiler = "cc 12" },
   }
   local path = os.tmpname()
   baseline.write(path, result, { direct = 17000 })
   local kept = baseline.read(path)
   os.remove(path)

   it("come back with what they are of", function()
      assert.same({ direct = 17000 }, kept.figures)
      assert.same({ "kept on 2026-11-24, of 1.0, at a load of 0.5; now it is 0.5" }, baseline.remarks(kept, result))
   end)

   it("are not held against another compiler or library without a word", function()
      local other = { cpu = "a processor", load_1m = 9, versions = { luajit = "LuaJIT 2.1", libcurl = "libcurl 8.1", compiler = "cc 13" } }
      assert.same({
         "kept on 2026-11-24, of 1.0, at a load of 0.5; now it is 9",
         "not alike: compiler is cc 13, and was cc 12 then: a change may be of that",
         "not alike: libcurl is libcurl 8.1, and was libcurl 8.0 then: a change may be of that",
      }, baseline.remarks(kept, other))
   end)

   it("say which changes are no noise", function()
      assert.equal("+4.7%", baseline.change(17800, kept.figures.direct))
      assert.equal("-2.4%", baseline.change(16600, kept.figures.direct))
      assert.equal("+11.8%  more", baseline.change(19000, kept.figures.direct))
      assert.equal("-5.9%  less", baseline.change(16000, kept.figures.direct))
      assert.equal("-", baseline.change(16000, nil))
   end)

   it("may be absent", function()
      local none = baseline.read(path)
      assert.same({ figures = {} }, none)
      assert.same({ "nothing was kept before" }, baseline.remarks(none, result))
   end)
end)

describe("tests/bench/install-peers", function()
   local dir

   before_each(function()
      dir = files.output "mktemp -d":match "%S+"
      -- Nothing that installs is on this PATH.
      os.execute(([[mkdir -p %s/bin %s/peers/bin && for p in bash dirname mkdir grep tail id; do ln -s "$(command -v $p)" %s/bin/$p; done]])
         :format(dir, dir, dir))
   end)

   after_each(function() os.execute("rm -rf " .. dir) end)

   local function install(...)
      local names = table.concat({ ... }, " ")
      local command = "env -i PATH=%s/bin PEERS=%s/peers bash tests/bench/install-peers %s 2>&1; echo status $?"
      return (files.output(command:format(dir, dir, names)):gsub(dir, "DIR"))
   end

   it("says what it cannot install, and why", function()
      assert.equal([[
wrk: cannot be installed here: it is installed by apt-get, which is not here (all of it: DIR/peers/log/wrk)
oha: cannot be installed here: it is installed by cargo, which is not here (all of it: DIR/peers/log/oha)
fortio: cannot be installed here: it is installed by go, which is not here (all of it: DIR/peers/log/fortio)
autocannon: cannot be installed here: it is installed by npm, which is not here (all of it: DIR/peers/log/autocannon)
guidellm: cannot be installed here: it is installed by python3, which is not here (all of it: DIR/peers/log/guidellm)
ab: cannot be installed here: no way to install it is known here (all of it: DIR/peers/log/ab)
status 1
]], install("wrk", "oha", "fortio", "autocannon", "guidellm", "ab"))
      assert.truthy(install("inference-endpoint"):find("in no registry: ENDPOINTS=DIR says where its source is", 1, true))
   end)

   it("leaves alone what is there", function()
      os.execute(("printf '#!/bin/sh\\n' >%s/peers/bin/oha && chmod +x %s/peers/bin/oha"):format(dir, dir))
      assert.equal("oha: here\nstatus 0\n", install "oha")
   end)
end)

describe("a benchmark of the Makefile", function()
   it("is described once, and no other one is", function()
      local documents, seen = "", {}
      local paths = files.output "ls README.md CONTRIBUTING.md docs/*.md docs/*/*.md"
      for path in paths:gmatch "%S+" do documents = documents .. files.read(path) end
      for name in documents:gmatch "make (bench[%w-]*)" do seen[name] = (seen[name] or 0) + 1 end
      local expected = {}
      for name in files.read "Makefile":gmatch "\n(bench[%w-]*):" do expected[name] = 1 end
      assert.is_true(expected.bench == 1 and expected["bench-llm"] == 1)
      assert.same(expected, seen)
   end)
end)
