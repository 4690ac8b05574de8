#include "format/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/zip_private.h"

enum {
    SMALL_NBYTES = 1 << 14, /* archives up to this are read whole, in one call */
    DIRECTORY_NBYTES_MAX = 1 << 29,
};

struct reader {
    struct tt_arena *arena;
    struct tt_source src; /* the archive, or its copy in memory */
    struct tt_err *err;
    bool is_file; /* all of it: bytes behind the archive do no harm, as PyTorch has it; behind an item of .distcp they do */
    uint64_t end_at; /* of the end records: what is before them is records and directory */
    uint64_t n, cd_nbytes, cd_offset;
    struct tt_zip zip;
};

static tt_status bad(const struct reader *r, uint64_t offset, const char *what)
{
    return tt_err_set(r->err, TT_EFORMAT, "%s: offset %" PRIu64 ": %s", r->src.name, offset, what);
}

/* --- the end ------------------------------------------------------------------------------------------------------------------ */

/* Whether an end record is at p, `at` of the archive, with `behind` bytes behind it: its comment, of which it tells the length, and
 * nothing else, unless the archive is a file of its own and the directory is where the record says. */
static bool is_end(const struct reader *r, const uint8_t *p, uint64_t at, uint64_t behind)
{
    if (memcmp(p, "PK\5\6", 4) != 0)
        return false;
    const uint16_t comment = tt_load_le16(p + 20);
    const uint64_t nbytes = tt_load_le32(p + 12), offset = tt_load_le32(p + 16);
    return comment == behind || (r->is_file && comment < behind && (offset == ZIP_U32 || offset + nbytes <= at));
}

/* The end record lies at the end but for its comment. */
static tt_status find_end(struct reader *r, uint8_t end[ZIP_END_NBYTES])
{
    const uint64_t window = r->src.nbytes < ZIP_END_NBYTES + ZIP_COMMENT_MAX ? r->src.nbytes : ZIP_END_NBYTES + ZIP_COMMENT_MAX;
    const uint64_t first = r->src.nbytes - window;
    if (window < ZIP_END_NBYTES)
        return bad(r, 0, "expected a zip archive, found too few bytes for one");

    /* Nearly always there is no comment: look there before reading 64 KiB. */
    tt_status st = tt_source_read(&r->src, end, ZIP_END_NBYTES, r->src.nbytes - ZIP_END_NBYTES, r->err);
    if (st != TT_OK)
        return st;
    if (memcmp(end, "PK\5\6", 4) == 0 && tt_load_le16(end + 20) == 0) {
        r->end_at = r->src.nbytes - ZIP_END_NBYTES;
        return TT_OK;
    }
    uint8_t *tail = malloc(window);
    if (!tail)
        return tt_err_nomem(r->err, window, r->src.name);
    st = tt_source_read(&r->src, tail, window, first, r->err);
    bool found = false;
    for (uint64_t i = window - ZIP_END_NBYTES + 1; st == TT_OK && !found && i-- > 0;)
        if (is_end(r, tail + i, first + i, window - i - ZIP_END_NBYTES)) {
            memcpy(end, tail + i, ZIP_END_NBYTES);
            r->end_at = first + i;
            found = true;
        }
    free(tail);
    return st != TT_OK || found ? st : bad(r, r->src.nbytes, "expected the end record of a zip archive (is the file cut short?)");
}

