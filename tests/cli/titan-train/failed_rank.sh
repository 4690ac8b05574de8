# A rank of four that stops, or has other settings, data or a slow disk; messages that are changed or lost; a launcher that is gone; a notice
# to all.
. "$ROOT/tests/cli/titan-train/tiny.inc"
. "$ROOT/tests/cli/titan-train/ranks.inc"

stopped() { # RANK
	local t rc
	start --checkpoint.enable --checkpoint.interval 1000000 --comm.trace_buf_size 30
	await_step 20
	sleep 1 # until it has said so
	t=$SECONDS
	kill -STOP "$(pid "$1")"
	wait "$job"
	rc=$?
	[ $((SECONDS - t)) -le $((T + 4)) ] || echo "it took $((SECONDS - t)) s"
	gone
	said | of_steps
	rm -f "out/comm_traces/rank_$1" # the launcher may wake it before it ends it
	echo "exit $rc, records: $(cd out/comm_traces && echo rank_?)"
	wc -l out/comm_traces/rank_? | grep -c ' 30 '
	tail -qn 1 out/comm_traces/rank_? | grep -c '"state": "\(under way\|posted\|done\)"'
}

# An fsync of twice the timeout, of a save as of a profile: the others wait for it.
slow_disk() {
	# shellcheck disable=SC2016
	each='[ $r != 1 ] || export LD_PRELOAD=$TOOLS/../preload/slow_disk.so' start --training.steps 4 --checkpoint.enable \
		--checkpoint.interval 3 --checkpoint.no_last_save_model_only --comm.train_timeout_seconds 1 \
		--profiling.enable_profiling --profiling.profile_freq 4 --profiling.enable_memory_snapshot
	wait "$job"
	echo "exit $?, saved: $(echo out/checkpoint/step-*)"
	said | sed -E 's/rank [0-9] being/rank N being/' | sort -u
}

no_launcher() {
	start
	await_step 3
	kill -KILL "$job"
	wait "$job" 2>/dev/null
	gone
	said | sort -u
}

notice() {
	local rc
	start --checkpoint.enable --checkpoint.interval 1000000 --parallelism.tensor_parallel_degree 2
	await_step 3
	kill -USR1 "$job"
	wait "$job"
	rc=$?
	[ "$(ls out/checkpoint)" = "step-$(step)" ] && echo "exit $rc, its last step is saved"
	said
}

# Each rank in a folder of its own, of which that of rank 2 is another.
differs() { # WHAT COMMAND
	local r
	mkdir -p 0
	cp -r "$ROOT/tests/assets/tokenizer" 0/tok
	head -c 100000 "$ROOT/tests/assets/c4_test/data.json" | sed '$d' >0/data.json
	cp ../tiny.yaml 0
	for r in 1 2 3; do cp -r 0 $r; done
	(cd 2 && eval "$1")
	# shellcheck disable=SC2016
	each='cd $r; PATH=$PWD:$PATH' start --model.flavor tiny.yaml --model.hf_assets_path tok --training.dataset_path data.json
	wait "$job"
	echo "exit $?"
	said | sed -E 's/sha256 (of its ends )?[0-9a-f]+/sha256 \1X/g; s/[0-9]{7,} bytes/N bytes/g'
}

# Tensor parallelism, whose messages all bear on the loss.
changed() {
	local kind
	export ranks=2
	for kind in none flip; do
		# shellcheck disable=SC2016
		each="[ \$r != 1 ] || export LD_PRELOAD=\$TOOLS/../preload/mpi_shim.so TITAN_SHIM=$kind TITAN_SHIM_MESSAGE=30" start \
			--training.steps 5 --metrics.save_jsonl $kind --parallelism.tensor_parallel_degree 2
		wait "$job"
		echo "exit $?"
		said
	done
	diff <(grep -o '"loss": [^,]*' none) <(grep -o '"loss": [^,]*' flip) >/dev/null || echo "other losses"
}

lost() {
	# shellcheck disable=SC2016
	each='[ $r != 1 ] || export LD_PRELOAD=$TOOLS/../preload/mpi_shim.so TITAN_SHIM=drop TITAN_SHIM_MESSAGE=400' start
	wait "$job"
	echo "exit $?"
	gone
	said | of_steps
}

run "rank 2 stopped" stopped 2
run "rank 0 stopped" stopped 0
run "a slow disk" slow_disk
run "the launcher killed" no_launcher
run "SIGUSR1" notice
wait
run "another tokenizer" differs 'echo >>tok/tokenizer.json'
run "other data" differs 'sed -i "1s/e/i/" data.json'
run "another model" differs 'sed -i s/16/32/ tiny.yaml'
# shellcheck disable=SC2016 # for rank 2 to expand
run "another program" differs 'cp "$(command -v titan-train)" .; echo >>titan-train'
run "a message changed" changed
wait
run "a message lost" lost
wait
show
