# Weights alone are skipped for the newest full step, and refused where asked for; a run from them begins anew.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--checkpoint.enable --checkpoint.interval 2)
titan-train "${flags[@]}" --training.steps 4 2>/dev/null || exit 9
titan-train "${flags[@]}" --training.steps 5 --checkpoint.load_step 4 2>&1 | plain | tail -1
titan-train "${flags[@]}" --training.steps 5 2>&1 | plain | grep -o '^INFO - step:  [0-9]*\|^WARNING.*'
rm -r out/checkpoint/step-5
titan-train "${flags[@]}" --training.steps 1 --checkpoint.exclude_from_loading optimizer,lr_scheduler,dataloader,train_state 2>&1 |
	plain | grep -o '^INFO - \(step:  [0-9]*\|Loading.*\)'
titan-train "${flags[@]}" --training.steps 5 --checkpoint.load_step 3 2>&1 | plain | tail -1
