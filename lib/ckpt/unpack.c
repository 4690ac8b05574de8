#include "ckpt/unpack.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/ckpt_private.h"
#include "format/pt.h"
#include "format/zstd.h"

enum {
    HEAD_NBYTES = 1 << 16,  /* of each item that is open, its first bytes stay in memory; smaller items are those */
    TAIL_NBYTES = 1 << 20,  /* the most that an item holds beside its tensor */
    BLOCK_NBYTES = 1 << 18, /* what is decoded at a time, where nobody waits for it */
    OPEN_MAX = 8,           /* items that are decoded a part of; each has a window, 2 MiB at zstd's level 3 */
    ASIDE_MAX = 8,          /* ranges of an item that were passed over and kept, and */
    ASIDE_NBYTES = 16 << 20, /* how long each may be: what threads that read one item are apart */
    WINDOW_NBYTES = 8 << 20, /* items that need a larger one are decoded one at a time */
    VALUE_NBYTES_MAX = 1 << 30, /* of a value, for which .metadata has no size */
};

/* An item that is open: what is known of it, and how far it is decoded. */
struct item {
    const struct tt_entry *entry;
    const struct tt_chunk *chunk;
    struct item *next;
    int nusers;    /* this, and `used`, are the list's */
    uint64_t used; /* the clock when it was asked for last */
    pthread_mutex_t lock; /* over all that follows */
    bool check_crc, opened, has_view, is_spilled;
    tt_status status; /* of its failure, which everyone gets who asks */
    struct tt_err err;
    struct tt_arena arena;
    struct tt_source src;
    struct tt_zstd_reader *zstd; /* NULL: decoded to its end */
    uint8_t *head; /* (nhead) */
    size_t nhead;
    uint64_t at; /* decoded bytes so far */
    uint64_t offset; /* of the storage, in the decoded item */
    struct tt_unpacked view;
    uint32_t crc; /* of the storage's bytes before `at` */
    bool has_base;
    uint64_t base; /* of the item in the spill file: where it would lie as a whole */
    struct { uint64_t begin, end; } aside[ASIDE_MAX]; /* what lies there */
    int naside;
};

/* An item that lies in the spill file. */
struct spilled {
    const struct tt_chunk *chunk; /* the key */
    uint64_t offset, nbytes;      /* of the storage, in the spill file */
    int64_t first;
    int64_t *strides; /* (ndim), owned */
};

struct tt_unpack {
    pthread_mutex_t lock; /* over the lists */
    struct item *items;
    int nitems;
    uint64_t clock;
    struct spilled **spilled;
    size_t nspilled, spilled_cap;
    struct tt_map by_chunk; /* index of spilled */
    pthread_mutex_t big;    /* held while an item of a large window is decoded */
};

uint64_t tt_chunk_decoded_nbytes(const struct tt_entry *entry, const struct tt_chunk *chunk)
{
    int64_t numel = 0;
    uint64_t nbytes = 0;
    if (entry->kind != TT_ENTRY_TENSOR || !tt_numel(entry->ndim, chunk->sizes, &numel) ||
        __builtin_mul_overflow((uint64_t)numel, tt_dtype_nbytes(entry->dtype), &nbytes))
        return 0;
    return nbytes;
}

/* --- the list ------------------------------------------------------------------------------------------------------------------- */

tt_status tt_unpack_new(struct tt_unpack **out, struct tt_err *err)
{
    struct tt_unpack *u = calloc(1, sizeof *u);
    if (!u)
        return tt_err_nomem(err, sizeof *u, "compressed items");
    pthread_mutex_init(&u->lock, NULL);
    pthread_mutex_init(&u->big, NULL);
    *out = u;
    return TT_OK;
}

