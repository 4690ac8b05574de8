#include "program/plan.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "program/pack.h"
#include "program/waits.h"

enum { ALIGN = 64 };

struct block { /* memory outside the arena */
    void *p;
    uint64_t nbytes;
};

struct tt_plan {
    struct tt_plan_opts opts;
    struct tt_cost cost;

    struct tt_moment *event;
    struct tt_call *call; /* one an event */
    int nevents;
    int *before;           /* [event]: in front of which event it is waited for (waits.h) */
    int *waits, *next;     /* [event]: the first that is waited for in front of it; that one's next; -1: none */
    struct tt_event *done; /* [event] */
    double *begun;         /* [event]: when it was launched, for the watch */
    const struct tt_plan_watch *watch;

    /* A thing is what takes room in the arena: a value of the model's program, by its number, an operation's scratch, by nvals +
     * its number, or behind those a copy or the gradient of a parameter (param_thing). */
    size_t nthings;
    uint64_t *thing_nbytes;
    struct tt_span *span; /* [thing * nmb + mb]: from the op that makes it to its last reader; end -1: nowhere */
    tt_val *root;         /* [value]: in whose place it lies */
    int nslots, *slot;    /* slot[mb]: microbatches in flight together have different ones */
    uint64_t *offset;     /* [slot * nthings + root]: in the arena */
    uint64_t side_scratch, side_offset; /* for what is outside the microbatches */

    uint64_t *param_offset[TT_NROLES]; /* [param]; UINT64_MAX: no program asks for it */
    uint64_t input_nbytes[TT_NINPUTS]; /* of one microbatch */

    uint64_t *cache_offset; /* [value] */
    uint64_t logits_nbytes; /* of one microbatch */

    struct block arena, role[TT_NROLES], input[TT_NINPUTS], constant[TT_NCONSTS], losses, logits, cache, scalars;
    bool borrows; /* the shared plan's arena; this plan has none of its own */
};

