# Without an index the files are filled to a size; with one they are those of the index, and the assets' other files come along.
. "$ROOT/tests/cli/titan-convert-hf/tiny.inc"
convert --model_flavor tiny.yaml --max_shard_size 300kB seed many
ls many && cat many/model.safetensors.index.json
mkdir assets && cp hf/config.json assets && echo '{}' | tee assets/tokenizer.json assets/generation_config.json >assets/notes.txt
echo '{"weight_map": {"model.embed_tokens.weight": "a.safetensors", "gone": "b.safetensors", "model.norm.weight": "c.safetensors"}}' \
	>assets/model.safetensors.index.json
convert --model_flavor tiny.yaml --hf_assets_path assets seed followed
ls followed && grep -v -e layers followed/model.safetensors.index.json
convert --model_flavor tiny.yaml --hf_assets_path assets --export_dtype like seed like
