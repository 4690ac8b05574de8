#!/bin/bash
# run.sh [--unit-only | --bless] UNIT_BINARY... [-- REPLAY_BINARY...]
#
# Runs the unit tests, the CLI cases (tests/cli/<program>/<case>.sh with .stdout, .stderr and .exit beside it) and the fuzz
# corpora through their replay programs. Ends with one line 'N passed, N failed'. BIN: the programs; B: the build folder.
set -u
root=$PWD
passed=0 failed=0
mode=all
case "${1:-}" in --unit-only | --bless) mode=$1; shift ;; esac
log=$(mktemp)
trap 'rm -rf "$log" "${work:-}"' EXIT

fail() { failed=$((failed + 1)); echo "FAILED: $*"; }

unit() {
	"$1" >"$log" 2>&1
	local rc=$? ok bad
	ok=$(grep -c '^\[       OK \]' "$log")
	bad=$(grep '^\[  FAILED  \] test' "$log" | sort -u | wc -l) # cmocka names each twice
	passed=$((passed + ok))
	grep -h '^SKIP' "$log" | sort -u
	if [ "$rc" -ne 0 ] || [ "$ok" -eq 0 ]; then
		grep -vE '^\[( RUN|       OK|==)' "$log" | tail -60
		[ "$bad" -gt 0 ] || bad=1
		failed=$((failed + bad))
		echo "FAILED: $1 (exit $rc)"
	fi
}

# A case runs in a folder of its own, with the programs on PATH and ROOT naming the tree.
cli() {
	local case=$1 rc base=${1%.sh} ok=1
	work=$(mktemp -d)
	(cd "$work" && PATH="$root/$BIN:$PATH" ROOT="$root" TOOLS="$root/$B/tools" timeout 300 bash "$root/$case" >"$work.out" 2>"$work.err")
	rc=$?
	if [ "$mode" = --bless ]; then
		cp "$work.out" "$base.stdout"; cp "$work.err" "$base.stderr"; echo "$rc" >"$base.exit"
	else
		diff -u "$base.stdout" "$work.out" || ok=0
		diff -u "$base.stderr" "$work.err" || ok=0
		[ "$rc" = "$(cat "$base.exit")" ] || { echo "exit $rc, expected $(cat "$base.exit")"; ok=0; }
		if [ "$ok" = 1 ]; then passed=$((passed + 1)); else fail "$case"; fi
	fi
	rm -rf "$work" "$work.out" "$work.err"
}

# Every file of the corpus, and of the goldens that the target names in its first lines ("corpus: PATH...").
replay() {
	local name=${1##*/} paths
	paths="tests/fuzz/corpus/$name $(sed -n 's/.*corpus: *\([^*]*\).*/\1/p' "tests/fuzz/$name.c" | head -1)"
	# shellcheck disable=SC2086 # a list of paths
	if find $paths -type f 2>/dev/null | sort | xargs -r "$1" >"$log" 2>&1; then
		passed=$((passed + 1))
	else
		tail -40 "$log"
		fail "replay of $name"
	fi
}

section=unit
if [ "$mode" != --bless ]; then
	for t in "$@"; do
		if [ "$t" = -- ]; then section=replay; continue; fi
		if [ $section = unit ]; then unit "$t"; else replay "$t"; fi
	done
fi
if [ "$mode" != --unit-only ]; then
	for case in tests/cli/*/*.sh; do
		[ -e "$case" ] && cli "$case"
	done
fi
[ "$mode" = --bless ] && exit 0
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