static uint64_t align_up(uint64_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

/* --- the timeline ----------------------------------------------------------------------------------------------------------- */

/* The operations of an action: those of the model's or the optimizer's program in one or two of its phases. */
struct part {
    bool step; /* the optimizer's program */
    char phases[3];
};

static const struct part parts[TT_NACTS] = {
    [TT_A_F] = { false, { TT_F } },       [TT_A_I] = { false, { TT_I } },       [TT_A_W] = { false, { TT_W } },
    [TT_A_B] = { false, { TT_I, TT_W } }, [TT_A_UNSHARD] = { false, { TT_U } }, [TT_A_REDUCE_GRAD] = { false, { TT_R } },
    [TT_A_STEP] = { true, { TT_S } },
};

static bool in_part(const struct part *part, const struct tt_op *op)
{
    return (char)op->phase == part->phases[0] || (part->phases[1] && (char)op->phase == part->phases[1]);
}

/* Is this of the action's unit? What works on a parameter belongs to that parameter's. */
static bool in_unit(const struct tt_plan *plan, const struct tt_action *a, const struct tt_program *prog, const struct tt_op *op)
{
    const struct tt_valdesc *d = &prog->val[op->out[0]];
    return a->unit < 0 || (d->cls == TT_PARAM && plan->opts.params->p[d->ref].unit == a->unit);
}

static bool crosses_stages(enum tt_act act)
{
    return act == TT_A_SEND_F || act == TT_A_RECV_F || act == TT_A_SEND_B || act == TT_A_RECV_B;
}

/* Appends the action's operations, with those of REDUCE_GRAD where it is `reduced`; or only counts them where plan->event is NULL yet. */
static void add_action(struct tt_plan *plan, const struct tt_action *a, bool first, bool reduced)
{
    const struct part *part = &parts[a->act], *reduce = &parts[TT_A_REDUCE_GRAD];
    const struct tt_program *prog = part->step ? plan->opts.step : plan->opts.model;

    for (int i = 0; prog && i < prog->nops; i++) {
        const bool reduces = reduced && in_part(reduce, &prog->op[i]);
        if ((!in_part(part, &prog->op[i]) && !reduces) || !in_unit(plan, a, prog, &prog->op[i]))
            continue;
        if (plan->event)
            plan->event[plan->nevents] = (struct tt_moment){ .prog = prog, .op = i, .mb = reduces ? -1 : a->mb, .first = first };
        plan->nevents++;
    }
}

/* Is the action behind a the reduction of what a has completed? Then that runs beside a. */
static bool is_reduced(const struct tt_action *a, const struct tt_action *end)
{
    return (a->act == TT_A_B || a->act == TT_A_W) && a + 1 < end && a[1].act == TT_A_REDUCE_GRAD && a[1].stage == a->stage &&
           a[1].unit == a->unit;
}

static void add_actions(struct tt_plan *plan)
{
    const struct tt_sched *sched = plan->opts.sched;
    const struct tt_action *end = sched->rank[plan->opts.rank] + sched->n[plan->opts.rank];
    bool first = true;

    plan->nevents = 0;
    for (const struct tt_action *a = sched->rank[plan->opts.rank]; a < end; a++) {
        const bool reduced = is_reduced(a, end);
        add_action(plan, a, first, reduced);
        first &= a->act != TT_A_B && a->act != TT_A_W;
        a += reduced;
    }
}

/* The scratch outside the microbatches is one piece: who uses it is waited for right behind. */
static tt_status make_waits(struct tt_plan *plan, struct tt_err *err)
{
    struct tt_device *device = plan->opts.device;
    const tt_status status = tt_waits_find(plan->before, plan->event, plan->nevents, plan->opts.sched->nmb, err);
    if (status != TT_OK)
        return status;

    for (int t = 0; t <= plan->nevents; t++)
        plan->waits[t] = -1;
    for (int t = plan->nevents - 1; t >= 0; t--) {
        const struct tt_moment *e = &plan->event[t];
        if (plan->before[t] == 0)
            continue;
        if (e->mb < 0 && device->ops->scratch(device, &e->prog->op[e->op], e->prog->val) > 0)
            plan->before[t] = t + 1;
        plan->next[t] = plan->waits[plan->before[t]];
        plan->waits[plan->before[t]] = t;
    }
    return TT_OK;
}

static tt_status make_timeline(struct tt_plan *plan, struct tt_err *err)
{
    const struct tt_sched *sched = plan->opts.sched;

    for (int i = 0; i < sched->n[plan->opts.rank]; i++)
        if (crosses_stages(sched->rank[plan->opts.rank][i].act))
            return tt_err_set(err, TT_EUNSUPPORTED, "rank %d: %s needs a communicator between stages", plan->opts.rank,
                              tt_act_names[sched->rank[plan->opts.rank][i].act]);
    add_actions(plan);
    plan->event = calloc((size_t)plan->nevents + 1, sizeof *plan->event);
    plan->call = calloc((size_t)plan->nevents + 1, sizeof *plan->call);
    plan->done = calloc((size_t)plan->nevents + 1, sizeof *plan->done);
    plan->begun = calloc((size_t)plan->nevents + 1, sizeof *plan->begun);
    plan->before = calloc((size_t)plan->nevents + 1, sizeof *plan->before);
    plan->waits = calloc((size_t)plan->nevents + 1, sizeof *plan->waits);
    plan->next = calloc((size_t)plan->nevents + 1, sizeof *plan->next);
    if (!plan->event || !plan->call || !plan->done || !plan->begun || !plan->before || !plan->waits || !plan->next)
        return tt_err_nomem(err, (size_t)plan->nevents * sizeof *plan->call, "the plan of a step");
    add_actions(plan);
    return make_waits(plan, err);
}

/* --- lifetimes -------------------------------------------------------------------------------------------------------------- */

static struct tt_span *span_of(const struct tt_plan *plan, size_t thing, int mb)
{
    return &plan->span[thing * (size_t)plan->opts.sched->nmb + (size_t)mb];
}

static bool in_arena(const struct tt_plan *plan, tt_val v)
{
    return v != TT_NO_VAL && plan->opts.model->val[v].cls == TT_ACT;
}

/* Does another plan have the parameters' buffers of this role? */
static bool is_shared(const struct tt_plan *plan, int role) { return plan->opts.share && plan->opts.share->role[role].nbytes > 0; }

static size_t param_thing(const struct tt_plan *plan, enum tt_role role, int param)
{
    const size_t first = (size_t)plan->opts.model->nvals + (size_t)plan->opts.model->nops;
    return first + (role == TT_ROLE_GRAD ? (size_t)plan->opts.params->n : 0) + (size_t)param;
}

/* Of a copy or a gradient? */
static bool is_passing(enum tt_role role) { return role == TT_ROLE_FULL || role == TT_ROLE_GRAD; }

/* Is it a copy or a gradient that every step makes anew? Then it needs no place outside the arena: with one microbatch gradients come
 * as activations and copies go. Later microbatches would find all of the first one's gradients beside their activations. */
static bool is_made_anew(const struct tt_plan *plan, const struct tt_valdesc *d)
{
    return d->cls == TT_PARAM && is_passing(d->role) && plan->opts.sched->nmb == 1 && !is_shared(plan, d->role);
}

/* Has a buffer of a parameter its place in the arena? */
static bool is_param_in_arena(const struct tt_plan *plan, enum tt_role role, int param)
{
    return is_passing(role) && span_of(plan, param_thing(plan, role, param), 0)->end >= 0;
}

static void touch(const struct tt_plan *plan, size_t thing, int mb, int time)
{
    struct tt_span *span = span_of(plan, thing, mb);
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
        if (!d || d->cls != TT_PARAM || !is_passing(d->role))
            continue;
        const size_t thing = param_thing(plan, d->role, d->ref);
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
        struct tt_span *span = span_of(plan, op->out[i], mb);
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
        if (is_param_in_arena(plan, TT_ROLE_GRAD, i))
            span_of(plan, param_thing(plan, TT_ROLE_GRAD, i), 0)->end = plan->nevents - 1;
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
        if (span_of(plan, in, mb)->end != span_of(plan, out, mb)->begin)
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
            struct tt_span *root = span_of(plan, plan->root[v], mb);
            const struct tt_span *span = span_of(plan, v, mb);
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
        if (plan->slot[mb] == slot && span_of(plan, thing, mb)->end >= 0)
            out[n++] = *span_of(plan, thing, mb);
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
    status = tt_pack(item, n, ALIGN, &plan->cost.arena, &plan->cost.live_max, err);
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
        plan->thing_nbytes[v] = align_up(tt_val_nbytes(d));
        if (is_made_anew(plan, d))
            plan->thing_nbytes[param_thing(plan, d->role, d->ref)] = plan->thing_nbytes[v];
    }
    for (int i = 0; i < prog->nops; i++)
        plan->thing_nbytes[prog->nvals + (size_t)i] = align_up(device->ops->scratch(device, &prog->op[i], prog->val));
    for (int t = 0; t < plan->nevents; t++) {
        const struct tt_moment *e = &plan->event[t];
        const struct tt_op *op = &e->prog->op[e->op];
        const uint64_t scratch = e->mb < 0 ? device->ops->scratch(device, op, e->prog->val) : 0;
        plan->side_scratch = scratch > plan->side_scratch ? scratch : plan->side_scratch;
        plan->cost.flops += op->def->flops ? op->def->flops(op, e->prog->val) : 0;
    }
}

