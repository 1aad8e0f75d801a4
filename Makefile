# Builds Moonfleet; `make help` lists the targets. Needs GNU make.
#
# Sources are found by wildcard. What the compiler is told stands in $(BUILD)/flags and what is compiled in
# $(BUILD)/sources; both are rewritten only when they change, so that a new flag, a new file and a removed file
# each rebuild what they must and nothing else.

.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory

# ---- what you may set on the command line --------------------------------------------------------------------
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g
SANITIZE ?=
HOOKS ?=
FUZZ_SECONDS ?= 60
# Seconds that one spec file or C test may take, and the ones to run (all when empty).
TEST_TIMEOUT ?= 300
TESTS ?=

# ---- Lua: any of its names in pkg-config, but only 5.4 -------------------------------------------------------
LUA_PC := $(shell for n in lua5.4 lua-5.4 lua54 lua; do \
	pkg-config --atleast-version=5.4 $$n 2>/dev/null && pkg-config --max-version=5.4.999 $$n 2>/dev/null && echo $$n && break; \
	done)
ifneq ($(LUA_PC),)
LUA_CFLAGS := $(shell pkg-config --cflags $(LUA_PC))
LUA_LIBS := $(shell pkg-config --libs $(LUA_PC))
LUA_NAME := $(patsubst -l%,lib%.a,$(filter -llua%,$(LUA_LIBS)))
LUA_ARCHIVE := $(wildcard $(shell $(CC) $(filter -L%,$(LUA_LIBS)) -print-file-name=$(LUA_NAME) 2>/dev/null))
endif
# static is faster (no jump through a table for each call of the API) and still loads C modules, because the
# program exports all of Lua.
LUA_LINK ?= $(if $(LUA_ARCHIVE),static,shared)
ifeq ($(LUA_LINK),static)
LUA_LDLIBS = -Wl,--whole-archive $(LUA_ARCHIVE) -Wl,--no-whole-archive
else
LUA_LDLIBS = $(LUA_LIBS)
endif

# ---- Libraries that are loaded when they are first needed, so that no start of the program pays for them: only their
# headers are compiled against, and the name is taken along by which the linker would have made them known.
soname = $(or $(shell objdump -p "$$(pkg-config --variable=libdir $(1))/$(1).so" 2>/dev/null | sed -n 's/^ *SONAME *//p'),$(1).so)

# SSH: libssh2, and libcrypto for digests (libssh2 as Debian builds it brings that along).
SSH_PC := $(shell pkg-config --exists libssh2 libcrypto 2>/dev/null && echo libssh2 libcrypto)
ifneq ($(SSH_PC),)
SSH_CFLAGS := $(shell pkg-config --cflags $(SSH_PC)) -DMF_LIBSSH2='"$(call soname,libssh2)"' \
	-DMF_LIBCRYPTO='"$(call soname,libcrypto)"'
endif

# libedit, for the prompt; without it lines are read as the terminal gives them.
EDIT_PC := $(shell pkg-config --exists libedit 2>/dev/null && echo libedit)
ifneq ($(EDIT_PC),)
EDIT_CFLAGS := $(shell pkg-config --cflags $(EDIT_PC)) -DMF_LIBEDIT='"$(call soname,libedit)"'
endif

# ---- flags ---------------------------------------------------------------------------------------------------
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings \
	-Wpointer-arith -Wformat=2 -Werror
