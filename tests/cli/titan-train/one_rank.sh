# What one rank cannot do: all ends with one error that names the rank, whatever the ranks are, or the run goes on where it can.
. "$ROOT/tests/cli/titan-train/tiny.inc"
. "$ROOT/tests/cli/comm/mpi.inc"
flags+=(--threads 1)
said() { plain | grep -v '^INFO\|^[ {}]' | grep -v 'set to 1 to avoid'; }
threads() { NGPU=$1 titan-train "${flags[@]}" --comm.mode local_tensor "${@:2}" 2>&1; }
processes() { mpirun -n "$1" titan-train "${flags[@]}" "${@:2}" 2>&1; }
both() { for ranks in threads processes; do echo "$ranks:"; "$ranks" "$@" | said; done; }
full=(--checkpoint.enable --checkpoint.interval 2 --checkpoint.no_last_save_model_only --training.steps 4)

echo "--- a pipe is one process's"
head -n 50 "$ROOT/tests/assets/c4_test/data.json" >data.json
for ranks in threads processes; do
	$ranks 2 --parallelism.tensor_parallel_degree 2 --training.dataset_path - --training.steps 2 <data.json | said
done

echo "--- no samples for two of four"
head -n 2 data.json >two.json
both 4 --training.dataset_path two.json --training.steps 2
echo "--- a line of rank 1's data is none"
(sed -n 1,21p data.json; echo '{"text": 1}'; sed -n 22,39p data.json) >bad.json
both 2 --training.dataset_path bad.json --training.steps 1000
LOG_RANK=0,1 processes 2 --training.dataset_path bad.json --training.steps 1000 |
	grep -oE 'step: +[0-9]+' | sort | uniq -c | tail -n 1 | sed 's,^ *,,'
echo "--- the data of a validation is at its end on rank 1 first"
for i in 1 2 3 4 5; do echo "{\"text\": \"the quick brown fox number $i jumps over the lazy dog and on and on\"}"; done >five.json
both 2 --training.steps 1 --lr_scheduler.warmup_steps 1 --validation.enable --validation.dataset_path five.json --validation.seq_len 30 \
	--validation.steps -1 --metrics.save_jsonl validation.jsonl
grep -o '"validation_ntokens": [0-9]*' validation.jsonl

echo "--- a folder that rank 1 cannot write"
# shellcheck disable=SC2016 # for the ranks to expand
mpirun -n 2 bash -c '[ "$OMPI_COMM_WORLD_RANK" = 0 ] || ulimit -f 20; exec titan-train "$@"' rank "${flags[@]}" "${full[@]}" 2>&1 | said |
	sed -E 's/titan-[0-9a-f]{12}/titan-N/'
ls out/checkpoint

echo "--- the newest step's .metadata cannot be read"
threads 2 "${full[@]}" >log || cat log
cp -r out/checkpoint kept
for ranks in threads processes; do
	rm -r out/checkpoint
	cp -r kept out/checkpoint
	rm out/checkpoint/step-4/.metadata
	mkdir out/checkpoint/step-4/.metadata
	$ranks 2 "${full[@]}" | said
done
echo "--- a part that rank 1 alone reads is short, in every step"
rm -r out/checkpoint
cp -r kept out/checkpoint
for step in 2 4; do truncate -s -5000 out/checkpoint/step-$step/__1_0.distcp; done
both 2 "${full[@]}"
echo "--- each rank has a folder of its own, and a .metadata of the same name"
for r in 0 1; do mkdir -p $r/out && cp -r kept $r/out/checkpoint; done
printf . >>1/out/checkpoint/step-4/.metadata
# shellcheck disable=SC2016
mpirun -n 2 bash -c 'cd "$OMPI_COMM_WORLD_RANK" && exec titan-train "$@"' rank "${flags[@]}" --model.flavor ../tiny.yaml "${full[@]}" 2>&1 | said
