#include "train/main.h"

#include <unistd.h>

#include "cli/opt.h"
#include "cli/run_log.h"
#include "cli/signals.h"
#include "config/config.h"
#include "convert/tool.h"
#include "train/trainer.h"

static tt_status run(struct tt_config *config, bool seed, const struct tt_tool_opts *tool, const struct tt_log *log,
                     struct tt_err *err)
{
    struct tt_trainer_opts opts = {
        .log = log, .colors = isatty(STDERR_FILENO), .threads = (int)tool->threads, .dry_run = tool->dry_run
    };

    tt_signals_write_errors();
    if (tool->dry_run) {
        config->job.save_config_file = config->metrics.save_jsonl = NULL;
        config->metrics.enable_tensorboard = false;
    }
    if (seed) {
        config->checkpoint.enable = true;
        config->checkpoint.create_seed_checkpoint = true;
    } else {
        opts.stop = tt_signals_stop();
        opts.started = tt_signals_catch; /* before that there is nothing to finish: a signal ends the process at once */
    }
    return tt_train(config, &opts, err);
}

int tt_train_main(const struct tt_train_prog *which, int argc, char **argv)
{
    struct tt_tool_opts tool = { 0 };
    struct tt_log log = tt_run_log(TT_LOG_INFO);
    struct tt_arena arena = { 0 };
    struct tt_config config;
    struct tt_err err = { 0 };
    const struct tt_prog prog = {
        .name = which->name,
        .synopsis = "[options] [--section.key VALUE]... [FILE.toml]",
        .about = which->about,
        .opts = tt_config_opts(&arena),
        .shared = tt_tool_rows,
        .shared_rows = TT_TOOL_THREADS | TT_TOOL_DRY_RUN | TT_TOOL_QUIET,
    };

    tt_prog_answer(&prog, argc, argv);
    tt_status status = tt_opt_take_shared(&prog, &argc, argv, &tool, &err);
    if (tool.quiet)
        log = tt_run_log(TT_LOG_WARNING);
    if (status == TT_OK)
        status = tt_config_load(&config, &arena, argc, argv, &log, &err);
    if (status == TT_OK)
        status = run(&config, which->seed, &tool, &log, &err);
    const int exit_status = status == TT_EUSAGE ? tt_prog_usage(&prog, &err)
                                                : tt_prog_finish(&prog, status == TT_OK ? 0 : tt_prog_report(&prog, &err));
    tt_arena_release(&arena);
    return status == TT_OK && *tt_signals_stop() ? tt_signals_end() : exit_status;
}