SANITIZE_FLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
# A product is never fused with a sum: the last bit of random numbers would then differ between machines.
ALL_CFLAGS = -std=c11 $(CFLAGS) -ffp-contract=off $(SANITIZE_FLAGS) -fvisibility=hidden -fPIC -pthread $(WARNINGS)
ALL_CPPFLAGS = -D_POSIX_C_SOURCE=200809L $(if $(HOOKS),-DMF_TEST_HOOKS) $(CPPFLAGS)
ALL_LDFLAGS = $(SANITIZE_FLAGS) -pthread $(LDFLAGS)
# Lua's functions are there for C modules; all symbols are found at the start, and not anew in each fork.
PROGRAM_LDFLAGS = -Wl,-E -Wl,-z,now
# Shared objects stay mapped, since threads may run in them to the end. Only what vm/*.map names is seen of them.
SHARED_LDFLAGS = -shared -Wl,-z,now -Wl,-z,nodelete
LDLIBS = -lm -ldl
# For the loops over numbers in runtime/array_*.c: vectors, and no errno or traps of single elements, which would forbid
# them. No result depends on these.
KERNEL_CFLAGS := $(if $(SANITIZE),,-O3) -fno-math-errno -fno-trapping-math
# Large products are OpenBLAS's where it is installed now and, loaded by name, where the program runs.
KERNEL_CFLAGS += $(if $(shell pkg-config --exists openblas 2>/dev/null && echo yes),-DMF_OPENBLAS)

