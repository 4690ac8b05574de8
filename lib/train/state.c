#include "train/state.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "convert/position.h"
#include "format/pickle_value.h"
#include "value/json.h"

static const struct part_row {
    unsigned part;
    const char *name;
} part_rows[] = {
    { TT_STATE_TRAIN, "train_state" }, { TT_STATE_OPTIMIZER, "optimizer" }, { TT_STATE_DATALOADER, "dataloader" },
    { TT_STATE_LR, "lr_scheduler" },   { TT_STATE_MODEL, "model" },
};
enum { NPARTS = sizeof part_rows / sizeof *part_rows };

unsigned tt_state_part_find(const char *name)
{
    for (size_t i = 0; i < NPARTS; i++)
        if (strcmp(part_rows[i].name, name) == 0)
            return part_rows[i].part;
    return 0;
}

void tt_state_part_names(struct tt_buf *out, unsigned parts)
{
    const char *comma = "";
    for (size_t i = 0; i < NPARTS; i++)
        if (parts & part_rows[i].part) {
            tt_buf_printf(out, "%s%s", comma, part_rows[i].name);
            comma = ",";
        }
}

/* Which part a key belongs to: a parameter's has no prefix of its own. */
static unsigned part_of(const char *fqn)
{
    for (size_t i = 0; i < NPARTS; i++) {
        const size_t n = strlen(part_rows[i].name);
        if (part_rows[i].part != TT_STATE_MODEL && strncmp(fqn, part_rows[i].name, n) == 0 && fqn[n] == '.')
            return part_rows[i].part;
    }
    return TT_STATE_MODEL;
}

unsigned tt_state_parts_in(const struct tt_entries *entries)
{
    unsigned parts = 0;
    for (size_t i = 0; i < entries->n; i++)
        parts |= part_of(entries->items[i].fqn);
    return parts;
}

/* --- values that are plain fields: one row serves saving and loading -------------------------------------------------------- */

enum field_kind {
    FIELD_COUNT,      /* int64_t from 0 to COUNT_MAX, so that a run can go on counting */
    FIELD_DOUBLE,     /* double, finite */
    FIELD_DOUBLE_ONE, /* double, finite, in a list of one: one parameter group */
    FIELD_BETAS,      /* two doubles in a row, from 0 to below 1, as a tuple */
    FIELD_BOOL,       /* bool; None counts as false */
    FIELD_FALSE,      /* no field: false when saved, not read */
};
static const int64_t COUNT_MAX = INT64_C(1) << 53;

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
};

#define OF(name) offsetof(struct tt_train_state, name)
static const struct field train_fields[] = {
    { "step", FIELD_COUNT, OF(step) },
    { "ntokens_seen", FIELD_COUNT, OF(ntokens_seen) },
    { 0 },
};
static const struct field lr_fields[] = {
    { "base_lrs", FIELD_DOUBLE_ONE, OF(lr.base) },
    { "last_epoch", FIELD_COUNT, OF(lr.last_epoch) },
    { "_step_count", FIELD_COUNT, OF(lr.step_count) },
    { "_is_initial", FIELD_FALSE, 0 },
    { "_get_lr_called_within_step", FIELD_FALSE, 0 },
    { "_last_lr", FIELD_DOUBLE_ONE, OF(lr.last) },
    { 0 },
};
#undef OF
#define OF(name) offsetof(struct tt_param_group, name)
_Static_assert(OF(beta2) == OF(beta1) + sizeof(double), "betas are read and written as a pair");
static const struct field group_fields[] = {
    { "lr", FIELD_DOUBLE, OF(lr) },
    { "betas", FIELD_BETAS, OF(beta1) },
    { "eps", FIELD_DOUBLE, OF(eps) },
    { "weight_decay", FIELD_DOUBLE, OF(weight_decay) },
    { "amsgrad", FIELD_BOOL, OF(amsgrad) },
    { "maximize", FIELD_BOOL, OF(maximize) },
    { "foreach", FIELD_BOOL, OF(foreach) },
    { "capturable", FIELD_BOOL, OF(capturable) },
    { "differentiable", FIELD_BOOL, OF(differentiable) },
    { "fused", FIELD_BOOL, OF(fused) },
    { "decoupled_weight_decay", FIELD_BOOL, OF(decoupled_weight_decay) },
    { "initial_lr", FIELD_DOUBLE, OF(initial_lr) },
    { 0 },
};
#undef OF

