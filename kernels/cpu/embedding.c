#include "cpu/cpu.h"

enum { GRAIN = 16 }; /* rows */

static void fwd_rows(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_embedding_fwd *op = ctx;
    for (int64_t i = begin; i < end; i++) {
        const int64_t id = id_at(op->id, i) - op->first;
        const bool known = id >= 0 && id < op->vocab;
        const struct tt_in w = in_at(op->w, known ? id * op->d : 0);
        const struct tt_out y = out_at(op->y, i * op->d);
        for (int64_t j = 0; j < op->d; j += VL)
            vf_put_some(y, j, op->d - j, known ? vf_get_some(w, j, op->d - j, 0) : vf_zero());
    }
}

void TT_FN(tt_embedding_fwd)(struct tt_pool *pool, const struct tt_embedding_fwd *op)
{
    tt_pool_run(pool, op->n, GRAIN, fwd_rows, (void *)(uintptr_t)op);
}

/* The tokens sorted by id (a counting sort, stable), so that each row of dw has one owner and its terms come in order. */
struct sorted {
    int64_t *start; /* (V + 1): the tokens of id v are token[start[v]] .. token[start[v + 1] - 1] */
    int64_t *token; /* (N) */
};

static struct sorted sort_tokens(const struct tt_embedding_bwd_weight *op)
{
    struct sorted s = { .start = op->scratch };
    s.token = s.start + op->vocab + 2;
    int64_t *next = s.start + 1; /* shifted by one: it becomes start when the tokens are placed */

    memset(s.start, 0, (size_t)(op->vocab + 2) * sizeof *s.start);
    for (int64_t i = 0; i < op->n; i++) {
        const int64_t id = id_at(op->id, i) - op->first;
        if (id >= 0 && id < op->vocab)
            next[id + 1]++;
    }
    for (int64_t v = 0; v < op->vocab; v++)
        next[v + 1] += next[v];
    for (int64_t i = 0; i < op->n; i++) {
        const int64_t id = id_at(op->id, i) - op->first;
        if (id >= 0 && id < op->vocab)
            s.token[next[id]++] = i;
    }
    return s;
}

struct bwd_job {
    const struct tt_embedding_bwd_weight *op;
    struct sorted sorted;
};

static void bwd_rows(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct bwd_job *job = ctx;
    const struct tt_embedding_bwd_weight *op = job->op;
    const float beta = beta_of(op->beta);

    for (int64_t v = begin; v < end; v++) {
        const struct tt_out dw = out_at(op->dw, v * op->d);
        for (int64_t j = 0; j < op->d; j += VL) {
            const int64_t left = op->d - j;
            vf sum = vf_zero();
            for (int64_t t = job->sorted.start[v]; t < job->sorted.start[v + 1]; t++)
                sum += vf_get_some(in_at(op->dy, job->sorted.token[t] * op->d), j, left, 0);
            vf_put_some(dw, j, left, beta != 0 ? vf_fma(vf_set(beta), vf_get_some(tt_in_of(dw), j, left, 0), sum) : sum);
        }
    }
}

void TT_FN(tt_embedding_bwd_weight)(struct tt_pool *pool, const struct tt_embedding_bwd_weight *op)
{
    struct bwd_job job = { .op = op, .sorted = sort_tokens(op) };
    tt_pool_run(pool, op->vocab, GRAIN, bwd_rows, &job);
}
