/* What happens to elements on their way from one checkpoint to another, on one core: GB of output for each second of processor
 * time, beside memcpy's; the best of several runs. Inputs are files in the page cache. `bench_elements [name]` runs only the rows
 * whose name contains the word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "ckpt/output.h"
#include "tensor/cast.h"

enum { RUNS = 5, ROWS = 4096, COLS = 5120, NBYTES = ROWS * COLS * 4 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const struct tt_err *err)
{
    fprintf(stderr, "bench_elements: %s\n", err->msg);
    exit(1);
}

static void report(const char *name, double nbytes, double seconds)
{
    printf("%-34s %7.2f GB/s\n", name, nbytes / seconds * 1e-9);
    fflush(stdout);
}

/* --- casts -------------------------------------------------------------------------------------------------------------------- */

static void bench_casts(const char *only)
{
    static const enum tt_dtype pairs[][2] = {
        { TT_F32, TT_F32 },      { TT_F32, TT_BF16 }, { TT_BF16, TT_F32 }, { TT_F16, TT_F32 },     { TT_F8_E4M3FN, TT_F32 },
        { TT_F8_E5M2, TT_BF16 }, { TT_F32, TT_F16 },  { TT_BF16, TT_F64 }, { TT_F64, TT_F32 },     { TT_F32, TT_F64 },
        { TT_F64, TT_BF16 },     { TT_BF16, TT_F16 }, { TT_F16, TT_BF16 }, { TT_F32, TT_F8_E4M3FN },
    };
    const size_t n = 1 << 20;
    float *values = malloc(n * 4);
    void *src = malloc(n * 8), *dst = malloc(n * 8);

    for (size_t i = 0; i < n; i++)
        values[i] = (float)(rand() % 20001 - 10000) / 4096;
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
        char name[64];
        double best = 1e9;
        snprintf(name, sizeof name, "cast %s %s", tt_dtype_name(pairs[p][0]), tt_dtype_name(pairs[p][1]));
        if (!strstr(name, only))
            continue;
        tt_cast(src, pairs[p][0], values, TT_F32, n);
        for (int r = 0; r < RUNS; r++) {
            const double start = now();
            tt_cast(dst, pairs[p][1], src, pairs[p][0], n);
            best = now() - start < best ? now() - start : best;
        }
        report(name, (double)n * (double)tt_dtype_nbytes(pairs[p][1]), best);
    }
    free(values);
    free(src);
    free(dst);
}

/* --- outputs ------------------------------------------------------------------------------------------------------------------ */

struct row {
    const char *name;
    enum tt_dtype from, to;
    struct tt_part part;
    int ndim;
    int64_t shape[4], scales[3]; /* stored */
    int average;
};

static const struct row rows[] = {
    { "as it is", TT_F32, TT_F32, { .map = TT_MAP_SAME }, 2, { ROWS, COLS }, { 0 }, 0 },
    { "bfloat16 to float32", TT_BF16, TT_F32, { .map = TT_MAP_SAME }, 2, { ROWS, COLS }, { 0 }, 0 },
    { "float32 to bfloat16", TT_F32, TT_BF16, { .map = TT_MAP_SAME }, 2, { ROWS, COLS }, { 0 }, 0 },
    { "pairs, bfloat16 to float32", TT_BF16, TT_F32, { .map = TT_MAP_PAIRS, .head = 128 }, 2, { ROWS, COLS }, { 0 }, 0 },
    { "halves, float32 to bfloat16", TT_F32, TT_BF16, { .map = TT_MAP_HALVES, .head = 128 }, 2, { ROWS, COLS }, { 0 }, 0 },
    { "halves, float32", TT_F32, TT_F32, { .map = TT_MAP_HALVES, .head = 128 }, 2, { ROWS, COLS }, { 0 }, 0 },
    { "transpose, float32", TT_F32, TT_F32, { .map = TT_MAP_TRANSPOSE }, 2, { ROWS, COLS }, { 0 }, 0 },
    { "transpose, bfloat16", TT_BF16, TT_BF16, { .map = TT_MAP_TRANSPOSE }, 2, { ROWS, COLS }, { 0 }, 0 },
    { "transpose, bfloat16 to float32", TT_BF16, TT_F32, { .map = TT_MAP_TRANSPOSE }, 2, { ROWS, COLS }, { 0 }, 0 },
    { "fp8 blocks to float32", TT_F8_E4M3FN, TT_F32, { .quant = TT_QUANT_BLOCK128 }, 2, { ROWS, COLS },
      { ROWS / 128, COLS / 128 }, 0 },
    { "fp8 blocks to bfloat16", TT_F8_E4M3FN, TT_BF16, { .quant = TT_QUANT_BLOCK128 }, 2, { ROWS, COLS },
      { ROWS / 128, COLS / 128 }, 0 },
    { "mxfp4 to float32", TT_U8, TT_F32, { .quant = TT_QUANT_MXFP4 }, 4, { 4, ROWS / 4, COLS / 32, 16 },
      { 4, ROWS / 4, COLS / 32 }, 0 },
    { "mxfp4, transposed, to bfloat16", TT_U8, TT_BF16, { .quant = TT_QUANT_MXFP4, .map = TT_MAP_TRANSPOSE }, 4,
      { 4, ROWS / 4, COLS / 32, 16 }, { 4, ROWS / 4, COLS / 32 }, 0 },
    { "average of two, float32", TT_F32, TT_F32, { .map = TT_MAP_SAME }, 2, { ROWS, COLS }, { 0 }, 1 },
};

