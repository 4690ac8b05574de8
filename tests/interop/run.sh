#!/bin/bash
# run.sh [SCRIPT...]: the tests against the real PyTorch and TorchTitan, each a script that exits 0 where all holds and may end
# with 'N passed, N failed'. Makes the pinned virtual environment first. As many at a time as there are cores, since most of the
# time is one thread starting Python. BIN: the programs; B: the build folder.
set -u
cd "$(dirname "$0")/../.." || exit 1
venv=$(tests/anchor/setup) || exit 1
cores=$(nproc) # which later would count OMP_NUM_THREADS
export BIN=${BIN:-build/bin} B=${B:-build/release} TITAN_PY=$venv/bin/python HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 OMP_NUM_THREADS=1
if [ $# -eq 0 ]; then # those that take longest first
	long='/(layout_runs|layout_modes|losses|reshard|layouts|tokens)\.py$'
	mapfile -t all < <(printf '%s\n' tests/interop/*.py)
	mapfile -t sorted < <(printf '%s\n' "${all[@]}" | grep -E "$long"; printf '%s\n' "${all[@]}" | grep -vE "$long")
	set -- "${sorted[@]}"
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export logs

one() {
	local log start=$SECONDS rc counts ok bad
	log=$logs/$(basename "$1").log
	"$TITAN_PY" "$1" >"$log" 2>&1
	rc=$?
	counts=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log" | tail -1)
	read -r ok bad <<<"${counts:-$((rc == 0)) $((rc != 0))}"
	[ "$rc" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
	{
		if [ "$bad" -eq 0 ]; then grep -v '^\[titan' "$log" | tail -25 | cut -c1-200; else tail -100 "$log"; fi
		echo "$1: $ok passed, $bad failed ($((SECONDS - start)) s)" | tee "$log.summary"
	} >"$log.report"
	cat "$log.report"
	echo "$ok $bad" >"$log.count"
}
export -f one
mapfile -t scripts < <(printf '%s\n' "$@" | grep -vE '/(runs|ranks|hf_models).py$') # what the others share
printf '%s\n' "${scripts[@]}" | xargs -P "$cores" -I{} bash -c 'one {}'
echo "in all:"
cat "$logs"/*.summary
for script in "${scripts[@]}"; do
	[ -e "$logs/$(basename "$script").log.count" ] || echo "FAILED: $script did not come to its end"
done
cat "$logs"/*.count | awk -v scripts=${#scripts[@]} '{ ok += $1; bad += $2 }
	END { bad += scripts - NR; printf "%d passed, %d failed\n", ok, bad; exit bad > 0 || ok == 0 }'
