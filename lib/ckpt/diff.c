#include "ckpt/diff.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/each.h"
#include "ckpt/number.h"
#include "ckpt/output.h"
#include "ckpt/show.h"
#include "ckpt/unpack.h"
#include "format/pickle_text.h"

enum {
    BATCH_UNITS = 4096, /* pieces whose result is kept before lines are printed */
    SPAN = 512,         /* elements that are turned into numbers at a time */
    TEXT_MAX = 60,      /* of a value */
};

/* How a piece of a tensor differs, or all of it. */
struct found {
    uint64_t ndiffer;
    double max;        /* the largest difference, of those that are a number */
    bool has_nan;      /* a number on one side, NaN on the other */
    int64_t first;     /* element of the tensor, row-major */
    uint8_t a[16], b[16]; /* that element on both sides */
};

struct unit {
    size_t row;
    int64_t first; /* element of the tensor */
    int64_t numel;
    struct tt_region piece;
    struct found found;
};

/* A key of A. */
struct row {
    const struct tt_recipe_item *a, *b; /* b NULL: only A has it */
};

struct worker {
    struct tt_assembler *assembler;
    uint8_t *a, *b; /* (TT_BLOCK_NBYTES) */
};

struct diff {
    const struct tt_diff_side *a, *b;
    const struct tt_diff_opts *opts;
    const struct tt_task *task;
    struct tt_task_meter meter;
    struct tt_verify verify;
    struct worker *workers;
    struct row *rows;
    struct unit *units;
    size_t nrows, rows_cap, nunits, units_cap;
    struct tt_buf text;
    bool has_heading;
    uint64_t nsame, ndiffer, nonly_a, nonly_b;
    FILE *out;
    struct tt_err *err;
};

/* --- elements ----------------------------------------------------------------------------------------------------------------- */

/* Elements with their numbers, and by how much these differ. */
struct pair {
    const uint8_t *a, *b;
    const double *x, *y; /* (per) */
    double by[2];
};

static bool is_wide_int(enum tt_dtype dtype) { return dtype == TT_I64 || dtype == TT_U64; }

/* What a double has no room for is taken from the element. */
static long double wide(enum tt_dtype dtype, const uint8_t *element, double number)
{
    if (!is_wide_int(dtype))
        return number;
    return dtype == TT_U64 ? (long double)tt_load_le64(element) : (long double)(int64_t)tt_load_le64(element);
}

static void subtract(struct pair *p, enum tt_dtype ta, enum tt_dtype tb, int per)
{
    if (is_wide_int(ta) || is_wide_int(tb))
        p->by[0] = tt_diff_by(wide(ta, p->a, p->x[0]), wide(tb, p->b, p->y[0]));
    else
        for (int k = 0; k < per; k++)
            p->by[k] = p->x[k] == p->y[k] ? 0 : fabs(p->x[k] - p->y[k]);
}

static void note_numbers(struct found *f, const struct pair *p, int per)
{
    for (int k = 0; k < per; k++) {
        if (isnan(p->by[k]))
            f->has_nan |= isnan(p->x[k]) != isnan(p->y[k]);
        else if (p->by[k] > f->max)
            f->max = p->by[k];
    }
}

static bool differs(const struct tt_diff_opts *opts, const struct row *row, const struct pair *p, int per)
{
    const enum tt_dtype dtype = row->a->output.dtype;
    const bool same_dtype = dtype == row->b->output.dtype;

    if (same_dtype && memcmp(p->a, p->b, tt_dtype_nbytes(dtype)) == 0)
        return false;
    if (!opts->close && same_dtype)
        return true;
    for (int k = 0; k < per; k++)
        if (opts->close ? !tt_diff_is_close(p->x[k], p->y[k], p->by[k], opts)
                        : p->by[k] != 0 && !(isnan(p->x[k]) && isnan(p->y[k])))
            return true;
    return false;
}

