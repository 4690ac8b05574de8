# Collectives between processes: the cases that threads go through, what is sent, and the failure of a rank.
. "$ROOT/tests/cli/comm/mpi.inc"
mpirun -n 2 "$TOOLS/comm_cases" cases 1
mpirun -n 4 "$TOOLS/comm_cases" cases 2
mpirun -n 5 "$TOOLS/comm_cases" cases 3
mpirun -n 3 "$TOOLS/comm_cases" sent
timeout 20 mpirun -n 3 "$TOOLS/comm_cases" fail
echo "exit $?"
for n in 60 140; do timeout 20 mpirun -n 2 "$TOOLS/comm_cases" unlike $n; done
# What MPI is asked for where the user has not asked for it; and where he has, by himself or through mpirun.
params() { # OPTION OF MPIRUN...
	OMPI_MCA_mpi_show_mca_params=enviro mpirun -n 2 "$@" "$TOOLS/comm_cases" sent 2>&1 |
		grep -oE '\] (pml|btl|btl_vader_single_copy_mechanism|mpi_yield_when_idle)=[^ ]+' | sort | cut -c3- | paste -sd' '
}
params
OMPI_MCA_pml=^ucx OMPI_MCA_btl=tcp,vader,self params --mca btl_vader_single_copy_mechanism emulated --mca mpi_yield_when_idle 0
# A launcher that this MPI knows nothing of: each process would train by itself, into the same files.
SLURM_STEP_NUM_TASKS=3 "$TOOLS/comm_cases" sent
# The checkpoint programs load no MPI.
for p in titan-ckpt-inspect titan-dcp2pt titan-convert-hf titan-reshard; do ldd "$(command -v "$p")" | grep libmpi; done
true
