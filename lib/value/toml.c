/* A recursive-descent reader of TOML 1.0. What needs care is not the text but which tables may still be added to: `struct node`
 * keeps how each table came to be. Numbers, booleans and dates are in toml_scalar.c. */
#include "value/toml.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "value/toml_private.h"
#include "value/utf8.h"

/* How a table came to be, which decides who may add to it later. */
enum origin {
    BY_HEADER, /* [a.b]: closed to another [a.b] */
    BY_PATH,   /* the a of [a.b]: one [a] may follow */
    BY_DOTS,   /* the a of a.b = 1: open to dotted keys of the same section only */
    BY_BRACKETS /* [[a]], the list itself: grows by further [[a]] */,
    AS_VALUE, /* {...} or [...]: complete as it stands */
};

struct node {
    struct tt_value v; /* first, so that a map or list of this reader's can be taken for its node */
    enum origin origin;
    uint32_t section; /* BY_DOTS: the header or inline table that it was made under */
};

static struct node *as_node(struct tt_value *v) { return (struct node *)v; }

static struct tt_value *new_node(struct tt_toml *t, enum tt_vkind kind, enum origin origin)
{
    struct node *node = tt_arena_alloc(t->arena, sizeof *node);
    if (!node)
        return NULL;
    *node = (struct node){ .v = { .kind = kind, .line = t->line }, .origin = origin, .section = t->section };
    return &node->v;
}

/* --- small things ---------------------------------------------------------------------------------------------------------- */

tt_status tt_toml_nomem(const struct tt_toml *t) { return tt_err_set(t->err, TT_ENOMEM, "%s:%u: out of memory", t->path, t->line); }

tt_status tt_toml_expected(const struct tt_toml *t, const char *what)
{
    if (t->p == t->end)
        return tt_err_set(t->err, TT_EFORMAT, "%s:%u: expected %s, found the end of the file", t->path, t->line, what);
    if (*t->p == '\n' || *t->p == '\r')
        return tt_err_set(t->err, TT_EFORMAT, "%s:%u: expected %s, found the end of the line", t->path, t->line, what);
    if ((unsigned char)*t->p < 0x20 || *t->p == 0x7f)
        return tt_err_set(t->err, TT_EFORMAT, "%s:%u: expected %s, found the control character 0x%02x", t->path, t->line, what,
                          (unsigned)*t->p);
    size_t n = 0;
    while (t->p + n < t->end && n < 40 && (unsigned char)t->p[n] > 0x20 && t->p[n] != ',' && t->p[n] != ']' && t->p[n] != '}')
        n += tt_utf8_len(t->p + n, (size_t)(t->end - t->p) - n);
    return tt_err_set(t->err, TT_EFORMAT, "%s:%u: expected %s, found '%.*s'", t->path, t->line, what, (int)(n ? n : 1), t->p);
}

static bool at(const struct tt_toml *t, char c) { return t->p < t->end && *t->p == c; }
static bool at3(const struct tt_toml *t, char c) { return t->end - t->p >= 3 && t->p[0] == c && t->p[1] == c && t->p[2] == c; }

static bool take(struct tt_toml *t, char c)
{
    if (!at(t, c))
        return false;
    t->p++;
    return true;
}

static void skip_blanks(struct tt_toml *t)
{
    while (at(t, ' ') || at(t, '\t'))
        t->p++;
}

/* The length of the line end at p: LF, CR LF, or 0. */
static size_t newline_len(const struct tt_toml *t)
{
    if (at(t, '\n'))
        return 1;
    return t->end - t->p >= 2 && t->p[0] == '\r' && t->p[1] == '\n' ? 2 : 0;
}

static bool take_newline(struct tt_toml *t)
{
    const size_t n = newline_len(t);
    t->p += n;
    t->line += n > 0;
    return n > 0;
}

static bool is_control(char c) { return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f; }