static struct tt_value *sequence_of(struct tt_arena *arena, struct tt_value *seq, const double *x, int n)
{
    for (int i = 0; i < n; i++)
        if (!tt_value_append(arena, seq, tt_value_float(arena, x[i])))
            return NULL;
    return seq;
}

static struct tt_value *field_value(struct tt_arena *arena, const struct field *f, const void *base)
{
    const void *at = (const char *)base + f->offset;
    switch (f->kind) {
    case FIELD_COUNT:
        return tt_value_int(arena, *(const int64_t *)at);
    case FIELD_DOUBLE:
        return tt_value_float(arena, *(const double *)at);
    case FIELD_DOUBLE_ONE:
        return sequence_of(arena, tt_value_list(arena), at, 1);
    case FIELD_BETAS:
        return sequence_of(arena, tt_value_tuple(arena), at, 2);
    case FIELD_BOOL:
        return tt_value_bool(arena, *(const bool *)at);
    case FIELD_FALSE:
        break;
    }
    return tt_value_bool(arena, false);
}

/* A number that Python would take for a float. */
static bool read_double(const struct tt_value *v, double *out)
{
    if (v->kind != TT_V_FLOAT && v->kind != TT_V_INT)
        return false;
    *out = v->kind == TT_V_FLOAT ? v->u.f : (double)v->u.i;
    return isfinite(*out);
}

static bool read_doubles(const struct tt_value *v, double *out, size_t n)
{
    if ((v->kind != TT_V_LIST && v->kind != TT_V_TUPLE) || v->u.list.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!read_double(v->u.list.items[i], &out[i]))
            return false;
    return true;
}

static bool is_beta(double x) { return x >= 0 && x < 1; }

static bool read_field(const struct field *f, void *base, const struct tt_value *v)
{
    void *at = (char *)base + f->offset;
    switch (f->kind) {
    case FIELD_COUNT:
        if (v->kind == TT_V_INT)
            *(int64_t *)at = v->u.i;
        return v->kind == TT_V_INT && v->u.i >= 0 && v->u.i <= COUNT_MAX;
    case FIELD_DOUBLE:
        return read_double(v, at);
    case FIELD_DOUBLE_ONE:
        return read_doubles(v, at, 1);
    case FIELD_BETAS:
        return read_doubles(v, at, 2) && is_beta(((double *)at)[0]) && is_beta(((double *)at)[1]);
    case FIELD_BOOL:
        *(bool *)at = v->kind == TT_V_BOOL && v->u.b;
        return v->kind == TT_V_BOOL || v->kind == TT_V_NULL;
    case FIELD_FALSE:
        break;
    }
    return true;
}

static const char *const field_expected[] = {
    [FIELD_COUNT] = "an integer from 0 to 2^53",
    [FIELD_DOUBLE] = "a finite number",
    [FIELD_DOUBLE_ONE] = "a list of one finite number",
    [FIELD_BETAS] = "a pair of numbers from 0 to below 1",
    [FIELD_BOOL] = "a boolean",
    [FIELD_FALSE] = "anything",
};

static tt_status wrong_field(const struct tt_ckpt *ckpt, const char *fqn, const struct field *f, const struct tt_value *v,
                             struct tt_err *err)
{
    const bool is_text = v->kind == TT_V_INT || v->kind == TT_V_FLOAT || v->kind == TT_V_LIST || v->kind == TT_V_TUPLE;
    struct tt_buf found = { 0 };
    if (is_text)
        tt_json_write(&found, v, 0);
    tt_err_set(err, TT_EFORMAT, "%s: %s: expected %s, found %.100s", ckpt->path, fqn, field_expected[f->kind],
               is_text && !found.failed ? tt_buf_cstr(&found) : tt_value_kind_name(v->kind));
    tt_buf_release(&found);
    return TT_EFORMAT;
}

