#include "ckpt/stages.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define SETTING "pipeline_parallel_"

/* --- schedules ---------------------------------------------------------------------------------------------------------------- */

enum order { LOOP, V };

static const struct schedule {
    const char *name;
    bool one_stage; /* a rank has one; else two or more */
    enum order order;
} schedules[] = {
    { "1F1B", true, LOOP },
    { "Interleaved1F1B", false, LOOP },
    { "GPipe", true, LOOP },
    { "LoopedBFS", false, LOOP },
    { "InterleavedZeroBubble", false, LOOP },
    { "PipelineScheduleSingle", true, LOOP },
    { "PipelineScheduleMulti", false, LOOP },
    { "ZBVZeroBubble", false, V },
    { "DualPipeV", false, V },
};
enum { NSCHEDULES = sizeof schedules / sizeof *schedules };

static tt_status find_schedule(const struct schedule **out, const char *name, struct tt_err *err)
{
    for (size_t i = 0; i < NSCHEDULES; i++)
        if (strcasecmp(schedules[i].name, name) == 0) {
            *out = &schedules[i];
            return TT_OK;
        }
    return tt_err_set(err, TT_EINVAL,
                      SETTING "schedule: expected 1F1B, Interleaved1F1B, GPipe, LoopedBFS, InterleavedZeroBubble, "
                              "PipelineScheduleSingle, PipelineScheduleMulti, ZBVZeroBubble or DualPipeV, found '%s'",
                      name);
}

/* --- how many stages ---------------------------------------------------------------------------------------------------------- */

enum { LAYERS_MAX = 1 << 16 };

static tt_status check_range(const char *name, int64_t v, int64_t min, struct tt_err *err)
{
    if (v >= min && v <= LAYERS_MAX)
        return TT_OK;
    return tt_err_set(err, TT_EINVAL, SETTING "%s: expected %" PRId64 " to %d, found %" PRId64, name, min, LAYERS_MAX, v);
}

static tt_status count_stages(int64_t *n, int64_t pp, int64_t n_layers, const struct tt_stages_opts *o, const struct schedule *s,
                              struct tt_err *err)
{
    const int64_t weight = n_layers + o->first_less + o->last_less;
    if (o->nparts)
        *n = (int64_t)o->nparts;
    else if (o->layers_per_stage)
        *n = (weight + o->layers_per_stage - 1) / o->layers_per_stage;
    else
        *n = s->one_stage ? pp : 2 * pp;
    const char *from = o->nparts ? "module_fqns_per_model_part" : SETTING "layers_per_stage";
    if (*n % pp)
        return tt_err_set(err, TT_EINVAL, "%s: makes %" PRId64 " stages, which %" PRId64 " pipeline ranks do not divide", from, *n,
                          pp);
    const int64_t per_rank = *n / pp;
    if (s->one_stage ? per_rank != 1 : s->order == V ? per_rank != 2 : per_rank < 2)
        return tt_err_set(err, TT_EINVAL, "%s: makes %" PRId64 " stages a rank, and schedule %s takes %s", from, per_rank, s->name,
                          s->one_stage    ? "one"
                          : s->order == V ? "two"
                                          : "two or more");
    return TT_OK;
}

static tt_status check_weights(int64_t n, int64_t pp, int64_t n_layers, const struct tt_stages_opts *o, struct tt_err *err)
{
    const int64_t weight = n_layers + o->first_less + o->last_less;
    if (n > weight)
        return tt_err_set(err, TT_EINVAL,
                          SETTING "degree %" PRId64 ": %" PRId64 " stages are more than the %" PRId64 " layers and the %" PRId64
                                  " that embedding and output count as",
                          pp, n, n_layers, o->first_less + o->last_less);
    if (o->first_less > weight / n || o->last_less > weight / n)
        return tt_err_set(
            err, TT_EINVAL, SETTING "%s_stage_less_layers: expected at most the %" PRId64 " of a stage, found %" PRId64,
            o->first_less > weight / n ? "first" : "last", weight / n, o->first_less > weight / n ? o->first_less : o->last_less);
    return TT_OK;
}

