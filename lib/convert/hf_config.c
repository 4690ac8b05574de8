#include "convert/hf_config.h"

#include <string.h>

#include "base/file.h"
#include "convert/hf_config_private.h"
#include "value/json.h"

tt_status tt_hf_config_read(struct tt_hf_config *out, struct tt_arena *arena, const char *folder, struct tt_err *err)
{
    enum { NBYTES_MAX = 16 << 20 };
    struct tt_hf_config config = { .path = tt_path_join(arena, folder, TT_HF_CONFIG_NAME) };
    struct tt_buf text = { 0 };
    tt_status st = TT_OK;

    if (!config.path)
        return tt_err_nomem(err, strlen(folder), "a path");
    if (tt_path_exists(config.path)) {
        st = tt_file_read_all(&text, config.path, NBYTES_MAX, err);
        if (st == TT_OK)
            st = tt_json_parse(&config.value, arena, text.data, text.len, config.path, err);
        if (st == TT_OK && config.value->kind != TT_V_MAP)
            st = tt_err_set(err, TT_EFORMAT, "%s: expected an object, found %s", config.path,
                            tt_value_kind_name(config.value->kind));
        tt_buf_release(&text);
    }
    if (st == TT_OK)
        *out = config;
    return st;
}

/* --- making one ------------------------------------------------------------------------------------------------------------ */

static struct tt_value *field_value(struct tt_arena *arena, const struct tt_hf_field *f, const struct tt_model_args *args)
{
    const void *at = (const char *)args + f->offset;
    struct tt_value *v = NULL;

    switch (f->kind) {
    case TT_HFC_JSON:
        return tt_json_parse(&v, arena, f->json, strlen(f->json), f->key, NULL) == TT_OK ? v : NULL;
    case TT_HFC_SIZE:
        return tt_value_int(arena, tt_family_size(args, f->size));
    case TT_HFC_INT:
        return tt_value_int(arena, *(const int64_t *)at);
    case TT_HFC_NUMBER:
        return tt_value_float(arena, *(const double *)at);
    case TT_HFC_FLAG:
        return tt_value_bool(arena, *(const bool *)at);
    case TT_HFC_MADE:
        break;
    }
    return f->make(arena, args);
}

static tt_status find_model(const struct tt_hf_model **out, const struct tt_family *family, const struct tt_model_args *args,
                            struct tt_err *err)
{
    *out = tt_hf_model_find(family, args);
    return *out ? TT_OK : tt_err_set(err, TT_EUNSUPPORTED, "%s: no config.json is known for this family", family->name);
}

/* Says where the flavor routes tokens to experts in another way than transformers' class can. */
static void check_routing(const struct tt_hf_model *model, const struct tt_moe_args *moe, const struct tt_log *log)
{
    const struct tt_hf_routing *r = model->routing;
    struct tt_buf differ = { 0 };

    if (moe->score_func != r->score_func)
        tt_buf_str(&differ, " score_func");
    if (moe->score_before_experts != r->score_before_experts)
        tt_buf_str(&differ, " score_before_experts");
    if (!r->any_norm && moe->route_norm != r->norm)
        tt_buf_str(&differ, " route_norm");
    if (!r->any_scale && moe->route_scale != 1)
        tt_buf_str(&differ, " route_scale");
    if (r->num_shared_experts >= 0 && moe->num_shared_experts != r->num_shared_experts)
        tt_buf_str(&differ, " num_shared_experts");
    if (differ.len)
        tt_log_line(log, TT_LOG_WARNING, "%s: transformers' class for %s has no such setting, and will compute something else than "
                    "TorchTitan; moe_args:%s", TT_HF_CONFIG_NAME, model->family, tt_buf_cstr(&differ));
    tt_buf_release(&differ);
}

