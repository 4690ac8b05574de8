#include "ckpt/read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/ckpt_private.h"
#include "ckpt/crc_share.h"
#include "ckpt/unpack.h"
#include "format/pt.h"

/* A chunk whose place is known to the byte. */
struct view {
    const struct tt_chunk *chunk; /* whose view it is; NULL: none */
    const char *fqn;
    const void *data;             /* in memory, or */
    uint32_t file;                /* in this one of the checkpoint's */
    uint64_t offset, nbytes; /* of the storage, in the file */
    uint32_t crc;
    const struct tt_entry *packed; /* whose chunk it is, where it is compressed: its bytes come from unpack.h, verified */
    int64_t first, strides[TT_NDIM_MAX]; /* in elements */
};

enum {
    NVIEWS = 64, /* opened chunks that a thread remembers: as many as meet in one block, most often */
    /* Elements between the wanted ones are read with them, and thrown away, up to this many for each wanted one: fewer
     * and larger reads are faster. */
    WASTE_MAX = 4,
    SMALL_SPAN_NBYTES = 1 << 16,
    CALL_NBYTES = 6 << 10,  /* as many bytes as are copied from the page cache while another call is made */
    EXACT_RUN_NBYTES = 256, /* shorter runs are never worth a call each */
};

struct tt_reader {
    struct tt_ckpt *ckpt;
    struct tt_verify *verify;
    struct view views[NVIEWS];
    const struct tt_infile *file; /* of the chunk that is read just now; pinned */
    uint8_t **scratch; /* (TT_BLOCK_NBYTES) or NULL so far */
    uint8_t *own;      /* where it is not borrowed */
    bool exact;
};

/* --- verification ------------------------------------------------------------------------------------------------------------- */

struct tt_verify_storage {
    struct { struct tt_ckpt *ckpt; uint64_t offset; uint32_t file, pad; } key; /* of by_storage */
    const char *fqn;
    uint64_t nbytes, wanted; /* bytes of the storage, and of all elements that were asked for */
    uint32_t crc;
    bool is_done; /* verified */
    struct tt_crc_sum read;
};

tt_status tt_verify_init(struct tt_verify *verify, struct tt_err *err)
{
    *verify = (struct tt_verify){ 0 };
    const int rc = pthread_mutex_init(&verify->lock, NULL);
    return rc ? tt_err_errno(err, rc, "cannot make a lock") : TT_OK;
}

void tt_verify_release(struct tt_verify *verify)
{
    free(verify->items);
    tt_map_release(&verify->by_storage);
    pthread_mutex_destroy(&verify->lock);
}

tt_status tt_crc_damaged(const char *path, const char *fqn, uint64_t offset, uint32_t expected, uint32_t found, struct tt_err *err)
{
    return tt_err_set(err, TT_EFORMAT, "%s: offset %" PRIu64 ": key %s: expected CRC-32 %08" PRIx32 ", found %08" PRIx32
                      ": the bytes are damaged", path, offset, fqn, expected, found);
}

/* The storage's record, made where it is new; under the lock. The map's keys lie in the records, so the map is made anew where
 * the records move. */
static tt_status find_storage(struct tt_verify *verify, struct tt_ckpt *ckpt, const struct view *view, struct tt_verify_storage **out, struct tt_err *err)
{
    struct tt_verify_storage fresh = { .key = { ckpt, view->offset, view->file, 0 }, .fqn = view->fqn, .nbytes = view->nbytes,
                                       .crc = view->crc };
    uint64_t i;

    if (tt_map_get(&verify->by_storage, (const char *)&fresh.key, sizeof fresh.key, &i)) {
        *out = &verify->items[i];
        return TT_OK;
    }
    if (verify->n == verify->cap) {
        const size_t cap = verify->cap ? verify->cap * 2 : 64;
        struct tt_verify_storage *items = realloc(verify->items, cap * sizeof *items);
        if (!items)
            return tt_err_nomem(err, cap * sizeof *items, "checksums");
        verify->items = items;
        verify->cap = cap;
        tt_map_release(&verify->by_storage);
        for (size_t k = 0; k < verify->n; k++) {
            const tt_status st =
                tt_map_put(&verify->by_storage, (const char *)&items[k].key, sizeof items[k].key, k, NULL, NULL, err);
            if (st != TT_OK)
                return st;
        }
    }
    struct tt_verify_storage *s = &verify->items[verify->n];
    *s = fresh;
    const tt_status st = tt_map_put(&verify->by_storage, (const char *)&s->key, sizeof s->key, verify->n, NULL, NULL, err);
    if (st == TT_OK) {
        verify->n++;
        *out = s;
    }
    return st;
}

