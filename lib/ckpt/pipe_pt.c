/* A torch zip as it passes by. The directory, which has all sizes, comes last; but data.pkl comes first and says how long each
 * storage is, and the other records are short: their descriptors, which follow them, are found by what they must hold. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/map.h"
#include "ckpt/ckpt_private.h"
#include "ckpt/pipe_private.h"
#include "format/pt.h"
#include "format/zip_private.h"

enum { SMALL_NBYTES_MAX = 1 << 16, NAME_NBYTES_MAX = 512 };
#define SIZE_UNKNOWN UINT64_MAX

struct walker {
    struct tt_arena *arena;
    struct tt_instream *in;
    struct tt_pt pt;
    struct tt_map by_key; /* of pt.storages */
    uint64_t nrecords;
    uint64_t nchecked, nbytes; /* against their CRCs */
    struct tt_err *err;
};

struct record {
    char name[NAME_NBYTES_MAX + 1]; /* behind the root */
    uint16_t flags;
    uint64_t header, data; /* offsets */
    uint64_t nbytes; /* SIZE_UNKNOWN where the descriptor says */
    struct tt_pt_storage *storage; /* whose bytes it has; NULL: another record */
};

static tt_status bad(const struct walker *w, uint64_t offset, const char *what)
{
    return tt_err_set(w->err, TT_EFORMAT, "%s: offset %" PRIu64 ": %s", w->in->name, offset, what);
}

static tt_status bad_record(const struct walker *w, const struct record *r, const char *what)
{
    return tt_err_set(w->err, TT_EFORMAT, "%s: offset %" PRIu64 ": record %s: %s", w->in->name, r->header, r->name, what);
}

/* --- headers ------------------------------------------------------------------------------------------------------------------ */

/* Sizes of the local header, where no descriptor follows. */
static tt_status header_size(const struct walker *w, struct record *r, const uint8_t *head, const uint8_t *extra, size_t nextra)
{
    const uint32_t csize = tt_load_le32(head + 18), usize = tt_load_le32(head + 22);

    if (csize != usize)
        return bad_record(w, r, "stored, but its two sizes differ");
    r->nbytes = usize;
    if (usize == ZIP_U32) {
        if (nextra < 12 || tt_load_le16(extra) != ZIP64_TAG || tt_load_le16(extra + 2) < 8)
            return bad_record(w, r, "expected a zip64 field with its size");
        r->nbytes = tt_load_le64(extra + 4);
    }
    return TT_OK;
}

static tt_status find_storage(struct walker *w, struct record *r)
{
    uint64_t i;

    if (strncmp(r->name, "data/", 5) != 0 || !tt_map_get(&w->by_key, r->name + 5, strlen(r->name + 5), &i))
        return TT_OK;
    r->storage = w->pt.storages[i];
    if (r->storage->offset)
        return bad_record(w, r, "it is there twice");
    if (r->flags & ZIP_FLAG_DESCRIPTOR)
        r->nbytes = r->storage->nbytes;
    if (r->nbytes != r->storage->nbytes)
        return tt_err_set(w->err, TT_EFORMAT, "%s: offset %" PRIu64 ": record %s: expected the %" PRIu64
                          " bytes of its storage, found %" PRIu64, w->in->name, r->header, r->name, r->storage->nbytes, r->nbytes);
    r->storage->offset = r->data;
    return TT_OK;
}

