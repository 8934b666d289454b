# perigee: `make` builds, `make demo` shows it, `make test` proves it.
#   SAN=address,undefined   build and test with sanitizers, in a folder of its own
#   CC=clang                another compiler

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PREFIX  ?= /usr/local
LUAJIT  ?= luajit
PKGS    := luajit libuv libzmq libcurl sqlite3
TEST_PKGS := cmocka

comma := ,
Q := $(if $(V),,@)
B := build/$(notdir $(CC))$(if $(SAN),-$(subst $(comma),-,$(SAN)))
export PERIGEE_BUILD := $(abspath $(B))
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
        -Wpointer-arith -Wvla $(if $(WERROR),-Werror)
OPT  ?= -O2 -g
# Structs of some hundred bytes are cleared and copied by loops of wide stores or by the C library: what gcc
# takes for them on x86, `rep stos` and `rep movs`, takes 2 to 4 times as long.
WIDE := -mmemcpy-strategy=unrolled_loop:64:noalign,libcall:-1:noalign \
        -mmemset-strategy=unrolled_loop:64:noalign,libcall:-1:noalign
WIDE := $(shell $(CC) $(WIDE) -S -o /dev/null -x c /dev/null 2>/dev/null && echo '$(WIDE)')
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread $(OPT) $(WIDE) $(WARN) \
        -Iengine $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer) \
        $(CFLAGS)
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   = $(shell pkg-config --libs $(PKGS) 2>/dev/null)
# LuaJIT itself is in the process that loads the module; linking it twice breaks it.
MODULE_LIBS = $(shell pkg-config --libs $(filter-out luajit,$(PKGS)) 2>/dev/null) -lm
ifeq ($(shell uname),Darwin)
MODULE_FLAGS := -bundle -undefined dynamic_lookup
else
# A thread of libcurl's resolver may still end when Lua's state is closed: its code has to stay.
MODULE_FLAGS := -shared -Wl,-z,nodelete
endif