static tt_status skip_comment(struct tt_toml *t)
{
    skip_blanks(t);
    if (!at(t, '#'))
        return TT_OK;
    while (t->p < t->end && !newline_len(t)) {
        if (is_control(*t->p))
            return tt_toml_expected(t, "a comment without control characters");
        t->p++;
    }
    return TT_OK;
}

/* Blanks, comments and line ends, as an array may have between its items. */
static tt_status skip_lines(struct tt_toml *t)
{
    do {
        const tt_status st = skip_comment(t);
        if (st != TT_OK)
            return st;
    } while (take_newline(t));
    return TT_OK;
}

/* --- strings --------------------------------------------------------------------------------------------------------------- */

static tt_status read_code_point(struct tt_toml *t, struct tt_buf *out, int ndigits)
{
    uint32_t cp = 0;
    for (int i = 0; i < ndigits; i++, t->p++) {
        const int digit = t->p < t->end ? tt_toml_digit(*t->p, 16) : -1;
        if (digit < 0)
            return tt_toml_expected(t, ndigits == 4 ? "4 hexadecimal digits after \\u" : "8 hexadecimal digits after \\U");
        cp = cp << 4 | (uint32_t)digit;
    }
    if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        return tt_err_set(t->err, TT_EFORMAT, "%s:%u: expected a Unicode scalar value, found U+%04X", t->path, t->line, cp);
    char utf8[4];
    tt_buf_put(out, utf8, tt_utf8_put(utf8, cp));
    return TT_OK;
}

/* After the backslash. */
static tt_status read_escape(struct tt_toml *t, struct tt_buf *out)
{
    static const char names[] = "btnfr\"\\", bytes[] = "\b\t\n\f\r\"\\";
    const char c = t->p < t->end ? *t->p : 0;
    const char *name = c ? strchr(names, c) : NULL;

    if (!name && c != 'u' && c != 'U')
        return tt_toml_expected(t, "one of b t n f r \" \\ u U after a backslash");
    t->p++;
    if (name) {
        tt_buf_byte(out, (uint8_t)bytes[name - names]);
        return TT_OK;
    }
    return read_code_point(t, out, c == 'u' ? 4 : 8);
}

/* A backslash that ends a line takes all white space up to the next character with it. */
static bool take_line_continuation(struct tt_toml *t)
{
    const char *const start = t->p;
    skip_blanks(t);
    if (!take_newline(t)) {
        t->p = start;
        return false;
    }
    do
        skip_blanks(t);
    while (take_newline(t));
    return true;
}

/* Up to two quotes may stand before the three that close the string. */
static bool take_closing3(struct tt_toml *t, struct tt_buf *out, char quote)
{
    if (!at3(t, quote))
        return false;
    t->p += 3;
    for (int i = 0; i < 2 && take(t, quote); i++)
        tt_buf_byte(out, (uint8_t)quote);
    return true;
}

static tt_status read_multiline(struct tt_toml *t, struct tt_buf *out, char quote)
{
    const uint32_t first_line = t->line;
    t->p += 3;
    take_newline(t); /* the one right after the opening quotes does not count */
    while (!take_closing3(t, out, quote)) {
        if (t->p == t->end)
            return tt_err_set(t->err, TT_EFORMAT,
                              "%s:%u: expected the end of the string that starts in line %u, found the end of the file", t->path,
                              t->line, first_line);
        if (take_newline(t)) {
            tt_buf_byte(out, '\n');
        } else if (quote == '"' && take(t, '\\')) {
            const tt_status st = take_line_continuation(t) ? TT_OK : read_escape(t, out);
            if (st != TT_OK)
                return st;
        } else if (is_control(*t->p)) {
            return tt_toml_expected(t, "a string without control characters");
        } else {
            tt_buf_byte(out, (uint8_t)*t->p++);
        }
    }
    return TT_OK;
}

static tt_status read_one_line(struct tt_toml *t, struct tt_buf *out, char quote)
{
    t->p++;
    while (!take(t, quote)) {
        if (t->p == t->end || is_control(*t->p))
            return tt_toml_expected(t, quote == '"' ? "the closing \" of a string" : "the closing ' of a string");
        if (quote == '"' && take(t, '\\')) {
            const tt_status st = read_escape(t, out);
            if (st != TT_OK)
                return st;
        } else {
            tt_buf_byte(out, (uint8_t)*t->p++);
        }
    }
    return TT_OK;
}

