#include "program/schedule.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

const char *const tt_act_names[TT_NACTS] = {
    [TT_A_F] = "F", [TT_A_I] = "I", [TT_A_W] = "W", [TT_A_B] = "B",
    [TT_A_UNSHARD] = "UNSHARD", [TT_A_RESHARD] = "RESHARD", [TT_A_REDUCE_GRAD] = "REDUCE_GRAD", [TT_A_STEP] = "STEP",
    [TT_A_SEND_F] = "SEND_F", [TT_A_RECV_F] = "RECV_F", [TT_A_SEND_B] = "SEND_B", [TT_A_RECV_B] = "RECV_B",
};

/* --- making ----------------------------------------------------------------------------------------------------------------- */

struct list {
    struct tt_action *a; /* has room for all that will be put */
    int n;
};

static void put(struct list *list, enum tt_act act, int stage, int unit, int mb)
{
    list->a[list->n++] = (struct tt_action){ .act = act, .stage = (int16_t)stage, .unit = (int16_t)unit, .mb = (int16_t)mb };
}

/* Forwards first until the stages behind have work, then one backward a forward, then the backwards that are left. */
static void one_f_one_b(struct list *list, int stage, int nstages, int nmb)
{
    const int ahead = nstages - 1 - stage < nmb ? nstages - 1 - stage : nmb;

    for (int f = 0; f < nmb + ahead; f++) {
        if (f < nmb)
            put(list, TT_A_F, stage, -1, f);
        if (f >= ahead)
            put(list, TT_A_B, stage, -1, f - ahead);
    }
}

static void gpipe(struct list *list, int stage, int nstages, int nmb)
{
    (void)nstages;
    for (int mb = 0; mb < nmb; mb++)
        put(list, TT_A_F, stage, -1, mb);
    for (int mb = 0; mb < nmb; mb++)
        put(list, TT_A_B, stage, -1, mb);
}

static const struct {
    const char *name;
    void (*make)(struct list *list, int stage, int nstages, int nmb);
} schedules[] = {
    { "1F1B", one_f_one_b },
    { "GPipe", gpipe },
};

static tt_status sched_alloc(struct tt_sched *out, int nranks, int nstages, int nmb, int cap, struct tt_err *err)
{
    struct tt_sched sched = { .nranks = nranks, .nstages = nstages, .nmb = nmb };
    bool ok = true;

    sched.rank = calloc((size_t)nranks, sizeof *sched.rank);
    sched.n = calloc((size_t)nranks, sizeof *sched.n);
    for (int r = 0; sched.rank && r < nranks; r++)
        ok &= (sched.rank[r] = calloc((size_t)cap, sizeof **sched.rank)) != NULL;
    if (!sched.rank || !sched.n || !ok) {
        tt_sched_release(&sched);
        return tt_err_nomem(err, (size_t)nranks * (size_t)cap * sizeof **sched.rank, "a schedule");
    }
    *out = sched;
    return TT_OK;
}

void tt_sched_release(struct tt_sched *sched)
{
    if (!sched)
        return;
    for (int r = 0; sched->rank && r < sched->nranks; r++)
        free(sched->rank[r]);
    free(sched->rank);
    free(sched->n);
    *sched = (struct tt_sched){ 0 };
}

tt_status tt_sched_make(struct tt_sched *out, const char *name, int pp, int nstages, int nmb, struct tt_err *err)
{
    size_t which = 0;
    while (which < sizeof schedules / sizeof schedules[0] && strcmp(schedules[which].name, name) != 0)
        which++;
    if (which == sizeof schedules / sizeof schedules[0])
        return tt_err_set(err, TT_EINVAL, "no schedule is called '%s': expected 1F1B or GPipe", name);
    if (pp < 1 || nstages != pp || nmb < 1 || nmb > INT16_MAX || nstages > INT16_MAX)
        return tt_err_set(err, TT_EINVAL, "schedule %s: expected a stage a rank and 1 to %d microbatches, found %d stages on %d "
                          "ranks, %d microbatches", name, INT16_MAX, nstages, pp, nmb);

    struct tt_sched sched;
    const tt_status status = sched_alloc(&sched, pp, nstages, nmb, 2 * nmb, err);
    if (status != TT_OK)
        return status;
    for (int r = 0; r < pp; r++) {
        struct list list = { .a = sched.rank[r] };
        schedules[which].make(&list, r, nstages, nmb);
        sched.n[r] = list.n;
    }
    *out = sched;
    return TT_OK;
}

