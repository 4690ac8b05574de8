# As another checkpoint: its chunks, its files, those without anything too.
. "$ROOT/tests/cli/titan-reshard/full.inc"
titan-reshard --quiet full cut "${model[@]}" --data_parallel_shard_degree 3 --model_only
: > cut/__3_0.distcp
titan-reshard --quiet full out --like cut && ls -A out
chunks cut 'tok_embeddings.weight' > x; chunks out 'tok_embeddings.weight' > y; cmp x y && cat y
chunks out 'state.norm.weight.exp_avg'
same full out
