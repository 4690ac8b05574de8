/* An item of a .distcp file, plain or as a zstd frame, loaded as the tensor that a .metadata says it is. Property: no crash; what loads
 * loads again in two halves, to the same elements. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ckpt/ckpt.h"
#include "ckpt/load.h"
#include "format/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 2, COLUMNS = 2 };

static const int64_t shape[] = { ROWS, COLUMNS }, zeros[] = { 0, 0 };

static void put(const char *path, const uint8_t *data, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || tt_write_full(fd, data, size, path, NULL) != TT_OK)
        abort();
    close(fd);
}

static void put_metadata(const char *path, size_t nbytes, enum tt_codec codec)
{
    struct tt_entries entries = { 0 };
    struct tt_buf bytes = { 0 };
    struct tt_chunk chunk = { .offsets = zeros, .sizes = shape, .nbytes = nbytes, .codec = codec };
    const struct tt_entry w = { .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = shape, .chunks = &chunk, .nchunks = 1 };
    if (tt_entries_file(&entries, "__0_0.distcp", &chunk.file, NULL) != TT_OK || tt_entries_add(&entries, &w, NULL) != TT_OK ||
        tt_metadata_encode(&bytes, &entries, NULL) != TT_OK)
        abort();
    put(path, bytes.data, bytes.len);
    tt_buf_release(&bytes);
    tt_entries_release(&entries);
}

static tt_status load(const char *dir, float *whole, size_t nparts)
{
    static const int64_t half[] = { ROWS / 2, COLUMNS }, second[] = { ROWS / 2, 0 };
    struct tt_want wants[] = {
        { .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = shape, .dst = whole },
        { .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = shape, .offsets = second, .sizes = half, .dst = whole + ROWS / 2 * COLUMNS },
    };
    struct tt_ckpt *ckpt = NULL;
    if (nparts == 2) {
        wants[0].offsets = zeros;
        wants[0].sizes = half;
    }
    tt_status st = tt_ckpt_open(&ckpt, dir, NULL);
    if (st == TT_OK)
        st = tt_ckpt_load(ckpt, wants, nparts, NULL, NULL);
    tt_ckpt_close(ckpt);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bool is_zstd = size >= 4 && memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0;
    char dir[] = "/tmp/titan-fuzz-XXXXXX", path[64];
    float once[ROWS * COLUMNS] = { 0 }, parts[ROWS * COLUMNS] = { 0 };

    if (!mkdtemp(dir))
        abort();
    snprintf(path, sizeof path, "%s/__0_0.distcp", dir);
    put(path, data, size);
    snprintf(path, sizeof path, "%s/.metadata", dir);
    put_metadata(path, size, is_zstd ? TT_CODEC_ZSTD : TT_CODEC_BLOB);
    if (load(dir, once, 1) == TT_OK && (load(dir, parts, 2) != TT_OK || memcmp(once, parts, sizeof once) != 0))
        abort();
    if (tt_remove_all(dir, NULL) != TT_OK)
        abort();
    return 0;
}