static tt_status plan_arena(struct tt_plan *plan, struct tt_err *err)
{
    const size_t nmb = (size_t)plan->opts.sched->nmb;

    plan->nthings = param_thing(plan, TT_ROLE_GRAD, plan->opts.params->n);
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
    plan->side_offset = align_up(plan->cost.arena);
    plan->cost.arena = plan->side_offset + align_up(plan->side_scratch);
    return status;
}

/* --- what is outside the arena ---------------------------------------------------------------------------------------------- */

/* Gives every buffer of a parameter that a program asks for its place; nbytes[role] grows with them. */
static void place_params(struct tt_plan *plan, const struct tt_program *prog, uint64_t *nbytes)
{
    for (tt_val v = 0; prog && v < prog->nvals; v++) {
        const struct tt_valdesc *d = &prog->val[v];
        if (d->cls != TT_PARAM || plan->param_offset[d->role][d->ref] != UINT64_MAX || is_param_in_arena(plan, d->role, d->ref))
            continue;
        plan->param_offset[d->role][d->ref] = nbytes[d->role];
        nbytes[d->role] += align_up(tt_val_nbytes(d));
    }
}

static tt_status plan_outside(struct tt_plan *plan, struct tt_err *err)
{
    const struct tt_plan *share = plan->opts.share;
    const struct tt_program *prog = plan->opts.model;
    const size_t n = (size_t)plan->opts.params->n, nmb = (size_t)plan->opts.sched->nmb;
    uint64_t nbytes[TT_NROLES] = { 0 };

    for (int role = 0; role < TT_NROLES; role++) {
        plan->param_offset[role] = malloc((n + 1) * sizeof **plan->param_offset);
        if (!plan->param_offset[role])
            return tt_err_nomem(err, n * sizeof **plan->param_offset, "the plan of a step");
        for (size_t i = 0; i < n; i++)
            plan->param_offset[role][i] = UINT64_MAX;
    }
    plan->cache_offset = calloc((size_t)prog->nvals + 1, sizeof *plan->cache_offset);
    if (!plan->cache_offset)
        return tt_err_nomem(err, prog->nvals * sizeof *plan->cache_offset, "the plan of a step");
    place_params(plan, prog, nbytes);
    place_params(plan, plan->opts.step, nbytes);
    for (int role = 0; role < TT_NROLES; role++) {
        nbytes[role] = is_shared(plan, role) ? 0 : nbytes[role];
        plan->role[role].nbytes = nbytes[role];
    }
    for (tt_val v = 0; v < prog->nvals; v++) {
        const struct tt_valdesc *d = &prog->val[v];
        if (d->cls == TT_INPUT)
            plan->input[d->ref].nbytes = nmb * (plan->input_nbytes[d->ref] = align_up(tt_val_nbytes(d)));
        if (d->cls == TT_CONST)
            plan->constant[d->ref].nbytes = align_up(tt_val_nbytes(d));
        if (d->cls == TT_OUTPUT && d->ref == TT_OUT_LOGITS)
            plan->logits.nbytes = nmb * (plan->logits_nbytes = align_up(tt_val_nbytes(d)));
        if (d->cls == TT_CACHE) {
            plan->cache_offset[v] = plan->cache.nbytes;
            plan->cache.nbytes += align_up(tt_val_nbytes(d));
        }
    }
    plan->cache.nbytes = plan->opts.share ? 0 : plan->cache.nbytes; /* that one's */
    plan->losses.nbytes = nmb * sizeof(float);
    plan->scalars.nbytes = sizeof(struct tt_scalars) + n * sizeof(double) + nmb * sizeof(struct tt_adam_now);
    plan->borrows = share && share->arena.nbytes >= plan->cost.arena;
    plan->cost.arena = plan->borrows ? 0 : plan->cost.arena;
    plan->arena.nbytes = plan->cost.arena;

    plan->cost.cache = plan->cache.nbytes;
    plan->cost.params = nbytes[TT_ROLE_SHARD];
    plan->cost.copies = nbytes[TT_ROLE_FULL];
    plan->cost.grads = nbytes[TT_ROLE_GRAD];
    plan->cost.optim = nbytes[TT_ROLE_EXP_AVG] + nbytes[TT_ROLE_EXP_AVG_SQ];
    for (int i = 0; i < TT_NINPUTS; i++)
        plan->cost.inputs += plan->input[i].nbytes;
    return TT_OK;
}

