# make          build everything into build/
# make demo     install what is missing, build, and play the sale: 1,000 users, 100 seats
# make up|down  start the engine under build/run, stop it
# make test     every test
# make check    format, lint, generated pages equal to their tables, include fences
# make install  into $(DESTDIR)$(PREFIX)
#
# MODE=debug|release|asan (default release). Objects of each mode live apart; the binaries of the last build in build/.
# V=1 shows the whole commands.

MODE ?= release
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= cc
PYTHON ?= /usr/bin/python3

VERSION := $(shell cat VERSION)
BUILD := build
OBJ := $(BUILD)/$(MODE)

MSGPACK := $(shell pkg-config --exists msgpack-c && echo msgpack-c || echo msgpack)
PACKAGES := libczmq libzmq hiredis rdkafka mysqlclient $(MSGPACK) libmicrohttpd jansson libsodium libxxhash libcurl
PKG_CFLAGS = $(shell pkg-config --cflags $(PACKAGES))
PKG_LIBS = $(shell pkg-config --libs $(PACKAGES))

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wvla -Werror
HARDENING := -fstack-protector-strong -fPIE -ftrivial-auto-var-init=zero
FLAGS_debug := -O0 -g3
FLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2
FLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LINK_asan := -fsanitize=address,undefined

CFLAGS += -std=c11 -D_GNU_SOURCE -I. -I$(OBJ) -DTICKETLAB_VERSION='"$(VERSION)"' $(WARNINGS) $(HARDENING) $(FLAGS_$(MODE)) -MMD -MP
LDFLAGS += -pie -Wl,-z,relro,-z,now $(LINK_$(MODE))

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

UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))

.PHONY: all
all: $(BINARIES:%=$(BUILD)/%)

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

# ---- tests ------------------------------------------------------------------------------------

.PHONY: unit
unit: $(UNIT_TESTS:%=$(OBJ)/tests/%)
	@tests/run-unit $^

$(OBJ)/tests/%: $(OBJ)/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka -lpthread -lm

# The same cases against a real MariaDB and a real MySQL 8.
CONFORMANCE := $(call object,$(wildcard tests/conformance/*.c))
.PHONY: conformance
conformance: $(OBJ)/tests/conformance-servers
	@PYTHON=$(PYTHON) tests/conformance/run $<

$(OBJ)/tests/conformance-servers: $(CONFORMANCE) $(LIB)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka -lpthread -lm

.PHONY: system test check pages
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
	install -m 755 $(BINARIES:%=$(BUILD)/%) $(LIBEXEC)
	ln -sf ../libexec/ticketlab/ticketctl $(DESTDIR)$(PREFIX)/bin/ticketctl
	cp -r schemas/sql compose/production.cfg $(DESTDIR)$(PREFIX)/share/ticketlab/

clean:
	rm -rf $(BUILD)/release $(BUILD)/debug $(BUILD)/asan $(BINARIES:%=$(BUILD)/%)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
