/* Where settings come from: a file, then the command line, in the forms that TorchTitan takes. */
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "config/config_private.h"
#include "value/toml.h"
#include "value/yaml.h"

enum { FILE_BYTES_MAX = 4 << 20, FILE_VALUES_BYTES_MAX = 256 << 20 };

struct load {
    struct tt_config *config;
    struct tt_config_origin *origin;
    struct tt_arena *arena;
    const char *path; /* of the file; NULL while there is none */
    struct tt_err *err;
};

static tt_status nomem(const struct load *l) { return tt_err_nomem(l->err, 0, "the settings"); }

static bool is_yaml(const char *path) { return tt_has_suffix(path, ".yaml") || tt_has_suffix(path, ".yml"); }
static bool is_plain_file(const char *arg) { return arg[0] != '-' && (is_yaml(arg) || tt_has_suffix(arg, ".toml")); }

/* A name that is no `what`; near: the one that may have been meant, or NULL. */
static tt_status unknown(const struct load *l, tt_status status, const char *where, const char *what, const char *near)
{
    return tt_err_set(l->err, status, "%s: no such %s%s%s%s", where, what, near ? "; did you mean " : "", near ? near : "",
                      near ? "?" : "");
}

/* --- the file -------------------------------------------------------------------------------------------------------------- */

static tt_status load_table(struct load *l, const struct tt_value *table, const char *section);

/* One pair of a file; name is its full key. */
static tt_status load_pair(struct load *l, const char *name, const struct tt_value *value)
{
    const struct tt_setting *s = tt_setting_find(name, strlen(name));
    const char *where = tt_arena_printf(l->arena, "%s:%u: %s", l->path, value->line, name);
    if (!where)
        return nomem(l);
    if (s && strcmp(s->key, name) == 0) { /* a file has no dashes for underscores */
        l->origin[s - tt_settings].where = where;
        return tt_setting_from_value(s, l->config, l->arena, value, where, l->err);
    }
    if (!tt_setting_is_section(name))
        return value->kind == TT_V_MAP ? unknown(l, TT_EINVAL, where, "section", tt_setting_nearest_section(name, l->arena))
                                       : unknown(l, TT_EINVAL, where, "setting", tt_setting_nearest(name));
    if (value->kind == TT_V_NULL) /* a YAML section with nothing in it */
        return TT_OK;
    if (value->kind != TT_V_MAP)
        return tt_err_set(l->err, TT_EINVAL, "%s: expected a table of settings, found %s", where, tt_value_kind_name(value->kind));
    return load_table(l, value, name);
}

static tt_status load_table(struct load *l, const struct tt_value *table, const char *section)
{
    tt_status st = TT_OK;
    for (size_t i = 0; st == TT_OK && i < table->u.map.n; i++) {
        const struct tt_pair *pair = &table->u.map.pairs[i];
        const char *name = tt_arena_printf(l->arena, "%s%s%s", section, *section ? "." : "", pair->key->u.str.s);
        if (!name)
            st = nomem(l);
        else if (strchr(pair->key->u.str.s, '.')) /* "training.steps" = 1, quoted, is not training.steps = 1 */
            st = tt_err_set(l->err, TT_EINVAL, "%s:%u: '%s': no such setting", l->path, pair->value->line, name);
        else
            st = load_pair(l, name, pair->value);
    }
    return st;
}

static tt_status load_file(struct load *l, const char *path)
{
    struct tt_arena tree = { .limit = FILE_VALUES_BYTES_MAX };
    struct tt_buf bytes = { 0 };
    struct tt_value *root = NULL;
    tt_status st = tt_file_read_all(&bytes, path, FILE_BYTES_MAX, l->err);

    l->path = path;
    if (st == TT_OK)
        st = (is_yaml(path) ? tt_yaml_parse : tt_toml_parse)(&root, &tree, bytes.data, bytes.len, path, l->err);
    if (st == TT_OK && root->kind == TT_V_MAP)
        st = load_table(l, root, "");
    else if (st == TT_OK && root->kind != TT_V_NULL)
        st = tt_err_set(l->err, TT_EINVAL, "%s:%u: expected sections of settings, found %s", path, root->line,
                        tt_value_kind_name(root->kind));
    tt_buf_release(&bytes);
    tt_arena_release(&tree);
    return st;
}

/* --- the command line ------------------------------------------------------------------------------------------------------ */

/* An argument of the form --name or --name=value. */
struct option {
    const struct tt_setting *setting; /* NULL: none has that name */
    const char *value;                /* behind the '='; NULL: there is none */
    bool negated;                     /* --section.no_flag */
};

static const struct tt_setting *find_negated(const char *name, size_t n)
{
    char key[128];
    size_t last = n;
    while (last > 0 && name[last - 1] != '.')
        last--;
    if (n >= sizeof key || n < last + 3 || strncmp(name + last, "no", 2) != 0 || (name[last + 2] != '_' && name[last + 2] != '-'))
        return NULL;
    memcpy(key, name, last);
    memcpy(key + last, name + last + 3, n - last - 3);
    const struct tt_setting *s = tt_setting_find(key, n - 3);
    return s && s->kind == TT_SET_BOOL ? s : NULL;
}

static struct option option_of(const char *arg)
{
    const char *name = arg + 2, *equals = strchr(name, '=');
    const size_t n = equals ? (size_t)(equals - name) : strlen(name);
    struct option o = { .setting = tt_setting_find(name, n), .value = equals ? equals + 1 : NULL };
    if (!o.setting) {
        o.setting = find_negated(name, n);
        o.negated = o.setting != NULL;
    }
    return o;
}

