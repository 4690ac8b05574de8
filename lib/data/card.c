#include "data/card.h"

#include <string.h>

#include "base/file.h"
#include "data/fields.h"
#include "value/yaml.h"

enum { README_BYTES_MAX = 16 * 1024 * 1024 };

/* --- the file ---------------------------------------------------------------------------------------------------------------- */

/* Behind the line at p, which may end with "\r\n". */
static const char *next_line(const char *p, const char *end)
{
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    return newline ? newline + 1 : end;
}

static bool is_rule(const char *p, const char *end)
{
    const size_t n = (size_t)(next_line(p, end) - p);
    return n >= 3 && memcmp(p, "---", 3) == 0 && (n == 3 || p[3] == '\n' || (n == 5 && p[3] == '\r'));
}

/* The lines between the first rule, before which there is white space only, and the next. */
static bool front_matter(const char **text, size_t *n, const char *p, const char *end)
{
    while (p < end && strchr(" \t\r\n", *p) && *p)
        p++;
    if (p == end || !is_rule(p, end))
        return false;
    *text = p = next_line(p, end);
    while (p < end && !is_rule(p, end))
        p = next_line(p, end);
    *n = (size_t)(p - *text);
    return p < end;
}

static tt_status read_front_matter(struct tt_value **out, struct tt_arena *arena, const char *path, struct tt_err *err)
{
    struct tt_buf file = { 0 };
    const char *text = NULL;
    size_t n = 0;
    *out = NULL;
    tt_status st = tt_file_read_all(&file, path, README_BYTES_MAX, err);
    const char *begin = tt_buf_cstr(&file);
    if (st == TT_OK && front_matter(&text, &n, begin, begin + file.len))
        st = tt_yaml_parse(out, arena, text, n, path, err);
    tt_buf_release(&file);
    return st;
}

/* --- a config ---------------------------------------------------------------------------------------------------------------- */

static const char *name_of(const struct tt_value *config)
{
    const struct tt_value *name = tt_value_get(config, "config_name");
    return name && name->kind == TT_V_STR ? name->u.str.s : NULL;
}

static tt_status wrong(const char *path, const struct tt_value *v, const char *what, struct tt_err *err)
{
    return tt_err_set(err, TT_EFORMAT, "%s: %s: found %s", path, what, v ? tt_value_kind_name(v->kind) : "nothing");
}

static bool is_strings(const struct tt_value *v)
{
    bool ok = v && v->kind == TT_V_LIST;
    for (size_t i = 0; ok && i < v->u.list.n; i++)
        ok = v->u.list.items[i]->kind == TT_V_STR;
    return ok;
}

static bool is_data_files(const struct tt_value *v)
{
    if (v->kind == TT_V_STR || is_strings(v))
        return true;
    for (size_t i = 0; v->kind == TT_V_LIST && i < v->u.list.n; i++) {
        const struct tt_value *split = tt_value_get(v->u.list.items[i], "split"), *p = tt_value_get(v->u.list.items[i], "path");
        if (!split || split->kind != TT_V_STR || !p || (p->kind != TT_V_STR && !is_strings(p)))
            return false;
    }
    return v->kind == TT_V_LIST;
}

/* *out NULL: none of that name, or none that stands for a name that was not given. */
static tt_status find_config(const struct tt_value **out, const struct tt_value *configs, const char *name, const char *path,
                             struct tt_err *err)
{
    *out = NULL;
    for (size_t i = 0; i < configs->u.list.n; i++) {
        const struct tt_value *config = configs->u.list.items[i], *marked = tt_value_get(config, "default");
        const char *its = name_of(config);
        if (!its)
            return wrong(path, config, "configs: expected objects with a config_name", err);
        const bool is_default =
            configs->u.list.n == 1 || strcmp(its, "default") == 0 || (marked && marked->kind == TT_V_BOOL && marked->u.b);
        if (name ? strcmp(its, name) == 0 : is_default)
            *out = config;
    }
    return TT_OK;
}

