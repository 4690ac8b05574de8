#!/bin/bash
# ranks.sh: what ranks share is shared. Of a model of 300 million parameters on one process, on 4 ranks of FSDP and on 4 of TP:
#   memory   the most that a rank has resident is at most 0.40 of one process's, and within 10 % of the plan that comm.mode fake_backend
#            shows; a run whose ranks may have 0.45 of one process's data (RLIMIT_DATA) passes, and one process and a replica (DDP) do not
#   cpu      those of FSDP and of TP together take at most 1.25 times the user's CPU time of one process, for the same batch; so do 2 and 4
#            ranks of FSDP of the debug model
# of a small model on 2 x 2 ranks:
#   bytes    what each rank sends to each, as Open MPI counts it, lies between bounds that follow from the layout
#   reads    what a rank reads of a checkpoint of this and of another layout is its own part (at least 0.95 of it) and at most 5 % more
# ranks.sh [memory] [cpu] [bytes] [reads]; BIN, B as elsewhere. memory wants 6 GiB. Ends with 'N passed, N failed'.
set -u
cd "$(dirname "$0")/.." || exit 1
BIN=$PWD/${BIN:-build/bin} B=$PWD/${B:-build/release} root=$PWD
export OMP_WAIT_POLICY=passive
# shellcheck source=tests/cli/comm/mpi.inc
. tests/cli/comm/mpi.inc
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

# check WHAT CONDITION: of awk.
check() {
	if awk "BEGIN { exit !($2) }"; then
		passed=$((passed + 1)) && echo "ok     $1: $2"
	else
		failed=$((failed + 1)) && echo "FAILED $1: $2"
	fi
}

flavor() { printf '%s\n' "${@:2}" >"$dir/$1.yaml"; }
# train RANKS FLAVOR OPTION...: in $dir/run; what each rank took in $dir/used, what it read in $dir/reads, its log in $dir/log.
train() {
	local n=$1 launch=() of=$dir/$2.yaml
	[ -e "$of" ] || of=$2
	[ "$n" -eq 1 ] || launch=(mpirun -n "$n")
	rm -f "$dir/used" "$dir/reads"
	"${launch[@]}" "$B/tools/usage" "$dir/used" "${with[@]}" "$BIN/titan-train" --model.name llama3 --model.flavor "$of" \
		--model.hf_assets_path "$root/tests/assets/tokenizer" --training.dataset_path "$root/tests/assets/c4_test" \
		--debug.seed 1 --lr_scheduler.warmup_steps 2 --job.dump_folder "$dir/run" "${@:3}" >"$dir/log" 2>&1
}
with=()
failed_run() { failed=$((failed + 1)); echo "FAILED $1:"; tail -5 "$dir/log"; }

# plan FLAVOR: what a rank of 4 would take.
plan() { NGPU=4 "$BIN/titan-train" --model.name llama3 --model.flavor "$dir/$1.yaml" --comm.mode fake_backend "${options[@]}" 2>&1; }

# --- 300 million parameters ----------------------------------------------------------------------------------------------------------

# large SHAPE [SEQ_LEN]: the options of a run that takes the same sequences as the others; with 16 tokens each, parameters are what counts.
large() {
	flavor large 'dim: 1024' 'n_layers: 23' 'n_heads: 16' 'vocab_size: 2048' 'multiple_of: 256'
	options=(--training.seq_len "${2:-16}" --training.local_batch_size 4 --training.steps 2 --metrics.log_freq 1000)
	case $1 in
	fsdp) options+=(--parallelism.data_parallel_shard_degree 4 --training.local_batch_size 1) ;;
	tp) options+=(--parallelism.tensor_parallel_degree 4) ;;
	ddp) options+=(--parallelism.data_parallel_replicate_degree 2 --parallelism.data_parallel_shard_degree 1 --training.local_batch_size 2) ;;
	esac
}
peak() { awk '$2 > most { most = $2 } END { print most + 0 }' "$dir/used"; }
user() { awk '{ sum += $3 } END { print sum }' "$dir/used"; }
# What a rank is to take of memory, in MiB.
planned() { plan large | awk '/ in all / { print $(NF - 1) }'; }

# refused SHAPE RANKS: does it end for want of memory?
refused() {
	large "$1"
	if ! train "$2" large "${options[@]}" && grep -q 'out of memory' "$dir/log"; then
		passed=$((passed + 1)) && echo "ok     $1: $(grep -o 'out of memory.*' "$dir/log" | sort -u | head -1)"
	else
		failed_run "$1 with $limit MiB of data is not out of memory"
	fi
}

memory() {
	local shape alone limit planned
	large alone
	train 1 large "${options[@]}" || failed_run "one process"
	alone=$(peak)
	limit=$((alone * 45 / 100))
	for shape in fsdp tp; do
		large $shape
		planned=$(planned)
		with=(bash -c "ulimit -d $((limit * 1024)) && exec \"\$@\"" limited)
		train 4 large "${options[@]}" || failed_run "$shape on 4 ranks of at most $limit MiB of data"
		with=()
		check "memory of $shape on 4 ranks, MiB" "$(peak) <= 0.40 * $alone"
		check "and of its plan" "$(peak) <= 1.10 * $planned && $(peak) >= 0.90 * $planned"
	done
	with=(bash -c "ulimit -d $((limit * 1024)) && exec \"\$@\"" limited)
	refused alone 1
	refused ddp 2
	with=()
}

# --- the user's CPU time ---------------------------------------------------------------------------------------------------------------

