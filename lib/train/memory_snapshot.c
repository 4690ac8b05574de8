#include "train/memory_snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "format/pickler.h"

/* --- what takes memory ------------------------------------------------------------------------------------------------------ */

/* The blocks beside the arena, which are there as long as the run; of one microbatch, gradients and copies are in the arena. */
struct fixed {
    const char *name;
    uint64_t nbytes;
};

enum { NFIXED = 5 };

static void list_fixed(struct fixed out[NFIXED], const struct tt_cost *cost)
{
    const struct fixed all[NFIXED] = { { "parameters", cost->params },
                                       { "copies of parameters in another type", cost->copies },
                                       { "gradients", cost->grads },
                                       { "optimizer state", cost->optim },
                                       { "tokens, labels, positions", cost->inputs } };
    memcpy(out, all, sizeof all);
}

struct memory {
    const struct tt_plan *plan;
    const struct tt_cost *cost;
    struct fixed fixed[NFIXED];
    struct tt_plan_buffer *buffer;
    size_t nbuffers;
    uint64_t *alive, *given_back; /* (nops): bytes of the arena during an operation, and after it no more */
    int nops, peak;               /* the operation with the most alive */
};

static void memory_release(struct memory *m)
{
    free(m->buffer);
    free(m->alive);
    free(m->given_back);
}

static tt_status memory_of(struct memory *out, const struct tt_step *step, struct tt_err *err)
{
    struct memory m = { .plan = tt_step_plan(step), .cost = tt_step_cost(step), .nops = tt_plan_nops(tt_step_plan(step)) };

    list_fixed(m.fixed, m.cost);
    m.alive = calloc((size_t)m.nops + 1, sizeof *m.alive);
    m.given_back = calloc((size_t)m.nops + 1, sizeof *m.given_back);
    tt_status status = m.alive && m.given_back ? TT_OK : tt_err_nomem(err, (size_t)m.nops * sizeof *m.alive, "a memory snapshot");
    if (status == TT_OK)
        status = tt_plan_buffers(&m.buffer, &m.nbuffers, m.plan, err);
    if (status != TT_OK) {
        memory_release(&m);
        return status;
    }
    for (size_t i = 0; i < m.nbuffers; i++) {
        m.alive[m.buffer[i].begin] += m.buffer[i].nbytes;
        m.given_back[m.buffer[i].end] += m.buffer[i].nbytes;
    }
    for (int t = 0; t < m.nops; t++) {
        m.alive[t] += t > 0 ? m.alive[t - 1] - m.given_back[t - 1] : 0;
        m.peak = m.alive[t] > m.alive[m.peak] ? t : m.peak;
    }
    *out = m;
    return TT_OK;
}

/* --- the table -------------------------------------------------------------------------------------------------------------- */

/* "linear layers.0.attention.wq.weight, forward of microbatch 0" */
static void put_op(struct tt_buf *out, const struct memory *m, int i)
{
    const struct tt_program *prog;
    int mb;
    const struct tt_op *op = tt_plan_op(m->plan, i, &prog, &mb);
    const int param = tt_op_param(op, prog->val), layer = op->out[0] == TT_NO_VAL ? -1 : prog->val[op->out[0]].layer;

    tt_buf_str(out, op->def->name);
    if (param >= 0)
        tt_buf_printf(out, " %s", prog->params->p[param].fqn);
    else if (layer >= 0)
        tt_buf_printf(out, " of layer %d", layer);
    tt_buf_printf(out, ", %s", tt_phase_name(op->phase));
    if (mb >= 0)
        tt_buf_printf(out, " of microbatch %d", mb);
}

static void put_shape(struct tt_buf *out, const struct tt_valdesc *d)
{
    tt_buf_byte(out, '(');
    for (int i = 0; i < d->ndim; i++)
        tt_buf_printf(out, "%s%" PRId64, i ? ", " : "", d->size[i]);
    tt_buf_byte(out, ')');
}

static const struct tt_valdesc *value_of(const struct memory *m, const struct tt_plan_buffer *b)
{
    const struct tt_program *prog;
    int mb;
    tt_plan_op(m->plan, b->begin, &prog, &mb);
    return b->value == TT_NO_VAL ? NULL : &prog->val[b->value];
}

static void put_total(struct tt_buf *out, const char *name, uint64_t nbytes)
{
    tt_buf_printf(out, "%14" PRIu64 "  %8.1f MiB  %s\n", nbytes, (double)nbytes / (1 << 20), name);
}