static void compare(struct diff *d, struct unit *u, const uint8_t *a, const uint8_t *b)
{
    const struct row *row = &d->rows[u->row];
    const enum tt_dtype ta = row->a->output.dtype, tb = row->b->output.dtype;
    const size_t na = tt_dtype_nbytes(ta), nb = tt_dtype_nbytes(tb);
    const int per = tt_numbers_per_element(ta);
    double x[2 * SPAN], y[2 * SPAN];
    struct found *f = &u->found;

    if (ta == tb && memcmp(a, b, (size_t)u->numel * na) == 0)
        return;
    for (int64_t i = 0, n; i < u->numel; i += n) {
        n = u->numel - i < SPAN ? u->numel - i : SPAN;
        if (ta == tb && memcmp(a + (size_t)i * na, b + (size_t)i * nb, (size_t)n * na) == 0)
            continue;
        tt_numbers_f64(x, ta, a + (size_t)i * na, (size_t)n);
        tt_numbers_f64(y, tb, b + (size_t)i * nb, (size_t)n);
        for (int64_t k = 0; k < n; k++) {
            struct pair p = { .a = a + (size_t)(i + k) * na, .b = b + (size_t)(i + k) * nb, .x = x + k * per, .y = y + k * per };
            subtract(&p, ta, tb, per);
            if (!differs(d->opts, row, &p, per))
                continue;
            if (f->ndiffer++ == 0) {
                f->first = u->first + i + k;
                memcpy(f->a, p.a, na);
                memcpy(f->b, p.b, nb);
            }
            note_numbers(f, &p, per);
        }
    }
}

static tt_status do_unit(void *ctx, int64_t i, int thread, struct tt_err *err)
{
    struct diff *d = ctx;
    struct unit *u = &d->units[i];
    struct worker *w = &d->workers[thread];
    const struct row *row = &d->rows[u->row];
    tt_status st = w->assembler ? TT_OK : tt_assembler_new(&w->assembler, NULL, &d->verify, err);

    if (!w->a)
        w->a = tt_io_buffer(TT_BLOCK_NBYTES);
    if (!w->b)
        w->b = tt_io_buffer(TT_BLOCK_NBYTES);
    if (st == TT_OK && (!w->a || !w->b))
        st = tt_err_nomem(err, TT_BLOCK_NBYTES, "a buffer");
    if (st == TT_OK)
        st = tt_assemble(w->assembler, &row->a->output, &u->piece, w->a, err);
    if (st == TT_OK)
        st = tt_assemble(w->assembler, &row->b->output, &u->piece, w->b, err);
    if (st == TT_OK)
        compare(d, u, w->a, w->b);
    tt_task_done(&d->meter, (uint64_t)u->numel * tt_dtype_nbytes(row->a->output.dtype));
    return st;
}

/* --- lines -------------------------------------------------------------------------------------------------------------------- */

/* What a difference begins with. */
static struct tt_buf *begin_line(struct diff *d, const char *fqn)
{
    if (!d->has_heading) {
        tt_buf_str(&d->text, "--- ");
        tt_show_key(&d->text, d->a->name);
        tt_buf_str(&d->text, "\n+++ ");
        tt_show_key(&d->text, d->b->name);
        tt_buf_byte(&d->text, '\n');
        d->has_heading = true;
    }
    if (fqn) {
        tt_show_key(&d->text, fqn);
        tt_buf_str(&d->text, ": ");
    }
    return &d->text;
}

static tt_status flush(struct diff *d)
{
    tt_task_clear(d->task);
    if (d->opts->quiet)
        tt_buf_clear(&d->text);
    return tt_show_write(d->out, &d->text, d->err);
}

static void put_only(struct diff *d, const char *side, const struct tt_recipe_item *item)
{
    char dims[400];

    tt_buf_printf(begin_line(d, NULL), "only in %s: ", side);
    tt_show_key(&d->text, item->fqn);
    if (item->kind == TT_ENTRY_VALUE)
        tt_buf_str(&d->text, ": a value\n");
    else
        tt_buf_printf(&d->text, ": %s %s\n", tt_dtype_name(item->output.dtype),
                      tt_dims_text(dims, sizeof dims, item->output.ndim, item->output.shape));
}