/* Nobody uses it. What was not read to its end is spilled if it is asked for again: it is decoded at most twice. */
static void close_item(struct item *it, struct tt_files *files)
{
    if (it->opened && it->zstd)
        it->entry->chunks[it->chunk - it->entry->chunks].readers = 2;
    if (it->has_base)
        tt_files_spill_give(files, tt_chunk_decoded_nbytes(it->entry, it->chunk) + TAIL_NBYTES, it->base);
    if (it->src.file)
        tt_files_unpin(files, it->chunk->file);
    tt_zstd_reader_free(it->zstd);
    free(it->head);
    tt_arena_release(&it->arena);
    pthread_mutex_destroy(&it->lock);
    free(it);
}

void tt_unpack_free(struct tt_unpack *u, struct tt_files *files)
{
    if (!u)
        return;
    for (struct item *it = u->items, *next; it; it = next) {
        next = it->next;
        close_item(it, files);
    }
    for (size_t i = 0; i < u->nspilled; i++) {
        free(u->spilled[i]->strides);
        free(u->spilled[i]);
    }
    free(u->spilled);
    tt_map_release(&u->by_chunk);
    pthread_mutex_destroy(&u->lock);
    pthread_mutex_destroy(&u->big);
    free(u);
}

/* Room in the list: the item that was not asked for for longest goes. */
static void make_room(struct tt_unpack *u, struct tt_files *files)
{
    while (u->nitems >= OPEN_MAX) {
        struct item **oldest = NULL;
        for (struct item **p = &u->items; *p; p = &(*p)->next)
            if ((*p)->nusers == 0 && (!oldest || (*p)->used < (*oldest)->used))
                oldest = p;
        if (!oldest)
            return;
        struct item *it = *oldest;
        *oldest = it->next;
        u->nitems--;
        close_item(it, files);
    }
}

static tt_status find_item(struct tt_unpack *u, struct tt_files *files, const struct tt_entry *entry, const struct tt_chunk *chunk,
                           bool check_crc, struct item **out, struct tt_err *err)
{
    struct item *it = u->items;

    while (it && it->chunk != chunk)
        it = it->next;
    if (!it) {
        make_room(u, files);
        it = calloc(1, sizeof *it);
        if (!it)
            return tt_err_nomem(err, sizeof *it, "a compressed item");
        pthread_mutex_init(&it->lock, NULL);
        it->entry = entry;
        it->chunk = chunk;
        it->check_crc = check_crc;
        it->next = u->items;
        u->items = it;
        u->nitems++;
    }
    it->nusers++;
    it->used = ++u->clock;
    *out = it;
    return TT_OK;
}

/* Either of them: the other is NULL. */
static tt_status take(struct tt_ckpt *ckpt, const struct tt_entry *entry, const struct tt_chunk *chunk, bool check_crc,
                      struct item **item, const struct spilled **spilled, struct tt_err *err)
{
    struct tt_unpack *u = ckpt->unpack;
    uint64_t i;
    tt_status st = TT_OK;

    *item = NULL;
    *spilled = NULL;
    pthread_mutex_lock(&u->lock);
    if (tt_map_get(&u->by_chunk, (const char *)&chunk, sizeof(chunk), &i))
        *spilled = u->spilled[i];
    else
        st = find_item(u, &ckpt->files, entry, chunk, check_crc, item, err);
    pthread_mutex_unlock(&u->lock);
    return st;
}

static void give(struct tt_unpack *u, struct item *it)
{
    pthread_mutex_lock(&u->lock);
    it->nusers--;
    pthread_mutex_unlock(&u->lock);
}

/* --- decoding ------------------------------------------------------------------------------------------------------------------- */

static tt_status bad(const struct item *it, struct tt_err *err, const char *what)
{
    return tt_err_set(err, TT_EFORMAT, "%s: %s", it->src.name, what);
}

