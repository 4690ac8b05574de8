/* What a table of options looks like: to --help, in a man page, to the completion of three shells. */
#include <stdio.h>
#include <string.h>

#include "cli/opt_private.h"

static const char *const shells[] = { "bash", "zsh", "fish", NULL };
static const char *const man_parts[] = { "options", "settings", NULL };

const struct tt_opt tt_opt_common[] = {
    { "help", TT_OPT_FLAG, .text = "Print this help and exit." },
    { "version", TT_OPT_FLAG, .text = "Print the version and exit." },
    { "help-man", TT_OPT_STR, .arg = "PART", .choices = man_parts, .implied = "options",
      .text = "Print the options, or the settings, as a manual page has them and exit." },
    { "help-completion", TT_OPT_STR, .arg = "SHELL", .choices = shells,
      .text = "Print the completion rules for a shell and exit." },
    { 0 },
};

/* The part of a name before its last dot, "" where it has none. */
static size_t section_len(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? (size_t)(dot - name) : 0;
}

static bool same_section(const char *a, const char *b)
{
    return section_len(a) == section_len(b) && strncmp(a, b, section_len(a)) == 0;
}

static bool takes_value(const struct tt_opt *o) { return o->kind != TT_OPT_FLAG && o->kind != TT_OPT_SWITCH; }

/* What stands for the value: its name, or the choices. */
static void write_arg(struct tt_buf *out, const struct tt_opt *o, const char *between)
{
    if (!o->choices)
        tt_buf_str(out, o->arg ? o->arg : "VALUE");
    for (size_t i = 0; o->choices && o->choices[i]; i++)
        tt_buf_printf(out, "%s%s", i ? between : "", o->choices[i]);
}

/* "--a.no_b" of the switch "a.b". */
static void write_negation(struct tt_buf *out, const struct tt_opt *o)
{
    const size_t n = section_len(o->name);
    tt_buf_printf(out, "--%.*s%sno_%s", (int)n, o->name, n ? "." : "", o->name + n + (n > 0));
}

/* Calls fn for every name of the program's rows, then for those that every program has. */
typedef void row_fn(struct tt_buf *out, const struct tt_prog *prog, const struct tt_opt *o);
static void each_name(struct tt_buf *out, const struct tt_prog *prog, row_fn *fn)
{
    struct tt_opt_walk walk = { .prog = prog };
    for (const struct tt_opt *o; (o = tt_opt_next(&walk));) {
        struct tt_opt second = *o;
        fn(out, prog, o);
        second.name = o->also;
        if (o->also)
            fn(out, prog, &second);
    }
    for (const struct tt_opt *o = tt_opt_common; o->name; o++)
        fn(out, prog, o);
}

/* --- help ------------------------------------------------------------------------------------------------------------------ */

static void write_wrapped(struct tt_buf *out, const char *text, int indent)
{
    enum { WIDTH = 80 };
    int column = 0;
    for (const char *p = text; *p;) {
        const size_t n = strcspn(p, " \n");
        if (column && column + 1 + (int)n > WIDTH) {
            tt_buf_byte(out, '\n');
            column = 0;
        }
        if (column)
            tt_buf_byte(out, ' ');
        else
            tt_buf_fill(out, ' ', (size_t)indent);
        column = (column ? column + 1 : indent) + (int)n;
        tt_buf_put(out, p, n);
        p += n + strspn(p + n, " \n");
    }
    tt_buf_byte(out, '\n');
}

static void help_row(struct tt_buf *out, const struct tt_opt *o)
{
    tt_buf_printf(out, "  --%s%s%s", o->name, o->also ? ", --" : "", o->also ? o->also : "");
    if (o->kind == TT_OPT_SWITCH) {
        tt_buf_str(out, ", ");
        write_negation(out, o);
    } else if (takes_value(o)) {
        tt_buf_str(out, o->implied ? "[=" : " ");
        tt_buf_str(out, o->choices ? "{" : "");
        write_arg(out, o, ",");
        tt_buf_str(out, o->choices ? "}" : "");
        tt_buf_str(out, o->implied ? "]" : "");
    }
    tt_buf_byte(out, '\n');
    write_wrapped(out, o->text, 6);
}

static void help_section(struct tt_buf *out, const char *name)
{
    tt_buf_printf(out, "\n%.*s%soptions:\n", (int)section_len(name), name, section_len(name) ? " " : "");
}

void tt_opt_write_help(struct tt_buf *out, const struct tt_prog *prog)
{
    struct tt_opt_walk walk = { .prog = prog };
    const char *before = NULL;
    tt_buf_printf(out, "usage: %s %s\n\n", prog->name, prog->synopsis);
    write_wrapped(out, prog->about, 0);
    for (const struct tt_opt *o; (o = tt_opt_next(&walk)); before = o->name) {
        if (!before || !same_section(before, o->name))
            help_section(out, o->name);
        help_row(out, o);
    }
    if (!before || section_len(before))
        help_section(out, "");
    for (const struct tt_opt *o = tt_opt_common; o->name; o++)
        help_row(out, o);
}