static tt_status load_field(struct tt_ckpt *ckpt, const char *fqn, const struct field *f, void *base, struct tt_err *err)
{
    const struct tt_value *v;
    const tt_status status = tt_ckpt_value(ckpt, fqn, &v, err);
    if (status != TT_OK)
        return status;
    return read_field(f, base, v) ? TT_OK : wrong_field(ckpt, fqn, f, v, err);
}

static tt_status load_fields(struct tt_ckpt *ckpt, const char *prefix, const struct field *f, void *base, struct tt_err *err)
{
    for (; f->name; f++) {
        char fqn[512];
        snprintf(fqn, sizeof fqn, "%s.%s", prefix, f->name);
        const tt_status status = load_field(ckpt, fqn, f, base, err);
        if (status != TT_OK)
            return status;
    }
    return TT_OK;
}

struct tt_param_group tt_param_group_make(const struct tt_config_optimizer *config, double lr)
{
    return (struct tt_param_group){
        .lr = lr,
        .beta1 = config->beta1,
        .beta2 = config->beta2,
        .eps = config->eps,
        .weight_decay = config->weight_decay,
        .initial_lr = config->lr,
        .foreach = config->implementation == TT_IMPL_FOREACH,
        .fused = config->implementation == TT_IMPL_FUSED,
        .decoupled_weight_decay = config->name == TT_ADAMW,
    };
}

/* --- saving ---------------------------------------------------------------------------------------------------------------- */

struct items {
    struct tt_arena *arena;
    struct tt_save_item *item;
    size_t n, cap;
    bool failed;
};

static struct tt_save_item *add_item(struct items *out)
{
    if (out->n == out->cap) {
        const size_t cap = out->cap ? 2 * out->cap : 256;
        struct tt_save_item *item = tt_arena_array(out->arena, cap, sizeof *item);
        if (item && out->n > 0)
            memcpy(item, out->item, out->n * sizeof *item);
        out->item = item;
        out->cap = item ? cap : 0;
        out->n = item ? out->n : 0;
    }
    if (!out->item)
        out->failed = true;
    return out->failed ? NULL : &out->item[out->n++];
}

/* An item two levels deep: `part` and, below it, `name`, which has dots of its own. */
static struct tt_save_item *add_nested(struct items *out, const char *part, const char *name)
{
    struct tt_save_item *item = add_item(out);
    struct tt_path_part *path = tt_arena_array(out->arena, 2, sizeof *path);
    char *fqn = name ? tt_arena_printf(out->arena, "%s.%s", part, name) : NULL;
    if (!item || !path || !fqn) {
        out->failed = true;
        return NULL;
    }
    path[0].key = part;
    path[1].key = name;
    *item = (struct tt_save_item){ .fqn = fqn, .path = path, .npath = 2 };
    return item;
}

static void add_value(struct items *out, const char *part, const char *name, const struct tt_value *value)
{
    struct tt_save_item *item = add_nested(out, part, name);
    if (item && value)
        item->value = value;
    else
        out->failed = true;
}

static void add_fields(struct items *out, const char *part, const struct field *f, const void *base)
{
    for (; f->name; f++)
        add_value(out, part, f->name, field_value(out->arena, f, base));
}

static void set_tensor(struct tt_save_item *item, const struct tt_state_tensor *t, const void *data)
{
    item->dtype = t->dtype;
    item->ndim = t->ndim;
    item->shape = t->shape;
    item->offsets = t->offsets;
    item->sizes = t->sizes;
    item->data = data;
}

static void add_moment(struct items *out, const struct tt_state_tensor *t, const char *which, const void *data)
{
    struct tt_save_item *item = add_nested(out, "optimizer", tt_arena_printf(out->arena, "state.%s.%s", t->fqn, which));
    if (item)
        set_tensor(item, t, data);
}

/* The number of steps as PyTorch keeps it, a float32 tensor without dimensions. */
static void add_step(struct items *out, const struct tt_state_tensor *t, const float *step)
{
    struct tt_save_item *item = add_nested(out, "optimizer", tt_arena_printf(out->arena, "state.%s.step", t->fqn));
    if (item) {
        item->dtype = TT_F32;
        item->data = step;
    }
}

