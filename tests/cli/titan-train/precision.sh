# Three modes of precision: weights whose products are of bfloat16 may be rounded to it beforehand, and the loss has the same bits; where
# products are of float32 it has not. FSDP gathers all parameters in that type, autocast leaves the embedding as it is.
. "$ROOT/tests/cli/titan-train/tiny.inc"
replicate=--parallelism.data_parallel_replicate_degree tp=--parallelism.tensor_parallel_degree
titan-seed "${flags[@]}" 2>log || tail -1 log
titan-dcp2pt --quiet out/checkpoint/step-0 float32.pt
titan-dcp2pt --quiet --dtype bfloat16 out/checkpoint/step-0 all.pt
titan-dcp2pt --quiet --dtype 'layers.*=bfloat16' --dtype 'output.weight=bfloat16' out/checkpoint/step-0 products.pt
loss() {
	NGPU=$2 titan-train "${flags[@]}" --comm.mode local_tensor --training.steps 1 --checkpoint.enable --checkpoint.load_only \
		--checkpoint.folder none --checkpoint.initial_load_path "$1.pt" --metrics.save_jsonl - "${@:3}" 2>log |
		grep -o '"loss": [0-9.]*' || tail -1 log >&2
	plain <log | grep -i mixed >said
}
try() {
	name=$1
	shift
	for weights in float32 products all; do loss $weights "$@" >$weights.loss; done
	echo "$name:$(cmp -s float32.loss products.loss && echo ' the weights of products')$(cmp -s float32.loss all.loss && echo ', the others')"
	cat said
}
same() {
	for dtype in float32 bfloat16; do
		loss all "$@" --training.mixed_precision_param float32 --training.dtype $dtype >$dtype.loss
	done
	cmp float32.loss bfloat16.loss && echo "the loss of rounded float32 ones"
}
echo "what may be rounded:"
try "one process" 1
try fsdp 2
try ddp 2 $replicate 2
try tp 2 $tp 2
try "dp x tp" 4 $tp 2
try "float32, dp x tp" 4 $tp 2 --training.mixed_precision_param float32
echo "bfloat16 parameters whose products are of float32:"
same 2
same 4 $replicate 2
