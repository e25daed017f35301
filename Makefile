# Quorate. Targets: all run stop clean-data test unit scenario model sim process check format deps clean.
#   make CC=clang              another compiler (what was built with other flags is built again)
#   make SANITIZE=address,undefined unit     or SANITIZE=thread: objects in a folder of their own
#   make COVERAGE=1 test       then gcov over the objects' folder
#   make BUILD=/elsewhere MODULES="base env raft" unit     only these folders of src, and their unit tests
#   make lib, make install-lib PREFIX=/usr/local      libquorate.a, .so, quorate.pc (include/quorate.h)
#   make sim-mutants           bugs planted on purpose must be found
#   make unit T=base_buf       one program;  make sim SEED=7 SIM_ARGS="..."
#   make bench-engine N=200000 REPEAT=1 ENGINES=ours,rocksdb WORK=random     the store beside its peers (bench/engine)
#   make bench-recovery MB=1024      a node comes back with that much log
#   make bench                 the suite, YCSB among it: bench/RESULTS.md
#   make bench-budget          where an operation's time goes
#   make bench-quick           what became slower;  make bench-vs-etcd, make bench-vs-postgres     beside them on the same machine
#   make bench-encryption      encrypted data beside plain;  make bench-front     idle connections and watches
#   sh bench/backup/run.sh MIB      a backup and a restore beside what the disk can do
#   make bench-operations     ranges split, merged, moved, nodes drained and added, all under load (bench/ranges)
#   make bench-placement       the scheduler alone: 1000 nodes, 1000000 ranges
#   make fuzz SECONDS=600      decoders under libFuzzer;  make replay: its corpus
#   make soak MINUTES=60       random faults on real processes while operators work: splits, moves, backups, upgrades
#   make test-s3               backups in an S3-compatible store from the npm registry
#   make test-deb              the Debian package in a Debian of its own; needs root and debootstrap
#   make V=1                   shows the commands
# Needs GNU make and a POSIX sh; what else it needs, it installs (deploy/install-deps.sh).

ifeq ($(origin CC),default)
CC := gcc
endif
BUILD ?= build
MAKEFLAGS += --no-builtin-rules
# As many jobs as processors; what the caller says goes first.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
.SUFFIXES:

OUT := $(BUILD)
comma := ,
space := $() $()
ifneq ($(SANITIZE),)
OUT := $(BUILD)-$(if $(findstring thread,$(SANITIZE)),tsan,$(if $(findstring address,$(SANITIZE)),asan,ubsan))
INSTRUMENT += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
ifneq ($(COVERAGE),)
OUT := $(OUT)-cov
INSTRUMENT += --coverage
endif

WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wswitch-enum -Wmissing-prototypes \
	-Wstrict-prototypes -Wvla -Wundef -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Werror
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=c11 $(CFLAGS) $(WARNINGS) $(INSTRUMENT) -MMD -MP -I src -I include
TEST_CFLAGS = -DQUORATE_SLOW_ASSERTS -I tests
LIBS := -levent_core -lmsgpackc -llz4 -lz -ljansson -lssl -lcrypto -lpthread -lm
# Looked up when a test is linked, not when this file is read: it may have to be installed first.
CHECK_LIBS = $(shell pkg-config --libs check)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '%s\n' '$(1)  $(@:$(OUT)/%=%)')

# ---- what there is -----------------------------------------------------------------------------------------------------