static bool is_noted(const struct tt_reader *r, const struct view *view) { return view->crc != 0 && r->verify; }

static tt_status check_crc(const struct tt_reader *r, const struct view *view, uint32_t crc, struct tt_err *err)
{
    if (tt_crc32_agrees(view->crc, crc))
        return TT_OK;
    return tt_crc_damaged(r->file->path, view->fqn, view->offset, view->crc, crc, err);
}

/* Some bytes of the storage were read. */
static tt_status note_sum(struct tt_reader *r, const struct view *view, const struct tt_crc_sum *sum, struct tt_err *err)
{
    struct tt_verify_storage *s = NULL;
    bool whole = false;
    uint32_t crc = 0;

    pthread_mutex_lock(&r->verify->lock);
    const tt_status st = find_storage(r->verify, r->ckpt, view, &s, err);
    if (st == TT_OK && !s->is_done) {
        tt_crc_sum_join(&s->read, sum);
        whole = s->is_done = tt_crc_sum_is_whole(&s->read, view->nbytes);
        crc = s->read.crc;
    }
    pthread_mutex_unlock(&r->verify->lock);
    return whole ? check_crc(r, view, crc, err) : st;
}

/* Bytes [begin, begin + nbytes) of the storage were read. */
static tt_status note_read(struct tt_reader *r, const struct view *view, uint64_t begin, const void *bytes, uint64_t nbytes,
                           struct tt_err *err)
{
    struct tt_crc_sum sum = { 0 };

    if (!is_noted(r, view))
        return TT_OK;
    const uint32_t crc = tt_crc32(0, bytes, (size_t)nbytes);
    if (nbytes == view->nbytes) /* most tensors are read in one go: no need to remember them */
        return check_crc(r, view, crc, err);
    tt_crc_sum_add(&sum, view->nbytes, begin, nbytes, crc);
    return note_sum(r, view, &sum, err);
}

/* Elements were asked for that reads may have covered in no tidy way. */
static tt_status note_wanted(struct tt_reader *r, const struct view *view, uint64_t nbytes, struct tt_err *err)
{
    struct tt_verify_storage *s = NULL;

    if (!is_noted(r, view))
        return TT_OK;
    pthread_mutex_lock(&r->verify->lock);
    const tt_status st = find_storage(r->verify, r->ckpt, view, &s, err);
    if (st == TT_OK)
        s->wanted += nbytes;
    pthread_mutex_unlock(&r->verify->lock);
    return st;
}

static tt_status read_again(const struct tt_verify_storage *s, uint8_t *buf, struct tt_err *err)
{
    struct tt_files *files = &s->key.ckpt->files;
    const struct tt_infile *file = NULL;
    tt_status st = tt_files_pin(files, s->key.file, &file, err);
    uint32_t crc = 0;

    if (st != TT_OK)
        return st;
    for (uint64_t at = 0; at < s->nbytes && st == TT_OK;) {
        const uint64_t left = s->nbytes - at, n = left < TT_PIECE_NBYTES ? left : TT_PIECE_NBYTES;
        st = tt_infile_pread(file, buf, (size_t)n, s->key.offset + at, err);
        if (st == TT_OK)
            crc = tt_crc32(crc, buf, (size_t)n);
        at += n;
    }
    if (st == TT_OK && !tt_crc32_agrees(s->crc, crc))
        st = tt_crc_damaged(file->path, s->fqn, s->key.offset, s->crc, crc, err);
    tt_files_unpin(files, s->key.file);
    return st;
}