# Enough tokens that the products count: what a rank does with a unit's weights whatever the tokens, gathering and widening them, is as much
# on each rank as on one. SEQ_LEN (512), STEPS (2).
cpu() {
	# Of one type in every layout: ranks of TP alone have float32 products, as TorchTitan's, where one process has bfloat16.
	local n alone shape same=(--activation_checkpoint.mode none --training.mixed_precision_param float32)
	for n in 1 2 4; do
		train $n debugmodel --training.seq_len "${SEQ_LEN:-512}" --training.local_batch_size $((8 / n)) --training.steps "${STEPS:-2}" "${same[@]}" ||
			failed_run "the debug model on $n ranks"
		[ $n -gt 1 ] || alone=$(user)
		[ $n -eq 1 ] || check "user's CPU seconds of the debug model on $n ranks" "$(user) <= 1.25 * $alone"
	done
	for shape in alone fsdp tp; do
		large $shape "${SEQ_LEN:-512}"
		n=4
		[ $shape != alone ] || n=1
		train $n large "${options[@]}" "${same[@]}" || failed_run "300 million parameters, $shape"
		[ $shape != alone ] || alone=$(user)
		[ $shape = alone ] || check "user's CPU seconds of 300 million parameters, $shape on 4 ranks" "$(user) <= 1.25 * $alone"
	done
}

# --- a small one on 2 x 2 ranks ------------------------------------------------------------------------------------------------------

small() { # SHARD TP STEPS
	flavor small 'dim: 512' 'n_layers: 2' 'n_heads: 8' 'vocab_size: 2048' 'multiple_of: 64'
	options=(--training.seq_len 64 --training.local_batch_size 2 --training.steps "$3" --parallelism.data_parallel_shard_degree "$1"
		--parallelism.tensor_parallel_degree "$2" --metrics.log_freq 1000)
}

reads() {
	local shape own n least most save=(--checkpoint.enable --checkpoint.interval 2 --checkpoint.no_last_save_model_only)
	small 2 2 2
	train 4 small "${options[@]}" "${save[@]}" || failed_run "saving"
	for shape in "2 2" "4 1" "1 4"; do
		# shellcheck disable=SC2086 # two numbers
		small $shape 3
		own=$(NGPU=4 plan small | awk '/ parameters |optimizer state/ { sum += $(NF - 1) } END { printf "%d\n", sum * 1048576 }')
		with=(env LD_PRELOAD="$B/preload/reads.so" TITAN_READS="$dir/reads")
		train 4 small "${options[@]}" "${save[@]}" --checkpoint.load_step 2 --checkpoint.interval 100 || failed_run "resuming on $shape ranks"
		with=()
		rm -rf "$dir/run/checkpoint/step-3"
		read -r n least most < <(sort -nk 2 "$dir/reads" | awk '{ most = $2 } NR == 1 { least = $2 } END { print NR, least + 0, most + 0 }')
		check "bytes that a rank reads of 2 x 2 ranks' checkpoint, as $shape" "$n == 4 && $most <= 1.05 * $own && $least >= 0.95 * $own && $own > 0"
	done
}

# What rank FROM sent to rank TO.
sent() { awk -v from="$1" -v to="$2" '$1 == "E" && $2 == from && $3 == to { sum += $4 } END { print sum + 0 }' "$dir"/sent.*.prof; }

# A rank has half of a half of each matrix: of S elements in all, E of the embedding, as many of the output. FSDP (ranks 0 and 2, 1 and 3)
# sends it as bfloat16 once for the forward, but for embedding and output again for the backward (at most: all of it), and the other's
# gradient in float32. TP (0 and 1, 2 and 3) sends a half of the activations: at least two gatherings and two scatterings a layer, one and
# one around the layers, and as many backward; at most half as many again. Others (0 and 3) send what all ranks tell each other.
bytes() {
	local steps=2 pair s e u
	small 2 2 $steps
	export OMPI_MCA_pml=^cm,ucx OMPI_MCA_pml_monitoring_enable=1 OMPI_MCA_pml_monitoring_enable_output=3 OMPI_MCA_pml_monitoring_filename="$dir/sent"
	train 4 small "${options[@]}" || failed_run "counting bytes"
	unset OMPI_MCA_pml OMPI_MCA_pml_monitoring_enable OMPI_MCA_pml_monitoring_enable_output OMPI_MCA_pml_monitoring_filename
	e=$((2048 * 512 / 4))
	s=$((2 * (4 * 512 * 512 + 3 * 512 * 1408) / 4 + 2 * e))
	u=$((2 * 64 * 512 / 2 * 2))
	for pair in "0 2" "2 0" "1 3" "3 1"; do
		# shellcheck disable=SC2086 # two ranks
		check "bytes of FSDP, rank ${pair/ / to }" "$(sent $pair) >= $steps * (8 * $s - 4 * $e) && $(sent $pair) <= $steps * (8 * $s + 16384)"
	done
	for pair in "0 1" "1 0" "2 3" "3 2"; do
		# shellcheck disable=SC2086
		check "bytes of TP, rank ${pair/ / to }" "$(sent $pair) >= $steps * 20 * $u && $(sent $pair) <= $steps * (30 * $u + 16384)"
	done
	for pair in "0 3" "3 0" "1 2" "2 1"; do
		# shellcheck disable=SC2086
		check "bytes of no group, rank ${pair/ / to }" "$(sent $pair) <= 4096"
	done
}

[ $# -gt 0 ] || set -- memory cpu bytes reads
for part; do
	case $part in
	memory | cpu | bytes | reads) "$part" ;;
	*) failed=$((failed + 1)) && echo "FAILED there is no section $part: memory, cpu, bytes or reads" ;;
	esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