static tt_status read_end64(struct reader *r, const uint8_t locator[ZIP_LOCATOR_NBYTES])
{
    uint8_t end[ZIP_END64_NBYTES];
    const uint64_t at = tt_load_le64(locator + 8);
    if (at > r->end_at - ZIP_LOCATOR_NBYTES || r->end_at - ZIP_LOCATOR_NBYTES - at < ZIP_END64_NBYTES)
        return bad(r, r->end_at - ZIP_LOCATOR_NBYTES, "the zip64 locator points outside the archive");
    const tt_status st = tt_source_read(&r->src, end, sizeof end, at, r->err);
    if (st != TT_OK)
        return st;
    if (memcmp(end, "PK\6\6", 4) != 0)
        return bad(r, at, "expected the zip64 end record");
    const uint64_t n = tt_load_le64(end + 32), nbytes = tt_load_le64(end + 40), offset = tt_load_le64(end + 48);
    if ((r->n != UINT16_MAX && r->n != n) || (r->cd_nbytes != ZIP_U32 && r->cd_nbytes != nbytes) ||
        (r->cd_offset != ZIP_U32 && r->cd_offset != offset))
        return bad(r, at, "the zip64 end record and the end record disagree");
    r->n = n;
    r->cd_nbytes = nbytes;
    r->cd_offset = offset;
    r->end_at = at;
    return TT_OK;
}

static tt_status read_end(struct reader *r)
{
    uint8_t end[ZIP_END_NBYTES], locator[ZIP_LOCATOR_NBYTES];
    tt_status st = find_end(r, end);
    if (st != TT_OK)
        return st;
    r->n = tt_load_le16(end + 10);
    r->cd_nbytes = tt_load_le32(end + 12);
    r->cd_offset = tt_load_le32(end + 16);
    const uint64_t end_at = r->end_at;
    if (end_at >= ZIP_LOCATOR_NBYTES) {
        st = tt_source_read(&r->src, locator, sizeof locator, end_at - ZIP_LOCATOR_NBYTES, r->err);
        if (st == TT_OK && memcmp(locator, "PK\6\7", 4) == 0)
            st = read_end64(r, locator);
    }
    if (st != TT_OK)
        return st;
    if (r->cd_offset > r->end_at || r->cd_nbytes != r->end_at - r->cd_offset)
        return bad(r, end_at, "the directory does not lie between the records and the end");
    if (r->cd_nbytes > DIRECTORY_NBYTES_MAX)
        return bad(r, end_at, "a directory of more than 512 MiB");
    if (r->n > r->cd_nbytes / ZIP_CENTRAL_NBYTES)
        return bad(r, end_at, "more records than the directory has room for");
    if (r->n == 0)
        return bad(r, end_at, "an archive without records");
    return TT_OK;
}

/* --- the directory ------------------------------------------------------------------------------------------------------------ */

struct central {
    uint16_t flags, method;
    uint32_t crc;
    uint64_t csize, usize, header;
    const char *name; /* (nname), root and all */
    size_t nname;
};

/* The zip64 field replaces, in this order, those of the 32-bit fields that are ffffffff. */
static bool apply_zip64(struct central *c, const uint8_t *extra, size_t nextra)
{
    uint64_t *const fields[] = { &c->usize, &c->csize, &c->header };
    bool wanted = false;
    for (int i = 0; i < 3; i++)
        wanted |= *fields[i] == ZIP_U32;
    while (nextra >= 4) {
        const uint16_t tag = tt_load_le16(extra), nbytes = tt_load_le16(extra + 2);
        if (nbytes > nextra - 4)
            return false;
        size_t at = 4;
        for (int i = 0; tag == ZIP64_TAG && i < 3; i++)
            if (*fields[i] == ZIP_U32) {
                if (at + 8 > 4 + (size_t)nbytes)
                    return false;
                *fields[i] = tt_load_le64(extra + at);
                at += 8;
            }
        if (tag == ZIP64_TAG)
            return true;
        extra += 4 + nbytes;
        nextra -= 4 + (size_t)nbytes;
    }
    return !wanted;
}