static void put_totals(struct tt_buf *out, const struct memory *m)
{
    uint64_t total = m->cost->arena;

    tt_buf_str(out, "# What a step takes, in bytes.\n");
    for (int i = 0; i < NFIXED; i++) {
        if (m->fixed[i].nbytes > 0)
            put_total(out, m->fixed[i].name, m->fixed[i].nbytes);
        total += m->fixed[i].nbytes;
    }
    put_total(out, "the arena: activations, gradients, copies, scratch", m->cost->arena);
    put_total(out, "in all", total);
}

static void put_peak(struct tt_buf *out, const struct memory *m)
{
    tt_buf_printf(out, "\n# The most of the arena is alive during operation %d: %" PRIu64 " bytes (", m->peak, m->alive[m->peak]);
    put_op(out, m, m->peak);
    tt_buf_str(out, ").\n# Who has them: bytes, the first and the last operation, what the first of them is; its result.\n");
    for (size_t i = 0; i < m->nbuffers; i++) {
        const struct tt_plan_buffer *b = &m->buffer[i];
        const struct tt_valdesc *d = value_of(m, b);
        if (b->begin > m->peak || b->end < m->peak)
            continue;
        tt_buf_printf(out, "%14" PRIu64 "  %5d %5d  ", b->nbytes, b->begin, b->end);
        put_op(out, m, b->begin);
        tt_buf_str(out, d ? "; " : "; scratch");
        if (d) {
            put_shape(out, d);
            tt_buf_printf(out, " %s", tt_dtype_name(d->dtype));
        }
        tt_buf_byte(out, '\n');
    }
}

static void put_operations(struct tt_buf *out, const struct memory *m)
{
    tt_buf_str(out, "\n# Every operation of a step: its number, bytes that are alive during it, that begin with it, that end with it.\n");
    for (int t = 0; t < m->nops; t++) {
        const uint64_t before = t > 0 ? m->alive[t - 1] - m->given_back[t - 1] : 0;
        tt_buf_printf(out, "%5d  %14" PRIu64 "  %14" PRIu64 "  %14" PRIu64 "  ", t, m->alive[t], m->alive[t] - before,
                      m->given_back[t]);
        put_op(out, m, t);
        tt_buf_byte(out, '\n');
    }
}

tt_status tt_memory_snapshot_table(struct tt_buf *out, const struct tt_step *step, struct tt_err *err)
{
    struct memory m;
    const tt_status status = memory_of(&m, step, err);
    if (status != TT_OK)
        return status;
    put_totals(out, &m);
    put_peak(out, &m);
    put_operations(out, &m);
    memory_release(&m);
    return tt_buf_check(out, "a memory snapshot", err);
}

/* --- the pickle: dictionaries with PyTorch's keys ----------------------------------------------------------------------------- */

static void key_int(struct tt_pickler *pk, const char *key, uint64_t v)
{
    tt_pk_str(pk, key);
    tt_pk_int(pk, (int64_t)v);
}

static void key_str(struct tt_pickler *pk, const char *key, const char *v)
{
    tt_pk_str(pk, key);
    tt_pk_str(pk, v);
}

static void begin(struct tt_pickler *pk, enum tt_pk_op empty)
{
    tt_pk_op(pk, empty);
    tt_pk_op(pk, TT_PK_MARK);
}

/* A viewer shows it as file:line:name. */
static void put_frame(struct tt_pickler *pk, const char *filename, int line, const char *name)
{
    begin(pk, TT_PK_EMPTY_DICT);
    key_str(pk, "filename", filename);
    key_int(pk, "line", (uint64_t)line);
    key_str(pk, "name", name);
    tt_pk_op(pk, TT_PK_SETITEMS);
}

/* Innermost first, as stacks are: the value, the operation that makes it, the part of the step. */
static void put_frames(struct tt_pickler *pk, const struct memory *m, const struct tt_plan_buffer *b)
{
    const struct tt_program *prog;
    int mb;
    const struct tt_op *op = tt_plan_op(m->plan, b->begin, &prog, &mb);
    const int param = tt_op_param(op, prog->val);
    const struct tt_valdesc *d = value_of(m, b);
    struct tt_buf text = { 0 };

    begin(pk, TT_PK_EMPTY_LIST);
    if (d)
        put_shape(&text, d);
    put_frame(pk, d ? tt_dtype_name(d->dtype) : "scratch", 0, tt_buf_cstr(&text));
    tt_buf_clear(&text);
    if (d && d->layer >= 0)
        tt_buf_printf(&text, "layer %d", d->layer);
    put_frame(pk, op->def->name, b->begin, param >= 0 ? prog->params->p[param].fqn : tt_buf_cstr(&text));
    tt_buf_clear(&text);
    if (mb >= 0)
        tt_buf_printf(&text, "microbatch %d", mb);
    put_frame(pk, tt_phase_name(op->phase), 0, tt_buf_cstr(&text));
    tt_pk_op(pk, TT_PK_APPENDS);
    pk->failed |= text.failed;
    tt_buf_release(&text);
}

