/* What a program says about itself: messages, usage, exit status, and the answers to --help and the like. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/opt_private.h"

/* --- messages -------------------------------------------------------------------------------------------------------------- */

/* The message on a line of its own. What it quotes from a file may hold control characters (C0, and C1 in UTF-8), which a terminal
 * would obey. */
static void add_message(struct tt_buf *out, const struct tt_prog *prog, const char *message)
{
    tt_buf_printf(out, "%s: ", prog->name);
    for (const unsigned char *p = (const unsigned char *)message; *p; p++) {
        const bool is_c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
        if (is_c1)
            tt_buf_printf(out, "\\u%04x", *++p);
        else if (*p < 0x20 || *p == 0x7f)
            tt_buf_printf(out, "\\x%02x", *p);
        else
            tt_buf_byte(out, *p);
    }
    tt_buf_byte(out, '\n');
}

/* At once: several processes may write to one terminal. */
static void put_stderr(struct tt_buf *text)
{
    fwrite(text->data, 1, text->len, stderr);
    tt_buf_release(text);
}

static void put_message(const struct tt_prog *prog, const char *message)
{
    struct tt_buf text = { 0 };
    add_message(&text, prog, message);
    put_stderr(&text);
}

int tt_prog_usage(const struct tt_prog *prog, const struct tt_err *err)
{
    struct tt_buf text = { 0 };
    add_message(&text, prog, err->msg);
    tt_buf_printf(&text, "usage: %s %s\nTry '%s --help'.\n", prog->name, prog->synopsis, prog->name);
    put_stderr(&text);
    return 2;
}

int tt_prog_report(const struct tt_prog *prog, const struct tt_err *err)
{
    put_message(prog, err->msg);
    return 1;
}

void tt_prog_say(const struct tt_prog *prog, const char *line) { put_message(prog, line); }

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

/* A question that has one of several answers. */
static void answer_one_of(const struct tt_prog *prog, const char *name, const char *value, const char *allowed,
                          bool (*write)(struct tt_buf *, const struct tt_prog *, const char *), struct tt_buf *text)
{
    if (write(text, prog, value))
        return;
    struct tt_err err;
    tt_err_set(&err, TT_EUSAGE, "--%s: expected one of %s, found '%s'", name, allowed, value);
    tt_buf_release(text);
    exit(tt_prog_usage(prog, &err));
}

/* What stands behind "--name", "" or "=value"; NULL where the argument is another one. */
static const char *behind(const char *arg, const char *name)
{
    const size_t n = strlen(name);
    return strncmp(arg, name, n) == 0 && (arg[n] == 0 || arg[n] == '=') ? arg + n : NULL;
}

/* The answer to one argument in text; false where it asks for none. */
static bool answer(const struct tt_prog *prog, const char *arg, const char *following, struct tt_buf *text)
{
    const char *man = behind(arg, "--help-man"), *completion = behind(arg, "--help-completion");

    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
        tt_opt_write_help(text, prog);
    else if (strcmp(arg, "--version") == 0)
        tt_buf_printf(text, "%s (titan) %s\n", prog->name, TT_TITAN_VERSION);
    else if (man)
        answer_one_of(prog, "help-man", *man ? man + 1 : "options", "options, settings", tt_opt_write_man, text);
    else if (completion)
        answer_one_of(prog, "help-completion", *completion ? completion + 1 : following ? following : "", "bash, zsh, fish",
                      tt_opt_write_completion, text);
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