/* The next nbytes, or what is left of the item. What of them is the storage's counts for its CRC. */
static tt_status decode(struct item *it, void *dst, size_t nbytes, size_t *got, struct tt_err *err)
{
    const tt_status st = tt_zstd_read(it->zstd, dst, nbytes, got, err);
    if (st != TT_OK)
        return st;
    if (it->has_view) {
        const uint64_t end = it->offset + it->view.nbytes, stop = it->at + *got < end ? it->at + *got : end;
        const uint64_t begin = it->at > it->offset ? it->at : it->offset;
        if (begin < stop)
            it->crc = tt_crc32(it->crc, (const uint8_t *)dst + (begin - it->at), (size_t)(stop - begin));
    }
    it->at += *got;
    return TT_OK;
}

static tt_status decode_exactly(struct item *it, void *dst, size_t nbytes, struct tt_err *err)
{
    size_t got = 0;
    const tt_status st = decode(it, dst, nbytes, &got, err);
    return st == TT_OK && got < nbytes ? bad(it, err, "decoded, it ends before its tensor does") : st;
}

/* From the item's first byte on, to the end of its head. */
static tt_status begin(struct item *it, struct tt_err *err)
{
    tt_zstd_reader_free(it->zstd);
    it->zstd = NULL;
    it->at = 0;
    it->crc = 0;
    tt_status st = tt_zstd_reader_new(&it->zstd, &it->src, tt_chunk_decoded_nbytes(it->entry, it->chunk) + TAIL_NBYTES, err);
    if (st == TT_OK && !it->head && !(it->head = malloc(HEAD_NBYTES)))
        st = tt_err_nomem(err, HEAD_NBYTES, it->src.name);
    return st == TT_OK ? decode(it, it->head, HEAD_NBYTES, &it->nhead, err) : st;
}

/* Where the tensor is, from what is known of its archive: all of it (src has its directory), or what is before its storage. */
static tt_status read_view(struct item *it, const struct tt_source *src, const struct tt_zip *prefix, uint64_t *offset,
                           struct tt_unpacked *view, uint32_t *crc, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_pt pt;
    tt_status st = prefix ? tt_pt_open_records(&pt, &arena, src, prefix, err) : tt_pt_open(&pt, &arena, src, err);

    if (st == TT_OK)
        st = tt_check_blob(it->entry, it->chunk, pt.root, src->name, err);
    if (st == TT_OK) {
        const struct tt_pt_tensor *t = pt.root->u.ref;
        *offset = t->storage->offset - src->offset;
        *crc = t->storage->crc;
        *view = (struct tt_unpacked){ .nbytes = t->storage->nbytes, .first = t->first };
        if (t->ndim)
            memcpy(view->strides, t->strides, (size_t)t->ndim * sizeof *t->strides);
    }
    tt_arena_release(&arena);
    return st;
}

/* What the whole archive says is what its beginning said, and the CRC is that of the bytes which were decoded. */
static tt_status check_view(struct item *it, const struct tt_source *src, struct tt_err *err)
{
    struct tt_unpacked view;
    uint64_t offset = 0;
    uint32_t crc = 0;
    const tt_status st = read_view(it, src, NULL, &offset, &view, &crc, err);

    if (st != TT_OK)
        return st;
    if (offset != it->offset || memcmp(&view, &it->view, sizeof view) != 0)
        return bad(it, err, "its directory and its headers disagree about its storage");
    if (it->check_crc && !tt_crc32_agrees(crc, it->crc))
        return tt_err_set(err, TT_EFORMAT, "%s: expected CRC-32 %08" PRIx32 ", found %08" PRIx32 ": the bytes are damaged",
                          it->src.name, crc, it->crc);
    return TT_OK;
}

/* The storage's last byte was decoded: the rest of the item tells whether all is well. */
static tt_status finish(struct item *it, struct tt_err *err)
{
    const uint64_t tail_offset = it->at;
    uint8_t *tail = malloc(TAIL_NBYTES);
    size_t n = 0;
    tt_status st = tail ? decode(it, tail, TAIL_NBYTES, &n, err) : tt_err_nomem(err, TAIL_NBYTES, it->src.name);

    if (st == TT_OK && n == TAIL_NBYTES)
        st = bad(it, err, "decoded, it holds more than its tensor");
    if (st == TT_OK) {
        const struct tt_source src = { .data = it->head, .head_end = it->nhead, .tail = tail, .tail_offset = tail_offset,
                                       .nbytes = tail_offset + n, .name = it->src.name };
        st = check_view(it, &src, err);
    }
    free(tail);
    tt_zstd_reader_free(it->zstd);
    it->zstd = NULL;
    return st;
}

