# c4 from a local copy, streamed, with batches made ahead: the same steps and checkpoints as without; 2N steps are N and N more.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--training.dataset c4 --training.dataset_path clone --checkpoint.enable --checkpoint.interval 4
	--checkpoint.no_last_save_model_only --training.steps 8)
mkdir -p clone/en
for part in train.00000-of-00002 train.00001-of-00002 validation.00000-of-00001; do
	for i in 1 2 3 4; do echo "{\"text\": \"$part: the quick brown fox number $i jumps over the lazy dog, on and on\"}"; done |
		gzip >"clone/en/c4-$part.json.gz"
done
printf '%s\n' --- configs: '- config_name: en' '  data_files:' '  - {split: train, path: en/c4-train.*.json.gz}' \
	'  - {split: validation, path: en/c4-validation.*.json.gz}' --- >clone/README.md
run() { rm -rf out; titan-train "${flags[@]}" --metrics.save_jsonl "$name.jsonl" "$@" 2>log; echo "exit $?"; mv out "$name"; }
name=plain run
name=ahead run --training.dataloader.num_workers 2 --training.dataloader.prefetch_factor 3
plain <log | grep -E 'WARNING|Preparing' | sort -u
steps() { grep -o '"step": ['"$2"'], "loss": [^,]*, "grad_norm": [^,]*' "$1.jsonl"; }
cmp <(steps plain 1-8) <(steps ahead 1-8) && diff -r plain/checkpoint ahead/checkpoint && steps ahead 1-8 | wc -l

mkdir -p out/checkpoint
mv ahead/checkpoint/step-4 out/checkpoint
titan-train "${flags[@]}" --training.dataloader.num_workers 1 --metrics.save_jsonl resumed.jsonl 2>/dev/null
cmp <(steps resumed 5-8) <(steps plain 5-8) && steps resumed 5-8 | wc -l
titan-ckpt-inspect --diff --exclude 'dataloader.*' out/checkpoint/step-8 plain/checkpoint/step-8

try() { titan-train "${flags[@]}" "$@" 2>&1 | plain | grep titan-train: | tail -1; }
try --training.dataset_path clone --training.dataset c4_test
try --training.dataset_path nowhere
try --training.dataloader.num_workers -1
try --training.dataloader.num_workers 9999999999999
try --training.dataloader.batch_size 4
titan-train "${flags[@]}" --training.dataset_path - --checkpoint.no_enable </dev/null 2>&1 | plain | grep -E 'standard input|titan-train:'
