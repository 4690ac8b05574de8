#!/bin/bash
# run.sh BIN_DIR SECONDS TARGET...: each fuzz target for SECONDS, as many at a time as there are cores, from its corpus and the
# goldens that its source names ("corpus: PATH..."). A finding is left in build/fuzz-findings. Ends with 'N passed, N failed'.
set -u
bin=$1 seconds=$2; shift 2
out=build/fuzz-findings
mkdir -p "$out"

one() {
	local name=$1 corpus seeds
	corpus=$(mktemp -d)
	seeds="tests/fuzz/corpus/$name $(sed -n 's/.*corpus: *\([^*]*\).*/\1/p' "tests/fuzz/$name.c" | head -1)"
	# shellcheck disable=SC2086 # a list of paths
	find $seeds -type f -size -256k 2>/dev/null | while read -r f; do cp "$f" "$corpus/$(echo "$f" | tr / _)"; done
	if "$bin/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$out/$name-" "$corpus" >"$out/$name.log" 2>&1; then
		echo "ok   $name: $(sed -n 's/stat::number_of_executed_units: *//p' "$out/$name.log") runs, $(grep -c NEW "$out/$name.log") new inputs"
	else
		echo "FAIL $name: see $out/$name.log"
		tail -25 "$out/$name.log"
	fi
	rm -rf "$corpus"
}
export -f one
export bin seconds out
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'one {}' | tee "$out/summary"
failed=$(grep -c '^FAIL' "$out/summary")
echo "$(grep -c '^ok' "$out/summary") passed, $failed failed"
[ "$failed" -eq 0 ]
