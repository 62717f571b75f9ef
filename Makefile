# make          build everything into build/
# make demo     install what is missing, build, and play the sale: 1,000 users, 100 seats
# make up|down  start the engine under build/run, stop it
# make test     every test
# make fuzz     every fuzzer for SECONDS=60
# make chaos    real processes killed, stopped and cut off under load, for MINUTES=3.5 of faults or HOURS=2, SEED=
# make check    format, lint, generated pages equal to their tables, include fences
# make install  into $(DESTDIR)$(PREFIX)
#
# MODE=debug|release|asan|fuzz (default release). Objects of each mode live apart; the binaries of the last build in build/.
# FAILPOINTS=1 compiles the failpoints of actors/runtime/failpoints.def in, into build/failpoints/, for `make chaos`.
# V=1 shows the whole commands.

MODE ?= release
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= cc
PYTHON ?= /usr/bin/python3

VERSION := $(shell cat VERSION)
BUILD := build$(if $(FAILPOINTS),/failpoints)
OBJ := $(BUILD)/$(MODE)

MSGPACK := $(shell pkg-config --exists msgpack-c 2>/dev/null && echo msgpack-c || echo msgpack)
PACKAGES := libczmq libzmq hiredis rdkafka mysqlclient $(MSGPACK) libmicrohttpd jansson libsodium libxxhash libcurl
PKG_CFLAGS = $(shell pkg-config --cflags $(PACKAGES))
PKG_LIBS = $(shell pkg-config --libs $(PACKAGES))

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wvla -Werror
HARDENING := -fstack-protector-strong -fPIE -ftrivial-auto-var-init=zero
FLAGS_debug := -O0 -g3
FLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2
FLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LINK_asan := -fsanitize=address,undefined
FLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LINK_fuzz := -fsanitize=fuzzer,address,undefined

CFLAGS += -std=c11 -D_GNU_SOURCE -I. -I$(OBJ) -DTICKETLAB_VERSION='"$(VERSION)"' $(WARNINGS) $(HARDENING) $(FLAGS_$(MODE)) -MMD -MP
CFLAGS += $(if $(FAILPOINTS),-DTICKETLAB_FAILPOINTS)
LDFLAGS += -pie -Wl,-z,relro,-z,now $(LINK_$(MODE))

# Fuzzers are built by clang, whose libFuzzer they are; what to warn of is decided with gcc.
ifeq ($(MODE),fuzz)
CC := clang
WARNINGS := -w
HARDENING := -fPIE
endif

V ?= 0
QUIET = $(if $(filter 1,$(V)),,@)
SAY = @echo

# ---- what is built of what --------------------------------------------------------------------

# A folder under actors/ is a binary: its main.c, and its other files, which tests link too.
ACTORS := $(filter-out runtime,$(patsubst actors/%/,%,$(sort $(dir $(wildcard actors/*/main.c)))))
TOOLS := $(patsubst tools/%/,%,$(sort $(dir $(wildcard tools/*/main.c))))
BINARIES := $(ACTORS) $(TOOLS) $(if $(wildcard broker/main.c),broker)

LIB_SOURCES := $(wildcard schemas/*.c actors/runtime/*.c) $(filter-out broker/main.c,$(wildcard broker/*.c)) \
	$(filter-out %/main.c,$(wildcard actors/*/*.c))
LIB_SOURCES := $(sort $(LIB_SOURCES))
LIB := $(OBJ)/libticketlab.a

FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))

.PHONY: all
all: $(BINARIES:%=$(BUILD)/%) $(BUILD)/nth.so

# build/NAME is a copy of the mode's binary.
$(BINARIES:%=$(BUILD)/%): $(BUILD)/%: $(OBJ)/bin/%
	@cp -f $< $@

object = $(patsubst %.c,$(OBJ)/%.o,$(1))
define binary_rule
$(OBJ)/bin/$(1): $(call object,$(2)) $(LIB)
	@mkdir -p $$(@D)
	$$(SAY) "link    $(1)"
	$$(QUIET)$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(PKG_LIBS) -lpthread -lm
