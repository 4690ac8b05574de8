#include "ckpt/audit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/each.h"
#include "ckpt/ckpt_private.h"
#include "ckpt/pipe_private.h"
#include "ckpt/read.h"
#include "ckpt/show.h"
#include "format/zip.h"
#include "format/zstd.h"

enum { BATCH_UNITS = 8192 };

/* An item of a .distcp file, or a record of a .pt file. */
struct unit {
    const struct tt_entry *entry;
    const struct tt_chunk *chunk;
    const struct tt_zip_entry *record; /* of a .pt */
};

struct finding {
    const struct unit *unit; /* NULL: of the catalogue, in the order in which they were found */
    const char *text;
    size_t n; /* found before it */
};

struct worker {
    uint8_t *buf; /* (TT_PIECE_NBYTES) */
};

struct audit {
    FILE *out;
    const char *path;
    struct tt_ckpt *ckpt;
    const struct tt_task *task;
    struct tt_task_meter meter;
    struct worker *workers;
    struct unit *units; /* (nunits) by file and offset */
    size_t nunits;
    bool *absent; /* (nfiles) which cannot be opened */
    struct tt_arena arena;
    pthread_mutex_t lock; /* over all below, and the arena */
    struct finding *findings;
    size_t nfindings, cap;
    uint64_t nwrong, nrecords, nbytes, nunknown, nunused;
    struct tt_buf text;
    struct tt_err *err;
};

/* --- findings ----------------------------------------------------------------------------------------------------------------- */

static tt_status add_finding(struct audit *a, const struct unit *unit, const char *text)
{
    tt_status st = TT_OK;

    pthread_mutex_lock(&a->lock);
    a->nwrong++;
    if (a->nfindings == a->cap) {
        const size_t cap = a->cap ? a->cap * 2 : 64;
        struct finding *p = realloc(a->findings, cap * sizeof *p);
        if (!p)
            st = tt_err_nomem(NULL, cap * sizeof *p, "findings");
        a->findings = p ? p : a->findings;
        a->cap = p ? cap : a->cap;
    }
    const char *copy = st == TT_OK ? tt_arena_str(&a->arena, text) : NULL;
    if (copy)
        {
        a->findings[a->nfindings] = (struct finding){ unit, copy, a->nfindings };
        a->nfindings++;
    }
    pthread_mutex_unlock(&a->lock);
    return copy ? TT_OK : TT_ENOMEM;
}

/* What is wrong with an item is a finding; what is wrong with this machine ends the audit. A value that titan does not know is neither.
 */
static tt_status note(struct audit *a, const struct unit *unit, tt_status st, const struct tt_err *why)
{
    if (st == TT_OK || st == TT_ENOMEM)
        return st;
    if (st != TT_EUNSUPPORTED || !unit || !unit->entry || unit->entry->kind == TT_ENTRY_TENSOR)
        return add_finding(a, unit, why->msg);
    pthread_mutex_lock(&a->lock);
    a->nunknown++;
    pthread_mutex_unlock(&a->lock);
    return TT_OK;
}

static int by_unit(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    return x->unit != y->unit ? (x->unit < y->unit ? -1 : 1) : x->n < y->n ? -1 : x->n > y->n;
}

static void count_records(struct audit *a, uint64_t n, uint64_t nbytes)
{
    pthread_mutex_lock(&a->lock);
    a->nrecords += n;
    a->nbytes += nbytes;
    pthread_mutex_unlock(&a->lock);
}

/* In the order of files and offsets, whichever thread found them first. */
static tt_status print_findings(struct audit *a)
{
    if (a->nfindings)
        qsort(a->findings, a->nfindings, sizeof *a->findings, by_unit);
    for (size_t i = 0; i < a->nfindings; i++) {
        tt_show_line(&a->text, a->findings[i].text);
        tt_buf_byte(&a->text, '\n');
    }
    a->nfindings = 0;
    tt_arena_release(&a->arena);
    tt_task_clear(a->task);
    return tt_show_write(a->out, &a->text, a->err);
}

/* --- items -------------------------------------------------------------------------------------------------------------------- */

