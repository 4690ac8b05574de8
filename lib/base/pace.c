#include "base/pace.h"

#include <time.h>

void tt_pace_init(struct tt_pace *pace, double share)
{
    pace->share = share;
    pace->worked = 0;
    atomic_init(&pace->hurried, false);
}

void tt_pace_rest(struct tt_pace *pace)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    const double worked = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    const double rest = (worked - pace->worked) * (1 / pace->share - 1);

    pace->worked = worked;
    t = (struct timespec){ .tv_sec = (time_t)rest, .tv_nsec = (long)((rest - (double)(time_t)rest) * 1e9) };
    if (!atomic_load_explicit(&pace->hurried, memory_order_relaxed))
        nanosleep(&t, NULL); /* one that a signal cuts short does no harm */
}

void tt_pace_hurry(struct tt_pace *pace) { atomic_store_explicit(&pace->hurried, true, memory_order_relaxed); }