static tt_status read_header(struct walker *w, struct record *r)
{
    uint8_t head[ZIP_LOCAL_NBYTES], extra[UINT16_MAX];
    char name[NAME_NBYTES_MAX + 1] = { 0 };

    *r = (struct record){ .name = "?", .header = w->in->at, .nbytes = SIZE_UNKNOWN };
    tt_status st = tt_instream_take(w->in, head, sizeof head, w->err);
    if (st != TT_OK)
        return st;
    const size_t nname = tt_load_le16(head + 26), nextra = tt_load_le16(head + 28);
    if (nname > NAME_NBYTES_MAX)
        return bad(w, r->header, "a record's name of more than 512 bytes");
    st = tt_instream_take(w->in, name, nname, w->err);
    if (st == TT_OK)
        st = tt_instream_take(w->in, extra, nextra, w->err);
    if (st != TT_OK)
        return st;
    const char *slash = strchr(name, '/');
    if (strlen(name) != nname || !slash || slash == name)
        return bad(w, r->header, "expected a record's name with a folder in front, as torch.save gives them");
    strcpy(r->name, slash + 1);
    r->flags = tt_load_le16(head + 6);
    r->data = w->in->at;
    if (r->flags & ZIP_FLAG_ENCRYPTED)
        return bad_record(w, r, "it is encrypted");
    if (tt_load_le16(head + 8) != 0)
        return bad_record(w, r, "it is compressed, which no torch.save does; titan reads records that are stored as they are (zip -0)");
    if (!(r->flags & ZIP_FLAG_DESCRIPTOR))
        st = header_size(w, r, head, extra, nextra);
    return st == TT_OK ? find_storage(w, r) : st;
}

/* --- data --------------------------------------------------------------------------------------------------------------------- */

static tt_status check_crc(struct walker *w, const struct record *r, uint32_t expected, uint32_t found, uint64_t nbytes)
{
    w->nchecked += expected != 0;
    w->nbytes += expected ? nbytes : 0;
    if (tt_crc32_agrees(expected, found))
        return TT_OK;
    return tt_err_set(w->err, TT_EFORMAT, "%s: offset %" PRIu64 ": record %s: expected CRC-32 %08" PRIx32 ", found %08" PRIx32
                      ": the bytes are damaged", w->in->name, r->data, r->name, expected, found);
}

/* Data of a known length, and its descriptor. */
static tt_status pass_by(struct walker *w, const struct record *r)
{
    uint8_t descriptor[24];
    uint32_t crc = 0;

    for (uint64_t left = r->nbytes; left;) {
        const uint8_t *p = NULL;
        size_t n = 0;
        const tt_status st = tt_instream_some(w->in, left, &p, &n, w->err);
        if (st != TT_OK)
            return st;
        if (n == 0)
            return tt_err_set(w->err, TT_EFORMAT, "%s: offset %" PRIu64 ": record %s: expected %" PRIu64 " more bytes, found the end",
                              w->in->name, w->in->at, r->name, left);
        crc = tt_crc32(crc, p, n);
        left -= n;
    }
    if (!(r->flags & ZIP_FLAG_DESCRIPTOR))
        return TT_OK;
    const bool wide = r->nbytes >= ZIP_U32 || r->header >= ZIP_U32;
    const tt_status st = tt_instream_take(w->in, descriptor, wide ? 24 : 16, w->err);
    if (st != TT_OK)
        return st;
    const uint64_t usize = wide ? tt_load_le64(descriptor + 16) : tt_load_le32(descriptor + 12);
    if (memcmp(descriptor, "PK\7\10", 4) != 0 || usize != r->nbytes)
        return bad_record(w, r, "expected a descriptor with its size behind it");
    if (r->storage)
        r->storage->crc = tt_load_le32(descriptor + 4);
    return check_crc(w, r, tt_load_le32(descriptor + 4), crc, r->nbytes);
}

/* A record whose length is not known before its descriptor comes: the first four bytes PK\7\8 behind which stand the number of bytes
 * before them, and their CRC or 0. *p is valid until the stream is used again, before which *nbytes + 16 are to be dropped. */
static tt_status find_descriptor(struct walker *w, const struct record *r, size_t max, const uint8_t **p, size_t *nbytes)
{
    size_t have = 0, at = 0;

    for (size_t want = 1 << 12;; want = have + (1 << 18)) {
        const tt_status st = tt_instream_peek(w->in, want, p, &have, w->err);
        if (st != TT_OK)
            return st;
        for (const uint8_t *d; have >= 16 && at <= have - 16 && (d = memmem(*p + at, have - 12 - at, "PK\7\10", 4)); at++) {
            at = (size_t)(d - *p);
            const uint32_t crc = tt_load_le32(d + 4);
            if (tt_load_le32(d + 8) == at && tt_load_le32(d + 12) == at && tt_crc32_agrees(crc, tt_crc32(0, *p, at))) {
                *nbytes = at;
                return check_crc(w, r, crc, crc, at);
            }
        }
        at = have >= 15 ? have - 15 : 0; /* what may begin a descriptor that is cut off here */
        if (have < want || at > max)
            return bad_record(w, r, have < want ? "found the end before its descriptor" : "no descriptor where one must be");
    }
}

