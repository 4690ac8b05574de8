#include "family/args.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/nearest.h"
#include "family/args_private.h"
#include "value/json.h"
#include "value/yaml.h"

/* --- reading a file -------------------------------------------------------------------------------------------------------- */

struct reader {
    const struct tt_args_family *family;
    const char *path;
    struct tt_model_args args;
    struct tt_err *err;
};

static const char *const expected_texts[] = {
    [TT_ARGS_COUNT] = "an integer of at least 1",
    [TT_ARGS_COUNT0] = "an integer of at least 0",
    [TT_ARGS_NUMBER] = "a number above 0",
    [TT_ARGS_BOOL] = "true or false",
    [TT_ARGS_TABLE] = "a table",
};

static tt_status wrong_value(const struct reader *r, const struct tt_args_field *f, const struct tt_value *v)
{
    struct tt_buf expected = { 0 }, found = { 0 };
    for (size_t i = 0; f->choices && f->choices[i]; i++)
        tt_buf_printf(&expected, "%s%s", i ? ", " : "one of ", f->choices[i]);
    if (!f->choices)
        tt_buf_str(&expected, expected_texts[f->kind]);
    if (v->kind == TT_V_MAP)
        tt_buf_str(&found, "a table");
    else
        tt_json_write(&found, v, 0);
    tt_err_set(r->err, TT_EINVAL, "%s:%u: %s: expected %s, found %s", r->path, v->line, f->name, tt_buf_cstr(&expected),
               tt_buf_cstr(&found));
    tt_buf_release(&expected);
    tt_buf_release(&found);
    return TT_EINVAL;
}

static bool put_int(const struct tt_args_field *f, void *at, int64_t i)
{
    if (f->kind == TT_ARGS_NUMBER && i > 0)
        *(double *)at = (double)i;
    else if ((f->kind == TT_ARGS_COUNT && i >= 1) || (f->kind == TT_ARGS_COUNT0 && i >= 0))
        *(int64_t *)at = i;
    else
        return false;
    return true;
}

static bool put_choice(const struct tt_args_field *f, void *at, const struct tt_value *v)
{
    for (int i = 0; f->choices && f->choices[i]; i++)
        if (tt_value_is_str(v, f->choices[i])) {
            memcpy(at, &i, sizeof i);
            return true;
        }
    return false;
}

static bool put_null(const struct tt_args_field *f, void *at)
{
    if (f->kind == TT_ARGS_TABLE)
        *(bool *)at = false;
    else if (f->or_null && f->kind == TT_ARGS_NUMBER)
        *(double *)at = f->null;
    else if (f->or_null)
        *(int64_t *)at = (int64_t)f->null;
    return f->or_null || f->kind == TT_ARGS_TABLE;
}

static bool put_value(struct reader *r, const struct tt_args_field *f, const struct tt_value *v)
{
    void *at = (char *)&r->args + f->offset;
    switch (v->kind) {
    case TT_V_NULL: return put_null(f, at);
    case TT_V_BOOL:
        if (f->kind == TT_ARGS_BOOL)
            *(bool *)at = v->u.b;
        return f->kind == TT_ARGS_BOOL;
    case TT_V_INT: return put_int(f, at, v->u.i);
    case TT_V_FLOAT:
        if (f->kind != TT_ARGS_NUMBER || !(v->u.f > 0) || v->u.f > 1e300)
            return false;
        *(double *)at = v->u.f;
        return true;
    case TT_V_MAP:
        if (f->kind == TT_ARGS_TABLE)
            *(bool *)at = true; /* what is in it follows */
        return f->kind == TT_ARGS_TABLE;
    default: return put_choice(f, at, v);
    }
}

static const struct tt_args_field *find_field(const struct tt_args_family *family, const char *name)
{
    const struct tt_args_field *f = family->fields;
    while (f->name && strcmp(f->name, name) != 0)
        f++;
    return f->name ? f : NULL;
}

static bool is_map_field(const struct tt_args_family *family, const char *name)
{
    const size_t n = strlen(name);
    for (const struct tt_args_field *f = family->fields; f->name; f++)
        if (strncmp(f->name, name, n) == 0 && f->name[n] == '.')
            return true;
    return false;
}