/* --- what each has ------------------------------------------------------------------------------------------------------------ */

/* The modules of one stage from layer *next on; false without memory. */
static bool fill_stage(struct tt_modules *out, struct tt_arena *arena, bool first, bool last, int64_t nlayers, int64_t *next)
{
    const char **names = tt_arena_array(arena, (size_t)nlayers + 3, sizeof *names);
    size_t n = 0;
    if (!names)
        return false;
    if (first)
        names[n++] = "tok_embeddings";
    for (int64_t i = 0; i < nlayers; i++, (*next)++)
        if (!(names[n++] = tt_arena_printf(arena, "layers.%" PRId64, *next)))
            return false;
    if (last) {
        names[n++] = "norm";
        names[n++] = "output";
    }
    *out = (struct tt_modules){ names, n };
    return true;
}

static tt_status fill_stages(struct tt_modules *stage, int64_t n, struct tt_arena *arena, int64_t n_layers,
                             const struct tt_stages_opts *o, struct tt_err *err)
{
    int64_t next = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t weight = n_layers + o->first_less + o->last_less;
        const bool first = i == 0, last = i == n - 1;
        int64_t layers = n == 1 ? n_layers : weight / n + (i < weight % n);
        if (n > 1)
            layers -= first ? o->first_less : last ? o->last_less : 0;
        if (layers > n_layers - next)
            layers = n_layers - next;
        if (!fill_stage(&stage[i], arena, first, last, layers, &next))
            return tt_err_nomem(err, (size_t)n_layers * sizeof(char *), "the pipeline stages");
    }
    return TT_OK;
}

tt_status tt_stages_make(struct tt_stages *out, struct tt_arena *arena, int64_t pp, int64_t n_layers,
                         const struct tt_stages_opts *o, struct tt_err *err)
{
    const struct schedule *schedule = &schedules[0];
    int64_t n = 1;
    tt_status st = TT_OK;

    if (pp > 1)
        st = find_schedule(&schedule, o->schedule, err);
    if (st == TT_OK && pp > 1)
        st = check_range("first_stage_less_layers", o->first_less, 0, err);
    if (st == TT_OK && pp > 1)
        st = check_range("last_stage_less_layers", o->last_less, 0, err);
    if (st == TT_OK && pp > 1 && o->layers_per_stage)
        st = check_range("layers_per_stage", o->layers_per_stage, 1, err);
    if (st == TT_OK && pp > 1)
        st = count_stages(&n, pp, n_layers, o, schedule, err);
    if (st == TT_OK && pp > 1 && !o->nparts)
        st = check_weights(n, pp, n_layers, o, err);
    if (st != TT_OK)
        return st;
    struct tt_modules *stage = tt_arena_array(arena, (size_t)n, sizeof *stage);
    int64_t *rank = tt_arena_array(arena, (size_t)n, sizeof *rank);
    if (!stage || !rank)
        return tt_err_nomem(err, (size_t)n * sizeof *stage, "the pipeline stages");
    for (int64_t i = 0; i < n; i++)
        rank[i] = schedule->order == V && i >= pp ? n - 1 - i : i % pp;
    if (pp > 1 && o->nparts)
        memcpy(stage, o->parts, o->nparts * sizeof *stage);
    else
        st = fill_stages(stage, n, arena, n_layers, o, err);
    if (st == TT_OK)
        *out = (struct tt_stages){ stage, rank, n };
    return st;
}

/* The length of the module that an fqn lies in, as stages name them: "layers.3" of "layers.3.attention.wq.weight". */
static size_t module_len(const char *fqn)
{
    static const char layers[] = "layers.";
    const size_t skip = strncmp(fqn, layers, strlen(layers)) == 0 ? strlen(layers) : 0;
    return skip + strcspn(fqn + skip, ".");
}

bool tt_stage_has(const struct tt_stages *stages, int64_t stage, const char *fqn)
{
    const struct tt_modules *m = &stages->stage[stage];
    const size_t len = module_len(fqn);
    for (size_t i = 0; i < m->n; i++)
        if (strlen(m->names[i]) == len && memcmp(m->names[i], fqn, len) == 0)
            return true;
    return false;
}