/* The key whose storage a record of a .pt file is. */
static const struct tt_entry *owner_of(const struct tt_ckpt *ckpt, const struct tt_zip_entry *record)
{
    for (size_t i = 0; i < ckpt->entries.n; i++) {
        const struct tt_entry *e = &ckpt->entries.items[i];
        if (e->kind == TT_ENTRY_TENSOR && e->nchunks && e->chunks[0].offset == record->offset)
            return e;
    }
    return NULL;
}

static tt_status damaged(struct audit *a, const struct unit *unit, const struct tt_source *src, const struct tt_zip_entry *r,
                         uint32_t found)
{
    const struct tt_entry *owner = unit->record ? owner_of(a->ckpt, r) : NULL;
    struct tt_err why;
    const tt_status st = tt_err_set(&why, TT_EFORMAT, "%s: offset %" PRIu64 ": %s%s%srecord %s: expected CRC-32 %08" PRIx32
                                    ", found %08" PRIx32 ": the bytes are damaged", src->name, src->offset + r->offset,
                                    owner ? "key " : "", owner ? owner->fqn : "", owner ? ": " : "", r->name, r->crc, found);
    return note(a, unit, st, &why);
}

/* *whole false: it is damaged, or cannot be read. */
static tt_status check_record(struct audit *a, const struct unit *unit, struct worker *w, const struct tt_source *src,
                              const struct tt_zip_entry *r, bool *whole)
{
    uint32_t crc = 0;
    struct tt_err why;

    *whole = true;
    if (r->crc == 0) /* not recorded */
        return TT_OK;
    for (uint64_t at = 0, n; at < r->nbytes; at += n) {
        n = r->nbytes - at < TT_PIECE_NBYTES ? r->nbytes - at : TT_PIECE_NBYTES;
        const tt_status st = tt_source_read(src, w->buf, n, r->offset + at, &why);
        *whole = st == TT_OK;
        if (st != TT_OK)
            return note(a, unit, st, &why);
        crc = tt_crc32(crc, w->buf, (size_t)n);
    }
    count_records(a, 1, r->nbytes);
    *whole = tt_crc32_agrees(r->crc, crc);
    return *whole ? TT_OK : damaged(a, unit, src, r, crc);
}

/* That the item holds what the catalogue says. */
static tt_status check_content(struct audit *a, const struct unit *unit, const struct tt_value *root, const char *name)
{
    struct tt_err why;
    if (unit->entry->kind == TT_ENTRY_VALUE)
        return tt_value_unknown(root, NULL) ? note(a, unit, TT_EUNSUPPORTED, &why) : TT_OK;
    const tt_status st = tt_check_blob(unit->entry, unit->chunk, root, name, &why);
    return note(a, unit, st, &why);
}

/* An item as torch.save makes it: its zip, all its records, its content. */
static tt_status check_blob(struct audit *a, const struct unit *unit, struct worker *w, const struct tt_source *src)
{
    struct tt_arena arena = { 0 };
    struct tt_zip zip = { 0 };
    struct tt_pt pt = { 0 };
    struct tt_err why;
    tt_status opened = tt_zip_open(&zip, &arena, src, &why);
    tt_status st = note(a, unit, opened, &why);
    bool readable = opened == TT_OK;

    for (size_t i = 0; i < zip.n && st == TT_OK && opened == TT_OK; i++) {
        bool whole = true;
        st = check_record(a, unit, w, src, &zip.entries[i], &whole);
        readable &= whole || strncmp(zip.entries[i].name, "data/", 5) == 0; /* or it would be wrong twice */
    }
    if (st == TT_OK && readable) {
        opened = tt_pt_open(&pt, &arena, src, &why);
        st = note(a, unit, opened, &why);
        if (st == TT_OK && opened == TT_OK)
            st = check_content(a, unit, pt.root, src->name);
    }
    tt_arena_release(&arena);
    return st;
}

static tt_status read_decoded(void *ctx, void *dst, size_t nbytes, size_t *got, struct tt_err *err)
{
    return tt_zstd_read(ctx, dst, nbytes, got, err);
}