tt_status tt_verify_finish(struct tt_verify *verify, struct tt_err *err)
{
    uint8_t *buf = NULL;
    tt_status st = TT_OK;

    for (size_t i = 0; i < verify->n && st == TT_OK; i++) {
        if (verify->items[i].is_done || verify->items[i].wanted < verify->items[i].nbytes)
            continue;
        if (!buf && !(buf = tt_io_buffer(TT_PIECE_NBYTES)))
            st = tt_err_nomem(err, TT_PIECE_NBYTES, "a buffer");
        if (st == TT_OK)
            st = read_again(&verify->items[i], buf, err);
        verify->items[i].is_done = st == TT_OK;
    }
    free(buf);
    return st;
}

void tt_verify_shares(const struct tt_verify *verify, struct tt_buf *shares)
{
    for (size_t i = 0; i < verify->n; i++) {
        const struct tt_verify_storage *s = &verify->items[i];
        const struct tt_entries *entries = &s->key.ckpt->entries;
        const struct tt_crc_share share = { .offset = s->key.offset,
                                            .nbytes = s->nbytes,
                                            .where = s->read.where,
                                            .found = s->read.crc,
                                            .file = s->key.file,
                                            .entry = (uint32_t)(tt_entries_find(entries, s->fqn) - entries->items),
                                            .crc = s->crc };
        if (!s->is_done)
            tt_buf_put(shares, &share, sizeof share);
    }
}

/* --- opening chunks ----------------------------------------------------------------------------------------------------------- */

static void view_strides(struct view *view, int ndim, const int64_t *sizes, const int64_t *strides)
{
    if (!strides)
        tt_strides_row_major(view->strides, ndim, sizes);
    else if (ndim)
        memcpy(view->strides, strides, (size_t)ndim * sizeof *strides);
}

tt_status tt_check_blob(const struct tt_entry *entry, const struct tt_chunk *chunk, const struct tt_value *root, const char *name,
                        struct tt_err *err)
{
    const struct tt_pt_tensor *t = root->kind == TT_V_TENSOR ? root->u.ref : NULL;
    char a[200], b[200];

    if (!t)
        return tt_err_set(err, TT_EFORMAT, "%s: expected a tensor, found %s", name, tt_value_kind_name(root->kind));
    if (t->dtype != entry->dtype)
        return tt_err_set(err, TT_EFORMAT, "%s: expected a tensor of torch.%s, found torch.%s", name, tt_dtype_name(entry->dtype),
                          tt_dtype_name(t->dtype));
    if (t->ndim != entry->ndim || (t->ndim && memcmp(t->shape, chunk->sizes, (size_t)t->ndim * sizeof *t->shape) != 0))
        return tt_err_set(err, TT_EFORMAT, "%s: expected a chunk of %s, found %s", name,
                          tt_dims_text(a, sizeof a, entry->ndim, chunk->sizes), tt_dims_text(b, sizeof b, t->ndim, t->shape));
    return TT_OK;
}

static tt_status open_blob(struct tt_reader *r, const struct tt_entry *entry, const struct tt_chunk *chunk, struct view *view,
                           struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_source src;
    struct tt_pt pt;
    tt_status st = tt_item_source(&src, &arena, r->ckpt, entry, chunk, err);

    const bool pinned = st == TT_OK;
    if (st == TT_OK)
        st = tt_pt_open(&pt, &arena, &src, err);
    if (st == TT_OK)
        st = tt_check_blob(entry, chunk, pt.root, src.name, err);
    if (st == TT_OK) {
        const struct tt_pt_tensor *t = pt.root->u.ref;
        *view = (struct view){ .file = chunk->file,
                               .offset = t->storage->offset,
                               .nbytes = t->storage->nbytes,
                               .crc = t->storage->crc,
                               .first = t->first };
        view_strides(view, t->ndim, t->shape, t->strides);
    }
    if (pinned)
        tt_files_unpin(&r->ckpt->files, chunk->file);
    tt_arena_release(&arena);
    return st;
}

