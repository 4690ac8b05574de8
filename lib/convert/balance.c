#include "convert/balance.h"

#include <stdlib.h>

struct tt_choice {
    struct tt_placed *placed;
    uint64_t nbytes;
    size_t order; /* of tt_balance_open */
    struct tt_candidates among;
};

tt_status tt_balance_init(struct tt_balance *b, uint32_t nfiles, struct tt_err *err)
{
    *b = (struct tt_balance){ .load = calloc(nfiles, sizeof *b->load), .nfiles = nfiles };
    return b->load ? TT_OK : tt_err_nomem(err, nfiles * sizeof *b->load, "the sizes of files");
}

void tt_balance_release(struct tt_balance *b)
{
    free(b->load);
    free(b->choices);
    *b = (struct tt_balance){ 0 };
}

tt_status tt_balance_open(struct tt_balance *b, struct tt_placed *placed, uint64_t nbytes, const struct tt_candidates *among,
                          struct tt_err *err)
{
    if (b->n == b->cap) {
        const size_t cap = b->cap ? 2 * b->cap : 1024;
        struct tt_choice *p = realloc(b->choices, cap * sizeof *p);
        if (!p)
            return tt_err_nomem(err, cap * sizeof *p, "the places of a checkpoint's items");
        b->choices = p;
        b->cap = cap;
    }
    b->choices[b->n] = (struct tt_choice){ placed, nbytes, b->n, *among };
    b->n++;
    return TT_OK;
}

static int by_size(const void *x, const void *y)
{
    const struct tt_choice *a = x, *b = y;
    if (!a->among.ranks != !b->among.ranks)
        return a->among.ranks ? -1 : 1;
    if (a->nbytes != b->nbytes)
        return a->nbytes > b->nbytes ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static bool is_before(const struct tt_balance *b, uint32_t f, uint32_t g)
{
    return b->load[f] != b->load[g] ? b->load[f] < b->load[g] : f < g;
}

static uint32_t least_of(const struct tt_balance *b, const struct tt_candidates *among)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < among->nbases; i++)
        for (uint32_t j = 0; j < among->nranks; j++) {
            const uint32_t f = among->bases[i] + among->ranks[j];
            if (least == UINT32_MAX || is_before(b, f, least))
                least = f;
        }
    return least;
}

/* Lets heap[at] down to where it belongs: the file with the fewest bytes is at the root. */
static void sink(const struct tt_balance *b, uint32_t *heap, uint32_t at)
{
    for (;;) {
        const uint32_t left = 2 * at + 1;
        uint32_t least = at;
        for (uint32_t i = left; i < b->nfiles && i <= left + 1; i++)
            if (is_before(b, heap[i], heap[least]))
                least = i;
        if (least == at)
            return;
        const uint32_t f = heap[at];
        heap[at] = heap[least];
        heap[least] = f;
        at = least;
    }
}

static void give(struct tt_balance *b, const struct tt_choice *c, uint32_t file)
{
    c->placed->file = file;
    b->load[file] += c->nbytes;
}

tt_status tt_balance_decide(struct tt_balance *b, struct tt_err *err)
{
    uint32_t *heap = calloc(b->nfiles, sizeof *heap);
    size_t i = 0;

    if (!heap)
        return tt_err_nomem(err, b->nfiles * sizeof *heap, "the sizes of files");
    if (b->n)
        qsort(b->choices, b->n, sizeof *b->choices, by_size);
    for (; i < b->n && b->choices[i].among.ranks; i++)
        give(b, &b->choices[i], least_of(b, &b->choices[i].among));
    for (uint32_t f = 0; f < b->nfiles; f++)
        heap[f] = f;
    for (uint32_t at = b->nfiles / 2; at-- > 0;)
        sink(b, heap, at);
    for (; i < b->n; i++) {
        give(b, &b->choices[i], heap[0]);
        sink(b, heap, 0);
    }
    free(heap);
    b->n = 0;
    return TT_OK;
}
