/* Where everything lies in a plan's arena: lifetimes from the timeline, results over operands, and what is left packed. */
#include <limits.h>
#include <stdlib.h>

#include "program/plan_private.h"

/* --- lifetimes -------------------------------------------------------------------------------------------------------------- */

static bool in_arena(const struct tt_plan *plan, tt_val v)
{
    return v != TT_NO_VAL && plan->opts.model->val[v].cls == TT_ACT;
}

/* Is it a copy or a gradient that every step makes anew? Then it needs no place outside the arena: with one microbatch gradients come
 * as activations and copies go. Later microbatches would find all of the first one's gradients beside their activations. */
static bool is_made_anew(const struct tt_plan *plan, const struct tt_valdesc *d)
{
    return d->cls == TT_PARAM && tt_plan_is_passing(d->role) && plan->opts.sched->nmb == 1 && !tt_plan_is_shared(plan, d->role);
}

static void touch(const struct tt_plan *plan, size_t thing, int mb, int time)
{
    struct tt_span *span = tt_plan_span(plan, thing, mb);
    span->begin = time < span->begin ? time : span->begin;
    span->end = time > span->end ? time : span->end;
}

static void touch_all(const struct tt_plan *plan, const tt_val *v, int n, int mb, int time)
{
    for (int i = 0; i < n; i++)
        if (in_arena(plan, v[i]))
            touch(plan, v[i], mb, time);
}

static void touch_params(const struct tt_plan *plan, const struct tt_moment *e, const tt_val *v, int n, int time)
{
    for (int i = 0; i < n; i++) {
        const struct tt_valdesc *d = v[i] == TT_NO_VAL ? NULL : &e->prog->val[v[i]];
        if (!d || d->cls != TT_PARAM || !tt_plan_is_passing(d->role))
            continue;
        const size_t thing = tt_plan_param_thing(plan, d->role, d->ref);
        if (plan->thing_nbytes[thing] > 0)
            touch(plan, thing, 0, time);
    }
}

/* A result that an op can do without and that nobody reads takes no room. */
static void skip_unread(const struct tt_plan *plan, const struct tt_op *op, int mb)
{
    for (int i = 0; i < op->nout; i++) {
        if (!(op->def->skips >> i & 1) || !in_arena(plan, op->out[i]))
            continue;
        struct tt_span *span = tt_plan_span(plan, op->out[i], mb);
        if (span->begin == span->end)
            *span = (struct tt_span){ INT_MAX, -1 };
    }
}

static void touch_op(const struct tt_plan *plan, const struct tt_moment *e, int time)
{
    const struct tt_op *op = &e->prog->op[e->op];
    const size_t scratch = plan->opts.model->nvals + (size_t)e->op;

    touch_params(plan, e, op->in, op->nin, time);
    touch_params(plan, e, op->out, op->nout, time);
    if (e->mb < 0)
        return; /* gathering and stepping work on parameters alone */
    touch_all(plan, op->in, op->nin, e->mb, time);
    touch_all(plan, op->out, op->nout, e->mb, time);
    if (plan->thing_nbytes[scratch] > 0)
        touch(plan, scratch, e->mb, time);
}

static void find_spans(struct tt_plan *plan)
{
    for (size_t i = 0; i < plan->nthings * (size_t)plan->opts.sched->nmb; i++)
        plan->span[i] = (struct tt_span){ INT_MAX, -1 };
    for (int t = 0; t < plan->nevents; t++) {
        touch_op(plan, &plan->event[t], t);
        if (plan->before[t] > t + 1) /* it holds on to its operands: nothing lies over them before it has been waited for */
            touch_op(plan, &plan->event[t], plan->before[t]);
    }
    for (int i = 0; i < plan->opts.params->n; i++) /* the caller may read gradients after the step */
        if (tt_plan_is_param_in_arena(plan, TT_ROLE_GRAD, i))
            tt_plan_span(plan, tt_plan_param_thing(plan, TT_ROLE_GRAD, i), 0)->end = plan->nevents - 1;
    for (int t = 0; t < plan->nevents; t++)
        if (plan->event[t].mb >= 0)
            skip_unread(plan, &plan->event[t].prog->op[plan->event[t].op], plan->event[t].mb);
}

