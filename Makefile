# GNU make. `make help` lists the targets; README.md has the two commands of the first hour.
SHELL := /bin/bash
CC ?= cc
PREFIX ?= /usr/local
SAN ?=
# V=1 shows each command
Q := $(if $(V),,@)
comma := ,
# VARIANT: another build folder, for other flags. CPPFLAGS given on the command line comes before ours.
variant := $(if $(VARIANT),$(VARIANT),$(if $(SAN),san-$(subst $(comma),-,$(SAN)),$(if $(filter-out cc gcc,$(notdir $(CC))),release-$(notdir $(CC)),release)))
B := build/$(variant)
BIN := $(if $(filter release,$(variant)),build/bin,$(B)/bin)

# --- what the build needs: header:Debian package. A missing one stops the build with the package's name. -------------------
headers := dnnl.h:libdnnl-dev libdeflate.h:libdeflate-dev zstd.h:libzstd-dev zlib.h:zlib1g-dev \
           yaml.h:libyaml-dev jansson.h:libjansson-dev pcre2.h:libpcre2-dev utf8proc.h:libutf8proc-dev cmocka.h:libcmocka-dev
packages := build-essential libopenmpi-dev openmpi-bin $(sort $(foreach h,$(headers),$(lastword $(subst :, ,$(h)))))

CSTD := -std=c17
WARN := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
OPT := -O2 -g -fno-omit-frame-pointer
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
CPPFLAGS_ALL = $(CPPFLAGS) $(own_cppflags) -Ilib -Ikernels -I. -D_POSIX_C_SOURCE=200809L -DTT_DATADIR='"$(PREFIX)/share/titan"'
CFLAGS_ALL = $(CSTD) $(WARN) $(OPT) $(SANFLAGS) -pthread $(CFLAGS)
# Only what calls MPI loads its library (2 ms of a start).
LDLIBS_ALL = $(LDFLAGS) $(SANFLAGS) -Wl,--as-needed $(mpi_libs) -Wl,--no-as-needed -ldnnl -ldeflate -lzstd -lyaml -ljansson -lpcre2-8 -lutf8proc -lz -lm -pthread

mpi_cflags := $(shell mpicc --showme:compile 2>/dev/null)
mpi_libs := $(shell mpicc --showme:link 2>/dev/null)