static void put_elements(struct diff *d, const struct row *row, const struct found *f)
{
    const struct tt_output *a = &row->a->output, *b = &row->b->output;
    int64_t numel = 0, strides[TT_NDIM_MAX], rest = f->first;
    struct tt_buf *out = begin_line(d, row->a->fqn);

    if (!tt_numel(a->ndim, a->shape, &numel))
        numel = 0;
    tt_buf_printf(out, "%" PRIu64 " of %" PRId64 " elements differ, by at most ", f->ndiffer, numel);
    tt_number_text(out, TT_F64, f->max);
    tt_buf_str(out, f->has_nan ? " and where NaN is on one side only, first at [" : ", first at [");
    tt_strides_row_major(strides, a->ndim, a->shape);
    for (int k = 0; k < a->ndim; k++) {
        tt_buf_printf(out, "%s%" PRId64, k ? "," : "", rest / strides[k]);
        rest %= strides[k];
    }
    tt_buf_str(out, "]: ");
    tt_element_text(out, a->dtype, f->a);
    tt_buf_str(out, ", ");
    tt_element_text(out, b->dtype, f->b);
    tt_buf_byte(out, '\n');
}

static void join(struct found *all, const struct found *piece)
{
    if (piece->ndiffer && all->ndiffer == 0) {
        all->first = piece->first;
        memcpy(all->a, piece->a, sizeof all->a);
        memcpy(all->b, piece->b, sizeof all->b);
    }
    all->ndiffer += piece->ndiffer;
    all->max = piece->max > all->max ? piece->max : all->max;
    all->has_nan |= piece->has_nan;
}

/* --- keys --------------------------------------------------------------------------------------------------------------------- */

static void put_value(struct tt_buf *out, const struct tt_value *v)
{
    const size_t begin = out->len;

    tt_value_text(out, v, TEXT_MAX);
    if (out->len - begin > TEXT_MAX) {
        out->len = begin + TEXT_MAX;
        while (out->len > begin && (out->data[out->len] & 0xc0) == 0x80)
            out->len--;
        tt_buf_str(out, "...");
    }
}

static tt_status read_value(const struct tt_recipe_item *item, struct tt_arena *arena, const struct tt_value **out, struct tt_err *err)
{
    *out = item->value;
    return *out ? TT_OK : tt_ckpt_read_value(item->ckpt, item->entry, arena, out, err);
}

static tt_status diff_value(struct diff *d, const struct row *row)
{
    struct tt_arena arena = { 0 };
    const struct tt_value *a = NULL, *b = NULL;
    tt_status st = read_value(row->a, &arena, &a, d->err);

    if (st == TT_OK)
        st = read_value(row->b, &arena, &b, d->err);
    if (st == TT_OK && tt_value_close(a, b, d->opts)) {
        d->nsame++;
    } else if (st == TT_OK) {
        struct tt_buf *out = begin_line(d, row->a->fqn);
        tt_buf_str(out, "value ");
        put_value(out, a);
        tt_buf_str(out, ", ");
        put_value(out, b);
        tt_buf_byte(out, '\n');
        d->ndiffer++;
    }
    tt_arena_release(&arena);
    return st;
}

static bool have_same_shape(const struct tt_output *a, const struct tt_output *b)
{
    return a->ndim == b->ndim && (a->ndim == 0 || memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) == 0);
}

/* Whether there is one element of B for each of A. */
static bool have_same_elements(const struct tt_recipe_item *a, const struct tt_recipe_item *b)
{
    return a->kind == TT_ENTRY_TENSOR && b->kind == TT_ENTRY_TENSOR && have_same_shape(&a->output, &b->output) &&
           tt_numbers_per_element(a->output.dtype) == tt_numbers_per_element(b->output.dtype);
}

