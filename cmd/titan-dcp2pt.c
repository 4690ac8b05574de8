/* titan-dcp2pt: a DCP checkpoint folder as one .pt file. */
#include <string.h>
#include <unistd.h>

#include "ckpt/write.h"
#include "cli/opt.h"

struct options {
    int64_t threads;
};

static const struct tt_opt opts[] = {
    { .name = "threads", .kind = TT_OPT_INT, .offset = offsetof(struct options, threads), .min = 1, .max = 64, .arg = "N",
      .text = "copy with N threads (default: one a core, at most 4)" },
    { 0 },
};

static const struct tt_prog prog = {
    .name = "titan-dcp2pt", .synopsis = "[options] DCP_DIR FILE.pt", .about = "write a DCP checkpoint as one .pt file",
    .opts = opts, .args_min = 2, .args_max = 2,
};

static tt_status run(const char *dir, const char *path, const struct options *how, struct tt_err *err)
{
    const struct tt_target target = { .format = TT_CKPT_PT, .path = path };
    const struct tt_write_opts copy = { .threads = (int)how->threads, .force = true };
    struct tt_ckpt *ckpt = NULL;
    tt_status st = TT_OK;

    if (strcmp(path, "-") == 0 && isatty(STDOUT_FILENO))
        st = tt_err_set(err, TT_EINVAL, "stdout is a terminal: a .pt file is binary; redirect it");
    if (st == TT_OK)
        st = tt_ckpt_open(&ckpt, dir, err);
    if (st == TT_OK)
        st = tt_ckpt_write(ckpt, &target, &copy, err);
    tt_ckpt_close(ckpt);
    return st;
}

int main(int argc, char **argv)
{
    struct options how = { 0 };
    struct tt_err err = { 0 };
    int first;

    if (tt_opt_parse(&prog, argc, argv, &how, &first, &err) != TT_OK)
        return tt_prog_usage(&prog, &err);
    const int failed = run(argv[first], argv[first + 1], &how, &err) != TT_OK ? tt_prog_report(&prog, &err) : 0;
    return tt_prog_finish(&prog, failed);
}