static tt_status read_string(struct tt_toml *t, struct tt_value **out)
{
    const char quote = *t->p;
    const uint32_t line = t->line;
    struct tt_buf text = { 0 };
    tt_status st = at3(t, quote) ? read_multiline(t, &text, quote) : read_one_line(t, &text, quote);

    if (st == TT_OK) {
        *out = text.failed ? NULL : tt_value_strn(t->arena, tt_buf_cstr(&text), text.len);
        if (*out)
            (*out)->line = line;
        else
            st = tt_toml_nomem(t);
    }
    tt_buf_release(&text);
    return st;
}

/* --- keys and tables ------------------------------------------------------------------------------------------------------- */

enum { KEY_PARTS_MAX = 100 };

struct key {
    const char *part[KEY_PARTS_MAX];
    int n;
};

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static tt_status read_key_part(struct tt_toml *t, const char **out)
{
    if (at(t, '"') || at(t, '\'')) {
        struct tt_value *text;
        if (at3(t, *t->p))
            return tt_toml_expected(t, "a key on one line");
        const tt_status st = read_string(t, &text);
        if (st != TT_OK)
            return st;
        if (strlen(text->u.str.s) != text->u.str.nbytes)
            return tt_err_set(t->err, TT_EFORMAT, "%s:%u: a key must not hold a NUL", t->path, t->line);
        *out = text->u.str.s;
        return TT_OK;
    }
    const char *start = t->p;
    while (t->p < t->end && is_bare(*t->p))
        t->p++;
    if (t->p == start)
        return tt_toml_expected(t, "a key");
    *out = tt_arena_strn(t->arena, start, (size_t)(t->p - start));
    return *out ? TT_OK : tt_toml_nomem(t);
}

static tt_status read_key(struct tt_toml *t, struct key *key)
{
    key->n = 0;
    do {
        skip_blanks(t);
        if (key->n == KEY_PARTS_MAX)
            return tt_err_set(t->err, TT_EFORMAT, "%s:%u: expected a key of at most %d parts", t->path, t->line, KEY_PARTS_MAX);
        const tt_status st = read_key_part(t, &key->part[key->n]);
        if (st != TT_OK)
            return st;
        key->n++;
        skip_blanks(t);
    } while (take(t, '.'));
    return TT_OK;
}

static tt_status defined_before(const struct tt_toml *t, const char *name, const struct tt_value *earlier)
{
    return tt_err_set(t->err, TT_EFORMAT, "%s:%u: '%s' was defined before, in line %u", t->path, t->line, name, earlier->line);
}

static tt_status add_table(struct tt_toml *t, struct tt_value *parent, const char *name, enum origin origin, struct tt_value **out)
{
    *out = new_node(t, TT_V_MAP, origin);
    return tt_value_put(t->arena, parent, tt_value_str(t->arena, name), *out) ? TT_OK : tt_toml_nomem(t);
}

/* One step of a header's path, not its last: into a table, or the last table of an array of tables. */
static tt_status enter_for_header(struct tt_toml *t, struct tt_value **table, const char *name)
{
    struct tt_value *child = tt_value_get(*table, name);
    if (!child)
        return add_table(t, *table, name, BY_PATH, table);
    if (child->kind == TT_V_LIST && as_node(child)->origin == BY_BRACKETS)
        child = child->u.list.items[child->u.list.n - 1];
    else if (child->kind != TT_V_MAP || as_node(child)->origin == AS_VALUE)
        return defined_before(t, name, child);
    *table = child;
    return TT_OK;
}

static tt_status define_table(struct tt_toml *t, struct tt_value *parent, const char *name)
{
    struct tt_value *child = tt_value_get(parent, name);
    if (!child)
        return add_table(t, parent, name, BY_HEADER, &t->table);
    if (child->kind != TT_V_MAP || as_node(child)->origin != BY_PATH)
        return defined_before(t, name, child);
    as_node(child)->origin = BY_HEADER;
    child->line = t->line;
    t->table = child;
    return TT_OK;
}

