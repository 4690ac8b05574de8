#include "cli/opt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "cli/opt_private.h"

/* --- rows ------------------------------------------------------------------------------------------------------------------ */

const struct tt_opt *tt_opt_next(struct tt_opt_walk *walk)
{
    const struct tt_prog *prog = walk->prog;
    size_t own = 0;

    while (prog->opts && prog->opts[own].name)
        own++;
    if (walk->n < own)
        return &prog->opts[walk->n++];
    while (prog->shared && prog->shared[walk->n - own].name) {
        const size_t i = walk->n++ - own;
        if (prog->shared_rows >> i & 1)
            return &prog->shared[i];
    }
    return NULL;
}

/* --- names ----------------------------------------------------------------------------------------------------------------- */

static char folded(char c) { return c == '-' ? '_' : c; }

bool tt_opt_same_name(const char *typed, size_t n, const char *name)
{
    size_t i = 0;
    while (i < n && name[i] && folded(typed[i]) == folded(name[i]))
        i++;
    return i == n && !name[i];
}

static tt_status unknown_option(const struct tt_prog *prog, const char *typed, size_t n, struct tt_err *err)
{
    enum { NAMES_MAX = 128 };
    struct tt_opt_walk walk = { .prog = prog };
    const char *names[NAMES_MAX];
    char name[120];
    size_t count = 0;
    for (const struct tt_opt *o = tt_opt_common; o->name; o++)
        names[count++] = o->name;
    for (const struct tt_opt *o; count + 2 <= NAMES_MAX && (o = tt_opt_next(&walk));) {
        names[count++] = o->name;
        if (o->also)
            names[count++] = o->also;
    }
    snprintf(name, sizeof name, "%.*s", n < sizeof name ? (int)n : (int)sizeof name - 1, typed);
    const char *near = tt_nearest_name(name, names, count);
    return tt_err_set(err, TT_EUSAGE, "--%s: no such option%s%s%s", name, near ? "; did you mean --" : "", near ? near : "",
                      near ? "?" : "");
}

/* --- values ---------------------------------------------------------------------------------------------------------------- */

static tt_status set_int(const struct tt_opt *o, const char *text, int64_t *out, struct tt_err *err)
{
    char *end;
    errno = 0;
    const int64_t v = strtoll(text, &end, 10);
    const bool any = o->min == 0 && o->max == 0;
    if (end == text || *end || errno == ERANGE)
        return tt_err_set(err, TT_EUSAGE, "--%s: expected an integer, found '%s'", o->name, text);
    if (!any && (v < o->min || v > o->max))
        return tt_err_set(err, TT_EUSAGE, "--%s: expected an integer from %" PRId64 " to %" PRId64 ", found %s", o->name, o->min,
                          o->max, text);
    *out = v;
    return TT_OK;
}

static bool is_choice(const struct tt_opt *o, const char *text)
{
    for (size_t i = 0; text && o->choices && o->choices[i]; i++)
        if (strcmp(o->choices[i], text) == 0)
            return true;
    return false;
}

static tt_status set_str(const struct tt_opt *o, const char *text, const char **out, struct tt_err *err)
{
    struct tt_buf allowed = { 0 };

    if (!o->choices || is_choice(o, text)) {
        *out = text;
        return TT_OK;
    }
    for (size_t i = 0; o->choices[i]; i++)
        tt_buf_printf(&allowed, "%s%s", i ? ", " : "", o->choices[i]);
    tt_err_set(err, TT_EUSAGE, "--%s: expected one of %s, found '%s'", o->name, tt_buf_cstr(&allowed), text);
    tt_buf_release(&allowed);
    return TT_EUSAGE;
}

static tt_status set_size(const struct tt_opt *o, const char *text, uint64_t *out, struct tt_err *err)
{
    static const struct {
        const char *suffix;
        uint64_t scale;
    } units[] = {
        { "", 1 },
        { "B", 1 },
        { "KiB", 1ull << 10 },
        { "MiB", 1ull << 20 },
        { "GiB", 1ull << 30 },
        { "TiB", 1ull << 40 },
        { "KB", 1000 },
        { "MB", 1000000 },
        { "GB", 1000000000 },
        { "TB", 1000000000000 },
        { "K", 1ull << 10 },
        { "M", 1ull << 20 },
        { "G", 1ull << 30 },
        { "T", 1ull << 40 },
    };
    char *end;
    errno = 0;
    const uint64_t v = strtoull(text, &end, 10);
    if (end != text && *text != '-' && errno != ERANGE)
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (strcasecmp(end, units[i].suffix) == 0 && v <= UINT64_MAX / units[i].scale) {
                *out = v * units[i].scale;
                return TT_OK;
            }
    return tt_err_set(err, TT_EUSAGE, "--%s: expected a size such as 65536, 64KiB or 5GB, found '%s'", o->name, text);
}

static tt_status add_item(const char *text, struct tt_opt_list *list, struct tt_err *err)
{
    const char **items = realloc(list->items, (list->n + 1) * sizeof *items);
    if (!items)
        return tt_err_nomem(err, (list->n + 1) * sizeof *items, "the values of an option");
    items[list->n++] = text;
    list->items = items;
    return TT_OK;
}

static tt_status check_value(const struct tt_opt *o, const char *text, struct tt_err *err)
{
    struct tt_err why = { .msg = "" };
    if (!o->check || o->check(text, &why) == TT_OK)
        return TT_OK;
    return tt_err_set(err, TT_EUSAGE, "--%s: %s", o->name, why.msg);
}