static void add_optimizer(struct items *out, const struct tt_train_state *s)
{
    float *step = tt_arena_alloc(out->arena, sizeof *step);
    if (!step) {
        out->failed = true;
        return;
    }
    /* PyTorch makes the state of an optimizer that has not stepped by a step without effect, and counts it. */
    *step = (float)(s->optimizer_steps > 0 ? s->optimizer_steps : 1);
    for (size_t i = 0; i < s->ntensors; i++) {
        const struct tt_state_tensor *t = &s->tensors[i];
        add_step(out, t, step);
        add_moment(out, t, "exp_avg", t->exp_avg);
        add_moment(out, t, "exp_avg_sq", t->exp_avg_sq);
    }
    for (size_t i = 0; i < s->ntensors; i++)
        for (const struct field *f = group_fields; f->name; f++)
            add_value(out, "optimizer", tt_arena_printf(out->arena, "param_groups.%s.%s", s->tensors[i].fqn, f->name),
                      field_value(out->arena, f, &s->group));
}

static tt_status add_loader(struct items *out, const struct tt_train_state *s, struct tt_err *err)
{
    struct tt_value *position;
    struct tt_buf pickle = { 0 };

    if (s->one_position) {
        if (s->position)
            add_value(out, "dataloader", "titan_position", s->position);
        return TT_OK;
    }
    tt_status status = tt_loader_state(s->loader, out->arena, &position, err);
    if (status == TT_OK)
        status = tt_pickle_from_value(&pickle, position, err);
    if (status == TT_OK)
        status = tt_buf_check(&pickle, "the position in the data", err);
    if (status == TT_OK) {
        add_value(out, "dataloader", tt_arena_printf(out->arena, "dp_rank_%d", s->dp_rank),
                  tt_value_bytes(out->arena, pickle.data, pickle.len));
        add_value(out, "dataloader", "world_size", tt_value_int(out->arena, s->dp_world));
    }
    tt_buf_release(&pickle);
    return status;
}

/* The name of the position in the validation data. */
static char *validation_name(struct tt_arena *arena, const struct tt_train_state *s)
{
    return s->dp_world > 1 ? tt_arena_printf(arena, "titan_validation.dp_rank_%d", s->dp_rank)
                           : tt_arena_str(arena, "titan_validation");
}

static tt_status add_validation(struct items *out, const struct tt_train_state *s, struct tt_err *err)
{
    struct tt_arena *a = out->arena;
    struct tt_value *root = tt_value_map(a), *position;
    const tt_status status = tt_loader_state(s->validation, a, &position, err);
    if (status != TT_OK)
        return status;
    if (!tt_value_set(a, root, "version", tt_value_int(a, 1)) ||
        (s->dp_world > 1 && !tt_value_set(a, root, "ranks", tt_value_int(a, s->dp_world))) ||
        !tt_value_set(a, root, "due", tt_value_bool(a, s->validation_due)) || !tt_value_set(a, root, "position", position))
        return tt_err_nomem(err, 0, "the position in the validation data");
    add_value(out, "dataloader", validation_name(a, s), root);
    return TT_OK;
}

static void add_model(struct items *out, const struct tt_train_state *s)
{
    for (size_t i = 0; i < s->ntensors; i++) {
        struct tt_save_item *item = add_item(out);
        if (!item)
            return;
        *item = (struct tt_save_item){ .fqn = s->tensors[i].fqn };
        set_tensor(item, &s->tensors[i], s->tensors[i].weight);
    }
}

tt_status tt_state_items(struct tt_save_item **items, size_t *nitems, struct tt_arena *arena, const struct tt_train_state *state,
                         unsigned parts, struct tt_err *err)
{
    struct items out = { .arena = arena };
    tt_status status = TT_OK;

    if (parts & TT_STATE_TRAIN)
        add_fields(&out, "train_state", train_fields, state);
    if (parts & TT_STATE_OPTIMIZER)
        add_optimizer(&out, state);
    if (parts & TT_STATE_DATALOADER && state->loader)
        status = add_loader(&out, state, err);
    if (status == TT_OK && parts & TT_STATE_DATALOADER && state->validation)
        status = add_validation(&out, state, err);
    if (parts & TT_STATE_LR)
        add_fields(&out, "lr_scheduler", lr_fields, state);
    if (parts & TT_STATE_MODEL)
        add_model(&out, state);
    if (status != TT_OK)
        return status;
    if (out.failed)
        return tt_err_nomem(err, out.cap * sizeof *out.item, "the list of what a checkpoint holds");
    *items = out.item;
    *nitems = out.n;
    return TT_OK;
}

