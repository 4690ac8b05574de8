#include "data/pretokenize.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "data/fields.h"
#include "data/steps.h"
#include "data/unicode.h"

enum behavior { ISOLATED, REMOVED, CONTIGUOUS, MERGED_PREVIOUS, MERGED_NEXT };
enum kind { SPLIT, PREFIX, METASPACE, BYTES };

struct tt_pretok_step {
    enum kind kind;
    struct tt_regex *re; /* SPLIT */
    enum behavior behavior;
    bool invert;  /* what lies between the matches is what the behavior is about */
    char mark[4]; /* PREFIX, METASPACE: a character to put in front of a piece that does not begin with it ... */
    uint8_t nmark;
    enum tt_prepend scheme; /* ... of which pieces. METASPACE: spaces become it first */
};

enum { PLAIN_MAX = 3 }; /* plain steps of a type */

/* As tokenizer.json spells them. */
static const struct {
    const char *name;
    enum tt_prepend scheme;
} schemes[] = {
    { "never", TT_PREPEND_NEVER },
    { "first", TT_PREPEND_FIRST },
    { "always", TT_PREPEND_ALWAYS },
};

static const struct { const char *name; enum behavior behavior; } behaviors[] = {
    { "Isolated", ISOLATED },
    { "Removed", REMOVED },
    { "Contiguous", CONTIGUOUS },
    { "MergedWithPrevious", MERGED_PREVIOUS },
    { "MergedWithNext", MERGED_NEXT },
};

static const char gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* --- reading it from JSON ---------------------------------------------------------------------------------------------- */

static void push(struct tt_pretok *out, struct tt_pretok_step step) { out->steps[out->n++] = step; }

static tt_status push_split(struct tt_pretok *out, const char *pattern, size_t n, bool literal, enum behavior behavior, bool invert,
                            const char *where, struct tt_err *err)
{
    struct tt_pretok_step step = { .kind = SPLIT, .behavior = behavior, .invert = invert };
    const tt_status st = tt_regex_new(&step.re, pattern, n, literal, where, err);
    if (st == TT_OK)
        push(out, step);
    return st;
}

static tt_status read_behavior(enum behavior *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    const char *name = "";
    size_t n = 0;
    const tt_status st = tt_field_str(&name, &n, v, "behavior", TT_REQUIRED, where, err);
    if (st != TT_OK)
        return st;
    for (size_t i = 0; i < sizeof behaviors / sizeof *behaviors; i++)
        if (strcmp(name, behaviors[i].name) == 0) {
            *out = behaviors[i].behavior;
            return TT_OK;
        }
    return tt_err_set(err, TT_EFORMAT,
                      "%s: behavior: expected Isolated, Removed, Contiguous, MergedWithPrevious or MergedWithNext, "
                      "found \"%s\"",
                      where, name);
}

/* {"type": "Split", "pattern": {"Regex": ...} or {"String": ...}, "behavior": ..., "invert": ...} */
static tt_status add_split(struct tt_pretok *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    struct tt_pretok_step step = { .kind = SPLIT };
    tt_status st = read_behavior(&step.behavior, v, where, err);
    if (st == TT_OK)
        st = tt_field_bool(&step.invert, v, "invert", TT_REQUIRED, where, err);
    if (st == TT_OK)
        st = tt_regex_read(&step.re, v, where, err);
    if (st == TT_OK)
        push(out, step);
    return st;
}

static tt_status add_bytelevel(struct tt_pretok *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    bool prefix = true, trim = true, use_regex = true;
    tt_status st = tt_field_bool(&prefix, v, "add_prefix_space", TT_REQUIRED, where, err);
    if (st == TT_OK)
        st = tt_field_bool(&trim, v, "trim_offsets", TT_REQUIRED, where, err); /* about offsets, which no one asks for here */
    if (st == TT_OK)
        st = tt_field_bool(&use_regex, v, "use_regex", TT_OPTIONAL, where, err);
    if (st == TT_OK && prefix)
        push(out, (struct tt_pretok_step){ .kind = PREFIX, .mark = " ", .nmark = 1, .scheme = TT_PREPEND_ALWAYS });
    if (st == TT_OK && use_regex)
        st = push_split(out, gpt2_pattern, strlen(gpt2_pattern), false, ISOLATED, false, where, err);
    if (st == TT_OK)
        push(out, (struct tt_pretok_step){ .kind = BYTES });
    return st;
}

