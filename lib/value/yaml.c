#include "value/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/buf.h"

/* Values that a document may have when its aliases are written out: a page of aliases to aliases must not become a tree that takes
 * years to walk. */
enum { NODES_MAX = 1 << 20 };

struct anchor {
    const char *name;
    struct tt_value *value; /* NULL while it is read: an alias inside would be a loop */
    size_t weight;          /* values in it, aliases written out */
    struct anchor *next;
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the one under the reader */
    struct anchor *anchors;
    size_t nodes;
    int depth;
    const char *path;
    struct tt_arena *arena;
    struct tt_err *err;
};

static uint32_t line_of(const struct reader *r) { return (uint32_t)r->event.start_mark.line + 1; }

static tt_status nomem(struct reader *r) { return tt_err_set(r->err, TT_ENOMEM, "%s:%u: out of memory", r->path, line_of(r)); }

static tt_status next(struct reader *r)
{
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event))
        return TT_OK;
    memset(&r->event, 0, sizeof r->event);
    const yaml_parser_t *p = &r->parser;
    return tt_err_set(r->err, p->error == YAML_MEMORY_ERROR ? TT_ENOMEM : TT_EFORMAT, "%s:%zu: not YAML: %s%s%s", r->path,
                      p->problem_mark.line + 1, p->problem ? p->problem : "unreadable", p->context ? ", " : "",
                      p->context ? p->context : "");
}

/* --- scalars --------------------------------------------------------------------------------------------------------------- */

enum scalar { AS_STR, AS_NULL, AS_BOOL, AS_INT, AS_FLOAT, AMBIGUOUS };

static const struct {
    const char *text;
    enum scalar kind;
    double value;
} words[] = {
    { "", AS_NULL, 0 },
    { "~", AS_NULL, 0 },
    { "null", AS_NULL, 0 },
    { "Null", AS_NULL, 0 },
    { "NULL", AS_NULL, 0 },
    { "true", AS_BOOL, 1 },
    { "True", AS_BOOL, 1 },
    { "TRUE", AS_BOOL, 1 },
    { "yes", AS_BOOL, 1 },
    { "Yes", AS_BOOL, 1 },
    { "YES", AS_BOOL, 1 },
    { "on", AS_BOOL, 1 },
    { "On", AS_BOOL, 1 },
    { "ON", AS_BOOL, 1 },
    { "false", AS_BOOL, 0 },
    { "False", AS_BOOL, 0 },
    { "FALSE", AS_BOOL, 0 },
    { "no", AS_BOOL, 0 },
    { "No", AS_BOOL, 0 },
    { "NO", AS_BOOL, 0 },
    { "off", AS_BOOL, 0 },
    { "Off", AS_BOOL, 0 },
    { "OFF", AS_BOOL, 0 },
    { ".inf", AS_FLOAT, INFINITY },
    { ".Inf", AS_FLOAT, INFINITY },
    { ".INF", AS_FLOAT, INFINITY },
    { "+.inf", AS_FLOAT, INFINITY },
    { "+.Inf", AS_FLOAT, INFINITY },
    { "+.INF", AS_FLOAT, INFINITY },
    { "-.inf", AS_FLOAT, -INFINITY },
    { "-.Inf", AS_FLOAT, -INFINITY },
    { "-.INF", AS_FLOAT, -INFINITY },
    { ".nan", AS_FLOAT, NAN },
    { ".NaN", AS_FLOAT, NAN },
    { ".NAN", AS_FLOAT, NAN },
};

static size_t word_of(const char *s)
{
    size_t i = 0;
    while (i < sizeof words / sizeof *words && strcmp(words[i].text, s) != 0)
        i++;
    return i;
}

/* Appends the run of digits (and underscores after the first) at *p to out without the underscores; how many digits. */
static int digits(const char **p, const char *allowed, struct tt_buf *out)
{
    int n = 0;
    for (; **p && (strchr(allowed, **p) || (n && **p == '_')); ++*p)
        if (**p != '_') {
            tt_buf_byte(out, (uint8_t) * *p);
            n++;
        }
    return n;
}

