/* Reads settings as titan-train does and prints them as JSON: what tests/interop/config_cli.py compares with TorchTitan's. Under
 * the name titan-train or titan-seed its --help-man and --help-completion are theirs. `flavor FAMILY FLAVOR` prints model args; `read ...`
 * takes what titan-train would refuse too. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/opt.h"
#include "config/config.h"
#include "family/args.h"
#include "value/json.h"

static void warn(void *ctx, enum tt_log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    fprintf(stderr, "warning: %s\n", line);
}

static int print_flavor(const struct tt_prog *prog, const char *family, const char *flavor)
{
    struct tt_model_args a;
    struct tt_err err;
    struct tt_buf out = { 0 };
    if (tt_model_args_load(&a, family, flavor, &err) != TT_OK || tt_model_args_json(&out, family, &a, &err) != TT_OK)
        return tt_prog_report(prog, &err);
    puts(tt_buf_cstr(&out));
    tt_buf_release(&out);
    return tt_prog_finish(prog, 0);
}

int main(int argc, char **argv)
{
    struct tt_arena arena = { 0 };
    struct tt_prog prog = { .name = tt_path_base(argv[0]),
                            .synopsis = "[FILE.toml] [--section.key value ...]",
                            .about = "print settings as JSON",
                            .opts = tt_config_opts(&arena) };
    const struct tt_log log = { warn, NULL };
    struct tt_config config;
    struct tt_buf json = { 0 };
    struct tt_err err;

    tt_prog_answer(&prog, argc, argv);
    if (argc == 4 && strcmp(argv[1], "flavor") == 0)
        return print_flavor(&prog, argv[2], argv[3]);
    const bool any = argc > 1 && strcmp(argv[1], "read") == 0;
    const tt_status st =
        any ? tt_config_read(&config, &arena, argc - 1, argv + 1, &err) : tt_config_load(&config, &arena, argc, argv, &log, &err);
    if (st != TT_OK || tt_config_json(&json, &config, &err) != TT_OK)
        return err.status == TT_EUSAGE ? tt_prog_usage(&prog, &err) : tt_prog_report(&prog, &err);
    puts(tt_buf_cstr(&json));
    tt_buf_release(&json);
    tt_arena_release(&arena);
    return tt_prog_finish(&prog, 0);
}