tt_status tt_prepend_read(enum tt_prepend *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    const char *name = "always";
    size_t n = 0;
    bool prefix = true; /* the older form, which cannot say "first" */
    tt_status st = tt_field_str(&name, &n, v, "prepend_scheme", TT_OPTIONAL, where, err);
    if (st == TT_OK)
        st = tt_field_bool(&prefix, v, "add_prefix_space", TT_OPTIONAL, where, err);
    if (st != TT_OK)
        return st;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strcmp(name, schemes[i].name) == 0) {
            *out = schemes[i].scheme;
            if (prefix || *out == TT_PREPEND_NEVER)
                return TT_OK;
            return tt_err_set(err, TT_EFORMAT, "%s: prepend_scheme is \"%s\" where add_prefix_space is false", where, name);
        }
    return tt_err_set(err, TT_EFORMAT, "%s: prepend_scheme: expected always, first or never, found \"%s\"", where, name);
}

static tt_status add_metaspace(struct tt_pretok *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    struct tt_pretok_step step = { .kind = METASPACE };
    bool cut = true;
    tt_status st = tt_field_char(step.mark, &step.nmark, v, "replacement", where, err);
    if (st == TT_OK)
        st = tt_prepend_read(&step.scheme, v, where, err);
    if (st == TT_OK)
        st = tt_field_bool(&cut, v, "split", TT_OPTIONAL, where, err);
    if (st == TT_OK)
        push(out, step);
    if (st == TT_OK && cut)
        st = push_split(out, step.mark, step.nmark, true, MERGED_NEXT, false, where, err);
    return st;
}

static tt_status add_digits(struct tt_pretok *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    bool each = false;
    const tt_status st = tt_field_bool(&each, v, "individual_digits", TT_REQUIRED, where, err);
    return st == TT_OK ? push_split(out, "\\p{N}", 5, false, each ? ISOLATED : CONTIGUOUS, false, where, err) : st;
}

/* Rust's \w is a set's \w with the two joiners. */
static tt_status add_whitespace(struct tt_pretok *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    (void)v;
    static const char words[] = "[\\w\\x{200c}\\x{200d}]+|[^\\w\\x{200c}\\x{200d}\\s]+";
    return push_split(out, words, strlen(words), false, REMOVED, true, where, err);
}

static tt_status add_whitespace_split(struct tt_pretok *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    (void)v;
    return push_split(out, "\\s", 2, false, REMOVED, false, where, err);
}

static const struct {
    const char *type;
    tt_status (*add)(struct tt_pretok *, const struct tt_value *, const char *where, struct tt_err *);
} types[] = {
    { "Split", add_split },
    { "ByteLevel", add_bytelevel },
    { "Digits", add_digits },
    { "Whitespace", add_whitespace },
    { "WhitespaceSplit", add_whitespace_split },
    { "Metaspace", add_metaspace },
};

static tt_status add(void *out, const char *type, const struct tt_value *v, const char *where, struct tt_err *err)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i].type) == 0)
            return types[i].add(out, v, where, err);
    return tt_err_set(err, TT_EUNSUPPORTED,
                      "%s: pre-tokenizer \"%s\" is not supported (Split, ByteLevel, Sequence, Digits, "
                      "Whitespace, WhitespaceSplit, Metaspace are)",
                      where, type);
}

tt_status tt_pretok_init(struct tt_pretok *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    static const size_t most = TT_STEPS_MAX * PLAIN_MAX;
    struct tt_pretok pretok = { .steps = calloc(most, sizeof *pretok.steps) };
    if (!pretok.steps)
        return tt_err_nomem(err, most * sizeof *pretok.steps, "a pre-tokenizer");
    const tt_status st = tt_steps_read(&pretok, add, v, "pretokenizers", where, err);
    if (st == TT_OK)
        *out = pretok;
    else
        tt_pretok_release(&pretok);
    return st;
}