static void open_raw(const struct tt_entry *entry, const struct tt_chunk *chunk, struct view *view)
{
    *view = (struct view){ .file = chunk->file, .offset = chunk->offset, .nbytes = chunk->nbytes, .crc = chunk->crc,
                           .first = chunk->first };
    view_strides(view, entry->ndim, chunk->sizes, chunk->strides);
}

static tt_status open_packed(struct tt_reader *r, const struct tt_entry *entry, const struct tt_chunk *chunk, struct view *view,
                             struct tt_err *err)
{
    struct tt_unpacked unpacked;
    const tt_status st = tt_unpack_open(r->ckpt, entry, chunk, r->verify != NULL, &unpacked, err);

    if (st != TT_OK)
        return st;
    *view = (struct view){ .packed = entry, .nbytes = unpacked.nbytes, .first = unpacked.first };
    memcpy(view->strides, unpacked.strides, sizeof view->strides);
    return TT_OK;
}

static tt_status open_chunk(struct tt_reader *r, const struct tt_entry *entry, const struct tt_chunk *chunk,
                            const struct view **out, struct tt_err *err)
{
    struct view *slot = &r->views[(uintptr_t)chunk / sizeof *chunk % NVIEWS];
    struct view view = { 0 };
    tt_status st = TT_OK;

    if (slot->chunk == chunk) {
        *out = slot;
        return TT_OK;
    }
    switch (chunk->codec) {
    case TT_CODEC_BLOB: st = open_blob(r, entry, chunk, &view, err); break;
    case TT_CODEC_ZSTD: st = open_packed(r, entry, chunk, &view, err); break;
    case TT_CODEC_RAW: open_raw(entry, chunk, &view); break;
    case TT_CODEC_MEMORY:
        view.data = chunk->data;
        view.first = chunk->first;
        view_strides(&view, entry->ndim, chunk->sizes, chunk->strides);
        break;
    }
    if (st != TT_OK)
        return st;
    view.chunk = chunk;
    view.fqn = entry->fqn;
    *slot = view;
    *out = slot;
    return TT_OK;
}

/* Bytes [begin, begin + nbytes) of the storage. */
static tt_status read_bytes(struct tt_reader *r, const struct view *view, void *dst, uint64_t nbytes, uint64_t begin,
                            struct tt_err *err)
{
    if (view->packed)
        return tt_unpack_read(r->ckpt, view->packed, view->chunk, r->verify != NULL, dst, (size_t)nbytes, begin, err);
    return tt_infile_pread(r->file, dst, (size_t)nbytes, view->offset + begin, err);
}

/* --- reading boxes ------------------------------------------------------------------------------------------------------------ */

struct box {
    int ndim;
    int64_t sizes[TT_NDIM_MAX], src[TT_NDIM_MAX], dst[TT_NDIM_MAX]; /* sizes, and strides on both sides */
    size_t unit; /* bytes of an element */
};

static int widest(const struct box *b)
{
    int d = -1;
    for (int i = 0; i < b->ndim; i++)
        if (b->sizes[i] > 1 && (d < 0 || b->src[i] > b->src[d]))
            d = i;
    return d;
}

/* A box as what it is in the file: runs of elements that lie apart. */
struct runs {
    int dims[TT_NDIM_MAX]; /* of the box, those that are more than one, by their stride in the file: the largest first ... */
    int outer;             /* ... as many as a run is one step of */
    int64_t length, n;     /* elements of a run, and runs */
    int64_t strides[TT_NDIM_MAX]; /* (ndim of the box) of the elements, the runs one behind the other */
};

static struct runs runs_of(const struct box *b)
{
    struct runs r = { .length = 1, .n = 1 };
    int64_t below = 1;

