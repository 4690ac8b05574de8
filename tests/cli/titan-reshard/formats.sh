# Any format in, DCP out: a .pt, a .safetensors; a Hugging Face folder is sent elsewhere.
. "$ROOT/tests/cli/titan-reshard/full.inc"
titan-dcp2pt --quiet full full.pt
titan-reshard --quiet full.pt out "${model[@]}" --tensor_parallel_degree 2 && same full out
titan-reshard --quiet full.pt one && ls -A one
titan-reshard --quiet full model --model_only
titan-dcp2pt --quiet model model.safetensors
titan-reshard --quiet model.safetensors st "${model[@]}" --data_parallel_shard_degree 2 && same st model
mkdir hf; echo '{}' > hf/config.json; cp model.safetensors hf/model.safetensors
titan-reshard hf out2
