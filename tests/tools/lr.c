/* lr [from EPOCH BASE LAST] SETTINGS...: the learning rate of every step of a run with these settings, in all its bits; what
 * tests/interop/lr_grid.py compares with TorchTitan's. `from`: a run that goes on from a checkpoint with these numbers. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/opt.h"
#include "config/config.h"
#include "train/lr.h"

static void warn(void *ctx, enum tt_log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    fprintf(stderr, "%s\n", line);
}

int main(int argc, char **argv)
{
    const struct tt_prog prog = { .name = "lr" };
    const struct tt_log log = { warn, NULL };
    const bool resumes = argc > 4 && strcmp(argv[1], "from") == 0;
    char **from = argv + 2;
    struct tt_arena arena = { 0 };
    struct tt_config config;
    struct tt_lr_schedule schedule;
    struct tt_lr lr;
    struct tt_err err;

    if (resumes) {
        argc -= 4;
        argv += 4; /* whose first is not looked at */
    }
    if (tt_config_load(&config, &arena, argc, argv, NULL, &err) != TT_OK ||
        tt_lr_schedule_init(&schedule, &config.lr_scheduler, config.training.steps, &log, &err) != TT_OK)
        return tt_prog_report(&prog, &err);
    tt_lr_init(&lr, &schedule, config.optimizer.lr);
    if (resumes) {
        lr.last_epoch = strtoll(from[0], NULL, 10);
        lr.base = strtod(from[1], NULL);
        lr.last = strtod(from[2], NULL);
    }
    const int64_t steps = config.training.steps - lr.last_epoch;
    if (tt_lr_check(&lr, steps, &err) != TT_OK)
        return tt_prog_report(&prog, &err);
    printf("%a\n", lr.last);
    for (int64_t i = 0; i < steps; i++) {
        tt_lr_step(&lr);
        printf("%a\n", lr.last);
    }
    tt_arena_release(&arena);
    return tt_prog_finish(&prog, 0);
}