static tt_status append_table(struct tt_toml *t, struct tt_value *parent, const char *name)
{
    struct tt_value *list = tt_value_get(parent, name);
    if (!list) {
        list = new_node(t, TT_V_LIST, BY_BRACKETS);
        if (!tt_value_put(t->arena, parent, tt_value_str(t->arena, name), list))
            return tt_toml_nomem(t);
    } else if (list->kind != TT_V_LIST || as_node(list)->origin != BY_BRACKETS) {
        return defined_before(t, name, list);
    }
    t->table = new_node(t, TT_V_MAP, BY_HEADER);
    return tt_value_append(t->arena, list, t->table) ? TT_OK : tt_toml_nomem(t);
}

/* [a.b] or [[a.b]], at the first bracket. */
static tt_status read_header(struct tt_toml *t)
{
    struct key key;
    t->p++;
    const bool array = take(t, '[');
    tt_status st = read_key(t, &key);
    if (st != TT_OK)
        return st;
    if (!take(t, ']') || (array && !take(t, ']')))
        return tt_toml_expected(t, array ? "']]' after the name of an array of tables" : "']' after the name of a table");

    t->section = ++t->nsections;
    struct tt_value *parent = t->root;
    for (int i = 0; i < key.n - 1; i++)
        if ((st = enter_for_header(t, &parent, key.part[i])) != TT_OK)
            return st;
    t->depth = key.n;
    return array ? append_table(t, parent, key.part[key.n - 1]) : define_table(t, parent, key.part[key.n - 1]);
}

static tt_status enter_for_dots(struct tt_toml *t, struct tt_value **table, const char *name)
{
    struct tt_value *child = tt_value_get(*table, name);
    if (!child)
        return add_table(t, *table, name, BY_DOTS, table);
    if (child->kind != TT_V_MAP || as_node(child)->origin != BY_DOTS || as_node(child)->section != t->section)
        return defined_before(t, name, child);
    *table = child;
    return TT_OK;
}

static tt_status read_value(struct tt_toml *t, struct tt_value **out);

/* key = value, into the table that is open. */
static tt_status read_pair(struct tt_toml *t)
{
    struct tt_value *table = t->table, *value;
    struct key key;
    tt_status st = read_key(t, &key);

    if (st == TT_OK && !take(t, '='))
        st = tt_toml_expected(t, "'=' after a key");
    for (int i = 0; st == TT_OK && i < key.n - 1; i++)
        st = enter_for_dots(t, &table, key.part[i]);
    if (st != TT_OK)
        return st;
    const char *name = key.part[key.n - 1];
    const struct tt_value *earlier = tt_value_get(table, name);
    if (earlier)
        return defined_before(t, name, earlier);

    t->depth += key.n;
    if (t->depth > TT_VALUE_DEPTH_MAX)
        return tt_err_set(t->err, TT_EFORMAT, "%s:%u: nested deeper than %d levels", t->path, t->line, TT_VALUE_DEPTH_MAX);
    skip_blanks(t);
    st = read_value(t, &value);
    t->depth -= key.n;
    if (st != TT_OK)
        return st;
    return tt_value_put(t->arena, table, tt_value_str(t->arena, name), value) ? TT_OK : tt_toml_nomem(t);
}

/* --- values ---------------------------------------------------------------------------------------------------------------- */

static tt_status read_array(struct tt_toml *t, struct tt_value **out)
{
    struct tt_value *list = new_node(t, TT_V_LIST, AS_VALUE);
    if (!list)
        return tt_toml_nomem(t);
    t->p++;
    for (bool more = true;;) {
        struct tt_value *item;
        tt_status st = skip_lines(t);
        if (st != TT_OK)
            return st;
        if (take(t, ']'))
            break;
        if (!more)
            return tt_toml_expected(t, "',' or ']' in an array");
        if ((st = read_value(t, &item)) != TT_OK)
            return st;
        if (!tt_value_append(t->arena, list, item))
            return tt_toml_nomem(t);
        if ((st = skip_lines(t)) != TT_OK)
            return st;
        more = take(t, ',');
    }
    *out = list;
    return TT_OK;
}

