#!/bin/bash
# The kernels' unit tests with oneDNN's v3 API (Debian 12 has v2): built against and run with PyPI's onednn-cpu-gomp; and the
# wrapper compiled against the headers of the newest onednn-devel.
set -eu
work=$PWD/build/onednn-v3
if [ ! -e "$work/.complete" ]; then
	rm -rf "$work"
	python3 -m venv "$work"
	"$work/bin/pip" install -q onednn-devel-cpu-gomp==2023.2.0 onednn-cpu-gomp==2023.2.0
	"$work/bin/pip" install -q --no-deps --prefix "$work/newest" onednn-devel==2026.1.0
	touch "$work/.complete"
fi
"${CC:-cc}" -std=c17 -Wall -Wextra -Werror -Ilib -Ikernels -I. -D_POSIX_C_SOURCE=200809L -I"$work/newest/include" \
	-c -o "$work/wrapper.o" kernels/matmul_dnnl.c
# The library under its sonames only: make the name that the linker looks for.
[ -e "$work/lib/libdnnl.so" ] || ln -s "$(basename "$(find "$work/lib" -name 'libdnnl.so.*' | sort | head -1)")" "$work/lib/libdnnl.so"
# What multiplies: the rest of the tests does not come to oneDNN.
b=build/onednn-v3-build
tests=()
for t in kernels_matmul kernels_ops kernels_gradients program step; do tests+=("$b/tests/test_$t"); done
make -j2 "${tests[@]}" VARIANT=onednn-v3-build CPPFLAGS="-I$work/include" LDFLAGS="-L$work/lib -Wl,-rpath,$work/lib"
BIN=$b/bin B=$b exec tests/run.sh --unit-only "${tests[@]}"
