#include "train/main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/opt.h"
#include "cli/run_log.h"
#include "cli/signals.h"
#include "comm/launch.h"
#include "config/config.h"
#include "convert/tool.h"
#include "plot/plot.h"
#include "train/generate.h"
#include "train/trainer.h"

enum { RUN_AGAIN = 75 }; /* EX_TEMPFAIL of sysexits.h: schedulers can be told to start such a job again */

static tt_status run(bool *stopped, struct tt_config *config, bool seed, const struct tt_tool_opts *tool, const struct tt_log *log,
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
        opts.started = tt_signals_catch_notice; /* before that there is nothing to finish */
        tt_signals_exit(tt_launch_rank() == 0 ? "titan-train: stopped by a signal before the first step\n" : "", RUN_AGAIN);
    }
    return tt_train(stopped, config, &opts, err);
}

/* --- text --------------------------------------------------------------------------------------------------------------------- */

static tt_status put_text(void *ctx, const char *text, size_t nbytes, struct tt_err *err)
{
    (void)ctx;
    if (fwrite(text, 1, nbytes, stdout) != nbytes || fflush(stdout) != 0)
        return tt_err_errno(err, errno, "standard output");
    return TT_OK;
}

static tt_status generate(const struct tt_config *config, const struct tt_tool_opts *tool, const struct tt_log *log, struct tt_err *err)
{
    const struct tt_generate_opts opts = { .log = log, .threads = (int)tool->threads, .dry_run = tool->dry_run, .put = put_text };

    tt_signals_write_errors();
    return tt_generate(config, &opts, err);
}

/* --- pictures of runs --------------------------------------------------------------------------------------------------------- */

struct plot_opts {
    const char *svg; /* a file, "-" for stdout, "" for a terminal; NULL: nothing is to be drawn */
};

static const struct tt_opt plot_rows[] = {
    { "plot", TT_OPT_STR, offsetof(struct plot_opts, svg), .arg = "FILE.svg", .implied = "",
      .text =
          "Train nothing; draw the runs in the files RUN.jsonl that follow, as metrics.save_jsonl writes them: as text on standard "
          "output, or as a picture into FILE.svg (- for standard output)." },
    { 0 },
};

/* The program's own option, and then the settings. */
static const struct tt_opt *train_rows(struct tt_arena *arena)
{
    const struct tt_opt *settings = tt_config_opts(arena);
    size_t n = 0;
    while (settings && settings[n].name)
        n++;
    struct tt_opt *rows = tt_arena_array(arena, n + 2, sizeof *rows);
    if (!settings || !rows)
        return settings;
    rows[0] = plot_rows[0];
    memcpy(rows + 1, settings, n * sizeof *rows);
    return rows;
}

static int columns_of_stdout(void)
{
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col - 1 : 79;
}

static tt_status put_plot(const char *svg, const struct tt_plot_run *runs, size_t nruns, struct tt_err *err)
{
    struct tt_buf out = { 0 };
    if (*svg)
        tt_plot_svg(&out, runs, nruns);
    else
        tt_plot_text(&out, runs, nruns, columns_of_stdout(), isatty(STDOUT_FILENO));
    tt_status st = tt_buf_check(&out, "the picture", err);
    if (st == TT_OK && *svg && strcmp(svg, "-") != 0)
        st = tt_file_write_all(svg, out.data, out.len, err);
    else if (st == TT_OK)
        fwrite(out.data, 1, out.len, stdout); /* whether that went well is asked when stdout is closed */
    tt_buf_release(&out);
    return st;
}

/* argv[1 .. argc): the files. */
static tt_status plot(const char *svg, int argc, char **argv, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_plot_run *runs = tt_arena_array(&arena, (size_t)argc, sizeof *runs);
    size_t nruns = 0;
    tt_status st = runs ? TT_OK : tt_err_nomem(err, (size_t)argc * sizeof *runs, "the runs");

    for (int i = 1; st == TT_OK && i < argc; i++)
        if (strncmp(argv[i], "--", 2) == 0)
            st = tt_err_set(err, TT_EUSAGE, "%s: --plot takes files and no other option", argv[i]);
        else
            st = tt_plot_read(&runs[nruns++], &arena, argv[i], err);
    if (st == TT_OK && nruns == 0)
        st = tt_err_set(err, TT_EUSAGE, "--plot: expected at least 1 file, found none");
    if (st == TT_OK)
        st = put_plot(svg, runs, nruns, err);
    tt_arena_release(&arena);
    return st;
}

/* --- the program -------------------------------------------------------------------------------------------------------------- */

static tt_status train(bool *stopped, const struct tt_prog *prog, bool seed, int argc, char **argv, struct tt_arena *arena,
                       struct tt_err *err)
{
    struct tt_tool_opts tool = { 0 };
    struct tt_log log = tt_run_log(TT_LOG_INFO);
    struct tt_config config;

    tt_status status = tt_opt_take_shared(prog, &argc, argv, &tool, err);
    if (!tt_launch_logs(tt_launch_rank()))
        log = tt_run_log(TT_LOG_ERROR);
    else if (tool.quiet)
        log = tt_run_log(TT_LOG_WARNING);
    if (status == TT_OK)
        status = tt_config_load(&config, arena, argc, argv, &log, err);
    if (status != TT_OK) {
        tt_launch_after_first();
        return status;
    }
    if (config.generate.prompt && !seed) {
        status = generate(&config, &tool, &log, err);
        if (status != TT_OK)
            tt_launch_after_first();
        return status;
    }
    return run(stopped, &config, seed, &tool, &log, err);
}

int tt_train_main(const struct tt_train_prog *which, int argc, char **argv)
{
    struct plot_opts draw = { 0 };
    struct tt_arena arena = { 0 };
    struct tt_err err = { 0 };
    tt_status status = TT_OK;
    bool stopped = false;
    const struct tt_prog plots = { .name = which->name, .shared = plot_rows, .shared_rows = 1 };
    const struct tt_prog prog = {
        .name = which->name,
        .synopsis = "[options] [--section.key VALUE]... [FILE.toml]",
        .about = which->about,
        .opts = which->seed ? tt_config_opts(&arena) : train_rows(&arena),
        .shared = tt_tool_rows,
        .shared_rows = TT_TOOL_THREADS | TT_TOOL_DRY_RUN | TT_TOOL_QUIET,
    };

    tt_prog_answer(&prog, argc, argv);
    if (!which->seed)
        status = tt_opt_take_shared(&plots, &argc, argv, &draw, &err);
    if (status == TT_OK)
        status = draw.svg ? plot(draw.svg, argc, argv, &err) : train(&stopped, &prog, which->seed, argc, argv, &arena, &err);
    const int exit_status = status == TT_EUSAGE ? tt_prog_usage(&prog, &err)
                                                : tt_prog_finish(&prog, status == TT_OK ? 0 : tt_prog_report(&prog, &err));
    tt_arena_release(&arena);
    if (!stopped || exit_status != 0)
        return exit_status;
    return *tt_signals_stop() == SIGINT ? tt_signals_end() : RUN_AGAIN;
}
