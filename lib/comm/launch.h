/* lib/comm/launch.h: what a launcher tells the processes that it starts. */
#ifndef TT_COMM_LAUNCH_H
#define TT_COMM_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

/* How many processes this one's run has, as Open MPI's, MPICH's or Intel's mpirun, or Slurm's srun, say in the environment; 1 for a
 * process that nobody launched. */
int64_t tt_launch_nranks(void);
int64_t tt_launch_rank(void);   /* which of them this is; 0 where nobody says */
int64_t tt_launch_nlocal(void); /* how many of them are on this machine; 1 where nobody says */

/* Whether a rank's log is wanted: those that LOG_RANK lists, "0,2", as for TorchTitan; else the first's. */
bool tt_launch_logs(int64_t rank);

/* For what every process of a run may have to say before they have met: returns at once in rank 0, and later in the others, which the
 * launcher ends meanwhile where rank 0 has failed too. */
void tt_launch_after_first(void);

#endif
