#include "ckpt/stats.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/each.h"
#include "ckpt/number.h"
#include "ckpt/read.h"
#include "ckpt/show.h"

enum {
    SPAN = 512,         /* elements that are turned into numbers at a time */
    BATCH_UNITS = 4096, /* pieces whose figures are kept before lines are printed */
    LANES = 4,
};

/* --- numbers ------------------------------------------------------------------------------------------------------------------ */

/* n <= 2 * SPAN numbers. A few sums side by side, since one waits for the addition before it. */
static void add_numbers(struct tt_stats *s, const double *x, size_t n)
{
    double sum[LANES] = { 0 }, squares[LANES] = { 0 }, min = DBL_MAX, max = -DBL_MAX;
    uint64_t nfinite = 0, nnan = 0;

    for (size_t i = 0; i < n; i++) {
        const bool finite = fabs(x[i]) <= DBL_MAX; /* false for NaN */
        const double v = finite ? x[i] : 0;
        sum[i % LANES] += v;
        squares[i % LANES] += v * v;
        min = finite && v < min ? v : min;
        max = finite && v > max ? v : max;
        nfinite += finite;
        nnan += x[i] != x[i];
    }
    if (nfinite && (s->nfinite == 0 || min < s->min))
        s->min = min;
    if (nfinite && (s->nfinite == 0 || max > s->max))
        s->max = max;
    s->nfinite += nfinite;
    s->nnan += nnan;
    s->ninf += n - nfinite - nnan;
    s->sum += (sum[0] + sum[1]) + (sum[2] + sum[3]);
    s->sum_squares += (squares[0] + squares[1]) + (squares[2] + squares[3]);
}

/* float64: a square, or a sum of many, may be beyond a double. */
static void add_doubles(struct tt_stats *s, const double *x, size_t n)
{
    struct tt_stats counts = { 0 };

    add_numbers(&counts, x, n);
    counts.sum = counts.sum_squares = 0;
    for (size_t i = 0; i < n; i++)
        if (fabs(x[i]) <= DBL_MAX) {
            counts.sum += x[i];
            counts.sum_squares += (long double)x[i] * x[i];
        }
    tt_stats_join(s, TT_F64, &counts);
}

static bool is_wide_int(enum tt_dtype dtype) { return dtype == TT_I64 || dtype == TT_U64; }

static bool is_less(enum tt_dtype dtype, int64_t a, int64_t b)
{
    return dtype == TT_U64 ? (uint64_t)a < (uint64_t)b : a < b;
}

static void find_exact(struct tt_stats *s, enum tt_dtype dtype, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int64_t v = (int64_t)tt_load_le64(src + 8 * i);
        if ((s->numel == 0 && i == 0) || is_less(dtype, v, s->imin))
            s->imin = v;
        if ((s->numel == 0 && i == 0) || is_less(dtype, s->imax, v))
            s->imax = v;
    }
}

void tt_stats_add(struct tt_stats *s, enum tt_dtype dtype, const void *src, size_t n)
{
    double numbers[2 * SPAN];
    const size_t per = (size_t)tt_numbers_per_element(dtype);

    if (is_wide_int(dtype))
        find_exact(s, dtype, src, n);
    for (size_t i = 0, k; i < n; i += k) {
        k = n - i < SPAN ? n - i : SPAN;
        tt_numbers_f64(numbers, dtype, (const uint8_t *)src + i * tt_dtype_nbytes(dtype), k);
        if (dtype == TT_F64 || dtype == TT_C128)
            add_doubles(s, numbers, k * per);
        else
            add_numbers(s, numbers, k * per);
    }
    s->numel += n;
}

void tt_stats_join(struct tt_stats *s, enum tt_dtype dtype, const struct tt_stats *other)
{
    if (other->numel && (s->numel == 0 || is_less(dtype, other->imin, s->imin)))
        s->imin = other->imin;
    if (other->numel && (s->numel == 0 || is_less(dtype, s->imax, other->imax)))
        s->imax = other->imax;
    if (other->nfinite && (s->nfinite == 0 || other->min < s->min))
        s->min = other->min;
    if (other->nfinite && (s->nfinite == 0 || other->max > s->max))
        s->max = other->max;
    s->numel += other->numel;
    s->nfinite += other->nfinite;
    s->nnan += other->nnan;
    s->ninf += other->ninf;
    s->sum += other->sum;
    s->sum_squares += other->sum_squares;
}

/* --- reading ------------------------------------------------------------------------------------------------------------------ */

/* A piece of a chunk: chunks are read as they lie. */
struct unit {
    size_t row;
    struct tt_region piece;
    struct tt_stats stats;
};

struct row {
    const struct tt_entry *entry;
    tt_status status; /* of the first of its units that failed */
};