endef
$(foreach a,$(ACTORS),$(eval $(call binary_rule,$(a),actors/$(a)/main.c)))
$(foreach t,$(TOOLS),$(eval $(call binary_rule,$(t),$(wildcard tools/$(t)/*.c))))
$(eval $(call binary_rule,broker,broker/main.c))

$(LIB): $(call object,$(LIB_SOURCES))
	@mkdir -p $(@D)
	@rm -f $@
	$(QUIET)$(AR) rcs $@ $^

$(OBJ)/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) "cc      $<"
	$(QUIET)$(CC) $(CFLAGS) $(PKG_CFLAGS) -c -o $@ $<

# Redis scripts and static pages are linked into the binaries: text files become C arrays.
EMBEDDED := $(sort $(wildcard schemas/redis/*.lua))
$(OBJ)/embedded_scripts.inc: $(EMBEDDED) tools/embed
	@mkdir -p $(@D)
	tools/embed $(EMBEDDED) >$@
$(OBJ)/actors/runtime/redis_client.o: $(OBJ)/embedded_scripts.inc
$(OBJ)/embedded_documents.inc: schemas/http/openapi.yaml tools/embed
	@mkdir -p $(@D)
	@tools/embed schemas/http/openapi.yaml >$@
$(OBJ)/actors/gateway/pages.o: $(OBJ)/embedded_documents.inc

MIGRATIONS := $(sort $(wildcard schemas/sql/*.sql))
$(OBJ)/embedded_sql.inc: $(MIGRATIONS) tools/embed
	@mkdir -p $(@D)
	@tools/embed $(MIGRATIONS) >$@
$(OBJ)/actors/persister/migrate.o: $(OBJ)/embedded_sql.inc

TEMPLATES := $(sort $(wildcard docs/reference/*.md.in))
$(OBJ)/embedded_pages.inc: $(TEMPLATES) tools/embed
	@mkdir -p $(@D)
	@tools/embed $(TEMPLATES) >$@
$(OBJ)/tools/pages/main.o: $(OBJ)/embedded_pages.inc

# ---- tests ------------------------------------------------------------------------------------

.PHONY: unit
unit: $(UNIT_TESTS:%=$(OBJ)/tests/%)
	@tests/run-unit $^

$(OBJ)/tests/%: $(OBJ)/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka -lpthread -lm

# Makes single calls of a process fail; see tests/faults/nth.c. A library, so without the flags of programs.
$(BUILD)/nth.so: tests/faults/nth.c
	@mkdir -p $(@D)
	$(SAY) "link    nth.so"
	$(QUIET)$(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) -O2 -g -fPIC -shared -o $@ $<

# Each fuzz target for so many seconds; what it finds is a failure.
SECONDS ?= 60
.PHONY: fuzz fuzzers
fuzz:
	@$(MAKE) -s -j2 MODE=fuzz fuzzers
	@tests/run-fuzz $(SECONDS) $(FUZZERS:%=$(BUILD)/fuzz/fuzzers/%)

fuzzers: $(FUZZERS:%=$(OBJ)/fuzzers/%)
$(OBJ)/fuzzers/%: $(OBJ)/tests/fuzz/%.o $(LIB)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka -lpthread -lm

# The simulator; first its auditor must refuse every doctored run. It brings its own require_failed(), so that a core's
# assertion is a finding; the cores are those of the library. With MUTANTS=1 they are built anew with the planted bugs of
# actors/runtime/mutant.h, and switched on one by one.
SIM_SOURCES := $(wildcard tests/sim/*.c)
SIM_CORES := $(filter-out actors/runtime/require.c actors/kafka-bridge/bridge.c actors/kafka-bridge/outbox.c,$(wildcard schemas/*.c \
	$(addprefix actors/runtime/,config.c lease.c metrics.c table.c token.c) $(addprefix actors/kafka-bridge/,lane.c ends.c event_format.c) \
	$(addprefix actors/persister/,batch.c verdict.c) actors/admission/*.c actors/seat-arbiter/*.c actors/payment-timer/*.c broker/route.c))
SIM_CORES := $(filter-out %/main.c %/psp_port.c,$(SIM_CORES))
SIM_LIBS = $(shell pkg-config --libs lua5.1 libczmq libsodium libxxhash) -lm
SIM_FLAGS = $(shell pkg-config --cflags lua5.1)
SIM_RUN = SIM_COMMIT=$$(git describe --always --dirty 2>/dev/null || echo unknown)
SEEDS ?= 10000
BASE_SEED ?= 1
JOBS ?= 2

SIM_OBJ := $(OBJ)/sim$(if $(MUTANTS),-mutants)
SIM_OBJECTS := $(patsubst %.c,$(SIM_OBJ)/%.o,$(SIM_SOURCES) $(SIM_CORES))
$(SIM_OBJ)/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) "cc      $<"
	$(QUIET)$(CC) $(CFLAGS) $(PKG_CFLAGS) $(SIM_FLAGS) $(if $(MUTANTS),-DTICKETLAB_MUTANTS) -c -o $@ $<
$(SIM_OBJ)/tests/sim/redis.o: $(OBJ)/embedded_scripts.inc
$(SIM_OBJ)/simulator: $(SIM_OBJECTS)
	$(SAY) "link    simulator"
	$(QUIET)$(CC) $(LDFLAGS) -o $@ $^ $(SIM_LIBS)

.PHONY: sim mutants
sim: $(SIM_OBJ)/simulator
	@$< --selftest
	@$(SIM_RUN) $< --seeds $(SEEDS) --base $(BASE_SEED) --jobs $(JOBS)

# Every planted bug must be caught within a thousand seeds.
ifeq ($(MUTANTS),)
mutants:
	@$(MAKE) -s MUTANTS=1 mutants
else
mutants: $(SIM_OBJ)/simulator
	@$(SIM_RUN) $< --mutants --seeds 1000 --base $(BASE_SEED) --jobs $(JOBS)
endif

# The same cases against a real MariaDB, a real MySQL 8 and the simulator's model of them; others against a real Redis and
# its model; others against a real Kafka, kafka-mock and their model. The models are built anew with a larger house.
CONFORMANCE := $(OBJ)/tests/conformance
CONFORMANCE_CASES := $(patsubst %,tests/conformance/%.c,cases batch_cases claim_cases fault_cases waiting_cases)
.PHONY: conformance
conformance: $(CONFORMANCE)-servers $(CONFORMANCE)-model $(CONFORMANCE)-redis $(CONFORMANCE)-kafka $(BUILD)/kafka-mock
	@PYTHON=$(PYTHON) tests/conformance/run $(CONFORMANCE)

$(CONFORMANCE)-servers: $(call object,$(CONFORMANCE_CASES) $(patsubst %,tests/conformance/%.c,main proxy server server_cases)) $(LIB)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka -lpthread -lm

CONFORMANCE_MODEL := $(CONFORMANCE_CASES) tests/conformance/model.c tests/conformance/model_main.c \
	$(patsubst %,tests/sim/%.c,persister store store_rows world)
$(CONFORMANCE)-model: $(CONFORMANCE_MODEL:%.c=$(CONFORMANCE)/%.o) $(LIB)
	$(QUIET)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka -lpthread -lm

CONFORMANCE_REDIS := $(wildcard tests/conformance/redis_*.c) tests/sim/redis.c tests/sim/world.c
$(CONFORMANCE)/tests/sim/redis.o: $(OBJ)/embedded_scripts.inc
$(CONFORMANCE)-redis: $(CONFORMANCE_REDIS:%.c=$(CONFORMANCE)/%.o) $(LIB)
	$(QUIET)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) $(shell pkg-config --libs lua5.1) -lcmocka -lpthread -lm

# The bridge's outbox is one in memory: kafka_outbox.c stands for outbox.c, which is not taken from the library.
CONFORMANCE_KAFKA := $(wildcard tests/conformance/kafka_*.c) $(patsubst %,tests/sim/%.c,bridge kafka world)
$(CONFORMANCE)-kafka: $(CONFORMANCE_KAFKA:%.c=$(CONFORMANCE)/%.o) $(LIB)
	$(QUIET)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka -lpthread -lm

$(CONFORMANCE)/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) "cc      $<"
	$(QUIET)$(CC) $(CFLAGS) $(PKG_CFLAGS) $(SIM_FLAGS) -DTICKETLAB_CONFORMANCE -c -o $@ $<

# Faults on real processes under a load of real clients, and an independent verdict. SEED= plays another run.
.PHONY: chaos
chaos:
	@$(MAKE) -s -j2 FAILPOINTS=1 all
	@$(PYTHON) tests/chaos/run.py $(SEED:%=--seed %) $(MINUTES:%=--minutes %) $(HOURS:%=--hours %)

.PHONY: system test check pages golden
system: all
	@$(PYTHON) -m pytest -q -p no:cacheprovider tests/system

# Unit tests, then the engine as a whole. Ends with `N passed, N failed`.
test: deps
	@tests/run

check: all
	@tools/check

# The reference pages that come from the tables.
PAGES ?= docs/reference
pages: $(BUILD)/pages
	@mkdir -p $(PAGES)
	@$(BUILD)/pages $(PAGES)

# A golden vector for each message that has none.
golden: $(OBJ)/tests/test_golden
	@$< --write schemas/golden

# ---- running ----------------------------------------------------------------------------------

.PHONY: demo up down deps clean install
demo: deps
	@$(MAKE) -s -j2 all
	@tools/demo

up: deps
	@$(MAKE) -s -j2 all
	@$(BUILD)/ticketctl up $(UP)

down:
	@$(BUILD)/ticketctl down

deps:
	@tools/deps

# ---- installing -------------------------------------------------------------------------------

LIBEXEC = $(DESTDIR)$(PREFIX)/libexec/ticketlab
install: all
	install -d $(LIBEXEC) $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/ticketlab
	install -m 755 $(patsubst %,$(BUILD)/%,$(filter-out pages,$(BINARIES))) tools/run-kafka tools/fetch-kafka $(LIBEXEC)
	ln -sf ../libexec/ticketlab/ticketctl $(DESTDIR)$(PREFIX)/bin/ticketctl
	cp -r schemas/sql compose/production.cfg $(DESTDIR)$(PREFIX)/share/ticketlab/

clean:
	rm -rf $(BUILD)/release $(BUILD)/debug $(BUILD)/asan $(BUILD)/fuzz $(BUILD)/failpoints $(BINARIES:%=$(BUILD)/%)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