/* An integer or float in text as strtoll (with *base) and strtod read it, or AS_STR. */
static enum scalar number(const char *s, struct tt_buf *text, int *base)
{
    static const struct {
        const char *prefix, *digits;
        int base;
    } bases[] = {
        { "0x", "0123456789abcdefABCDEF", 16 },
        { "0o", "01234567", 8 },
        { "0b", "01", 2 },
    };
    const char *p = s;
    *base = 10;
    if (*p == '+' || *p == '-')
        tt_buf_byte(text, (uint8_t)*p++);
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++)
        if (strncmp(p, bases[i].prefix, 2) == 0) {
            *base = bases[i].base;
            p += 2;
            return digits(&p, bases[i].digits, text) && !*p ? AS_INT : AS_STR;
        }
    const char *const start = p;
    int n = digits(&p, "0123456789", text);
    if (n && !*p)
        return start[0] == '0' && n > 1 ? AMBIGUOUS : AS_INT;
    if (*p == '.') {
        tt_buf_byte(text, (uint8_t)*p++);
        n += digits(&p, "0123456789", text);
    }
    if (n && (*p == 'e' || *p == 'E')) {
        tt_buf_byte(text, (uint8_t)*p++);
        if (*p == '+' || *p == '-')
            tt_buf_byte(text, (uint8_t)*p++);
        n = digits(&p, "0123456789", text);
    }
    return n && !*p ? AS_FLOAT : AS_STR;
}

static tt_status wrong_scalar(struct reader *r, const char *expected, const char *found)
{
    return tt_err_set(r->err, TT_EFORMAT, "%s:%u: expected %s, found '%s'", r->path, line_of(r), expected, found);
}

/* The value of a plain scalar, as its text says. */
static tt_status resolve(struct reader *r, const char *s, size_t n, struct tt_value **out)
{
    struct tt_buf text = { 0 };
    int base = 10;
    const size_t w = word_of(s);
    const bool is_word = strlen(s) == n && w < sizeof words / sizeof *words;
    const enum scalar kind = is_word ? words[w].kind : strlen(s) == n ? number(s, &text, &base) : AS_STR;
    tt_status st = TT_OK;

    errno = 0;
    const int64_t i = kind == AS_INT ? strtoll(tt_buf_cstr(&text), NULL, base) : 0;
    if (kind == AMBIGUOUS)
        st = wrong_scalar(r, "a number without a leading 0 (octal in YAML 1.1, decimal in 1.2; or quotes, for a string)", s);
    else if (kind == AS_INT && errno == ERANGE)
        st = wrong_scalar(r, "an integer of at most 64 bits", s);
    else if (kind == AS_NULL)
        *out = tt_value_null(r->arena);
    else if (kind == AS_BOOL)
        *out = tt_value_bool(r->arena, words[w].value != 0);
    else if (kind == AS_INT)
        *out = tt_value_int(r->arena, i);
    else if (kind == AS_FLOAT)
        *out = tt_value_float(r->arena, is_word ? words[w].value : strtod(tt_buf_cstr(&text), NULL));
    else
        *out = tt_value_strn(r->arena, s, n);
    tt_buf_release(&text);
    return st;
}

/* The kind that a tag of YAML's own asks for; false for any other tag. */
static bool kind_of_tag(const char *tag, enum tt_vkind *kind)
{
    static const struct {
        const char *name;
        enum tt_vkind kind;
    } tags[] = {
        { "str", TT_V_STR },   { "int", TT_V_INT },  { "float", TT_V_FLOAT }, { "bool", TT_V_BOOL },
        { "null", TT_V_NULL }, { "seq", TT_V_LIST }, { "map", TT_V_MAP },
    };
    static const char prefix[] = "tag:yaml.org,2002:";
    if (strncmp(tag, prefix, sizeof prefix - 1) != 0)
        return false;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (strcmp(tag + sizeof prefix - 1, tags[i].name) == 0) {
            *kind = tags[i].kind;
            return true;
        }
    return false;
}