/* --- spilling ------------------------------------------------------------------------------------------------------------------- */

static tt_status take_base(struct tt_ckpt *ckpt, struct item *it, struct tt_err *err)
{
    if (it->has_base)
        return TT_OK;
    const tt_status st =
        tt_files_spill_take(&ckpt->files, tt_chunk_decoded_nbytes(it->entry, it->chunk) + TAIL_NBYTES, &it->base, err);
    it->has_base = st == TT_OK;
    return st;
}

static tt_status note_spilled(struct tt_unpack *u, struct item *it, struct tt_err *err)
{
    const size_t ndim = (size_t)it->entry->ndim;
    struct spilled *s = calloc(1, sizeof *s);
    tt_status st = TT_OK;

    if (!s || !(s->strides = calloc(ndim + 1, sizeof *s->strides))) {
        free(s);
        return tt_err_nomem(err, sizeof *s, "spilled items");
    }
    s->chunk = it->chunk;
    s->offset = it->base + it->offset;
    s->nbytes = it->view.nbytes;
    s->first = it->view.first;
    memcpy(s->strides, it->view.strides, ndim * sizeof *s->strides);
    pthread_mutex_lock(&u->lock);
    if (u->nspilled == u->spilled_cap) {
        const size_t cap = u->spilled_cap ? u->spilled_cap * 2 : 64;
        struct spilled **items = realloc(u->spilled, cap * sizeof(struct spilled *));
        st = items ? TT_OK : tt_err_nomem(err, cap * sizeof *items, "spilled items");
        u->spilled = items ? items : u->spilled;
        u->spilled_cap = items ? cap : u->spilled_cap;
    }
    if (st == TT_OK)
        st = tt_map_put(&u->by_chunk, (const char *)&s->chunk, sizeof s->chunk, u->nspilled, NULL, NULL, err);
    if (st == TT_OK)
        u->spilled[u->nspilled++] = s;
    pthread_mutex_unlock(&u->lock);
    if (st != TT_OK) {
        free(s->strides);
        free(s);
    }
    return st;
}

/* The CRC of a storage that was not known while it was decoded. */
static tt_status crc_of_spill(struct tt_ckpt *ckpt, struct item *it, uint8_t *block, struct tt_err *err)
{
    tt_status st = TT_OK;

    it->crc = 0;
    for (uint64_t done = 0; done < it->view.nbytes && st == TT_OK;) {
        const uint64_t left = it->view.nbytes - done, n = left < BLOCK_NBYTES ? left : BLOCK_NBYTES;
        st = tt_infile_pread(&ckpt->files.spill, block, (size_t)n, it->base + it->offset + done, err);
        if (st == TT_OK)
            it->crc = tt_crc32(it->crc, block, (size_t)n);
        done += n;
    }
    return st;
}

static tt_status decode_into_spill(struct tt_ckpt *ckpt, struct item *it, uint8_t *block, struct tt_err *err)
{
    size_t got = BLOCK_NBYTES;
    tt_status st = it->zstd && it->at == it->nhead ? TT_OK : begin(it, err);

    if (st == TT_OK)
        st = tt_files_spill_write(&ckpt->files, it->head, it->nhead, it->base, err);
    while (st == TT_OK && got == BLOCK_NBYTES) {
        const uint64_t at = it->at;
        st = decode(it, block, BLOCK_NBYTES, &got, err);
        if (st == TT_OK)
            st = tt_files_spill_write(&ckpt->files, block, got, it->base + at, err);
    }
    return st;
}

