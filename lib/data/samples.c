#include "data/samples.h"

#include <stdlib.h>
#include <string.h>

#include "data/jsonl.h"
#include "data/stream.h"

struct tt_samples {
    char *path;
    struct tt_lines *lines;
    bool is_array, ended; /* ended: the array's ']' was seen, and nothing behind it */
    int64_t taken;        /* elements of the array */
    struct tt_buf element;
};

static const char bom[] = "\xef\xbb\xbf";

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* --- which form -------------------------------------------------------------------------------------------------------------- */

/* Looks as far as the first byte that counts; a '[' is taken, with all before it. A pipe is not waited for: it has lines. */
static tt_status find_form(struct tt_samples *s, struct tt_err *err)
{
    const char *p;
    size_t n = 0, i;
    do {
        const size_t before = n;
        const tt_status st = tt_lines_peek(s->lines, before + 1, &p, &n, err);
        if (st != TT_OK || n == before)
            return st;
        i = n >= 3 && memcmp(p, bom, 3) == 0 ? 3 : 0;
        while (i < n && is_space(p[i]))
            i++;
    } while (i == n);
    s->is_array = p[i] == '[';
    if (s->is_array)
        tt_lines_skip(s->lines, i + 1);
    return TT_OK;
}

tt_status tt_samples_open(struct tt_samples **out, const char *path, struct tt_err *err)
{
    struct tt_samples *s = calloc(1, sizeof *s);
    if (!s || !(s->path = strdup(path))) {
        free(s);
        return tt_err_nomem(err, sizeof *s, "reading samples");
    }
    tt_status st = tt_lines_open(&s->lines, path, err);
    if (st == TT_OK && strcmp(path, "-") != 0)
        st = find_form(s, err);
    if (st == TT_OK)
        *out = s;
    else
        tt_samples_close(s);
    return st;
}

void tt_samples_close(struct tt_samples *s)
{
    if (!s)
        return;
    tt_lines_close(s->lines);
    tt_buf_release(&s->element);
    free(s->path);
    free(s);
}

bool tt_samples_is_array(const struct tt_samples *s) { return s->is_array; }
uint64_t tt_samples_line(const struct tt_samples *s) { return tt_lines_number(s->lines) + s->is_array; }

/* --- lines ------------------------------------------------------------------------------------------------------------------- */

static tt_status next_line(struct tt_samples *s, const char **line, size_t *n, struct tt_err *err)
{
    tt_status st;
    do {
        const bool first = tt_lines_number(s->lines) == 0;
        st = tt_lines_next(s->lines, line, n, err);
        if (st == TT_OK && *line && first && *n >= 3 && memcmp(*line, bom, 3) == 0) {
            *line += 3;
            *n -= 3;
        }
    } while (st == TT_OK && *line && tt_jsonl_blank(*line, *n));
    return st;
}

/* --- an array ---------------------------------------------------------------------------------------------------------------- */

static tt_status wrong(const struct tt_samples *s, const char *expected, struct tt_err *err)
{
    return tt_err_set(err, TT_EFORMAT, "%s: line %llu: an array of samples: expected %s", s->path,
                      (unsigned long long)tt_samples_line(s), expected);
}

/* The next byte that is no white space, which is not taken; NUL at the end of the file. */
static tt_status next_byte(struct tt_samples *s, char *c, struct tt_err *err)
{
    for (;;) {
        const char *p;
        size_t n, i = 0;
        const tt_status st = tt_lines_peek(s->lines, 1, &p, &n, err);
        *c = '\0';
        if (st != TT_OK || n == 0)
            return st;
        while (i < n && is_space(p[i]))
            i++;
        *c = i < n ? p[i] : '\0';
        tt_lines_skip(s->lines, i);
        if (i < n)
            return TT_OK;
    }
}

/* Where in a value the scan is. */
struct scan {
    int depth;
    bool in_string, escaped, started;
};

/* Whether the value is over before c, which then belongs to what follows it. */
static bool ends_before(struct scan *scan, char c)
{
    if (scan->in_string) {
        scan->in_string = scan->escaped || c != '"';
        scan->escaped = !scan->escaped && c == '\\';
        return false;
    }
    if (scan->depth == 0 && scan->started && (c == ',' || c == ']' || is_space(c)))
        return true;
    scan->started = true;
    scan->in_string = c == '"';
    scan->depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    return false;
}