progs := $(patsubst cmd/%.c,%,$(wildcard cmd/titan-*.c))
lib_src := $(wildcard lib/*/*.c kernels/*.c kernels/ref/*.c)
lib_obj := $(lib_src:%.c=$(B)/%.o)
unit_bin := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
preload_so := $(patsubst tests/preload/%.c,$(B)/preload/%.so,$(wildcard tests/preload/*.c))
tool_bin := $(patsubst tests/tools/%.c,$(B)/tools/%,$(wildcard tests/tools/*.c))
bench_bin := $(patsubst tests/bench/%.c,$(B)/bench/%,$(wildcard tests/bench/bench_*.c))
fuzz_names := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
replay_bin := $(fuzz_names:%=$(B)/replay/%)
# What fuzz targets need of the library; those of the decoders need still less.
fuzz_obj := $(patsubst %.c,$(B)/%.o,$(wildcard $(patsubst %,lib/%/*.c,base value tensor format ckpt config data)))
decoder_obj := $(patsubst %.c,$(B)/%.o,$(wildcard $(patsubst %,lib/%/*.c,base value tensor format)))
decoder_names := $(patsubst %,fuzz_%,pickle metadata zip zstd safetensors hf_index json)

# kernels/cpu is compiled once for each instruction set; kernels/cpu_dispatch.c picks one at run time. With sanitizers -O3 takes
# gcc minutes and finds nothing more.
ifeq ($(shell uname -m),x86_64)
isas := base avx2 avx512
else
isas := base
endif
isa_base :=
isa_avx2 := -mavx2 -mfma -mf16c
isa_avx512 := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512
cpu_obj := $(foreach i,$(isas),$(patsubst kernels/cpu/%.c,$(B)/kernels/cpu/$(i)/%.o,$(wildcard kernels/cpu/*.c)))

.DEFAULT_GOAL := all
.PHONY: all help deps demo check unit clean format interop-full bench bench-tools bench-memory bench-kernels bench-async bench-ranks bench-comm kills kills-train ranks layouts kills-ranks two-hosts peer-suite torture fuzz fuzz-build fuzz-coverage \
        coverage-build bless install \
        uninstall compile_commands.json tools generate

all: $(progs:%=$(BIN)/%)            ## build the programs into build/bin

help:                               ## this list
	@grep -hE '^[a-z_.-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## */\t/' | expand -t 24

deps:                               ## install the Debian packages that are missing (sudo where not root)
	@tests/deps.sh $(packages)

demo: deps                          ## train, save, resume, inspect, flatten: two minutes
	@$(MAKE) --no-print-directory all
	@tests/demo.sh

check: deps                         ## build, and run every test that needs no Python
	@$(MAKE) --no-print-directory all tools unit-build replay-build
	@BIN=$(BIN) B=$(B) tests/run.sh $(unit_bin) -- $(replay_bin)

.PHONY: unit-build replay-build
unit-build: $(unit_bin)
replay-build: $(replay_bin)
tools: $(tool_bin) $(preload_so)

unit: $(unit_bin) tools             ## run the unit tests alone
	@BIN=$(BIN) B=$(B) tests/run.sh --unit-only $(unit_bin)

generate: all                       ## rewrite completions/ and the generated parts of man/ from the programs' tables
	@BIN=$(BIN) tests/generate.sh

bless: all                          ## rewrite the expected output of the CLI tests, and show what changed
	@BIN=$(BIN) B=$(B) tests/run.sh --bless
	@git --no-pager diff --stat -- tests/cli

interop-full: all tools             ## titan-reshard and runs of ranks in more shapes than CI has, going on from each: an hour
	@TITAN_INTEROP_FULL=1 BIN=$(BIN) B=$(B) tests/interop/run.sh tests/interop/reshard.py tests/interop/layout_runs.py tests/interop/layout_modes.py

bench: all                          ## tokens/s and peak memory against the real TorchTitan, as ratios
	@BIN=$(BIN) tests/bench/train.sh

bench-tools: all                    ## the checkpoint tools against cp and against the real ones: time, CPU, memory
	@BIN=$(BIN) tests/bench/tools.sh

bench-async: all                    ## what saving 400 MB in the background costs training: waiting, slower steps
	@BIN=$(BIN) python3 tests/bench/async.py

bench-ranks: all                    ## the same of two processes each, of mpirun and of gloo
	@RANKS=2 BATCH=$${BATCH:-4} BIN=$(BIN) tests/bench/train.sh

bench-comm: $(B)/tools/comm_bench  ## collectives between processes and threads; what ranks that wait take from one that works
	@B=$(B) tests/bench/comm.sh

bench-memory: all                   ## memory and speed of each mode of activation checkpointing; memory of short sequences; the start
	@BIN=$(BIN) tests/bench/memory.sh

bench-kernels: $(bench_bin)         ## each kernel's speed on this machine
	@for b in $(bench_bin); do $$b || exit 1; done

# While fuzzing, CRCs are not compared (lib/format/zip_write.c says why).
fuzz_make = $(MAKE) --no-print-directory CC=clang CPPFLAGS='$(CPPFLAGS) -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION'
FUZZ_SECONDS ?= 60
fuzz:                               ## run each fuzz target for FUZZ_SECONDS (clang's libFuzzer)
	+@$(fuzz_make) VARIANT=fuzz SAN=address,undefined,fuzzer-no-link fuzz-build
	@tests/fuzz/run.sh build/fuzz/fuzz $(FUZZ_SECONDS) $(fuzz_names)

fuzz-coverage:                      ## the lines of each decoder that the fuzz targets' seeds reach; under 85 % is an error
	+@$(fuzz_make) VARIANT=coverage OPT=-O1 CFLAGS='-fprofile-instr-generate -fcoverage-mapping' coverage-build
	@tests/fuzz/coverage.sh build/coverage/decoder 85

fuzz-build: $(fuzz_names:%=$(B)/fuzz/%)
coverage-build: $(decoder_names:%=$(B)/decoder/%)

install: all                        ## into $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
	    $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 755 $(progs:%=$(BIN)/%) $(DESTDIR)$(PREFIX)/bin
	install -m 644 man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	for p in $(progs); do \
	    install -m 644 completions/$$p.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$p; \
	    install -m 644 completions/_$$p $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_$$p; \
	    install -m 644 completions/$$p.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/$$p.fish; done
	cd configs && find . -type f -exec install -D -m 644 {} $(abspath $(DESTDIR)$(PREFIX))/share/titan/{} \;
	install -m 755 run_train.sh $(DESTDIR)$(PREFIX)/share/titan

uninstall:                          ## remove what install put there
	rm -f $(progs:%=$(DESTDIR)$(PREFIX)/bin/%) $(patsubst man/%.1,$(DESTDIR)$(PREFIX)/share/man/man1/%.1,$(wildcard man/*.1)) \
	    $(patsubst man/%.5,$(DESTDIR)$(PREFIX)/share/man/man5/%.5,$(wildcard man/*.5)) \
	    $(progs:%=$(DESTDIR)$(PREFIX)/share/bash-completion/completions/%) \
	    $(progs:%=$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_%) \
	    $(progs:%=$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/%.fish)
	rm -rf $(DESTDIR)$(PREFIX)/share/titan

# --- rules ---------------------------------------------------------------------------------------------------------------
$(B)/libs.ok:
	@mkdir -p $(@D)
	@missing=; for h in $(headers); do \
	    printf '%s\n' '#include <setjmp.h>' '#include <stdarg.h>' '#include <stdint.h>' '#define PCRE2_CODE_UNIT_WIDTH 8' \
	        "#include <$${h%%:*}>" | $(CC) -E -x c - >/dev/null 2>&1 || missing="$$missing $${h##*:}"; done; \
	command -v mpicc >/dev/null || missing="$$missing libopenmpi-dev"; \
	if [ -n "$$missing" ]; then echo "titan needs these packages:$$missing (make deps installs them)" >&2; exit 1; fi
	@touch $@

$(B)/libtitan.a: $(lib_obj) $(cpu_obj)
	@rm -f $@ && ar rcs $@ $^

$(B)/%.o: %.c | $(B)/libs.ok
	@mkdir -p $(@D)
	@echo "  CC $@"
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(patsubst %.c,$(B)/%.o,$(wildcard lib/comm/mpi*.c)): own_cppflags := $(mpi_cflags)

define isa_rule
$(B)/kernels/cpu/$(1)/%.o: kernels/cpu/%.c | $(B)/libs.ok
	@mkdir -p $$(@D)
	@echo "  CC $$@"
	$$(Q)$$(CC) $$(CPPFLAGS_ALL) $$(CFLAGS_ALL) $$(if $$(SAN),-O1,-O3) -fno-math-errno $$(isa_$(1)) -DTT_ISA=$(1) -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(isas),$(eval $(call isa_rule,$(i))))

$(BIN)/%: $(B)/cmd/%.o $(B)/libtitan.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)

$(B)/tests/%: $(B)/tests/unit/%.o $(B)/libtitan.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ -lcmocka $(LDLIBS_ALL)

$(B)/tools/%: $(B)/tests/tools/%.o $(B)/libtitan.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)

# For LD_PRELOAD, in tests that hold the programs up.
$(B)/preload/%.so: tests/preload/%.c
	@mkdir -p $(@D)
	@echo "  CC $@"
	$(Q)$(CC) $(CSTD) $(WARN) $(OPT) $(mpi_cflags) -shared -fPIC -o $@ $< -ldl

kills: all tools                          ## kill conversions in every phase: 300 times, in a minute
	@BIN=$(BIN) B=$(B) tests/kills.sh

kills-train: all tools                    ## kill training runs that save, TRAIN_KILLS (200) times
	@BIN=$(BIN) B=$(B) tests/kills_train.sh

layouts: $(BIN)/titan-train     ## train at every layout of ranks, as threads of one process: with SAN=thread or SAN=address,undefined
	@BIN=$(BIN) tests/layouts.sh

ranks: all $(B)/tools/usage $(B)/preload/reads.so     ## what ranks share, or SECTIONS of it: memory, cpu, bytes that they send, reads of a checkpoint; seven minutes, 6 GiB
	@BIN=$(BIN) B=$(B) tests/ranks.sh $(SECTIONS)

kills-ranks: all tools                    ## kill one of four ranks, RANK_KILLS (100) times
	@BIN=$(BIN) B=$(B) tests/kills_ranks.sh

two-hosts: all                            ## four ranks on two hosts, which are network namespaces (root alone)
	@BIN=$(BIN) tests/two_hosts.sh

peer-suite: all                           ## the settings of TorchTitan's own integration tests, on short sequences
	@BIN=$(BIN) tests/peer_suite.sh

torture: all tools                        ## 100 kills of ranks, buffers of over 2 GiB, and peer-suite at its native shapes: hours
	@BIN=$(BIN) B=$(B) RANK_KILLS=100 tests/kills_ranks.sh
	. tests/cli/comm/mpi.inc && $(B)/tools/comm_cases large && mpirun -n 2 $(B)/tools/comm_cases large
	@BIN=$(BIN) SHAPE=native tests/peer_suite.sh

$(B)/bench/%: $(B)/tests/bench/%.o $(B)/libtitan.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)

# A fuzz target with libFuzzer's main (clang only), and with a plain main that replays files. Without fuzzer-no-link in the library's
# own flags libFuzzer sees no coverage, and mutates blindly.
$(B)/libfuzz.a: $(fuzz_obj)
	@rm -f $@ && ar rcs $@ $^

$(B)/fuzz/%: tests/fuzz/%.c $(B)/libfuzz.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LDLIBS_ALL)

$(B)/replay/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay.o $(B)/libtitan.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)

$(B)/decoder/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay.o $(decoder_obj)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)

compile_commands.json:              ## for clangd and clang-tidy
	@{ echo '['; sep=; for f in $(lib_src) $(wildcard cmd/*.c tests/unit/*.c kernels/cpu/*.c); do \
	    printf '%s{"directory":"%s","file":"%s","command":"%s"}' "$$sep" "$(CURDIR)" "$$f" \
	        "$(CC) $(subst ",\\\",$(CPPFLAGS_ALL)) $(CSTD) $(WARN) -DTT_ISA=base -c $$f"; sep=$$',\n'; done; echo ']'; } > $@

# Tables are set by hand for the eye, so what is committed stays as it is.
format:                             ## clang-format the lines that are not committed
	git clang-format --force --extensions c,h HEAD

clean:                              ## remove what was built
	rm -rf build compile_commands.json

.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
