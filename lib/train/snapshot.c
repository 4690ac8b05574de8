#include "train/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { GRAIN = 1 << 20 };

static size_t tensor_nbytes(const struct tt_state_tensor *t)
{
    size_t nbytes = tt_dtype_nbytes(t->dtype);
    for (int i = 0; i < t->ndim; i++)
        nbytes *= (size_t)(t->sizes ? t->sizes : t->shape)[i];
    return nbytes;
}

struct copying {
    char *dst;
    const char *src;
};

static void copy_piece(void *ctx, int64_t begin, int64_t end, int thread)
{
    const struct copying *c = ctx;
    (void)thread;
    memcpy(c->dst + begin, c->src + begin, (size_t)(end - begin));
}

struct tt_train_state tt_snapshot_take(struct tt_snapshot *s, const struct tt_train_state *state, struct tt_pool *pool)
{
    struct tt_train_state copy = *state;

    copy.tensors = s->tensors;
    for (size_t i = 0; i < s->ntensors; i++) {
        const struct tt_state_tensor *from = &state->tensors[i], *to = &s->tensors[i];
        struct copying parts[] = { { to->weight, from->weight }, { to->exp_avg, from->exp_avg }, { to->exp_avg_sq, from->exp_avg_sq } };
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
            tt_pool_run(pool, (int64_t)tensor_nbytes(from), GRAIN, copy_piece, &parts[p]);
    }
    return copy;
}

tt_status tt_snapshot_init(struct tt_snapshot *out, const struct tt_train_state *state, struct tt_pool *pool, struct tt_err *err)
{
    struct tt_snapshot s = { .tensors = calloc(state->ntensors, sizeof *s.tensors), .ntensors = state->ntensors };

    for (size_t i = 0; i < s.ntensors; i++)
        s.nbytes += 3 * tensor_nbytes(&state->tensors[i]);
    s.bytes = tt_io_buffer(s.nbytes);
    if (!s.tensors || !s.bytes) {
        tt_snapshot_release(&s);
        return tt_err_nomem(err, s.nbytes, "the copy of the state that is saved in the background");
    }
    char *at = s.bytes;
    for (size_t i = 0; i < s.ntensors; i++) {
        struct tt_state_tensor *t = &s.tensors[i];
        const size_t n = tensor_nbytes(&state->tensors[i]);
        *t = state->tensors[i];
        t->weight = at;
        t->exp_avg = at + n;
        t->exp_avg_sq = at + 2 * n;
        at += 3 * n;
    }
    tt_snapshot_take(&s, state, pool);
    *out = s;
    return TT_OK;
}

void tt_snapshot_release(struct tt_snapshot *s)
{
    free(s->tensors);
    free(s->bytes);
    *s = (struct tt_snapshot){ 0 };
}
