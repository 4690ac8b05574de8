#!/bin/bash
# comm.sh: what ranks that wait take from one that works, and how fast collectives are. In turns, ROUNDS (5) times: a fixed amount of
# work on all cores by a rank alone, and by one that RANKS (6) others wait for; the ratio is of the medians, and above 1.2 it exits 1.
# Then the collectives' own times, between processes and between threads.
set -eu
rounds=${ROUNDS:-5} ranks=${RANKS:-6} bench=$B/tools/comm_bench
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# shellcheck source=tests/cli/comm/mpi.inc
. "$(dirname "$0")/../cli/comm/mpi.inc"

for _ in $(seq "$rounds"); do
	"$bench" >>"$out/alone"
	mpirun -n $((ranks + 1)) "$bench" >>"$out/waiting"
done
median() { awk '/^work/ { print $2 }' "$1" | sort -g | sed -n "$(((rounds + 1) / 2))p"; }
alone=$(median "$out/alone") waiting=$(median "$out/waiting")
ratio=$(awk -v a="$alone" -v w="$waiting" 'BEGIN { printf "%.2f", w / a }')
echo "work alone $alone s, beside $ranks waiting ranks $waiting s: $ratio times"
awk '/^waiting/ { print "each takes at most " $2 " % of a core, run " ++n }' "$out/waiting"
echo "between $((ranks + 1)) processes (the last of $rounds runs):"
grep -vE '^(work|waiting)' "$out/waiting" | tail -4
echo "between $((ranks + 1)) threads:"
"$bench" -n $((ranks + 1)) | grep -vE '^(work|waiting)'
awk -v r="$ratio" 'BEGIN { exit !(r > 0 && r <= 1.2) }' ||
	{ echo "FAILED: beside $ranks waiting ranks work takes $ratio times as long, which is to be at most 1.2"; exit 1; }
