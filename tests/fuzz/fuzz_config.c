/* The command line of titan-train: no crash, and every error has a message. The input's lines are the arguments. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

enum { ARGS_MAX = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tt_arena arena = { .limit = 64 << 20 };
    struct tt_config config;
    struct tt_buf json = { 0 };
    struct tt_err err = { .msg = "" };
    char *argv[ARGS_MAX + 1] = { "titan-train" };
    int argc = 1;
    char *text = tt_arena_strn(&arena, (const char *)data, size);
    for (char *line = text; line && argc < ARGS_MAX; argc++) {
        char *end = strchr(line, '\n');
        argv[argc] = line;
        if (end)
            *end = 0;
        line = end ? end + 1 : NULL;
    }
    for (int i = 1; i < argc; i++) /* no file is read: what it says is fuzz_toml's */
        if (strstr(argv[i], "config") || strstr(argv[i], ".toml") || strstr(argv[i], ".y"))
            argv[i] = "--debug.deterministic";
    const tt_status st = tt_config_load(&config, &arena, argc, argv, NULL, &err);
    if (st == TT_OK ? tt_config_json(&json, &config, &err) != TT_OK : !err.msg[0])
        abort();
    if (st == TT_OK && tt_config_check_ranks(&config, 1, &err) != TT_OK && !err.msg[0])
        abort();
    tt_buf_release(&json);
    tt_arena_release(&arena);
    return 0;
}
