#include "comm/launch.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Slurm's is the step's: SLURM_NTASKS is there in a batch script too, which is one process. */
static const char *const sizes[] = { "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", NULL };
static const char *const ranks[] = { "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID", NULL };
static const char *const here[] = { "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_TASKS_PER_NODE", NULL };

/* The first of them that is set, the innermost launcher's, as a number of at least `least`, or that. */
static int64_t find(const char *const *names, int64_t least)
{
    while (*names && !getenv(*names))
        names++;
    const int64_t n = *names ? strtoll(getenv(*names), NULL, 10) : least;
    return n > least ? n : least;
}

int64_t tt_launch_nranks(void) { return find(sizes, 1); }
int64_t tt_launch_rank(void) { return tt_launch_nranks() > 1 ? find(ranks, 0) : 0; }
int64_t tt_launch_nlocal(void) { return tt_launch_nranks() > 1 ? find(here, 1) : 1; }

void tt_launch_after_first(void)
{
    if (tt_launch_rank() == 0)
        return;
    signal(SIGTERM, SIG_DFL);
    sleep(2);
}

bool tt_launch_logs(int64_t rank)
{
    const char *at = getenv("LOG_RANK");
    if (!at || !*at)
        return rank == 0;
    for (char *end; *at; at = *end == ',' ? end + 1 : end) {
        const int64_t listed = strtoll(at, &end, 10);
        if (end == at || (*end && *end != ','))
            return rank == 0;
        if (listed == rank)
            return true;
    }
    return false;
}