/* Reads one entry at *at of the directory, moves *at behind it. */
static bool parse_central(struct central *c, const uint8_t *cd, size_t nbytes, size_t *at)
{
    const uint8_t *p = cd + *at;
    if (nbytes - *at < ZIP_CENTRAL_NBYTES || memcmp(p, "PK\1\2", 4) != 0)
        return false;
    const size_t nname = tt_load_le16(p + 28), nextra = tt_load_le16(p + 30), ncomment = tt_load_le16(p + 32);
    if (nbytes - *at - ZIP_CENTRAL_NBYTES < nname + nextra + ncomment)
        return false;
    *c = (struct central){
        .flags = tt_load_le16(p + 8), .method = tt_load_le16(p + 10), .crc = tt_load_le32(p + 16),
        .csize = tt_load_le32(p + 20), .usize = tt_load_le32(p + 24), .header = tt_load_le32(p + 42),
        .name = (const char *)p + ZIP_CENTRAL_NBYTES, .nname = nname,
    };
    *at += ZIP_CENTRAL_NBYTES + nname + nextra + ncomment;
    return apply_zip64(c, p + ZIP_CENTRAL_NBYTES + nname, nextra);
}

static tt_status bad_record(const struct reader *r, const struct central *c, const char *what)
{
    char shown[80];
    const size_t n = c->nname < sizeof shown - 1 ? c->nname : sizeof shown - 1;
    for (size_t i = 0; i < n; i++)
        shown[i] = c->name[i] < ' ' || c->name[i] == 0x7f ? '?' : c->name[i];
    shown[n] = 0;
    return tt_err_set(r->err, TT_EFORMAT, "%s: offset %" PRIu64 ": record %s: %s", r->src.name, c->header, shown, what);
}

/* A size in a local header: the directory's; or 0 where a descriptor says it later; or, in torch's files, ffffffff with a zip64 field. */
static bool is_size(uint32_t local, uint64_t size, bool has_descriptor)
{
    return local == size || local == ZIP_U32 || (has_descriptor && local == 0);
}

/* The local header repeats name, method, CRC and sizes, where no descriptor does. */
static tt_status check_local(struct reader *r, const struct central *c, uint64_t *data_offset)
{
    uint8_t buf[ZIP_LOCAL_NBYTES + 512];
    if (c->nname > 512)
        return bad_record(r, c, "a name of more than 512 bytes");
    if (c->header > r->cd_offset || r->cd_offset - c->header < ZIP_LOCAL_NBYTES + c->nname)
        return bad_record(r, c, "its local header lies outside the archive");
    const tt_status st = tt_source_read(&r->src, buf, ZIP_LOCAL_NBYTES + c->nname, c->header, r->err);
    if (st != TT_OK)
        return st;
    const uint16_t flags = tt_load_le16(buf + 6);
    const bool has_descriptor = flags & ZIP_FLAG_DESCRIPTOR;
    const uint32_t crc = tt_load_le32(buf + 14);
    if (memcmp(buf, "PK\3\4", 4) != 0)
        return bad_record(r, c, "expected a local header");
    if (tt_load_le16(buf + 26) != c->nname || memcmp(buf + ZIP_LOCAL_NBYTES, c->name, c->nname) != 0)
        return bad_record(r, c, "the local header has another name than the directory");
    if (tt_load_le16(buf + 8) != c->method || (flags & ZIP_FLAG_ENCRYPTED))
        return bad_record(r, c, "the local header has another compression than the directory");
    if (!is_size(tt_load_le32(buf + 18), c->csize, has_descriptor) || !is_size(tt_load_le32(buf + 22), c->usize, has_descriptor))
        return bad_record(r, c, "the local header has another size than the directory");
    if (crc != c->crc && crc != 0)
        return bad_record(r, c, "the local header has another CRC-32 than the directory");
    *data_offset = c->header + ZIP_LOCAL_NBYTES + c->nname + tt_load_le16(buf + 28);
    return TT_OK;
}