static tt_status unknown_field(const struct reader *r, const char *name, uint32_t line)
{
    enum { FIELDS_MAX = 64 };
    const char *names[FIELDS_MAX];
    size_t n = 0;
    for (const struct tt_args_field *f = r->family->fields; f->name && n < FIELDS_MAX; f++)
        names[n++] = f->name;
    const char *near = tt_nearest_name(name, names, n);
    return tt_err_set(r->err, TT_EINVAL, "%s:%u: %s: %s has no such field%s%s%s", r->path, line, name, r->family->name,
                      near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static tt_status read_map(struct reader *r, struct tt_arena *arena, const struct tt_value *map, const char *prefix)
{
    for (size_t i = 0; i < map->u.map.n; i++) {
        const struct tt_value *v = map->u.map.pairs[i].value;
        const char *name = tt_arena_printf(arena, "%s%s", prefix, map->u.map.pairs[i].key->u.str.s);
        const struct tt_args_field *f = name ? find_field(r->family, name) : NULL;
        tt_status st = TT_OK;

        if (!name)
            st = tt_err_nomem(r->err, 0, r->path);
        else if (f && !put_value(r, f, v))
            st = wrong_value(r, f, v);
        else if (!f && !is_map_field(r->family, name))
            st = unknown_field(r, name, v->line);
        else if (!f && v->kind != TT_V_MAP)
            st = tt_err_set(r->err, TT_EINVAL, "%s:%u: %s: expected a table, found %s", r->path, v->line, name,
                            tt_value_kind_name(v->kind));
        else if (v->kind == TT_V_MAP)
            st = read_map(r, arena, v, tt_arena_printf(arena, "%s.", name));
        if (st != TT_OK)
            return st;
    }
    return TT_OK;
}

/* --- what one field says about another ------------------------------------------------------------------------------------- */

enum { ARGS_SIZE_MAX = 1 << 30 }; /* products of two of them fit */

static tt_status check_sizes(const struct reader *r)
{
    for (const struct tt_args_field *f = r->family->fields; f->name; f++) {
        const int64_t *size = (const void *)((const char *)&r->args + f->offset);
        if ((f->kind == TT_ARGS_COUNT || f->kind == TT_ARGS_COUNT0) && *size > ARGS_SIZE_MAX)
            return tt_err_set(r->err, TT_EINVAL, "%s: %s: expected at most %d, found %" PRId64, r->path, f->name, ARGS_SIZE_MAX,
                              *size);
    }
    if (r->args.ffn_dim_multiplier * (double)r->args.dim > ARGS_SIZE_MAX)
        return tt_err_set(r->err, TT_EINVAL, "%s: expected an ffn_dim_multiplier that leaves sizes of at most %d", r->path,
                          ARGS_SIZE_MAX);
    return TT_OK;
}

static tt_status check_heads(const struct reader *r)
{
    const struct tt_model_args *a = &r->args;
    const bool latent = a->kv_lora_rank > 0; /* has no n_kv_heads, and turns a part of its heads of its own size */

    if (!latent && a->head_dim == 0 && a->dim % a->n_heads)
        return tt_err_set(r->err, TT_EINVAL, "%s: expected a dim that n_heads divides, found dim %" PRId64 " and n_heads %" PRId64,
                          r->path, a->dim, a->n_heads);
    const int64_t turned = latent ? a->qk_rope_head_dim : tt_model_args_head_dim(a);
    if (turned % 2)
        return tt_err_set(r->err, TT_EINVAL, "%s: expected an even %s, whose halves RoPE turns, found %" PRId64, r->path,
                          latent        ? "qk_rope_head_dim"
                          : a->head_dim ? "head_dim"
                                        : "dim / n_heads",
                          turned);
    if (!latent && a->n_heads % a->n_kv_heads)
        return tt_err_set(r->err, TT_EINVAL,
                          "%s: expected n_heads that n_kv_heads divides, found n_heads %" PRId64 " and n_kv_heads %" PRId64,
                          r->path, a->n_heads, a->n_kv_heads);
    return TT_OK;
}

static tt_status check_rope(const struct reader *r)
{
    const struct tt_rope_scaling_args *s = &r->args.rope_scaling_args, *defaults = &r->family->defaults->rope_scaling_args;
    const bool may_be_equal =
        defaults->high_freq_factor <= defaults->low_freq_factor; /* llama4's are, and nothing is between them */

    if (s->given && (s->high_freq_factor < s->low_freq_factor || (s->high_freq_factor == s->low_freq_factor && !may_be_equal)))
        return tt_err_set(r->err, TT_EINVAL, "%s: expected rope_scaling_args whose high_freq_factor is above its low_freq_factor",
                          r->path);
    if (r->args.every_n_layers_nope == 1)
        return tt_err_set(r->err, TT_EINVAL, "%s: expected every_n_layers_nope of at least 2, or null, found 1", r->path);
    return TT_OK;
}

static tt_status check_experts(const struct reader *r)
{
    const struct tt_moe_args *m = &r->args.moe_args;

    if (m->top_k > m->num_experts)
        return tt_err_set(r->err, TT_EINVAL, "%s: expected a moe_args.top_k of at most num_experts, found %" PRId64 " of %" PRId64,
                          r->path, m->top_k, m->num_experts);
    if (m->num_expert_groups && m->num_experts % m->num_expert_groups)
        return tt_err_set(r->err, TT_EINVAL,
                          "%s: expected moe_args.num_experts that num_expert_groups divides, found %" PRId64 " and %" PRId64,
                          r->path, m->num_experts, m->num_expert_groups);
    if (m->num_expert_groups && (m->num_limited_groups < 1 || m->num_limited_groups > m->num_expert_groups))
        return tt_err_set(r->err, TT_EINVAL,
                          "%s: expected moe_args.num_limited_groups of 1 to num_expert_groups, found %" PRId64 " of %" PRId64,
                          r->path, m->num_limited_groups, m->num_expert_groups);
    return TT_OK;
}

static tt_status check_args(struct reader *r)
{
    if (r->args.kv_lora_rank == 0 && r->args.n_kv_heads == 0)
        r->args.n_kv_heads = r->args.n_heads;

    tt_status st = check_sizes(r);
    if (st == TT_OK)
        st = check_heads(r);
    if (st == TT_OK)
        st = check_rope(r);
    if (st == TT_OK)
        st = check_experts(r);
    return st;
}

int64_t tt_model_args_head_dim(const struct tt_model_args *args)
{
    return args->head_dim ? args->head_dim : args->dim / args->n_heads;
}

static tt_status read_file(struct tt_model_args *out, const struct tt_args_family *family, const char *path, struct tt_err *err)
{
    enum { BYTES_MAX = 1 << 20, VALUES_BYTES_MAX = 64 << 20 };
    struct reader r = { .family = family, .path = path, .args = *family->defaults, .err = err };
    struct tt_arena arena = { .limit = VALUES_BYTES_MAX };
    struct tt_buf bytes = { 0 };
    struct tt_value *root = NULL;
    tt_status st = tt_file_read_all(&bytes, path, BYTES_MAX, err);

    if (st == TT_OK)
        st = tt_yaml_parse(&root, &arena, bytes.data, bytes.len, path, err);
    if (st == TT_OK && root->kind == TT_V_MAP)
        st = read_map(&r, &arena, root, "");
    else if (st == TT_OK && root->kind != TT_V_NULL)
        st = tt_err_set(err, TT_EINVAL, "%s:%u: expected fields of %s's model args, found %s", path, root->line, family->name,
                        tt_value_kind_name(root->kind));
    if (st == TT_OK)
        st = check_args(&r);
    if (st == TT_OK)
        *out = r.args;
    tt_buf_release(&bytes);
    tt_arena_release(&arena);
    return st;
}

/* --- finding it ------------------------------------------------------------------------------------------------------------ */

static const struct tt_args_family *find_family(const char *name, struct tt_err *err)
{
    const char *names[TT_ARGS_NFAMILIES];
    struct tt_buf known = { 0 };
    for (size_t i = 0; i < TT_ARGS_NFAMILIES; i++) {
        names[i] = tt_args_families[i].name;
        if (strcmp(names[i], name) == 0) {
            tt_buf_release(&known);
            return &tt_args_families[i];
        }
        tt_buf_printf(&known, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = tt_nearest_name(name, names, TT_ARGS_NFAMILIES);
    tt_err_set(err, TT_ENOENT, "model.name: expected one of %s, found '%s'%s%s%s", tt_buf_cstr(&known), name,
               near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    tt_buf_release(&known);
    return NULL;
}

/* The folder of the running program, from /proc: argv[0] is not to be trusted. "" where there is no /proc. */
static const char *program_folder(struct tt_arena *arena)
{
    char path[4096];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    return n > 0 ? tt_path_dir(arena, path) : "";
}

/* <folder>/<family> of every place that flavors may be in, best first. */
enum { PLACES_MAX = 6 };
static size_t list_places(const char *places[PLACES_MAX], struct tt_arena *arena, const char *family)
{
    const char *const here = program_folder(arena), *const env = getenv("TITAN_MODELS");
    /* build/bin and build/<variant>/{bin,tests} are two and three levels below the source tree's root */
    static const char *const relative[] = { "../share/titan/models", "../../configs/models", "../../../configs/models" };
    size_t n = 0;
    if (env && *env)
        places[n++] = tt_arena_printf(arena, "%s/%s", env, family);
    for (size_t i = 0; here && *here && i < sizeof relative / sizeof *relative; i++)
        places[n++] = tt_arena_printf(arena, "%s/%s/%s", here, relative[i], family);
    places[n++] = tt_arena_printf(arena, "%s/models/%s", TT_DATADIR, family);
    return n;
}

static const char *nearest_flavor(struct tt_arena *arena, const char *const *places, size_t nplaces, const char *flavor)
{
    const char *near = NULL;
    for (size_t i = 0; !near && i < nplaces; i++) {
        char **names;
        size_t n;
        if (!places[i] || tt_dir_list(arena, places[i], &names, &n, NULL) != TT_OK)
            continue;
        for (size_t j = 0; j < n; j++)
            if (tt_has_suffix(names[j], ".yaml"))
                names[j][strlen(names[j]) - 5] = 0;
        near = tt_nearest_name(flavor, (const char *const *)names, n);
    }
    return near;
}

static tt_status no_flavor(struct tt_arena *arena, const char *const *places, size_t nplaces, const char *family,
                           const char *flavor, struct tt_err *err)
{
    struct tt_buf looked = { 0 };
    const char *near = nearest_flavor(arena, places, nplaces, flavor);
    for (size_t i = 0; i < nplaces; i++)
        if (places[i] && tt_path_is_dir(places[i]))
            tt_buf_printf(&looked, "%s%s", looked.len ? ", " : "", places[i]);
    tt_err_set(err, TT_ENOENT, "model.flavor: %s has no flavor '%s'%s%s%s (looked for %s.yaml in %s)", family, flavor,
               near ? "; did you mean " : "", near ? near : "", near ? "?" : "", flavor,
               looked.len ? tt_buf_cstr(&looked) : "share/titan/models, which is not there");
    tt_buf_release(&looked);
    return TT_ENOENT;
}

/* A name, not a path: what is asked for by name must not lead out of the folders. */
static bool is_plain_name(const char *flavor) { return *flavor && *flavor != '.' && !strchr(flavor, '/'); }

tt_status tt_model_args_load(struct tt_model_args *out, const char *family, const char *flavor, struct tt_err *err)
{
    const struct tt_args_family *f = find_family(family, err);
    if (!f)
        return TT_ENOENT;
    if (tt_has_suffix(flavor, ".yaml") || tt_has_suffix(flavor, ".yml"))
        return read_file(out, f, flavor, err);

    struct tt_arena arena = { 0 };
    const char *places[PLACES_MAX], *path = NULL;
    const size_t n = list_places(places, &arena, family);
    for (size_t i = 0; is_plain_name(flavor) && !path && i < n; i++) {
        path = places[i] ? tt_arena_printf(&arena, "%s/%s.yaml", places[i], flavor) : NULL;
        if (path && !tt_path_exists(path))
            path = NULL;
    }
    const tt_status st = path ? read_file(out, f, path, err) : no_flavor(&arena, places, n, family, flavor, err);
    tt_arena_release(&arena);
    return st;
}

/* --- writing --------------------------------------------------------------------------------------------------------------- */

static struct tt_value *field_value(struct tt_arena *arena, const struct tt_args_field *f, const struct tt_model_args *args)
{
    const void *at = (const char *)args + f->offset;
    switch (f->kind) {
    case TT_ARGS_COUNT:
    case TT_ARGS_COUNT0:
        return f->or_null && *(const int64_t *)at == 0 ? tt_value_null(arena) : tt_value_int(arena, *(const int64_t *)at);
    case TT_ARGS_NUMBER:
        return f->or_null && *(const double *)at == 0 ? tt_value_null(arena) : tt_value_float(arena, *(const double *)at);
    case TT_ARGS_BOOL: return tt_value_bool(arena, *(const bool *)at);
    case TT_ARGS_TABLE: return *(const bool *)at ? tt_value_map(arena) : tt_value_null(arena);
    case TT_ARGS_CHOICE: break;
    }
    return tt_value_str(arena, f->choices[*(const int *)at]);
}

/* The map that "map.name" goes to, made where it is not there yet; *name becomes the last part. */
static struct tt_value *parent_map(struct tt_arena *arena, struct tt_value *map, const char **name)
{
    const char *dot = strchr(*name, '.');
    if (!dot || !map)
        return map;
    char *key = tt_arena_strn(arena, *name, (size_t)(dot - *name));
    struct tt_value *inner = key ? tt_value_get(map, key) : NULL;
    *name = dot + 1;
    if (!inner) {
        inner = tt_value_map(arena);
        if (!key || !inner || !tt_value_set(arena, map, key, inner))
            return NULL;
    }
    return inner;
}

tt_status tt_model_args_json(struct tt_buf *out, const char *family, const struct tt_model_args *args, struct tt_err *err)
{
    const struct tt_args_family *f = find_family(family, err);
    struct tt_arena arena = { 0 };
    if (!f)
        return TT_ENOENT;

    struct tt_value *map = tt_value_map(&arena);
    bool ok = map != NULL;
    for (const struct tt_args_field *field = f->fields; ok && field->name; field++) {
        const char *name = field->name;
        struct tt_value *parent = parent_map(&arena, map, &name);
        if (parent && parent->kind == TT_V_NULL)
            continue; /* a table that is not there has no fields */
        ok = parent && tt_value_set(&arena, parent, name, field_value(&arena, field, args));
    }
    if (ok)
        tt_json_write(out, map, 2);
    tt_arena_release(&arena);
    return ok ? TT_OK : tt_err_nomem(err, 0, "the model's args");
}