/* --- man page: mdoc -------------------------------------------------------------------------------------------------------- */

/* Text for mdoc: a backslash is an escape there, and a dot or quote at the start of a line a macro. Every sentence starts a line,
 * as its linter asks, and no line is longer than 80 bytes. */
static void man_text(struct tt_buf *out, const char *text)
{
    enum { WIDTH = 78 };
    size_t column = 0;
    for (const char *p = text; *p;) {
        const size_t n = strcspn(p, " ");
        if (column && column + 1 + n > WIDTH) {
            tt_buf_byte(out, '\n');
            column = 0;
        }
        tt_buf_str(out, column ? " " : *p == '.' || *p == '\'' ? "\\&" : "");
        for (size_t i = 0; i < n; i++)
            if (p[i] == '\\')
                tt_buf_str(out, "\\e");
            else
                tt_buf_byte(out, (uint8_t)p[i]);
        column += n + 1;
        if (p[n] && n && p[n - 1] == '.') {
            tt_buf_byte(out, '\n');
            column = 0;
        }
        p += n + (p[n] == ' ');
    }
    tt_buf_byte(out, '\n');
}

/* A name with a dot in it is a setting, which files have as well: it stands without its dashes. */
static void man_row(struct tt_buf *out, const struct tt_opt *o)
{
    tt_buf_printf(out, section_len(o->name) ? ".It Cm %s" : ".It Fl Fl %s", o->name);
    if (o->also)
        tt_buf_printf(out, " , Fl Fl %s", o->also);
    if (takes_value(o)) {
        tt_buf_str(out, o->implied ? " Ns Op Cm = Ns" : "");
        tt_buf_str(out, o->choices ? " Cm " : " Ar ");
        write_arg(out, o, " | ");
    }
    tt_buf_byte(out, '\n');
    man_text(out, o->text);
}

static void man_settings(struct tt_buf *out, const struct tt_prog *prog)
{
    struct tt_opt_walk walk = { .prog = prog };
    const char *before = NULL;
    for (const struct tt_opt *o; (o = tt_opt_next(&walk));) {
        if (!section_len(o->name))
            continue;
        if (!before || !same_section(before, o->name)) {
            tt_buf_str(out, before ? ".El\n" : "");
            tt_buf_printf(out, ".Ss Section %.*s\n", (int)section_len(o->name), o->name);
            tt_buf_str(out, ".Bl -tag -width Ds\n");
        }
        man_row(out, o);
        before = o->name;
    }
    tt_buf_str(out, before ? ".El\n" : "");
}

static void man_options(struct tt_buf *out, const struct tt_prog *prog)
{
    struct tt_opt_walk walk = { .prog = prog };
    tt_buf_str(out, ".Bl -tag -width Ds\n");
    for (const struct tt_opt *o; (o = tt_opt_next(&walk));)
        if (!section_len(o->name))
            man_row(out, o);
    for (const struct tt_opt *o = tt_opt_common; o->name; o++)
        man_row(out, o);
    tt_buf_str(out, ".El\n");
}

bool tt_opt_write_man(struct tt_buf *out, const struct tt_prog *prog, const char *part)
{
    static void (*const writers[])(struct tt_buf *, const struct tt_prog *) = { man_options, man_settings };
    for (size_t i = 0; man_parts[i]; i++)
        if (strcmp(part, man_parts[i]) == 0) {
            writers[i](out, prog);
            return true;
        }
    return false;
}

/* --- completions ----------------------------------------------------------------------------------------------------------- */

static void write_first_sentence(struct tt_buf *out, const char *text, const char *escaped, const char *quote)
{
    for (const char *p = text; *p && !(*p == '.' && (p[1] == ' ' || !p[1])); p++) {
        if (*p == '\'')
            tt_buf_str(out, quote);
        else if (strchr(escaped, *p))
            tt_buf_printf(out, "\\%c", *p);
        else
            tt_buf_byte(out, (uint8_t)*p);
    }
}

static void bash_name(struct tt_buf *out, const struct tt_prog *prog, const struct tt_opt *o)
{
    (void)prog;
    tt_buf_printf(out, "        --%s\n", o->name);
    if (o->kind == TT_OPT_SWITCH) {
        tt_buf_str(out, "        ");
        write_negation(out, o);
        tt_buf_byte(out, '\n');
    }
}

static void bash_choices(struct tt_buf *out, const struct tt_prog *prog, const struct tt_opt *o)
{
    (void)prog;
    if (!o->choices)
        return;
    tt_buf_printf(out, "    --%s) words=(", o->name);
    write_arg(out, o, " ");
    tt_buf_str(out, ") ;;\n");
}