/* --- lowering --------------------------------------------------------------------------------------------------------------- */

static bool is_backward(enum tt_act act)
{
    return act == TT_A_B || act == TT_A_I || act == TT_A_W;
}

static bool occurs(const struct tt_action *a, int begin, int end, int stage, bool backward)
{
    for (int i = begin; i < end; i++)
        if (a[i].stage == stage && is_backward(a[i].act) == backward)
            return true;
    return false;
}

/* One action with what has to happen right before and after it. */
static void lower_one(struct list *list, const struct tt_sched *sched, int r, int i)
{
    const struct tt_action a = sched->rank[r][i];
    const bool first = a.stage == 0, last = a.stage == sched->nstages - 1;

    if (a.act == TT_A_F && !occurs(sched->rank[r], 0, i, a.stage, false))
        put(list, TT_A_UNSHARD, a.stage, -1, -1);
    if (a.act == TT_A_F && !first)
        put(list, TT_A_RECV_F, a.stage, -1, a.mb);
    if ((a.act == TT_A_B || a.act == TT_A_I) && !last)
        put(list, TT_A_RECV_B, a.stage, -1, a.mb);
    list->a[list->n++] = a;
    if (a.act == TT_A_F && !last)
        put(list, TT_A_SEND_F, a.stage, -1, a.mb);
    if ((a.act == TT_A_B || a.act == TT_A_I) && !first)
        put(list, TT_A_SEND_B, a.stage, -1, a.mb);
    if (is_backward(a.act) && !occurs(sched->rank[r], i + 1, sched->n[r], a.stage, true))
        put(list, TT_A_REDUCE_GRAD, a.stage, -1, -1);
}

tt_status tt_sched_lower(struct tt_sched *sched, struct tt_err *err)
{
    struct tt_sched lowered;
    int cap = 1;

    for (int r = 0; r < sched->nranks; r++)
        cap = sched->n[r] * 4 + 1 > cap ? sched->n[r] * 4 + 1 : cap;
    const tt_status status = sched_alloc(&lowered, sched->nranks, sched->nstages, sched->nmb, cap, err);
    if (status != TT_OK)
        return status;
    for (int r = 0; r < sched->nranks; r++) {
        struct list list = { .a = lowered.rank[r] };
        for (int i = 0; i < sched->n[r]; i++)
            lower_one(&list, sched, r, i);
        put(&list, TT_A_STEP, -1, -1, -1);
        lowered.n[r] = list.n;
    }
    tt_sched_release(sched);
    *sched = lowered;
    return TT_OK;
}

/* --- checking: the ranks are run against each other, with nothing to compute ------------------------------------------------ */

struct check {
    const struct tt_sched *sched;
    bool *done[TT_NACTS]; /* [stage * nmb + mb] */
    bool sends;           /* it was lowered: what crosses stages is sent */
    int *at;              /* [rank]: the next action */
};

static bool has(const struct check *c, enum tt_act act, int stage, int mb)
{
    return c->done[act][stage * c->sched->nmb + mb];
}

/* Is what this action reads there? Sends and receives wait for their partner instead (can_meet). */
static bool is_ready(const struct check *c, const struct tt_action *a)
{
    const int last = c->sched->nstages - 1;

    switch (a->act) {
    case TT_A_F: return a->stage == 0 || has(c, c->sends ? TT_A_RECV_F : TT_A_F, c->sends ? a->stage : a->stage - 1, a->mb);
    case TT_A_B:
    case TT_A_I:
        if (!has(c, TT_A_F, a->stage, a->mb))
            return false;
        if (a->stage == last)
            return true;
        return c->sends ? has(c, TT_A_RECV_B, a->stage, a->mb)
                        : has(c, TT_A_B, a->stage + 1, a->mb) || has(c, TT_A_I, a->stage + 1, a->mb);
    case TT_A_W: return has(c, TT_A_I, a->stage, a->mb);
    case TT_A_SEND_F: return has(c, TT_A_F, a->stage, a->mb);
    case TT_A_SEND_B: return has(c, TT_A_B, a->stage, a->mb) || has(c, TT_A_I, a->stage, a->mb);
    default: return true;
    }
}

/* The rank whose next action is the receive that this send is for, or -1. */
static int meets(const struct check *c, const struct tt_action *send)
{
    const enum tt_act want = send->act == TT_A_SEND_F ? TT_A_RECV_F : TT_A_RECV_B;
    const int stage = send->act == TT_A_SEND_F ? send->stage + 1 : send->stage - 1;

    for (int r = 0; r < c->sched->nranks; r++) {
        if (c->at[r] == c->sched->n[r])
            continue;
        const struct tt_action *a = &c->sched->rank[r][c->at[r]];
        if (a->act == want && a->stage == stage && a->mb == send->mb)
            return r;
    }
    return -1;
}

