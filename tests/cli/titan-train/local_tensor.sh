# Ranks that are threads of one process: what they train and save together, what no job can be, and that all is said once.
. "$ROOT/tests/cli/titan-train/tiny.inc"
run() { NGPU=$1 titan-train "${flags[@]}" --comm.mode local_tensor "${@:2}" 2>&1 | plain; }
steps() { grep -oE 'step:  [0-9]+  loss:  [0-9]+[.][0-9]{2}' | tr '\n' ' '; echo; }
full=(--checkpoint.enable --checkpoint.interval 2 --checkpoint.no_last_save_model_only --job.dump_folder)
fsdp=(--parallelism.data_parallel_shard_degree)
ddp=(--parallelism.data_parallel_replicate_degree)
tp=(--parallelism.tensor_parallel_degree)

echo "dp_shard 4, 2 x 2, replicas, and 2 of tp 2:"
run 4 --training.steps 2 | steps
run 4 --training.steps 2 "${ddp[@]}" 2 | steps
run 4 --training.steps 2 "${ddp[@]}" 4 | steps
run 2 --training.steps 2 | steps
run 4 --training.steps 2 "${tp[@]}" 2 | steps
echo "warnings, once:"
run 2 "${tp[@]}" 2 --training.steps 1 --training.mixed_precision_param bfloat16 | grep -E 'WARNING|Mixed'
echo "from 2 ranks to 3 to 1, and each step's files:"
run 2 "${full[@]}" a --training.steps 2 | steps
run 3 "${full[@]}" a --training.steps 4 | steps
mkdir a/checkpoint/.titan-model # of a run that was killed while it made a Hugging Face model
run 1 "${full[@]}" a --training.steps 6 | steps
ls -A a/checkpoint
(cd a/checkpoint && ls step-*/*)
titan-ckpt-inspect a/checkpoint/step-4 | grep -c -F 'dataloader.titan_position'
echo "in the background:"
run 2 "${full[@]}" b --training.steps 4 --checkpoint.async_mode async --checkpoint.keep_latest_k 2 | sed -n 's/ in [0-9.]* seconds//; /background/p' | grep Saved
titan-ckpt-inspect b/checkpoint/step-4 | grep -cF .exp_avg_sq
echo "validation to the end of data of which one rank has more:"
yes '{"text": " struct const return the for int size char err and void that not"}' | head -5 >five.json
for n in 1 2; do
	run $n --training.steps 1 --optimizer.lr 0 --validation.enable --validation.dataset c4_test --validation.dataset_path five.json \
		--validation.seq_len 14 --validation.local_batch_size 1 --validation.steps -1 | grep -oE 'validate step:  1  loss:  [0-9]+[.][0-9]{2}'
done
echo "in Hugging Face's form, as of one rank:"
for n in 1 3; do run $n --training.steps 1 --training.global_batch_size 3 --checkpoint.enable --checkpoint.last_save_in_hf --job.dump_folder hf$n >/dev/null; done
titan-ckpt-inspect --diff hf1/checkpoint/step-1 hf3/checkpoint/step-1 --atol 2e-3 && echo the same
ls -A hf3/checkpoint
echo "what cannot be:"
titan-train "${flags[@]}" --comm.mode local_tensor 2>&1 | plain
run two
run 3 "${fsdp[@]}" 2 | tail -1
run 4 "${ddp[@]}" 2 "${tp[@]}" 2 "${fsdp[@]}" 1 | tail -1
run 4 "${tp[@]}" 4 | tail -1
run 3 "${tp[@]}" 3 | tail -1
run 2 --parallelism.pipeline_parallel_degree 2 | tail -1
run 2 --training.seq_len 31 | tail -1
run 2 --checkpoint.enable --checkpoint.create_seed_checkpoint --job.dump_folder c | tail -1
run 2 --training.global_batch_size 3 | tail -1