struct worker {
    struct tt_reader *reader;
    uint8_t *buf; /* (TT_PIECE_NBYTES) */
};

struct reading {
    struct tt_ckpt *ckpt;
    const struct tt_task *task;
    struct tt_task_meter meter;
    struct tt_verify verify;
    struct worker *workers; /* (nthreads) */
    struct row *rows;
    struct unit *units;
    size_t nrows, rows_cap, nunits, units_cap;
    struct tt_buf text;
    int key_width;
    FILE *out;
    pthread_mutex_t lock; /* over status, first and rows[].status */
    tt_status status;
    struct tt_err first;
};

static tt_status read_unit(void *ctx, int64_t i, int thread, struct tt_err *err)
{
    struct reading *r = ctx;
    struct unit *u = &r->units[i];
    struct row *row = &r->rows[u->row];
    struct worker *w = &r->workers[thread];
    int64_t numel = 0;
    tt_status st = TT_OK;

    if (!w->reader)
        st = tt_reader_new(&w->reader, r->ckpt, &r->verify, NULL, err);
    if (st == TT_OK && !tt_io_buffer_once(&w->buf, TT_PIECE_NBYTES))
        st = tt_err_nomem(err, TT_PIECE_NBYTES, "a buffer");
    if (st != TT_OK)
        return st;
    st = tt_read_region(w->reader, row->entry, &u->piece, w->buf, err);
    if (tt_numel(u->piece.ndim, u->piece.size, &numel) && st == TT_OK)
        tt_stats_add(&u->stats, row->entry->dtype, w->buf, (size_t)numel);
    tt_task_done(&r->meter, (uint64_t)numel * tt_dtype_nbytes(row->entry->dtype));
    if (st != TT_OK) { /* the tensor is marked; the others go on */
        pthread_mutex_lock(&r->lock);
        row->status = st;
        if (r->status == TT_OK) {
            r->status = st;
            r->first = *err;
        }
        pthread_mutex_unlock(&r->lock);
    }
    return TT_OK;
}

/* --- printing ----------------------------------------------------------------------------------------------------------------- */

static void put_column(struct tt_buf *out, const struct tt_buf *text)
{
    tt_buf_printf(out, " %*s%.*s", text->len < 16 ? (int)(16 - text->len) : 0, "", (int)text->len, (const char *)text->data);
}

static void put_extremes(struct tt_buf *out, const struct tt_entry *e, const struct tt_stats *s)
{
    for (int k = 0; k < 2; k++) {
        struct tt_buf text = { 0 };
        const int64_t exact = k ? s->imax : s->imin;
        if (s->nfinite == 0)
            tt_buf_byte(&text, '-');
        else if (is_wide_int(e->dtype))
            tt_element_text(&text, e->dtype, &exact);
        else if (!tt_dtypes[e->dtype].is_float && !tt_dtypes[e->dtype].is_complex)
            tt_buf_printf(&text, "%.0f", k ? s->max : s->min);
        else
            tt_number_text(&text, e->dtype, k ? s->max : s->min);
        put_column(out, &text);
        out->failed |= text.failed;
        tt_buf_release(&text);
    }
}

static void put_row(struct reading *r, const struct row *row, const struct tt_stats *s)
{
    const struct tt_entry *e = row->entry;

    tt_show_blanks(&r->text, r->key_width - tt_show_key(&r->text, e->fqn));
    tt_buf_printf(&r->text, "  %-15s", tt_dtype_name(e->dtype));
    if (row->status != TT_OK) {
        tt_buf_str(&r->text, " (unreadable)\n");
        return;
    }
    tt_buf_printf(&r->text, " %14" PRIu64, s->numel);
    put_extremes(&r->text, e, s);
    if (s->nfinite)
        tt_buf_printf(&r->text, " %19.12Lg %19.12Lg", s->sum / s->nfinite, sqrtl(s->sum_squares));
    else
        tt_buf_printf(&r->text, " %19s %19s", "-", s->numel ? "-" : "0");
    tt_buf_printf(&r->text, " %10" PRIu64 " %10" PRIu64 "\n", s->nnan, s->ninf);
}

/* --- batches ------------------------------------------------------------------------------------------------------------------ */

static bool grow(void **items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    const size_t bigger = *cap ? *cap * 2 : 256;
    void *p = realloc(*items, bigger * size);
    if (p) {
        *items = p;
        *cap = bigger;
    }
    return p != NULL;
}