    for (int i = 0; i < b->ndim; i++) {
        int k = r.outer;
        if (b->sizes[i] == 1)
            continue;
        for (; k > 0 && b->src[r.dims[k - 1]] < b->src[i]; k--)
            r.dims[k] = r.dims[k - 1];
        r.dims[k] = i;
        r.outer++;
    }
    for (int k = r.outer; k-- > 0;) {
        r.strides[r.dims[k]] = below;
        below *= b->sizes[r.dims[k]];
    }
    while (r.outer > 0 && b->src[r.dims[r.outer - 1]] == r.length)
        r.length *= b->sizes[r.dims[--r.outer]];
    for (int k = 0; k < r.outer; k++)
        r.n *= b->sizes[r.dims[k]];
    return r;
}

/* Does a reader that reads exactly take these apart? */
static bool is_exact(const struct tt_reader *r, const struct box *b, const struct runs *runs)
{
    return r->exact && runs->n > 1 && runs->length * (int64_t)b->unit >= EXACT_RUN_NBYTES;
}

/* A walk over the runs of a box: where each lies. */
struct walk {
    int64_t at, i; /* in elements of the storage; its number */
    int64_t index[TT_NDIM_MAX];
};

static void go_on(struct walk *w, const struct box *b, const struct runs *runs)
{
    w->i++;
    for (int k = runs->outer - 1; k >= 0; k--) {
        const int d = runs->dims[k];
        w->at += b->src[d];
        if (++w->index[k] < b->sizes[d])
            break;
        w->at -= b->src[d] * b->sizes[d];
        w->index[k] = 0;
    }
}

/* Each run by a call of its own, one behind the other into `to`. wait: for the disk. False: a call failed, or, without waiting, not all of
 * them were in the page cache. */
static bool read_runs(const struct tt_reader *r, const struct view *view, const struct box *b, const struct runs *runs, int64_t at,
                      char *to, bool wait)
{
    const size_t nbytes = (size_t)runs->length * b->unit;

    for (struct walk w = { .at = at }; w.i < runs->n; go_on(&w, b, runs)) {
        const uint64_t offset = view->offset + (uint64_t)w.at * b->unit;
        char *run = to + (size_t)w.i * nbytes;
        if (!tt_infile_pread_cached(r->file, run, nbytes, offset) &&
            !(wait && tt_infile_pread(r->file, run, nbytes, offset, NULL) == TT_OK))
            return false;
    }
    return true;
}

/* The runs were read: one behind the other, or (apart) with what lies between them. Where others read that, they are noted. */
static tt_status note_runs(struct tt_reader *r, const struct view *view, const struct box *b, const struct runs *runs, int64_t at,
                           const char *bytes, bool apart, struct tt_err *err)
{
    const size_t nbytes = (size_t)runs->length * b->unit;
    struct tt_crc_sum sum = { 0 };
    struct tt_crc_comb comb = tt_crc_comb_begin(&sum, view->nbytes, nbytes);

    if (!is_noted(r, view) || !r->verify->is_shared)
        return TT_OK;
    for (struct walk w = { .at = at }; w.i < runs->n; go_on(&w, b, runs)) {
        const size_t from = apart ? (size_t)(w.at - at) * b->unit : (size_t)w.i * nbytes;
        tt_crc_comb_add(&comb, (uint64_t)w.at * b->unit, tt_crc32(0, bytes + from, nbytes));
    }
    tt_crc_comb_end(&comb);
    return note_sum(r, view, &sum, err);
}

/* Reads the box without what lies between its runs, where that is asked for or worth it: it lies far apart, and in the page cache. What is
 * not there comes with larger reads, which wait for the disk less often; what is compressed is decoded as a whole anyway. */
