#include "comm/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/file.h"
#include "comm/comm_private.h"

struct tt_trace {
    pthread_mutex_t lock;
    int64_t cap;
    uint64_t n; /* operations so far; the last cap of them are there, each at its number % cap */
    struct tt_trace_entry *entry;
};

tt_status tt_trace_start(struct tt_world *world, int64_t noperations, struct tt_err *err)
{
    struct tt_trace *trace = calloc(1, sizeof *trace);

    if (trace)
        trace->entry = calloc((size_t)noperations, sizeof *trace->entry);
    if (!trace || !trace->entry) {
        free(trace);
        return tt_err_nomem(err, (size_t)noperations * sizeof *trace->entry, "the record of operations");
    }
    trace->cap = noperations;
    pthread_mutex_init(&trace->lock, NULL);
    world->trace = trace;
    return TT_OK;
}

void tt_trace_stop(struct tt_world *world)
{
    struct tt_trace *trace = world->trace;
    if (!trace)
        return;
    world->trace = NULL;
    pthread_mutex_destroy(&trace->lock);
    free(trace->entry);
    free(trace);
}

void tt_trace_add(struct tt_trace *trace, const struct tt_comm *comm, const struct tt_coll *coll, uint64_t number)
{
    const bool has_peer = tt_coll_is_pair(coll->kind) || coll->kind == TT_COLL_BROADCAST;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&trace->lock);
    struct tt_trace_entry *e = &trace->entry[trace->n++ % (uint64_t)trace->cap];
    *e = (struct tt_trace_entry){ .time = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec,
                                  .comm = comm->id,
                                  .number = number,
                                  .collective = atomic_load(&comm->collectives),
                                  .count = coll->count,
                                  .kind = coll->kind,
                                  .wire = coll->wire,
                                  .peer = has_peer ? comm->ranks[coll->peer] : -1 };
    snprintf(e->group, sizeof e->group, "%s", comm->name);
    snprintf(e->what, sizeof e->what, "%s", coll->what);
    pthread_mutex_unlock(&trace->lock);
}

/* Of the last n that are there. */
static uint64_t oldest(const struct tt_trace *trace, int64_t n)
{
    const uint64_t most = (uint64_t)(n < trace->cap ? n : trace->cap);
    return trace->n > most ? trace->n - most : 0;
}

bool tt_trace_find(struct tt_trace *trace, uint64_t comm, uint64_t number, struct tt_trace_entry *out)
{
    bool found = false;

    pthread_mutex_lock(&trace->lock);
    for (uint64_t i = trace->n; !found && i-- > oldest(trace, trace->cap);) {
        const struct tt_trace_entry *e = &trace->entry[i % (uint64_t)trace->cap];
        found = e->comm == comm && e->number == number;
        if (found)
            *out = *e;
    }
    pthread_mutex_unlock(&trace->lock);
    return found;
}

/* --- the file ----------------------------------------------------------------------------------------------------------------- */

static void put_text(struct tt_buf *out, const char *text)
{
    tt_buf_byte(out, '"');
    for (; *text; text++)
        tt_buf_byte(out, *text == '"' || *text == '\\' || (uint8_t)*text < ' ' ? '_' : (uint8_t)*text);
    tt_buf_byte(out, '"');
}

static void put_entry(struct tt_buf *out, const struct tt_world *world, const struct tt_trace_entry *e)
{
    const struct tt_comm *comm = world->comms;
    while (comm && comm->id != e->comm)
        comm = comm->next;
    /* A communicator that is gone has done all of it. */
    const uint64_t done = comm ? tt_comm_seen(comm).done : UINT64_MAX;

    tt_buf_printf(out, "{\"time\": %.6f, \"group\": ", e->time);
    put_text(out, e->group);
    tt_buf_printf(out, ", \"number\": %" PRIu64 ", \"kind\": \"%s\", \"what\": ", e->number, tt_coll_name(e->kind));
    put_text(out, e->what);
    tt_buf_printf(out, ", \"dtype\": \"%s\", \"count\": %" PRId64 ", \"peer\": ", tt_dtype_name(e->wire), e->count);
    if (e->peer < 0)
        tt_buf_str(out, "null");
    else
        tt_buf_printf(out, "%d", e->peer);
    tt_buf_printf(out, ", \"state\": \"%s\"}\n", e->number <= done ? "done" : e->number == done + 1 ? "under way" : "posted");
}

tt_status tt_trace_write(struct tt_world *world, int64_t noperations, const char *path, struct tt_err *err)
{
    struct tt_trace *trace = world->trace;
    struct tt_buf out = { 0 };

    pthread_mutex_lock(&world->lock);
    pthread_mutex_lock(&trace->lock);
    for (uint64_t i = oldest(trace, noperations); i < trace->n; i++)
        put_entry(&out, world, &trace->entry[i % (uint64_t)trace->cap]);
    pthread_mutex_unlock(&trace->lock);
    pthread_mutex_unlock(&world->lock);
    tt_status st = tt_buf_check(&out, path, err);
    if (st == TT_OK)
        st = tt_file_write_all(path, out.data, out.len, err);
    tt_buf_release(&out);
    return st;
}