tt_status tt_hf_config_make(struct tt_hf_config *out, struct tt_arena *arena, const struct tt_family *family,
                            const struct tt_model_args *args, const struct tt_log *log, struct tt_err *err)
{
    const struct tt_hf_model *model;
    const tt_status st = find_model(&model, family, args, err);
    struct tt_value *map = tt_value_map(arena);

    if (st != TT_OK)
        return st;
    for (const struct tt_hf_field *f = model->fields; f->key; f++)
        if (!map || !tt_value_set(arena, map, f->key, field_value(arena, f, args)))
            return tt_err_nomem(err, 0, TT_HF_CONFIG_NAME);
    if (model->routing)
        check_routing(model, &args->moe_args, log);
    *out = (struct tt_hf_config){ .path = TT_HF_CONFIG_NAME, .value = map };
    return TT_OK;
}

/* --- checking one ---------------------------------------------------------------------------------------------------------- */

/* The config of the language model: all of it, or a part of a multimodal one. */
static struct tt_value *language_part(const struct tt_hf_config *config)
{
    struct tt_value *text = tt_value_get(config->value, "text_config");
    return text && text->kind == TT_V_MAP ? text : config->value;
}

static bool same(const struct tt_value *a, const struct tt_value *b)
{
    if (a->kind == TT_V_INT && b->kind == TT_V_FLOAT)
        return (double)a->u.i == b->u.f;
    if (a->kind == TT_V_FLOAT && b->kind == TT_V_INT)
        return a->u.f == (double)b->u.i;
    return tt_value_equal(a, b);
}

/* transformers 5 keeps all of RoPE in one table, 4 has theta beside it. */
static const struct tt_value *rope_table(const struct tt_value *config)
{
    const struct tt_value *table = tt_value_get(config, "rope_scaling");
    if (!table || table->kind != TT_V_MAP)
        table = tt_value_get(config, "rope_parameters");
    return table && table->kind == TT_V_MAP ? table : NULL;
}

static const struct tt_value *config_value(struct tt_arena *arena, const struct tt_value *config, const struct tt_hf_field *f)
{
    struct tt_value *v = tt_value_get(config, f->key);
    if (!v && f->also)
        v = tt_value_get(config, f->also);
    if (!v && strcmp(f->key, "rope_theta") == 0)
        v = tt_value_get(rope_table(config), f->key);
    if (v && v->kind == TT_V_NULL && !f->or_null)
        v = NULL;
    if (!v && f->absent && tt_json_parse(&v, arena, f->absent, strlen(f->absent), f->key, NULL) != TT_OK)
        v = NULL;
    return v;
}

/* Appends "key is X, the flavor's is Y". */
static void note_difference(struct tt_buf *out, const char *table, const char *key, const struct tt_value *found,
                            const struct tt_value *want)
{
    tt_buf_printf(out, "%s%s%s is ", out->len ? "; " : "", table, key);
    tt_json_write(out, found, 0);
    tt_buf_str(out, ", the flavor's is ");
    tt_json_write(out, want, 0);
}

/* Of a table that is not there it is "default", which a llama3 that scales by 1 is too. */
static const struct tt_value *rope_type(struct tt_arena *arena, const struct tt_value *table)
{
    const struct tt_value *type = tt_value_get(table, "rope_type"), *factor = tt_value_get(table, "factor");
    const struct tt_value *one = tt_value_int(arena, 1), *llama3 = tt_value_str(arena, "llama3");

    if (!type)
        type = tt_value_get(table, "type");
    if (!type || (one && llama3 && factor && same(type, llama3) && same(factor, one)))
        type = tt_value_str(arena, "default");
    return type;
}

/* Of two tables of one type, the settings that both have are compared. */
static void compare_rope(struct tt_buf *differ, struct tt_arena *arena, const struct tt_value *config, const struct tt_value *want)
{
    const struct tt_value *table = rope_table(config);
    const struct tt_value *type = rope_type(arena, table), *want_type = rope_type(arena, want);

    if (!type || !want_type || !same(type, want_type)) {
        if (type && want_type)
            note_difference(differ, "RoPE's ", "type", type, want_type);
        return;
    }
    for (size_t i = 0; i < want->u.map.n && strcmp(type->u.str.s, "default") != 0; i++) {
        const char *key = want->u.map.pairs[i].key->u.str.s;
        const struct tt_value *found = tt_value_get(table, key);
        if (found && !same(found, want->u.map.pairs[i].value))
            note_difference(differ, "RoPE's ", key, found, want->u.map.pairs[i].value);
    }
}

