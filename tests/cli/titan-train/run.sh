# A run, its log, its JSON on a standard output that is free for it, and what it saves.
. "$ROOT/tests/cli/titan-train/tiny.inc"
titan-train "${flags[@]}" --training.steps 3 --checkpoint.enable --checkpoint.interval 2 --metrics.save_jsonl - 2>log >steps || exit 9
plain <log | sed -E 's/(loss|grad_norm): +[0-9.]+/\1/g'
grep -c '"step": [123], "loss": [0-9.]*, "grad_norm": [0-9.]*, "lr": [0-9.e-]*, "ntokens": [0-9]*, ' steps
(cd out/checkpoint && ls -d step-*/.metadata)
echo 'weights are drawn where no checkpoint has them:'
flags+=(--checkpoint.enable --checkpoint.load_only --checkpoint.load_step 2)
titan-train "${flags[@]}" --training.steps 3 2>&1 | plain | grep -cE 'Initial weights|step:  3 '
titan-train "${flags[@]}" --training.steps 3 --checkpoint.exclude_from_loading model 2>&1 | plain | grep -cE 'Initial weights|step:  3 '
