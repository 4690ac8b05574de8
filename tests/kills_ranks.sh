#!/bin/bash
# kills_ranks.sh: one of four ranks of titan-train under mpirun is killed (SIGKILL) at a random moment, and the run started again, until it
# is through: the other ranks end within comm.train_timeout_seconds, no step that looks complete is not, each start goes on from the newest
# one, and in the end every step has the loss and gradient norm of a run that was never killed, to the last bit, as has the last checkpoint.
# RANK_KILLS: how many in all (100). Layouts change from life to life, as do saves in the foreground and background; every other kill of a
# worker waits for a phase of a rank's save that tests/preload/slow.c stretches, each in its turn, the rest come at any time. From 8 kills
# on every phase is to have been hit, and a save to have been left half made. BIN, B: as elsewhere.
# Ends with 'N passed, N failed'.
set -u
cd "$(dirname "$0")/.." || exit 1
BIN=$PWD/${BIN:-build/bin} B=$PWD/${B:-build/release} kills=${RANK_KILLS:-100}
# shellcheck source=tests/cli/comm/mpi.inc
. tests/cli/comm/mpi.inc
workers=2 ranks=4 steps=24 timeout=5
# shellcheck source=tests/kills.inc
. tests/kills.inc
train+=(--comm.train_timeout_seconds "$timeout" --comm.init_timeout_seconds 30)
layouts=("--parallelism.data_parallel_shard_degree 4" "--parallelism.tensor_parallel_degree 2"
	"--parallelism.data_parallel_replicate_degree 2" "--parallelism.data_parallel_replicate_degree 4")

now_ms() { date +%s%3N; }
random() { awk -v r=$RANDOM -v most="$1" 'BEGIN { printf "%.3f", r / 32768 * most }'; } # seconds
is_live() { [ -n "$1" ] && [[ $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) = [^Z]* ]]; }
# COMMAND... until it fails, or for so many seconds.
within() { local s=$1 t; t=$(now_ms); shift; while "$@" && [ $(($(now_ms) - t)) -lt $((1000 * s)) ]; do sleep 0.05; done; }

# Starts the ranks in the background, each with its process id in FOLDER/pid.RANK and the phase of its save in FOLDER/phase.RANK.
start() { # FOLDER OPTION...
	local at=$1 r
	shift
	rm -f "$at"/pid.*
	for ((r = 0; r < ranks; r++)); do printf - >"$at/phase.$r"; done
	# shellcheck disable=SC2016 # for the ranks to expand
	mpirun -n $ranks bash -c 'r=$OMPI_COMM_WORLD_RANK
		echo $$ >"$0/pid.$r.new" && mv "$0/pid.$r.new" "$0/pid.$r"
		[ -z "$SLOW" ] || export LD_PRELOAD=$SLOW TITAN_PHASE=$0/phase.$r
		exec "$@"' "$at" "${train[@]}" "$@" >>"$at/log" 2>&1 &
	job=$!
}

