# Steps in the backward: the warning, steps without a norm, and a state of the optimizer for every parameter, a step a microbatch.
. "$ROOT/tests/cli/titan-train/tiny.inc"
titan-train "${flags[@]}" --training.steps 2 --training.global_batch_size 3 --optimizer.early_step_in_backward \
	--checkpoint.enable --checkpoint.no_last_save_model_only 2>log || exit 9
plain <log | grep -E 'WARNING|step: ' | sed -E 's/(loss): +[0-9.]+/\1/g'
titan-ckpt-inspect out/checkpoint/step-2 | grep -c 'optimizer.state.*exp_avg_sq'
titan-ckpt-inspect --values optimizer.state.output.weight.step out/checkpoint/step-2