static tt_status read_apart(struct tt_reader *r, const struct view *view, const struct box *b, int64_t numel, int64_t span,
                            int64_t at, char *dst, bool *done, struct tt_err *err)
{
    const int64_t call = CALL_NBYTES / (int64_t)b->unit;

    *done = false;
    if (view->packed || numel > (int64_t)(TT_BLOCK_NBYTES / b->unit) || (!r->exact && (span - numel) / call <= 1))
        return TT_OK;
    const struct runs runs = runs_of(b);
    const bool exact = is_exact(r, b, &runs);
    bool in_place = true;
    if (!exact && ((span - numel) / call <= 1 || (span - numel) / runs.n < call))
        return TT_OK;
    for (int d = 0; d < b->ndim; d++)
        in_place &= b->sizes[d] == 1 || b->dst[d] == runs.strides[d];
    char *to = in_place ? dst : tt_io_buffer_once(r->scratch, TT_BLOCK_NBYTES);
    if (!to || !read_runs(r, view, b, &runs, at, to, exact))
        return TT_OK;
    if (!in_place)
        tt_box_copy(dst, b->dst, to, runs.strides, b->ndim, b->sizes, b->unit);
    *done = true;
    return note_runs(r, view, b, &runs, at, to, false, err);
}

/* The box, its first element at `at` of the storage. It is read as one run of bytes where that does not waste much, else in two
 * halves, cut where it is widest in the file. */
static tt_status read_box(struct tt_reader *r, const struct view *view, const struct box *b, int64_t at, char *dst,
                          struct tt_err *err)
{
    int64_t numel = 1, span = 1;
    for (int i = 0; i < b->ndim; i++) {
        numel *= b->sizes[i];
        span += (b->sizes[i] - 1) * b->src[i];
    }
    const uint64_t begin = (uint64_t)at * b->unit, nbytes = (uint64_t)span * b->unit;
    const bool src_dense = tt_strides_are_row_major(b->ndim, b->sizes, b->src);

    if (src_dense && tt_strides_are_row_major(b->ndim, b->sizes, b->dst)) {
        const tt_status st = read_bytes(r, view, dst, nbytes, begin, err);
        return st == TT_OK ? note_read(r, view, begin, dst, nbytes, err) : st;
    }
    bool done;
    tt_status st = read_apart(r, view, b, numel, span, at, dst, &done, err);
    if (done)
        return st;
    if (nbytes <= TT_BLOCK_NBYTES && (nbytes <= SMALL_SPAN_NBYTES || span / WASTE_MAX <= numel)) {
        void *scratch = tt_io_buffer_once(r->scratch, TT_BLOCK_NBYTES);
        st = scratch ? read_bytes(r, view, scratch, nbytes, begin, err) : tt_err_nomem(err, TT_BLOCK_NBYTES, "a buffer");
        if (st == TT_OK && span == numel) {
            st = note_read(r, view, begin, scratch, nbytes, err);
        } else if (st == TT_OK) {
            const struct runs runs = runs_of(b);
            st = note_runs(r, view, b, &runs, at, scratch, true, err);
        }
        if (st == TT_OK)
            tt_box_copy(dst, b->dst, scratch, b->src, b->ndim, b->sizes, b->unit);
        return st;
    }
    const int d = widest(b); /* a span over one element has a dimension of more than one */
    struct box low = *b, high = *b;
    low.sizes[d] = b->sizes[d] / 2;
    high.sizes[d] = b->sizes[d] - low.sizes[d];
    st = read_box(r, view, &low, at, dst, err);
    return st != TT_OK ? st
                       : read_box(r, view, &high, at + low.sizes[d] * b->src[d],
                                  dst + low.sizes[d] * b->dst[d] * (int64_t)b->unit, err);
}