/* A file in the page cache, and the entries over it: tensors and scales alike from byte 0. */

static struct tt_entry entry_of(struct tt_chunk *chunk, const char *fqn, enum tt_dtype dtype, int ndim, const int64_t *shape)
{
    static const int64_t zeros[TT_NDIM_MAX];
    *chunk = (struct tt_chunk){ .offsets = zeros, .sizes = shape, .nbytes = NBYTES, .codec = TT_CODEC_RAW };
    return (struct tt_entry){ .fqn = fqn, .dtype = dtype, .ndim = ndim, .shape = shape, .chunks = chunk, .nchunks = 1 };
}

static double run_once(struct tt_assembler *assembler, const struct tt_output *o, void *block)
{
    const struct tt_region all = tt_region_make(o->ndim, NULL, o->shape);
    const double start = now();
    struct tt_err err;
    int64_t numel = 0;

    if (!tt_numel(o->ndim, o->shape, &numel))
        abort();
    for (int64_t first = 0, n; first < numel; first += n) {
        struct tt_region piece;
        n = tt_output_piece(&piece, o, &all, first);
        if (tt_assemble(assembler, o, &piece, block, &err) != TT_OK)
            die(&err);
    }
    return now() - start;
}

static void bench_output(struct tt_ckpt *ckpt, const struct row *row)
{
    static const double weights[] = { 0.5, 0.5 };
    struct tt_chunk chunks[2];
    const int is_mxfp4 = row->part.quant == TT_QUANT_MXFP4, turned = row->part.map == TT_MAP_TRANSPOSE;
    const struct tt_entry src = entry_of(&chunks[0], "src", row->from, row->ndim, row->shape);
    const struct tt_entry scales = entry_of(&chunks[1], "scales", is_mxfp4 ? TT_U8 : TT_F32, row->ndim - is_mxfp4, row->scales);
    struct tt_part parts[] = { row->part, row->part };
    int64_t shape[] = { row->shape[0], row->shape[1], COLS };
    struct tt_output o = { .fqn = row->name, .dtype = row->to, .ndim = row->ndim - is_mxfp4, .shape = shape, .parts = parts,
                           .nparts = 1 };
    struct tt_assembler *assembler = NULL;
    void *block = tt_io_buffer(TT_BLOCK_NBYTES);
    double best = 1e9;
    struct tt_err err;

    parts[0].src = parts[1].src = &src;
    parts[0].scales = &scales;
    if (turned) {
        const int64_t last = shape[o.ndim - 1];
        shape[o.ndim - 1] = shape[o.ndim - 2];
        shape[o.ndim - 2] = last;
    }
    if (row->average) {
        o.weights = weights;
        o.nparts = 2;
    }
    if (tt_output_check(&o, &err) != TT_OK || tt_assembler_new(&assembler, ckpt, NULL, &err) != TT_OK)
        die(&err);
    for (int r = 0; r < RUNS; r++) {
        const double seconds = run_once(assembler, &o, block);
        best = seconds < best ? seconds : best;
    }
    report(row->name, (double)ROWS * COLS * (double)tt_dtype_nbytes(row->to), best);
    tt_assembler_free(assembler);
    free(block);
}

static void write_input(const char *path)
{
    struct tt_err err;
    uint8_t *bytes = malloc(NBYTES);
    if (!bytes)
        abort();
    for (size_t i = 0; i < NBYTES; i++)
        bytes[i] = (uint8_t)((i * 2654435761u) >> 13 & (i % 4 == 3 ? 0x3f : 0x7b));
    if (tt_file_write_all(path, bytes, NBYTES, &err) != TT_OK)
        die(&err);
    free(bytes);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "";
    char path[] = "/tmp/titan-bench-XXXXXX";
    const int fd = mkstemp(path);
    static const char *const names[] = { "" };
    struct tt_ckpt *ckpt = NULL;
    struct tt_err err;

    bench_casts(only);
    if (fd < 0)
        return 1;
    close(fd);
    write_input(path);
    if (tt_ckpt_memory(&ckpt, &err) != TT_OK || tt_files_init(&ckpt->files, path, names, 1, &err) != TT_OK)
        die(&err);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strstr(rows[i].name, only))
            bench_output(ckpt, &rows[i]);
    tt_ckpt_close(ckpt);
    return unlink(path) != 0;
}