/* A compressed one, as it is decoded. */
static tt_status check_packed(struct audit *a, const struct unit *unit, const struct tt_source *src)
{
    struct tt_arena arena = { 0 };
    struct tt_zstd_reader *zstd = NULL;
    struct tt_pt pt = { 0 };
    struct tt_err why;
    uint64_t nrecords = 0, nbytes = 0;
    tt_status walked = tt_zstd_reader_new(&zstd, src, UINT64_MAX, &why);

    if (walked == TT_OK) {
        struct tt_instream in = tt_instream_from(read_decoded, zstd, src->name);
        walked = tt_pipe_walk_pt(&pt, &arena, &in, &nrecords, &nbytes, &why);
        tt_instream_release(&in);
    }
    tt_status st = note(a, unit, walked, &why);
    if (st == TT_OK && walked == TT_OK) {
        count_records(a, nrecords, nbytes);
        st = check_content(a, unit, pt.root, src->name);
    }
    tt_zstd_reader_free(zstd);
    tt_arena_release(&arena);
    return st;
}

static tt_status check_item(struct audit *a, const struct unit *unit, struct worker *w)
{
    struct tt_arena arena = { 0 };
    struct tt_source src;
    struct tt_err why;
    tt_status st = tt_item_source(&src, &arena, a->ckpt, unit->entry, unit->chunk, &why);

    if (st == TT_OK) {
        st = unit->chunk->codec == TT_CODEC_ZSTD ? check_packed(a, unit, &src) : check_blob(a, unit, w, &src);
        tt_files_unpin(&a->ckpt->files, unit->chunk->file);
    } else {
        st = note(a, unit, st, &why);
    }
    tt_arena_release(&arena);
    return st;
}

static tt_status check_pt_record(struct audit *a, const struct unit *unit, struct worker *w)
{
    const struct tt_infile *file = NULL;
    struct tt_err why;
    bool whole;
    tt_status st = tt_files_pin(&a->ckpt->files, 0, &file, &why);

    if (st != TT_OK)
        return note(a, unit, st, &why);
    const struct tt_source src = { .file = file, .nbytes = file->nbytes, .name = a->path };
    st = check_record(a, unit, w, &src, unit->record, &whole);
    tt_files_unpin(&a->ckpt->files, 0);
    return st;
}

static tt_status check_unit(void *ctx, int64_t i, int thread, struct tt_err *err)
{
    struct audit *a = ctx;
    struct worker *w = &a->workers[thread];
    const struct unit *unit = &a->units[i];
    tt_status st = TT_OK;

    if (unit->entry && !tt_key_taken(&a->task->filter, unit->entry->fqn))
        return TT_OK;
    if (!tt_io_buffer_once(&w->buf, TT_PIECE_NBYTES))
        st = tt_err_nomem(err, TT_PIECE_NBYTES, "a buffer");
    if (st != TT_OK)
        return st;
    st = unit->record ? check_pt_record(a, unit, w) : check_item(a, unit, w);
    tt_task_done(&a->meter, unit->record ? unit->record->nbytes : unit->chunk->nbytes);
    return st == TT_OK ? TT_OK : tt_err_nomem(err, a->arena.used, "what is wrong");
}

/* --- what there is to check --------------------------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct tt_chunk *x = ((const struct unit *)a)->chunk, *y = ((const struct unit *)b)->chunk;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return x->offset != y->offset ? (x->offset < y->offset ? -1 : 1) : (x->nbytes > y->nbytes) - (x->nbytes < y->nbytes);
}

static tt_status collect_items(struct audit *a)
{
    const struct tt_entries *entries = &a->ckpt->entries;
    size_t n = 0;

    for (size_t i = 0; i < entries->n; i++)
        n += entries->items[i].nchunks;
    a->units = malloc((n + 1) * sizeof *a->units);
    if (!a->units)
        return tt_err_nomem(a->err, n * sizeof *a->units, a->path);
    for (size_t i = 0; i < entries->n; i++) {
        const struct tt_entry *e = &entries->items[i];
        for (uint32_t k = 0; k < e->nchunks; k++)
            if (e->chunks[k].file != TT_FILE_NONE)
                a->units[a->nunits++] = (struct unit){ .entry = e, .chunk = &e->chunks[k] };
    }
    qsort(a->units, a->nunits, sizeof *a->units, by_place);
    return TT_OK;
}

/* Two items over the same bytes, and bytes that no item has. */
static tt_status check_places(struct audit *a, const struct tt_infile *file, const struct unit *first, size_t n)
{
    uint64_t end = 0;
    const struct unit *last = NULL;
    struct tt_err why;
    tt_status st = TT_OK;

    for (size_t i = 0; i < n && st == TT_OK; i++) {
        const struct tt_chunk *c = first[i].chunk;
        if (last && c->nbytes && c->offset < end) {
            st = tt_err_set(&why, TT_EFORMAT, "%s: offset %" PRIu64 ": key %s: its item overlaps that of key %s, which ends at %" PRIu64,
                            file->path, c->offset, first[i].entry->fqn, last->entry->fqn, end);
            st = note(a, &first[i], st, &why);
        } else if (c->offset > end && end < file->nbytes) {
            a->nunused += (c->offset < file->nbytes ? c->offset : file->nbytes) - end;
        }
        if (c->nbytes <= UINT64_MAX - c->offset && c->offset + c->nbytes > end) {
            end = c->offset + c->nbytes;
            last = &first[i];
        }
    }
    if (file->nbytes > end)
        a->nunused += file->nbytes - end;
    return st;
}

