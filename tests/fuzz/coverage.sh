#!/bin/bash
# coverage.sh BIN_DIR PERCENT: which part of each decoder its fuzz targets reach from their seeds alone: the corpus, and the goldens that
# their sources name. Less than PERCENT of a decoder's lines is a failure. Ends with 'N passed, N failed'.
set -u
bin=$1 percent=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# Runs a target over its seeds.
profile() {
	local name=$1 seeds
	seeds="tests/fuzz/corpus/$name $(sed -n 's/.*corpus: *\([^*]*\).*/\1/p' "tests/fuzz/$name.c" | head -1)"
	# shellcheck disable=SC2086 # a list of paths
	find $seeds -type f 2>/dev/null | sort | LLVM_PROFILE_FILE="$work/$name-%p.raw" xargs -r "$bin/$name" &&
		llvm-profdata merge -o "$work/$name.profile" "$work/$name"-*.raw
}

# row NAME LINES MISSED
row() { awk -v n="$1" -v l="$2" -v m="$3" 'BEGIN { printf "%-24s %5d lines %6.1f%%\n", n, l, 100 * (l - m) / l }'; }

# decoder NAME "TARGET..." FILE...
decoder() {
	local name=$1 targets=$2 t file objects=() profiles=() lines=0 missed=0 n m
	shift 2
	for t in $targets; do
		if [ ! -e "$work/$t.profile" ] && ! profile "$t"; then
			failed=$((failed + 1))
			echo "FAILED: $name: $t stopped at one of its seeds"
			return
		fi
		profiles+=("$work/$t.profile")
		objects+=(-object "$bin/$t")
	done
	llvm-profdata merge -o "$work/$name.profile" "${profiles[@]}"
	for file in "$@"; do
		read -r n m < <(llvm-cov report "${objects[@]:1}" -instr-profile="$work/$name.profile" "$file" 2>/dev/null |
			awk '$1 == "TOTAL" { print $8, $9 }')
		[ -n "$n" ] || { n=1 m=1; }
		row "  ${file##*/}" "$n" "$m"
		lines=$((lines + n)) missed=$((missed + m))
	done
	row "$name" "$lines" "$missed"
	if [ $((100 * (lines - missed))) -ge $((percent * lines)) ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $name: under $percent%"
	fi
}

f=lib/format
decoder pickle "fuzz_pickle fuzz_metadata fuzz_zip" $f/pickle.c $f/pickle_flat.c $f/pickle_global.c $f/pickle_memo.c $f/pickle_value.c
decoder zip "fuzz_zip" $f/zip.c $f/zip_prefix.c $f/pt.c
decoder metadata "fuzz_metadata" $f/metadata.c $f/entry.c
decoder safetensors "fuzz_safetensors fuzz_hf_index" $f/safetensors.c $f/hf_index.c
decoder zstd "fuzz_zstd" $f/zstd_read.c
decoder json "fuzz_json" lib/value/json.c
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
