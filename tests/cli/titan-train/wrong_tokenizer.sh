# A tokenizer whose tokens the model has no place for, data that is not there, a batch that does not divide: errors that say so.
. "$ROOT/tests/cli/titan-train/tiny.inc"
sed 's/2048/300/' tiny.yaml > small.yaml
titan-train "${flags[@]}" --model.flavor small.yaml --training.steps 1 2>&1 | plain | tail -1
titan-train "${flags[@]}" --training.dataset_path nowhere 2>&1 | plain | tail -1
titan-train "${flags[@]}" --training.global_batch_size 3 --training.local_batch_size 2 2>&1 | plain | tail -1
titan-train "${flags[@]}" --checkpoint.create_seed_checkpoint 2>&1 | plain | tail -1
titan-train "${flags[@]}" --metrics.save_jsonl nowhere/steps 2>&1 | plain | tail -1
