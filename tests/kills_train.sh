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
export BIN B OMP_WAIT_POLICY=passive
workers=4 steps=40
dir=$(mktemp -d -p "$(test -w /dev/shm && echo /dev/shm || echo /tmp)" titan-kills-train-XXXXXX)
trap 'rm -rf "$dir"' EXIT

printf '%s\n' 'dim: 32' 'n_layers: 1' 'n_heads: 2' 'vocab_size: 2048' 'multiple_of: 16' >"$dir/tiny.yaml"
train=("$BIN/titan-train" --threads 1 --model.name llama3 --model.flavor "$dir/tiny.yaml"
	--model.hf_assets_path "$PWD/tests/assets/tokenizer" --training.dataset_path "$PWD/tests/assets/c4_test" --training.seq_len 32 --training.local_batch_size 1 --training.steps "$steps"
	--lr_scheduler.warmup_steps 2 --metrics.log_freq 1 --debug.seed 1
	--checkpoint.enable --checkpoint.interval 3 --checkpoint.no_last_save_model_only)

# What a run reported of each step, however often it took it: a line where all of them are the same.
numbers() { grep -ohE '^\{"step": [0-9]+, "loss": [^,]+, "grad_norm": [^,]+, "lr": [^,]+, "ntokens": [0-9]+[,}]' "$@" | sort -u | sort -t: -k2n; }
newest() { find "$1/checkpoint" -maxdepth 2 -path '*/step-*/.metadata' 2>/dev/null | sed -E 's/.*step-([0-9]+).*/\1/' | sort -n | tail -1; }

"${train[@]}" --job.dump_folder "$dir/whole" --metrics.save_jsonl "$dir/whole.jsonl" 2>"$dir/log" || { tail -5 "$dir/log"; exit 1; }
numbers "$dir/whole.jsonl" >"$dir/whole.numbers"
[ "$(wc -l <"$dir/whole.numbers")" -eq $steps ] || { echo "the run that nobody kills took $(wc -l <"$dir/whole.numbers") steps"; exit 1; }

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
	local w=$1 at=$dir/w$1 killed=0 life=0 n before after started options
	while [ "$killed" -lt $((kills / workers + (w < kills % workers))) ]; do
		rm -rf "$at" && mkdir "$at"
		options=(--job.dump_folder "$at" --metrics.save_jsonl "$at/jsonl")
		[ $((life % 2)) -eq 0 ] || options+=(--checkpoint.async_mode async)
		[ $((life / 2 % 2)) -eq 0 ] || options+=(--checkpoint.keep_latest_k 2)
		life=$((life + 1)) before=0
		while :; do
			n=$((w + workers * killed))
			: >"$at/log"
			if [ "$killed" -lt $((kills / workers + (w < kills % workers))) ]; then
				phase=$(start_and_kill $n "$at" "${options[@]}")
			else
				"${train[@]}" "${options[@]}" 2>>"$at/log" && phase=over || phase=failed
			fi
			started=$(sed -n 's/.*Training starts at step \([0-9]*\).*/\1/p' "$at/log")
			[ -z "$started" ] || [ "$started" -eq $((before + 1)) ] ||
				echo "wrong: kill $n: step $before was complete, and the run starts at $started"
			after=$(newest "$at")
			after=${after:-0}
			[ "$after" -ge "$before" ] || echo "wrong: kill $n: step $before was complete, now the newest is $after"
			for step in "$at"/checkpoint/step-*/.metadata; do
				[ ! -e "$step" ] || "$BIN/titan-ckpt-inspect" --verify "${step%/.metadata}" >/dev/null 2>"$at/verify" ||
					echo "wrong: kill $n: $(cat "$at/verify")"
			done
			before=$after
			[ "$phase" != over ] || break
			[ "$phase" != failed ] || { echo "wrong: $(tail -1 "$at/log")"; break; }
			killed=$((killed + 1))
			echo "$phase"
		done
		numbers "$at/jsonl" >"$at/numbers"
		cmp -s "$at/numbers" "$dir/whole.numbers" ||
			echo "wrong: life $life of worker $w: other numbers: $(diff "$at/numbers" "$dir/whole.numbers" | head -3)"
		# A resumed loader takes one sample more before it empties its buffer: the same tokens, another position.
		"$BIN/titan-ckpt-inspect" --diff --exclude 'dataloader.*' "$at/checkpoint/step-$steps" "$dir/whole/checkpoint/step-$steps" >/dev/null ||
			echo "wrong: life $life of worker $w: another last checkpoint"
		[ -z "$(find "$at/checkpoint" -name '.titan-*')" ] || echo "wrong: life $life of worker $w: it leaves $(ls -A "$at/checkpoint")"
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
