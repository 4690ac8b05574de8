#!/bin/bash
# run.sh [SCRIPT...]: the tests against the real PyTorch and TorchTitan, each a script that exits 0 where all holds and may end
# with 'N passed, N failed'. Makes the pinned virtual environment first. BIN: the programs; B: the build folder.
set -u
cd "$(dirname "$0")/../.." || exit 1
venv=$(tests/anchor/setup) || exit 1
export BIN=${BIN:-build/bin} B=${B:-build/release} TITAN_PY=$venv/bin/python HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1
[ $# -gt 0 ] || set -- tests/interop/[a-z]*.py
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for script in "$@"; do
	start=$SECONDS
	"$TITAN_PY" "$script" >"$log" 2>&1
	rc=$?
	counts=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log" | tail -1)
	read -r ok bad <<<"${counts:-$((rc == 0)) $((rc != 0))}"
	[ "$rc" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
	passed=$((passed + ok)) failed=$((failed + bad))
	echo "$script: $ok passed, $bad failed ($((SECONDS - start)) s)"
	[ "$bad" -eq 0 ] || tail -60 "$log"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