static void put_event(struct tt_pickler *pk, const struct memory *m, const char *action, const struct tt_plan_buffer *b, uint64_t base)
{
    begin(pk, TT_PK_EMPTY_DICT);
    key_str(pk, "action", action);
    key_int(pk, "addr", base + b->offset);
    key_int(pk, "size", b->nbytes);
    key_int(pk, "stream", 0);
    tt_pk_str(pk, "frames");
    put_frames(pk, m, b);
    tt_pk_op(pk, TT_PK_SETITEMS);
}

static int by_end(const void *va, const void *vb)
{
    const struct tt_plan_buffer *const *a = va, *const *b = vb;
    if ((*a)->end != (*b)->end)
        return (*a)->end - (*b)->end;
    return *a < *b ? -1 : *a > *b;
}

/* Results come before an operation, what it was the last to read goes after it. Of more events than PyTorch records the last are
 * written. */
static void put_trace(struct tt_pickler *pk, const struct memory *m, const struct tt_plan_buffer *const *ending, uint64_t base)
{
    enum { EVENTS_MAX = 100000 };
    size_t born = 0, gone = 0, skipped = 3 * m->nbuffers > EVENTS_MAX ? 3 * m->nbuffers - EVENTS_MAX : 0;

    begin(pk, TT_PK_EMPTY_LIST);
    while (gone < m->nbuffers) {
        const bool is_birth = born < m->nbuffers && m->buffer[born].begin <= ending[gone]->end;
        const struct tt_plan_buffer *b = is_birth ? &m->buffer[born++] : ending[gone++];
        if (skipped > 0)
            skipped -= is_birth || skipped == 1 ? 1 : 2;
        else if (is_birth)
            put_event(pk, m, "alloc", b, base);
        else {
            put_event(pk, m, "free_requested", b, base);
            put_event(pk, m, "free_completed", b, base);
        }
    }
    tt_pk_op(pk, TT_PK_APPENDS);
}

/* A segment of one block, between two steps: all of it in use, or, for the arena, none. */
static void put_segment(struct tt_pickler *pk, const char *name, uint64_t address, uint64_t nbytes, bool in_use)
{
    begin(pk, TT_PK_EMPTY_DICT);
    key_int(pk, "device", 0);
    key_int(pk, "address", address);
    key_int(pk, "total_size", nbytes);
    key_int(pk, "allocated_size", in_use ? nbytes : 0);
    key_int(pk, "active_size", in_use ? nbytes : 0);
    key_int(pk, "requested_size", in_use ? nbytes : 0);
    key_int(pk, "stream", 0);
    key_str(pk, "segment_type", "large");
    tt_pk_str(pk, "segment_pool_id");
    tt_pk_int_tuple(pk, (const int64_t[]){ 0, 0 }, 2);
    tt_pk_str(pk, "is_expandable");
    tt_pk_bool(pk, false);
    tt_pk_str(pk, "frames");
    tt_pk_op(pk, TT_PK_EMPTY_LIST);
    tt_pk_str(pk, "blocks");
    begin(pk, TT_PK_EMPTY_LIST);
    begin(pk, TT_PK_EMPTY_DICT);
    key_int(pk, "address", address);
    key_int(pk, "size", nbytes);
    key_int(pk, "requested_size", in_use ? nbytes : 0);
    key_str(pk, "state", in_use ? "active_allocated" : "inactive");
    tt_pk_str(pk, "frames");
    begin(pk, TT_PK_EMPTY_LIST);
    put_frame(pk, "titan", 0, name);
    tt_pk_op(pk, TT_PK_APPENDS);
    tt_pk_op(pk, TT_PK_SETITEMS);
    tt_pk_op(pk, TT_PK_APPENDS);
    tt_pk_op(pk, TT_PK_SETITEMS);
}

