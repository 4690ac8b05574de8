#include "program/pack.h"

#include <stdbool.h>
#include <stdlib.h>

static bool meet(const struct tt_item *a, const struct tt_item *b)
{
    for (int i = 0, j = 0; i < a->nspans && j < b->nspans;) {
        if (a->span[i].end < b->span[j].begin)
            i++;
        else if (b->span[j].end < a->span[i].begin)
            j++;
        else
            return true;
    }
    return false;
}

/* Orders of placement; equal ones by number, so that the packing does not depend on qsort's mood. */
static int by_number(const struct tt_item *a, const struct tt_item *b)
{
    return a < b ? -1 : a > b;
}

static int largest_first(const void *va, const void *vb)
{
    const struct tt_item *a = *(const struct tt_item *const *)va, *b = *(const struct tt_item *const *)vb;
    return a->nbytes != b->nbytes ? (a->nbytes > b->nbytes ? -1 : 1) : by_number(a, b);
}

static int oldest_first(const void *va, const void *vb)
{
    const struct tt_item *a = *(const struct tt_item *const *)va, *b = *(const struct tt_item *const *)vb;
    return a->span[0].begin != b->span[0].begin ? (a->span[0].begin < b->span[0].begin ? -1 : 1) : largest_first(va, vb);
}

static int end_of(const struct tt_item *item) { return item->span[item->nspans - 1].end; }

/* Gradients that come while activations go: what stays to the end, from the last of it on, leaves the activations' bottom to them. */
static int latest_first(const void *va, const void *vb)
{
    const struct tt_item *a = *(const struct tt_item *const *)va, *b = *(const struct tt_item *const *)vb;
    return end_of(a) != end_of(b) ? (end_of(a) > end_of(b) ? -1 : 1) : -oldest_first(va, vb);
}

static double bytes_times_life(const struct tt_item *item)
{
    return (double)item->nbytes * (double)(end_of(item) - item->span[0].begin + 1);
}

static int dearest_first(const void *va, const void *vb)
{
    const double a = bytes_times_life(*(const struct tt_item *const *)va), b = bytes_times_life(*(const struct tt_item *const *)vb);
    return a != b ? (a > b ? -1 : 1) : oldest_first(va, vb);
}

/* The lowest place where item meets none of the placed ones, which stand in order of offset. */
static uint64_t lowest_gap(const struct tt_item *item, struct tt_item *const *placed, int nplaced, uint64_t align)
{
    uint64_t at = 0;

    for (int i = 0; i < nplaced; i++) {
        const struct tt_item *p = placed[i];
        if (p->offset + p->nbytes <= at || !meet(item, p))
            continue;
        if (p->offset >= at + item->nbytes)
            break;
        at = (p->offset + p->nbytes + align - 1) / align * align;
    }
    return at;
}

static uint64_t place_all(struct tt_item **order, struct tt_item **placed, int n, uint64_t align)
{
    uint64_t total = 0;

    for (int i = 0; i < n; i++) {
        struct tt_item *item = order[i];
        item->offset = lowest_gap(item, placed, i, align);
        total = item->offset + item->nbytes > total ? item->offset + item->nbytes : total;
        int at = i;
        for (; at > 0 && placed[at - 1]->offset > item->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = item;
    }
    return total;
}

/* Bytes that come alive at a time, or (as a two's complement, which wraps back) go. */
struct change {
    int64_t time;
    uint64_t nbytes;
};

static int by_time(const void *va, const void *vb)
{
    const struct change *a = va, *b = vb;
    return (a->time > b->time) - (a->time < b->time);
}

/* The most that is alive at once; what ends at a time is alive in it. */
static tt_status most_alive(uint64_t *out, const struct tt_item *items, int n, struct tt_err *err)
{
    size_t nspans = 0, nchanges = 0;
    for (int i = 0; i < n; i++)
        nspans += (size_t)items[i].nspans;
    struct change *change = calloc(2 * nspans + 1, sizeof *change);
    if (!change)
        return tt_err_nomem(err, 2 * nspans * sizeof *change, "the plan of a step");
    for (int i = 0; i < n; i++)
        for (int s = 0; s < items[i].nspans; s++) {
            change[nchanges++] = (struct change){ items[i].span[s].begin, items[i].nbytes };
            change[nchanges++] = (struct change){ (int64_t)items[i].span[s].end + 1, -items[i].nbytes };
        }
    qsort(change, nchanges, sizeof *change, by_time);

    uint64_t alive = 0, most = 0;
    for (size_t c = 0; c < nchanges; c++) {
        alive += change[c].nbytes;
        if ((c + 1 == nchanges || change[c + 1].time != change[c].time) && alive > most)
            most = alive;
    }
    free(change);
    *out = most;
    return TT_OK;
}

tt_status tt_pack(struct tt_item *items, int n, uint64_t align, uint64_t *total, uint64_t *live_max, struct tt_err *err)
{
    static int (*const orders[])(const void *, const void *) = { largest_first, oldest_first, latest_first, dearest_first };
    enum { NORDERS = sizeof orders / sizeof *orders };
    struct tt_item **order = calloc((size_t)n + 1, sizeof *order), **placed = calloc((size_t)n + 1, sizeof *placed);
    uint64_t least = UINT64_MAX, found = 0;
    int best = 0;

    if (!order || !placed) {
        free(order);
        free(placed);
        return tt_err_nomem(err, 2 * (size_t)n * sizeof *order, "the plan of a step");
    }
    for (int i = 0; i < n; i++)
        order[i] = &items[i];
    for (int k = 0; k <= NORDERS; k++) { /* the best of them once more, at the end */
        const int which = k < NORDERS ? k : best;
        qsort(order, (size_t)n, sizeof *order, orders[which]);
        found = place_all(order, placed, n, align);
        if (found < least) {
            least = found;
            best = which;
        }
    }
    const tt_status status = most_alive(live_max, items, n, err);
    if (status == TT_OK)
        *total = found;
    free(order);
    free(placed);
    return status;
}
