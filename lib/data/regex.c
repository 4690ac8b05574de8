#include "data/regex.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "data/fields.h"
#include "data/unicode.h"

struct tt_regex {
    pcre2_code *code;
    bool jit;
    char *where;
};

struct tt_regex_scratch {
    pcre2_match_data *match;
    pcre2_match_context *limits, *interpreted;
    pcre2_jit_stack *stack;
};

enum {
    STACK_START = 32 * 1024,
    STACK_MAX = 8 * 1024 * 1024,
    HEAP_MAX_KIB = 64 * 1024,
    MATCH_STEPS_MAX = 20 * 1000 * 1000,
    GROUPS_MAX = 200,
};

/* --- rewriting --------------------------------------------------------------------------------------------------------- */

struct rewriter {
    const char *s, *end, *begin; /* what is left; where it began, for messages */
    const char *where;
    struct tt_buf *out;
    struct tt_err *err;
    size_t atom;              /* where the last atom begins in out; a quantifier behind a quantifier wraps it */
    size_t group[GROUPS_MAX]; /* where the open groups begin in out */
    int ngroups;
};

static tt_status unsupported(const struct rewriter *r, const char *what)
{
    return tt_err_set(r->err, TT_EUNSUPPORTED, "%s: regular expression: byte %zu: %s is not supported", r->where,
                      (size_t)(r->s - r->begin), what);
}

static tt_status cut_short(const struct rewriter *r)
{
    return tt_err_set(r->err, TT_EFORMAT, "%s: regular expression ends inside an escape, a set or a group", r->where);
}

/* Oniguruma's classes, as the inside of a PCRE2 set. Its \w takes superscript digits and Latin-1 fractions only outside a set. */
static const char white[] = "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
static const char not_white[] = "\\x00-\\x08\\x0e-\\x1f\\x21-\\x84\\x86-\\x9f\\xa1-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"
                                "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}";
static const char word_symbols[] = "\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}";
static const char word_latin1[] = "\\xb2\\xb3\\xb9\\xbc-\\xbe";

/* A general category ("L", "Lu"), with the code points that came after PCRE2's Unicode. */
static void put_category(struct tt_buf *out, const char *name, size_t n)
{
    tt_buf_printf(out, "\\p{%.*s}", (int)n, name);
    for (size_t i = 0; i < tt_unicode_nnewer; i++) {
        const struct tt_unicode_range *c = &tt_unicode_newer[i];
        if (memcmp(c->category, name, n) == 0)
            tt_buf_printf(out, "\\x{%x}-\\x{%x}", c->first, c->last);
    }
}

static void put_word(struct tt_buf *out, bool in_set)
{
    put_category(out, "L", 1);
    put_category(out, "M", 1);
    put_category(out, "Nd", 2);
    put_category(out, "Nl", 2);
    put_category(out, "Pc", 2);
    tt_buf_str(out, word_symbols);
    if (!in_set)
        tt_buf_str(out, word_latin1);
}

static bool is_category(const char *name, size_t n)
{
    return n >= 1 && n <= 2 && strchr("LMNPSZC", name[0]) && (n == 1 || strchr("ulteocdkmnpsif", name[1]));
}

/* \p{...}, \P{...}: r->s stands behind the 'p'. */
static tt_status property(struct rewriter *r, bool negative, bool in_set)
{
    const char *close = r->s < r->end && *r->s == '{' ? memchr(r->s, '}', (size_t)(r->end - r->s)) : NULL;
    if (!close)
        return unsupported(r, "a property without braces");
    const char *name = r->s + 1;
    if (*name == '^') {
        negative = !negative;
        name++;
    }
    const size_t n = (size_t)(close - name);
    if (in_set && negative) /* inexact only for code points that are newer than PCRE2 */
        tt_buf_printf(r->out, "\\P{%.*s}", (int)n, name);
    else if (!is_category(name, n))
        tt_buf_printf(r->out, "\\%c{%.*s}", negative ? 'P' : 'p', (int)n, name);
    else if (in_set)
        put_category(r->out, name, n);
    else {
        tt_buf_str(r->out, negative ? "[^" : "[");
        put_category(r->out, name, n);
        tt_buf_byte(r->out, ']');
    }
    r->s = close + 1;
    return TT_OK;
}