static tt_status add_units(struct reading *r, const struct tt_entry *e, struct tt_err *err)
{
    void *rows = r->rows, *units = r->units;
    bool ok = grow(&rows, r->nrows, &r->rows_cap, sizeof *r->rows);

    r->rows = rows;
    if (ok)
        r->rows[r->nrows++] = (struct row){ .entry = e };
    for (uint32_t k = 0; k < e->nchunks && ok; k++) {
        const struct tt_region chunk = tt_region_make(e->ndim, e->chunks[k].offsets, e->chunks[k].sizes);
        int64_t numel = 0;
        ok = tt_numel(chunk.ndim, chunk.size, &numel);
        for (int64_t first = 0, n; first < numel && ok; first += n) {
            struct tt_region piece;
            n = tt_region_piece(&piece, &chunk, first, TT_PIECE_NBYTES / (int64_t)tt_dtype_nbytes(e->dtype));
            ok = grow(&units, r->nunits, &r->units_cap, sizeof *r->units);
            r->units = units;
            if (ok)
                r->units[r->nunits++] = (struct unit){ .row = r->nrows - 1, .piece = piece };
        }
    }
    return ok ? TT_OK : tt_err_nomem(err, r->units_cap * sizeof *r->units, e->fqn);
}

static tt_status run_batch(struct reading *r, struct tt_err *err)
{
    tt_status st = tt_each(r->task->pool, (int64_t)r->nunits, read_unit, r, err);
    size_t u = 0;

    for (size_t i = 0; i < r->nrows && st == TT_OK; i++) {
        struct tt_stats all = { 0 };
        for (; u < r->nunits && r->units[u].row == i; u++)
            tt_stats_join(&all, r->rows[i].entry->dtype, &r->units[u].stats);
        put_row(r, &r->rows[i], &all);
    }
    r->nrows = r->nunits = 0;
    tt_task_clear(r->task);
    return st == TT_OK ? tt_show_write(r->out, &r->text, err) : st;
}

static bool is_taken(const struct reading *r, const struct tt_entry *e)
{
    return e->kind == TT_ENTRY_TENSOR && tt_key_taken(&r->task->filter, e->fqn);
}

static void put_head(struct reading *r)
{
    for (size_t i = 0; i < r->ckpt->entries.n; i++) {
        const struct tt_entry *e = &r->ckpt->entries.items[i];
        if (!is_taken(r, e))
            continue;
        const int width = tt_show_key_width(e->fqn);
        r->key_width = width > r->key_width && width <= 100 ? width : r->key_width;
        r->meter.total += tt_entry_nbytes(e);
    }
    tt_show_key(&r->text, r->ckpt->path);
    tt_buf_printf(&r->text, "\n%-*s  %-15s %14s %16s %16s %19s %19s %10s %10s\n", r->key_width, "key", "dtype", "elements", "min", "max",
                  "mean", "l2", "nan", "inf");
}

static tt_status read_all(struct reading *r, struct tt_err *err)
{
    tt_status st = TT_OK;

    put_head(r);
    for (size_t i = 0; i < r->ckpt->entries.n && st == TT_OK; i++) {
        if (!is_taken(r, &r->ckpt->entries.items[i]))
            continue;
        st = add_units(r, &r->ckpt->entries.items[i], err);
        if (st == TT_OK && r->nunits >= BATCH_UNITS)
            st = run_batch(r, err);
    }
    if (st == TT_OK)
        st = run_batch(r, err);
    if (st == TT_OK && r->status != TT_OK)
        return tt_err_set(err, r->status, "%s", r->first.msg);
    return st == TT_OK ? tt_verify_finish(&r->verify, err) : st;
}

tt_status tt_ckpt_stats(FILE *out, const char *path, const struct tt_task *task, struct tt_err *err)
{
    const int nthreads = tt_pool_nthreads(task->pool);
    struct reading r = { .task = task, .meter = { .task = task }, .key_width = 3, .out = out };
    tt_status st = tt_ckpt_open(&r.ckpt, path, err);

    if (st == TT_OK)
        st = tt_keys_check(&task->filter, r.ckpt, err);
    if (st != TT_OK) {
        tt_ckpt_close(r.ckpt);
        return st;
    }
    pthread_mutex_init(&r.lock, NULL);
    r.workers = calloc((size_t)nthreads, sizeof *r.workers);
    st = r.workers ? tt_verify_init(&r.verify, err) : tt_err_nomem(err, (size_t)nthreads * sizeof *r.workers, "threads");
    if (st == TT_OK) {
        st = read_all(&r, err);
        tt_verify_release(&r.verify);
    }
    for (int i = 0; i < nthreads && r.workers; i++) {
        tt_reader_free(r.workers[i].reader);
        free(r.workers[i].buf);
    }
    free(r.workers);
    free(r.rows);
    free(r.units);
    tt_buf_release(&r.text);
    pthread_mutex_destroy(&r.lock);
    tt_ckpt_close(r.ckpt);
    return st;
}