/* What the catalogues alone say; *differs where that is enough. */
static void diff_catalogue(struct diff *d, const struct row *row, bool *differs)
{
    const struct tt_output *a = &row->a->output, *b = &row->b->output;
    char x[400], y[400];

    if (row->a->kind != row->b->kind) {
        tt_buf_printf(begin_line(d, row->a->fqn), "a %s, a %s\n", row->a->kind == TT_ENTRY_VALUE ? "value" : "tensor",
                      row->b->kind == TT_ENTRY_VALUE ? "value" : "tensor");
        *differs = true;
        return;
    }
    if (row->a->kind == TT_ENTRY_VALUE)
        return;
    if (a->dtype != b->dtype && (!d->opts->close || tt_numbers_per_element(a->dtype) != tt_numbers_per_element(b->dtype))) {
        tt_buf_printf(begin_line(d, row->a->fqn), "dtype %s, %s\n", tt_dtype_name(a->dtype), tt_dtype_name(b->dtype));
        *differs = true;
    }
    if (!have_same_shape(a, b)) {
        tt_buf_printf(begin_line(d, row->a->fqn), "shape %s, %s\n", tt_dims_text(x, sizeof x, a->ndim, a->shape),
                      tt_dims_text(y, sizeof y, b->ndim, b->shape));
        *differs = true;
    }
}

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

/* Pieces that both sides can assemble at once; by the side that is more than a copy, so that what it moves is read once. */
static int64_t next_piece(struct tt_region *piece, const struct row *row, const struct tt_region *whole, int64_t first)
{
    const struct tt_output *a = &row->a->output, *b = &row->b->output;
    const bool by_b = tt_output_unit(b) > tt_output_unit(a) || (b->nparts && b->parts[0].map != TT_MAP_SAME);
    const struct tt_output *led = by_b ? b : a, *other = by_b ? a : b;
    const int64_t n = tt_output_piece(piece, led, whole, first), most = TT_BLOCK_NBYTES / (int64_t)tt_output_unit(other);

    return n <= most ? n : tt_region_piece(piece, whole, first, most);
}

static tt_status add_units(struct diff *d, size_t index)
{
    const struct tt_output *o = &d->rows[index].a->output;
    const struct tt_region whole = tt_region_make(o->ndim, NULL, o->shape);
    void *units = d->units;
    int64_t numel = 0;

    tt_status st = tt_output_check(&d->rows[index].a->output, d->err);
    if (st == TT_OK)
        st = tt_output_check(&d->rows[index].b->output, d->err);
    if (st != TT_OK)
        return st;
    tt_unpack_expect(&d->rows[index].a->output, &whole, false);
    tt_unpack_expect(&d->rows[index].b->output, &whole, false);
    if (!tt_numel(o->ndim, o->shape, &numel))
        return tt_err_set(d->err, TT_EFORMAT, "key %s: no shape", o->fqn);
    for (int64_t first = 0, n; first < numel; first += n) {
        struct unit u = { .row = index, .first = first };
        u.numel = n = next_piece(&u.piece, &d->rows[index], &whole, first);
        const bool ok = grow(&units, d->nunits, &d->units_cap, sizeof *d->units);
        d->units = units;
        if (!ok)
            return tt_err_nomem(d->err, d->units_cap * sizeof *d->units, "a comparison");
        d->units[d->nunits++] = u;
    }
    return TT_OK;
}

/* --- batches ------------------------------------------------------------------------------------------------------------------ */

static tt_status run_batch(struct diff *d)
{
    tt_status st = tt_each(d->task->pool, (int64_t)d->nunits, do_unit, d, d->err);
    size_t u = 0;

    for (size_t i = 0; i < d->nrows && st == TT_OK; i++) {
        const struct row *row = &d->rows[i];
        struct found all = { 0 };
        bool differs = false;
        if (!row->b) {
            put_only(d, "A", row->a);
            d->nonly_a++;
            continue;
        }
        for (; u < d->nunits && d->units[u].row == i; u++)
            join(&all, &d->units[u].found);
        diff_catalogue(d, row, &differs);
        if (all.ndiffer)
            put_elements(d, row, &all);
        if (row->a->kind == TT_ENTRY_VALUE && row->b->kind == TT_ENTRY_VALUE)
            st = diff_value(d, row);
        else if (differs || all.ndiffer)
            d->ndiffer++;
        else
            d->nsame++;
    }
    d->nrows = d->nunits = 0;
    return st == TT_OK ? flush(d) : st;
}

