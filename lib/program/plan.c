#include "program/plan_private.h"

#include <stdlib.h>

#include "base/clock.h"

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

/* --- what is outside the arena ---------------------------------------------------------------------------------------------- */

/* Gives every buffer of a parameter that a program asks for its place; nbytes[role] grows with them. */
static void place_params(struct tt_plan *plan, const struct tt_program *prog, uint64_t *nbytes)
{
    for (tt_val v = 0; prog && v < prog->nvals; v++) {
        const struct tt_valdesc *d = &prog->val[v];
        if (d->cls != TT_PARAM || plan->param_offset[d->role][d->ref] != UINT64_MAX || tt_plan_is_param_in_arena(plan, d->role, d->ref))
            continue;
        plan->param_offset[d->role][d->ref] = nbytes[d->role];
        nbytes[d->role] += tt_plan_align_up(tt_val_nbytes(d));
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
        nbytes[role] = tt_plan_is_shared(plan, role) ? 0 : nbytes[role];
        plan->role[role].nbytes = nbytes[role];
    }
    for (tt_val v = 0; v < prog->nvals; v++) {
        const struct tt_valdesc *d = &prog->val[v];
        if (d->cls == TT_INPUT)
            plan->input[d->ref].nbytes = nmb * (plan->input_nbytes[d->ref] = tt_plan_align_up(tt_val_nbytes(d)));
        if (d->cls == TT_CONST)
            plan->constant[d->ref].nbytes = tt_plan_align_up(tt_val_nbytes(d));
        if (d->cls == TT_OUTPUT && d->ref == TT_OUT_LOGITS)
            plan->logits.nbytes = nmb * (plan->logits_nbytes = tt_plan_align_up(tt_val_nbytes(d)));
        if (d->cls == TT_CACHE) {
            plan->cache_offset[v] = plan->cache.nbytes;
            plan->cache.nbytes += tt_plan_align_up(tt_val_nbytes(d));
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
        status = tt_plan_arena(plan, err);
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
static struct tt_plan_block *block_at(struct tt_plan *plan, int i)
{
    struct tt_plan_block *const single[] = { &plan->arena, &plan->losses, &plan->logits, &plan->cache, &plan->scalars };
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

static void *at(const struct tt_plan_block *block, uint64_t offset)
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

    if (tt_plan_span(plan, thing, mb)->end < 0)
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
    if (tt_plan_is_shared(plan, role))
        return tt_plan_param(plan->opts.share, param, role);
    if (tt_plan_is_param_in_arena(plan, role, param))
        return thing_at(plan, tt_plan_param_thing(plan, role, param), 0);
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
        struct tt_plan_block *block = block_at(plan, i);
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
