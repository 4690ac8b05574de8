# A safetensors file; folders of transformers (index), of a DCP job's shards, and of one that was consolidated.
cd "$ROOT/tests/golden/hf" && titan-ckpt-inspect types.safetensors transformers dcp-sharded2 dcp-consolidated && titan-ckpt-inspect --json dcp-sharded2
