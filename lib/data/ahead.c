#include "data/ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "data/loader_private.h"

struct slot {
    int32_t *input, *labels; /* (local_batch, seq_len) */
    int64_t nseq;
    struct tt_arena arena; /* of the two positions */
    struct tt_value *state, *rest;
    tt_status status;
    struct tt_err err;
};

struct tt_ahead {
    struct tt_loader *loader;
    size_t numel; /* of a batch's input */
    int64_t depth;
    struct slot *slots; /* (depth + 1): the one that was taken last keeps its positions */
    pthread_t thread;
    bool is_running;

    pthread_mutex_t mutex;
    pthread_cond_t made_one, took_one;
    int64_t made, taken; /* batches so far */
    bool over, stop;     /* over: the last one made is the end of the data, or an error */
};

static struct slot *slot_of(const struct tt_ahead *a, int64_t batch) { return &a->slots[batch % (a->depth + 1)]; }

static void fill(struct tt_ahead *a, struct slot *s)
{
    tt_arena_release(&s->arena);
    s->status = tt_loader_make(a->loader, s->input, s->labels, &s->nseq, &s->err);
    if (s->status == TT_OK)
        s->status = tt_loader_make_rest(a->loader, &s->arena, &s->rest, &s->err);
    if (s->status == TT_OK)
        s->status = tt_loader_make_state(a->loader, &s->arena, &s->state, &s->err);
}

static void *make_batches(void *arg)
{
    struct tt_ahead *a = arg;
    pthread_mutex_lock(&a->mutex);
    while (!a->over) {
        while (!a->stop && a->made - a->taken >= a->depth)
            pthread_cond_wait(&a->took_one, &a->mutex);
        if (a->stop)
            break;
        struct slot *s = slot_of(a, a->made);
        pthread_mutex_unlock(&a->mutex);
        fill(a, s);
        pthread_mutex_lock(&a->mutex);
        a->over = s->status != TT_OK || s->nseq == 0;
        a->made++;
        pthread_cond_signal(&a->made_one);
    }
    pthread_mutex_unlock(&a->mutex);
    return NULL;
}

static int start(struct tt_ahead *a)
{
    const int rc = tt_thread_start(&a->thread, make_batches, a);
    a->is_running = rc == 0;
    return rc;
}

static bool make_slots(struct tt_ahead *a)
{
    a->slots = calloc((size_t)a->depth + 1, sizeof *a->slots);
    bool ok = a->slots;
    for (int64_t i = 0; ok && i <= a->depth; i++) {
        a->slots[i].input = calloc(a->numel, sizeof(int32_t));
        a->slots[i].labels = calloc(a->numel, sizeof(int32_t));
        ok = a->slots[i].input && a->slots[i].labels;
    }
    return ok;
}

tt_status tt_ahead_new(struct tt_ahead **out, struct tt_loader *loader, int64_t depth, struct tt_err *err)
{
    struct tt_ahead *a = calloc(1, sizeof *a);
    if (!a)
        return tt_err_nomem(err, sizeof *a, "batches made ahead");
    a->loader = loader;
    a->depth = depth;
    a->numel = (size_t)loader->opts.local_batch * (size_t)loader->opts.seq_len;
    pthread_mutex_init(&a->mutex, NULL);
    pthread_cond_init(&a->made_one, NULL);
    pthread_cond_init(&a->took_one, NULL);
    tt_status st = make_slots(a) ? TT_OK : tt_err_nomem(err, a->numel * 2 * sizeof(int32_t), "batches made ahead");
    const int rc = st == TT_OK ? start(a) : 0;
    if (rc != 0)
        st = tt_err_errno(err, rc, "cannot start a thread to make batches");
    if (st == TT_OK)
        *out = a;
    else
        tt_ahead_free(a);
    return st;
}

void tt_ahead_free(struct tt_ahead *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->mutex);
    a->stop = true;
    pthread_cond_signal(&a->took_one);
    pthread_mutex_unlock(&a->mutex);
    if (a->is_running)
        pthread_join(a->thread, NULL);
    for (int64_t i = 0; a->slots && i <= a->depth; i++) {
        free(a->slots[i].input);
        free(a->slots[i].labels);
        tt_arena_release(&a->slots[i].arena);
    }
    free(a->slots);
    pthread_cond_destroy(&a->took_one);
    pthread_cond_destroy(&a->made_one);
    pthread_mutex_destroy(&a->mutex);
    free(a);
}

tt_status tt_ahead_next(struct tt_ahead *a, int32_t *input, int32_t *labels, int64_t *nseq, struct tt_err *err)
{
    pthread_mutex_lock(&a->mutex);
    while (a->made == a->taken && !a->over)
        pthread_cond_wait(&a->made_one, &a->mutex);
    a->taken += a->made > a->taken;
    pthread_cond_signal(&a->took_one);
    pthread_mutex_unlock(&a->mutex);

    const struct slot *s = slot_of(a, a->taken - 1);
    if (s->status != TT_OK) {
        *err = s->err;
        return s->status;
    }
    const size_t n = (size_t)s->nseq * (size_t)a->loader->opts.seq_len * sizeof(int32_t);
    memcpy(input, s->input, n);
    memcpy(labels, s->labels, n);
    *nseq = s->nseq;
    return TT_OK;
}

const struct tt_value *tt_ahead_state(const struct tt_ahead *a) { return slot_of(a, a->taken - 1)->state; }
const struct tt_value *tt_ahead_rest(const struct tt_ahead *a) { return slot_of(a, a->taken - 1)->rest; }