tt_status tt_plan_new(struct tt_plan **out, const struct tt_plan_opts *opts, struct tt_err *err)
{
    struct tt_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return tt_err_nomem(err, sizeof *plan, "the plan of a step");
    plan->opts = *opts;

    tt_status status = make_timeline(plan, err);
    if (status == TT_OK)
        status = plan_arena(plan, err);
    if (status == TT_OK)
        status = plan_outside(plan, err);
    if (status != TT_OK) {
        tt_plan_free(plan);
        return status;
    }
    *out = plan;
    return TT_OK;
}

/* --- memory ----------------------------------------------------------------------------------------------------------------- */

/* Every block that a plan owns, one after another: NULL past the last. */
static struct block *block_at(struct tt_plan *plan, int i)
{
    struct block *const single[] = { &plan->arena, &plan->losses, &plan->logits, &plan->cache, &plan->scalars };
    enum { NSINGLE = sizeof single / sizeof single[0] };

    if (i < NSINGLE)
        return single[i];
    i -= NSINGLE;
    if (i < TT_NROLES)
        return &plan->role[i];
    i -= TT_NROLES;
    if (i < TT_NINPUTS)
        return &plan->input[i];
    i -= TT_NINPUTS;
    return i < TT_NCONSTS ? &plan->constant[i] : NULL;
}

