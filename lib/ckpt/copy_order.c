#include <stdlib.h>

#include "ckpt/copy_private.h"
#include "ckpt/unpack.h"

/* Compressed chunks are decoded forward. Segments that each take some rows of one, which is what another number of ranks makes
 * of it, run in the order of those rows, whichever files they go to: so the chunk is decoded once, and nothing of it is spilled. */

enum { OPEN_FILES_MAX = 256 }; /* which are then all open at a time */

/* A segment that is rows [begin, end) of a tensor. */
struct reader {
    const struct tt_entry *src;
    int64_t begin, end;
    uint32_t segment;
};

static int by_rows(const void *pa, const void *pb)
{
    const struct reader *a = pa, *b = pb;
    if (a->src != b->src)
        return a->src < b->src ? -1 : 1;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->segment < b->segment ? -1 : a->segment > b->segment;
}

static void expect(const struct tt_copy *copy, const struct copy_segment *s, bool follows)
{
    for (uint32_t i = 0; i < s->ndata; i++) {
        const struct tt_output_box *box = &copy->data[s->first_data + i].box;
        const struct tt_region region = tt_output_box_region(box);
        tt_unpack_expect(box->output, &region, follows);
    }
}

static bool is_reader(const struct tt_copy *copy, uint32_t segment, struct reader *out)
{
    const struct copy_segment *s = &copy->segments[segment];
    if (s->ndata != 1)
        return false;
    const struct tt_output_box *box = &copy->data[s->first_data].box;
    const struct tt_region region = tt_output_box_region(box);
    out->segment = segment;
    return s->kind != COPY_ARCHIVE && tt_unpack_rows(box->output, &region, &out->src, &out->begin, &out->end);
}

/* Of the readers, in their order: those that begin where the ones before them of the same tensor have ended follow them. */
static void expect_readers(const struct tt_copy *copy, const struct reader *readers, size_t n)
{
    int64_t end = 0;

    for (size_t i = 0; i < n; i++) {
        const bool same = i > 0 && readers[i].src == readers[i - 1].src;
        expect(copy, &copy->segments[readers[i].segment], same && readers[i].begin >= end);
        end = same && end > readers[i].end ? end : readers[i].end;
    }
}

tt_status tt_copy_arrange(struct tt_copy *copy, bool in_order, struct tt_err *err)
{
    struct reader *readers = calloc(copy->nsegments + 1, sizeof *readers);
    size_t nreaders = 0, n = 0;

    if (!readers)
        return tt_err_nomem(err, copy->nsegments * sizeof *readers, "the order of a copy");
    for (uint32_t i = 0; i < copy->nsegments; i++)
        if (!in_order && copy->nfiles <= OPEN_FILES_MAX && is_reader(copy, i, &readers[nreaders]))
            nreaders++;
        else
            expect(copy, &copy->segments[i], false);
    if (nreaders > 0 && !(copy->order = calloc(copy->nsegments, sizeof *copy->order))) {
        free(readers);
        return tt_err_nomem(err, copy->nsegments * sizeof *copy->order, "the order of a copy");
    }
    /* first what is no reader, in the order of the bytes: readers[] has the others in that order still */
    for (uint32_t i = 0, r = 0; copy->order && i < copy->nsegments; i++)
        if (r < nreaders && readers[r].segment == i)
            r++;
        else
            copy->order[n++] = i;
    qsort(readers, nreaders, sizeof *readers, by_rows);
    expect_readers(copy, readers, nreaders);
    for (size_t r = 0; r < nreaders; r++)
        copy->order[n++] = readers[r].segment;
    free(readers);
    return TT_OK;
}