tt_status tt_state_open_model(struct tt_ckpt **out, const struct tt_train_state *state, struct tt_err *err)
{
    static const int64_t zeros[TT_NDIM_MAX];
    struct tt_ckpt *ckpt;
    tt_status status = tt_ckpt_memory(&ckpt, err);

    if (status != TT_OK)
        return status;
    for (size_t i = 0; i < state->ntensors && status == TT_OK; i++) {
        const struct tt_state_tensor *t = &state->tensors[i];
        struct tt_chunk *chunk = tt_arena_alloc(&ckpt->entries.arena, sizeof *chunk);
        const struct tt_entry entry = { .fqn = t->fqn,
                                        .kind = TT_ENTRY_TENSOR,
                                        .dtype = t->dtype,
                                        .ndim = t->ndim,
                                        .shape = t->shape,
                                        .chunks = chunk,
                                        .nchunks = 1 };
        if (!chunk) {
            status = tt_err_nomem(err, sizeof *chunk, t->fqn);
            break;
        }
        *chunk = (struct tt_chunk){ .codec = TT_CODEC_MEMORY, .offsets = zeros, .sizes = t->shape, .data = t->weight };
        status = tt_entries_add(&ckpt->entries, &entry, err);
    }
    if (status == TT_OK)
        *out = ckpt;
    else
        tt_ckpt_close(ckpt);
    return status;
}

/* --- loading --------------------------------------------------------------------------------------------------------------- */

/* With optimizer.early_step_in_backward TorchTitan makes an optimizer a parameter, and saves that of the first one alone. */
static tt_status check_all_groups(const struct tt_train_state *state, struct tt_ckpt *ckpt, struct tt_err *err)
{
    for (size_t i = 0; i < state->ntensors; i++) {
        char fqn[512];
        snprintf(fqn, sizeof fqn, "optimizer.param_groups.%s.%s", state->tensors[i].fqn, group_fields[0].name);
        if (tt_entries_find(&ckpt->entries, fqn))
            continue;
        if (i == 0) /* there may be none at all */
            return TT_OK;
        return tt_err_set(err, TT_EUNSUPPORTED,
                          "%s: has the optimizer's state of %s, but none of %s: TorchTitan saves no more with "
                          "optimizer.early_step_in_backward (--checkpoint.exclude_from_loading optimizer starts with none)",
                          ckpt->path, state->tensors[0].fqn, state->tensors[i].fqn);
    }
    return TT_OK;
}

static tt_status load_group(struct tt_train_state *state, struct tt_ckpt *ckpt, struct tt_err *err)
{
    const tt_status all = check_all_groups(state, ckpt, err);
    if (all != TT_OK)
        return all;
    for (size_t i = 0; i < state->ntensors; i++) {
        struct tt_param_group group = { 0 };
        char prefix[480];
        snprintf(prefix, sizeof prefix, "optimizer.param_groups.%s", state->tensors[i].fqn);
        const tt_status status = load_fields(ckpt, prefix, group_fields, &group, err);
        if (status != TT_OK)
            return status;
        if (group.amsgrad || group.maximize)
            return tt_err_set(err, TT_EUNSUPPORTED, "%s: %s: %s is on, which titan's optimizers do not have", ckpt->path, prefix,
                              group.amsgrad ? "amsgrad" : "maximize");
        if (i == 0)
            state->group = group;
        for (const struct field *f = group_fields; f->name; f++) {
            const size_t n = f->kind == FIELD_BETAS ? 2 * sizeof(double) : f->kind == FIELD_BOOL ? sizeof(bool) : sizeof(double);
            if (memcmp((const char *)&group + f->offset, (const char *)&state->group + f->offset, n) != 0)
                return tt_err_set(err, TT_EUNSUPPORTED,
                                  "%s: %s.%s differs from that of %s: parameters of one group have one setting", ckpt->path, prefix,
                                  f->name, state->tensors[0].fqn);
        }
    }
    return TT_OK;
}