static void put_boundary(struct tt_buf *out, bool negative)
{
    struct tt_buf w = { 0 };
    put_word(&w, false);
    const char *set = tt_buf_cstr(&w);
    if (negative)
        tt_buf_printf(out, "(?:(?<=[%s])(?=[%s])|(?<![%s])(?![%s]))", set, set, set, set);
    else
        tt_buf_printf(out, "(?:(?<=[%s])(?![%s])|(?<![%s])(?=[%s]))", set, set, set, set);
    out->failed |= w.failed;
    tt_buf_release(&w);
}

static void put_set(struct tt_buf *out, const char *members, bool negative, bool in_set)
{
    if (in_set)
        tt_buf_str(out, members);
    else
        tt_buf_printf(out, "[%s%s]", negative ? "^" : "", members);
}

/* \uHHHH: Oniguruma's; PCRE2 spells it \x{HHHH}. */
static tt_status hex_escape(struct rewriter *r)
{
    if (r->end - r->s < 4)
        return cut_short(r);
    tt_buf_printf(r->out, "\\x{%.4s}", r->s);
    r->s += 4;
    return TT_OK;
}

/* r->s stands behind the backslash. */
static tt_status escape(struct rewriter *r, bool in_set)
{
    if (r->s == r->end)
        return cut_short(r);
    const char c = *r->s++;
    switch (c) {
    case 's': put_set(r->out, white, false, in_set); return TT_OK;
    case 'S': put_set(r->out, in_set ? not_white : white, true, in_set); return TT_OK;
    case 'h': put_set(r->out, "0-9a-fA-F", false, in_set); return TT_OK;
    case 'v': tt_buf_str(r->out, "\\x0b"); return TT_OK;
    case 'u': return hex_escape(r);
    case 'p':
    case 'P': return property(r, c == 'P', in_set);
    case 'd':
    case 'D':
        if (in_set && c == 'D')
            break;
        if (!in_set)
            tt_buf_str(r->out, c == 'D' ? "[^" : "[");
        put_category(r->out, "Nd", 2);
        if (!in_set)
            tt_buf_byte(r->out, ']');
        return TT_OK;
    case 'w':
    case 'W':
        if (in_set && c == 'W')
            break;
        if (!in_set)
            tt_buf_str(r->out, c == 'W' ? "[^" : "[");
        put_word(r->out, in_set);
        if (!in_set)
            tt_buf_byte(r->out, ']');
        return TT_OK;
    case 'b':
    case 'B':
        if (in_set)
            tt_buf_str(r->out, "\\x08");
        else
            put_boundary(r->out, c == 'B');
        return TT_OK;
    default: break;
    }
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter && !strchr(in_set ? "tnrfaex01234567" : "tnrfaex0123456789AzZGRXNk", c)) {
        r->s--;
        return unsupported(r, "this escape");
    }
    if ((unsigned char)c >= 0x80) { /* an escaped character of several bytes is that character */
        tt_buf_byte(r->out, (uint8_t)c);
        return TT_OK;
    }
    tt_buf_byte(r->out, '\\');
    tt_buf_byte(r->out, (uint8_t)c);
    return TT_OK;
}

/* A set; r->s stands behind the '['. */
static tt_status set(struct rewriter *r)
{
    tt_buf_byte(r->out, '[');
    if (r->s < r->end && *r->s == '^')
        tt_buf_byte(r->out, (uint8_t)*r->s++);
    for (bool first = true; r->s < r->end; first = false) {
        const char c = *r->s++;
        if (c == ']' && !first) {
            tt_buf_byte(r->out, ']');
            return TT_OK;
        }
        if (c == '[')
            return unsupported(r, "a set within a set");
        if (c == '&' && r->s < r->end && *r->s == '&')
            return unsupported(r, "an intersection of sets");
        if (c == '\\') {
            const tt_status st = escape(r, true);
            if (st != TT_OK)
                return st;
        } else {
            tt_buf_byte(r->out, (uint8_t)c);
        }
    }
    return cut_short(r);
}