/* `part` of the chunk, in the tensor's coordinates, into dst, which holds `want` row-major. */
static tt_status read_chunk(struct tt_reader *r, const struct tt_entry *entry, const struct tt_chunk *chunk,
                            const struct tt_region *part, const struct tt_region *want, char *dst, struct tt_err *err)
{
    const struct view *view = NULL;
    tt_status st = open_chunk(r, entry, chunk, &view, err);
    if (st != TT_OK)
        return st;

    struct box b = { .ndim = entry->ndim, .unit = tt_dtype_nbytes(entry->dtype) };
    int64_t at = view->first, to = 0, numel = 1;
    tt_strides_row_major(b.dst, b.ndim, want->size);
    for (int d = 0; d < b.ndim; d++) {
        b.sizes[d] = part->size[d];
        b.src[d] = view->strides[d];
        at += (part->offset[d] - chunk->offsets[d]) * view->strides[d];
        to += (part->offset[d] - want->offset[d]) * b.dst[d];
        numel *= part->size[d];
    }
    dst += to * (int64_t)b.unit;
    if (view->data) {
        tt_box_copy(dst, b.dst, (const char *)view->data + at * (int64_t)b.unit, b.src, b.ndim, b.sizes, b.unit);
        return TT_OK;
    }
    if (view->packed)
        return read_box(r, view, &b, at, dst, err);
    st = tt_files_pin(&r->ckpt->files, view->file, &r->file, err);
    if (st != TT_OK)
        return st;
    st = read_box(r, view, &b, at, dst, err);
    if (st == TT_OK && (uint64_t)numel * b.unit < view->nbytes)
        st = note_wanted(r, view, (uint64_t)numel * b.unit, err);
    tt_files_unpin(&r->ckpt->files, view->file);
    return st;
}

tt_status tt_read_region(struct tt_reader *r, const struct tt_entry *entry, const struct tt_region *want, void *dst,
                         struct tt_err *err)
{
    if (tt_region_is_empty(want))
        return TT_OK;
    struct tt_chunk_search search = tt_chunks_in(entry, want);
    for (const struct tt_chunk *chunk; (chunk = tt_chunks_next(&search));) {
        struct tt_region part = tt_region_make(entry->ndim, chunk->offsets, chunk->sizes);
        tt_region_intersect(&part, &part, want);
        const tt_status st = read_chunk(r, entry, chunk, &part, want, dst, err);
        if (st != TT_OK)
            return st;
    }
    return TT_OK;
}

tt_status tt_reader_stored(struct tt_reader *r, const struct tt_entry *entry, const struct tt_chunk *chunk, struct tt_stored *out,
                           struct tt_err *err)
{
    const struct view *view = NULL;
    int64_t numel = 0;

    *out = (struct tt_stored){ 0 };
    if (chunk->file == TT_FILE_NONE || (chunk->codec != TT_CODEC_BLOB && chunk->codec != TT_CODEC_RAW))
        return TT_OK;
    const tt_status st = open_chunk(r, entry, chunk, &view, err);
    if (st != TT_OK)
        return st;
    *out = (struct tt_stored){ .file = view->file, .offset = view->offset, .nbytes = view->nbytes, .crc = view->crc };
    out->is_plain = view->first == 0 && tt_strides_are_row_major(entry->ndim, chunk->sizes, view->strides) &&
                    tt_numel(entry->ndim, chunk->sizes, &numel) && (uint64_t)numel * tt_dtype_nbytes(entry->dtype) == view->nbytes;
    return TT_OK;
}

tt_status tt_reader_new(struct tt_reader **out, struct tt_ckpt *ckpt, struct tt_verify *verify, uint8_t **scratch,
                        struct tt_err *err)
{
    struct tt_reader *r = calloc(1, sizeof *r);
    if (!r)
        return tt_err_nomem(err, sizeof *r, "a reader");
    r->scratch = scratch ? scratch : &r->own;
    r->ckpt = ckpt;
    r->verify = verify;
    *out = r;
    return TT_OK;
}

const struct tt_ckpt *tt_reader_ckpt(const struct tt_reader *r) { return r->ckpt; }

void tt_reader_read_exactly(struct tt_reader *r) { r->exact = true; }

void tt_reader_free(struct tt_reader *r)
{
    if (!r)
        return;
    free(r->own);
    free(r);
}
