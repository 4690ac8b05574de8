# The Slurm script: a task a rank, by srun or by mpirun; a run that stopped early (75) goes back into the queue, any other end is its own.
mkdir bin
for tool in srun mpirun; do
	printf '%s\n' '#!/bin/bash' "echo $tool \"\$@\"; exit \${EXIT:-0}" >bin/$tool
done
printf '%s\n' '#!/bin/bash' "echo scontrol \"\$@\"" >bin/scontrol
chmod +x bin/*
export SLURM_NTASKS=32 SLURM_CPUS_PER_TASK=12 SLURM_JOB_ID=7 PATH=$PWD/bin:$PATH
job=$ROOT/configs/multinode_trainer.slurm
bash "$job" --training.steps 100
echo "exit $?"
CONFIG_FILE=my.toml EXIT=75 bash "$job"
echo "exit $?"
SRUN_MPI=none TITAN_TRAIN=/opt/bin/titan-train EXIT=1 bash "$job"
echo "exit $?"
