#!/bin/bash
# peer_suite.sh [NAME]: the combinations of settings that TorchTitan runs in its own integration tests of Llama 3, but for pipeline and context
# parallelism: each runs, saves and resumes, and a run that resumed has the losses of one that did not, to the last bit.
# NAME: of the one to run. SHAPE: small (short sequences, ranks as threads of one process; the default) or native (TorchTitan's, under mpirun).
# STEPS: of each run, even; by default 4, and 10 at native shapes, as TorchTitan takes. BIN: as elsewhere.
# Ends with 'N passed, N failed'.
set -u
cd "$(dirname "$0")/.." || exit 1
BIN=$PWD/${BIN:-build/bin} SHAPE=${SHAPE:-small}
# shellcheck source=tests/cli/comm/mpi.inc
. tests/cli/comm/mpi.inc
export OMP_WAIT_POLICY=passive
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

base=("$BIN/titan-train" configs/llama3/debug_model.toml --metrics.disable_color_printing --checkpoint.enable --debug.seed 1
	--validation.dataset_path tests/assets/c4_test)
if [ "$SHAPE" = native ]; then
	steps=${STEPS:-10} batch=8
	base+=(--validation.freq $((steps / 2)) --validation.steps "$steps")
else
	steps=${STEPS:-4} batch=1
	base+=(--training.seq_len 128 --training.local_batch_size 1 --validation.seq_len 128 --validation.local_batch_size 1
		--validation.freq $((steps / 2)) --validation.steps 2 --profiling.profile_freq 4 --threads 1)
fi
base+=(--training.steps "$steps" --checkpoint.interval $((steps / 2)))

# NAME | RANKS | OPTIONS [| OPTIONS of a second run, instead of one that resumes at half of the first | its first step]; @ is the folder of
# the row.
rows="
default                  | 4 | --profiling.enable_profiling --metrics.enable_tensorboard
compile                  | 4 | --compile.enable
compile, tensor 2        | 4 | --compile.enable --parallelism.tensor_parallel_degree 2
compile, selective op    | 4 | --compile.enable --activation_checkpoint.mode selective --activation_checkpoint.selective_ac_option op
2-D                      | 4 | --parallelism.tensor_parallel_degree 2
2-D async TP             | 4 | --compile.enable --parallelism.tensor_parallel_degree 2 --parallelism.enable_async_tensor_parallel
full checkpoint          | 4 | | --training.steps $((2 * steps)) | $((steps + 1))
HF checkpoint            | 4 | --checkpoint.folder hf_checkpoint --checkpoint.last_save_model_only --checkpoint.last_save_in_hf | --checkpoint.initial_load_path @/hf_checkpoint/step-$steps --checkpoint.initial_load_model_only --checkpoint.initial_load_in_hf | 1
model only, float32      | 4 | --checkpoint.last_save_model_only
model only, bf16         | 4 | --checkpoint.last_save_model_only --checkpoint.export_dtype bfloat16
optimizer foreach        | 2 | --optimizer.name AdamW --optimizer.implementation foreach
DDP                      | 4 | --parallelism.data_parallel_shard_degree=1 --parallelism.data_parallel_replicate_degree=4
HSDP                     | 4 | --parallelism.data_parallel_shard_degree=2 --parallelism.data_parallel_replicate_degree=2
flex attention, full AC  | 4 | --parallelism.data_parallel_shard_degree=4 --activation_checkpoint.mode=full --model.flavor=debugmodel_flex_attn
varlen attention, op AC  | 4 | --parallelism.data_parallel_shard_degree=4 --activation_checkpoint.mode=selective --activation_checkpoint.selective_ac_option=op --model.flavor=debugmodel_varlen_attn
HSDP + TP                | 8 | --parallelism.data_parallel_shard_degree=2 --parallelism.data_parallel_replicate_degree=2 --parallelism.tensor_parallel_degree=2
offload, early step      | 4 | --parallelism.tensor_parallel_degree=2 --training.enable_cpu_offload --optimizer.early_step_in_backward
early step, HSDP + TP    | 8 | --parallelism.tensor_parallel_degree=2 --parallelism.data_parallel_replicate_degree=2 --training.enable_cpu_offload --optimizer.early_step_in_backward
reshard always           | 2 | --parallelism.fsdp_reshard_after_forward always
optional checkpoint      | 4 | | --checkpoint.exclude_from_loading lr_scheduler,dataloader,optimizer --parallelism.tensor_parallel_degree 2 --training.steps $((2 * steps)) | $((steps + 1))
accumulation             | 2 | --training.local_batch_size $batch --training.global_batch_size $((4 * batch))
validation               | 4 | --validation.enable --validation.dataset c4_test --parallelism.tensor_parallel_degree=2
data workers             | 2 | --training.dataloader.num_workers 2 --training.dataloader.pin_memory --training.dataloader.persistent_workers --training.dataloader.prefetch_factor 4
"

