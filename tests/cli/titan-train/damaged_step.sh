# A byte of the newest step is another: whatever ranks go on from it, also such of whom each reads a part of what it is in, take the step
# before, and train what they train from that alone.
. "$ROOT/tests/cli/titan-train/tiny.inc"
. "$ROOT/tests/cli/comm/mpi.inc"
flags+=(--checkpoint.enable --checkpoint.interval 2 --checkpoint.no_last_save_model_only --metrics.save_jsonl jsonl)
threads() { NGPU=$1 titan-train "${flags[@]}" --comm.mode local_tensor "${@:2}" 2>&1; }
processes() { mpirun -n "$1" titan-train "${flags[@]}" --threads 1 "${@:2}" 2>&1; }
tp=--parallelism.tensor_parallel_degree replicate=--parallelism.data_parallel_replicate_degree

for n in 1 2; do threads $n --training.steps 4 --job.dump_folder ranks$n >/dev/null; done
threads 4 --training.steps 4 $tp 2 --job.dump_folder ranks2x2 >/dev/null

# flip FOLDER KEY: a bit in the middle of the last chunk of the key, which is one of its elements'.
flip() {
	local file offset nbytes
	read -r file offset nbytes < <(titan-ckpt-inspect --json "$1" --include "$2" | sed 's/.*"file": "\([^"]*\)", "offset": \([0-9]*\), "nbytes": \([0-9]*\).*/\1 \2 \3/')
	offset=$((offset + nbytes / 2))
	printf %b "\\x$(printf %x $(($(od -An -tu1 -j "$offset" -N 1 "$1/$file") ^ 1)))" | dd of="$1/$file" bs=1 seek="$offset" conv=notrunc status=none
}
# resume FROM KEY LAUNCH RANKS OPTION...: of a damaged step 4, and without it.
resume() {
	local what="$1 to $3 ${*:4}"
	rm -rf out jsonl plain.jsonl
	mkdir -p out/checkpoint
	cp -r "$1/checkpoint/step-2" out/checkpoint/
	"$3" "${@:4}" --training.steps 5 >log || tail -1 log
	mv jsonl plain.jsonl
	rm -rf out/checkpoint/step-*
	cp -r "$1"/checkpoint/step-* out/checkpoint/
	flip out/checkpoint/step-4 "$2"
	"$3" "${@:4}" --training.steps 5 >log || tail -1 log
	echo "$what: $(plain <log | sed -n 's/offset [0-9]*/offset N/; s/CRC-32 [0-9a-f]*, found [0-9a-f]*/CRC-32 X, found Y/; s/^WARNING - //; /is skipped/p')"
	paste -d' ' plain.jsonl jsonl | tr -d '",:' | awk '{ same += $4 == $(NF / 2 + 4) && $2 == $(NF / 2 + 2) } END { print "  the losses of the step before: " same " of " NR }'
}
rows=tok_embeddings.weight columns=layers.0.feed_forward.w2.weight
resume ranks2 $rows threads 2
resume ranks2 $rows threads 3
resume ranks2 $columns threads 2 $tp 2
resume ranks2 "optimizer.state.$columns.exp_avg" threads 4 $tp 2
resume ranks1 $rows threads 4
resume ranks1 $columns threads 8 $replicate 2 $tp 2
resume ranks2x2 $columns threads 3
resume ranks2 $rows processes 3
resume ranks1 $columns processes 2 $tp 2