/* Bytes up to the end of a value; whether they are one is left to who parses them. */
static tt_status take_value(struct tt_samples *s, struct tt_err *err)
{
    struct scan scan = { 0 };
    bool over = false;
    tt_buf_clear(&s->element);
    while (!over) {
        const char *p;
        size_t n, i = 0;
        const tt_status st = tt_lines_peek(s->lines, 1, &p, &n, err);
        if (st != TT_OK)
            return st;
        if (n == 0)
            return wrong(s, "its end, found the end of the file", err);
        while (i < n && !(over = ends_before(&scan, p[i])))
            i++;
        if (s->element.len + i > TT_LINE_BYTES_MAX)
            return wrong(s, "elements that are shorter", err);
        tt_buf_put(&s->element, p, i);
        tt_lines_skip(s->lines, i);
    }
    return tt_buf_check(&s->element, "a sample", err);
}

/* The array is over: nothing may follow. */
static tt_status end_array(struct tt_samples *s, struct tt_err *err)
{
    char c;
    tt_lines_skip(s->lines, 1);
    const tt_status st = next_byte(s, &c, err);
    if (st == TT_OK && c != '\0')
        return wrong(s, "nothing behind its end", err);
    s->ended = true;
    return st;
}

static tt_status next_element(struct tt_samples *s, const char **json, size_t *nbytes, struct tt_err *err)
{
    char c = '\0';
    *json = NULL;
    *nbytes = 0;
    tt_status st = s->ended ? TT_OK : next_byte(s, &c, err);
    if (st != TT_OK || s->ended)
        return st;
    if (c == ']')
        return end_array(s, err);
    if (s->taken > 0) {
        if (c != ',')
            return wrong(s, "a comma or its end", err);
        tt_lines_skip(s->lines, 1);
        st = next_byte(s, &c, err);
    }
    if (st == TT_OK)
        st = take_value(s, err);
    if (st != TT_OK)
        return st;
    s->taken++;
    *json = (const char *)s->element.data;
    *nbytes = s->element.len;
    return TT_OK;
}

tt_status tt_samples_next(struct tt_samples *s, const char **json, size_t *nbytes, struct tt_err *err)
{
    return s->is_array ? next_element(s, json, nbytes, err) : next_line(s, json, nbytes, err);
}

tt_status tt_samples_text(struct tt_buf *out, const struct tt_samples *s, const char *json, size_t nbytes, struct tt_err *err)
{
    const tt_status st = tt_jsonl_text(out, json, nbytes, s->is_array, s->path, tt_samples_line(s), err);
    if (st != TT_OK)
        return st;
    (void)tt_buf_cstr(out);
    return tt_buf_check(out, "a sample's text", err);
}

/* --- ahead ------------------------------------------------------------------------------------------------------------------- */

/* All of the file's, less those that were taken. */
static tt_status count_elements(const struct tt_samples *s, int64_t *count, struct tt_err *err)
{
    struct tt_samples *all;
    tt_status st = tt_samples_open(&all, s->path, err);
    if (st != TT_OK)
        return st;
    const char *json = "";
    for (size_t n; json && st == TT_OK;)
        st = tt_samples_next(all, &json, &n, err);
    *count = all->taken - s->taken;
    tt_samples_close(all);
    return st;
}

static int64_t count_lines(const char *p, size_t n)
{
    int64_t count = 0;
    for (const char *end = p + n, *newline; p < end; p = newline + 1) {
        newline = memchr(p, '\n', (size_t)(end - p));
        newline = newline ? newline : end;
        count += !tt_jsonl_blank(p, (size_t)(newline - p));
    }
    return count;
}

tt_status tt_samples_ahead(struct tt_samples *s, size_t nbytes, int64_t *count, struct tt_err *err)
{
    if (s->is_array)
        return count_elements(s, count, err);
    for (size_t want = nbytes + 1;;) {
        const char *p, *newline = NULL;
        size_t n;
        const tt_status st = tt_lines_peek(s->lines, want, &p, &n, err);
        if (st != TT_OK)
            return st;
        if (n > nbytes)
            newline = memchr(p + nbytes, '\n', n - nbytes);
        if (newline || n < want) {
            *count = count_lines(p, newline ? (size_t)(newline - p) : n);
            return TT_OK;
        }
        want = n + 1;
    }
}

/* --- places ------------------------------------------------------------------------------------------------------------------ */

bool tt_samples_mark(const struct tt_samples *s, struct tt_samples_mark *mark)
{
    *mark = (struct tt_samples_mark){ tt_lines_offset(s->lines), tt_lines_number(s->lines) };
    return !s->is_array && tt_lines_can_seek(s->lines);
}

tt_status tt_samples_seek(struct tt_samples *s, struct tt_samples_mark mark, struct tt_err *err)
{
    return tt_lines_seek(s->lines, mark.offset, mark.line, err);
}
