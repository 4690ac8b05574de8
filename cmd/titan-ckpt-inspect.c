/* titan-ckpt-inspect: what is in checkpoints. */
#include "ckpt/list.h"
#include "cli/opt.h"

static const struct tt_opt opts[] = {
    { .name = "json", .kind = TT_OPT_FLAG, .offset = offsetof(struct tt_ckpt_list_opts, json),
      .text = "print one JSON object for each key" },
    { 0 },
};

static const struct tt_prog prog = {
    .name = "titan-ckpt-inspect", .synopsis = "[options] CHECKPOINT...", .about = "list the tensors and values of checkpoints",
    .opts = opts, .args_min = 1,
};

int main(int argc, char **argv)
{
    struct tt_ckpt_list_opts how = { 0 };
    struct tt_err err = { 0 };
    int first, failures = 0;

    if (tt_opt_parse(&prog, argc, argv, &how, &first, &err) != TT_OK)
        return tt_prog_usage(&prog, &err);
    for (int i = first; i < argc; i++)
        if (tt_ckpt_list(stdout, argv[i], &how, &err) != TT_OK)
            failures += tt_prog_report(&prog, &err);
    return tt_prog_finish(&prog, failures);
}