/* What follows "(?": a kind of group, or options. r->s stands behind the '?'. */
static tt_status group_kind(struct rewriter *r)
{
    static const char *const kinds[] = { ":", "=", "!", ">", "<=", "<!" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const size_t n = strlen(kinds[i]);
        if ((size_t)(r->end - r->s) >= n && memcmp(r->s, kinds[i], n) == 0) {
            tt_buf_str(r->out, kinds[i]);
            r->s += n;
            return TT_OK;
        }
    }
    if (r->s < r->end && *r->s == '<') { /* a name */
        const char *close = memchr(r->s, '>', (size_t)(r->end - r->s));
        if (!close)
            return cut_short(r);
        tt_buf_put(r->out, r->s, (size_t)(close + 1 - r->s));
        r->s = close + 1;
        return TT_OK;
    }
    for (; r->s < r->end && *r->s != ')' && *r->s != ':'; r->s++) {
        if (*r->s != 'i' && *r->s != 'm' && *r->s != 'x' && *r->s != '-')
            return unsupported(r, "this kind of group or option");
        tt_buf_byte(r->out, *r->s == 'm' ? 's' : (uint8_t)*r->s); /* Oniguruma's m is everyone else's s */
    }
    if (r->s == r->end)
        return cut_short(r);
    if (*r->s == ':')
        tt_buf_byte(r->out, (uint8_t)*r->s++);
    return TT_OK;
}

static tt_status group_open(struct rewriter *r)
{
    if (r->ngroups == GROUPS_MAX)
        return unsupported(r, "nesting this deep");
    r->group[r->ngroups++] = r->out->len;
    tt_buf_byte(r->out, '(');
    if (r->s == r->end || *r->s != '?')
        return TT_OK;
    r->s++;
    if (r->s < r->end && *r->s == '#')
        return unsupported(r, "a comment");
    tt_buf_byte(r->out, '?');
    return group_kind(r);
}

/* Parses {n}, {n,}, {n,m}, {,m} at r->s, behind the '{'. 0 where it is plain text. */
static size_t interval(const struct rewriter *r, bool *no_min, bool *exact)
{
    const char *p = r->s;
    size_t digits = 0;
    bool comma = false;
    for (; p < r->end && *p != '}'; p++) {
        if (*p == ',' && !comma) {
            comma = true;
            *no_min = digits == 0;
        } else if (*p >= '0' && *p <= '9') {
            digits++;
        } else {
            return 0;
        }
    }
    *exact = !comma;
    return p < r->end && digits > 0 ? (size_t)(p - r->s) : 0;
}

static void insert(struct tt_buf *out, size_t at, const char *s)
{
    const size_t n = strlen(s), tail = out->len - at;
    tt_buf_str(out, s);
    if (out->failed)
        return;
    memmove(out->data + at + n, out->data + at, tail);
    memcpy(out->data + at, s, n);
}

/* After {n,m}: '?' makes it lazy as everywhere ({n}? is optional: other rules), '+' repeats it as a whole, which for PCRE2
 * would mean possessive. */
static tt_status braces(struct rewriter *r)
{
    bool no_min = false, exact = false;
    const size_t n = interval(r, &no_min, &exact);
    if (n == 0) {
        r->atom = r->out->len;
        tt_buf_str(r->out, "\\{");
        return TT_OK;
    }
    tt_buf_printf(r->out, "{%s%.*s}", no_min ? "0" : "", (int)n, r->s);
    r->s += n + 1;
    if (r->s == r->end)
        return TT_OK;
    if (*r->s == '+' || *r->s == '*' || (*r->s == '?' && exact)) {
        insert(r->out, r->atom, "(?:");
        tt_buf_byte(r->out, ')');
    }
    return TT_OK;
}

static tt_status rewrite_one(struct rewriter *r)
{
    const char c = *r->s++;
    if (!strchr("*+?{)", c) || c == '\0')
        r->atom = r->out->len;
    switch (c) {
    case '\\': return escape(r, false);
    case '[': return set(r);
    case '(': return group_open(r);
    case '{': return braces(r);
    case ')':
        if (r->ngroups > 0)
            r->atom = r->group[--r->ngroups];
        tt_buf_byte(r->out, ')');
        return TT_OK;
    case '*':
    case '+':
    case '?':
        tt_buf_byte(r->out, (uint8_t)c);
        /* x** and x+*: a repetition of a repetition. ++, *+ and ?+ are possessive, +? and so on lazy, in both. */
        if (r->s < r->end && *r->s == '*') {
            insert(r->out, r->atom, "(?:");
            tt_buf_byte(r->out, ')');
        }
        return TT_OK;
    default:
        tt_buf_byte(r->out, (uint8_t)c);
        if ((unsigned char)c >= 0x80) /* the rest of the character, so that the atom is whole */
            while (r->s < r->end && ((unsigned char)*r->s & 0xc0) == 0x80)
                tt_buf_byte(r->out, (uint8_t)*r->s++);
        return TT_OK;
    }
}

