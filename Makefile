# GNU make. `make help` lists the targets; README.md has the two commands of the first hour.
SHELL := /bin/bash
CC ?= cc
PREFIX ?= /usr/local
SAN ?=
variant := $(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)
comma := ,
B := build/$(variant)
BIN := $(if $(SAN),$(B)/bin,build/bin)

# --- libraries: the name of the Debian package is what a missing one is reported by --------------------------------------
pkgs := zlib:zlib1g-dev libdeflate:libdeflate-dev libzstd:libzstd-dev yaml-0.1:libyaml-dev jansson:libjansson-dev \
        libpcre2-8:libpcre2-dev libutf8proc:libutf8proc-dev
pc := $(foreach p,$(pkgs),$(firstword $(subst :, ,$(p))))

CSTD := -std=c17
WARN := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
OPT := -O2 -g -fno-omit-frame-pointer
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
CPPFLAGS += -Ilib -Ikernels -I. -D_POSIX_C_SOURCE=200809L
CFLAGS_ALL = $(CSTD) $(WARN) $(OPT) $(SANFLAGS) -pthread $(CFLAGS)
LDLIBS_ALL = $(LDFLAGS) $(SANFLAGS) -ldnnl -ldeflate -lzstd -lyaml -ljansson -lpcre2-8 -lutf8proc -lz -lm -pthread

progs := $(patsubst cmd/%.c,%,$(wildcard cmd/titan-*.c))
lib_src := $(wildcard lib/*/*.c) $(wildcard kernels/*.c) $(wildcard kernels/ref/*.c)
lib_obj := $(lib_src:%.c=$(B)/%.o)
unit_src := $(wildcard tests/unit/test_*.c)
unit_bin := $(unit_src:tests/unit/%.c=$(B)/tests/%)

# kernels/cpu is compiled once for each instruction set; kernels/cpu_dispatch.c picks one at run time.
isas := base avx2 avx512
isa_base :=
isa_avx2 := -mavx2 -mfma -mf16c
isa_avx512 := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512
cpu_src := $(wildcard kernels/cpu/*.c)
cpu_obj := $(foreach i,$(isas),$(cpu_src:kernels/cpu/%.c=$(B)/kernels/cpu/$(i)/%.o))

.DEFAULT_GOAL := all
.PHONY: all help check unit clean format
all: $(progs:%=$(BIN)/%)            ## build the programs into build/bin

help:                               ## this list
	@grep -hE '^[a-z_-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 22

$(B)/libtitan.a: $(lib_obj) $(cpu_obj)
	@rm -f $@ && ar rcs $@ $^

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

define isa_rule
$(B)/kernels/cpu/$(1)/%.o: kernels/cpu/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) $$(CFLAGS_ALL) -O3 -fno-math-errno $$(isa_$(1)) -DTT_ISA=$(1) -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(isas),$(eval $(call isa_rule,$(i))))

$(BIN)/%: $(B)/cmd/%.o $(B)/libtitan.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)

$(B)/tests/%: $(B)/tests/unit/%.o $(B)/libtitan.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -o $@ $^ -lcmocka $(LDLIBS_ALL)

unit: $(unit_bin)                   ## run the unit tests
	@fail=0; for t in $(unit_bin); do echo "== $$t"; $$t || fail=1; done; exit $$fail

check: all unit                     ## run every test that needs no Python

format:                             ## clang-format the tree
	clang-format -i $(shell git ls-files '*.c' '*.h')

clean:                              ## remove what was built
	rm -rf build compile_commands.json

.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