static tt_status read_scalar(struct reader *r, struct tt_value **out)
{
    const char *s = (const char *)r->event.data.scalar.value, *tag = (const char *)r->event.data.scalar.tag;
    const size_t n = r->event.data.scalar.length;
    enum tt_vkind wanted = TT_V_STR;
    tt_status st = TT_OK;

    if (tag && strcmp(tag, "!") != 0 && !kind_of_tag(tag, &wanted))
        return wrong_scalar(r, "no tag but !!str, !!int, !!float, !!bool and !!null", tag);
    if ((tag && wanted == TT_V_STR) || (!tag && !r->event.data.scalar.plain_implicit))
        *out = tt_value_strn(r->arena, s, n);
    else
        st = resolve(r, s, n, out);
    if (st != TT_OK)
        return st;
    if (!*out)
        return nomem(r);
    if (tag && wanted == TT_V_FLOAT && (*out)->kind == TT_V_INT && !(*out = tt_value_float(r->arena, (double)(*out)->u.i)))
        return nomem(r);
    if (tag && strcmp(tag, "!") != 0 && (*out)->kind != wanted)
        return wrong_scalar(r, tt_value_kind_name(wanted), s);
    return TT_OK;
}

/* --- trees ----------------------------------------------------------------------------------------------------------------- */

static tt_status read_node(struct reader *r, struct tt_value **out);

static tt_status check_tag(struct reader *r, const char *tag, enum tt_vkind kind)
{
    enum tt_vkind wanted;
    if (!tag || strcmp(tag, "!") == 0 || (kind_of_tag(tag, &wanted) && wanted == kind))
        return TT_OK;
    return wrong_scalar(r, "no tag here", tag);
}

static tt_status read_list(struct reader *r, struct tt_value *list)
{
    for (;;) {
        struct tt_value *item;
        tt_status st = next(r);
        if (st != TT_OK || r->event.type == YAML_SEQUENCE_END_EVENT)
            return st;
        if ((st = read_node(r, &item)) != TT_OK)
            return st;
        if (!tt_value_append(r->arena, list, item))
            return nomem(r);
    }
}

/* A key is its text, whatever that would be as a value. */
static tt_status read_key(struct reader *r, const struct tt_value *map, struct tt_value **out)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return tt_err_set(r->err, TT_EFORMAT, "%s:%u: expected a plain key, found a list, a table or an alias", r->path,
                          line_of(r));
    const char *s = (const char *)r->event.data.scalar.value;
    if (strlen(s) != r->event.data.scalar.length)
        return tt_err_set(r->err, TT_EFORMAT, "%s:%u: a key must not hold a NUL", r->path, line_of(r));
    const struct tt_value *earlier = tt_value_get(map, s);
    if (earlier)
        return tt_err_set(r->err, TT_EFORMAT, "%s:%u: '%s' was defined before, in line %u", r->path, line_of(r), s, earlier->line);
    *out = tt_value_str(r->arena, s);
    return *out ? TT_OK : nomem(r);
}

static tt_status read_map(struct reader *r, struct tt_value *map)
{
    for (;;) {
        struct tt_value *key, *value;
        tt_status st = next(r);
        if (st != TT_OK || r->event.type == YAML_MAPPING_END_EVENT)
            return st;
        if ((st = read_key(r, map, &key)) != TT_OK || (st = next(r)) != TT_OK || (st = read_node(r, &value)) != TT_OK)
            return st;
        if (!tt_value_put(r->arena, map, key, value))
            return nomem(r);
    }
}

static tt_status too_many(struct reader *r)
{
    return tt_err_set(r->err, TT_EFORMAT, "%s:%u: more than %d values, aliases written out", r->path, line_of(r), NODES_MAX);
}

/* Levels of lists and maps in v. No value that was read has more than TT_VALUE_DEPTH_MAX. */
static int height(const struct tt_value *v)
{
    int tallest = 0;
    if (v->kind != TT_V_LIST && v->kind != TT_V_MAP)
        return 0;
    const size_t n = v->kind == TT_V_LIST ? v->u.list.n : v->u.map.n;
    for (size_t i = 0; i < n; i++) {
        const int h = height(v->kind == TT_V_LIST ? v->u.list.items[i] : v->u.map.pairs[i].value);
        tallest = h > tallest ? h : tallest;
    }
    return tallest + 1;
}

static tt_status too_deep(struct reader *r)
{
    return tt_err_set(r->err, TT_EFORMAT, "%s:%u: nested deeper than %d levels", r->path, line_of(r), TT_VALUE_DEPTH_MAX);
}

