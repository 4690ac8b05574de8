#include "ckpt/crc_share.h"

#include <stdlib.h>

#include "ckpt/ckpt_private.h"
#include "format/zip.h"

static int order(uint64_t a, uint64_t b) { return a < b ? -1 : a > b; }

static int by_storage(const struct tt_crc_share *a, const struct tt_crc_share *b)
{
    const int file = order(a->file, b->file), offset = order(a->offset, b->offset), nbytes = order(a->nbytes, b->nbytes);
    return file ? file : offset ? offset : nbytes ? nbytes : order(a->crc, b->crc);
}

static int by_place(const void *x, const void *y)
{
    const struct tt_crc_share *a = x, *b = y;
    const int storage = by_storage(a, b);
    return storage ? storage : order(a->where, b->where);
}

static tt_status damaged(struct tt_ckpt *ckpt, const struct tt_crc_share *s, uint32_t found, struct tt_err *err)
{
    const struct tt_infile *file = NULL;
    tt_status st = tt_files_pin(&ckpt->files, s->file, &file, err);
    if (st == TT_OK) {
        st = tt_crc_damaged(file->path, ckpt->entries.items[s->entry].fqn, s->offset, s->crc, found, err);
        tt_files_unpin(&ckpt->files, s->file);
    }
    return st;
}

/* n shares of one storage. Readers of the same bytes who found different ones are not both right. */
static tt_status check_storage(struct tt_ckpt *ckpt, const struct tt_crc_share *s, size_t n, struct tt_err *err)
{
    struct tt_crc_sum all = { 0 };
    uint32_t other = 0;

    for (size_t i = 0; i < n; i++)
        if (i == 0 || s[i].where != s[i - 1].where)
            tt_crc_sum_join(&all, &(struct tt_crc_sum){ s[i].where, s[i].found });
        else if (s[i].found != s[i - 1].found)
            other = s[i].found ^ s[i - 1].found;
    if (other != 0)
        return damaged(ckpt, s, s->crc ^ other, err);
    if (!tt_crc_sum_is_whole(&all, s->nbytes) || tt_crc32_agrees(s->crc, all.crc))
        return TT_OK;
    return damaged(ckpt, s, all.crc, err);
}

tt_status tt_crc_shares_check(struct tt_ckpt *ckpt, struct tt_crc_share *shares, size_t n, struct tt_err *err)
{
    tt_status st = TT_OK;
    size_t end;

    if (n)
        qsort(shares, n, sizeof *shares, by_place);
    for (size_t i = 0; i < n && st == TT_OK; i = end) {
        for (end = i + 1; end < n && by_storage(&shares[i], &shares[end]) == 0; end++)
            ;
        st = check_storage(ckpt, &shares[i], end - i, err);
    }
    return st;
}