tt_status tt_memory_snapshot_pickle(struct tt_buf *out, const struct tt_step *step, struct tt_err *err)
{
    static const uint64_t first_address = UINT64_C(1) << 32;
    uint64_t address = first_address;
    struct tt_pickler pk;
    struct memory m;
    const tt_status status = memory_of(&m, step, err);
    if (status != TT_OK)
        return status;
    const struct tt_plan_buffer **ending = calloc(m.nbuffers + 1, sizeof *ending);
    if (!ending) {
        memory_release(&m);
        return tt_err_nomem(err, m.nbuffers * sizeof *ending, "a memory snapshot");
    }
    for (size_t i = 0; i < m.nbuffers; i++)
        ending[i] = &m.buffer[i];
    qsort(ending, m.nbuffers, sizeof *ending, by_end);

    tt_pickler_begin(&pk, out);
    begin(&pk, TT_PK_EMPTY_DICT);
    tt_pk_str(&pk, "segments");
    begin(&pk, TT_PK_EMPTY_LIST);
    for (int i = 0; i < NFIXED; i++)
        if (m.fixed[i].nbytes > 0) {
            put_segment(&pk, m.fixed[i].name, address, m.fixed[i].nbytes, true);
            address += m.fixed[i].nbytes;
        }
    put_segment(&pk, "the arena", address, m.cost->arena, false);
    tt_pk_op(&pk, TT_PK_APPENDS);
    tt_pk_str(&pk, "device_traces");
    begin(&pk, TT_PK_EMPTY_LIST);
    put_trace(&pk, &m, ending, address);
    tt_pk_op(&pk, TT_PK_APPENDS);
    tt_pk_op(&pk, TT_PK_SETITEMS);
    free(ending);
    memory_release(&m);
    return tt_pickler_end(&pk, err);
}

/* --- files ------------------------------------------------------------------------------------------------------------------ */

typedef tt_status put_text(struct tt_buf *out, const struct tt_step *step, struct tt_err *err);

static tt_status write_file(const struct tt_memory_snapshot *s, struct tt_arena *arena, const char *folder, const char *name, put_text *put,
                            struct tt_err *err)
{
    struct tt_buf text = { 0 };
    const char *path = tt_arena_printf(arena, "%s/rank%d_%s", folder, s->rank, name);

    tt_status status = path ? put(&text, s->step, err) : tt_err_nomem(err, 0, "the path of a memory snapshot");
    if (status == TT_OK)
        status = tt_file_write_all(path, text.data, text.len, err);
    tt_buf_release(&text);
    return status;
}

static tt_status dump(const struct tt_memory_snapshot *s, int64_t step, const char *suffix, struct tt_err *err)
{
    const double start = tt_seconds();
    struct tt_arena arena = { 0 };

    tt_log_line(s->log, TT_LOG_INFO, "Dumping memory snapshot at step %" PRId64, step);
    const char *folder = tt_arena_printf(&arena, "%s/iteration_%" PRId64 "%s", s->folder, step, suffix);
    tt_status status = folder ? tt_mkdir_p(folder, err) : tt_err_nomem(err, 0, "the path of a memory snapshot");
    if (status == TT_OK)
        status = write_file(s, &arena, folder, "memory_snapshot.pickle", tt_memory_snapshot_pickle, err);
    if (status == TT_OK)
        status = write_file(s, &arena, folder, "memory.txt", tt_memory_snapshot_table, err);
    if (status == TT_OK)
        tt_log_line(s->log, TT_LOG_INFO, "Finished dumping memory snapshot in %.2f seconds", tt_seconds() - start);
    tt_arena_release(&arena);
    return status;
}

tt_status tt_memory_snapshot_open(struct tt_memory_snapshot *out, const struct tt_config *config, int rank,
                                  const struct tt_step *step, const struct tt_log *log, struct tt_err *err)
{
    if (!config->profiling.enable_memory_snapshot)
        return TT_OK;
    *out = (struct tt_memory_snapshot){ .config = &config->profiling, .log = log, .rank = rank, .step = step };
    out->folder = tt_path_join(&out->arena, config->job.dump_folder, config->profiling.save_memory_snapshot_folder);
    if (!out->folder)
        return tt_err_nomem(err, 0, "the path of the memory snapshots");
    tt_log_line(log, TT_LOG_INFO, "Memory profiler active. Snapshot will be saved at %s", out->folder);
    return tt_mkdir_p(out->folder, err);
}

tt_status tt_memory_snapshot_end(const struct tt_memory_snapshot *s, int64_t step, struct tt_err *err)
{
    return s->config && step % s->config->profile_freq == 0 ? dump(s, step, "", err) : TT_OK;
}

tt_status tt_memory_snapshot_exit(const struct tt_memory_snapshot *s, struct tt_err *err) { return s->config ? dump(s, 0, "_exit", err) : TT_OK; }

void tt_memory_snapshot_release(struct tt_memory_snapshot *s) { tt_arena_release(&s->arena); }