/* Each file by itself; one that is not there is wrong once, not once for each of its items. */
static tt_status check_files(struct audit *a)
{
    tt_status st = TT_OK;
    size_t kept = 0;

    a->absent = calloc(a->ckpt->entries.nfiles + 1, sizeof *a->absent);
    if (!a->absent)
        return tt_err_nomem(a->err, a->ckpt->entries.nfiles, a->path);
    for (size_t i = 0, n; i < a->nunits && st == TT_OK; i += n) {
        const uint32_t index = a->units[i].chunk->file;
        const struct tt_infile *file = NULL;
        struct tt_err why;
        for (n = 1; i + n < a->nunits && a->units[i + n].chunk->file == index; n++)
            ;
        const tt_status opened = tt_files_pin(&a->ckpt->files, index, &file, &why);
        if (opened == TT_OK) {
            st = check_places(a, file, &a->units[i], n);
            tt_files_unpin(&a->ckpt->files, index);
        } else {
            struct tt_err all;
            a->absent[index] = true;
            tt_err_set(&all, opened, "%s: %zu item%s cannot be read", why.msg, n, n == 1 ? "" : "s");
            st = note(a, &a->units[i], opened, &all);
        }
    }
    if (st == TT_OK)
        st = print_findings(a); /* their units move now */
    for (size_t i = 0; i < a->nunits; i++)
        if (!a->absent[a->units[i].chunk->file])
            a->units[kept++] = a->units[i];
    a->nunits = kept;
    for (size_t i = 0; i < a->nunits; i++)
        a->meter.total += a->units[i].chunk->nbytes;
    return st;
}

static int by_offset(const void *a, const void *b)
{
    const uint64_t x = ((const struct unit *)a)->record->offset, y = ((const struct unit *)b)->record->offset;
    return x < y ? -1 : x > y;
}

static tt_status collect_records(struct audit *a, struct tt_arena *arena)
{
    const struct tt_infile *file = NULL;
    struct tt_zip zip = { 0 };
    tt_status st = tt_files_pin(&a->ckpt->files, 0, &file, a->err);

    if (st != TT_OK)
        return st;
    const struct tt_source src = { .file = file, .nbytes = file->nbytes, .name = a->path };
    st = tt_zip_open(&zip, arena, &src, a->err);
    tt_files_unpin(&a->ckpt->files, 0);
    a->units = malloc((zip.n + 1) * sizeof *a->units);
    if (st == TT_OK && !a->units)
        st = tt_err_nomem(a->err, zip.n * sizeof *a->units, a->path);
    for (size_t i = 0; i < zip.n && st == TT_OK; i++) {
        a->units[a->nunits++] = (struct unit){ .record = &zip.entries[i] };
        a->meter.total += zip.entries[i].nbytes;
    }
    if (st == TT_OK)
        qsort(a->units, a->nunits, sizeof *a->units, by_offset);
    return st;
}

/* --- all of it ---------------------------------------------------------------------------------------------------------------- */