/* Microbatches whose work does not overlap in time take turns in one slot; times[mb] is from the first to the last event. */
static void find_slots(struct tt_plan *plan, struct tt_span *times)
{
    const int nmb = plan->opts.sched->nmb;

    for (int mb = 0; mb < nmb; mb++)
        times[mb] = (struct tt_span){ INT_MAX, -1 };
    for (int t = plan->nevents - 1; t >= 0; t--) {
        const int mb = plan->event[t].mb;
        if (mb >= 0)
            times[mb] = (struct tt_span){ t, times[mb].end < 0 ? t : times[mb].end };
    }
    plan->nslots = 1;
    for (int mb = 0; mb < nmb; mb++) { /* in order of their forwards, as schedules have them */
        int slot = 0;
        for (int other = 0; other < mb; other++)
            if (plan->slot[other] == slot && times[other].end >= times[mb].begin) {
                slot++;
                other = -1;
            }
        plan->slot[mb] = slot;
        plan->nslots = slot + 1 > plan->nslots ? slot + 1 : plan->nslots;
    }
}

/* May out lie over in? The same shape and type, and in dies where out is born, in every microbatch. */
static bool can_share(const struct tt_plan *plan, tt_val in, tt_val out)
{
    if (!in_arena(plan, in) || !in_arena(plan, out))
        return false;
    const struct tt_valdesc *a = &plan->opts.model->val[in], *b = &plan->opts.model->val[out];
    if (a->dtype != b->dtype || plan->thing_nbytes[in] != plan->thing_nbytes[out])
        return false;
    for (int mb = 0; mb < plan->opts.sched->nmb; mb++)
        if (tt_plan_span(plan, in, mb)->end != tt_plan_span(plan, out, mb)->begin)
            return false;
    return true;
}

/* Lets each result of op lie over an input that the op's row allows and that no other result took. */
static void share_results(struct tt_plan *plan, const struct tt_op *op)
{
    unsigned taken = 0;

    for (int o = 0; o < op->nout; o++)
        for (int j = 0; j < op->nin; j++) {
            if (!((op->def->over[o] & ~taken) >> j & 1) || !can_share(plan, op->in[j], op->out[o]))
                continue;
            for (int k = 0; k < op->nin; k++) /* the same value in two places is one piece of memory */
                taken |= op->in[k] == op->in[j] ? 1u << k : 0;
            plan->root[op->out[o]] = plan->root[op->in[j]];
            break;
        }
}

static void share_memory(struct tt_plan *plan)
{
    const struct tt_program *prog = plan->opts.model;

    for (tt_val v = 0; v < prog->nvals; v++)
        plan->root[v] = v;
    for (int i = 0; i < prog->nops; i++)
        share_results(plan, &prog->op[i]);
    /* A place is taken as long as any of the values in it lives; each begins where the one before it ends. */
    for (tt_val v = 0; v < prog->nvals; v++)
        for (int mb = 0; plan->root[v] != v && mb < plan->opts.sched->nmb; mb++) {
            struct tt_span *root = tt_plan_span(plan, plan->root[v], mb);
            const struct tt_span *span = tt_plan_span(plan, v, mb);
            root->begin = span->begin < root->begin ? span->begin : root->begin;
            root->end = span->end > root->end ? span->end : root->end;
        }
}

/* --- the arena -------------------------------------------------------------------------------------------------------------- */

/* What a slot's microbatches put in one place is one item. With a single slot all microbatches do the same one after another, and
 * the first stands for all. */