static void finish(struct check *c, int r)
{
    const struct tt_action *a = &c->sched->rank[r][c->at[r]++];
    if (a->stage >= 0 && a->mb >= 0)
        c->done[a->act][a->stage * c->sched->nmb + a->mb] = true;
}

/* Lets rank r do its next action where it can. */
static bool advance(struct check *c, int r)
{
    if (c->at[r] == c->sched->n[r])
        return false;
    const struct tt_action *a = &c->sched->rank[r][c->at[r]];
    if (!is_ready(c, a) || a->act == TT_A_RECV_F || a->act == TT_A_RECV_B)
        return false;
    if (a->act == TT_A_SEND_F || a->act == TT_A_SEND_B) {
        const int partner = meets(c, a);
        if (partner < 0)
            return false;
        finish(c, partner);
    }
    finish(c, r);
    return true;
}

static tt_status check_actions(struct check *c, struct tt_err *err)
{
    const struct tt_sched *s = c->sched;
    int *seen = calloc((size_t)s->nstages * (size_t)s->nmb * TT_NACTS, sizeof *seen);
    tt_status status = TT_OK;

    if (!seen)
        return tt_err_nomem(err, 0, "the check of a schedule");
    for (int r = 0; r < s->nranks && status == TT_OK; r++)
        for (int i = 0; i < s->n[r] && status == TT_OK; i++) {
            const struct tt_action *a = &s->rank[r][i];
            if (a->stage >= s->nstages || a->mb >= s->nmb)
                status = tt_err_set(err, TT_EINVAL, "schedule: rank %d, action %d: %s of stage %d, microbatch %d: there is none", r,
                                    i, tt_act_names[a->act], a->stage, a->mb);
            else if (a->stage >= 0 && a->mb >= 0 && seen[(a->act * s->nstages + a->stage) * s->nmb + a->mb]++)
                status = tt_err_set(err, TT_EINVAL, "schedule: rank %d, action %d: %s of stage %d, microbatch %d a second time", r,
                                    i, tt_act_names[a->act], a->stage, a->mb);
            c->sends |= a->act == TT_A_SEND_F || a->act == TT_A_RECV_F;
        }
    free(seen);
    return status;
}

static tt_status check_complete(const struct check *c, struct tt_err *err)
{
    for (int stage = 0; stage < c->sched->nstages; stage++)
        for (int mb = 0; mb < c->sched->nmb; mb++) {
            const bool whole = has(c, TT_A_B, stage, mb), apart = has(c, TT_A_I, stage, mb) && has(c, TT_A_W, stage, mb);
            if (!has(c, TT_A_F, stage, mb) || whole == apart)
                return tt_err_set(err, TT_EINVAL, "schedule: stage %d, microbatch %d: expected one forward and one backward", stage,
                                  mb);
        }
    return TT_OK;
}

tt_status tt_sched_check(const struct tt_sched *sched, struct tt_err *err)
{
    struct check c = { .sched = sched };
    tt_status status = check_actions(&c, err);
    if (status != TT_OK)
        return status;

    const size_t n = (size_t)sched->nstages * (size_t)sched->nmb;
    bool *done = calloc(n * TT_NACTS, sizeof *done);
    c.at = calloc((size_t)sched->nranks, sizeof *c.at);
    if (!done || !c.at) {
        status = tt_err_nomem(err, n * TT_NACTS, "the check of a schedule");
        goto out;
    }
    for (int act = 0; act < TT_NACTS; act++)
        c.done[act] = done + (size_t)act * n;

    for (bool moved = true; moved;) {
        moved = false;
        for (int r = 0; r < sched->nranks; r++)
            while (advance(&c, r))
                moved = true;
    }
    for (int r = 0; r < sched->nranks && status == TT_OK; r++)
        if (c.at[r] < sched->n[r]) {
            const struct tt_action *a = &sched->rank[r][c.at[r]];
            status = tt_err_set(err, TT_EINVAL, "schedule: rank %d waits forever at action %d, %s of stage %d, microbatch %d", r,
                                c.at[r], tt_act_names[a->act], a->stage, a->mb);
        }
    if (status == TT_OK)
        status = check_complete(&c, err);
out:
    free(done);
    free(c.at);
    return status;
}
