/* Which rank or file holds which region: first the files with their numbers, then each tensor's chunks as a grid of those. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/list_private.h"

enum {
    CELLS_MAX = 4096, /* of a grid that is drawn */
    LABEL_NBYTES = 24,
};

struct layout {
    struct tt_lister *l;
    bool has_ranks; /* every file is __<rank>_<n>.distcp */
    int label_width;
};

/* How a tensor is cut: in each dimension, where chunks begin or end. */
struct grid {
    const struct tt_entry *e;
    int64_t *cuts[TT_NDIM_MAX]; /* (ncuts + 1): the last is the end */
    uint32_t ncuts[TT_NDIM_MAX];
    uint32_t *cells; /* (ncells) the file of each, row-major; TT_FILE_NONE: nobody's */
    uint64_t ncells, nempty;
    int along[TT_NDIM_MAX], nalong; /* dimensions that are cut */
};

/* --- files -------------------------------------------------------------------------------------------------------------------- */

static bool rank_of(const char *name, unsigned *rank, unsigned *n)
{
    int end = 0;
    return sscanf(name, "__%9u_%9u.distcp%n", rank, n, &end) == 2 && end > 0 && !name[end];
}

/* "3", "3.1" (its second file), or the number of the file. */
static const char *label_of(const struct layout *a, uint32_t file, char label[LABEL_NBYTES])
{
    unsigned rank, n;

    if (file == TT_FILE_NONE)
        strcpy(label, "-");
    else if (!a->has_ranks || !rank_of(a->l->ckpt->entries.files[file], &rank, &n))
        snprintf(label, LABEL_NBYTES, "%" PRIu32, file);
    else if (n)
        snprintf(label, LABEL_NBYTES, "%u.%u", rank, n);
    else
        snprintf(label, LABEL_NBYTES, "%u", rank);
    return label;
}

struct held {
    uint64_t nchunks, nvalues, nbytes;
};

static tt_status put_files(struct layout *a)
{
    const struct tt_entries *entries = &a->l->ckpt->entries;
    struct held *held = tt_arena_array(&a->l->arena, entries->nfiles, sizeof *held);
    char label[LABEL_NBYTES];

    if (!held)
        return tt_err_nomem(a->l->err, entries->nfiles * sizeof *held, "files");
    for (size_t i = 0; i < entries->n; i++) {
        const struct tt_entry *e = &entries->items[i];
        for (uint32_t k = 0; k < e->nchunks && tt_key_taken(&a->l->how->filter, e->fqn); k++) {
            if (e->chunks[k].file == TT_FILE_NONE)
                continue;
            struct held *h = &held[e->chunks[k].file];
            h->nchunks += e->kind == TT_ENTRY_TENSOR;
            h->nvalues += e->kind == TT_ENTRY_VALUE;
            h->nbytes += e->chunks[k].nbytes;
        }
    }
    tt_buf_printf(&a->l->text, "%6s %8s %8s %14s  %s\n", a->has_ranks ? "rank" : "file", "chunks", "values", "bytes", "name");
    for (size_t i = 0; i < entries->nfiles; i++) {
        const char *name = entries->files[i][0] ? entries->files[i] : tt_path_base(a->l->path);
        tt_buf_printf(&a->l->text, "%6s %8" PRIu64 " %8" PRIu64 " %14" PRIu64 "  ", label_of(a, (uint32_t)i, label), held[i].nchunks,
                      held[i].nvalues, held[i].nbytes);
        tt_show_key(&a->l->text, name);
        tt_buf_byte(&a->l->text, '\n');
    }
    return TT_OK;
}

/* --- grids -------------------------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static bool is_empty(const struct tt_entry *e, const struct tt_chunk *c)
{
    const struct tt_region r = tt_region_make(e->ndim, c->offsets, c->sizes);
    return tt_region_is_empty(&r);
}

static bool find_cuts(struct grid *g, struct tt_arena *arena, int d)
{
    const struct tt_entry *e = g->e;
    int64_t *at = tt_arena_array(arena, (size_t)e->nchunks + 2, sizeof *at);
    size_t n = 0, kept = 1;

    if (!at)
        return false;
    at[n++] = 0;
    for (uint32_t i = 0; i < e->nchunks; i++)
        if (!is_empty(e, &e->chunks[i]))
            at[n++] = e->chunks[i].offsets[d];
    qsort(at, n, sizeof *at, by_value);
    for (size_t i = 1; i < n; i++)
        if (at[i] != at[kept - 1])
            at[kept++] = at[i];
    at[kept] = e->shape[d];
    g->cuts[d] = at;
    g->ncuts[d] = (uint32_t)kept;
    return true;
}

static uint32_t cut_at(const struct grid *g, int d, int64_t offset)
{
    uint32_t low = 0, high = g->ncuts[d];
    while (low < high) {
        const uint32_t mid = (low + high) / 2;
        if (g->cuts[d][mid] < offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Gives the cells of the chunk from dimension d on to its file. */
