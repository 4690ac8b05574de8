#include "train/main.h"

#include <signal.h>
#include <unistd.h>

#include "cli/opt.h"
#include "cli/run_log.h"
#include "config/config.h"
#include "train/trainer.h"

/* --- signals ------------------------------------------------------------------------------------------------------------------ */

static volatile sig_atomic_t stopped_by; /* a handler has nowhere else to write to */

/* The first signal lets the step in progress finish; the second one, handled as by default, does not. */
static void on_signal(int sig) { stopped_by = sig; }

static void catch_stops(void)
{
    static const int caught[] = { SIGINT, SIGTERM };
    const struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART };
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        sigaction(caught[i], &action, NULL);
}

/* Whoever started a program that a signal ended wants to see that in its status. */
static int end_by_signal(int sig)
{
    signal(sig, SIG_DFL);
    raise(sig);
    return 128 + sig;
}

/* --- the program -------------------------------------------------------------------------------------------------------------- */

static tt_status run(struct tt_config *config, bool seed, const struct tt_log *log, struct tt_err *err)
{
    struct tt_trainer_opts opts = { .log = log, .colors = isatty(STDERR_FILENO) };

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (seed) {
        config->checkpoint.enable = true;
        config->checkpoint.create_seed_checkpoint = true;
    } else {
        opts.stop = &stopped_by;
        opts.started = catch_stops; /* before that there is nothing to finish: a signal ends the process at once */
    }
    return tt_train(config, &opts, err);
}

int tt_train_main(const struct tt_train_prog *which, int argc, char **argv)
{
    const struct tt_log log = tt_run_log();
    struct tt_arena arena = { 0 };
    struct tt_config config;
    struct tt_err err = { 0 };
    const struct tt_prog prog = {
        .name = which->name,
        .synopsis = "[--section.key VALUE]... [FILE.toml]",
        .about = which->about,
        .opts = tt_config_opts(&arena),
    };

    tt_prog_answer(&prog, argc, argv);
    tt_status status = tt_config_load(&config, &arena, argc, argv, &log, &err);
    if (status == TT_OK)
        status = run(&config, which->seed, &log, &err);
    const int exit_status = status == TT_EUSAGE ? tt_prog_usage(&prog, &err)
                                                : tt_prog_finish(&prog, status == TT_OK ? 0 : tt_prog_report(&prog, &err));
    tt_arena_release(&arena);
    return status == TT_OK && stopped_by ? end_by_signal(stopped_by) : exit_status;
}