SRC      := $(wildcard engine/*/*.c)
OBJ      := $(SRC:engine/%.c=$(B)/%.o)
CORE_OBJ := $(filter-out $(B)/lua/%,$(OBJ))
MODULE   := $(B)/perigee_engine.so
C_TESTS  := $(patsubst tests/c/%.c,$(B)/tests/%,$(wildcard tests/c/test_*.c))

.PHONY: FORCE all docs deps demo test run-tests check sanitize lint format bench bench-stream bench-events bench-cost bench-sse bench-publisher bench-pacing bench-start bench-memory bench-instructions bench-workers bench-llm peers fuzz run-fuzz install clean c-tests
.DELETE_ON_ERROR:
.SECONDARY:

all: $(MODULE)

# Only the module's own object knows the version, so only it is made again with each.
$(B)/lua/module.o: ALL_CFLAGS += -DPERIGEE_VERSION='"$(VERSION)"'
$(B)/lua/module.o: $(B)/version
$(B)/version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@

$(B)/%.o: engine/%.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

$(MODULE): $(OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(MODULE_FLAGS) -o $@.new $^ $(LDFLAGS) $(MODULE_LIBS)
	@mv $@.new $@ # at once: others may load it meanwhile

$(B)/libperigee.a: $(CORE_OBJ)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(B)/tests/%: tests/c/%.c $(B)/libperigee.a Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CFLAGS) -Itests/c $(PKG_CFLAGS) $(shell pkg-config --cflags $(TEST_PKGS)) -MMD -MP -o $@ $< \
	      $(B)/libperigee.a $(LDFLAGS) $(MODULE_LIBS) $(shell pkg-config --libs $(TEST_PKGS))

c-tests: $(C_TESTS)

# Tables of docs/ and the types for editors, from the doc comments of the library.
docs:
	@LUA_PATH='scripts/?.lua;;' $(LUAJIT) scripts/docs/main.lua

# Programs that measure one part: make build/cc/bench/bench_metrics
$(B)/bench/%: tests/bench/%.c $(B)/libperigee.a Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(PKG_CFLAGS) -o $@ $< $(B)/libperigee.a $(LDFLAGS) $(MODULE_LIBS)

-include $(OBJ:.o=.d) $(C_TESTS:=.d) $(wildcard $(B)/fuzz/*.d)

deps:
	scripts/install-deps test

clean:
	rm -rf build

# ---- run, test, measure ----

demo:
	@scripts/install-deps build
	@$(MAKE) --no-print-directory all
	@scripts/perigee run examples/quickstart.lua --out results/quickstart

test:
	@scripts/install-deps test
	@$(MAKE) --no-print-directory -j$(JOBS) all c-tests
	@tests/run $(T)

check: lint test

# The same tests with AddressSanitizer and UndefinedBehaviorSanitizer; the C tests with
# ThreadSanitizer: make sanitize SAN=thread
SANITIZERS := $(or $(SAN),address$(comma)undefined)
sanitize:
	@scripts/install-deps test
	@$(MAKE) --no-print-directory -j$(JOBS) SAN=$(SANITIZERS) $(if $(filter thread,$(SANITIZERS)),,all) c-tests
	@$(MAKE) --no-print-directory SAN=$(SANITIZERS) run-tests $(if $(filter thread,$(SANITIZERS)),T=$(or $(T),c))

run-tests:
	@tests/run $(T)

lint:
	@scripts/install-deps test
	@tests/lint

format:
	clang-format -i engine/*/*.[ch] $(wildcard tests/c/*.[ch] tests/fuzz/*.c tests/bench/*.c)

# What a request costs beside other programs (`make peers` gets them); how exactly a schedule is kept.
bench: all $(B)/bench/bench_pacing
	@tests/bench/lua table
	@tests/bench/lua record pacing tests/bench/pacing

# Instructions per request, beside those that were kept: RECORD=1 keeps them anew.
bench-instructions: all
	@tests/bench/lua instructions

# What HTTP workers cost and what they take off the thread that measures.
bench-workers: all
	@tests/bench/lua workers

# What programs for language models say of a stream, beside what the endpoint knows of it.
bench-llm: all
	@tests/bench/lua llm

# Programs to compare with, into the system and PEERS (build/peers).
peers:
	@tests/bench/install-peers

bench-pacing: all $(B)/bench/bench_pacing
	@tests/bench/lua record pacing tests/bench/pacing

# From the start of the program to its first request.
bench-start: all
	@tests/bench/lua record start tests/bench/start

# Memory as a run gets longer: up to a million requests and 1.2 GB of TMPDIR.
bench-memory: all
	@tests/bench/lua record memory tests/bench/memory

# All that events cost, as JSON lines: the publisher, its subscribers, a run.
bench-stream: all $(B)/bench/bench_publisher $(B)/bench/bench_events $(B)/bench/bench_metrics
	@tests/bench/lua record stream tests/bench/stream $(RECORDS)

# What `perigee events` and its publisher cost per record.
bench-events: all $(B)/bench/bench_events
	@tests/bench/lua record events tests/bench/events

# What a request costs with events and without.
bench-cost: all
	@tests/bench/lua record cost tests/bench/cost

# CPU per server-sent event, beside a bare loop over the same bytes.
bench-sse: $(B)/bench/bench_sse all
	@tests/bench/lua record sse $<

# The publisher alone, and its memory with a stopped subscriber (10 million records spill 1.6 GB).
RECORDS ?= 1000000
bench-publisher: $(B)/bench/bench_publisher all
	@tests/bench/lua record publisher tests/bench/publisher $(RECORDS)

# Each target for FUZZ_SECONDS; a crash stops it and leaves its input behind.
FUZZ_SECONDS ?= 30
FUZZ_SAN := address,undefined,fuzzer-no-link
FUZZ := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
$(B)/fuzz/%: tests/fuzz/%.c $(B)/libperigee.a Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -MMD -MP -o $@ $< $(B)/libperigee.a \
	      -Wl,--as-needed $(LDFLAGS) $(MODULE_LIBS)

fuzz:
	@$(MAKE) --no-print-directory CC=clang SAN=$(FUZZ_SAN) run-fuzz

run-fuzz: $(FUZZ)
	@for f in $(FUZZ); do n=$${f##*/}; mkdir -p build/fuzz/corpus-$$n; echo "== $$n"; \
	  ASAN_OPTIONS=detect_leaks=1 $$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
	  -artifact_prefix=build/fuzz/ build/fuzz/corpus-$$n $$(ls -d tests/fuzz/corpus/$$n 2>/dev/null) || exit 1; done

# ---- install ----

# LuaRocks sets the three folders; by hand PREFIX (and DESTDIR) suffice.
LUADIR ?= $(PREFIX)/share/lua/5.1
LIBDIR ?= $(PREFIX)/lib/lua/5.1
BINDIR ?= $(PREFIX)/bin
install: all
	install -d $(DESTDIR)$(LUADIR) $(DESTDIR)$(LIBDIR) $(DESTDIR)$(BINDIR)
	cp -R lua/perigee $(DESTDIR)$(LUADIR)/
	install -m 755 $(MODULE) $(DESTDIR)$(LIBDIR)/perigee_engine.so
	install -m 755 scripts/perigee $(DESTDIR)$(BINDIR)/perigee