# Until the save of a rank has come to that phase, or the job is over.
await_phase() { # FILE PHASE
	local at=- phases=pcfrd
	phases=$2${phases#*"$2"} # that one, or a later one
	while kill -0 "$job" 2>/dev/null; do
		read -r -n 1 at <"$1"
		[[ $phases != *"$at"* ]] || return
		sleep 0.01
	done
}

# What saves have left half made.
half_made() { find "$1/checkpoint" -maxdepth 1 -name '.titan-*' 2>/dev/null | sort; }

# All ranks have ended. Open MPI 4.1 may wait for itself for ever then (PMIx_server_finalize, for a lock: open-mpi/ompi issue 7790).
end_launcher() {
	within 10 is_live "$job"
	! is_live "$job" || { kill -KILL "$job" && echo "launcher"; }
}

# One start of a run, one rank of it killed; sets `phase` to where that was, or "over", and `took` to how long the others took to end.
start_and_kill() { # NUMBER FOLDER OPTION...
	local i=$1 at=$2 phases=(p c f r) victim=$((RANDOM % ranks)) watched before_it pids=() r rc t
	shift 2
	before_it=$(half_made "$at")
	phase=any
	if [ $((i / workers % 2)) -eq 0 ]; then
		phase=${phases[(i / workers / 2 * workers + i % workers) % 4]}
		SLOW=$B/preload/slow.so start "$at" "$@"
	else
		SLOW='' start "$at" "$@"
	fi
	for ((r = 0; r < ranks; r++)); do
		while ! [ -s "$at/pid.$r" ] && kill -0 "$job" 2>/dev/null; do sleep 0.01; done
		pids[r]=$(cat "$at/pid.$r")
	done
	if [ "$phase" = any ]; then
		sleep "$(random "$duration")"
	else
		watched=$victim
		[ "$phase" != r ] || watched=0 # it alone renames
		await_phase "$at/phase.$watched" "$phase"
		sleep "$(random 0.1)"
		read -r -n 1 phase <"$at/phase.$watched" # where it has come to by now
		[[ $phase = [pcfr] ]] || phase=any
	fi
	t=$(now_ms)
	kill -KILL "${pids[victim]}" 2>/dev/null || phase=over
	for r in "${pids[@]}"; do
		[ "$phase" = over ] || within 20 is_live "$r"
	done
	took=$(($(now_ms) - t))
	[ "$phase" = over ] || end_launcher
	wait "$job"
	rc=$?
	[ "$phase" = over ] || [ $rc -ne 0 ] || phase=over # it was at its end
	[ "$phase" != over ] || [ $rc -eq 0 ] || phase=failed
	[ "$phase" = over ] || [ -z "$(comm -13 <(echo "$before_it") <(half_made "$at"))" ] || echo "half made"
}

# What a run of that layout gives that nobody kills.
whole() { # LAYOUT
	local at=$dir/whole$1
	[ ! -e "$at" ] || return 0
	mkdir "$at"
	# shellcheck disable=SC2086 # options
	SLOW='' start "$at" ${layouts[$1]} --job.dump_folder "$at" --metrics.save_jsonl "$at/jsonl"
	wait "$job" || { echo "wrong: layout $1: $(tail -5 "$at/log")"; return 1; }
	check_whole "$at"
}

# Runs one after another, each killed until it is through, until this worker's share of the kills is used up.
worker() { # NUMBER
	local w=$1 at=$dir/w$1 killed=0 life=0 layout n before options job phase took
	RANDOM=$((w + 1))
	local share=$((kills / workers + (w < kills % workers)))
	while [ "$killed" -lt $share ]; do
		[ $life -lt $((2 * share + 8)) ] || { echo "wrong: worker $w: kill $((w + workers * killed)) never comes"; return; }
		rm -rf "$at" && mkdir "$at"
		layout=$(((w + workers * life) % ${#layouts[@]}))
		whole $layout || return
		# shellcheck disable=SC2206 # options
		options=(${layouts[layout]} --job.dump_folder "$at" --metrics.save_jsonl "$at/jsonl")
		[ $((life / 2 % 2)) -eq $((w % 2)) ] || options+=(--checkpoint.async_mode async --checkpoint.keep_latest_k 2)
		life=$((life + 1)) before=0
		while :; do
			n=$((w + workers * killed))
			: >"$at/log"
			if [ "$killed" -lt $share ]; then
				start_and_kill "$n" "$at" "${options[@]}"
			else
				SLOW='' start "$at" "${options[@]}"
				wait "$job" && phase=over || phase=failed
			fi
			check_start "$at" "kill $n"
			[ "$phase" != over ] || break
			[ "$phase" != failed ] || { echo "wrong: kill $n: $(tail -3 "$at/log")"; break; }
			[ "$took" -le $((1000 * timeout)) ] || echo "wrong: kill $n: the others ended after $took ms"
			grep -qE 'rank [0-9] is gone' "$at/log" && echo said
			killed=$((killed + 1))
			echo "$phase $took"
		done
		check_life "$at" "$dir/whole$layout" "life $life of worker $w"
		echo life
	done
}

start=$SECONDS t=$(now_ms)
whole 0 || exit 1
duration=$(awk -v ms=$(($(now_ms) - t)) 'BEGIN { print ms / 1000 }')
for ((w = 0; w < workers; w++)); do worker $w >"$dir/result.$w" 2>&1 & done
wait
cat "$dir"/result.* >"$dir/all"
grep -A 3 wrong "$dir/all" | head -20
failed=$(grep -c wrong "$dir/all")
passed=$(grep -cE '^([pcfr]|any) ' "$dir/all")
hit() { # WHAT HOW_OFTEN
	echo "$1: $2"
	[ "$kills" -lt 8 ] || [ "$2" -gt 0 ] || { echo "FAILED: $1: none of $kills"; failed=$((failed + 1)); }
}
for phase in any:"at any time" p:"before a save" c:"writing" f:"in fsync" r:"while rank 0 renames"; do
	hit "killed ${phase#*:}" "$(grep -c "^${phase%%:*} " "$dir/all")"
done
hit "killed with a save half made" "$(grep -cx 'half made' "$dir/all")"
echo "runs killed until they were through: $(grep -cx life "$dir/all"); runs that said who was gone: $(grep -cx said "$dir/all")"
echo "runs whose mpirun did not end by itself, with no rank left: $(grep -cx launcher "$dir/all")"
echo "the longest that the others took to end: $(sed -nE 's/^[a-z]+ ([0-9]+)$/\1/p' "$dir/all" | sort -n | tail -1) ms, of $((1000 * timeout))"
[ "$passed" -eq "$kills" ] || { echo "$passed kills, expected $kills"; failed=$((failed + 1)); }
echo "took $((SECONDS - start)) s"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
