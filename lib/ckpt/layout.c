#include "ckpt/layout.h"

#include <inttypes.h>
#include <string.h>

#include "base/map.h"
#include "tensor/region.h"

/* --- degrees ----------------------------------------------------------------------------------------------------------------- */

static int64_t fsdp(const struct tt_degrees *d) { return d->dp_shard * d->cp; }
static int64_t efsdp(const struct tt_degrees *d) { return fsdp(d) * d->tp / (d->ep * d->etp); }

tt_status tt_degrees_check(const struct tt_degrees *d, struct tt_err *err)
{
    const struct {
        const char *name;
        int64_t v;
    } each[] = { { "data_parallel_replicate_degree", d->dp_replicate },
                 { "data_parallel_shard_degree", d->dp_shard },
                 { "context_parallel_degree", d->cp },
                 { "tensor_parallel_degree", d->tp },
                 { "pipeline_parallel_degree", d->pp },
                 { "expert_parallel_degree", d->ep },
                 { "expert_tensor_parallel_degree", d->etp } };
    int64_t n = 1;

    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        if (each[i].v < 1 || each[i].v > TT_RANKS_MAX)
            return tt_err_set(err, TT_EINVAL, "%s: expected a degree from 1 to %d, found %" PRId64, each[i].name, TT_RANKS_MAX,
                              each[i].v);
        if (i < 5)
            n *= each[i].v;
        if (n > TT_RANKS_MAX)
            return tt_err_set(err, TT_EINVAL, "the degrees make more than %d ranks", TT_RANKS_MAX);
    }
    if (d->ep > 1 && d->etp != 1 && d->etp != d->tp)
        return tt_err_set(err, TT_EINVAL,
                          "expert_tensor_parallel_degree: expected 1 or the tensor_parallel_degree %" PRId64 ", found %" PRId64,
                          d->tp, d->etp);
    if (fsdp(d) * d->tp % (d->ep * d->etp))
        return tt_err_set(err, TT_EINVAL,
                          "expert_parallel_degree %" PRId64 " times expert_tensor_parallel_degree %" PRId64
                          " does not divide the dp_shard(%" PRId64 ") * cp(%" PRId64 ") * tp(%" PRId64 ") ranks of a replica",
                          d->ep, d->etp, d->dp_shard, d->cp, d->tp);
    return TT_OK;
}

int64_t tt_degrees_stage_nranks(const struct tt_degrees *d) { return d->dp_replicate * fsdp(d) * d->tp; }
int64_t tt_degrees_nranks(const struct tt_degrees *d) { return d->pp * tt_degrees_stage_nranks(d); }

/* --- cuts -------------------------------------------------------------------------------------------------------------------- */

/* One mesh dimension cutting one of the tensor's: piece `at` of n. split > 1: the dimension is first cut into `split` pieces, each of
 * these n ways, and the rank has its share of each (_StridedShard). */
struct cut {
    int dim;
    int64_t n, at, split;
};

enum { CUTS_MAX = 3 }; /* FSDP, ep, etp; in PyTorch's order, FSDP first */

struct cuts {
    struct cut c[CUTS_MAX];
    int n;
};

static void add_cut(struct cuts *cuts, int dim, int64_t n, int64_t at, int64_t split)
{
    if (n > 1 && dim >= 0)
        cuts->c[cuts->n++] = (struct cut){ dim, n, at, split };
}

/* Which dimension FSDP cuts. */
static int fsdp_dim(const struct tt_degrees *d, const struct tt_spread *how, const int64_t *shape)
{
    return how->experts && d->ep > 1 && efsdp(d) * d->ep > shape[0] ? 1 : 0;
}

/* What happens to a tensor on the way to a rank of its pipeline rank. */
static struct cuts cuts_of(const struct tt_degrees *d, const struct tt_spread *how, const int64_t *shape, int64_t rank)
{
    struct cuts cuts = { .n = 0 };
    if (how->whole)
        return cuts;
    if (how->experts && d->ep > 1) {
        const int dim = fsdp_dim(d, how, shape);
        const int64_t sharded = dim == 0 ? d->ep : how->tp_dim == dim ? d->etp : 1;
        if (fsdp(d) > 1)
            add_cut(&cuts, dim, efsdp(d), rank / (d->ep * d->etp) % efsdp(d), sharded);
        add_cut(&cuts, 0, d->ep, rank / d->etp % d->ep, 1);
        add_cut(&cuts, how->tp_dim, d->etp, rank % d->etp, 1);
        return cuts;
    }
    add_cut(&cuts, 0, fsdp(d), rank / d->tp % fsdp(d), how->tp_dim == 0 ? d->tp : 1);
    add_cut(&cuts, how->tp_dim, d->tp, rank % d->tp, 1);
    return cuts;
}

