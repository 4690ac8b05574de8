#!/bin/bash
# run.sh [--unit-only | --bless] UNIT_BINARY... [-- REPLAY_BINARY...]
#
# Runs the unit tests, the CLI cases (tests/cli/<program>/<case>.sh with .stdout, .stderr and .exit beside it) and the fuzz
# corpora through their replay programs, as many at a time as there are cores. Prints what fails, and ends with one line
# 'N passed, N failed'. BIN: the programs; B: the build folder.
set -u
mode=all
case "${1:-}" in --unit-only | --bless) mode=$1; shift ;; esac
root=$PWD
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export BIN B mode root results OMP_WAIT_POLICY=passive # threads that wait do not take the cores from the other tests

# Each of these prints what is wrong; the last line of its output is "PASSED FAILED".
unit() {
	local log=$results/$1.log rc ok bad
	"$2" >"$log" 2>&1
	rc=$?
	ok=$(grep -c '^\[       OK \]' "$log")
	bad=$(grep '^\[  FAILED  \] test' "$log" | sort -u | wc -l) # cmocka names each twice
	grep -h '^SKIP' "$log" | sort -u
	if [ "$rc" -ne 0 ] || [ "$ok" -eq 0 ]; then
		grep -vE '^\[( RUN|       OK|==)' "$log" | tail -60
		[ "$bad" -gt 0 ] || bad=1
		echo "FAILED: $2 (exit $rc)"
	fi
	echo "$ok $bad"
}

# A case runs in a folder of its own, with the programs on PATH and ROOT naming the tree.
cli() {
	local case=$2 base=${2%.sh} work rc ok=1
	work=$(mktemp -d)
	(cd "$work" && PATH="$root/$BIN:$PATH" ROOT="$root" TOOLS="$root/$B/tools" timeout 300 bash "$root/$case" >"$work.out" 2>"$work.err")
	rc=$?
	if [ "$mode" = --bless ]; then
		cp "$work.out" "$base.stdout"; cp "$work.err" "$base.stderr"; echo "$rc" >"$base.exit"
	else
		diff -u "$base.stdout" "$work.out" || ok=0
		diff -u "$base.stderr" "$work.err" || ok=0
		[ "$rc" = "$(cat "$base.exit")" ] || { echo "exit $rc, expected $(cat "$base.exit")"; ok=0; }
		[ "$ok" = 1 ] || echo "FAILED: $case"
	fi
	rm -rf "$work" "$work.out" "$work.err"
	echo "$ok $((1 - ok))"
}

# Every file of the corpus, and of the goldens that the target names in its first lines ("corpus: PATH...").
replay() {
	local log=$results/$1.log name=${2##*/} paths files
	paths="tests/fuzz/corpus/$name $(sed -n 's/.*corpus: *\([^*]*\).*/\1/p' "tests/fuzz/$name.c" | head -1)"
	# shellcheck disable=SC2086 # a list of paths
	mapfile -t files < <(find $paths -type f 2>/dev/null | sort)
	[ "${#files[@]}" -gt 0 ] || echo "there is no file in $paths" >"$log"
	if [ "${#files[@]}" -gt 0 ] && "$2" "${files[@]}" >"$log" 2>&1; then
		echo "1 0"
	else
		tail -40 "$log"
		echo "FAILED: replay of $name"
		echo "0 1"
	fi
}

one() { # NUMBER KIND NAME
	"$2" "$1" "$3" >"$results/$1.out"
	sed '$d' "$results/$1.out"
	tail -1 "$results/$1.out" >"$results/$1.count"
}
export -f unit cli replay one

kind=unit
jobs=()
for t in "$@"; do
	if [ "$t" = -- ]; then kind=replay; else jobs+=("$kind $t"); fi
done
[ "$mode" = --unit-only ] || for case in tests/cli/*/*.sh; do jobs+=("cli $case"); done
printf '%s\n' "${jobs[@]}" | nl -w1 -s' ' | xargs -P "$(nproc)" -L1 bash -c 'one "$@"' _
[ "$mode" = --bless ] && exit 0
cat "$results"/*.count | awk -v jobs=${#jobs[@]} '{ ok += $1; bad += $2 } END { bad += jobs - NR; printf "%d passed, %d failed\n", ok, bad; exit bad > 0 }'