static void fill_cells(struct grid *g, const struct tt_chunk *c, int d, uint64_t at)
{
    if (d == g->e->ndim) {
        g->cells[at] = c->file;
        return;
    }
    const int64_t end = c->offsets[d] + c->sizes[d];
    for (uint32_t i = cut_at(g, d, c->offsets[d]); i < g->ncuts[d] && g->cuts[d][i] < end; i++)
        fill_cells(g, c, d + 1, at * g->ncuts[d] + i);
}

/* *drawn false: too many cells. */
static tt_status make_grid(struct layout *a, struct grid *g, const struct tt_entry *e, bool *drawn)
{
    struct tt_arena *arena = &a->l->scratch;

    tt_arena_release(arena);
    *g = (struct grid){ .e = e, .ncells = 1 };
    for (int d = 0; d < e->ndim; d++) {
        if (!find_cuts(g, arena, d))
            return tt_err_nomem(a->l->err, e->nchunks * sizeof(int64_t), e->fqn);
        if (g->ncuts[d] > 1)
            g->along[g->nalong++] = d;
        g->ncells = g->ncells > CELLS_MAX ? g->ncells : g->ncells * g->ncuts[d];
    }
    *drawn = g->ncells <= CELLS_MAX;
    if (!*drawn)
        return TT_OK;
    g->cells = tt_arena_array(arena, (size_t)g->ncells, sizeof *g->cells);
    if (!g->cells)
        return tt_err_nomem(a->l->err, (size_t)g->ncells * sizeof *g->cells, e->fqn);
    for (uint64_t i = 0; i < g->ncells; i++)
        g->cells[i] = TT_FILE_NONE;
    for (uint32_t i = 0; i < e->nchunks; i++) {
        if (is_empty(e, &e->chunks[i]))
            g->nempty++;
        else
            fill_cells(g, &e->chunks[i], 0, 0);
    }
    return TT_OK;
}

/* --- drawing ------------------------------------------------------------------------------------------------------------------ */

/* "0 1 2 5", or "0..63" where they count up. */
static void put_run(struct layout *a, const uint32_t *cells, uint64_t n)
{
    char first[LABEL_NBYTES], last[LABEL_NBYTES];

    for (uint64_t i = 0, k; i < n; i += k) {
        long from, to;
        k = 1;
        label_of(a, cells[i], first);
        while (i + k < n && cells[i] != TT_FILE_NONE && !strchr(first, '.')) {
            from = strtol(first, NULL, 10);
            to = strtol(label_of(a, cells[i + k], last), NULL, 10);
            if (cells[i + k] == TT_FILE_NONE || strchr(last, '.') || to != from + (long)k)
                break;
            k++;
        }
        tt_buf_str(&a->l->text, i ? " " : "");
        if (k < 3)
            k = 1;
        tt_buf_str(&a->l->text, first);
        if (k > 1)
            tt_buf_printf(&a->l->text, "..%s", label_of(a, cells[i + k - 1], last));
    }
    tt_buf_byte(&a->l->text, '\n');
}

static int range_width(const struct grid *g, int d)
{
    char text[48];
    const int64_t *cuts = g->cuts[d];
    const uint32_t n = g->ncuts[d];
    return snprintf(text, sizeof text, "%" PRId64 ":%" PRId64, cuts[n - 1], cuts[n]);
}

/* One matrix: the last two dimensions that are cut; `cells` is its first. */
static void put_matrix(struct layout *a, const struct grid *g, const uint32_t *cells)
{
    const int rows = g->along[g->nalong - 2], cols = g->along[g->nalong - 1];
    const int left = range_width(g, rows) + 4;
    const int width = range_width(g, cols) > a->label_width ? range_width(g, cols) : a->label_width;
    char text[48];

    tt_buf_printf(&a->l->text, "%*s", left, "");
    for (uint32_t j = 0; j < g->ncuts[cols]; j++) {
        snprintf(text, sizeof text, "%" PRId64 ":%" PRId64, g->cuts[cols][j], g->cuts[cols][j + 1]);
        tt_buf_printf(&a->l->text, "  %*s", width, text);
    }
    for (uint32_t i = 0; i < g->ncuts[rows]; i++) {
        snprintf(text, sizeof text, "%" PRId64 ":%" PRId64, g->cuts[rows][i], g->cuts[rows][i + 1]);
        tt_buf_printf(&a->l->text, "\n%*s", left, text);
        for (uint32_t j = 0; j < g->ncuts[cols]; j++)
            tt_buf_printf(&a->l->text, "  %*s", width, label_of(a, cells[(uint64_t)i * g->ncuts[cols] + j], text));
    }
    tt_buf_byte(&a->l->text, '\n');
}