static int gather_spans(const struct tt_plan *plan, struct tt_span *out, size_t thing, int slot)
{
    const int nmb = plan->nslots == 1 ? 1 : plan->opts.sched->nmb;
    int n = 0;

    for (int mb = 0; mb < nmb; mb++)
        if (plan->slot[mb] == slot && tt_plan_span(plan, thing, mb)->end >= 0)
            out[n++] = *tt_plan_span(plan, thing, mb);
    return n;
}

static bool is_own_place(const struct tt_plan *plan, size_t thing)
{
    return thing >= plan->opts.model->nvals || (in_arena(plan, (tt_val)thing) && plan->root[thing] == thing);
}

static tt_status pack_arena(struct tt_plan *plan, struct tt_err *err)
{
    const size_t cap = plan->nthings * (size_t)plan->nslots;
    struct tt_item *item = calloc(cap + 1, sizeof *item);
    uint64_t **dst = calloc(cap + 1, sizeof *dst); /* where each item's offset goes */
    struct tt_span *spans = calloc(plan->nthings * (size_t)plan->opts.sched->nmb + 1, sizeof *spans);
    tt_status status = TT_OK;
    int n = 0;

    if (!item || !dst || !spans) {
        status = tt_err_nomem(err, cap * sizeof *item, "the plan of a step");
        goto out;
    }
    for (size_t nspans = 0, i = 0; i < cap; i++) {
        const size_t thing = i % plan->nthings;
        if (!is_own_place(plan, thing))
            continue;
        item[n] = (struct tt_item){ .nbytes = plan->thing_nbytes[thing], .span = spans + nspans };
        item[n].nspans = gather_spans(plan, spans + nspans, thing, (int)(i / plan->nthings));
        nspans += (size_t)item[n].nspans;
        dst[n] = &plan->offset[i];
        n += item[n].nspans > 0;
    }
    status = tt_pack(item, n, TT_PLAN_ALIGN, &plan->cost.arena, &plan->cost.live_max, err);
    for (int i = 0; status == TT_OK && i < n; i++)
        *dst[i] = item[i].offset;
out:
    free(item);
    free(dst);
    free(spans);
    return status;
}

/* How large everything is, and what the operations cost. */
static void measure(struct tt_plan *plan)
{
    const struct tt_program *prog = plan->opts.model;
    struct tt_device *device = plan->opts.device;

    for (tt_val v = 0; v < prog->nvals; v++) {
        const struct tt_valdesc *d = &prog->val[v];
        plan->thing_nbytes[v] = tt_plan_align_up(tt_val_nbytes(d));
        if (is_made_anew(plan, d))
            plan->thing_nbytes[tt_plan_param_thing(plan, d->role, d->ref)] = plan->thing_nbytes[v];
    }
    for (int i = 0; i < prog->nops; i++)
        plan->thing_nbytes[prog->nvals + (size_t)i] = tt_plan_align_up(device->ops->scratch(device, &prog->op[i], prog->val));
    for (int t = 0; t < plan->nevents; t++) {
        const struct tt_moment *e = &plan->event[t];
        const struct tt_op *op = &e->prog->op[e->op];
        const uint64_t scratch = e->mb < 0 ? device->ops->scratch(device, op, e->prog->val) : 0;
        plan->side_scratch = scratch > plan->side_scratch ? scratch : plan->side_scratch;
        plan->cost.flops += op->def->flops ? op->def->flops(op, e->prog->val) : 0;
    }
}