ALL_MODULES := $(patsubst src/%/,%,$(filter-out src/main.c%,$(sort $(wildcard src/*/))))
MODULES ?= $(ALL_MODULES)
# Some folders only: without the tests' helpers that begin with the name of another folder.
OTHERS := $(filter-out $(MODULES),$(ALL_MODULES))
WHOLE := $(if $(OTHERS),,yes)

SRC := $(foreach m,$(MODULES),$(sort $(wildcard src/$(m)/*.c)))
MAIN := $(wildcard src/main.c)
TEST_LIB_SRC := $(filter-out $(foreach m,$(OTHERS),tests/lib/$(m).c tests/lib/$(m)_%),$(sort $(wildcard tests/lib/*.c)))
SIM_MAINS := tests/sim/main.c tests/sim/mutants.c tests/sim/plant.c
SIM_SRC := $(if $(WHOLE)$(filter sim,$(MODULES)),$(filter-out $(SIM_MAINS),$(wildcard tests/sim/*.c)))
UNIT_SRC := $(wildcard $(if $(WHOLE),tests/unit/test_*.c,$(foreach m,$(MODULES),tests/unit/test_$(m)_*.c)))
ifeq ($(filter env_posix,$(MODULES)),)
UNIT_SRC := $(filter-out tests/unit/test_env_posix_%,$(UNIT_SRC))
endif
ifneq ($(T),)
UNIT_SRC := $(wildcard tests/unit/$(T).c tests/unit/test_$(T).c)
endif

# Files that are part of the gateway: NAME=FILE[,FILE...] (console/README.md).
CONSOLE_JS := $(sort $(wildcard console/*.js))
ASSETS := index.html=console/index.html console.css=console/console.css console.js=$(subst $(space),$(comma),$(CONSOLE_JS)) openapi.json=docs/openapi.json
ASSET_OBJ := $(if $(filter gateway,$(MODULES)),$(OUT)/gen/assets.o)
OBJ := $(SRC:src/%.c=$(OUT)/obj/%.o) $(ASSET_OBJ)
TEST_OBJ := $(SRC:src/%.c=$(OUT)/test/src/%.o) $(ASSET_OBJ)
MUTANT_OBJ := $(SRC:src/%.c=$(OUT)/mutant/src/%.o) $(ASSET_OBJ)
HELPER_OBJ := $(TEST_LIB_SRC:%.c=$(OUT)/test/%.o) $(SIM_SRC:%.c=$(OUT)/test/%.o)
LIB := $(OUT)/libquorate_all.a
TEST_LIB := $(OUT)/libquorate_test.a
MUTANT_LIB := $(OUT)/libquorate_mutant.a
HELPER_LIB := $(OUT)/libtests.a
BINARY := $(if $(MAIN),$(OUT)/quorate)
UNITS := $(UNIT_SRC:tests/unit/%.c=$(OUT)/unit/%)
SCENARIOS := $(patsubst tests/scenario/%.c,$(OUT)/scenario/%,$(wildcard tests/scenario/*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(OUT)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_COMMANDS = $(foreach f,$(FUZZ),'$(f) $(f:$(OUT)/fuzz/%=tests/fuzz/%.hex)')
# The client library: these folders, position independent, and of their names only what include/quorate.h declares.
API_SRC := $(foreach m,base raft txn placement wire env tls http rpc client env_posix api,$(wildcard src/$(m)/*.c))
API_OBJ := $(API_SRC:src/%.c=$(OUT)/pic/%.o)
API_LIBS := $(OUT)/lib/libquorate.a $(OUT)/lib/libquorate.so $(OUT)/lib/quorate.pc
RELEASE = $(shell sed -n 's/.*: "\([0-9.]*\)";.*/\1/p' src/wire/versions.c)
PREFIX ?= /usr/local
DESTDIR ?=
# All but processes and the command line, compiled once for the fuzzer.
FUZZ_CC = $(or $(FUZZ_CLANG),clang)
FUZZ_FLAGS = -g -O1 -std=c11 -fsanitize=address,undefined -fno-sanitize-recover=all -I src -I include -I tests
FUZZED := $(patsubst %.c,$(OUT)/fuzz/obj/%.o,$(filter-out src/app/% src/bench/% src/cli/% src/env_posix/% src/api/%,$(SRC)) tests/lib/memdisk.c tests/lib/testenv.c)
SIM := $(if $(wildcard tests/sim/main.c),$(OUT)/sim)
MODEL_SRC := $(wildcard tests/model/*.c)
MODEL := $(if $(MODEL_SRC),$(OUT)/model)
PROCESS_C := $(patsubst tests/process/%.c,$(OUT)/process/%,$(wildcard tests/process/test_*.c))
PROCESS_TOOLS := $(patsubst tests/process/%.c,$(OUT)/process/%,$(filter-out tests/process/test_%.c,$(wildcard tests/process/*.c)))
PROCESS_TOOLS += $(OUT)/process/faults.so $(OUT)/process/former $(OUT)/lib/api_test $(OUT)/lib/api_test_static
# Those that take longest begin first: the others fill the time beside them.
PROCESS_LONG := $(foreach t,upgrade ranges snapshots,tests/process/test_$(t).sh)
PROCESS := $(PROCESS_LONG) $(PROCESS_C) $(filter-out $(PROCESS_LONG),$(wildcard tests/process/test_*.sh tests/process/test_*.py))
SIM_COMMAND = '$(SIM)$(if $(SEED), --seed $(SEED))$(if $(SIM_ARGS), $(SIM_ARGS))'

# ---- targets -----------------------------------------------------------------------------------------------------------

.PHONY: all bench bench-bank bench-vs-postgres bench-ranges bench-moves bench-growth bench-operations run stop clean-data test unit scenario model sim process check format deps clean bench-engine bench-placement bench-recovery bench-quick bench-budget bench-vs-etcd bench-encryption bench-front soak bench-failover fuzz replay FORCE
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

all: $(LIB) $(BINARY)

# libquorate.a, libquorate.so and quorate.pc in $(OUT)/lib; install-lib puts them and the header under $(DESTDIR)$(PREFIX).
.PHONY: lib install-lib
lib: $(API_LIBS)
install-lib: lib
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 644 include/quorate.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(OUT)/lib/libquorate.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(OUT)/lib/libquorate.so.0 $(DESTDIR)$(PREFIX)/lib/
	ln -sf libquorate.so.0 $(DESTDIR)$(PREFIX)/lib/libquorate.so
	install -m 644 $(OUT)/lib/quorate.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/

# Everything under $(DESTDIR)$(PREFIX), a configuration to begin with under $(DESTDIR)/etc; deb: a package of it in $(OUT)/deb.
.PHONY: install deb
install: all install-lib
	sh deploy/install.sh $(OUT)/quorate "$(DESTDIR)" "$(PREFIX)"
deb:
	sh deploy/install-deps.sh build package
	$(MAKE) all lib
	sh deploy/deb.sh $(OUT)

run: all
	sh bench/demo/run.sh

stop:
	@if [ -x $(BUILD)/quorate ]; then $(BUILD)/quorate cluster stop; else echo "nothing is built, so nothing runs"; fi

clean-data:
	@if [ -x $(BUILD)/quorate ]; then $(BUILD)/quorate cluster stop || true; fi
	rm -rf -- "$${QUORATE_DIR:-./quorate-data}"

# Programs before `--` use the processor; those behind it are processes under load, which mostly wait; the last compute beside them.
RUN = QUORATE_BUILD=$(OUT) sh tests/run.sh
test: all $(UNITS) $(SCENARIOS) $(MODEL) $(SIM) $(FUZZ) $(PROCESS_C) $(PROCESS_TOOLS)
	@$(RUN) $(UNITS) $(SCENARIOS) $(FUZZ_COMMANDS) -- $(PROCESS) -- $(if $(SIM),$(SIM_COMMAND)) $(if $(MODEL),'$(MODEL) --short')

unit: $(UNITS)
	@$(RUN) $(UNITS)

# Looks for new inputs for SECONDS (default 60) each, with clang's libFuzzer and sanitizers; what it keeps goes to the corpus
# that `make test` replays. FUZZ_ARGS are libFuzzer's.
fuzz: $(OUT)/fuzz/libfuzzed.a | deps
	@for target in $(or $(T),$(FUZZ:$(OUT)/fuzz/%=%)); do \
	    CC="$(FUZZ_CC) $(FUZZ_FLAGS)" LIBS="$< $(LIBS)" OUT=$(OUT)/fuzz FUZZ_SECONDS=$(or $(SECONDS),60) sh tests/fuzz/run.sh $$target || exit 1; done

$(OUT)/fuzz/libfuzzed.a: $(FUZZED)
	$(call say,ar)
	$(Q)rm -f $@ && ar qcs $@ $^

$(OUT)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,fuzz)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

replay: $(FUZZ)
	@$(RUN) $(FUZZ_COMMANDS)

scenario: $(SCENARIOS)
	@$(RUN) $(SCENARIOS)

# Every order of every step of a few transactions: minutes, and up to some GB of memory.
model: $(MODEL)
	@$(RUN) $(MODEL)

sim: $(SIM)
	@$(RUN) $(if $(SIM),$(SIM_COMMAND))

bench-failover: all $(PROCESS_TOOLS)
	@QUORATE_BUILD=$(OUT) $(if $(TRIALS),TRIALS=$(TRIALS)) sh bench/failover/run.sh

bench: all
	@QUORATE_BUILD=$(OUT) sh bench/suite/run.sh

bench-bank bench-vs-postgres: all
	@QUORATE_BUILD=$(OUT) $(if $(ROUNDS),ROUNDS=$(ROUNDS)) $(if $(SECONDS_EACH),SECONDS_EACH=$(SECONDS_EACH)) sh bench/bank/run.sh

# Under two minutes: what is slower than the recorded ratios to a bare server on the same machine. RECORD=1 records.
bench-quick: all $(OUT)/bench/floor
	@QUORATE_BUILD=$(OUT) sh bench/quick/run.sh

# Where the time goes: processor time, system calls, changes of thread per operation. As root.
bench-budget: all $(OUT)/bench/floor
	@QUORATE_BUILD=$(OUT) sh bench/budget/run.sh

bench-vs-etcd: all
	@QUORATE_BUILD=$(OUT) sh bench/etcd/run.sh

bench-ranges: all
	@QUORATE_BUILD=$(OUT) $(if $(MB),MB=$(MB)) $(if $(TRIALS),TRIALS=$(TRIALS)) sh bench/ranges/run.sh

bench-encryption: all
	@QUORATE_BUILD=$(OUT) sh bench/encryption/run.sh

# What others think of the description that the gateway serves; needs npm and the network. Ours: tests/process/openapi_check.py.
.PHONY: openapi-validate
openapi-validate:
	npx --yes --package @seriousme/openapi-schema-validator@2.11.0 validate-api docs/openapi.json

# Backups in an S3-compatible store that others wrote; needs npm and the network. In make test: tests/process/s3_server.py.
.PHONY: test-s3
test-s3: all
	QUORATE_BUILD=$(OUT) sh tests/process/s3_real.sh
# The package in a Debian of its own. In make test: test_deploy.sh.
.PHONY: test-deb
test-deb: deb
	QUORATE_BUILD=$(OUT) sh tests/process/deb_real.sh

bench-front: all
	@QUORATE_BUILD=$(OUT) $(if $(WATCHES),WATCHES=$(WATCHES)) sh bench/front/run.sh

bench-moves: all
	@QUORATE_BUILD=$(OUT) $(if $(MB),MB=$(MB)) $(if $(RANGES),RANGES=$(RANGES)) sh bench/ranges/moves.sh

bench-growth: all
	@QUORATE_BUILD=$(OUT) $(if $(RANGES),RANGES=$(RANGES)) $(if $(TRIALS),TRIALS=$(TRIALS)) sh bench/ranges/grow.sh

# What an operator does to a cluster under load: split, merge, spread, move, drain, grow; the metadata's leader lost.
bench-operations: all
	@for part in run moves grow; do QUORATE_BUILD=$(OUT) sh bench/ranges/$$part.sh || exit 1; done

bench-idle: all
	@QUORATE_BUILD=$(OUT) $(if $(RANGES),RANGES=$(RANGES)) sh bench/idle/run.sh

soak: all $(PROCESS_TOOLS)
	QUORATE_BUILD=$(OUT) $(if $(MINUTES),SOAK=$$(($(MINUTES) * 60)),$(if $(SECONDS),SOAK=$(SECONDS))) $(if $(SEED),SEED=$(SEED)) sh tests/process/soak.sh

# Bugs planted on purpose (src/base/mutant.h), one at a time: each must be found. SIM_ARGS="--only NAME" for one.
.PHONY: sim-mutants
DIRECTED := $(shell awk '!/^\#/ && $$2 ~ /\// { print "$(OUT)/mutant/" $$2 }' tests/sim/mutants.txt | sort -u)
sim-mutants: $(OUT)/sim_mutants $(DIRECTED)
	$(OUT)/sim_mutants $(SIM_ARGS)

process: all $(PROCESS_C) $(PROCESS_TOOLS)
	@$(RUN) -- $(PROCESS)

BENCH_ENGINE_SRC := $(wildcard bench/engine/*.c)
bench-engine: $(OUT)/bench/engine
	$(OUT)/bench/engine --dir $(OUT)/bench/engine.data $(if $(N),--count $(N)) $(if $(REPEAT),--repeat $(REPEAT)) \
		$(if $(ENGINES),--engines $(ENGINES)) $(if $(WORK),--work $(WORK)) $(if $(CLOCK),--clock $(CLOCK)) $(if $(MEMTABLE),--memtable $(MEMTABLE))

bench-recovery: $(OUT)/bench/recovery
	rm -rf -- $(OUT)/bench/recovery.data
	$(OUT)/bench/recovery $(OUT)/bench/recovery.data $(MB)
	rm -rf -- $(OUT)/bench/recovery.data

bench-placement: $(OUT)/bench/placement
	$(OUT)/bench/placement

check: $(OBJ) $(if $(MAIN),$(OUT)/obj/main.o)
	$(if $(INSTRUMENT),$(error the rules are about production objects: make check without SANITIZE and COVERAGE))
	@CC=$(CC) OBJ=$(OUT)/obj MODULES="$(MODULES)" WHOLE=$(WHOLE) WARNINGS="$(WARNINGS)" $(if $(BESIDE),sh tests/beside.sh )sh tests/check/run.sh

format: deps
	@MODULES="$(MODULES)" WHOLE=$(WHOLE) sh -c '. tests/check/lib.sh; files "*.[ch]"' | xargs -r clang-format -i

clean:
	rm -rf -- $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-ubsan $(BUILD)-cov $(BUILD)-asan-cov

# The goals say which tools are wanted. Quick when nothing is missing.
DEPS := build $(if $(filter check test unit scenario sim sim-mutants process soak replay bench-failover,$(MAKECMDGOALS)),test) \
	$(if $(filter check format fuzz,$(MAKECMDGOALS)),check)
DEPS += $(if $(filter bench-engine,$(MAKECMDGOALS)),bench) $(if $(filter bench-vs-etcd,$(MAKECMDGOALS)),peers)
DEPS += $(if $(filter deps,$(MAKECMDGOALS)),test check)
deps:
	@sh deploy/install-deps.sh $(DEPS)

# ---- rules -------------------------------------------------------------------------------------------------------------

# Everything is built again when compiler or flags change, archives also when a file has come or gone.
stamp = @mkdir -p $(@D); printf '%s\n' '$(1)' | cmp -s - $@ || printf '%s\n' '$(1)' >$@
$(OUT)/flags: FORCE | deps
	$(call stamp,$(CC) $(ALL_CFLAGS))
$(OUT)/members: FORCE | deps
	$(call stamp,$(SRC) $(TEST_LIB_SRC) $(SIM_SRC))

$(OUT)/obj/%.o: src/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@
$(OUT)/test/src/%.o: src/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -c $< -o $@
$(OUT)/test/tests/%.o: tests/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -c $< -o $@

$(OUT)/gen/assets.c: console/embed.sh $(subst $(comma), ,$(foreach a,$(ASSETS),$(lastword $(subst =, ,$(a)))))
	@mkdir -p $(@D)
	$(call say,embed)
	$(Q)sh console/embed.sh $(ASSETS) >$@
$(OUT)/gen/assets.o: $(OUT)/gen/assets.c src/gateway/assets.h $(OUT)/flags
	$(call say,cc)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(OUT)/bench/obj/%.o: bench/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(CC) $(ALL_CFLAGS) -I tests -c $< -o $@

$(OUT)/mutant/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -DQUORATE_MUTANTS -c $< -o $@
link_mutant = @mkdir -p $(@D)$(newline)$(call say,ld)$(newline)$(Q)$(CC) $(INSTRUMENT) $(LDFLAGS) -o $@ $(filter %.o,$^) \
	-Wl,--start-group $(HELPER_LIB) $(MUTANT_LIB) -Wl,--end-group $(CHECK_LIBS) $(LIBS)
PLANT_OBJ := $(OUT)/mutant/tests/sim/plant.o
$(OUT)/sim_mutants: $(OUT)/mutant/tests/sim/mutants.o $(PLANT_OBJ) $(HELPER_LIB) $(MUTANT_LIB)
	$(link_mutant)
$(OUT)/mutant/unit/%: $(OUT)/test/tests/unit/%.o $(PLANT_OBJ) $(HELPER_LIB) $(MUTANT_LIB)
	$(link_mutant)
$(OUT)/mutant/scenario/%: $(OUT)/test/tests/scenario/%.o $(PLANT_OBJ) $(HELPER_LIB) $(MUTANT_LIB)
	$(link_mutant)
-include $(shell find $(OUT)/mutant -name '*.d' 2>/dev/null)

define newline


endef
# q, not r: two folders may have files of one name.
archive = $(call say,ar)$(newline)$(Q)rm -f $@ && ar qcs $@ $(filter %.o,$^)
$(LIB): $(OBJ) $(OUT)/members
	$(archive)
$(TEST_LIB): $(TEST_OBJ) $(OUT)/members
	$(archive)
$(MUTANT_LIB): $(MUTANT_OBJ) $(OUT)/members
	$(archive)
$(HELPER_LIB): $(HELPER_OBJ) $(OUT)/members
	$(archive)

$(OUT)/quorate: $(OUT)/obj/main.o $(LIB)
	$(call say,ld)
	$(Q)$(CC) $(INSTRUMENT) $(LDFLAGS) -o $@ $^ $(LIBS)

# All of it as one object, whose hidden names are local: nothing of it meets the names of a program.
$(OUT)/pic/%.o: src/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -fvisibility=hidden -c $< -o $@
$(OUT)/lib/quorate.o: $(API_OBJ)
	@mkdir -p $(@D)
	$(Q)ld -r -o $@ $(API_OBJ) && objcopy --localize-hidden $@
$(OUT)/lib/libquorate.a: $(OUT)/lib/quorate.o
	$(call say,ar)
	$(Q)rm -f $@ && ar qcs $@ $<
$(OUT)/lib/libquorate.so: $(API_OBJ)
	@mkdir -p $(@D)
	$(call say,ld)
	$(Q)$(CC) $(INSTRUMENT) $(LDFLAGS) -shared -Wl,-soname,libquorate.so.0 -Wl,--as-needed -Wl,-z,defs -o $@.0 $(API_OBJ) $(LIBS)
	$(Q)ln -sf libquorate.so.0 $@
$(OUT)/lib/quorate.pc: Makefile src/wire/versions.c
	@mkdir -p $(@D)
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: quorate' \
		'Description: client library of the Quorate database' 'Version: $(RELEASE)' 'Libs: -L$${libdir} -lquorate' \
		'Libs.private: $(LIBS)' 'Cflags: -I$${includedir}' >$@
# The public test sees include/ and the library, nothing else.
$(OUT)/lib/api_test: tests/api/api_test.c include/quorate.h $(OUT)/lib/libquorate.so
	$(call say,ld)
	$(Q)$(CC) -std=c11 $(CFLAGS) $(WARNINGS) $(INSTRUMENT) -I include -o $@ $< -L$(OUT)/lib -lquorate -Wl,-rpath,'$$ORIGIN'
$(OUT)/lib/api_test_static: tests/api/api_test.c include/quorate.h $(OUT)/lib/libquorate.a
	$(call say,ld)
	$(Q)$(CC) -std=c11 $(CFLAGS) $(WARNINGS) $(INSTRUMENT) -I include -o $@ $< $(OUT)/lib/libquorate.a $(LIBS)
-include $(shell find $(OUT)/pic -name '*.d' 2>/dev/null)

$(OUT)/bench/engine: $(BENCH_ENGINE_SRC:bench/%.c=$(OUT)/bench/obj/%.o) $(LIB)
	$(call say,ld)
	$(Q)$(CC) $(INSTRUMENT) $(LDFLAGS) -o $@ $^ -lrocksdb -lleveldb -llmdb $(LIBS)

# A benchmark of one file; it may use the tests' helpers.
$(OUT)/bench/%: $(OUT)/bench/obj/%.o $(HELPER_LIB) $(LIB)
	$(call say,ld)
	$(Q)$(CC) $(INSTRUMENT) $(LDFLAGS) -o $@ $< -Wl,--start-group $(HELPER_LIB) $(LIB) -Wl,--end-group $(CHECK_LIBS) $(LIBS)

# A test program: its own object, the helpers and the sources built with slow asserts.
link_test = @mkdir -p $(@D)$(newline)$(call say,ld)$(newline)$(Q)$(CC) $(INSTRUMENT) $(LDFLAGS) -o $@ $(filter %.o,$^) \
	-Wl,--start-group $(HELPER_LIB) $(TEST_LIB) -Wl,--end-group $(CHECK_LIBS) $(LIBS)
$(OUT)/unit/%: $(OUT)/test/tests/unit/%.o $(HELPER_LIB) $(TEST_LIB)
	$(link_test)
$(OUT)/scenario/%: $(OUT)/test/tests/scenario/%.o $(HELPER_LIB) $(TEST_LIB)
	$(link_test)
$(OUT)/process/%: $(OUT)/test/tests/process/%.o $(HELPER_LIB) $(TEST_LIB)
	$(link_test)
# The program as its former release: what it can run at is one number.
$(OUT)/process/former.o: src/wire/versions.c $(OUT)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -DQUORATE_VERSION_NEWEST=1 -c $< -o $@
$(OUT)/process/former: $(OUT)/obj/main.o $(OUT)/process/former.o $(LIB)
	$(call say,ld)
	$(Q)$(CC) $(INSTRUMENT) $(LDFLAGS) -o $@ $^ $(LIBS)
$(OUT)/process/faults.so: $(wildcard tests/process/preload/*.[ch]) $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,ld)
	$(Q)$(CC) -std=c11 -O2 -g $(WARNINGS) -I tests -shared -fPIC -o $@ $(filter %.c,$^) -ldl -lpthread
$(OUT)/fuzz/%: $(OUT)/test/tests/fuzz/%.o $(OUT)/test/tests/fuzz/replay.o $(HELPER_LIB) $(TEST_LIB)
	$(link_test)
$(OUT)/sim: $(OUT)/test/tests/sim/main.o $(HELPER_LIB) $(TEST_LIB)
	$(link_test)

# Its own memory (tests/model/region.c) in the place of base/mem.o.
$(OUT)/model: $(MODEL_SRC:%.c=$(OUT)/test/%.o) $(OUT)/test/tests/lib/cover.o $(TEST_LIB)
	@mkdir -p $(@D)
	$(call say,ld)
	$(Q)$(CC) $(INSTRUMENT) $(LDFLAGS) -o $@ $^ $(LIBS)

-include $(shell find $(OUT)/obj $(OUT)/test $(OUT)/bench $(OUT)/fuzz/obj -name '*.d' 2>/dev/null)
