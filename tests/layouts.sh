#!/bin/bash
# layouts.sh: a model of a few thousand parameters trained at every layout of ranks, which are threads of one process, by a titan-train
# that was built with a sanitizer (BIN): gradients accumulated, validation, batches made ahead, saved in the background, gone on with;
# and with steps in the backward. A finding ends a run.
# Ends with 'N passed, N failed'.
set -u
cd "$(dirname "$0")/.." || exit 1
BIN=$PWD/${BIN:-build/bin}
export OMP_WAIT_POLICY=passive
dir=$(mktemp -d -p "$(test -w /dev/shm && echo /dev/shm || echo /tmp)" titan-layouts-XXXXXX)
trap 'rm -rf "$dir"' EXIT
# oneDNN is built without the sanitizer, which sees its calls of the C library, but not what orders them.
echo called_from_lib:libdnnl.so >"$dir/suppressions"
export TSAN_OPTIONS="halt_on_error=1 exitcode=66 suppressions=$dir/suppressions ${TSAN_OPTIONS:-}"

printf '%s\n' 'dim: 32' 'n_layers: 2' 'n_heads: 4' 'n_kv_heads: 4' 'vocab_size: 2051' 'multiple_of: 16' >"$dir/tiny.yaml"
train=("$BIN/titan-train" --model.name llama3 --model.flavor "$dir/tiny.yaml" --model.hf_assets_path "$PWD/tests/assets/tokenizer"
	--training.dataset_path "$PWD/tests/assets/c4_test" --training.seq_len 32 --training.local_batch_size 1
	--training.dataloader.num_workers 1 --lr_scheduler.warmup_steps 2 --metrics.log_freq 1 --debug.seed 1
	--validation.enable --validation.dataset c4_test --validation.dataset_path "$PWD/tests/assets/c4_test" --validation.seq_len 16
	--validation.freq 2 --validation.steps 1
	--comm.mode local_tensor --checkpoint.enable --checkpoint.interval 2 --checkpoint.no_last_save_model_only)

# NUMBER SHARDS REPLICAS TP OPTION...: 2 steps, and one more from there.
layout() {
	local out=$dir/$1 shards=$2 replicas=$3 tp=$4 options
	options=(--job.dump_folder "$out" --training.global_batch_size $((2 * shards * replicas)) "${@:5}"
		--parallelism.data_parallel_shard_degree "$shards" --parallelism.data_parallel_replicate_degree "$replicas"
		--parallelism.tensor_parallel_degree "$tp")
	export NGPU=$((shards * replicas * tp))
	if "${train[@]}" "${options[@]}" --threads 2 --training.steps 2 --checkpoint.async_mode async >"$out.log" 2>&1 &&
		"${train[@]}" "${options[@]}" --threads 1 --training.steps 3 >>"$out.log" 2>&1 &&
		[ "$(grep -c 'INFO - step:  [1-3]  loss:' "$out.log")" -eq 3 ] && [ "$(grep -c 'validate step:  [12]' "$out.log")" -eq 2 ]; then
		echo "ok: ${*:2}"
	else
		sed -n '/^==*$/,$p' "$out.log" | head -80
		tail -5 "$out.log"
		echo "FAILED: ${*:2}"
	fi
	rm -rf "$out"
}

early=--optimizer.early_step_in_backward async=--parallelism.enable_async_tensor_parallel
cases=("2 1 1" "3 1 1" "4 1 1" "2 2 1" "1 4 1" "1 1 2" "1 1 4" "2 1 2" "3 1 2" "2 2 2"
	"3 1 1 $early" "2 2 1 $early" "2 1 2 $early"
	"4 1 1 --parallelism.fsdp_reshard_after_forward always --training.mixed_precision_param bfloat16 --activation_checkpoint.mode full"
	"3 1 1 --parallelism.fsdp_reshard_after_forward never --activation_checkpoint.mode full"
	"1 1 2 --parallelism.disable_loss_parallel $async" "1 1 2 $early --parallelism.disable_loss_parallel" "1 1 4 $early $async"
	"2 1 2 $async --activation_checkpoint.selective_ac_option op"
	"1 1 4 $async --activation_checkpoint.mode memory_budget --activation_checkpoint.memory_budget 0.9")
for i in "${!cases[@]}"; do
	[ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
	# shellcheck disable=SC2086 # words
	layout "$i" ${cases[i]} >"$dir/$i.out" &
done
wait
for i in "${!cases[@]}"; do cat "$dir/$i.out"; done >"$dir/out"
cat "$dir/out"
passed=$(grep -c '^ok: ' "$dir/out")
echo "$passed passed, $((${#cases[@]} - passed)) failed"
[ "$passed" -eq ${#cases[@]} ]