static tt_status find_record(struct walker *w, const struct record *r, size_t max, const uint8_t **p, size_t *nbytes)
{
    if (r->nbytes == SIZE_UNKNOWN)
        return find_descriptor(w, r, max, p, nbytes);
    size_t have = 0;
    *nbytes = (size_t)r->nbytes;
    if (r->nbytes > max)
        return bad_record(w, r, "it is too long");
    const tt_status st = tt_instream_peek(w->in, *nbytes, p, &have, w->err);
    return st == TT_OK && have < *nbytes ? bad_record(w, r, "found the end within it") : st;
}

static void drop_record(struct walker *w, const struct record *r, size_t nbytes)
{
    tt_instream_drop(w->in, nbytes + (r->nbytes == SIZE_UNKNOWN ? 16 : 0));
}

/* --- records ------------------------------------------------------------------------------------------------------------------ */

static tt_status read_pickle(struct walker *w, const struct record *r)
{
    const uint8_t *p = NULL;
    size_t n = 0;

    if (strcmp(r->name, "data.pkl") != 0)
        return bad_record(w, r, "expected data.pkl as the first record, as torch.save writes it: a pipe cannot be read twice");
    tt_status st = find_record(w, r, TT_PT_PICKLE_NBYTES_MAX, &p, &n);
    if (st == TT_OK)
        st = tt_pt_decode(&w->pt, w->arena, p, n, w->in->name, w->err);
    for (size_t i = 0; i < w->pt.nstorages && st == TT_OK; i++)
        st = tt_map_put(&w->by_key, w->pt.storages[i]->key, strlen(w->pt.storages[i]->key), i, NULL, NULL, w->err);
    if (st == TT_OK)
        drop_record(w, r, n);
    return st;
}

static tt_status read_small(struct walker *w, const struct record *r)
{
    const uint8_t *p = NULL;
    size_t n = 0;
    const tt_status st = find_record(w, r, SMALL_NBYTES_MAX, &p, &n);

    if (st != TT_OK)
        return st;
    if (strcmp(r->name, "constants.pkl") == 0)
        return tt_err_set(w->err, TT_EUNSUPPORTED, "%s: a TorchScript archive (it has a record constants.pkl), not one of torch.save",
                          w->in->name);
    if (strcmp(r->name, "byteorder") == 0 && (n != 6 || memcmp(p, "little", 6) != 0))
        return tt_err_set(w->err, TT_EUNSUPPORTED, "%s: record byteorder: expected \"little\"", w->in->name);
    drop_record(w, r, n);
    return TT_OK;
}

static tt_status read_record(struct walker *w)
{
    struct record r;
    const tt_status st = read_header(w, &r);

    if (st != TT_OK)
        return st;
    if (w->nrecords++ == 0)
        return read_pickle(w, &r);
    return r.storage ? pass_by(w, &r) : read_small(w, &r);
}

/* --- the directory ------------------------------------------------------------------------------------------------------------ */

/* Takes nbytes of which nobody needs any. */
static tt_status skip(struct walker *w, uint64_t nbytes)
{
    uint8_t scratch[512];
    tt_status st = TT_OK;

    for (uint64_t left = nbytes; left && st == TT_OK;) {
        const size_t n = left < sizeof scratch ? (size_t)left : sizeof scratch;
        st = tt_instream_take(w->in, scratch, n, w->err);
        left -= n;
    }
    return st;
}