# ---- what is built -------------------------------------------------------------------------------------------
# A node build has launch_none.c in the place of launch_ssh.c.
RUNTIME_SRC := $(sort $(filter-out runtime/launch_none.c,$(wildcard runtime/*.c)))
VM_SRC := $(sort $(wildcard vm/*.c))
# The program itself: what is always there, the editor of its prompt, and what stands in the editor's place.
BASE_SRC := vm/main.c vm/repl.c vm/repl_plain.c
EDITOR_SRC := vm/repl_edit.c vm/repl_history.c vm/repl_libedit.c vm/repl_tty.c vm/repl_wide.c
NOEDIT_SRC := vm/repl_noedit.c
PROGRAM_SRC := $(BASE_SRC) $(if $(EDIT_PC),$(EDITOR_SRC),$(NOEDIT_SRC))
STOCK_SRC := vm/stock.c
STDLIB_LUA := $(sort $(wildcard stdlib/moonfleet/*.lua))
HOOKED_SRC := $(shell grep -l '"hooks.h"' runtime/*.c)
UNIT_SRC := $(sort $(wildcard tests/unit/*_test.c))
# The other hosts of tests/embed are built against an installed tree (tests/install_spec.lua).
EMBED_SRC := $(addprefix tests/embed/,api.c faults.c tasks.c)
FUZZ_SRC := $(sort $(wildcard tests/fuzz/*_fuzz.c))

object = $(patsubst %.c,$(BUILD)/%.o,$(1))
RUNTIME_OBJ := $(call object,$(RUNTIME_SRC))
VM_OBJ := $(call object,$(filter-out $(BASE_SRC) $(EDITOR_SRC) $(NOEDIT_SRC) $(STOCK_SRC),$(VM_SRC))) $(BUILD)/stdlib.o
STOCK_OBJ := $(call object,$(STOCK_SRC))
PROGRAM_OBJ := $(call object,$(PROGRAM_SRC))
NODE_OBJ := $(call object,$(BASE_SRC) $(NOEDIT_SRC))
HOOKED_OBJ := $(patsubst %.c,$(BUILD)/hooks/%.o,$(HOOKED_SRC))
UNIT_BIN := $(patsubst %.c,$(BUILD)/%,$(UNIT_SRC))
EMBED_BIN := $(patsubst %.c,$(BUILD)/%,$(EMBED_SRC))
FUZZ_BIN := $(patsubst %.c,$(BUILD)/%,$(FUZZ_SRC))

PROGRAM := $(BUILD)/moonfleet
# The same with the hooks of runtime/hooks.h, for tests: the files that have any are compiled twice.
HOOKS_PROGRAM := $(BUILD)/hooks/moonfleet
# What is put on hosts that have no moonfleet: the program without SSH and without an editor.
NODE_PROGRAM := $(BUILD)/moonfleet-node
RUNTIME_LIB := $(BUILD)/libmfruntime.a
LIBRARY := $(BUILD)/libmoonfleet.a
# The number that programs are linked to changes with the interface, the other one with the version.
VERSION := $(shell sed -n 's/^\#define MF_VERSION *"\(.*\)"/\1/p' vm/moonfleet.h)
SONAME := libmoonfleet.so.0
SHARED := $(BUILD)/libmoonfleet.so.$(VERSION)
# What a stock Lua loads; Lua itself is there already.
MODULE := $(BUILD)/moonfleet.so

# ---- public targets; what they need installed comes first, so the second half is a make of its own ------------
.PHONY: all doc demo test check asan ubsan tsan fuzz bench bench-peers kernels install uninstall install-rock clean help

all: need-lua need-ssh $(PROGRAM) $(NODE_PROGRAM) $(LIBRARY) $(RUNTIME_LIB) $(SHARED) $(MODULE)

demo:
	@sh scripts/deps.sh demo
	+@$(MAKE) all
	$(PROGRAM) scripts/demo.lua

test:
	@sh scripts/deps.sh test
	+@$(MAKE) run-tests

check:
	@sh scripts/deps.sh check
	+@$(MAKE) run-check

asan:
	@sh scripts/deps.sh test
	+@ASAN_OPTIONS=detect_leaks=1:$$ASAN_OPTIONS \
		LSAN_OPTIONS=suppressions=$(CURDIR)/tests/support/lsan.supp:print_suppressions=0:$$LSAN_OPTIONS \
		$(MAKE) run-tests BUILD=$(BUILD)/asan HOOKS=1 SANITIZE=address \
		CFLAGS="-O1 -g" TEST_TIMEOUT=600

ubsan:
	@sh scripts/deps.sh test
	+@UBSAN_OPTIONS=print_stacktrace=1:$$UBSAN_OPTIONS $(MAKE) run-tests BUILD=$(BUILD)/ubsan HOOKS=1 \
		SANITIZE=undefined CFLAGS="-O1 -g" TEST_TIMEOUT=600

tsan:
	@sh scripts/deps.sh test
	+@TSAN_OPTIONS=second_deadlock_stack=1:die_after_fork=0:$$TSAN_OPTIONS \
		$(MAKE) run-tests BUILD=$(BUILD)/tsan HOOKS=1 SANITIZE=thread \
		CFLAGS="-O1 -g" TEST_TIMEOUT=600

fuzz:
	@sh scripts/deps.sh fuzz
	+@$(MAKE) run-fuzz BUILD=$(BUILD)/fuzz HOOKS=1 CC=clang SANITIZE=fuzzer-no-link,address,undefined CFLAGS="-O1 -g"

bench:
	@sh scripts/deps.sh bench
	+@$(MAKE) all $(BUILD)/tests/bench/floor $(BUILD)/tests/bench/ssh_floor
	MOONFLEET=$(abspath $(PROGRAM)) MOONFLEET_FLOOR=$(abspath $(BUILD)/tests/bench/floor) \
		MOONFLEET_SSH_FLOOR=$(abspath $(BUILD)/tests/bench/ssh_floor) \
		$(PROGRAM) tests/bench/bench.lua

bench-peers:
	@sh scripts/deps.sh bench-peers
	+@$(MAKE) all $(BUILD)/tests/bench/floor
	MOONFLEET=$(abspath $(PROGRAM)) MOONFLEET_FLOOR=$(abspath $(BUILD)/tests/bench/floor) \
		MOONFLEET_BENCH_OUT=$(abspath $(BUILD)/bench) $(PROGRAM) tests/bench/compare.lua

# What the compiler made of the loops over numbers.
kernels: $(BUILD)/flags
	@for file in runtime/array_*.c; do \
		$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(KERNEL_CFLAGS) -fopt-info-vec-optimized -c -o /dev/null $$file; done

# mode:what:where below PREFIX
INSTALLED = 755:$(PROGRAM):bin/moonfleet 755:$(NODE_PROGRAM):lib/moonfleet/moonfleet-node \
	644:$(LIBRARY):lib/libmoonfleet.a 755:$(SHARED):lib/$(notdir $(SHARED)) 644:vm/moonfleet.h:include/moonfleet.h \
	644:$(BUILD)/moonfleet.pc:lib/pkgconfig/moonfleet.pc 755:$(MODULE):lib/lua/5.4/moonfleet.so \
	644:vm/moonfleet.1:share/man/man1/moonfleet.1 644:vm/moonfleet.3:share/man/man3/moonfleet.3 \
	644:scripts/moonfleet.bash:share/bash-completion/completions/moonfleet \
	644:scripts/moonfleet.zsh:share/zsh/site-functions/_moonfleet \
	644:scripts/moonfleet.fish:share/fish/vendor_completions.d/moonfleet.fish
# where:what it points to
LINKED = lib/$(SONAME):$(notdir $(SHARED)) lib/libmoonfleet.so:$(SONAME)
word_of = $(word $(1),$(subst :, ,$(2)))
into = $(DESTDIR)$(PREFIX)

define install_file
install -d $(dir $(into)/$(call word_of,3,$(1)))
install -m $(call word_of,1,$(1)) $(call word_of,2,$(1)) $(into)/$(call word_of,3,$(1))

endef
define install_link
ln -sf $(call word_of,2,$(1)) $(into)/$(call word_of,1,$(1))

endef

install: all $(BUILD)/moonfleet.pc
	@$(foreach file,$(INSTALLED),$(call install_file,$(file)))
	@$(foreach link,$(LINKED),$(call install_link,$(link)))

uninstall:
	rm -f $(foreach file,$(INSTALLED),$(into)/$(call word_of,3,$(file))) \
		$(foreach link,$(LINKED),$(into)/$(call word_of,1,$(link)))
	rmdir $(into)/lib/moonfleet 2>/dev/null || true

# For luarocks (moonfleet-scm-1.rockspec), which says where its folders are.
install-rock: all
	install -d $(BINDIR) $(LIBDIR)
	install -m 755 $(PROGRAM) $(NODE_PROGRAM) $(BINDIR)
	install -m 755 $(MODULE) $(LIBDIR)/moonfleet.so

# The reference, from the doc comments of stdlib/: for browsers, and as manual pages.
doc: all
	@$(PROGRAM) scripts/doc.lua $(BUILD)/doc
	@echo "$(BUILD)/doc/index.html and $(BUILD)/doc/man3/moonfleet.*.3"

clean:
	rm -rf $(BUILD)

help:
	@echo "make             build $(PROGRAM) and the libraries"
	@echo "make demo        install what is missing, build, run the demonstration"
	@echo "make test        install what is missing, build, run all tests (TESTS=\"tests/main_spec.lua\": only these)"
	@echo "make check       layers, headers, file sizes, luacheck, clang-format"
	@echo "make asan        all tests under AddressSanitizer; likewise: make ubsan, make tsan"
	@echo "make fuzz        each fuzzer for FUZZ_SECONDS=$(FUZZ_SECONDS) (needs clang)"
	@echo "make bench       the benchmark, beside the C floor program"
	@echo "make bench-peers the same work under Python, R and GNU parallel, in one run"
	@echo "make doc         the library's reference from its doc comments: $(BUILD)/doc/index.html, manual pages beside it"
	@echo "make kernels     says which loops over numbers became vector instructions (gcc)"
	@echo "make install     into PREFIX=$(PREFIX) (DESTDIR is honoured); make uninstall removes it"
	@echo "make clean       remove $(BUILD)"
	@echo "Variables: BUILD=dir CC=compiler CFLAGS=... SANITIZE=address|undefined|thread LUA_LINK=static|shared HOOKS=1"

# ---- second halves -------------------------------------------------------------------------------------------
.PHONY: need-lua need-ssh run-tests run-check run-fuzz FORCE

need-lua:
	@if [ -z "$(LUA_PC)" ]; then \
		echo "make: pkg-config finds no Lua 5.4 (tried lua5.4 lua-5.4 lua54 lua); run: sh scripts/deps.sh build" >&2; \
		exit 1; \
	fi

need-ssh:
	@if [ -z "$(SSH_PC)" ]; then \
		echo "make: pkg-config finds no libssh2 and libcrypto; run: sh scripts/deps.sh build" >&2; \
		exit 1; \
	fi

run-tests: all $(UNIT_BIN) $(EMBED_BIN) $(if $(HOOKS),,$(HOOKS_PROGRAM))
	@TEST_TIMEOUT=$(TEST_TIMEOUT) sh scripts/test.sh $(BUILD) $(if $(TESTS),$(TESTS),$(UNIT_SRC) tests)

run-check:
	@CC="$(CC)" LUA_CFLAGS="$(LUA_CFLAGS)" sh scripts/check.sh

run-fuzz: need-lua $(FUZZ_BIN)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) sh scripts/fuzz.sh $(BUILD) $(FUZZ_BIN)

# ---- building ------------------------------------------------------------------------------------------------
# Writes its second argument to the target when that changes it.
define remember
@mkdir -p $(@D)
@printf '%s\n' "$(1)" | cmp -s - $@ || printf '%s\n' "$(1)" > $@
endef

# What a program that links with the library must say; with --static, for libmoonfleet.a (-Wl,-E: for C modules).
define PC
prefix=$(PREFIX)
Name: moonfleet
Description: Lua whose futures and maps run on all cores, as a library
Version: $(VERSION)
Cflags: -I$${prefix}/include
Libs: -L$${prefix}/lib -lmoonfleet
Libs.private: $(strip $(LUA_LIBS) $(LDLIBS)) -pthread -Wl,-E
endef

$(BUILD)/flags: FORCE
	$(call remember,$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(KERNEL_CFLAGS) $(LUA_CFLAGS) $(SSH_CFLAGS) $(EDIT_CFLAGS) $(ALL_LDFLAGS) \
		$(LUA_LDLIBS) $(LDLIBS))

$(BUILD)/moonfleet.pc: FORCE
	$(file >$@,$(PC))

$(BUILD)/sources: FORCE
	$(call remember,$(RUNTIME_SRC) $(VM_SRC) $(STDLIB_LUA))

compile = @mkdir -p $(@D); echo "  CC  $<"; $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP

$(BUILD)/runtime/array_%.o: runtime/array_%.c $(BUILD)/flags
	$(compile) $(KERNEL_CFLAGS) -c -o $@ $<

$(BUILD)/runtime/%.o: runtime/%.c $(BUILD)/flags | need-ssh
	$(compile) $(SSH_CFLAGS) -c -o $@ $<

$(BUILD)/hooks/runtime/%.o: runtime/%.c $(BUILD)/flags | need-ssh
	$(compile) $(SSH_CFLAGS) -DMF_TEST_HOOKS -c -o $@ $<

$(BUILD)/vm/repl_edit.o $(BUILD)/vm/repl_libedit.o: $(BUILD)/vm/%.o: vm/%.c $(BUILD)/flags
	$(compile) $(EDIT_CFLAGS) -c -o $@ $<

$(BUILD)/vm/%.o: vm/%.c $(BUILD)/flags | need-lua
	$(compile) $(LUA_CFLAGS) -c -o $@ $<

$(BUILD)/stdlib.c: $(STDLIB_LUA) scripts/embed.sh $(BUILD)/sources
	@echo "  GEN $@"; sh scripts/embed.sh stdlib/moonfleet > $@

$(BUILD)/stdlib.o: $(BUILD)/stdlib.c $(BUILD)/flags
	$(compile) -Ivm -c -o $@ $<

$(RUNTIME_LIB): $(RUNTIME_OBJ) $(BUILD)/sources
	@echo "  AR  $@"; rm -f $@; $(AR) rcs $@ $(RUNTIME_OBJ)

$(LIBRARY): $(RUNTIME_OBJ) $(VM_OBJ) $(BUILD)/sources
	@echo "  AR  $@"; rm -f $@; $(AR) rcs $@ $(RUNTIME_OBJ) $(VM_OBJ)

$(SHARED): $(RUNTIME_OBJ) $(VM_OBJ) $(BUILD)/sources vm/moonfleet.map
	@echo "  LD  $@"; $(CC) $(ALL_LDFLAGS) $(SHARED_LDFLAGS) -Wl,--version-script=vm/moonfleet.map -Wl,-soname,$(SONAME) \
		-o $@ $(RUNTIME_OBJ) $(VM_OBJ) $(LUA_LIBS) $(LDLIBS)

$(MODULE): $(STOCK_OBJ) $(RUNTIME_OBJ) $(VM_OBJ) $(BUILD)/sources vm/stock.map
	@echo "  LD  $@"; $(CC) $(ALL_LDFLAGS) $(SHARED_LDFLAGS) -Wl,--version-script=vm/stock.map -o $@ $(STOCK_OBJ) $(RUNTIME_OBJ) $(VM_OBJ) $(LDLIBS)

$(PROGRAM): $(PROGRAM_OBJ) $(LIBRARY)
	@[ -n "$(EDIT_PC)" ] || echo "  (pkg-config finds no libedit: the prompt will have no editing, completion and history)"
	@echo "  LD  $@"; $(CC) $(ALL_LDFLAGS) $(PROGRAM_LDFLAGS) -o $@ $(PROGRAM_OBJ) $(LIBRARY) $(LUA_LDLIBS) $(LDLIBS)

# The archive gives only what the objects in front of it do not have.
# The linker takes what is not there yet from the library, so its launch_ssh.o, and all that only SSH needs, stays out.
$(NODE_PROGRAM): $(NODE_OBJ) $(BUILD)/runtime/launch_none.o $(LIBRARY)
	@echo "  LD  $@"; $(CC) $(ALL_LDFLAGS) -s $(PROGRAM_LDFLAGS) -o $@ $(NODE_OBJ) $(BUILD)/runtime/launch_none.o $(LIBRARY) \
		$(LUA_LDLIBS) $(LDLIBS)

$(HOOKS_PROGRAM): $(PROGRAM_OBJ) $(HOOKED_OBJ) $(LIBRARY)
	@echo "  LD  $@"; $(CC) $(ALL_LDFLAGS) $(PROGRAM_LDFLAGS) -o $@ $(PROGRAM_OBJ) $(HOOKED_OBJ) $(LIBRARY) $(LUA_LDLIBS) \
		$(LDLIBS)

$(BUILD)/tests/unit/%: tests/unit/%.c $(RUNTIME_LIB) $(BUILD)/flags
	$(compile) -MF $@.d $(ALL_LDFLAGS) -o $@ $< $(RUNTIME_LIB) $(LDLIBS)

$(BUILD)/tests/embed/%: tests/embed/%.c $(LIBRARY) $(BUILD)/flags
	$(compile) -MF $@.d $(ALL_LDFLAGS) -Wl,-E -o $@ $< $(LIBRARY) $(LUA_LDLIBS) $(LDLIBS)

# The floor for SSH is linked with libssh2 as programs usually are.
$(BUILD)/tests/bench/ssh_floor: LDLIBS += $(if $(SSH_PC),$(shell pkg-config --libs libssh2))

$(BUILD)/tests/bench/%: tests/bench/%.c $(BUILD)/flags
	$(compile) $(SSH_CFLAGS) -MF $@.d $(ALL_LDFLAGS) -o $@ $< $(LDLIBS)

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(LIBRARY) $(BUILD)/flags
	$(compile) -MF $@.d $(LUA_CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $< $(LIBRARY) $(LUA_LDLIBS) $(LDLIBS)

-include $(wildcard $(BUILD)/*.d $(BUILD)/runtime/*.d $(BUILD)/hooks/runtime/*.d $(BUILD)/vm/*.d \
	$(BUILD)/tests/unit/*.d $(BUILD)/tests/embed/*.d $(BUILD)/tests/bench/*.d $(BUILD)/tests/fuzz/*.d)
