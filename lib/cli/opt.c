#include "cli/opt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/nearest.h"
#include "cli/opt_private.h"

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
    const char *names[64];
    char name[120];
    size_t count = 0;
    for (const struct tt_opt *o = prog->opts; o && o->name && count < 60; o++)
        names[count++] = o->name;
    for (const struct tt_opt *o = tt_opt_common; o->name; o++)
        names[count++] = o->name;
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

static tt_status set_str(const struct tt_opt *o, const char *text, const char **out, struct tt_err *err)
{
    struct tt_buf allowed = { 0 };
    for (size_t i = 0; o->choices && o->choices[i]; i++) {
        if (strcmp(o->choices[i], text) == 0) {
            tt_buf_release(&allowed);
            *out = o->choices[i];
            return TT_OK;
        }
        tt_buf_printf(&allowed, "%s%s", i ? ", " : "", o->choices[i]);
    }
    if (o->choices) {
        tt_err_set(err, TT_EUSAGE, "--%s: expected one of %s, found '%s'", o->name, tt_buf_cstr(&allowed), text);
        tt_buf_release(&allowed);
        return TT_EUSAGE;
    }
    *out = text;
    return TT_OK;
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

static tt_status set_value(const struct tt_opt *o, const char *text, char *dst, struct tt_err *err)
{
    void *at = dst + o->offset;
    switch (o->kind) {
    case TT_OPT_INT:
        return set_int(o, text, at, err);
    case TT_OPT_STR:
        return set_str(o, text, at, err);
    case TT_OPT_SIZE:
        return set_size(o, text, at, err);
    case TT_OPT_LIST: return add_item(text, at, err);
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
    for (const struct tt_opt *o = prog->opts; o && o->name; o++)
        if (tt_opt_same_name(name, n, o->name))
            return o;
    return NULL;
}

/* argv[*i], which starts with "--"; *i moves on where its value is the next argument. */
static tt_status parse_option(const struct tt_prog *prog, int argc, char **argv, int *i, void *dst, struct tt_err *err)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    const size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const struct tt_opt *o = find(prog, name, n);
    if (!o)
        return unknown_option(prog, name, n, err);
    const bool wants_value = o->kind != TT_OPT_FLAG && o->kind != TT_OPT_SWITCH;
    if (!wants_value && equals)
        return tt_err_set(err, TT_EUSAGE, "--%s: takes no value, found '%s'", o->name, equals + 1);
    if (wants_value && !equals && (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0))
        return tt_err_set(err, TT_EUSAGE, "--%s: expected a value (%s)", o->name, o->arg ? o->arg : "VALUE");
    return set_value(o, equals ? equals + 1 : wants_value ? argv[++*i] : "", dst, err);
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
            st = parse_option(prog, argc, argv, &i, dst, err);
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

/* --- what a program says --------------------------------------------------------------------------------------------------- */

/* The message on a line of its own. What it quotes from a file may hold control characters (C0, and C1 in UTF-8), which a terminal
 * would obey. */
static void put_message(const struct tt_prog *prog, const struct tt_err *err)
{
    fprintf(stderr, "%s: ", prog->name);
    for (const unsigned char *p = (const unsigned char *)err->msg; *p; p++) {
        const bool is_c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
        if (is_c1)
            fprintf(stderr, "\\u%04x", *++p);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(stderr, "\\x%02x", *p);
        else
            putc(*p, stderr);
    }
    putc('\n', stderr);
}

int tt_prog_usage(const struct tt_prog *prog, const struct tt_err *err)
{
    put_message(prog, err);
    fprintf(stderr, "usage: %s %s\nTry '%s --help'.\n", prog->name, prog->synopsis, prog->name);
    return 2;
}

int tt_prog_report(const struct tt_prog *prog, const struct tt_err *err)
{
    put_message(prog, err);
    return 1;
}

int tt_prog_finish(const struct tt_prog *prog, int failures)
{
    const bool had_failed = ferror(stdout) != 0;
    errno = 0;
    if (fclose(stdout) != 0 || had_failed) {
        fprintf(stderr, "%s: cannot write to the standard output%s%s\n", prog->name, errno ? ": " : "",
                errno ? strerror(errno) : "");
        return 1;
    }
    return failures ? 1 : 0;
}

static void print_and_exit(const struct tt_prog *prog, struct tt_buf *text)
{
    const bool failed = text->failed || fwrite(text->data, 1, text->len, stdout) != text->len;
    tt_buf_release(text);
    exit(tt_prog_finish(prog, failed));
}

static void answer_completion(const struct tt_prog *prog, const char *shell, struct tt_buf *text)
{
    if (tt_opt_write_completion(text, prog, shell))
        return;
    struct tt_err err;
    tt_err_set(&err, TT_EUSAGE, "--help-completion: expected one of bash, zsh, fish, found '%s'", shell);
    tt_buf_release(text);
    exit(tt_prog_usage(prog, &err));
}

/* The answer to one argument in text; false where it asks for none. */
static bool answer(const struct tt_prog *prog, const char *arg, const char *following, struct tt_buf *text)
{
    static const char completion[] = "--help-completion";
    const size_t n = sizeof completion - 1;

    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
        tt_opt_write_help(text, prog);
    else if (strcmp(arg, "--version") == 0)
        tt_buf_printf(text, "%s (titan) %s\n", prog->name, TT_TITAN_VERSION);
    else if (strcmp(arg, "--help-man") == 0)
        tt_opt_write_man(text, prog);
    else if (strncmp(arg, completion, n) == 0 && arg[n] == '=')
        answer_completion(prog, arg + n + 1, text);
    else if (strcmp(arg, completion) == 0)
        answer_completion(prog, following ? following : "", text);
    else
        return false;
    return true;
}

/* A standard stream that is closed gives its number to the next file that is opened, a checkpoint say, which then gets the log. In
 * its place comes one that fails to be read or written, as a closed one does. */
static void occupy_closed_streams(void)
{
    static const int modes[] = { [STDIN_FILENO] = O_WRONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_RDONLY };
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) < 0)
            return; /* no /dev/null: as before */
}

void tt_prog_answer(const struct tt_prog *prog, int argc, char **argv)
{
    struct tt_buf text = { 0 };
    occupy_closed_streams();
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (answer(prog, argv[i], argv[i + 1], &text))
            print_and_exit(prog, &text);
}
