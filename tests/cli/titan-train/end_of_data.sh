# A pipe ends: the last, short batch still counts, a step without data does not, and the run ends well.
. "$ROOT/tests/cli/titan-train/tiny.inc"
for i in 1 2 3 4 5 6; do echo "{\"text\": \"the quick brown fox number $i jumps over the lazy dog and on and on\"}"; done |
	titan-train "${flags[@]}" --training.dataset_path - --training.local_batch_size 2 --training.steps 100 --metrics.save_jsonl - 2>log |
	grep -o '"step": [0-9]*\|"ntokens": [0-9]*' | paste - -
plain <log | tail -2