static tt_status compare(const struct tt_hf_config *config, struct tt_arena *arena, const struct tt_hf_model *model,
                         const struct tt_model_args *args, struct tt_buf *shapes, struct tt_buf *math, struct tt_err *err)
{
    const struct tt_value *found = language_part(config);

    for (const struct tt_hf_field *f = model->fields; f->key; f++) {
        const struct tt_value *v = config_value(arena, found, f), *want = field_value(arena, f, args);
        if (!want)
            return tt_err_nomem(err, 0, TT_HF_CONFIG_NAME);
        if (strcmp(f->key, "rope_scaling") == 0)
            compare_rope(math, arena, found, want);
        else if (v && f->role != TT_HFC_NOTE && !same(v, want))
            note_difference(f->role == TT_HFC_SHAPE ? shapes : math, "", f->key, v, want);
    }
    return TT_OK;
}

tt_status tt_hf_config_check(const struct tt_hf_config *config, const struct tt_family *family, const struct tt_model_args *args,
                             bool same_math, const struct tt_log *log, struct tt_err *err)
{
    const struct tt_hf_model *model;
    struct tt_arena arena = { 0 };
    struct tt_buf shapes = { 0 }, math = { 0 };
    tt_status st = find_model(&model, family, args, err);

    if (st == TT_OK)
        st = compare(config, &arena, model, args, &shapes, &math, err);
    if (st == TT_OK && shapes.len)
        st = tt_err_set(err, TT_EINVAL, "%s: %s", config->path, tt_buf_cstr(&shapes));
    if (st == TT_OK && math.len && same_math)
        st = tt_err_set(err, TT_EINVAL, "%s: %s: the two compute different things (without this file nothing is compared)",
                        config->path, tt_buf_cstr(&math));
    else if (st == TT_OK && math.len)
        tt_log_line(log, TT_LOG_WARNING, "%s: %s: the two compute different things", config->path, tt_buf_cstr(&math));
    tt_buf_release(&math);
    tt_buf_release(&shapes);
    tt_arena_release(&arena);
    return st;
}

/* --- making one true ------------------------------------------------------------------------------------------------------- */

/* The dtype in a table of it, under each name that is there; *set says whether one was. */
static bool set_dtype(struct tt_arena *arena, struct tt_value *map, enum tt_dtype dtype, bool keep, bool *set)
{
    static const char *const names[] = { "dtype", "torch_dtype" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct tt_value *v = tt_value_get(map, names[i]);
        if (!v || v->kind == TT_V_NULL)
            continue;
        *set = true;
        if (!keep && !tt_value_set(arena, map, names[i], tt_value_str(arena, tt_dtype_name(dtype))))
            return false;
    }
    return true;
}

static bool set_tie(struct tt_arena *arena, struct tt_value *map, bool tied)
{
    static const char key[] = "tie_word_embeddings"; /* false in all of these classes where it is absent */
    return !(tied || tt_value_get(map, key)) || tt_value_set(arena, map, key, tt_value_bool(arena, tied));
}

tt_status tt_hf_config_set(struct tt_hf_config *config, struct tt_arena *arena, enum tt_dtype dtype, bool keep_dtype, bool tied,
                           struct tt_err *err)
{
    struct tt_value *parts[] = { config->value, language_part(config) };
    const size_t n = parts[0] == parts[1] ? 1 : 2;
    bool has_dtype = false, ok = true;

    for (size_t i = 0; i < n && ok; i++) {
        tt_value_remove(parts[i], "quantization_config");
        ok = set_dtype(arena, parts[i], dtype, keep_dtype, &has_dtype) && set_tie(arena, parts[i], tied);
    }
    if (ok && !has_dtype)
        ok = tt_value_set(arena, config->value, "torch_dtype", tt_value_str(arena, tt_dtype_name(dtype)));
    return ok ? TT_OK : tt_err_nomem(err, 0, TT_HF_CONFIG_NAME);
}

void tt_hf_config_write(struct tt_buf *out, const struct tt_hf_config *config)
{
    tt_json_write(out, config->value, 2);
    tt_buf_byte(out, '\n');
}
