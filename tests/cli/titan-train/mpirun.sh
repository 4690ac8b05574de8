# The same ranks as processes: what threads train and save, and the errors of one rank.
. "$ROOT/tests/cli/titan-train/tiny.inc"
. "$ROOT/tests/cli/comm/mpi.inc"
# Within a step of Slurm's that has started four: what mpirun says of its own ranks counts.
run() { SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=3 SLURM_TASKS_PER_NODE=4 mpirun -n "$1" titan-train "${flags[@]}" --threads 1 "${@:2}" 2>&1 | plain; }
steps() { grep -oE 'step:  [0-9]+  loss:  [0-9]+[.][0-9]{2}' | tr '\n' ' '; echo; }
full=(--checkpoint.enable --checkpoint.interval 2 --checkpoint.no_last_save_model_only --job.dump_folder)

echo "2 x 2 ranks of tp 2, threads and processes, from a checkpoint of theirs:"
NGPU=4 titan-train "${flags[@]}" --comm.mode local_tensor --parallelism.tensor_parallel_degree 2 "${full[@]}" a --training.steps 2 2>&1 | steps
run 4 --parallelism.tensor_parallel_degree 2 "${full[@]}" b --training.steps 2 | steps
for f in a b; do (cd $f/checkpoint/step-2 && sha256sum -- *.distcp); done | sort | uniq -c | awk '{ print $1, $3 }' | sort
run 2 "${full[@]}" b --training.steps 3 --checkpoint.async_mode async | steps
echo "errors, once:"
said() { plain | grep -v '^INFO\|^[ {}]'; }
mpirun -n 3 titan-train "${flags[@]}" --training.stepz 3 2>&1 | said
run 2 --parallelism.tensor_parallel_degree 3 | said
run 2 --generate.prompt static | said
run 3 --model.hf_assets_path nowhere | said
# shellcheck disable=SC2016 # for the ranks to expand
mpirun -n 3 bash -c 'exec titan-train "$@" --debug.seed "$OMPI_COMM_WORLD_RANK"' rank "${flags[@]}" 2>&1 | said
# shellcheck disable=SC2016
mpirun -n 3 bash -c 'exec titan-train "$@" --parallelism.data_parallel_replicate_degree $((OMPI_COMM_WORLD_RANK == 2 ? 3 : 1))' rank "${flags[@]}" 2>&1 | said
SLURM_STEP_NUM_TASKS=4 titan-train "${flags[@]}" 2>&1 | plain | tail -1
