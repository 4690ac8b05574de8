# profiling.enable_memory_snapshot: when it is written, what the table says, and what a run leaves that has no memory for its step.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--profiling.enable_memory_snapshot --activation_checkpoint.mode none)
titan-train "${flags[@]}" --training.steps 5 --profiling.profile_freq 2 2>log || exit 9
plain <log | grep -i snapshot
find out -type f | sort
cmp out/memory_snapshot/iteration_*/rank0_memory.txt
cmp out/memory_snapshot/iteration_*/rank0_memory_snapshot.pickle
table=out/memory_snapshot/iteration_2/rank0_memory.txt
# What depends on the machine (scratch, and what is packed around it) is left out.
head -4 $table
grep -c '^ *[0-9]*  *[0-9]*  *[0-9]*  *[0-9]*  [a-z]' $table
grep 'linear layers.0.attention.wq.weight, forward of microbatch 0; (1, 32, 32) bfloat16\|rank' $table | sed 's/^ *[0-9]* *//'
# All that begins ends: what is alive during an operation is what was before it, with what begins, without what has ended.
awk '/^# Every/ { on = 1; next } on { if ($2 != alive - ended + $3) print "operation", $1, "does not add up"; alive = $2; ended = $4 }
	END { print alive - ended, "bytes are left" }' $table
rm -r out
NGPU=2 titan-train --quiet "${flags[@]}" --comm.mode local_tensor --training.steps 2 --profiling.profile_freq 2
find out -type f | sort
rm -r out
# A step that no address space has room for is planned all the same.
sed 's/dim: 32/dim: 4096/; s/n_heads: 2/n_heads: 32/' tiny.yaml >big.yaml
titan-train "${flags[@]}" --model.flavor big.yaml --training.local_batch_size 2047 --training.seq_len 1048576 2>log
echo "exit $?"
plain <log | tail -1 | sed 's/of [0-9]* bytes/of N bytes/'
find out -type f | sort
grep -c "in all" out/memory_snapshot/iteration_0_exit/rank0_memory.txt
titan-train --dry-run --quiet "${flags[@]}" --job.dump_folder other
ls
