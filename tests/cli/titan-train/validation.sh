# [validation]: lines, JSON objects and TensorBoard's tags; a run that resumes has the losses of one that was not interrupted, and its
# checkpoint; data that ends; what is refused.
. "$ROOT/tests/cli/titan-train/tiny.inc"
for i in 1 2 3 4 5; do echo "{\"text\": \"the quick brown fox number $i jumps over the lazy dog and on and on\"}"; done >five.json
flags+=(--validation.enable --validation.dataset_path five.json --validation.seq_len 30 --validation.local_batch_size 2 --validation.freq 2
	--checkpoint.enable --checkpoint.interval 2 --checkpoint.no_last_save_model_only)
about() { grep -i 'valid\|loop\|out of' | sed -E 's/loss: +[0-9.]+/loss/'; }
losses() { grep -o '"step": [0-9]*, "[a-z_]*loss": [0-9.]*'; }
titan-train "${flags[@]}" --validation.steps 2 --training.steps 4 --metrics.enable_tensorboard 2>&1 | plain | about
export LC_ALL=C
grep -aoP '^.\Kvalidation_metrics[a-zA-Z_/()%]+(?=\x15)' out/tb/*/events* | sort | uniq -c

for steps in 2 -1; do # in the middle of the data, and all of it
	for name in c4_validation c4_test; do # which TorchTitan streams, and does not
		rm -r out
		data=(--validation.dataset "$name" --validation.steps "$steps" --metrics.save_jsonl -)
		titan-train "${flags[@]}" "${data[@]}" --training.steps 8 2>log | losses >whole
		mv out/checkpoint whole-checkpoint
		rm -r out
		titan-train "${flags[@]}" "${data[@]}" --training.steps 4 --lr_scheduler.total_steps 8 2>>log | losses >parts
		titan-train "${flags[@]}" "${data[@]}" --training.steps 8 2>log | losses >>parts
		cmp whole parts && echo "$name, $steps: $(grep -c validation whole) validations, $(grep validation whole | tail -1 | cut -c1-32)"
		titan-ckpt-inspect --exclude dataloader.dp_rank_0 --diff whole-checkpoint/step-8 out/checkpoint/step-8
		rm -r whole-checkpoint
	done
done
plain <log | about

bad() { titan-train "${flags[@]}" --training.steps 1 "$@" 2>&1 | plain | grep -v INFO | tail -1; }
bad --validation.seq_len 33
bad --validation.local_batch_size 123456789
NGPU=2 bad --comm.mode local_tensor --parallelism.tensor_parallel_degree 2 --validation.seq_len 27
bad --validation.dataset_path -
bad --validation.dataset_path none.json
bad --validation.dataset pile
bad --validation.dataset c4_validation --validation.dataset_path ''
bad --validation.dataloader.num_workers 2
bad --validation.steps 0
rm -r out
echo '{"text": "short"}' >short.json
bad --validation.dataset_path short.json --validation.steps -1