/* All of the item, in its place in the spill file, from where it is read from now on. */
static tt_status spill(struct tt_ckpt *ckpt, struct item *it, struct tt_err *err)
{
    uint8_t *block = malloc(BLOCK_NBYTES);
    tt_status st = block ? take_base(ckpt, it, err) : tt_err_nomem(err, BLOCK_NBYTES, it->src.name);

    if (st == TT_OK)
        st = decode_into_spill(ckpt, it, block, err);
    const struct tt_source src = { .file = &ckpt->files.spill, .offset = it->base, .nbytes = it->at, .name = it->src.name };
    if (st == TT_OK && !it->has_view) {
        uint32_t crc;
        st = read_view(it, &src, NULL, &it->offset, &it->view, &crc, err);
        if (st == TT_OK)
            st = crc_of_spill(ckpt, it, block, err);
        it->has_view = st == TT_OK;
    }
    if (st == TT_OK)
        st = check_view(it, &src, err);
    if (st == TT_OK)
        st = note_spilled(ckpt->unpack, it, err);
    if (st == TT_OK) { /* its room is the list's of spilled items now */
        it->has_base = false;
        it->is_spilled = true;
    }
    tt_zstd_reader_free(it->zstd);
    it->zstd = NULL;
    free(block);
    return st;
}

/* --- opening -------------------------------------------------------------------------------------------------------------------- */

/* The head is there. A small item is all there is; of a larger one the head tells where its storage begins, most often. */
static tt_status look_at_head(struct tt_ckpt *ckpt, struct item *it, struct tt_err *err)
{
    const struct tt_source src = { .data = it->head, .nbytes = it->nhead, .name = it->src.name };
    struct tt_zip zip;
    uint32_t crc = 0;

    if (it->nhead < HEAD_NBYTES) {
        tt_status st = read_view(it, &src, NULL, &it->offset, &it->view, &crc, err);
        if (st == TT_OK)
            it->crc = tt_crc32(0, it->head + it->offset, (size_t)it->view.nbytes);
        it->has_view = st == TT_OK;
        tt_zstd_reader_free(it->zstd);
        it->zstd = NULL;
        return st == TT_OK ? check_view(it, &src, err) : st;
    }
    if (tt_zip_prefix(&zip, &it->arena, it->head, it->nhead)) {
        const tt_status st = read_view(it, &src, &zip, &it->offset, &it->view, &crc, err);
        if (st != TT_OK)
            return st;
        it->has_view = it->offset < it->nhead && it->view.nbytes > it->nhead - it->offset;
        if (it->has_view)
            it->crc = tt_crc32(0, it->head + it->offset, (size_t)(it->nhead - it->offset));
    }
    return !it->has_view || it->chunk->readers > 1 ? spill(ckpt, it, err) : TT_OK;
}

static tt_status open_item(struct tt_ckpt *ckpt, struct item *it, struct tt_err *err)
{
    uint64_t window = 0;
    tt_status st = tt_item_source(&it->src, &it->arena, ckpt, it->entry, it->chunk, err);

    if (st == TT_OK)
        st = tt_zstd_window(&it->src, &window, err);
    if (st != TT_OK)
        return st;
    const bool big = window > WINDOW_NBYTES;
    if (big)
        pthread_mutex_lock(&ckpt->unpack->big);
    st = begin(it, err);
    if (st == TT_OK)
        st = look_at_head(ckpt, it, err);
    if (st == TT_OK && big && it->zstd)
        st = spill(ckpt, it, err);
    if (big)
        pthread_mutex_unlock(&ckpt->unpack->big);
    return st;
}

/* The item, open and locked; or that it is spilled. */
static tt_status enter(struct tt_ckpt *ckpt, const struct tt_entry *entry, const struct tt_chunk *chunk, bool check_crc,
                       struct item **out, const struct spilled **spilled, struct tt_err *err)
{
    tt_status st = take(ckpt, entry, chunk, check_crc, out, spilled, err);
    struct item *it = *out;