static tt_status read_inline_pairs(struct tt_toml *t)
{
    skip_blanks(t);
    if (take(t, '}'))
        return TT_OK;
    for (;;) {
        const tt_status st = read_pair(t);
        if (st != TT_OK)
            return st;
        skip_blanks(t);
        if (take(t, '}'))
            return TT_OK;
        if (!take(t, ','))
            return tt_toml_expected(t, "',' or '}' in an inline table");
    }
}

/* Its pairs are read as a section of their own, then the outer one is open again. */
static tt_status read_inline_table(struct tt_toml *t, struct tt_value **out)
{
    struct tt_value *const outer = t->table;
    const uint32_t outer_section = t->section;

    t->section = ++t->nsections;
    t->table = new_node(t, TT_V_MAP, AS_VALUE);
    if (!t->table)
        return tt_toml_nomem(t);
    t->p++;
    const tt_status st = read_inline_pairs(t);
    if (st == TT_OK)
        *out = t->table;
    t->table = outer;
    t->section = outer_section;
    return st;
}

static tt_status read_value(struct tt_toml *t, struct tt_value **out)
{
    if (at(t, '"') || at(t, '\''))
        return read_string(t, out);
    if (!at(t, '[') && !at(t, '{'))
        return tt_toml_scalar(t, out);
    if (t->depth >= TT_VALUE_DEPTH_MAX)
        return tt_err_set(t->err, TT_EFORMAT, "%s:%u: nested deeper than %d levels", t->path, t->line, TT_VALUE_DEPTH_MAX);
    t->depth++;
    const tt_status st = at(t, '[') ? read_array(t, out) : read_inline_table(t, out);
    t->depth--;
    return st;
}

/* --- the document ---------------------------------------------------------------------------------------------------------- */

static tt_status check_utf8(struct tt_toml *t)
{
    for (; t->p < t->end; t->line += *t->p == '\n', t->p += tt_utf8_len(t->p, (size_t)(t->end - t->p)))
        if (tt_utf8_len(t->p, (size_t)(t->end - t->p)) == 0)
            return tt_err_set(t->err, TT_EFORMAT, "%s:%u: expected UTF-8, found the byte 0x%02x", t->path, t->line,
                              (unsigned char)*t->p);
    return TT_OK;
}

static tt_status read_line(struct tt_toml *t)
{
    tt_status st = skip_comment(t);
    if (st == TT_OK && t->p < t->end && !newline_len(t)) {
        st = at(t, '[') ? read_header(t) : read_pair(t);
        if (st == TT_OK)
            st = skip_comment(t);
    }
    if (st == TT_OK && t->p < t->end && !take_newline(t))
        st = tt_toml_expected(t, "the end of the line");
    return st;
}

tt_status tt_toml_parse(struct tt_value **out, struct tt_arena *arena, const void *bytes, size_t nbytes, const char *path,
                        struct tt_err *err)
{
    static const char bom[] = "\xef\xbb\xbf";
    const char *text = nbytes ? bytes : "";
    if (nbytes >= 3 && memcmp(text, bom, 3) == 0) /* some editors put one; it means nothing */
        text += 3, nbytes -= 3;

    struct tt_toml t = { .p = text, .end = text + nbytes, .line = 1, .path = path, .arena = arena, .err = err };
    tt_status st = check_utf8(&t);
    t.p = text;
    t.line = 1;
    t.root = t.table = new_node(&t, TT_V_MAP, BY_HEADER);
    if (st == TT_OK && !t.root)
        st = tt_toml_nomem(&t);
    while (st == TT_OK && t.p < t.end)
        st = read_line(&t);
    if (st == TT_OK)
        *out = t.root;
    return st;
}
