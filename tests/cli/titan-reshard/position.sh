# The position in the data goes to other ranks and back, and titan-train goes on from it where it was.
. "$ROOT/tests/cli/titan-reshard/full.inc"
train --training.steps 4 --metrics.save_jsonl whole.json
titan-reshard full two "${model[@]}" --data_parallel_shard_degree 2 --quiet
titan-ckpt-inspect two | grep dataloader
titan-reshard two one "${model[@]}" --data_parallel_shard_degree 1 --quiet
rm -rf run; mkdir -p run/checkpoint; mv one run/checkpoint/step-2
train --training.steps 4 --metrics.save_jsonl resumed.json
losses() { sed -nE 's/.*"step": ([34]),.*"loss": ([^,]*),.*/\1 \2/p' "$1"; }
losses whole.json > x; losses resumed.json > y; cmp x y && wc -l < y
titan-reshard full kept "${model[@]}" --tensor_parallel_degree 2 --quiet && titan-ckpt-inspect kept | grep dataloader.w