static tt_status check_record(struct reader *r, const struct central *c, struct tt_zip_entry *entry)
{
    uint64_t data_offset = 0;
    if (c->flags & ZIP_FLAG_ENCRYPTED)
        return bad_record(r, c, "it is encrypted");
    if (c->method != 0)
        return bad_record(r, c, "it is compressed, which no torch.save does; titan reads records that are stored as they are (zip -0)");
    if (c->csize != c->usize)
        return bad_record(r, c, "stored, but its two sizes differ");
    const tt_status st = check_local(r, c, &data_offset);
    if (st != TT_OK)
        return st;
    if (data_offset > r->cd_offset || c->usize > r->cd_offset - data_offset)
        return bad_record(r, c, "its data lies outside the archive");
    *entry = (struct tt_zip_entry){ .offset = data_offset, .nbytes = c->usize, .crc = c->crc };
    return TT_OK;
}

/* "<root>/<name>": the root is the first record's, and all have it. */
static tt_status split_name(struct reader *r, const struct central *c, struct tt_zip_entry *entry)
{
    if (!r->zip.root) {
        const char *slash = memchr(c->name, '/', c->nname);
        if (!slash || slash == c->name)
            return bad_record(r, c, "expected a name with a folder in front, as torch.save gives them");
        r->zip.root = tt_arena_strn(r->arena, c->name, (size_t)(slash - c->name));
        if (!r->zip.root)
            return tt_err_nomem(r->err, c->nname, r->src.name);
    }
    const size_t nroot = strlen(r->zip.root);
    if (memchr(c->name, 0, c->nname) || c->nname <= nroot || memcmp(c->name, r->zip.root, nroot) != 0 || c->name[nroot] != '/')
        return bad_record(r, c, "its name does not begin with the folder of the first record");
    entry->name = tt_arena_strn(r->arena, c->name + nroot + 1, c->nname - nroot - 1);
    return entry->name ? TT_OK : tt_err_nomem(r->err, c->nname, r->src.name);
}

struct span {
    uint64_t begin, end;
    const char *name;
};

static int by_begin(const void *a, const void *b)
{
    const uint64_t x = ((const struct span *)a)->begin, y = ((const struct span *)b)->begin;
    return x < y ? -1 : x > y;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tt_zip_entry *)a)->name, ((const struct tt_zip_entry *)b)->name);
}

/* Two records over the same bytes are how a small file pretends to hold much. */
static tt_status check_overlap(const struct reader *r, struct span *spans)
{
    qsort(spans, r->zip.n, sizeof *spans, by_begin);
    for (size_t i = 1; i < r->zip.n; i++)
        if (spans[i].begin < spans[i - 1].end)
            return tt_err_set(r->err, TT_EFORMAT, "%s: offset %" PRIu64 ": record %s overlaps record %s", r->src.name,
                              spans[i].begin, spans[i].name, spans[i - 1].name);
    qsort(r->zip.entries, r->zip.n, sizeof *r->zip.entries, by_name);
    for (size_t i = 1; i < r->zip.n; i++)
        if (by_name(&r->zip.entries[i - 1], &r->zip.entries[i]) == 0)
            return tt_err_set(r->err, TT_EFORMAT, "%s: offset %" PRIu64 ": record %s is there twice", r->src.name, r->cd_offset,
                              r->zip.entries[i].name);
    return TT_OK;
}

static bool has_suffix(const struct central *c, const char *suffix)
{
    const size_t n = strlen(suffix);
    return c->nname >= n && memcmp(c->name + c->nname - n, suffix, n) == 0;
}

/* TorchScript's archives have the extension and the records of torch.save's, and compressed ones beside. */
static tt_status refuse_torchscript(const struct reader *r, const uint8_t *cd)
{
    struct central c;
    size_t at = 0;

    for (uint64_t i = 0; i < r->n && parse_central(&c, cd, (size_t)r->cd_nbytes, &at); i++)
        if (has_suffix(&c, "/constants.pkl"))
            return tt_err_set(r->err, TT_EUNSUPPORTED, "%s: a TorchScript archive (it has a record constants.pkl), not one of torch.save",
                              r->src.name);
    return TT_OK;
}