/* An entry a record, then the three end records, then nothing. */
static tt_status read_directory(struct walker *w)
{
    static const struct { const char *magic; size_t nbytes; } ends[] = {
        { "PK\6\6", ZIP_END64_NBYTES }, { "PK\6\7", ZIP_LOCATOR_NBYTES }, { "PK\5\6", ZIP_END_NBYTES },
    };
    uint8_t head[ZIP_END64_NBYTES];
    const uint8_t *p = NULL;
    size_t have = 0;
    tt_status st = TT_OK;

    for (uint64_t i = 0; i < w->nrecords && st == TT_OK; i++) {
        const uint64_t at = w->in->at;
        st = tt_instream_take(w->in, head, ZIP_CENTRAL_NBYTES, w->err);
        if (st == TT_OK && memcmp(head, "PK\1\2", 4) != 0)
            return bad(w, at, "expected a directory entry for each record");
        if (st == TT_OK)
            st = skip(w, (uint64_t)tt_load_le16(head + 28) + tt_load_le16(head + 30) + tt_load_le16(head + 32));
    }
    for (size_t i = 0; i < sizeof ends / sizeof *ends && st == TT_OK; i++) {
        st = tt_instream_peek(w->in, 4, &p, &have, w->err);
        if (st == TT_OK && i < 2 && have >= 4 && memcmp(p, ends[i].magic, 4) != 0)
            continue; /* other writers leave out zip64's where they are not needed */
        if (st == TT_OK && have >= 4 && memcmp(p, ends[i].magic, 4) != 0)
            return bad(w, w->in->at, "expected the end record of a zip archive");
        if (st == TT_OK)
            st = tt_instream_take(w->in, head, ends[i].nbytes, w->err);
    }
    if (st == TT_OK)
        st = skip(w, tt_load_le16(head + 20)); /* the comment */
    if (st == TT_OK)
        st = tt_instream_peek(w->in, 1, &p, &have, w->err);
    return st == TT_OK && have ? bad(w, w->in->at, "bytes behind the end of the zip archive") : st;
}

static tt_status walk(struct walker *w)
{
    for (;;) {
        const uint8_t *p = NULL;
        size_t have = 0;
        tt_status st = tt_instream_peek(w->in, 4, &p, &have, w->err);
        if (st != TT_OK)
            return st;
        if (have < 4 || memcmp(p, "PK\3\4", 4) != 0)
            break;
        st = read_record(w);
        if (st != TT_OK)
            return st;
    }
    for (size_t i = 0; i < w->pt.nstorages; i++)
        if (w->pt.storages[i]->offset == 0)
            return tt_err_set(w->err, TT_EFORMAT, "%s: offset %" PRIu64 ": expected a record data/%s, found none", w->in->name, w->in->at,
                              w->pt.storages[i]->key);
    return read_directory(w);
}

tt_status tt_pipe_walk_pt(struct tt_pt *out, struct tt_arena *arena, struct tt_instream *in, uint64_t *nrecords, uint64_t *nbytes,
                          struct tt_err *err)
{
    struct walker w = { .arena = arena, .in = in, .err = err };
    const uint8_t *p = NULL;
    size_t have = 0;
    tt_status st = tt_instream_peek(in, 16, &p, &have, err);

    if (st == TT_OK && tt_pt_is_legacy(p, have))
        st = tt_err_set(err, TT_EUNSUPPORTED, "%s: offset 0: a .pt of before PyTorch 1.6, which is no zip; load it there and save it again",
                        in->name);
    if (st == TT_OK)
        st = walk(&w);
    tt_map_release(&w.by_key);
    if (st != TT_OK)
        return st;
    *out = w.pt;
    *nrecords = w.nchecked;
    *nbytes = w.nbytes;
    return TT_OK;
}

tt_status tt_pipe_open_pt(struct tt_ckpt *ckpt, struct tt_instream *in, struct tt_err *err)
{
    uint64_t nrecords, nbytes;
    uint32_t file = 0;
    struct tt_pt pt;
    tt_status st = tt_pipe_walk_pt(&pt, &ckpt->entries.arena, in, &nrecords, &nbytes, err);

    if (st == TT_OK)
        st = tt_entries_file(&ckpt->entries, "", &file, err);
    return st == TT_OK ? tt_flatten(&ckpt->entries, pt.root, in->name, err) : st;
}
