/* quant block128|mxfp4 [transpose] CKPT KEY SCALES DTYPE > elements: a quantized tensor as numbers; for tests/interop/quant.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/output.h"

static tt_status dump(struct tt_ckpt *ckpt, const struct tt_output *o, struct tt_err *err)
{
    const struct tt_region all = tt_region_make(o->ndim, NULL, o->shape);
    uint8_t *block = malloc(TT_BLOCK_NBYTES);
    struct tt_assembler *assembler = NULL;
    int64_t numel = 0;
    tt_status st = block ? tt_output_check(o, err) : tt_err_nomem(err, TT_BLOCK_NBYTES, "a buffer");

    if (st == TT_OK)
        st = tt_assembler_new(&assembler, ckpt, NULL, err);
    if (st == TT_OK && !tt_numel(o->ndim, o->shape, &numel))
        st = tt_err_set(err, TT_EINVAL, "too large an output");
    for (int64_t first = 0, n; first < numel && st == TT_OK; first += n) {
        struct tt_region piece;
        n = tt_output_piece(&piece, o, &all, first);
        st = tt_assemble(assembler, o, &piece, block, err);
        if (st == TT_OK && fwrite(block, tt_dtype_nbytes(o->dtype), (size_t)n, stdout) != (size_t)n)
            st = tt_err_set(err, TT_EIO, "stdout");
    }
    tt_assembler_free(assembler);
    free(block);
    return st;
}

int main(int argc, char **argv)
{
    struct tt_ckpt *ckpt = NULL;
    struct tt_err err;
    const bool turned = argc == 7 && strcmp(argv[2], "transpose") == 0, is_mxfp4 = argc > 1 && strcmp(argv[1], "mxfp4") == 0;
    char **args = argv + (turned ? 3 : 2);
    struct tt_part part = { .quant = is_mxfp4 ? TT_QUANT_MXFP4 : TT_QUANT_BLOCK128,
                            .map = turned ? TT_MAP_TRANSPOSE : TT_MAP_SAME };
    struct tt_output o = { .parts = &part, .nparts = 1 };
    int64_t shape[TT_NDIM_MAX];

    if (argc != (turned ? 7 : 6) || !tt_dtype_from_torch(args[3], &o.dtype))
        return 2;
    tt_status st = tt_ckpt_open(&ckpt, args[0], &err);
    if (st == TT_OK) {
        part.src = tt_entries_find(&ckpt->entries, args[1]);
        part.scales = tt_entries_find(&ckpt->entries, args[2]);
        if (!part.src || !part.scales)
            st = tt_err_set(&err, TT_ENOENT, "%s: no such keys", args[0]);
    }
    if (st == TT_OK) {
        const struct tt_entry *src = part.src;
        o.fqn = src->fqn;
        o.ndim = src->ndim - is_mxfp4;
        o.shape = shape;
        memcpy(shape, src->shape, (size_t)src->ndim * sizeof *shape);
        if (is_mxfp4)
            shape[o.ndim - 1] = src->shape[src->ndim - 2] * src->shape[src->ndim - 1] * 2;
        if (turned) {
            const int64_t rows = shape[o.ndim - 2];
            shape[o.ndim - 2] = shape[o.ndim - 1];
            shape[o.ndim - 1] = rows;
        }
        st = dump(ckpt, &o, &err);
    }
    if (ckpt)
        tt_ckpt_close(ckpt);
    if (st != TT_OK)
        fprintf(stderr, "quant: %s\n", err.msg);
    return st != TT_OK || fflush(stdout) != 0;
}
