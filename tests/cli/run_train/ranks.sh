# NGPU processes are ranks of one mpirun; the log is that of LOG_RANK's, the others say only what is wrong. The mpirun here starts one rank
# after another, which MPI does not find to be one run.
. "$ROOT/tests/cli/titan-train/tiny.inc"
export ASAN_OPTIONS=detect_leaks=0 # those of MPI
cp "$ROOT/run_train.sh" .
mkdir bin
cat >bin/mpirun <<'SH'
#!/bin/bash
echo "mpirun $1 $2, binding $OMPI_MCA_hwloc_base_binding_policy"
export OMPI_COMM_WORLD_SIZE=$2 OMPI_COMM_WORLD_RANK
for ((OMPI_COMM_WORLD_RANK = 0; OMPI_COMM_WORLD_RANK < $2; OMPI_COMM_WORLD_RANK++)); do "${@:3}"; rc=$?; done
exit $rc
SH
cat >bin/titan-train <<'SH'
#!/bin/bash
printf 'rank %s of %s: ' "$OMPI_COMM_WORLD_RANK" "$OMPI_COMM_WORLD_SIZE"
printf '[%s]' "$@"
echo
SH
chmod +x bin/*
export CONFIG_FILE='a file.toml'
NGPU=3 PATH=$PWD/bin:$PATH ./run_train.sh --job.description 'two words'
LOG_RANK=0,10,2 NGPU=11 PATH=$PWD/bin:$PATH ./run_train.sh | grep -v quiet
rm bin/titan-train
printf '[training]\nsteps = 2\n' >"$CONFIG_FILE"
NGPU=2 PATH=$PWD/bin:$PATH ./run_train.sh "${flags[@]}" 2>log
echo "exit $?"
plain <log
NGPU=2 PATH=$PWD/bin:$PATH ./run_train.sh "${flags[@]}" --parallelism.tensor_parallel_degree 2 2>&1 | plain | grep '^titan-train'
SLURM_STEP_NUM_TASKS=4 titan-train "${flags[@]}" 2>&1 | plain | grep '^titan-train'
PMI_SIZE=1 titan-train "${flags[@]}" --training.steps 1 2>&1 | plain | grep completed
ls
mkdir none && for tool in bash dirname env titan-train; do ln -s "$(command -v $tool)" none; done
NGPU=2 PATH=$PWD/none ./run_train.sh
echo "exit $?"
