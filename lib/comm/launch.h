/* lib/comm/launch.h: what a launcher tells the processes that it starts. */
#ifndef TT_COMM_LAUNCH_H
#define TT_COMM_LAUNCH_H

#include <stdint.h>

/* How many processes this one's run has, as Open MPI's, MPICH's or Intel's mpirun, or Slurm's srun, say in the environment; 1 for a
 * process that nobody launched. */
int64_t tt_launch_nranks(void);

#endif