tt_status tt_plan_arena(struct tt_plan *plan, struct tt_err *err)
{
    const size_t nmb = (size_t)plan->opts.sched->nmb;

    plan->nthings = tt_plan_param_thing(plan, TT_ROLE_GRAD, plan->opts.params->n);
    plan->thing_nbytes = calloc(plan->nthings + 1, sizeof *plan->thing_nbytes);
    plan->slot = calloc(nmb, sizeof *plan->slot);
    plan->root = calloc(plan->nthings + 1, sizeof *plan->root);
    plan->span = calloc(plan->nthings * nmb + nmb, sizeof *plan->span);
    if (!plan->thing_nbytes || !plan->slot || !plan->root || !plan->span)
        return tt_err_nomem(err, plan->nthings * nmb * sizeof *plan->span, "the plan of a step");
    measure(plan);
    find_slots(plan, plan->span); /* which has room for a span a microbatch and is filled after this */
    find_spans(plan);
    plan->offset = calloc(plan->nthings * (size_t)plan->nslots + 1, sizeof *plan->offset);
    if (!plan->offset)
        return tt_err_nomem(err, plan->nthings * (size_t)plan->nslots * sizeof *plan->offset, "the plan of a step");
    share_memory(plan);
    const tt_status status = pack_arena(plan, err);
    plan->side_offset = tt_plan_align_up(plan->cost.arena);
    plan->cost.arena = plan->side_offset + tt_plan_align_up(plan->side_scratch);
    return status;
}

/* --- looking at it ----------------------------------------------------------------------------------------------------------- */

static int by_begin(const void *va, const void *vb)
{
    const struct tt_plan_buffer *a = va, *b = vb;
    if (a->begin != b->begin)
        return a->begin - b->begin;
    return a->offset != b->offset ? (a->offset < b->offset ? -1 : 1) : 0;
}

/* The scratch of the operations outside the microbatches is one piece; each has its own there. */
static size_t add_side_scratch(const struct tt_plan *plan, struct tt_plan_buffer *out)
{
    struct tt_device *device = plan->opts.device;
    size_t n = 0;

    for (int t = 0; t < plan->nevents; t++) {
        const struct tt_moment *e = &plan->event[t];
        const uint64_t nbytes = e->mb < 0 ? device->ops->scratch(device, &e->prog->op[e->op], e->prog->val) : 0;
        if (nbytes > 0)
            out[n++] = (struct tt_plan_buffer){ plan->side_offset, nbytes, t, t, TT_NO_VAL };
    }
    return n;
}

static tt_val value_of_thing(const struct tt_plan *plan, size_t thing)
{
    const struct tt_program *prog = plan->opts.model;
    if (thing < prog->nvals)
        return (tt_val)thing;
    for (tt_val v = 0; thing >= prog->nvals + (size_t)prog->nops && v < prog->nvals; v++)
        if (is_made_anew(plan, &prog->val[v]) && tt_plan_param_thing(plan, prog->val[v].role, prog->val[v].ref) == thing)
            return v;
    return TT_NO_VAL;
}

tt_status tt_plan_buffers(struct tt_plan_buffer **out, size_t *n, const struct tt_plan *plan, struct tt_err *err)
{
    const size_t nmb = (size_t)plan->opts.sched->nmb, cap = plan->nthings * nmb + (size_t)plan->nevents;
    struct tt_plan_buffer *buffer = calloc(cap + 1, sizeof *buffer);
    size_t found = 0;

    if (!buffer)
        return tt_err_nomem(err, cap * sizeof *buffer, "the buffers of a plan");
    for (size_t i = 0; i < plan->nthings * nmb; i++) {
        const size_t thing = i / nmb, mb = i % nmb;
        const struct tt_span *span = tt_plan_span(plan, thing, (int)mb);
        if (!is_own_place(plan, thing) || span->end < 0)
            continue;
        buffer[found++] = (struct tt_plan_buffer){
            .offset = plan->offset[(size_t)plan->slot[mb] * plan->nthings + thing],
            .nbytes = plan->thing_nbytes[thing],
            .begin = span->begin,
            .end = span->end,
            .value = value_of_thing(plan, thing),
        };
    }
    found += add_side_scratch(plan, buffer + found);
    qsort(buffer, found, sizeof *buffer, by_begin);
    *out = buffer;
    *n = found;
    return TT_OK;
}
