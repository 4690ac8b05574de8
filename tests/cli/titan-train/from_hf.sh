# A run that begins with a Hugging Face model: the losses of one that begins with the same model as a DCP folder, and what is refused.
. "$ROOT/tests/cli/titan-train/tiny.inc"
titan-seed "${flags[@]:0:6}" --job.dump_folder seed --debug.seed 7 2>/dev/null
titan-convert-hf to-hf seed/checkpoint/step-0 hf --quiet --model_name llama3 --model_flavor tiny.yaml
cp "$ROOT"/tests/assets/tokenizer/* hf/ 2>/dev/null
run() { titan-train "${flags[@]}" --training.steps 2 --checkpoint.enable --metrics.save_jsonl - "$@" 2>log; echo "exit $?"; plain <log | grep -iE 'hf|hugging|error|warning' >&2; rm -rf out; }
losses() { sed -E 's/.*"loss": ?([-0-9.e]+).*/\1/'; }
run --checkpoint.initial_load_path seed/checkpoint/step-0 | losses >dcp
run --checkpoint.initial_load_path hf --checkpoint.initial_load_in_hf | losses >hf-path
run --model.hf_assets_path hf --checkpoint.initial_load_in_hf | losses >hf-assets
cmp dcp hf-path && cmp dcp hf-assets && wc -l <dcp
run --checkpoint.initial_load_in_hf --checkpoint.initial_load_path gone
run --checkpoint.initial_load_in_hf --checkpoint.initial_load_path hf --checkpoint.no_initial_load_model_only
run --checkpoint.initial_load_in_hf_quantized --checkpoint.initial_load_path hf
sed 's/dim: 32/dim: 64/' tiny.yaml >wide.yaml
run --checkpoint.initial_load_in_hf --checkpoint.initial_load_path hf --model.flavor wide.yaml
run --checkpoint.initial_load_path hf