/* What the rank has: the cuts in the order in which they were made, FSDP's last. */
static struct tt_region held(const struct cuts *cuts, int ndim, const int64_t *shape)
{
    struct tt_region r = tt_region_make(ndim, NULL, shape);
    for (int i = cuts->n - 1; i >= 0; i--) {
        const struct cut *c = &cuts->c[i];
        const struct tt_run p = tt_chunk(r.size[c->dim], c->n, c->at);
        r.offset[c->dim] += p.at;
        r.size[c->dim] = p.len;
    }
    return r;
}

/* The elements of one dimension that PyTorch says a rank has: runs, in the order in which it has them. */
struct runs {
    struct tt_run *run;
    size_t n;
};

/* Appends elements [at, at + len) of what `from` lists. */
static void select_run(struct runs *out, const struct runs *from, struct tt_run want)
{
    for (size_t i = 0; i < from->n && want.len > 0; i++) {
        const struct tt_run *r = &from->run[i];
        if (want.at < r->len) {
            const int64_t len = r->len - want.at < want.len ? r->len - want.at : want.len;
            struct tt_run *last = out->n ? &out->run[out->n - 1] : NULL;
            if (last && last->at + last->len == r->at + want.at)
                last->len += len;
            else
                out->run[out->n++] = (struct tt_run){ r->at + want.at, len };
            want.at += len;
            want.len -= len;
        }
        want.at -= r->len;
    }
}

static int64_t runs_len(const struct runs *runs)
{
    int64_t len = 0;
    for (size_t i = 0; i < runs->n; i++)
        len += runs->run[i].len;
    return len;
}

/* Whether PyTorch records for dimension dim what the rank has there: it goes through the cuts from left to right. */
static tt_status check_recorded(const struct cuts *cuts, int dim, const struct tt_region *has, const int64_t *shape,
                                struct tt_arena *scratch, const char *fqn, struct tt_err *err)
{
    struct tt_run whole = { 0, shape[dim] };
    struct runs now = { &whole, shape[dim] > 0 };
    int64_t by[CUTS_MAX] = { 1, 1, 1 };

    for (int i = 0; i < cuts->n; i++) {
        const struct cut *c = &cuts->c[i];
        if (c->dim != dim)
            continue;
        by[i] = c->n;
        const int64_t len = runs_len(&now);
        struct runs next = { tt_arena_array(scratch, now.n + (size_t)c->split, sizeof *next.run), 0 };
        if (!next.run)
            return tt_err_nomem(err, (now.n + (size_t)c->split) * sizeof *next.run, "a rank's shard");
        for (int64_t j = 0; j < c->split; j++) {
            const struct tt_run part = tt_chunk(len, c->split, j), p = tt_chunk(part.len, c->n, c->at);
            select_run(&next, &now, (struct tt_run){ part.at + p.at, p.len });
        }
        now = next;
    }
    const bool same =
        has->size[dim] == 0 ? now.n == 0 : now.n == 1 && now.run[0].at == has->offset[dim] && now.run[0].len == has->size[dim];
    if (same)
        return TT_OK;
    return tt_err_set(err, TT_EINVAL,
                      "%s: %" PRId64 " elements of dimension %d do not come apart over %" PRId64 " FSDP ranks of each of %" PRId64
                      " tensor- or expert-parallel ones: PyTorch would record other regions than they hold",
                      fqn, shape[dim], dim, by[0], by[1] * by[2]);
}

/* --- shards ------------------------------------------------------------------------------------------------------------------ */

static tt_status check_divides(const struct tt_degrees *d, const struct tt_spread *how, const char *fqn, int ndim,
                               const int64_t *shape, struct tt_err *err)
{
    const bool apart = how->experts && d->ep > 1 && !how->whole;
    if (how->tp_dim >= ndim || (apart && ndim < 2))
        return tt_err_set(err, TT_EINVAL, "%s: has %d dimensions, too few to cut", fqn, ndim);
    if (!apart)
        return TT_OK;
    if (shape[0] % d->ep)
        return tt_err_set(err, TT_EINVAL, "%s: expert_parallel_degree %" PRId64 " does not divide its %" PRId64 " experts", fqn,
                          d->ep, shape[0]);
    if (fsdp_dim(d, how, shape) == 1 && fsdp(d) > 1) {
        const int64_t of = how->tp_dim == 1 ? d->etp : 1;
        if (shape[1] % of || shape[1] / of % efsdp(d))
            return tt_err_set(err, TT_EINVAL,
                              "%s: dimension 1 of %" PRId64 ", which %" PRId64
                              " FSDP ranks of experts would share, does not divide",
                              fqn, shape[1], efsdp(d) * of);
    }
    return TT_OK;
}

