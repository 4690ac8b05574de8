# Degrees that do not fit the family, tensors that it does not have, checkpoints that have no shape.
. "$ROOT/tests/cli/titan-reshard/full.inc"
try() { titan-reshard "$@"; echo "exit $?" >&2; }
try full out "${model[@]}" --tensor_parallel_degree 4
try full out "${model[@]}" --pipeline_parallel_degree 8
try full out "${model[@]}" --pipeline_parallel_degree 2 --module_fqns_per_model_part tok_embeddings,layers.0 --module_fqns_per_model_part norm,output
try full out "${model[@]}" --pipeline_parallel_degree 2 --pipeline_parallel_schedule 2F2B
try full out "${model[@]}" --data_parallel_replicate_degree 2 --tensor_parallel_degree 2
try full out "${model[@]}" --tensor_parallel_degree 2 --data_parallel_shard_degree 4 --expert_parallel_degree 2 --expert_tensor_parallel_degree 3
try full out --model_name qwen3 --model_flavor debugmodel --pipeline_parallel_degree 2
try full out --model_name llama3 --model_flavor debugmodel
try full out --model_name llama5 --model_flavor 8B
cp -r "$ROOT/tests/golden/dcp-grid4" grid; cp "$ROOT/tests/golden/pt/module.pt" .
try grid out "${model[@]}"
try full out --like grid
try full out --like module.pt
cp -r full other
try full other --like other --force
sed 's/vocab_size: 2048/vocab_size: 2047/' tiny.yaml > odd.yaml
try full out --model_name llama3 --model_flavor odd.yaml
sed 's/multiple_of: 16/multiple_of: 7/' tiny.yaml > odd.yaml
try full out --model_name llama3 --model_flavor odd.yaml --tensor_parallel_degree 2
ls -A