void tt_pretok_release(struct tt_pretok *pretok)
{
    for (int i = 0; i < pretok->n; i++)
        tt_regex_free(pretok->steps[i].re);
    free(pretok->steps);
    *pretok = (struct tt_pretok){ 0 };
}

/* --- running it -------------------------------------------------------------------------------------------------------- */

/* Turns the alternating matches and gaps of one piece into pieces, by the step's behavior. Offsets are in the whole text. */
struct splitter {
    struct tt_pieces *ps;
    enum behavior behavior;
    bool was_match;    /* the span before this one */
    bool open;         /* [at, end) waits for what follows it */
    size_t at, end;
};

static tt_status flush(struct splitter *s, struct tt_err *err)
{
    if (!s->open)
        return TT_OK;
    s->open = false;
    return tt_pieces_emit(s->ps, s->at, s->end - s->at, TT_NO_TOKEN, err);
}

/* Whether a span belongs to the piece that is open: with "next", a gap goes to the match right before it. */
static bool joins(const struct splitter *s, bool is_match)
{
    switch (s->behavior) {
    case CONTIGUOUS: return is_match == s->was_match;
    case MERGED_PREVIOUS: return is_match && !s->was_match;
    case MERGED_NEXT: return !is_match && s->was_match;
    default: return false;
    }
}

static tt_status span(struct splitter *s, size_t at, size_t end, bool is_match, struct tt_err *err)
{
    if (s->open && joins(s, is_match)) {
        s->end = end;
    } else {
        const tt_status st = flush(s, err);
        if (st != TT_OK)
            return st;
        if (!(s->behavior == REMOVED && is_match)) {
            s->open = true;
            s->at = at;
            s->end = end;
        }
    }
    s->was_match = is_match;
    return TT_OK;
}

static tt_status split_piece(const struct tt_pretok_step *step, struct tt_regex_scratch *scratch, struct tt_pieces *ps,
                             const struct tt_piece *p, struct tt_err *err)
{
    struct splitter s = { .ps = ps, .behavior = step->behavior };
    struct tt_regex_iter it = { .re = step->re, .scratch = scratch, .text = ps->text + p->at, .nbytes = p->n };
    size_t done = 0, start = 0, end = 0;
    for (;;) {
        bool found;
        tt_status st = tt_regex_next(&it, &found, &start, &end, err);
        if (st != TT_OK)
            return st;
        if (!found)
            break;
        if (done != start && (st = span(&s, p->at + done, p->at + start, step->invert, err)) != TT_OK)
            return st;
        if ((st = span(&s, p->at + start, p->at + end, !step->invert, err)) != TT_OK)
            return st;
        done = end;
    }
    if (done != p->n) {
        const tt_status st = span(&s, p->at + done, p->at + p->n, step->invert, err);
        if (st != TT_OK)
            return st;
    }
    return flush(&s, err);
}

static tt_status split(const struct tt_pretok_step *step, struct tt_regex_scratch *scratch, struct tt_pieces *ps,
                       struct tt_err *err)
{
    for (size_t i = 0; i < ps->n; i++) {
        const struct tt_piece *p = &ps->p[i];
        const tt_status st =
            p->id == TT_NO_TOKEN ? split_piece(step, scratch, ps, p, err) : tt_pieces_emit(ps, p->at, p->n, p->id, err);
        if (st != TT_OK)
            return st;
    }
    tt_pieces_turn(ps);
    return TT_OK;
}

/* Spaces as the step's mark. */
static void put_marked(struct tt_buf *out, const struct tt_pretok_step *step, const char *s, size_t n)
{
    size_t done = 0;
    for (size_t i = 0; i < n; i++)
        if (s[i] == ' ') {
            tt_buf_put(out, s + done, i - done);
            tt_buf_put(out, step->mark, step->nmark);
            done = i + 1;
        }
    tt_buf_put(out, s + done, n - done);
}

static void put_text(struct tt_buf *out, const struct tt_pretok_step *step, const char *s, size_t n)
{
    if (step->kind == BYTES)
        tt_bytelevel_put(out, s, n);
    else if (step->kind == METASPACE)
        put_marked(out, step, s, n);
    else
        tt_buf_put(out, s, n);
}

