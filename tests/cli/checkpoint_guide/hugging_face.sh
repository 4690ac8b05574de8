# "Conversion support", HuggingFace: saved by a run and read by another one; the conversion scripts' commands, which titan-convert-hf takes.
. "$ROOT/tests/cli/checkpoint_guide/guide.inc"
cp -r "$ROOT/tests/assets/tokenizer" assets
train=(titan-train "${flags[@]}" --model.hf_assets_path assets --checkpoint.enable --training.steps)
for seed in 1 2; do # two models
	"${train[@]}" 2 --debug.seed $seed --checkpoint.last_save_in_hf --checkpoint.last_save_model_only 2>/dev/null
	echo "exit $?"
	mv out/checkpoint/step-2 hf$seed && rm -r out
done
ls hf1
losses() { # OPTION...: of two steps, from nothing but what the options say
	"${train[@]}" 2 --metrics.save_jsonl steps "$@" 2>log || plain <log | tail -1
	plain <log | grep -o 'loading.*HF.*' >&2
	numbers 2 steps
	rm -rf out steps
}
losses --checkpoint.initial_load_in_hf --model.hf_assets_path hf1 >assets1
losses --checkpoint.initial_load_in_hf --checkpoint.initial_load_path hf1 >path1
losses --checkpoint.initial_load_in_hf --checkpoint.initial_load_path hf2 >path2
losses --checkpoint.initial_load_in_hf --model.hf_assets_path hf1 --checkpoint.initial_load_path hf2 >both
wc -l <path1
cmp assets1 path1 && cmp path2 both && ! cmp -s path1 path2 && echo "initial_load_path overrides hf_assets_path"

titan-convert-hf from-hf hf1 dcp --quiet --model_name llama3 --model_flavor tiny.yaml
titan-convert-hf to-hf dcp hf --quiet --hf_assets_path assets --model_name llama3 --model_flavor tiny.yaml
diff -r hf1 hf && echo "there and back"
losses --checkpoint.initial_load_path dcp >converted
cmp converted path1 && echo "the same weights"