/* An alternative of a pattern, on a line of its own but for the first. */
static void bash_value(struct tt_buf *out, const struct tt_prog *prog, const struct tt_opt *o)
{
    (void)prog;
    if (takes_value(o) && !o->choices && !o->implied)
        tt_buf_printf(out, "%s--%s", out->len ? " | \\\n        " : "", o->name);
}

static void write_bash(struct tt_buf *out, const struct tt_prog *prog)
{
    struct tt_buf values = { 0 };
    each_name(&values, prog, bash_value);
    tt_buf_printf(out, "# bash completion for %s: made by '%s --help-completion=bash'\n", prog->name, prog->name);
    tt_buf_printf(out, "_%s()\n{\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=()\n", prog->name);
    tt_buf_str(out, "    case $prev in\n");
    each_name(out, prog, bash_choices);
    if (values.len)
        tt_buf_printf(out, "    %s) ;;\n", tt_buf_cstr(&values));
    tt_buf_release(&values);
    tt_buf_str(out, "    *) words=(\n");
    each_name(out, prog, bash_name);
    tt_buf_str(out, "    ) ;;\n    esac\n    COMPREPLY=()\n");
    tt_buf_str(out, "    if [[ ${#words[@]} -gt 0 && ( $cur == -* || $prev == --* ) ]]; then\n");
    tt_buf_str(out, "        mapfile -t COMPREPLY < <(compgen -W \"${words[*]}\" -- \"$cur\")\n    fi\n}\n");
    tt_buf_printf(out, "complete -o default -F _%s %s\n", prog->name, prog->name);
}

static void zsh_row(struct tt_buf *out, const struct tt_prog *prog, const struct tt_opt *o)
{
    (void)prog;
    tt_buf_printf(out, "  '%s--%s%s[", o->kind == TT_OPT_LIST ? "*" : "", o->name, !takes_value(o) ? "" : o->implied ? "=-" : "=");
    write_first_sentence(out, o->text, "[]:\\", "'\\''");
    tt_buf_byte(out, ']');
    if (takes_value(o)) {
        tt_buf_printf(out, "%s:%s:", o->implied ? ":" : "", o->arg ? o->arg : "VALUE");
        tt_buf_str(out, o->choices ? "(" : o->kind == TT_OPT_STR ? "_files" : " ");
        if (o->choices)
            write_arg(out, o, " ");
        tt_buf_str(out, o->choices ? ")" : "");
    }
    tt_buf_str(out, "' \\\n");
    if (o->kind == TT_OPT_SWITCH) {
        tt_buf_str(out, "  '");
        write_negation(out, o);
        tt_buf_str(out, "[");
        write_first_sentence(out, o->text, "[]:\\", "'\\''");
        tt_buf_str(out, " (off)]' \\\n");
    }
}

static void write_zsh(struct tt_buf *out, const struct tt_prog *prog)
{
    tt_buf_printf(out, "#compdef %s\n# made by '%s --help-completion=zsh'\n_arguments \\\n", prog->name, prog->name);
    each_name(out, prog, zsh_row);
    tt_buf_str(out, "  '*:file:_files'\n");
}

static void fish_row(struct tt_buf *out, const struct tt_prog *prog, const struct tt_opt *o)
{
    tt_buf_printf(out, "complete -c %s -l %s", prog->name, o->name);
    if (takes_value(o) && !o->implied)
        tt_buf_str(out, o->choices || o->kind != TT_OPT_STR ? " -x" : " -r");
    if (o->choices) {
        tt_buf_str(out, " -a '");
        write_arg(out, o, " ");
        tt_buf_byte(out, '\'');
    }
    tt_buf_str(out, " -d '");
    write_first_sentence(out, o->text, "\\", "\\'");
    tt_buf_str(out, "'\n");
    if (o->kind == TT_OPT_SWITCH) {
        struct tt_buf name = { 0 };
        write_negation(&name, o);
        tt_buf_printf(out, "complete -c %s -l %s\n", prog->name, tt_buf_cstr(&name) + 2);
        tt_buf_release(&name);
    }
}

static void write_fish(struct tt_buf *out, const struct tt_prog *prog)
{
    tt_buf_printf(out, "# fish completion for %s: made by '%s --help-completion=fish'\n", prog->name, prog->name);
    each_name(out, prog, fish_row);
}

bool tt_opt_write_completion(struct tt_buf *out, const struct tt_prog *prog, const char *shell)
{
    static void (*const writers[])(struct tt_buf *, const struct tt_prog *) = { write_bash, write_zsh, write_fish };
    for (size_t i = 0; shells[i]; i++)
        if (strcmp(shell, shells[i]) == 0) {
            writers[i](out, prog);
            return true;
        }
    return false;
}