static bool wants_mark(const struct tt_pretok_step *step, const char *s, size_t n, bool first)
{
    if (step->scheme == TT_PREPEND_NEVER || (step->scheme == TT_PREPEND_FIRST && !first) ||
        (step->kind == METASPACE && s[0] == ' '))
        return false;
    return n < step->nmark || memcmp(s, step->mark, step->nmark) != 0;
}

/* Writes every piece that is text anew: its bytes as characters, or its spaces as a mark and one in front where it has none. */
static tt_status rewrite(const struct tt_pretok_step *step, struct tt_pieces *ps, struct tt_err *err)
{
    struct tt_buf *out = tt_pieces_rewrite(ps);
    const size_t old = ps->head;
    ps->head = 0;
    for (size_t i = 0; i < ps->n; i++) {
        const struct tt_piece *p = &ps->p[i];
        const char *s = ps->text + p->at;
        const size_t at = out->len, first = p->at < old ? (old - p->at < p->n ? old - p->at : p->n) : 0;
        if (p->id != TT_NO_TOKEN) {
            tt_buf_put(out, s, p->n);
        } else {
            if (wants_mark(step, s, p->n, first > 0))
                tt_buf_put(out, step->mark, step->nmark);
            put_text(out, step, s, first);
            if (first > 0)
                ps->head = out->len;
            put_text(out, step, s + first, p->n - first);
        }
        const tt_status st = tt_pieces_emit(ps, at, out->len - at, p->id, err);
        if (st != TT_OK)
            return st;
    }
    return tt_pieces_turn_text(ps, err);
}

tt_status tt_pretokenize(const struct tt_pretok *pretok, struct tt_regex_scratch *scratch, struct tt_pieces *ps, struct tt_err *err)
{
    for (int i = 0; i < pretok->n; i++) {
        const struct tt_pretok_step *step = &pretok->steps[i];
        const tt_status st = step->kind == SPLIT ? split(step, scratch, ps, err) : rewrite(step, ps, err);
        if (st != TT_OK)
            return st;
    }
    return TT_OK;
}

/* --- bytes as characters ----------------------------------------------------------------------------------------------- */

static bool shows_itself(unsigned b) { return (b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad); }

/* The others, in order, take U+0100, U+0101 ...: 0x00-0x20, 0x7f-0xa0, 0xad. */
static uint32_t byte_to_char(unsigned b)
{
    if (shows_itself(b))
        return b;
    if (b <= 0x20)
        return 0x100 + b;
    return b == 0xad ? 0x143 : 0x121 + (b - 0x7f);
}

static int char_to_byte(uint32_t cp)
{
    if (cp < 0x100)
        return shows_itself(cp) ? (int)cp : -1;
    if (cp <= 0x120)
        return (int)(cp - 0x100);
    if (cp <= 0x142)
        return (int)(cp - 0x121 + 0x7f);
    return cp == 0x143 ? 0xad : -1;
}

void tt_bytelevel_put(struct tt_buf *out, const char *bytes, size_t n)
{
    uint8_t *to = tt_buf_reserve(out, 2 * n); /* every character is below U+0800 */
    if (!to)
        return;
    const uint8_t *begin = to;
    for (size_t i = 0; i < n; i++) {
        const uint32_t cp = byte_to_char((unsigned char)bytes[i]);
        if (cp < 0x80) {
            *to++ = (uint8_t)cp;
        } else {
            *to++ = (uint8_t)(0xc0 | cp >> 6);
            *to++ = (uint8_t)(0x80 | (cp & 0x3f));
        }
    }
    out->len += (size_t)(to - begin);
}

bool tt_bytelevel_get(struct tt_buf *out, const char *s, size_t n)
{
    const size_t before = out->len;
    size_t len = 1;
    for (size_t i = 0; i < n; i += len) {
        const int b = char_to_byte(tt_utf8_get(s + i, &len));
        if (b < 0) {
            out->len = before;
            return false;
        }
        tt_buf_byte(out, (uint8_t)b);
    }
    return true;
}
