# Any format in, DCP out: a .pt, a .safetensors, items as zstd frames; a Hugging Face folder is sent elsewhere.
. "$ROOT/tests/cli/titan-reshard/full.inc"
titan-dcp2pt --quiet full full.pt
titan-reshard --quiet full.pt out "${model[@]}" --tensor_parallel_degree 2 && same full out
titan-reshard --quiet full.pt one && ls -A one
titan-reshard --quiet full model --model_only
titan-reshard --quiet full small --zstd --model_only && same small model
[ "$(stat -c %s small/__0_0.distcp)" -lt "$(stat -c %s model/__0_0.distcp)" ] && echo smaller
titan-reshard --quiet small cut --zstd=1 --verify "${model[@]}" --data_parallel_shard_degree 2 && same cut model
titan-reshard --quiet cut plain "${model[@]}" --tensor_parallel_degree 2 --verify && same plain model
titan-reshard --quiet full.pt packed --zstd && same full packed
titan-dcp2pt --quiet model model.safetensors
titan-reshard --quiet model.safetensors st "${model[@]}" --data_parallel_shard_degree 2 && same st model
mkdir hf; echo '{}' > hf/config.json; cp model.safetensors hf/model.safetensors
titan-reshard hf out2
