# What a job of some shape would have: its files, and which of them has what.
. "$ROOT/tests/cli/titan-reshard/full.inc"
titan-reshard --quiet full out "${model[@]}" --data_parallel_shard_degree 2 --parallelism.tensor_parallel_degree=2 --pipeline_parallel_degree 2
ls -A out
chunks out '(wq|attention_norm|output|tok_embeddings).weight'
titan-reshard --quiet out back "${model[@]}" --data-parallel-shard-degree 1 && ls -A back
titan-reshard --quiet full one --single && same one full