static tt_status read_records(struct reader *r, const uint8_t *cd, struct span *spans)
{
    const tt_status known = refuse_torchscript(r, cd);
    size_t at = 0;

    if (known != TT_OK)
        return known;

    for (uint64_t i = 0; i < r->n; i++) {
        struct central c;
        struct tt_zip_entry *entry = &r->zip.entries[i];
        if (!parse_central(&c, cd, (size_t)r->cd_nbytes, &at))
            return bad(r, r->cd_offset + at, "expected a directory entry");
        tt_status st = check_record(r, &c, entry);
        if (st == TT_OK)
            st = split_name(r, &c, entry);
        if (st != TT_OK)
            return st;
        spans[i] = (struct span){ c.header, entry->offset + entry->nbytes, entry->name };
        r->zip.n++;
    }
    if (at != r->cd_nbytes)
        return bad(r, r->cd_offset + at, "bytes between the directory and the end");
    return check_overlap(r, spans);
}

static tt_status read_directory(struct reader *r)
{
    uint8_t *cd = malloc((size_t)r->cd_nbytes);
    struct span *spans = malloc((size_t)r->n * sizeof *spans);
    r->zip.entries = tt_arena_array(r->arena, (size_t)r->n, sizeof *r->zip.entries);
    tt_status st = cd && spans && r->zip.entries ? TT_OK : tt_err_nomem(r->err, (size_t)r->cd_nbytes, r->src.name);

    if (st == TT_OK)
        st = tt_source_read(&r->src, cd, r->cd_nbytes, r->cd_offset, r->err);
    if (st == TT_OK)
        st = read_records(r, cd, spans);
    free(spans);
    free(cd);
    return st;
}

tt_status tt_zip_open(struct tt_zip *out, struct tt_arena *arena, const struct tt_source *src, struct tt_err *err)
{
    uint8_t small[SMALL_NBYTES];
    struct reader r = { .arena = arena, .src = *src, .err = err };
    tt_status st = TT_OK;

    r.is_file = src->file && src->offset == 0 && src->nbytes == src->file->nbytes;

    if (src->file && src->nbytes <= sizeof small) {
        st = tt_source_read(src, small, src->nbytes, 0, err);
        r.src.file = NULL;
        r.src.data = small;
    }
    if (st == TT_OK)
        st = read_end(&r);
    if (st == TT_OK)
        st = read_directory(&r);
    if (st == TT_OK)
        *out = r.zip;
    return st;
}

const struct tt_zip_entry *tt_zip_find(const struct tt_zip *zip, const char *name)
{
    const struct tt_zip_entry key = { .name = name };
    return zip->n ? bsearch(&key, zip->entries, zip->n, sizeof key, by_name) : NULL;
}

tt_status tt_zip_read(const struct tt_zip_entry *entry, struct tt_arena *arena, const struct tt_source *src, uint64_t max_nbytes,
                      const uint8_t **out, struct tt_err *err)
{
    if (entry->nbytes > max_nbytes)
        return tt_err_set(err, TT_EFORMAT, "%s: offset %" PRIu64 ": record %s: expected at most %" PRIu64 " bytes, found %" PRIu64,
                          src->name, entry->offset, entry->name, max_nbytes, entry->nbytes);
    uint8_t *bytes = tt_arena_alloc(arena, (size_t)entry->nbytes);
    if (!bytes)
        return tt_err_nomem(err, (size_t)entry->nbytes, src->name);
    const tt_status st = tt_source_read(src, bytes, entry->nbytes, entry->offset, err);
    if (st != TT_OK)
        return st;
    const uint32_t crc = tt_crc32(0, bytes, (size_t)entry->nbytes);
    if (!tt_crc32_agrees(entry->crc, crc))
        return tt_err_set(err, TT_EFORMAT, "%s: offset %" PRIu64 ": record %s: expected CRC-32 %08" PRIx32 ", found %08" PRIx32
                          ": the bytes are damaged", src->name, entry->offset, entry->name, entry->crc, crc);
    *out = bytes;
    return TT_OK;
}
