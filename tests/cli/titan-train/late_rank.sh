# What excuses a rank that others wait for, and what does not: a rank that stands still is found while its checkpoint is saved in the background,
# and in a validation; saves in the background, a load and a validation may take as long as they take.
. "$ROOT/tests/cli/titan-train/tiny.inc"
. "$ROOT/tests/cli/titan-train/ranks.inc"
preload=$TOOLS/../preload
export preload
for i in 1 2 3 4 5; do echo "{\"text\": \"the quick brown fox number $i jumps over the lazy dog and on and on\"}"; done >five.json
# Replicas, which in a validation wait for each other in nothing but what they say before each batch.
validation=(--parallelism.data_parallel_replicate_degree 2 --parallelism.data_parallel_shard_degree 1 --validation.enable
	--validation.dataset_path ../five.json --validation.seq_len 30 --validation.local_batch_size 2 --validation.freq 1)

# Rank 1 stands still from then on, though it is live.
stuck() {
	local t=$SECONDS rc
	kill -USR2 "$(pid 1)"
	wait "$job"
	rc=$?
	[ $((SECONDS - t)) -le $((T + 15)) ] || echo "it took $((SECONDS - t)) s"
	gone
	said | grep ERROR | of_steps
	echo "exit $rc"
}

# Its save takes a minute, and begins in the first step.
in_background() {
	# shellcheck disable=SC2016
	each='[ $r != 1 ] || export LD_PRELOAD="$preload/stuck.so $preload/slow_disk.so" TITAN_FSYNC_S=60' start --checkpoint.enable \
		--checkpoint.async_mode async --checkpoint.enable_first_step_checkpoint --checkpoint.interval 1000000
	await_step 9
	stuck
}

# That of step 2, for until then init_timeout_seconds count; it takes seconds, and steps some milliseconds.
in_validation() {
	# shellcheck disable=SC2016
	each='[ $r != 1 ] || export LD_PRELOAD=$preload/stuck.so' start "${validation[@]}" --validation.steps 3000
	await_step 2
	sleep 0.5
	stuck
}

# Each save waits for the one before, of which rank 1 takes longer than the timeout.
saves() {
	# shellcheck disable=SC2016
	each='[ $r != 1 ] || export LD_PRELOAD=$preload/slow_disk.so' start --training.steps 6 --checkpoint.enable --checkpoint.interval 2 \
		--checkpoint.async_mode async --checkpoint.no_last_save_model_only --comm.train_timeout_seconds 1
	wait "$job"
	echo "exit $?, saved: $(echo out/checkpoint/step-*)"
	said | sed -E 's/rank [0-9] being/rank N being/; s/(all_reduce|broadcast|send|recv) of/... of/' | sort -u
}

loads() {
	titan-train "${flags[@]}" --training.steps 1 --checkpoint.enable --checkpoint.no_last_save_model_only >/dev/null 2>&1
	# shellcheck disable=SC2016
	each='[ $r != 1 ] || export LD_PRELOAD=$preload/slow_read.so TITAN_SLOW_READ=.distcp TITAN_SLOW_READ_MS=12' start --training.steps 2 --checkpoint.enable \
		--checkpoint.load_only --comm.init_timeout_seconds 8
	wait "$job"
	echo "exit $?, last step: $(step)"
	said | sed -E 's/rank [0-9] being/rank N being/'
}

# A batch of rank 1 takes half a second or a whole one.
validates() {
	# shellcheck disable=SC2016
	each='[ $r != 1 ] || export LD_PRELOAD=$preload/slow_read.so TITAN_SLOW_READ=five.json TITAN_SLOW_READ_MS=500' start "${validation[@]}" \
		--validation.steps 10 --training.steps 2
	wait "$job"
	echo "exit $?"
	said | grep -v re-looped
	grep -o '"step": 2, "validation' jsonl
}

export ranks=2
run "stuck while its save goes on" in_background
run "stuck in a validation" in_validation
run "slow saves in the background" saves
wait
run "a slow load" loads
run "a slow validation" validates
wait
show
