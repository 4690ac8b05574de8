# profiling.enable_profiling: which steps are traced, what a trace has, and settings that cannot be.
. "$ROOT/tests/cli/titan-train/tiny.inc"
export LC_ALL=C
flags+=(--profiling.enable_profiling --profiling.profiler_warmup 1)
titan-train "${flags[@]}" --training.steps 7 --profiling.profile_freq 4 --profiling.profiler_active 2 2>log
echo "exit $?"
plain <log | grep rofil
find out -type f | sort
trace=out/profile_traces/iteration_4/rank0_trace.json
grep -oE '"name": "ProfilerStep[^"]*"|"args": \{"step": [0-9]+' $trace
grep -oE '"cat": "cpu_op", "name": "[a-z_]+"|"phase": "[a-z ]+"' $trace | paste - - | sort | uniq -c
grep '"param": "layers.0.attention.wq.weight"' $trace | head -4 | sed -E 's/"(pid|ts|dur)": [0-9.]+/"\1": N/g'
head -1 $trace; tail -1 $trace
rm -r out
# What a validation in a traced step does is in its trace.
titan-train --quiet "${flags[@]}" --training.steps 4 --profiling.profile_freq 4 --validation.enable --validation.dataset c4_test --validation.dataset_path "$ROOT/tests/assets/c4_test" \
	--validation.freq 4 --validation.steps 2 --validation.seq_len 16 --validation.local_batch_size 2
grep -c '"phase": "forward"' $trace
grep -c '"phase": "validation"' $trace
grep '"phase": "validation", "layer": 0, "param": "layers.0.attention.wq.weight"' $trace | grep -v '"microbatch"' | grep -oE '"name": "[a-z]+"|"(Input|Output) Dims": .*\]\],'
rm -r out
# Collectives in flight overlap, and are pairs of events, each with an id of its own.
NGPU=2 titan-train --quiet "${flags[@]}" --comm.mode local_tensor --training.steps 4 --profiling.profile_freq 4
grep -oE '"ph": "[Xbe]", "cat": "cpu_op", "name": "(all|reduce)_[a-z]+"' $trace | sort | uniq -c
for ph in b e; do grep "\"ph\": \"$ph\"" $trace | grep -oE '"id": [0-9]+' | sort >$ph; done
cmp b e && uniq -d b
# Each rank writes its own; what its collectives are on is said.
find out -type f | sort
for r in 0 1; do grep -oE 'titan, rank [0-9]' out/profile_traces/iteration_4/rank${r}_trace.json; done
grep -oE '"phase": "[a-z ]+", "queue": "[a-z]+"' $trace | sort | uniq -c
rm -r out b e
titan-train --dry-run --quiet "${flags[@]}" --training.steps 7
titan-train "${flags[@]}" --profiling.profiler_active 0
titan-train "${flags[@]}" --profiling.profile_freq 4 --profiling.profiler_active 4
titan-train --quiet "${flags[@]}" --profiling.save_traces_folder ../tiny.yaml
ls