run() { # FOLDER RANKS OPTION...
	local at=$1 n=$2
	shift 2
	if [ "$SHAPE" = native ]; then
		mpirun -n "$n" "${base[@]}" --job.dump_folder "$at" "$@" >>"$at/log" 2>&1
	else
		NGPU=$n "${base[@]}" --comm.mode local_tensor --job.dump_folder "$at" "$@" >>"$at/log" 2>&1
	fi
}
numbers() { grep -ohE '^\{"step": [0-9]+, ("loss"|"grad_norm"|"validation)[^,]+, [^,]+' "$@"; }

# STEP LOSS of a run, a line each.
losses() { numbers "$1" | sed -nE 's/^\{"step": ([0-9]+), "loss": ([0-9.]+),.*/\1 \2/p'; }
# Says so where a run did not take these steps, each with a finite loss.
took() { # FILE FIRST LAST
	diff <(losses "$1" | cut -d' ' -f1) <(seq "$2" "$3") >/dev/null || echo "it took the steps $(losses "$1" | tr '\n' ' '), not $2 to $3"
}

# Prints what is wrong.
row() { # NUMBER RANKS OPTIONS [OPTIONS STEP]
	local at=$dir/$1 n=$2 first second
	mkdir "$at"
	# shellcheck disable=SC2206 # options
	first=(${3//@/$at}) second=(${4//@/$at})
	run "$at" "$n" "${first[@]}" --metrics.save_jsonl "$at/whole" || { tail -n 3 "$at/log"; return; }
	took "$at/whole" 1 "$steps"
	if [ "${#second[@]}" -gt 0 ]; then
		run "$at" "$n" "${second[@]}" --metrics.save_jsonl "$at/second" || { tail -n 3 "$at/log"; return; }
		took "$at/second" "$5" $(($5 + steps - 1))
		# Its weights are those of the first one's end.
		cat <(losses "$at/whole") <(losses "$at/second") | awk -v last="$steps" '{ loss[NR] = $2 } END {
			if (!(2 * loss[last + 1] < loss[1] + loss[last]))
				print "it begins with a loss of", loss[last + 1], "where it fell from", loss[1], "to", loss[last] }'
		return
	fi
	rm -r "$at/checkpoint/step-$steps"
	run "$at" "$n" "${first[@]}" --metrics.save_jsonl "$at/resumed" || { tail -n 3 "$at/log"; return; }
	[ -e "$at/checkpoint/step-$steps/.metadata" ] || echo "it saved $(ls "$at/checkpoint")"
	took "$at/resumed" $((steps / 2 + 1)) "$steps"
	diff <(numbers "$at/whole" | awk -F'[ ,]' -v half=$((steps / 2)) '$2 > half') <(numbers "$at/resumed") || echo "resumed, its numbers are others"
}

one() { # NUMBER LINE
	local name ranks first second at said t=$SECONDS
	IFS='|' read -r name ranks first second at <<<"$2"
	name=${name%"${name##*[! ]}"}
	said=$(row "$1" "${ranks// /}" "$first" "$second" "${at// /}" 2>&1)
	rm -rf "${dir:?}/$1"
	if [ -z "$said" ]; then echo "ok: $name ($((SECONDS - t)) s)"; else printf 'FAILED: %s: %s\n' "$name" "$said"; fi
}

start=$SECONDS i=0
mapfile -t lines < <(grep -F '|' <<<"$rows")
for line in "${lines[@]}"; do
	[[ $line = "${1:-}"* ]] || continue
	i=$((i + 1))
	one $i "$line" </dev/null >"$dir/said.$i" 2>&1 & # mpirun reads what it is given
	[ $((i % 2)) -ne 0 ] || wait                     # two at a time
done
wait
for ((r = 1; r <= i; r++)); do cat "$dir/said.$r"; done | tee "$dir/said"
echo "took $((SECONDS - start)) s"
echo "$(grep -c '^ok' "$dir/said") passed, $(grep -c '^FAILED' "$dir/said") failed"
[ "$i" -gt 0 ] && [ "$(grep -c '^ok' "$dir/said")" -eq "$i" ]