static tt_status read_alias(struct reader *r, struct tt_value **out)
{
    const char *name = (const char *)r->event.data.alias.anchor;
    const struct anchor *a = r->anchors;
    while (a && strcmp(a->name, name) != 0)
        a = a->next;
    if (!a || !a->value)
        return tt_err_set(r->err, TT_EFORMAT, "%s:%u: the alias '*%s' has no anchor before it", r->path, line_of(r), name);
    if (a->weight > NODES_MAX - r->nodes)
        return too_many(r);
    r->nodes += a->weight;
    if (r->depth + height(a->value) > TT_VALUE_DEPTH_MAX)
        return too_deep(r);
    *out = a->value;
    return TT_OK;
}

static tt_status add_anchor(struct reader *r, const yaml_char_t *name, struct anchor **out)
{
    if (!name)
        return TT_OK;
    struct anchor *a = tt_arena_alloc(r->arena, sizeof *a);
    if (!a || !(a->name = tt_arena_str(r->arena, (const char *)name)))
        return nomem(r);
    a->next = r->anchors;
    *out = r->anchors = a;
    return TT_OK;
}

static tt_status read_branch(struct reader *r, enum tt_vkind kind, const yaml_char_t *tag, struct tt_value **out)
{
    tt_status st = check_tag(r, (const char *)tag, kind);
    if (st != TT_OK)
        return st;
    if (r->depth == TT_VALUE_DEPTH_MAX)
        return too_deep(r);
    struct tt_value *v = kind == TT_V_LIST ? tt_value_list(r->arena) : tt_value_map(r->arena);
    if (!v)
        return nomem(r);
    r->depth++;
    st = kind == TT_V_LIST ? read_list(r, v) : read_map(r, v);
    r->depth--;
    *out = v;
    return st;
}

/* The node whose first event is under the reader; leaves its last one there. */
static tt_status read_node(struct reader *r, struct tt_value **out)
{
    const yaml_event_t *e = &r->event;
    const uint32_t line = line_of(r);
    const size_t before = r->nodes;
    struct anchor *anchor = NULL;
    tt_status st = TT_OK;

    if (e->type == YAML_ALIAS_EVENT)
        return read_alias(r, out);
    if (r->nodes++ == NODES_MAX)
        return too_many(r);
    if (e->type == YAML_SCALAR_EVENT) {
        if ((st = add_anchor(r, e->data.scalar.anchor, &anchor)) == TT_OK)
            st = read_scalar(r, out);
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        if ((st = add_anchor(r, e->data.sequence_start.anchor, &anchor)) == TT_OK)
            st = read_branch(r, TT_V_LIST, e->data.sequence_start.tag, out);
    } else {
        if ((st = add_anchor(r, e->data.mapping_start.anchor, &anchor)) == TT_OK)
            st = read_branch(r, TT_V_MAP, e->data.mapping_start.tag, out);
    }
    if (st != TT_OK)
        return st;
    (*out)->line = line;
    if (anchor) {
        anchor->value = *out;
        anchor->weight = r->nodes - before;
    }
    return TT_OK;
}

static tt_status read_document(struct reader *r, struct tt_value **out)
{
    tt_status st = next(r); /* the start of the stream */
    if (st == TT_OK)
        st = next(r);
    if (st == TT_OK && r->event.type == YAML_STREAM_END_EVENT) {
        *out = tt_value_null(r->arena);
        return *out ? TT_OK : nomem(r);
    }
    if (st == TT_OK)
        st = next(r);
    if (st == TT_OK)
        st = read_node(r, out);
    if (st == TT_OK)
        st = next(r); /* the end of the document */
    if (st == TT_OK)
        st = next(r);
    if (st == TT_OK && r->event.type != YAML_STREAM_END_EVENT)
        st = tt_err_set(r->err, TT_EFORMAT, "%s:%u: expected one document, found another", r->path, line_of(r));
    return st;
}

tt_status tt_yaml_parse(struct tt_value **out, struct tt_arena *arena, const void *bytes, size_t nbytes, const char *path,
                        struct tt_err *err)
{
    struct reader r = { .path = path, .arena = arena, .err = err };
    struct tt_value *v = NULL;

    if (!yaml_parser_initialize(&r.parser))
        return tt_err_nomem(err, nbytes, path);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, nbytes ? bytes : (const unsigned char *)"", nbytes);
    const tt_status st = read_document(&r, &v);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (st == TT_OK)
        *out = v;
    return st;
}
