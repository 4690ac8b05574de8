#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/zip.h"
#include "format/zip_private.h"

/* Where the data that starts at `data` ends: a descriptor that tells just this length. 0: none is in the prefix. */
static size_t find_descriptor(const uint8_t *bytes, size_t nbytes, size_t data)
{
    for (size_t at = data; nbytes - at >= ZIP_DESCRIPTOR_NBYTES; at++) {
        const uint8_t *p = memchr(bytes + at, 'P', nbytes - at - ZIP_DESCRIPTOR_NBYTES + 1);
        if (!p)
            return 0;
        at = (size_t)(p - bytes);
        if (memcmp(p, "PK\7\10", 4) == 0 && tt_load_le32(p + 8) == at - data && tt_load_le32(p + 12) == at - data)
            return at;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tt_zip_entry *)a)->name, ((const struct tt_zip_entry *)b)->name);
}

/* The name without "<root>/"; NULL: it has none, or another root than the first. */
static const char *split_name(struct tt_zip *zip, struct tt_arena *arena, const uint8_t *name, size_t n)
{
    const uint8_t *slash = memchr(name, '/', n);

    if (!slash || slash == name || memchr(name, 0, n))
        return NULL;
    const char *root = tt_arena_strn(arena, (const char *)name, (size_t)(slash - name));
    if (!root || (zip->root && strcmp(zip->root, root) != 0))
        return NULL;
    zip->root = root;
    return tt_arena_strn(arena, (const char *)slash + 1, n - (size_t)(slash - name) - 1);
}

bool tt_zip_prefix(struct tt_zip *out, struct tt_arena *arena, const uint8_t *bytes, size_t nbytes)
{
    enum { RECORDS_MAX = 16 };
    struct tt_zip zip = { .entries = tt_arena_array(arena, RECORDS_MAX, sizeof *zip.entries) };
    size_t at = 0;

    while (zip.entries && zip.n < RECORDS_MAX && nbytes - at >= ZIP_LOCAL_NBYTES) {
        const uint8_t *p = bytes + at;
        const size_t nname = tt_load_le16(p + 26), nextra = tt_load_le16(p + 28);
        const bool has_descriptor = tt_load_le16(p + 6) & ZIP_FLAG_DESCRIPTOR;
        if (memcmp(p, "PK\3\4", 4) != 0 || tt_load_le16(p + 8) != 0 || nbytes - at - ZIP_LOCAL_NBYTES < nname + nextra)
            return false;
        struct tt_zip_entry *e = &zip.entries[zip.n++];
        e->offset = at + ZIP_LOCAL_NBYTES + nname + nextra;
        e->name = split_name(&zip, arena, p + ZIP_LOCAL_NBYTES, nname);
        if (!e->name)
            return false;
        if (strncmp(e->name, "data/", 5) == 0) { /* its length is told by its pickle, and checked against the directory */
            e->nbytes = TT_ZIP_NBYTES_UNKNOWN;
            qsort(zip.entries, zip.n, sizeof *zip.entries, by_name);
            *out = zip;
            return true;
        }
        const size_t end = has_descriptor ? find_descriptor(bytes, nbytes, (size_t)e->offset)
                                          : (size_t)e->offset + tt_load_le32(p + 22);
        if (end < e->offset || end > nbytes)
            return false;
        e->nbytes = end - e->offset;
        e->crc = has_descriptor ? tt_load_le32(bytes + end + 4) : tt_load_le32(p + 14);
        at = end + (has_descriptor ? ZIP_DESCRIPTOR_NBYTES : 0);
    }
    return false;
}