void tt_plan_free(struct tt_plan *plan)
{
    if (!plan)
        return;
    for (int i = 0; block_at(plan, i); i++)
        if (block_at(plan, i)->p)
            plan->opts.device->ops->dealloc(plan->opts.device, block_at(plan, i)->p, block_at(plan, i)->nbytes);
    for (int role = 0; role < TT_NROLES; role++)
        free(plan->param_offset[role]);
    free(plan->cache_offset);
    free(plan->event);
    free(plan->call);
    free(plan->done);
    free(plan->begun);
    free(plan->before);
    free(plan->waits);
    free(plan->next);
    free(plan->thing_nbytes);
    free(plan->slot);
    free(plan->root);
    free(plan->span);
    free(plan->offset);
    free(plan);
}

const struct tt_cost *tt_plan_cost(const struct tt_plan *plan)
{
    return &plan->cost;
}

static void *at(const struct block *block, uint64_t offset)
{
    return block->p ? (char *)block->p + offset : NULL;
}

static void *arena_at(const struct tt_plan *plan, uint64_t offset)
{
    return at(plan->borrows ? &plan->opts.share->arena : &plan->arena, offset);
}

static void *thing_at(const struct tt_plan *plan, size_t thing, int mb)
{
    const size_t place = thing < plan->opts.model->nvals ? plan->root[thing] : thing;

    if (span_of(plan, thing, mb)->end < 0)
        return NULL;
    return arena_at(plan, plan->offset[(size_t)plan->slot[mb] * plan->nthings + place]);
}

void *tt_plan_input(const struct tt_plan *plan, enum tt_input which, int mb)
{
    return at(&plan->input[which], (uint64_t)mb * plan->input_nbytes[which]);
}

void *tt_plan_const(const struct tt_plan *plan, enum tt_const which)
{
    return plan->constant[which].p;
}

float *tt_plan_losses(const struct tt_plan *plan)
{
    return plan->losses.p;
}

void *tt_plan_logits(const struct tt_plan *plan, int mb) { return at(&plan->logits, (uint64_t)mb * plan->logits_nbytes); }

/* Parameters of a shared plan are where that one has them. */
void *tt_plan_param(const struct tt_plan *plan, int param, enum tt_role role)
{
    if (is_shared(plan, role))
        return tt_plan_param(plan->opts.share, param, role);
    if (is_param_in_arena(plan, role, param))
        return thing_at(plan, param_thing(plan, role, param), 0);
    const uint64_t offset = plan->param_offset[role][param];
    return offset == UINT64_MAX ? NULL : at(&plan->role[role], offset);
}

struct tt_scalars *tt_plan_scalars(const struct tt_plan *plan)
{
    return plan->scalars.p;
}

/* --- looking at the plan ----------------------------------------------------------------------------------------------------- */

int tt_plan_nops(const struct tt_plan *plan) { return plan->nevents; }

const struct tt_op *tt_plan_op(const struct tt_plan *plan, int i, const struct tt_program **prog, int *mb)
{
    const struct tt_moment *e = &plan->event[i];
    *prog = e->prog;
    *mb = e->mb;
    return &e->prog->op[e->op];
}

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
        if (is_made_anew(plan, &prog->val[v]) && param_thing(plan, prog->val[v].role, prog->val[v].ref) == thing)
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
        const struct tt_span *span = span_of(plan, thing, (int)mb);
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

/* --- pointers --------------------------------------------------------------------------------------------------------------- */

static void *scalar_at(const struct tt_plan *plan, const struct tt_valdesc *d, const struct tt_moment *e)
{
    struct tt_scalars *s = plan->scalars.p;

    switch ((enum tt_scalar)d->ref) {
    case TT_S_ONE: return &s->one;
    case TT_S_ACCUMULATE: return e->first ? NULL : &s->one; /* a beta of NULL is 0 */
    case TT_S_INV_TOKENS: return &s->inv_tokens;
    case TT_S_ADAM: return &s->adam[e->mb < 0 ? 0 : e->mb];
    case TT_S_MAX_NORM: return &s->max_norm;
    case TT_S_GRAD_NORM: return &s->grad_norm;
    case TT_S_CLIP: return &s->clip;
    case TT_S_SUMSQ: return &s->sumsq[d->index];
    }
    return NULL;
}

