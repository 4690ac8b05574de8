# The last step in Hugging Face's form: what titan-convert-hf makes of the same step saved as DCP, byte for byte. It is skipped where a run
# resumes, and is what a run that takes the model alone starts from. What cannot be saved so is an error before the first step.
. "$ROOT/tests/cli/titan-train/tiny.inc"
cp -r "$ROOT/tests/assets/tokenizer" assets
flags+=(--checkpoint.enable --checkpoint.interval 2 --training.steps 5 --model.hf_assets_path assets)
for dtype in float32 bfloat16; do
	titan-train "${flags[@]}" --checkpoint.export_dtype $dtype --job.dump_folder dcp 2>/dev/null || exit 9
	titan-train "${flags[@]}" --checkpoint.export_dtype $dtype --checkpoint.last_save_in_hf --job.dump_folder $dtype 2>/dev/null || exit 9
	titan-convert-hf to-hf dcp/checkpoint/step-5 "$dtype.hf" --quiet --model_name llama3 --model_flavor tiny.yaml \
		--hf_assets_path assets --export_dtype $dtype
	diff -r $dtype/checkpoint/step-5 "$dtype.hf" && ls "$dtype.hf"
	rm -r dcp
done
run() { titan-train "${flags[@]}" --job.dump_folder float32 "$@" 2>&1 | plain | grep '^titan\|WARNING\|Loading the\|starts' ; }
run --training.steps 6
model=(--checkpoint.exclude_from_loading "optimizer,lr_scheduler,dataloader,train_state" --training.steps 1)
run --checkpoint.load_step 5
run --checkpoint.load_step 5 "${model[@]}"
rm -r float32/checkpoint/step-[1-46-9]
run
run "${model[@]}"
run --checkpoint.last_save_in_hf --checkpoint.no_last_save_model_only
echo '{"model_type": "llama", "hidden_size": 64}' >assets/config.json
run --checkpoint.last_save_in_hf --checkpoint.folder other