    if (st != TT_OK || !it)
        return st;
    pthread_mutex_lock(&it->lock);
    if (!it->opened) {
        it->status = open_item(ckpt, it, &it->err);
        it->opened = true;
    }
    if (it->status != TT_OK)
        st = tt_err_set(err, it->status, "%s", it->err.msg);
    if (st != TT_OK) {
        pthread_mutex_unlock(&it->lock);
        give(ckpt->unpack, it);
        *out = NULL;
    }
    return st;
}

static void leave(struct tt_ckpt *ckpt, struct item *it)
{
    pthread_mutex_unlock(&it->lock);
    give(ckpt->unpack, it);
}

tt_status tt_unpack_open(struct tt_ckpt *ckpt, const struct tt_entry *entry, const struct tt_chunk *chunk, bool check_crc,
                         struct tt_unpacked *out, struct tt_err *err)
{
    const struct spilled *s = NULL;
    struct item *it = NULL;
    const tt_status st = enter(ckpt, entry, chunk, check_crc, &it, &s, err);

    if (st != TT_OK)
        return st;
    if (s) {
        *out = (struct tt_unpacked){ .nbytes = s->nbytes, .first = s->first };
        memcpy(out->strides, s->strides, (size_t)entry->ndim * sizeof *s->strides);
        return TT_OK;
    }
    *out = it->view;
    leave(ckpt, it);
    return TT_OK;
}

/* --- reading -------------------------------------------------------------------------------------------------------------------- */

/* Decodes [it->at, to) though nobody asked for it so far. Another thread is about to, where that is not much: then it is kept. */
static tt_status pass_over(struct tt_ckpt *ckpt, struct item *it, uint64_t to, struct tt_err *err)
{
    /* Where there is no place to keep it, it is decoded again when it is asked for, if it is. */
    const bool keep = to - it->at <= ASIDE_NBYTES && it->naside < ASIDE_MAX && take_base(ckpt, it, NULL) == TT_OK;
    const uint64_t from = it->at;
    uint8_t *block = malloc(BLOCK_NBYTES);
    tt_status st = block ? TT_OK : tt_err_nomem(err, BLOCK_NBYTES, it->src.name);

    while (st == TT_OK && it->at < to) {
        const uint64_t at = it->at;
        const size_t n = to - at < BLOCK_NBYTES ? (size_t)(to - at) : BLOCK_NBYTES;
        st = decode_exactly(it, block, n, err);
        if (st == TT_OK && keep)
            st = tt_files_spill_write(&ckpt->files, block, n, it->base + at, err);
    }
    free(block);
    if (st == TT_OK && keep) {
        const bool follows = it->naside && it->aside[it->naside - 1].end == from;
        if (!follows)
            it->aside[it->naside++].begin = from;
        it->aside[it->naside - 1].end = to;
    }
    return st;
}

static bool is_aside(const struct item *it, uint64_t begin_at, uint64_t end)
{
    for (int i = 0; i < it->naside; i++)
        if (begin_at >= it->aside[i].begin && end <= it->aside[i].end)
            return true;
    return false;
}

/* The item is open. at counts from its first byte. */
static tt_status read_item(struct tt_ckpt *ckpt, struct item *it, uint8_t *dst, size_t nbytes, uint64_t at, struct tt_err *err)
{
    tt_status st = TT_OK;

    if (at < it->nhead) {
        const size_t n = it->nhead - at < nbytes ? it->nhead - (size_t)at : nbytes;
        memcpy(dst, it->head + at, n);
        dst += n;
        at += n;
        nbytes -= n;
    }
    if (nbytes == 0)
        return TT_OK;
    if (it->zstd && at >= it->at) {
        if (at > it->at)
            st = pass_over(ckpt, it, at, err);
        if (st == TT_OK)
            st = decode_exactly(it, dst, nbytes, err);
        return st == TT_OK && it->at == it->offset + it->view.nbytes ? finish(it, err) : st;
    }
    if (!it->is_spilled && !is_aside(it, at, at + nbytes))
        st = spill(ckpt, it, err);
    return st == TT_OK ? tt_infile_pread(&ckpt->files.spill, dst, nbytes, it->base + at, err) : st;
}