/* titan's own position, of any number of ranks. */
static tt_status load_rest(struct tt_train_state *state, struct tt_ckpt *ckpt, const char *fqn, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    const struct tt_value *v;
    const char *where = tt_arena_printf(&arena, "%s: %s", ckpt->path, fqn);

    tt_status status = where ? tt_ckpt_value(ckpt, fqn, &v, err) : tt_err_nomem(err, strlen(ckpt->path), "a message");
    if (status == TT_OK)
        status = tt_loader_restore_rest(state->loader, v, where, err);
    tt_arena_release(&arena);
    return status;
}

/* The position of another number of ranks, or of workers. */
static tt_status load_degree(struct tt_train_state *state, struct tt_ckpt *ckpt, int64_t degree, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_value *position = NULL;
    const char *where = tt_arena_printf(&arena, "%s: dataloader", ckpt->path);

    tt_status status = where ? TT_OK : tt_err_nomem(err, strlen(ckpt->path), "a message");
    if (status == TT_OK)
        status = tt_position_titan(&position, &arena, ckpt, degree, err);
    if (status == TT_OK && !position)
        status =
            tt_err_set(err, TT_EUNSUPPORTED,
                       "%s: the position in the data of %" PRId64 " data-parallel ranks is not of a form that %d can go on from "
                       "(--checkpoint.exclude_from_loading dataloader starts the data over)",
                       where, degree, state->dp_world);
    if (status == TT_OK)
        status = tt_loader_restore_rest(state->loader, position, where, err);
    tt_arena_release(&arena);
    return status;
}

static tt_status load_loader(struct tt_train_state *state, struct tt_ckpt *ckpt, struct tt_err *err)
{
    static const char titan_position[] = "dataloader.titan_position";
    struct tt_arena arena = { 0 };
    const struct tt_value *v, *position;
    char fqn[64], *where;
    int64_t degree;

    if (tt_entries_find(&ckpt->entries, titan_position))
        return load_rest(state, ckpt, titan_position, err);
    tt_status status = tt_position_degree(&degree, ckpt, err);
    if (status == TT_OK && degree > 0 && degree != state->dp_world)
        return load_degree(state, ckpt, degree, err);
    if (status != TT_OK)
        return status;

    snprintf(fqn, sizeof fqn, "dataloader.dp_rank_%d", state->dp_rank);
    status = tt_ckpt_value(ckpt, fqn, &v, err);
    if (status != TT_OK)
        return status;
    if (v->kind != TT_V_BYTES)
        return tt_err_set(err, TT_EFORMAT, "%s: %s: expected bytes, found %s", ckpt->path, fqn, tt_value_kind_name(v->kind));
    where = tt_arena_printf(&arena, "%s: %s", ckpt->path, fqn);
    status = where ? tt_pickle_to_value(&arena, v->u.str.s, v->u.str.nbytes, where, &position, err)
                   : tt_err_nomem(err, strlen(ckpt->path), "a message");
    if (status == TT_OK && tt_position_is_divided(position))
        status = load_degree(state, ckpt, state->dp_world, err);
    else if (status == TT_OK)
        status = tt_loader_restore(state->loader, position, where, err);
    tt_arena_release(&arena);
    return status;
}

/* Whether a position in the validation data is one of so many ranks. */
static bool is_of_ranks(const struct tt_value *v, int dp_world)
{
    const struct tt_value *ranks = tt_value_get(v, "ranks");
    return dp_world > 1 ? ranks && ranks->kind == TT_V_INT && ranks->u.i == dp_world : !ranks;
}

static tt_status restore_validation(struct tt_train_state *state, const struct tt_value *v, const char *where, struct tt_err *err)
{
    const struct tt_value *version = tt_value_get(v, "version"), *due = tt_value_get(v, "due");
    if (!version || version->kind != TT_V_INT || version->u.i != 1 || !due || due->kind != TT_V_BOOL)
        return tt_err_set(err, TT_EFORMAT, "%s: expected a dict of version 1 that says whether a validation is due", where);
    if (!is_of_ranks(v, state->dp_world))
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: is of another number of data-parallel ranks than %d", where, state->dp_world);
    const tt_status status = tt_loader_restore(state->validation, tt_value_get(v, "position"), where, err);
    if (status == TT_OK)
        state->validation_due = due->u.b;
    return status;
}

