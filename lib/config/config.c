/* What the table says about a configuration as a whole: defaults, origins, JSON, option rows. */
#include "config/config.h"

#include <string.h>

#include "base/file.h"
#include "base/nearest.h"
#include "cli/opt.h"
#include "config/config_private.h"
#include "value/json.h"

/* --- finding rows ---------------------------------------------------------------------------------------------------------- */

static bool same_key(const char *typed, size_t n, const char *key)
{
    size_t i = 0;
    while (i < n && key[i] && (typed[i] == key[i] || (typed[i] == '-' && key[i] == '_')))
        i++;
    return i == n && !key[i];
}

const struct tt_setting *tt_setting_find(const char *typed, size_t n)
{
    for (size_t i = 0; i < tt_nsettings; i++)
        if (same_key(typed, n, tt_settings[i].key))
            return &tt_settings[i];
    return NULL;
}

bool tt_setting_is_section(const char *name)
{
    const size_t n = strlen(name);
    for (size_t i = 0; i < tt_nsettings; i++)
        if (strncmp(tt_settings[i].key, name, n) == 0 && tt_settings[i].key[n] == '.')
            return true;
    return false;
}

/* The same last part in another section is nearer than any spelling: people forget where a setting lives. */
const char *tt_setting_nearest(const char *typed)
{
    enum { NAMES_MAX = 256 };
    const char *names[NAMES_MAX];
    const char *last = strrchr(typed, '.') ? strrchr(typed, '.') + 1 : typed;
    size_t n = 0;

    for (size_t i = 0; i < tt_nsettings && n < NAMES_MAX; i++) {
        const char *key = tt_settings[i].key;
        if (same_key(last, strlen(last), strrchr(key, '.') + 1))
            return key;
        names[n++] = key;
    }
    return tt_nearest_name(typed, names, n);
}

const char *tt_setting_nearest_section(const char *typed, struct tt_arena *arena)
{
    const char **names = tt_arena_array(arena, tt_nsettings, sizeof *names);
    size_t n = 0;

    for (size_t i = 0; names && i < tt_nsettings; i++) {
        const char *key = tt_settings[i].key;
        names[n] = tt_arena_strn(arena, key, (size_t)(strrchr(key, '.') - key));
        if (!names[n++])
            return NULL;
    }
    return names ? tt_nearest_name(typed, names, n) : NULL;
}

static size_t index_of(const char *key)
{
    const struct tt_setting *s = tt_setting_find(key, strlen(key));
    return s ? (size_t)(s - tt_settings) : tt_nsettings;
}

/* --- defaults and origins -------------------------------------------------------------------------------------------------- */

void tt_config_init(struct tt_config *out)
{
    *out = (struct tt_config){ 0 };
    for (size_t i = 0; i < tt_nsettings; i++)
        tt_setting_default(&tt_settings[i], out);
}

const char *tt_config_where(const struct tt_config *config, const char *key)
{
    const size_t i = index_of(key);
    return i < tt_nsettings && config->origin && config->origin[i].where ? config->origin[i].where : key;
}

bool tt_config_given(const struct tt_config *config, const char *key)
{
    const size_t i = index_of(key);
    return i < tt_nsettings && config->origin && config->origin[i].where;
}

/* --- JSON ------------------------------------------------------------------------------------------------------------------ */

/* The table that "a.b.c" is in: a.b below root, made where it is not there yet. */
static struct tt_value *table_for(struct tt_value *root, const char *key, struct tt_arena *arena)
{
    struct tt_value *table = root;
    for (const char *dot; table && (dot = strchr(key, '.')); key = dot + 1) {
        const char *name = tt_arena_strn(arena, key, (size_t)(dot - key));
        struct tt_value *child = name ? tt_value_get(table, name) : NULL;
        if (!child) {
            child = tt_value_map(arena);
            if (!name || !tt_value_set(arena, table, name, child))
                return NULL;
        }
        table = child;
    }
    return table;
}

tt_status tt_config_json(struct tt_buf *out, const struct tt_config *config, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_value *root = tt_value_map(&arena);
    tt_status st = TT_OK;

    for (size_t i = 0; st == TT_OK && i < tt_nsettings; i++) {
        const struct tt_setting *s = &tt_settings[i];
        struct tt_value *table = root ? table_for(root, s->key, &arena) : NULL;
        if (!table || !tt_value_set(&arena, table, strrchr(s->key, '.') + 1, tt_setting_value(s, config, &arena)))
            st = tt_err_nomem(err, arena.used, "the settings as JSON");
    }
    if (st == TT_OK) {
        tt_json_write(out, root, 2);
        st = tt_buf_check(out, "the settings as JSON", err);
    }
    tt_arena_release(&arena);
    return st;
}

tt_status tt_config_lines(struct tt_buf *out, const struct tt_config *config, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    tt_status st = TT_OK;

    for (size_t i = 0; st == TT_OK && i < tt_nsettings; i++) {
        const struct tt_value *value = tt_setting_value(&tt_settings[i], config, &arena);
        tt_buf_printf(out, "%s\t", tt_settings[i].key);
        if (value)
            tt_json_write(out, value, 0);
        else
            st = tt_err_nomem(err, arena.used, "the settings");
        tt_buf_byte(out, '\n');
    }
    tt_arena_release(&arena);
    return st == TT_OK ? tt_buf_check(out, "the settings", err) : st;
}