tt_status tt_unpack_read(struct tt_ckpt *ckpt, const struct tt_entry *entry, const struct tt_chunk *chunk, bool check_crc, void *dst,
                         size_t nbytes, uint64_t at, struct tt_err *err)
{
    const struct spilled *s = NULL;
    struct item *it = NULL;
    tt_status st = enter(ckpt, entry, chunk, check_crc, &it, &s, err);

    if (st != TT_OK)
        return st;
    if (s)
        return tt_infile_pread(&ckpt->files.spill, dst, nbytes, s->offset + at, err);
    st = read_item(ckpt, it, dst, nbytes, it->offset + at, err);
    if (st != TT_OK) {
        it->status = st;
        tt_err_set(&it->err, st, "%s", err ? err->msg : "");
    }
    leave(ckpt, it);
    return st;
}

/* --- whole items ---------------------------------------------------------------------------------------------------------------- */

/* A decoded item that outgrew its buffer: the rest goes behind it, into the spill file. */
static tt_status item_into_spill(struct tt_ckpt *ckpt, struct tt_zstd_reader *zstd, uint8_t *head, size_t nhead, uint64_t max_nbytes,
                                 struct tt_source *out, struct tt_err *err)
{
    uint64_t base = 0;
    size_t got = nhead;
    tt_status st = tt_files_spill_take(&ckpt->files, max_nbytes, &base, err);

    out->file = &ckpt->files.spill;
    out->offset = base;
    while (st == TT_OK && got > 0) {
        st = tt_files_spill_write(&ckpt->files, head, got, base + out->nbytes, err);
        out->nbytes += got;
        if (st == TT_OK)
            st = tt_zstd_read(zstd, head, nhead, &got, err);
    }
    return st;
}

tt_status tt_unpack_item(struct tt_ckpt *ckpt, const struct tt_entry *entry, const struct tt_chunk *chunk, struct tt_arena *arena,
                         struct tt_source *out, uint32_t *file, struct tt_err *err)
{
    const uint64_t max_nbytes = entry->kind == TT_ENTRY_TENSOR ? tt_chunk_decoded_nbytes(entry, chunk) + TAIL_NBYTES : VALUE_NBYTES_MAX;
    struct tt_zstd_reader *zstd = NULL;
    struct tt_source packed;
    uint8_t *head = NULL;
    size_t got = 0;
    tt_status st = tt_item_source(&packed, arena, ckpt, entry, chunk, err);

    if (st != TT_OK)
        return st;
    struct tt_source src = { .name = packed.name };
    if (!(head = malloc(TAIL_NBYTES)))
        st = tt_err_nomem(err, TAIL_NBYTES, packed.name);
    if (st == TT_OK)
        st = tt_zstd_reader_new(&zstd, &packed, max_nbytes, err);
    if (st == TT_OK)
        st = tt_zstd_read(zstd, head, TAIL_NBYTES, &got, err);
    const bool fits = got < TAIL_NBYTES;
    if (st == TT_OK && fits) {
        src.nbytes = got;
        src.data = (const uint8_t *)tt_arena_strn(arena, (const char *)head, got);
        st = src.data ? TT_OK : tt_err_nomem(err, got, packed.name);
    } else if (st == TT_OK) {
        st = item_into_spill(ckpt, zstd, head, got, max_nbytes, &src, err);
    }
    tt_zstd_reader_free(zstd);
    free(head);
    tt_files_unpin(&ckpt->files, chunk->file);
    if (st != TT_OK)
        return st;
    *file = fits ? TT_FILE_NONE : (uint32_t)ckpt->files.n;
    *out = src;
    return TT_OK;
}
