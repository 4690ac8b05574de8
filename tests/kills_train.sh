#!/bin/bash
# kills_train.sh: runs of titan-train killed (SIGKILL) at random moments and started again until they are through: each start goes on
# from a complete step, no step that looks complete is not, and in the end every step has the loss and gradient norm of a run that was
# never killed, to the last bit, as has the last checkpoint. TRAIN_KILLS: how many in all (200). In turns saves are made in the foreground
# and in the background, all steps are kept and two; every other kill waits for a phase of a save that tests/preload/slow.c stretches, the
# rest come at any time. BIN, B: as elsewhere.
# Ends with 'N passed, N failed'.
set -u
cd "$(dirname "$0")/.." || exit 1
BIN=$PWD/${BIN:-build/bin} B=$PWD/${B:-build/release} kills=${TRAIN_KILLS:-200}
workers=4 steps=40
# shellcheck source=tests/kills.inc
. tests/kills.inc

mkdir "$dir/whole"
"${train[@]}" --job.dump_folder "$dir/whole" --metrics.save_jsonl "$dir/whole/jsonl" 2>"$dir/log" || { tail -5 "$dir/log"; exit 1; }
check_whole "$dir/whole" || exit 1

# One start of a run in FOLDER with the options OPTION..., killed; prints the phase it died in, or "over".
start_and_kill() { # NUMBER FOLDER OPTION...
	local i=$1 at=$2 phases=(p c f r) delay phase
	shift 2
	delay=$(awk -v seed="$i" 'BEGIN { srand(seed); printf "%.3f", rand() * 400 }')
	if [ $((i % 2)) -eq 0 ]; then
		phase=$("$B/tools/kill_in_phase" "$B/preload/slow.so" "$at/phase" "${phases[i / 2 % 4]}" "$delay" 9 "${train[@]}" "$@" 2>>"$at/log")
		if [ "$phase" = d ]; then echo over; else echo "$phase"; fi
	else
		timeout --signal=KILL "$(awk -v ms="$delay" 'BEGIN { print ms / 1000 }')" "${train[@]}" "$@" 2>>"$at/log"
		if [ $? -eq 137 ]; then echo any; else echo over; fi
	fi
}

# Runs one after another, each killed until it is through, until this worker's share of the kills is used up.
worker() { # NUMBER
	local w=$1 at=$dir/w$1 killed=0 life=0 starts=0 n before options
	while [ "$killed" -lt $((kills / workers + (w < kills % workers))) ]; do
		rm -rf "$at" && mkdir "$at"
		options=(--job.dump_folder "$at" --metrics.save_jsonl "$at/jsonl")
		[ $((life % 2)) -eq 0 ] || options+=(--checkpoint.async_mode async)
		[ $((life / 2 % 2)) -eq 0 ] || options+=(--checkpoint.keep_latest_k 2)
		life=$((life + 1)) before=0
		while :; do
			n=$((w + workers * starts++)) # of starts: a fast machine's run may be over before a kill comes
			: >"$at/log"
			if [ "$killed" -lt $((kills / workers + (w < kills % workers))) ]; then
				phase=$(start_and_kill $n "$at" "${options[@]}")
			else
				"${train[@]}" "${options[@]}" 2>>"$at/log" && phase=over || phase=failed
			fi
			check_start "$at" "kill $n"
			[ "$phase" != over ] || break
			[ "$phase" != failed ] || { echo "wrong: $(tail -1 "$at/log")"; break; }
			killed=$((killed + 1))
			echo "$phase"
		done
		check_life "$at" "$dir/whole" "life $life of worker $w"
		echo life
	done
}

start=$SECONDS
for ((w = 0; w < workers; w++)); do worker $w >"$dir/result.$w" & done
wait
cat "$dir"/result.* >"$dir/all"
grep wrong "$dir/all" | head -20
failed=$(grep -c wrong "$dir/all")
passed=$(grep -cx '[pcfr]\|any' "$dir/all")
for phase in any:"at any time" p:"before a save" c:"copying" f:"in fsync" r:"renaming"; do
	echo "killed ${phase#*:}: $(grep -cx "${phase%%:*}" "$dir/all")"
done
echo "runs killed until they were through: $(grep -cx life "$dir/all")"
[ "$passed" -eq "$kills" ] || { echo "$passed kills, expected $kills"; failed=$((failed + 1)); }
echo "took $((SECONDS - start)) s"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