/* What is cut in more than two dimensions is drawn matrix by matrix. */
static void put_matrices(struct layout *a, const struct grid *g)
{
    const uint64_t nmatrix = (uint64_t)g->ncuts[g->along[g->nalong - 2]] * g->ncuts[g->along[g->nalong - 1]];

    for (uint64_t m = 0; m < g->ncells / nmatrix; m++) {
        uint64_t rest = m;
        uint32_t at[TT_NDIM_MAX] = { 0 };
        for (int k = g->nalong - 3; k >= 0; k--) {
            at[k] = (uint32_t)(rest % g->ncuts[g->along[k]]);
            rest /= g->ncuts[g->along[k]];
        }
        for (int k = 0; k < g->nalong - 2; k++)
            tt_buf_printf(&a->l->text, "%sdim %d %" PRId64 ":%" PRId64 "%s", k ? ", " : "    ", g->along[k], g->cuts[g->along[k]][at[k]],
                          g->cuts[g->along[k]][at[k] + 1], k == g->nalong - 3 ? "\n" : "");
        put_matrix(a, g, g->cells + m * nmatrix);
    }
}

static void put_cut(struct layout *a, const struct grid *g)
{
    for (int k = 0; k < g->nalong; k++)
        tt_buf_printf(&a->l->text, "%sdim %d in %" PRIu32, k ? " by " : "  ", g->along[k], g->ncuts[g->along[k]]);
    if (g->nempty)
        tt_buf_printf(&a->l->text, " (and %" PRIu64 " empty)", g->nempty);
    tt_buf_str(&a->l->text, g->nalong < 2 ? ": " : "\n");
}

static tt_status put_tensor(struct layout *a, const struct tt_entry *e)
{
    struct grid g;
    bool drawn = false;
    const tt_status st = make_grid(a, &g, e, &drawn);

    if (st != TT_OK)
        return st;
    if (!drawn) {
        tt_buf_printf(&a->l->text, "  %" PRIu32 " chunks, too many to draw\n", e->nchunks);
        return TT_OK;
    }
    if (g.nalong == 0)
        tt_buf_str(&a->l->text, g.nempty ? "  whole (and others empty) on " : "  whole on ");
    else
        put_cut(a, &g);
    if (g.nalong < 2)
        put_run(a, g.cells, g.ncells);
    else
        put_matrices(a, &g);
    return TT_OK;
}

static tt_status put_entry(struct layout *a, const struct tt_entry *e)
{
    char text[400];

    tt_show_blanks(&a->l->text, a->l->key_width - tt_show_key(&a->l->text, e->fqn));
    if (e->kind == TT_ENTRY_TENSOR) {
        tt_buf_printf(&a->l->text, "  %-15s %s", tt_dtype_name(e->dtype), tt_dims_text(text, sizeof text, e->ndim, e->shape));
        return put_tensor(a, e);
    }
    tt_buf_printf(&a->l->text, "  value on %s\n", e->nchunks ? label_of(a, e->chunks->file, text) : "-");
    return TT_OK;
}

tt_status tt_list_layout(struct tt_lister *l)
{
    struct layout a = { .l = l, .has_ranks = l->ckpt->entries.nfiles > 0 };
    char label[LABEL_NBYTES];
    unsigned rank, n;

    for (size_t i = 0; i < l->ckpt->entries.nfiles && a.has_ranks; i++)
        a.has_ranks = rank_of(l->ckpt->entries.files[i], &rank, &n);
    for (size_t i = 0; i < l->ckpt->entries.nfiles; i++) {
        const int width = (int)strlen(label_of(&a, (uint32_t)i, label));
        a.label_width = width > a.label_width ? width : a.label_width;
    }
    tt_status st = put_files(&a);
    for (size_t i = 0; i < l->ckpt->entries.n && st == TT_OK; i++) {
        if (!tt_key_taken(&l->how->filter, l->ckpt->entries.items[i].fqn))
            continue;
        st = put_entry(&a, &l->ckpt->entries.items[i]);
        if (st == TT_OK)
            st = tt_list_flush(l, false);
    }
    return st;
}
