/* titan-seed: writes the checkpoint of step 0, a model's initial weights, which every layout of ranks can start from. */
#include "cli/opt.h"
#include "cli/run_log.h"
#include "config/config.h"
#include "train/trainer.h"

int main(int argc, char **argv)
{
    const struct tt_log log = tt_run_log();
    struct tt_arena arena = { 0 };
    struct tt_config config;
    struct tt_err err = { 0 };
    const struct tt_prog prog = {
        .name = "titan-seed",
        .synopsis = "[--section.key VALUE]... [FILE.toml]",
        .about = "write a seed checkpoint: the initial weights of a model",
        .opts = tt_config_opts(&arena),
    };

    tt_prog_answer(&prog, argc, argv);
    tt_status status = tt_config_load(&config, &arena, argc, argv, &log, &err);
    if (status == TT_OK) {
        config.checkpoint.enable = true;
        config.checkpoint.create_seed_checkpoint = true;
        status = tt_train(&config, &(struct tt_trainer_opts){ .log = &log }, &err);
    }
    const int exit_status = status == TT_EUSAGE ? tt_prog_usage(&prog, &err)
                                                : tt_prog_finish(&prog, status == TT_OK ? 0 : tt_prog_report(&prog, &err));
    tt_arena_release(&arena);
    return exit_status;
}
