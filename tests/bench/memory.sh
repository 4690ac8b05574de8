#!/bin/bash
# The memory and the start of titan-train, on llama3 debugmodel in bfloat16. ROUNDS (default 3), STEPS (default 3), and which parts:
# memory.sh [modes] [short] [start]. The ratio to TorchTitan's memory is bench's (train.sh).
#   modes   what each mode of activation checkpointing plans, takes at most, and how fast it is: local batch 8, seq_len 2048, in turns
#   short   peak memory at seq_len 64
#   start   from exec to the first step, whose forward begins as soon as a batch is read
set -eu
[ -x /usr/bin/time ] || { echo 'memory.sh needs GNU time (apt-get install time)' >&2; exit 1; }
cd "$(dirname "$0")/../.."
bin=${BIN:-build/bin} rounds=${ROUNDS:-3} steps=${STEPS:-3}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# run NAME SETTINGS...: the log in $out/NAME.log; the peak resident memory in KiB in $out/NAME.peak
run() {
	local name=$1
	shift
	/usr/bin/time -f %M -o "$out/$name.peak" "$bin/titan-train" --job.config_file configs/llama3/debug_model.toml --metrics.log_freq 1 \
		--debug.seed 42 --job.dump_folder "$out/$name" "$@" 2>"$out/$name.log"
}
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

modes() {
	local modes=(none 'selective op' 'selective 2' 'memory_budget 0.5' full) mode option i
	for ((i = 0; i < rounds; i++)); do
		for mode in "${modes[@]}"; do
			option=()
			case $mode in
			selective*) option=(--activation_checkpoint.selective_ac_option "${mode#* }") ;;
			memory_budget*) option=(--activation_checkpoint.memory_budget "${mode#* }") ;;
			esac
			run "$mode" --training.steps "$steps" --activation_checkpoint.mode "${mode% *}" "${option[@]}"
			sed -nE 's/.*tps: ([0-9,]+).*/\1/p' "$out/$mode.log" | tr -d , | sed 1d >>"$out/$mode.tps"
		done
	done
	echo "| mode | kept for the backward | made again | planned | peak memory | tokens/s |"
	for mode in "${modes[@]}"; do
		sed -nE 's/.*: ([0-9.]+ MiB) kept.*, ([0-9.]+%) of.*scratch ([0-9.]+ MiB) planned/\1 | \2 | \3/p' "$out/$mode.log" |
			sed "s/.*/| $mode | & | $(($(<"$out/$mode.peak") / 1024)) MiB | $(median <"$out/$mode.tps") |/"
	done
}

short() {
	run short --training.seq_len 64 --training.steps 5
	echo "seq_len 64: peak memory $(($(<"$out/short.peak") / 1024)) MiB; weights, gradients and Adam's moments alone are 94"
	run half --training.seq_len 64 --training.steps 5 --training.dtype bfloat16
	echo "seq_len 64, training.dtype bfloat16: peak memory $(($(<"$out/half.peak") / 1024)) MiB"
}

start() {
	local begin i
	for ((i = 0; i < 9; i++)); do
		begin=$(date +%s%N)
		"$bin/titan-train" --job.config_file configs/llama3/debug_model.toml --training.seq_len 64 --training.steps 1 --job.dump_folder "$out/start" \
			2>&1 | grep --line-buffered -m1 'Training starts' >"$out/line" || true
		sed -E 's/.* ([0-9-]+) ([0-9:]+),([0-9]+) .*/\1 \2.\3/' "$out/line" >"$out/when"
		echo $((($(date -d "$(<"$out/when")" +%s%N) - begin) / 1000000))
	done | median | sed 's/.*/from exec to the first step: & ms (median of 9)/'
}

[ $# -gt 0 ] || set -- modes short start
for part; do "$part"; done