static void *value_at(const struct tt_plan *plan, const struct tt_moment *e, tt_val v)
{
    if (v == TT_NO_VAL)
        return NULL;
    const struct tt_valdesc *d = &e->prog->val[v];

    switch (d->cls) {
    case TT_INPUT: return tt_plan_input(plan, (enum tt_input)d->ref, e->mb);
    case TT_CONST: return tt_plan_const(plan, (enum tt_const)d->ref);
    case TT_ACT: return thing_at(plan, v, e->mb);
    case TT_PARAM: return tt_plan_param(plan, d->ref, d->role);
    case TT_SCALAR: return scalar_at(plan, d, e);
    case TT_OUTPUT: return d->ref == TT_OUT_LOGITS ? tt_plan_logits(plan, e->mb) : tt_plan_losses(plan) + e->mb;
    case TT_CACHE: return at(plan->opts.share ? &plan->opts.share->cache : &plan->cache, plan->cache_offset[v]);
    }
    return NULL;
}

static void *scratch_at(const struct tt_plan *plan, const struct tt_moment *e)
{
    return e->mb < 0 ? arena_at(plan, plan->side_offset) : thing_at(plan, plan->opts.model->nvals + (size_t)e->op, e->mb);
}

tt_status tt_plan_bind(struct tt_plan *plan, struct tt_err *err)
{
    for (int i = 0; block_at(plan, i); i++) {
        struct block *block = block_at(plan, i);
        if (block->nbytes == 0)
            continue;
        const tt_status status = plan->opts.device->ops->alloc(plan->opts.device, block->nbytes, &block->p, err);
        if (status != TT_OK)
            return status;
    }
    struct tt_scalars *scalars = tt_plan_scalars(plan);
    scalars->one = 1;
    scalars->adam = (struct tt_adam_now *)(scalars->sumsq + plan->opts.params->n);
    for (int t = 0; t < plan->nevents; t++) {
        const struct tt_moment *e = &plan->event[t];
        const struct tt_op *op = &e->prog->op[e->op];
        struct tt_call call = { .op = op, .val = e->prog->val, .scratch = scratch_at(plan, e) };
        for (int i = 0; i < op->nin; i++)
            call.in[i] = value_at(plan, e, op->in[i]);
        for (int i = 0; i < op->nout; i++)
            call.out[i] = value_at(plan, e, op->out[i]);
        plan->call[t] = call;
    }
    return TT_OK;
}

void tt_plan_watch(struct tt_plan *plan, const struct tt_plan_watch *watch) { plan->watch = watch; }

static void tell(const struct tt_plan *plan, int t)
{
    if (plan->watch)
        plan->watch->ran(plan->watch->ctx, &plan->call[t], plan->event[t].mb, plan->begun[t], tt_seconds());
}

/* What has to be over before event t is launched; nevents: at the end. */
static tt_status wait_before(struct tt_plan *plan, int t, struct tt_err *err)
{
    struct tt_device *device = plan->opts.device;

    for (int w = plan->waits[t]; w >= 0; w = plan->next[w]) {
        const tt_status status = device->ops->after(device, TT_Q_COMPUTE, &plan->done[w], 1, err);
        if (status != TT_OK)
            return status;
        tell(plan, w);
    }
    return TT_OK;
}

tt_status tt_plan_run(struct tt_plan *plan, struct tt_err *err)
{
    struct tt_device *device = plan->opts.device;

    for (int t = 0; t < plan->nevents; t++) {
        tt_status status = wait_before(plan, t, err);
        plan->begun[t] = plan->watch ? tt_seconds() : 0;
        if (status == TT_OK)
            status = device->ops->launch(device, &plan->call[t], &plan->done[t], err);
        if (status != TT_OK)
            return status;
        if (plan->before[t] == 0)
            tell(plan, t);
    }
    const tt_status status = wait_before(plan, plan->nevents, err);
    return status == TT_OK ? device->ops->sync(device, err) : status;
}
