#include "ckpt/slice.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "ckpt/number.h"
#include "ckpt/read.h"
#include "ckpt/show.h"
#include "format/pickle_text.h"

/* --- what is chosen ----------------------------------------------------------------------------------------------------------- */

struct parser {
    const char *key;
    const int64_t *shape;
    int ndim;
    struct tt_err *err;
};

struct item {
    const char *s;
    size_t n;
};

static tt_status bad(const struct parser *p, const struct item *item, const char *what)
{
    return tt_err_set(p->err, TT_EINVAL, "%s: [%.*s]: %s", p->key, (int)(item->n < 100 ? item->n : 100), item->s, what);
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static struct item trimmed(const char *s, size_t n)
{
    while (n && is_blank(*s)) {
        s++;
        n--;
    }
    while (n && is_blank(s[n - 1]))
        n--;
    return (struct item){ s, n };
}

/* The part up to `stop` or the end; *item moves behind it. */
static struct item cut(struct item *item, char stop)
{
    const char *end = memchr(item->s, stop, item->n);
    const size_t n = end ? (size_t)(end - item->s) : item->n;
    const struct item part = trimmed(item->s, n);
    item->s += n + (end != NULL);
    item->n -= n + (end != NULL);
    return part;
}

/* Nothing: *v stays as it is. */
static bool parse_int(const struct item *item, int64_t *v)
{
    char text[24], *end;

    if (item->n == 0)
        return true;
    if (item->n >= sizeof text)
        return false;
    memcpy(text, item->s, item->n);
    text[item->n] = 0;
    errno = 0;
    const int64_t parsed = strtoll(text, &end, 10);
    if (*end || errno || end == text || is_blank(text[0]))
        return false;
    *v = parsed;
    return true;
}

static int64_t clamped(int64_t v, int64_t size)
{
    if (v < 0)
        v = v < -size ? 0 : v + size;
    return v < size ? v : size;
}

static tt_status parse_range(const struct parser *p, struct tt_slice *s, int d, const struct item *whole)
{
    struct item rest = *whole;
    const struct item start = cut(&rest, ':'), stop = cut(&rest, ':'), step = trimmed(rest.s, rest.n);
    int64_t from = 0, to = p->shape[d], by = 1;

    if (!parse_int(&start, &from) || !parse_int(&stop, &to) || !parse_int(&step, &by))
        return bad(p, whole, "expected start:stop or start:stop:step");
    if (by < 1)
        return bad(p, whole, "expected a step of at least 1");
    from = clamped(from, p->shape[d]);
    to = clamped(to, p->shape[d]);
    s->start[d] = from;
    s->step[d] = by;
    s->count[d] = from < to ? (to - from - 1) / by + 1 : 0;
    return TT_OK;
}

static tt_status parse_index(const struct parser *p, struct tt_slice *s, int d, const struct item *item)
{
    int64_t at = 0;
    char what[120];

    if (item->n == 0 || !parse_int(item, &at))
        return bad(p, item, "expected an index, start:stop, start:stop:step or ...");
    if (at < -p->shape[d] || at >= p->shape[d]) {
        snprintf(what, sizeof what, "is out of bounds for dimension %d of size %" PRId64, d, p->shape[d]);
        return bad(p, item, what);
    }
    s->start[d] = at < 0 ? at + p->shape[d] : at;
    s->count[d] = s->step[d] = 1;
    s->dropped[d] = true;
    return TT_OK;
}

static void take_all(struct tt_slice *s, const int64_t *shape, int begin, int end)
{
    for (int d = begin; d < end; d++) {
        s->start[d] = 0;
        s->count[d] = shape[d];
        s->step[d] = 1;
    }
}

static size_t count_items(struct item rest)
{
    size_t n = 0;
    for (bool more = rest.n > 0; more; n++) {
        more = memchr(rest.s, ',', rest.n) != NULL;
        cut(&rest, ',');
    }
    return n;
}

static bool is_ellipsis(const struct item *item) { return item->n == 3 && memcmp(item->s, "...", 3) == 0; }

tt_status tt_slice_parse(struct tt_slice *out, const char *text, size_t nbytes, int ndim, const int64_t *shape, const char *key,
                         struct tt_err *err)
{
    const struct parser p = { key, shape, ndim, err };
    struct tt_slice s = { .ndim = ndim };
    struct item rest = trimmed(text, text ? nbytes : 0);
    const size_t n = count_items(rest);
    tt_status st = TT_OK;
    int d = 0;

    for (size_t i = 0; i < n && st == TT_OK; i++) {
        const struct item item = cut(&rest, ',');
        if (is_ellipsis(&item)) {
            const int left = (int)(n - i - 1), end = ndim - left;
            for (struct item more = rest; more.n;) {
                const struct item other = cut(&more, ',');
                if (is_ellipsis(&other))
                    return bad(&p, &item, "expected at most one ...");
            }
            if (left > ndim || end < d)
                return bad(&p, &item, "more indices than dimensions");
            take_all(&s, shape, d, end);
            d = end;
            continue;
        }
        if (d >= ndim)
            return bad(&p, &item, "more indices than dimensions");
        st = memchr(item.s, ':', item.n) ? parse_range(&p, &s, d, &item) : parse_index(&p, &s, d, &item);
        d++;
    }
    if (st != TT_OK)
        return st;
    take_all(&s, shape, d, ndim);
    *out = s;
    return TT_OK;
}

/* --- printing ----------------------------------------------------------------------------------------------------------------- */

struct printer {
    FILE *out;
    const struct tt_entry *entry;
    const struct tt_slice *s;
    struct tt_reader *reader;
    struct tt_buf text;
    uint8_t *block; /* (TT_BLOCK_NBYTES) */
    int64_t line, lines; /* elements of a line, lines of a matrix */
    int64_t column, row;
    struct tt_err *err;
};

static int64_t span(const struct tt_slice *s, int d, int64_t count) { return count ? (count - 1) * s->step[d] + 1 : 0; }

static void put_element(struct printer *p, const uint8_t *src)
{
    if (p->column == 0 && p->row == p->lines) { /* another matrix */
        tt_buf_byte(&p->text, '\n');
        p->row = 0;
    }
    if (p->column)
        tt_buf_byte(&p->text, ' ');
    tt_element_text(&p->text, p->entry->dtype, src);
    if (++p->column == p->line) {
        tt_buf_byte(&p->text, '\n');
        p->column = 0;
        p->row++;
    }
}

static tt_status flush(struct printer *p, bool all)
{
    if (!all && p->text.len < 1 << 16)
        return TT_OK;
    return tt_show_write(p->out, &p->text, p->err);
}

/* Reads the box of the slice's steps [at, at + counts) and prints what is chosen of it. */
static tt_status put_box(struct printer *p, const int64_t *at, const int64_t *counts)
{
    const struct tt_slice *s = p->s;
    struct tt_region box = { .ndim = s->ndim };
    int64_t strides[TT_NDIM_MAX], step[TT_NDIM_MAX] = { 0 }, numel = 1;
    const size_t unit = tt_dtype_nbytes(p->entry->dtype);

    for (int d = 0; d < s->ndim; d++) {
        box.offset[d] = s->start[d] + at[d] * s->step[d];
        box.size[d] = span(s, d, counts[d]);
        numel *= counts[d];
    }
    tt_strides_row_major(strides, s->ndim, box.size);
    tt_status st = tt_read_region(p->reader, p->entry, &box, p->block, p->err);
    for (int64_t i = 0; i < numel && st == TT_OK; i++) {
        int64_t place = 0;
        for (int d = 0; d < s->ndim; d++)
            place += step[d] * s->step[d] * strides[d];
        put_element(p, p->block + (size_t)place * unit);
        for (int d = s->ndim; d-- > 0 && ++step[d] == counts[d];)
            step[d] = 0;
        st = flush(p, false);
    }
    return st;
}

/* In boxes of at most a block: the innermost dimensions whole, a few steps of the one before them, one of those before that. */
static tt_status put_boxes(struct printer *p)
{
    const struct tt_slice *s = p->s;
    int64_t room = TT_BLOCK_NBYTES / (int64_t)tt_dtype_nbytes(p->entry->dtype);
    int64_t at[TT_NDIM_MAX] = { 0 }, counts[TT_NDIM_MAX];
    int k = s->ndim; /* from here on whole */

    while (k > 0 && span(s, k - 1, s->count[k - 1]) <= room) {
        k--;
        counts[k] = s->count[k];
        room /= span(s, k, s->count[k]);
    }
    if (k == 0)
        return put_box(p, at, counts);
    const int64_t most = (room - 1) / s->step[k - 1] + 1; /* steps of dimension k - 1 at a time */
    for (int d = 0; d < k; d++)
        counts[d] = 1;
    for (;;) {
        const int64_t left = s->count[k - 1] - at[k - 1];
        counts[k - 1] = left < most ? left : most;
        const tt_status st = put_box(p, at, counts);
        if (st != TT_OK)
            return st;
        at[k - 1] += counts[k - 1];
        for (int d = k - 1; at[d] == s->count[d]; d--) {
            if (d == 0)
                return TT_OK;
            at[d] = 0;
            at[d - 1]++;
        }
    }
}

static tt_status print_tensor(FILE *out, struct tt_ckpt *ckpt, const struct tt_entry *e, const struct tt_slice *s, struct tt_err *err)
{
    struct printer p = { .out = out, .entry = e, .s = s, .line = 1, .lines = INT64_MAX, .err = err };
    int kept = 0;

    for (int d = s->ndim; d-- > 0;) {
        if (s->count[d] == 0)
            return TT_OK;
        if (s->dropped[d])
            continue;
        if (kept == 0)
            p.line = s->count[d];
        if (kept == 1)
            p.lines = s->count[d];
        kept++;
    }
    p.block = tt_io_buffer(TT_BLOCK_NBYTES);
    tt_status st = p.block ? tt_reader_new(&p.reader, ckpt, NULL, NULL, err) : tt_err_nomem(err, TT_BLOCK_NBYTES, "a buffer");
    if (st == TT_OK)
        st = put_boxes(&p);
    if (st == TT_OK)
        st = flush(&p, true);
    tt_reader_free(p.reader);
    free(p.block);
    tt_buf_release(&p.text);
    return st;
}

static tt_status print_value(FILE *out, struct tt_ckpt *ckpt, const struct tt_entry *e, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_buf text = { 0 };
    const struct tt_value *v = NULL;
    tt_status st = tt_ckpt_read_value(ckpt, e, &arena, &v, err);

    if (st == TT_OK) {
        tt_value_text(&text, v, SIZE_MAX / 2);
        tt_buf_byte(&text, '\n');
        st = tt_show_write(out, &text, err);
    }
    tt_buf_release(&text);
    tt_arena_release(&arena);
    return st;
}

/* A key may hold brackets itself: one that is there as it stands comes first, then what is before the last bracket. */
static const struct tt_entry *find(const struct tt_ckpt *ckpt, struct tt_arena *arena, const char *what, const char **inside)
{
    const struct tt_entry *e = tt_entries_find(&ckpt->entries, what);
    const size_t n = strlen(what);
    const char *open = n && what[n - 1] == ']' ? strrchr(what, '[') : NULL;

    *inside = NULL;
    if (e || !open)
        return e;
    const char *key = tt_arena_strn(arena, what, (size_t)(open - what));
    *inside = open + 1;
    return key ? tt_entries_find(&ckpt->entries, key) : NULL;
}

static tt_status no_key(const struct tt_ckpt *ckpt, const char *what, struct tt_err *err)
{
    const size_t n = ckpt->entries.n;
    const char **names = malloc((n + 1) * sizeof *names);
    for (size_t i = 0; i < n && names; i++)
        names[i] = ckpt->entries.items[i].fqn;
    const char *near = names ? tt_nearest_name(what, names, n) : NULL;
    free(names);
    return tt_err_set(err, TT_ENOENT, "%s: there is no key %s%s%s%s", ckpt->path, what, near ? "; did you mean " : "", near ? near : "",
                      near ? "?" : "");
}

tt_status tt_ckpt_print_slice(FILE *out, const char *path, const char *what, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_ckpt *ckpt = NULL;
    const char *inside = NULL;
    struct tt_slice s;
    tt_status st = tt_ckpt_open(&ckpt, path, err);

    if (st != TT_OK)
        return st;
    const struct tt_entry *e = find(ckpt, &arena, what, &inside);
    if (!e)
        st = no_key(ckpt, what, err);
    else if (e->kind == TT_ENTRY_VALUE && inside)
        st = tt_err_set(err, TT_EINVAL, "%s: key %s is a value, not a tensor: it has no elements", path, e->fqn);
    else if (e->kind == TT_ENTRY_VALUE)
        st = print_value(out, ckpt, e, err);
    else {
        st = tt_slice_parse(&s, inside, inside ? strlen(inside) - 1 : 0, e->ndim, e->shape, e->fqn, err);
        if (st == TT_OK)
            st = print_tensor(out, ckpt, e, &s, err);
    }
    tt_arena_release(&arena);
    tt_ckpt_close(ckpt);
    return st;
}