static tt_status add_row(struct diff *d, const struct tt_recipe_item *a, const struct tt_recipe_item *b)
{
    void *rows = d->rows;
    const bool ok = grow(&rows, d->nrows, &d->rows_cap, sizeof *d->rows);

    d->rows = rows;
    if (!ok)
        return tt_err_nomem(d->err, d->rows_cap * sizeof *d->rows, "a comparison");
    d->rows[d->nrows++] = (struct row){ .a = a, .b = b };
    return b && have_same_elements(a, b) ? add_units(d, d->nrows - 1) : TT_OK;
}

static uint64_t nbytes_of(const struct tt_recipe *recipe)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < recipe->n; i++) {
        const struct tt_output *o = &recipe->items[i].output;
        int64_t numel = 0;
        if (recipe->items[i].kind == TT_ENTRY_TENSOR && tt_numel(o->ndim, o->shape, &numel))
            sum += (uint64_t)numel * tt_dtype_nbytes(o->dtype);
    }
    return sum;
}

static tt_status diff_all(struct diff *d)
{
    tt_status st = TT_OK;

    d->meter.total = nbytes_of(d->a->recipe);
    for (size_t i = 0; i < d->a->recipe->n && st == TT_OK; i++) {
        const struct tt_recipe_item *a = &d->a->recipe->items[i];
        st = add_row(d, a, tt_recipe_find(d->b->recipe, a->fqn));
        if (st == TT_OK && d->nunits >= BATCH_UNITS)
            st = run_batch(d);
    }
    if (st == TT_OK)
        st = run_batch(d);
    for (size_t i = 0; i < d->b->recipe->n && st == TT_OK; i++)
        if (!tt_recipe_find(d->a->recipe, d->b->recipe->items[i].fqn)) {
            put_only(d, "B", &d->b->recipe->items[i]);
            d->nonly_b++;
        }
    if (st == TT_OK)
        st = tt_verify_finish(&d->verify, d->err);
    if (st == TT_OK && d->has_heading)
        tt_buf_printf(&d->text, "%" PRIu64 " keys differ, %" PRIu64 " only in A, %" PRIu64 " only in B, %" PRIu64 " are the same\n",
                      d->ndiffer, d->nonly_a, d->nonly_b, d->nsame);
    return st == TT_OK ? flush(d) : st;
}

tt_status tt_diff(FILE *out, const struct tt_diff_side *a, const struct tt_diff_side *b, const struct tt_diff_opts *opts,
                  const struct tt_task *task, bool *same, struct tt_err *err)
{
    const int nthreads = tt_pool_nthreads(task->pool);
    struct diff d = { .a = a, .b = b, .opts = opts, .task = task, .meter = { .task = task }, .out = out, .err = err };
    tt_status st = tt_verify_init(&d.verify, err);

    if (st != TT_OK)
        return st;
    d.workers = calloc((size_t)nthreads, sizeof *d.workers);
    st = d.workers ? diff_all(&d) : tt_err_nomem(err, (size_t)nthreads * sizeof *d.workers, "threads");
    if (st == TT_OK)
        *same = !d.has_heading;
    for (int i = 0; i < nthreads && d.workers; i++) {
        tt_assembler_free(d.workers[i].assembler);
        free(d.workers[i].a);
        free(d.workers[i].b);
    }
    free(d.workers);
    free(d.rows);
    free(d.units);
    tt_buf_release(&d.text);
    tt_verify_release(&d.verify);
    return st;
}
