# What a layout changes is the order of sums: ten steps from the seed have one process's losses within 5e-5 and its norms of gradients
# within 1e-4. Documents are a sequence each, and so dealt that the ranks of a step have what one process has in its microbatches.
. "$ROOT/tests/cli/titan-train/tiny.inc"
. "$ROOT/tests/cli/comm/mpi.inc"
printf '%s\n' 'dim: 32' 'n_layers: 2' 'n_heads: 8' 'n_kv_heads: 4' 'vocab_size: 2051' 'multiple_of: 16' >tiny.yaml # an odd vocabulary
flags+=(--training.dataset_path data.json --training.mixed_precision_param float32 --training.steps 10 --optimizer.lr 3e-3)
shard=--parallelism.data_parallel_shard_degree replicate=--parallelism.data_parallel_replicate_degree tp=--parallelism.tensor_parallel_degree
async=--parallelism.enable_async_tensor_parallel

# deal NDOCUMENTS NRANKS: documents of 31 words, a token each; a rank has a part of the file, and takes in turn what it has.
deal() {
	awk -v docs="$1" -v ranks="$2" 'BEGIN {
		n = split("struct const return the for int size char err and void that not out with step", word, " ")
		x = 1
		for (d = 0; d < docs; d++)
			for (i = 0; i < 31; i++)
				doc[d] = doc[d] " " word[(x = x * 16807 % 2147483647) % n + 1]
		for (r = 0; r < ranks; r++)
			for (d = r; d < docs; d += ranks)
				printf "{\"text\": \"%s\"}\n", doc[d]
	}'
}
# train STEPS COMMAND...: its steps' numbers and losses and norms.
train() {
	rm -f jsonl
	"${@:2}" "${flags[@]}" --metrics.save_jsonl jsonl 2>log || tail -3 log
	tr -d '",:' <jsonl | awk '{ print $2, $4, $6 }' >"$1"
}
one() {
	deal $((10 * $1)) 1 >data.json
	train one titan-train --training.global_batch_size "$1"
	deal $((10 * $1)) "$1" >data.json
}
# many NAME LOSS_TOL NORM_TOL COMMAND...: against one process.
many() {
	train many "${@:4}"
	paste -d' ' one many | awk -v name="$1" -v loss="$2" -v norm="$3" '
		function gap(a, b) { return a > b ? a - b : b - a }
		$1 == $4 && gap($2, $5) <= loss && gap($3, $6) <= norm { ok++ }
		$2 + $3 <= 0 { ok-- }
		END { print name ": " ok + 0 " of " NR " steps" }'
}
threads() { name="$1, $2 threads" n=$2; shift 2; NGPU=$n many "$name" 5e-5 1e-4 titan-train --comm.mode local_tensor "$@"; }
processes() { name="$1, $2 processes" n=$2; shift 2; many "$name" 5e-5 1e-4 mpirun -n "$n" titan-train --threads 1 "$@"; }

echo "one rank in every disguise, to the last bit:"
one 1
many dp_shard 0 0 titan-train $shard 1
many "what is left" 0 0 titan-train $shard -1
many dp_replicate 0 0 titan-train $replicate 1 $shard 1
NGPU=1 many threads 0 0 titan-train --comm.mode local_tensor
many processes 0 0 mpirun -n 1 titan-train
echo "ranks that read the same data:"
threads tp 2 $tp 2
processes tp 2 $tp 2
threads tp 4 $tp 4
threads "tp, whole logits" 2 $tp 2 --parallelism.disable_loss_parallel
threads "tp, overlapped" 2 $tp 2 $async
threads "tp, overlapped, a budget" 4 $tp 4 $async --activation_checkpoint.mode memory_budget --activation_checkpoint.memory_budget 0.9
echo "ranks that read data of their own:"
one 2
threads dp 2
threads "dp x tp" 4 $tp 2
one 3
threads dp 3
threads "dp x tp" 6 $tp 2
one 4
threads dp 4
threads "dp, offloaded" 4 --training.enable_cpu_offload
grep -c 'enable_cpu_offload: true is ignored: on a CPU everything is in its memory' log
threads hsdp 4 $replicate 2
threads ddp 4 $replicate 4
threads "hsdp x tp" 8 $replicate 2 $tp 2
echo "what no ranks can share:"
NGPU=8 titan-train "${flags[@]}" --comm.mode local_tensor $tp 8 2>&1 | tail -1
titan-train "${flags[@]}" --training.seq_len 31 2>&1 | tail -1