/* Whether an argument can be the value of the option before it: what starts with a dash is an option, but for numbers and "-". */
static bool is_value(const char *arg)
{
    if (!arg)
        return false;
    if (arg[0] != '-' || !arg[1])
        return true;
    return (arg[1] >= '0' && arg[1] <= '9') || (arg[1] == '.' && arg[2]) || strcmp(arg, "-inf") == 0 || strcmp(arg, "-nan") == 0;
}

/* The words that follow option i and belong to it. */
static int count_words(const struct option *o, int argc, char *const *argv, int i)
{
    int n = 0;
    if (!o->setting || o->setting->kind == TT_SET_BOOL || o->value)
        return 0;
    if (o->setting->kind != TT_SET_STRS_LIST)
        return i + 1 < argc && is_value(argv[i + 1]);
    while (i + 1 + n < argc && is_value(argv[i + 1 + n]) && !is_plain_file(argv[i + 1 + n]))
        n++;
    return n;
}

static tt_status set_bool(struct load *l, const struct option *o, const char *where)
{
    if (o->value)
        return tt_err_set(l->err, TT_EUSAGE, "%s: takes no value, found '%s' (--section.key turns it on, --section.no_key off)",
                          where, o->value);
    return tt_setting_from_text(o->setting, l->config, l->arena, o->negated ? "False" : "True", where, l->err);
}

static tt_status missing_value(struct load *l, const struct tt_setting *s, const char *where, const char *found)
{
    struct tt_buf expected = { 0 };
    tt_setting_expected(&expected, s);
    tt_err_set(l->err, TT_EUSAGE, "%s: expected %s, found %s%s%s", where, tt_buf_cstr(&expected), found ? "'" : "nothing",
               found ? found : "", found ? "'" : "");
    tt_buf_release(&expected);
    return TT_EUSAGE;
}

static tt_status set_option(struct load *l, const struct option *o, char *const *words, int nwords, const char *following)
{
    const struct tt_setting *s = o->setting;
    const char *where = tt_arena_printf(l->arena, "--%s", s->key);
    tt_status st;

    if (!where)
        return nomem(l);
    l->origin[s - tt_settings].where = where;
    if (s->kind == TT_SET_BOOL)
        st = set_bool(l, o, where);
    else if (o->value)
        st = tt_setting_from_text(s, l->config, l->arena, o->value, where, l->err);
    else if (s->kind == TT_SET_STRS_LIST)
        st = tt_setting_from_words(s, l->config, l->arena, words, (size_t)nwords, where, l->err);
    else if (nwords == 0)
        st = missing_value(l, s, where, following);
    else
        st = tt_setting_from_text(s, l->config, l->arena, words[0], where, l->err);
    if (st == TT_EINVAL && l->err)
        l->err->status = TT_EUSAGE;
    return st == TT_EINVAL ? TT_EUSAGE : st;
}

static tt_status load_args(struct load *l, int argc, char *const *argv)
{
    tt_status st = TT_OK;
    for (int i = 1; st == TT_OK && i < argc; i++) {
        if (strcmp(argv[i], "--") == 0 || is_plain_file(argv[i]))
            continue;
        if (strncmp(argv[i], "--", 2) != 0)
            return tt_err_set(l->err, TT_EUSAGE, "%s: expected an option (--section.key) or a file (.toml, .yaml, .yml)", argv[i]);
        const struct option o = option_of(argv[i]);
        if (!o.setting) {
            const char *name = tt_arena_strn(l->arena, argv[i], strcspn(argv[i], "="));
            return name ? unknown(l, TT_EUSAGE, name, "setting", tt_setting_nearest(name + 2)) : nomem(l);
        }
        const int nwords = count_words(&o, argc, argv, i);
        st = set_option(l, &o, argv + i + 1, nwords, i + 1 < argc ? argv[i + 1] : NULL);
        i += nwords;
    }
    return st;
}

/* The last file that is named, as an option or plainly; NULL: none. */
static const char *find_file(int argc, char *const *argv)
{
    const char *path = NULL;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            path = is_plain_file(argv[i]) ? argv[i] : path;
            continue;
        }
        const struct option o = option_of(argv[i]);
        const int nwords = count_words(&o, argc, argv, i);
        if (o.setting && strcmp(o.setting->key, "job.config_file") == 0)
            path = o.value ? o.value : nwords ? argv[i + 1] : path;
        i += nwords;
    }
    return path && strcmp(path, "None") != 0 ? path : NULL;
}

tt_status tt_config_read(struct tt_config *out, struct tt_arena *arena, int argc, char *const *argv, struct tt_err *err)
{
    struct tt_config config;
    tt_config_init(&config);
    struct load l = { .config = &config, .arena = arena, .err = err };
    l.origin = tt_arena_array(arena, tt_nsettings, sizeof *l.origin);
    config.origin = l.origin;

    const char *path = find_file(argc, argv);
    tt_status st = l.origin ? TT_OK : nomem(&l);
    if (st == TT_OK && path)
        st = load_file(&l, path);
    if (st == TT_OK)
        st = load_args(&l, argc, argv);
    if (st == TT_OK && path && !(config.job.config_file = tt_arena_str(arena, path)))
        st = nomem(&l);
    if (st == TT_OK)
        *out = config;
    return st;
}

tt_status tt_config_load(struct tt_config *out, struct tt_arena *arena, int argc, char *const *argv, const struct tt_log *log,
                         struct tt_err *err)
{
    struct tt_config config;
    tt_status st = tt_config_read(&config, arena, argc, argv, err);
    if (st == TT_OK)
        st = tt_config_check(&config, arena, log, err);
    if (st == TT_OK)
        *out = config;
    return st;
}
