# Each chunk's region and place: a safetensors file, a .pt whose tensors share a storage, a Hugging Face folder of shards.
cd "$ROOT/tests/golden" && titan-ckpt-inspect --chunks hf/small.safetensors pt/views.pt hf/dcp-sharded2
