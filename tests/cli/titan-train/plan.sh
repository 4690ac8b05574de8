# What a step would take, of a model that no machine here could hold.
. "$ROOT/tests/cli/titan-train/tiny.inc"
titan-train --model.name llama3 --model.flavor 405B --training.seq_len 8192 --training.local_batch_size 2 --comm.mode fake_backend \
	--threads 2 --job.dump_folder out 2>&1 | plain | sed '/Building/,/^}/d'
titan-train "${flags[@]}" --training.global_batch_size 4 --comm.mode fake_backend --threads 2 2>&1 | plain | tail -9
titan-train "${flags[@]}" --validation.enable --validation.dataset c4_test --validation.seq_len 32 --validation.local_batch_size 4 \
	--comm.mode fake_backend --threads 2 2>&1 | plain | tail -7
titan-train "${flags[@]}" --comm.mode local_tensor 2>&1 | plain
ls out 2>&1