tt_status tt_regex_translate(struct tt_buf *out, const char *pattern, size_t nbytes, const char *where, struct tt_err *err)
{
    struct rewriter r = { .s = pattern, .begin = pattern, .end = pattern + nbytes, .where = where, .out = out, .err = err };
    while (r.s < r.end) {
        const tt_status st = rewrite_one(&r);
        if (st != TT_OK)
            return st;
    }
    return tt_buf_check(out, "a regular expression", err);
}

/* Plain text: every ASCII character that could mean something is escaped. */
static tt_status quote(struct tt_buf *out, const char *s, size_t nbytes, struct tt_err *err)
{
    for (size_t i = 0; i < nbytes; i++) {
        if (s[i] && strchr("\\^$.[]|()?*+{}-#&~ ", s[i]))
            tt_buf_byte(out, '\\');
        tt_buf_byte(out, (uint8_t)s[i]);
    }
    return tt_buf_check(out, "a regular expression", err);
}

/* --- matching ---------------------------------------------------------------------------------------------------------- */

static tt_status compile(struct tt_regex *re, const struct tt_buf *pattern, struct tt_err *err)
{
    pcre2_compile_context *ctx = pcre2_compile_context_create(NULL);
    if (!ctx)
        return tt_err_nomem(err, 0, "a regular expression");
    pcre2_set_newline(ctx, PCRE2_NEWLINE_LF);
    pcre2_set_bsr(ctx, PCRE2_BSR_UNICODE);
    pcre2_set_parens_nest_limit(ctx, GROUPS_MAX + 8);

    int code = 0;
    PCRE2_SIZE at = 0;
    const PCRE2_SPTR text = pattern->len ? (PCRE2_SPTR)pattern->data : (PCRE2_SPTR) "";
    re->code = pcre2_compile(text, pattern->len, PCRE2_UTF | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, ctx);
    pcre2_compile_context_free(ctx);
    if (!re->code) {
        PCRE2_UCHAR why[160];
        pcre2_get_error_message(code, why, sizeof why);
        return tt_err_set(err, TT_EFORMAT, "%s: regular expression: %s", re->where, (const char *)why);
    }
    re->jit = pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE) == 0;
    return TT_OK;
}

tt_status tt_regex_new(struct tt_regex **out, const char *pattern, size_t nbytes, bool literal, const char *where,
                       struct tt_err *err)
{
    struct tt_regex *re = calloc(1, sizeof *re);
    if (!re || !(re->where = strdup(where))) {
        free(re);
        return tt_err_nomem(err, sizeof *re, "a regular expression");
    }
    struct tt_buf translated = { 0 };
    tt_status st =
        literal ? quote(&translated, pattern, nbytes, err) : tt_regex_translate(&translated, pattern, nbytes, where, err);
    if (st == TT_OK)
        st = compile(re, &translated, err);
    tt_buf_release(&translated);
    if (st != TT_OK) {
        tt_regex_free(re);
        return st;
    }
    *out = re;
    return TT_OK;
}

tt_status tt_regex_read(struct tt_regex **out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    const struct tt_value *pattern;
    const char *text = NULL;
    size_t n = 0;
    tt_status st = tt_field_tree(&pattern, v, "pattern", TT_V_MAP, TT_REQUIRED, where, err);
    if (st != TT_OK)
        return st;
    const bool literal = tt_value_get(pattern, "String") != NULL;
    st = tt_field_str(&text, &n, pattern, literal ? "String" : "Regex", TT_REQUIRED, where, err);
    return st == TT_OK ? tt_regex_new(out, text, n, literal, where, err) : st;
}

void tt_regex_free(struct tt_regex *re)
{
    if (!re)
        return;
    pcre2_code_free(re->code);
    free(re->where);
    free(re);
}

