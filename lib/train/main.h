/* lib/train/main.h: a training program from its arguments to its exit status: titan-train, and titan-seed, which is the same with
 * two settings made for it. */
#ifndef TT_TRAIN_MAIN_H
#define TT_TRAIN_MAIN_H

#include <stdbool.h>

struct tt_train_prog {
    const char *name, *about; /* as struct tt_prog has them */
    bool seed;                /* only save the initial weights */
};

/* The exit status: 75 after SIGTERM and SIGUSR1, which end the process at once before the first step, and later let the step in
 * progress finish, as SIGINT does, by which it then ends. A reader that goes away and a limit on the size of files are errors of the write, not signals. */
int tt_train_main(const struct tt_train_prog *which, int argc, char **argv);

#endif
