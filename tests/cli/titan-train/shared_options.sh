# Of the options that all programs share a training run has --threads, --quiet and --dry_run, which writes nothing.
. "$ROOT/tests/cli/titan-train/tiny.inc"
titan-train "${flags[@]}" --training.steps 3 --checkpoint.enable --dry-run --metrics.save_jsonl steps \
	--metrics.enable_tensorboard --job.save_config_file c.json 2>log
echo "exit $?"
plain <log | tail -3
titan-seed --dry_run "${flags[@]}" 2>log
echo "exit $?"
plain <log | tail -1
titan-train --dry_run "${flags[@]}" --model.hf_assets_path none 2>/dev/null
echo "exit $?"
ls
titan-train --quiet --threads=1 "${flags[@]}" --training.steps 2 --metrics.save_jsonl one && titan-train --quiet --threads 3 "${flags[@]}" \
	--training.steps 2 --metrics.save_jsonl three && wc -l <one && wc -l <three
titan-train --threads 0 "${flags[@]}"
titan-seed --threds 2 "${flags[@]}"