tt_status tt_regex_scratch_new(struct tt_regex_scratch **out, struct tt_err *err)
{
    struct tt_regex_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return tt_err_nomem(err, sizeof *s, "matching");
    s->match = pcre2_match_data_create(1, NULL);
    s->limits = pcre2_match_context_create(NULL);
    s->interpreted = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(STACK_START, STACK_MAX, NULL); /* NULL where there is no JIT: never asked for then */
    if (!s->match || !s->limits || !s->interpreted) {
        tt_regex_scratch_free(s);
        return tt_err_nomem(err, 0, "matching");
    }
    pcre2_set_match_limit(s->limits, MATCH_STEPS_MAX);
    pcre2_set_match_limit(s->interpreted, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(s->interpreted, HEAP_MAX_KIB);
    if (s->stack)
        pcre2_jit_stack_assign(s->limits, NULL, s->stack);
    *out = s;
    return TT_OK;
}

void tt_regex_scratch_free(struct tt_regex_scratch *s)
{
    if (!s)
        return;
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->limits);
    pcre2_match_context_free(s->interpreted);
    pcre2_jit_stack_free(s->stack);
    free(s);
}

static int search(const struct tt_regex_iter *it, size_t from)
{
    const PCRE2_SPTR text = (PCRE2_SPTR)it->text;
    const struct tt_regex_scratch *s = it->scratch;
    int rc = PCRE2_ERROR_JIT_STACKLIMIT;
    if (it->re->jit && s->stack)
        rc = pcre2_jit_match(it->re->code, text, it->nbytes, from, PCRE2_NO_UTF_CHECK, s->match, s->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(it->re->code, text, it->nbytes, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->match, s->interpreted);
    return rc;
}

tt_status tt_regex_next(struct tt_regex_iter *it, bool *found, size_t *start, size_t *end, struct tt_err *err)
{
    *found = false;
    while (it->from <= it->nbytes) {
        const int rc = search(it, it->from);
        if (rc == PCRE2_ERROR_NOMATCH)
            return TT_OK;
        if (rc < 0) {
            PCRE2_UCHAR why[160];
            pcre2_get_error_message(rc, why, sizeof why);
            return tt_err_set(err, TT_EFORMAT, "%s: regular expression: %s", it->re->where, (const char *)why);
        }
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(it->scratch->match);
        /* \K in a look-ahead can put the start behind the end; neither may go back. */
        if (at[0] > at[1] || at[0] < it->last_end)
            return tt_err_set(err, TT_EUNSUPPORTED, "%s: regular expression: a match that ends before it starts", it->re->where);
        if (at[0] == at[1]) {
            size_t step = 1;
            if (at[1] < it->nbytes)
                tt_utf8_get(it->text + at[1], &step);
            it->from = at[1] + step;
            if (it->any && at[1] == it->last_end)
                continue;
        } else {
            it->from = at[1];
        }
        it->any = true;
        it->last_end = *end = at[1];
        *start = at[0];
        *found = true;
        return TT_OK;
    }
    return TT_OK;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

tt_status tt_replacement_read(struct tt_replacement *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    *out = (struct tt_replacement){ 0 };
    const tt_status st = tt_regex_read(&out->re, v, where, err);
    return st == TT_OK ? tt_field_copy(&out->by, &out->nby, v, "content", where, err) : st;
}

void tt_replacement_release(struct tt_replacement *r)
{
    tt_regex_free(r->re);
    free(r->by);
    *r = (struct tt_replacement){ 0 };
}

tt_status tt_replace(const struct tt_replacement *r, struct tt_regex_scratch *scratch, struct tt_buf *out, const char *s, size_t n,
                     size_t *head, struct tt_err *err)
{
    struct tt_regex_iter it = { .re = r->re, .scratch = scratch, .text = s, .nbytes = n };
    const size_t old = *head;
    size_t done = 0, start = 0, end = 0;
    *head = 0;
    for (bool found = n > 0; found; done = end) {
        const tt_status st = tt_regex_next(&it, &found, &start, &end, err);
        if (st != TT_OK)
            return st;
        if (!found)
            break;
        tt_buf_put(out, s + done, start - done);
        tt_buf_put(out, r->by, r->nby);
        *head += least(start, old) - least(done, old) + (end <= old ? r->nby : 0);
    }
    tt_buf_put(out, s + done, n - done);
    *head += least(n, old) - least(done, old);
    return TT_OK;
}