tt_status tt_state_load_validation(struct tt_train_state *state, struct tt_ckpt *ckpt, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    const struct tt_value *v;
    char *name = state->validation ? validation_name(&arena, state) : NULL;
    char *fqn = name ? tt_arena_printf(&arena, "dataloader.%s", name) : NULL;
    tt_status status = TT_OK;

    if (fqn && tt_entries_find(&ckpt->entries, fqn)) {
        const char *where = tt_arena_printf(&arena, "%s: %s", ckpt->path, fqn);
        status = where ? tt_ckpt_value(ckpt, fqn, &v, err) : tt_err_nomem(err, strlen(ckpt->path), "a message");
        if (status == TT_OK)
            status = restore_validation(state, v, where, err);
    }
    tt_arena_release(&arena);
    return status;
}

static void want(struct tt_want *w, const struct tt_state_tensor *t, const char *fqn, void *dst)
{
    *w = (struct tt_want){
        .fqn = fqn, .dtype = t->dtype, .ndim = t->ndim, .shape = t->shape, .offsets = t->offsets, .sizes = t->sizes, .dst = dst
    };
}

/* The step counts of all parameters are one number. */
static tt_status check_steps(struct tt_train_state *state, const struct tt_ckpt *ckpt, const float *steps, struct tt_err *err)
{
    for (size_t i = 0; i < state->ntensors; i++)
        if (!(steps[i] >= 0 && steps[i] <= (float)COUNT_MAX) || steps[i] != floorf(steps[i]))
            return tt_err_set(err, TT_EFORMAT, "%s: optimizer.state.%s.step: expected %s, found %g", ckpt->path,
                              state->tensors[i].fqn, field_expected[FIELD_COUNT], (double)steps[i]);
        else if (steps[i] != steps[0])
            return tt_err_set(err, TT_EUNSUPPORTED,
                              "%s: optimizer.state.%s.step is %g: expected the same number of steps as for %s, which is %g",
                              ckpt->path, state->tensors[i].fqn, (double)steps[i], state->tensors[0].fqn, (double)steps[0]);
    state->optimizer_steps = (int64_t)steps[0];
    return TT_OK;
}

/* What loading the parts takes, in the arena. */
struct wants {
    struct tt_want *want;
    size_t n;
    float *steps; /* (ntensors) where the step counts go */
};

static tt_status make_wants(struct wants *out, struct tt_arena *arena, const struct tt_train_state *state, unsigned parts,
                            struct tt_err *err)
{
    const struct tt_state_tensor scalar = { .dtype = TT_F32 };
    const size_t n = state->ntensors;
    *out = (struct wants){ .want = tt_arena_array(arena, 4 * n, sizeof *out->want),
                           .steps = tt_arena_array(arena, n, sizeof *out->steps) };
    if (!out->want || !out->steps)
        return tt_err_nomem(err, 4 * n * sizeof *out->want, "the list of what to load");
    for (size_t i = 0; i < n; i++) {
        const struct tt_state_tensor *t = &state->tensors[i];
        if (parts & TT_STATE_MODEL)
            want(&out->want[out->n++], t, t->fqn, t->weight);
        if (!(parts & TT_STATE_OPTIMIZER))
            continue;
        char *exp_avg = tt_arena_printf(arena, "optimizer.state.%s.exp_avg", t->fqn);
        char *exp_avg_sq = tt_arena_printf(arena, "optimizer.state.%s.exp_avg_sq", t->fqn);
        char *step = tt_arena_printf(arena, "optimizer.state.%s.step", t->fqn);
        if (!exp_avg || !exp_avg_sq || !step)
            return tt_err_nomem(err, strlen(t->fqn), "a key");
        want(&out->want[out->n++], t, exp_avg, t->exp_avg);
        want(&out->want[out->n++], t, exp_avg_sq, t->exp_avg_sq);
        want(&out->want[out->n++], &scalar, step, &out->steps[i]);
    }
    return TT_OK;
}