struct build {
    struct tt_arena *arena, scratch;
    struct tt_map by_place;
    struct tt_shard *shard;
    uint32_t *shard_of, n; /* shard_of: (ranks) */
};

static tt_status add_shard(struct build *b, const struct tt_region *r, uint32_t rank, struct tt_err *err)
{
    const size_t nbytes = (size_t)r->ndim * sizeof *r->offset;
    int64_t *place = tt_arena_alloc(b->arena, 2 * nbytes);
    bool added;
    uint64_t old;

    if (!place)
        return tt_err_nomem(err, 2 * nbytes, "a shard");
    memcpy(place, r->offset, nbytes);
    memcpy(place + r->ndim, r->size, nbytes);
    const tt_status st = tt_map_put(&b->by_place, (const char *)place, nbytes, b->n, &added, &old, err);
    if (st != TT_OK)
        return st;
    if (added)
        b->shard[b->n++] = (struct tt_shard){ .offsets = place, .sizes = place + r->ndim };
    b->shard_of[rank] = added ? b->n - 1 : (uint32_t)old;
    b->shard[b->shard_of[rank]].nranks++;
    return TT_OK;
}

static tt_status place_rank(struct build *b, const struct tt_degrees *d, const struct tt_spread *how, const char *fqn, int ndim,
                            const int64_t *shape, uint32_t rank, struct tt_err *err)
{
    const struct cuts cuts = cuts_of(d, how, shape, rank);
    struct tt_region r = held(&cuts, ndim, shape);
    tt_status st = TT_OK;

    for (int i = 0; i < cuts.n && st == TT_OK; i++)
        st = check_recorded(&cuts, cuts.c[i].dim, &r, shape, &b->scratch, fqn, err);
    tt_arena_release(&b->scratch);
    for (int dim = 0; dim < ndim; dim++)
        if (r.size[dim] == 0)
            r.offset[dim] = shape[dim];
    return st == TT_OK ? add_shard(b, &r, rank, err) : st;
}

/* The lists of ranks, one after another in one array. */
static tt_status list_ranks(struct build *b, uint32_t nranks, struct tt_err *err)
{
    uint32_t *ranks = tt_arena_array(b->arena, nranks, sizeof *ranks);
    uint32_t **at = tt_arena_array(&b->scratch, b->n, sizeof *at);
    if (!ranks || !at)
        return tt_err_nomem(err, nranks * sizeof *ranks, "the ranks of a tensor");
    for (uint32_t i = 0; i < b->n; i++) {
        at[i] = ranks;
        b->shard[i].ranks = ranks;
        ranks += b->shard[i].nranks;
    }
    for (uint32_t r = 0; r < nranks; r++)
        *at[b->shard_of[r]]++ = r;
    return TT_OK;
}

tt_status tt_shards_make(struct tt_shards *out, struct tt_arena *arena, const struct tt_degrees *d, const struct tt_spread *how,
                         const char *fqn, int ndim, const int64_t *shape, struct tt_err *err)
{
    const uint32_t nranks = (uint32_t)tt_degrees_stage_nranks(d);
    const struct tt_spread none = { .whole = true, .tp_dim = -1 };
    struct build b = { .arena = arena };
    struct tt_arena lists = { 0 };

    how = ndim == 0 ? &none : how;
    tt_status st = check_divides(d, how, fqn, ndim, shape, err);
    if (st != TT_OK)
        return st;
    b.shard = tt_arena_array(arena, nranks, sizeof *b.shard);
    b.shard_of = tt_arena_array(&lists, nranks, sizeof *b.shard_of);
    if (!b.shard || !b.shard_of)
        st = tt_err_nomem(err, nranks * sizeof *b.shard, "the shards of a tensor");
    for (uint32_t r = 0; r < nranks && st == TT_OK; r++)
        st = place_rank(&b, d, how, fqn, ndim, shape, r, err);
    if (st == TT_OK)
        st = list_ranks(&b, nranks, err);
    if (st == TT_OK)
        *out = (struct tt_shards){ b.shard, b.n };
    tt_map_release(&b.by_place);
    tt_arena_release(&b.scratch);
    tt_arena_release(&lists);
    return st;
}
