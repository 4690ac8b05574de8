/* titan-train: trains a model as TorchTitan's settings say. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/opt.h"
#include "cli/run_log.h"
#include "config/config.h"
#include "train/trainer.h"

static volatile sig_atomic_t stopped_by;

/* The first signal lets the step in progress finish; the second one, handled as by default, does not. */
static void on_signal(int sig) { stopped_by = sig; }

static void catch_signals(void)
{
    static const int caught[] = { SIGINT, SIGTERM };
    const struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART };
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        sigaction(caught[i], &action, NULL);
    /* A reader that goes away, a limit on the size of files: errors of the write, which say which file. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* Whoever started a program that a signal ended wants to see that in its status. */
static int end_by_signal(int sig)
{
    signal(sig, SIG_DFL);
    raise(sig);
    return 128 + sig;
}

int main(int argc, char **argv)
{
    const struct tt_log log = tt_run_log();
    struct tt_arena arena = { 0 };
    struct tt_config config;
    struct tt_err err = { 0 };
    const struct tt_prog prog = {
        .name = "titan-train",
        .synopsis = "[--section.key VALUE]... [FILE.toml]",
        .about = "train a language model as TorchTitan does",
        .opts = tt_config_opts(&arena),
    };

    tt_prog_answer(&prog, argc, argv);
    tt_status status = tt_config_load(&config, &arena, argc, argv, &log, &err);
    if (status == TT_OK) {
        const struct tt_trainer_opts opts = { .log = &log, .colors = isatty(STDERR_FILENO), .stop = &stopped_by };
        catch_signals();
        status = tt_train(&config, &opts, &err);
    }
    const int exit_status = status == TT_EUSAGE ? tt_prog_usage(&prog, &err)
                                                : tt_prog_finish(&prog, status == TT_OK ? 0 : tt_prog_report(&prog, &err));
    tt_arena_release(&arena);
    return status == TT_OK && stopped_by ? end_by_signal(stopped_by) : exit_status;
}
