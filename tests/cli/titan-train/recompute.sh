# activation_checkpoint: every mode gives the numbers of none, bit for bit, from a smaller plan, and options that cannot be are refused.
. "$ROOT/tests/cli/titan-train/tiny.inc"
sed -i 's/n_layers: 1/n_layers: 4/' tiny.yaml
flags+=(--training.local_batch_size 4 --training.seq_len 64)
train() {
	name=$1
	shift
	titan-train "${flags[@]}" --job.dump_folder "$name" --training.steps 3 --checkpoint.enable --checkpoint.no_last_save_model_only \
		--metrics.save_jsonl "$name.steps" "$@" 2>log || exit 9
	echo "$name: $(plain <log | grep 'Activations' | sed 's/^INFO - Activations //; s/planned .*/planned/')"
	grep -o '"loss".*"ntokens"' "$name.steps" >"$name.losses"
	[ "$name" = none ] && return
	cmp none.losses "$name.losses"
	titan-ckpt-inspect --diff none/checkpoint/step-3 "$name/checkpoint/step-3"
}
train none --activation_checkpoint.mode none
train default
train full --activation_checkpoint.mode full
train third --activation_checkpoint.selective_ac_option 3
train op --activation_checkpoint.selective_ac_option op
train op_wk --activation_checkpoint.selective_ac_option op \
	--activation_checkpoint.per_op_sac_force_recompute_mm_shapes_by_fqns attention.wk
train budget --activation_checkpoint.mode memory_budget --activation_checkpoint.memory_budget 0.3
grep -oE 'Selected.*|Applied.*' log
for option in -1 x 2.0 ''; do
	titan-train --quiet "${flags[@]}" --activation_checkpoint.selective_ac_option="$option"
done
for module in attention layers.0. ffn_norm; do
	titan-train --quiet "${flags[@]}" --activation_checkpoint.selective_ac_option op \
		--activation_checkpoint.per_op_sac_force_recompute_mm_shapes_by_fqns attention.wk,$module
done
titan-train --quiet "${flags[@]}" --activation_checkpoint.mode sometimes
titan-train --dry-run "${flags[@]}" --activation_checkpoint.early_stop --activation_checkpoint.determinism_check none 2>&1 |
	plain | grep ignored
