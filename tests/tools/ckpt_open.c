/* ckpt_open CHECKPOINT: opens it, as every tool begins; one line of what that took. For tests and benchmarks. */
#include <stdio.h>

#include "base/clock.h"
#include "ckpt/ckpt.h"

int main(int argc, char **argv)
{
    struct tt_ckpt *ckpt = NULL;
    struct tt_err err;
    size_t nchunks = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: ckpt_open CHECKPOINT\n");
        return 2;
    }
    const double began = tt_seconds();
    if (tt_ckpt_open(&ckpt, argv[1], &err) != TT_OK) {
        fprintf(stderr, "ckpt_open: %s\n", err.msg);
        return 1;
    }
    for (size_t i = 0; i < ckpt->entries.n; i++)
        nchunks += ckpt->entries.items[i].nchunks;
    printf("%zu keys, %zu chunks, %zu bytes of catalogue, %.1f ms\n", ckpt->entries.n, nchunks, ckpt->entries.arena.used,
           1000 * (tt_seconds() - began));
    tt_ckpt_close(ckpt);
    return 0;
}