/* One record of many lines, as TorchTitan logs it. */
static tt_status log_json(const struct tt_buf *json, const struct tt_log *log, struct tt_err *err)
{
    struct tt_buf text = { 0 };
    tt_buf_str(&text, "Running with configs: ");
    tt_buf_put(&text, json->data, json->len);
    const char *line = tt_buf_cstr(&text);
    const tt_status st = tt_buf_check(&text, "the settings as JSON", err);
    if (st == TT_OK)
        tt_log_text(log, TT_LOG_INFO, line);
    tt_buf_release(&text);
    return st;
}

static tt_status save_json(const struct tt_config *config, const struct tt_buf *json, const struct tt_log *log, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    const char *path = tt_path_join(&arena, config->job.dump_folder, config->job.save_config_file);
    const char *folder = path ? tt_path_dir(&arena, path) : NULL;
    tt_status st = folder ? tt_mkdir_p(folder, err) : tt_err_nomem(err, 0, "a path");

    if (st == TT_OK)
        st = tt_file_write_all(path, json->data, json->len, err);
    if (st == TT_OK)
        tt_log_line(log, TT_LOG_INFO, "Saved job configs to %s", path);
    tt_arena_release(&arena);
    return st;
}

tt_status tt_config_report(const struct tt_config *config, const struct tt_log *log, struct tt_err *err)
{
    struct tt_buf json = { 0 };
    tt_status st = TT_OK;

    if (config->job.print_config || config->job.save_config_file)
        st = tt_config_json(&json, config, err);
    if (st == TT_OK && config->job.print_config)
        st = log_json(&json, log, err);
    if (st == TT_OK && config->job.save_config_file)
        st = save_json(config, &json, log, err);
    tt_buf_release(&json);
    return st;
}

/* --- option rows ----------------------------------------------------------------------------------------------------------- */

static const char *const arg_names[] = {
    [TT_SET_INT] = "INT",       [TT_SET_FLOAT] = "FLOAT",   [TT_SET_STR] = "STR",
    [TT_SET_CHOICE] = "CHOICE", [TT_SET_MAYBE_INT] = "INT", [TT_SET_MAYBE_FLOAT] = "FLOAT",
    [TT_SET_MAYBE_STR] = "STR", [TT_SET_STRS] = "A,B,...",  [TT_SET_STRS_LIST] = "A,B C,...",
    [TT_SET_BOOL] = NULL,
};

static const enum tt_opt_kind opt_kinds[] = {
    [TT_SET_BOOL] = TT_OPT_SWITCH,   [TT_SET_INT] = TT_OPT_INT,         [TT_SET_MAYBE_INT] = TT_OPT_INT,
    [TT_SET_FLOAT] = TT_OPT_INT,     [TT_SET_MAYBE_FLOAT] = TT_OPT_INT, [TT_SET_STR] = TT_OPT_STR,
    [TT_SET_MAYBE_STR] = TT_OPT_STR, [TT_SET_CHOICE] = TT_OPT_STR,      [TT_SET_STRS] = TT_OPT_STR,
    [TT_SET_STRS_LIST] = TT_OPT_STR,
};

static void write_default(struct tt_buf *out, const struct tt_setting *s)
{
    const struct tt_strs *list = s->def_strs;
    tt_buf_str(out, " Default: ");
    for (size_t i = 0; list && i < list->n; i++)
        tt_buf_printf(out, "%s%s", i ? "," : "", list->s[i]);
    if (!list)
        tt_buf_str(out, !s->def ? "none" : *s->def ? s->def : "empty");
    tt_buf_byte(out, '.');
}

static void write_honour(struct tt_buf *out, const struct tt_setting *s)
{
    switch (s->honour) {
    case TT_HONOURED:
        break;
    case TT_IGNORED:
        tt_buf_printf(out, " Not honoured, a warning where asked for: %s.", s->why);
        break;
    case TT_REFUSED:
        tt_buf_printf(out, " Not honoured, an error where asked for: %s.", s->why);
        break;
    case TT_ONE: tt_buf_printf(out, " Not honoured above 1: %s.", s->why); break;
    case TT_GOES_WITH:
        tt_buf_printf(out, " Not honoured, as %s is not.", s->with);
        break;
    }
}

/* text, what the value must be, the default, and whether it is honoured: as one paragraph. */
static const char *document(struct tt_arena *arena, const struct tt_setting *s)
{
    struct tt_buf text = { 0 };
    tt_buf_str(&text, s->text);
    if (s->bound) {
        tt_buf_str(&text, " Expects ");
        tt_setting_expected(&text, s);
        tt_buf_byte(&text, '.');
    }
    write_default(&text, s);
    write_honour(&text, s);
    const char *copy = text.failed ? NULL : tt_arena_str(arena, tt_buf_cstr(&text));
    tt_buf_release(&text);
    return copy;
}

static const char *const *choice_names(struct tt_arena *arena, const struct tt_setting *s)
{
    size_t n = 0;
    while (s->choices[n].name)
        n++;
    const char **names = tt_arena_array(arena, n + 1, sizeof *names);
    for (size_t i = 0; names && i < n; i++)
        names[i] = s->choices[i].name;
    return names;
}

const struct tt_opt *tt_config_opts(struct tt_arena *arena)
{
    struct tt_opt *opts = tt_arena_array(arena, tt_nsettings + 1, sizeof *opts);
    for (size_t i = 0; opts && i < tt_nsettings; i++) {
        const struct tt_setting *s = &tt_settings[i];
        opts[i] = (struct tt_opt){ .name = s->key,
                                   .kind = opt_kinds[s->kind],
                                   .arg = arg_names[s->kind],
                                   .text = document(arena, s),
                                   .choices = s->choices ? choice_names(arena, s) : NULL };
        if (!opts[i].text || (s->choices && !opts[i].choices))
            return NULL;
    }
    return opts;
}