/* Whether dataset_info (an object, or a list of them by config_name) has the config's columns. */
static bool has_features(const struct tt_value *root, const char *name)
{
    const struct tt_value *info = tt_value_get(root, "dataset_info"), *features = tt_value_get(info, "features");
    for (size_t i = 0; info && info->kind == TT_V_LIST && i < info->u.list.n; i++) {
        const char *its = name_of(info->u.list.items[i]);
        if (its && strcmp(its, name) == 0)
            features = tt_value_get(info->u.list.items[i], "features");
    }
    return features && features->kind == TT_V_LIST && features->u.list.n > 0;
}

static tt_status read_config(struct tt_card *out, const struct tt_value *root, const struct tt_value *config, struct tt_err *err)
{
    const struct tt_value *files = tt_value_get(config, "data_files"), *dir = tt_value_get(config, "data_dir");
    if (files && files->kind != TT_V_NULL && !is_data_files(files))
        return wrong(out->path, files, "data_files: expected a pattern, patterns, or objects with split and path", err);
    if (dir && dir->kind != TT_V_NULL && dir->kind != TT_V_STR)
        return wrong(out->path, dir, "data_dir: expected a string", err);
    out->data_files = files && files->kind != TT_V_NULL ? files : NULL;
    out->data_dir = dir && dir->kind == TT_V_STR ? dir->u.str.s : "";
    out->has_features = has_features(root, name_of(config));
    return TT_OK;
}

tt_status tt_card_read(struct tt_card *out, bool *found, struct tt_arena *arena, const char *dir, const char *config,
                       struct tt_err *err)
{
    struct tt_card card = { .path = tt_path_join(arena, dir, "README.md") };
    struct tt_value *root;
    const struct tt_value *which;

    *found = false;
    if (!card.path)
        return tt_err_nomem(err, 0, "a path");
    if (!tt_path_exists(card.path))
        return TT_OK;
    tt_status st = read_front_matter(&root, arena, card.path, err);
    const struct tt_value *configs = st == TT_OK ? tt_value_get(root, "configs") : NULL;
    if (!configs || configs->kind == TT_V_NULL)
        return st;
    if (configs->kind != TT_V_LIST)
        return wrong(card.path, configs, "configs: expected a list", err);
    st = find_config(&which, configs, config, card.path, err);
    if (st == TT_OK && !which)
        st = tt_err_set(err, TT_ENOENT, "%s: configs: expected one named %s%s%s, found none", card.path, config ? "\"" : "",
                        config ? config : "default, or the only one, or one marked so", config ? "\"" : "");
    if (st == TT_OK)
        st = read_config(&card, root, which, err);
    if (st != TT_OK)
        return st;
    *out = card;
    *found = true;
    return TT_OK;
}

/* --- its patterns ------------------------------------------------------------------------------------------------------------ */

/* Patterns without a split are those of "train". */
static bool is_plain(const struct tt_value *files) { return files->kind == TT_V_STR || is_strings(files); }

static const char *pattern_of(const struct tt_value *v, size_t i)
{
    if (v->kind == TT_V_STR)
        return i == 0 ? v->u.str.s : NULL;
    return i < v->u.list.n ? v->u.list.items[i]->u.str.s : NULL;
}

const char *tt_card_split(const struct tt_card *card, size_t i)
{
    const struct tt_value *files = card->data_files;
    if (is_plain(files))
        return i == 0 ? "train" : NULL;
    return i < files->u.list.n ? tt_value_get(files->u.list.items[i], "split")->u.str.s : NULL;
}

const char *tt_card_pattern(const struct tt_card *card, const char *split, size_t i)
{
    const struct tt_value *files = card->data_files;
    const char *its;
    for (size_t k = 0; (its = tt_card_split(card, k)) != NULL; k++)
        if (strcmp(its, split) == 0)
            return pattern_of(is_plain(files) ? files : tt_value_get(files->u.list.items[k], "path"), i);
    return NULL;
}