tt_status tt_state_compare(struct tt_names_text *unexpected, size_t *nrecast, const struct tt_train_state *state,
                           const struct tt_ckpt *ckpt, unsigned parts, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct wants wants;
    bool *taken = tt_arena_array(&arena, ckpt->entries.n + 1, sizeof *taken);
    tt_status status = taken ? make_wants(&wants, &arena, state, parts, err) : tt_err_nomem(err, ckpt->entries.n, "a comparison");

    *nrecast = 0;
    for (size_t i = 0; status == TT_OK && i < wants.n; i++) {
        const struct tt_entry *e = tt_entries_find(&ckpt->entries, wants.want[i].fqn);
        if (!e || e->kind != TT_ENTRY_TENSOR)
            continue;
        taken[e - ckpt->entries.items] = true;
        *nrecast += e->dtype != wants.want[i].dtype;
    }
    for (size_t i = 0; status == TT_OK && i < ckpt->entries.n; i++) {
        const struct tt_entry *e = &ckpt->entries.items[i];
        if (e->kind == TT_ENTRY_TENSOR && !taken[i] && parts & part_of(e->fqn))
            tt_names_text_add(unexpected, e->fqn);
    }
    tt_arena_release(&arena);
    return status;
}

static tt_status load_tensors(struct tt_train_state *state, struct tt_ckpt *ckpt, unsigned parts, struct tt_pool *pool,
                              struct tt_buf *shares, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct wants wants;
    tt_status status = make_wants(&wants, &arena, state, parts, err);

    if (status == TT_OK)
        status = tt_ckpt_load_share(ckpt, wants.want, wants.n, pool, shares, err);
    if (status == TT_OK && parts & TT_STATE_OPTIMIZER)
        status = check_steps(state, ckpt, wants.steps, err);
    tt_arena_release(&arena);
    return status;
}

tt_status tt_state_check(struct tt_ckpt *ckpt, unsigned parts, struct tt_err *err)
{
    tt_status status = TT_OK;

    for (size_t i = 0; i < ckpt->files.n && status == TT_OK; i++) {
        const struct tt_infile *file;
        status = tt_files_pin(&ckpt->files, (uint32_t)i, &file, err);
        if (status == TT_OK)
            tt_files_unpin(&ckpt->files, (uint32_t)i);
    }
    for (size_t i = 0; i < ckpt->entries.n && status == TT_OK; i++) {
        const struct tt_entry *e = &ckpt->entries.items[i];
        const struct tt_value *v;
        if (e->kind != TT_ENTRY_VALUE || !(parts & part_of(e->fqn)))
            continue;
        status = tt_ckpt_value(ckpt, e->fqn, &v, err);
        if (status == TT_EUNSUPPORTED) /* a key that nobody reads, or an error when it is read */
            status = TT_OK;
    }
    return status;
}

tt_status tt_state_load(struct tt_train_state *state, struct tt_ckpt *ckpt, unsigned parts, struct tt_pool *pool,
                        struct tt_buf *shares, struct tt_err *err)
{
    tt_status status = TT_OK;
    if (parts & TT_STATE_TRAIN)
        status = load_fields(ckpt, "train_state", train_fields, state, err);
    if (status == TT_OK && parts & TT_STATE_LR)
        status = load_fields(ckpt, "lr_scheduler", lr_fields, state, err);
    if (status == TT_OK && parts & TT_STATE_OPTIMIZER)
        status = load_group(state, ckpt, err);
    if (status == TT_OK && parts & TT_STATE_DATALOADER && state->loader)
        status = load_loader(state, ckpt, err);
    if (status == TT_OK && parts & (TT_STATE_MODEL | TT_STATE_OPTIMIZER))
        status = load_tensors(state, ckpt, parts, pool, shares, err);
    return status;
}

tt_status tt_state_load_model(struct tt_train_state *state, struct tt_recipe *recipe, const char *name, struct tt_pool *pool,
                              struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_want *wants = tt_arena_array(&arena, state->ntensors, sizeof *wants);
    tt_status st = wants ? TT_OK : tt_err_nomem(err, state->ntensors * sizeof *wants, "the list of what to load");

    for (size_t i = 0; i < state->ntensors && st == TT_OK; i++)
        want(&wants[i], &state->tensors[i], state->tensors[i].fqn, state->tensors[i].weight);
    if (st == TT_OK)
        st = tt_recipe_load(recipe, name, wants, state->ntensors, pool, err);
    tt_arena_release(&arena);
    return st;
}