static tt_status set_value(const struct tt_opt *o, const char *text, char *dst, struct tt_err *err)
{
    void *at = dst + o->offset;
    const tt_status st = check_value(o, text, err);

    if (st != TT_OK)
        return st;
    switch (o->kind) {
    case TT_OPT_INT:
        return set_int(o, text, at, err);
    case TT_OPT_STR:
        return set_str(o, text, at, err);
    case TT_OPT_SIZE:
        return set_size(o, text, at, err);
    case TT_OPT_LIST:
        return add_item(text, at, err);
    case TT_OPT_FLAG:
    case TT_OPT_SWITCH:
        *(bool *)at = true;
        break;
    }
    return TT_OK;
}

/* --- the command line ------------------------------------------------------------------------------------------------------ */

static const struct tt_opt *find(const struct tt_prog *prog, const char *name, size_t n)
{
    struct tt_opt_walk walk = { .prog = prog };
    for (const struct tt_opt *o; (o = tt_opt_next(&walk));)
        if (tt_opt_same_name(name, n, o->name) || (o->also && tt_opt_same_name(name, n, o->also)))
            return o;
    return NULL;
}

/* The value of argv[*i], which has no "="; *i moves on where that is the next argument. NULL: it has none. */
static const char *following_value(const struct tt_opt *o, char **argv, int *i)
{
    const char *next = argv[*i + 1];
    if (o->implied && !is_choice(o, next))
        return o->implied;
    if (!next || strncmp(next, "--", 2) == 0)
        return NULL;
    ++*i;
    return next;
}

/* argv[*i], which starts with "--"; *i moves on where its value is the next argument. */
static tt_status parse_option(const struct tt_prog *prog, char **argv, int *i, void *dst, struct tt_err *err)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    const size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const struct tt_opt *o = find(prog, name, n);
    if (!o)
        return unknown_option(prog, name, n, err);
    const bool wants_value = o->kind != TT_OPT_FLAG && o->kind != TT_OPT_SWITCH;
    if (!wants_value && equals)
        return tt_err_set(err, TT_EUSAGE, "--%s: takes no value, found '%s'", o->name, equals + 1);
    const char *value = equals ? equals + 1 : wants_value ? following_value(o, argv, i) : "";
    if (!value)
        return tt_err_set(err, TT_EUSAGE, "--%s: expected a value (%s)", o->name, o->arg ? o->arg : "VALUE");
    return set_value(o, value, dst, err);
}

void tt_opt_release(const struct tt_prog *prog, void *dst)
{
    struct tt_opt_walk walk = { .prog = prog };
    for (const struct tt_opt *o; (o = tt_opt_next(&walk));)
        if (o->kind == TT_OPT_LIST) {
            struct tt_opt_list *list = (void *)((char *)dst + o->offset);
            free(list->items);
            *list = (struct tt_opt_list){ 0 };
        }
}

tt_status tt_opt_take_shared(const struct tt_prog *prog, int *argc, char **argv, void *dst, struct tt_err *err)
{
    const struct tt_prog shared = { .name = prog->name, .shared = prog->shared, .shared_rows = prog->shared_rows };
    bool options = true;
    int left = 1;

    for (int i = 1; i < *argc; i++) {
        const char *name = argv[i] + 2;
        options &= strcmp(argv[i], "--") != 0;
        if (!options || strncmp(argv[i], "--", 2) != 0 || !find(&shared, name, strcspn(name, "="))) {
            argv[left++] = argv[i];
            continue;
        }
        const tt_status st = parse_option(&shared, argv, &i, dst, err);
        if (st != TT_OK)
            return st;
    }
    argv[left] = NULL;
    *argc = left;
    return TT_OK;
}

static tt_status check_count(const struct tt_prog *prog, int n, const char *extra, struct tt_err *err)
{
    if (n < prog->args_min)
        return tt_err_set(err, TT_EUSAGE, "expected %s%d argument%s, found %d", prog->args_max == prog->args_min ? "" : "at least ",
                          prog->args_min, prog->args_min == 1 ? "" : "s", n);
    if (prog->args_max && n > prog->args_max)
        return tt_err_set(err, TT_EUSAGE, "expected at most %d argument%s, found '%s' after them", prog->args_max,
                          prog->args_max == 1 ? "" : "s", extra);
    return TT_OK;
}

tt_status tt_opt_parse(const struct tt_prog *prog, int argc, char **argv, void *dst, int *first, struct tt_err *err)
{
    char **plain = calloc((size_t)argc + 1, sizeof *plain);
    int nplain = 0;
    bool options = true;
    tt_status st = TT_OK;

    tt_prog_answer(prog, argc, argv);
    if (!plain)
        return tt_err_nomem(err, (size_t)argc * sizeof *plain, "the arguments");
    for (int i = 1; st == TT_OK && i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && strncmp(argv[i], "--", 2) == 0)
            st = parse_option(prog, argv, &i, dst, err);
        else if (options && argv[i][0] == '-' && argv[i][1])
            st = tt_err_set(err, TT_EUSAGE, "%s: no such option (a file of that name is ./%s)", argv[i], argv[i]);
        else
            plain[nplain++] = argv[i];
    }
    if (st == TT_OK)
        st = check_count(prog, nplain, nplain > prog->args_max ? plain[prog->args_max] : "", err);
    if (st == TT_OK) {
        *first = argc - nplain;
        for (int i = 0; i < nplain; i++)
            argv[*first + i] = plain[i];
    }
    free(plain);
    return st;
}