static tt_status check_units(struct audit *a)
{
    struct unit *all = a->units;
    const size_t n = a->nunits;
    tt_status st = TT_OK;

    for (size_t i = 0; i < n && st == TT_OK; i += BATCH_UNITS) {
        a->units = all + i;
        st = tt_each(a->task->pool, (int64_t)(n - i < BATCH_UNITS ? n - i : BATCH_UNITS), check_unit, a, a->err);
        if (st == TT_OK)
            st = print_findings(a);
    }
    a->units = all;
    return st;
}

static void put_summary(struct audit *a)
{
    size_t ntensors = 0, nvalues = 0;

    tt_show_key(&a->text, a->path);
    if (a->nwrong == 0)
        tt_buf_str(&a->text, ": good");
    else
        tt_buf_printf(&a->text, ": %" PRIu64 " thing%s wrong", a->nwrong, a->nwrong == 1 ? " is" : "s are");
    if (!a->ckpt) {
        tt_buf_byte(&a->text, '\n');
        return;
    }
    for (size_t i = 0; i < a->ckpt->entries.n; i++) {
        ntensors += a->ckpt->entries.items[i].kind == TT_ENTRY_TENSOR;
        nvalues += a->ckpt->entries.items[i].kind == TT_ENTRY_VALUE;
    }
    tt_buf_printf(&a->text, "; %zu tensors, %zu values", ntensors, nvalues);
    if (a->ckpt->format == TT_CKPT_SAFETENSORS || a->ckpt->format == TT_CKPT_HF)
        tt_buf_str(&a->text, "; the format has no checksums");
    else
        tt_buf_printf(&a->text, "; %" PRIu64 " checksums over %" PRIu64 " bytes", a->nrecords, a->nbytes);
    if (a->nunknown)
        tt_buf_printf(&a->text, "; %" PRIu64 " values that titan does not read", a->nunknown);
    if (a->nunused)
        tt_buf_printf(&a->text, "; %" PRIu64 " bytes that belong to no item", a->nunused);
    tt_buf_byte(&a->text, '\n');
}

static tt_status on_problem(void *ctx, const char *message) { return add_finding(ctx, NULL, message); }

static tt_status check_all(struct audit *a)
{
    const struct tt_problems problems = { on_problem, a };
    struct tt_arena records = { 0 };
    struct tt_err why;
    tt_status st = tt_ckpt_open_noting(&a->ckpt, a->path, &problems, &why);

    if (st != TT_OK)
        st = st == TT_ENOMEM ? tt_err_set(a->err, st, "%s", why.msg) : note(a, NULL, TT_EFORMAT, &why);
    if (st == TT_OK && a->ckpt)
        st = tt_keys_check(&a->task->filter, a->ckpt, a->err);
    if (st == TT_OK)
        st = print_findings(a);
    if (st == TT_OK && a->ckpt && a->ckpt->format == TT_CKPT_DCP) {
        st = collect_items(a);
        if (st == TT_OK)
            st = check_files(a);
    } else if (st == TT_OK && a->ckpt && a->ckpt->format == TT_CKPT_PT) {
        st = collect_records(a, &records);
    }
    if (st == TT_OK && a->nunits)
        st = check_units(a);
    if (st == TT_OK) {
        put_summary(a);
        st = tt_show_write(a->out, &a->text, a->err);
    }
    tt_arena_release(&records);
    return st;
}

tt_status tt_ckpt_audit(FILE *out, const char *path, const struct tt_task *task, bool *good, struct tt_err *err)
{
    const int nthreads = tt_pool_nthreads(task->pool);
    struct audit a = { .out = out, .path = path, .task = task, .meter = { .task = task }, .err = err };
    const int rc = pthread_mutex_init(&a.lock, NULL);

    if (rc)
        return tt_err_errno(err, rc, "cannot make a lock");
    a.workers = calloc((size_t)nthreads, sizeof *a.workers);
    const tt_status st = a.workers ? check_all(&a) : tt_err_nomem(err, (size_t)nthreads * sizeof *a.workers, "threads");
    if (st == TT_OK)
        *good = a.nwrong == 0;
    for (int i = 0; i < nthreads && a.workers; i++)
        free(a.workers[i].buf);
    free(a.workers);
    free(a.units);
    free(a.absent);
    free(a.findings);
    tt_ckpt_close(a.ckpt);
    tt_arena_release(&a.arena);
    tt_buf_release(&a.text);
    pthread_mutex_destroy(&a.lock);
    return st;
}
