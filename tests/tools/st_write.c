/* st_write FILE [KEY VALUE]...: a safetensors file with a tensor of every dtype that the format has, filled with a ramp of bytes, and
 * __metadata__ where there are keys: for the real library to read. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "format/safetensors.h"

static const int64_t dims[] = { 3, 4 };

static size_t list_tensors(struct tt_st_tensor tensors[TT_NDTYPE + 2])
{
    size_t n = 0;
    for (int i = 0; i < TT_NDTYPE; i++)
        if (tt_dtypes[i].safetensors)
            tensors[n++] = (struct tt_st_tensor){ .name = tt_dtypes[i].torch, .dtype = (enum tt_dtype)i, .ndim = 2, .shape = dims };
    tensors[n++] = (struct tt_st_tensor){ .name = "caf\xc3\xa9 \"\\\n\x01", .dtype = TT_F32 };
    tensors[n++] = (struct tt_st_tensor){ .name = "empty", .dtype = TT_BF16, .ndim = 1, .shape = (const int64_t[]){ 0 } };
    return n;
}

static tt_status write_file(const char *path, const struct tt_value *metadata, struct tt_err *err)
{
    struct tt_st_tensor tensors[TT_NDTYPE + 2];
    const size_t n = list_tensors(tensors);
    struct tt_buf out = { 0 };
    tt_status st = tt_st_encode(&out, tensors, n, metadata, err);

    for (size_t i = 0; i < n && st == TT_OK; i++)
        for (uint64_t k = 0; k < tensors[i].nbytes; k++)
            tt_buf_byte(&out, tensors[i].dtype == TT_BOOL ? k % 3 == 0 : (uint8_t)(k * 37 % 119));
    if (st == TT_OK)
        st = tt_buf_check(&out, path, err);
    if (st == TT_OK)
        st = tt_file_write_all(path, out.data, out.len, err);
    tt_buf_release(&out);
    return st;
}

int main(int argc, char **argv)
{
    struct tt_arena arena = { 0 };
    struct tt_err err = { .msg = "usage: st_write FILE [KEY VALUE]..." };
    struct tt_value *metadata = argc > 2 ? tt_value_map(&arena) : NULL;
    tt_status st = argc > 1 && argc % 2 == 0 ? TT_OK : TT_EUSAGE;

    for (int i = 2; i < argc && st == TT_OK; i += 2)
        if (!tt_value_set(&arena, metadata, argv[i], tt_value_str(&arena, argv[i + 1])))
            st = tt_err_nomem(&err, 0, argv[i]);
    if (st == TT_OK)
        st = write_file(argv[1], metadata, &err);
    if (st != TT_OK)
        fprintf(stderr, "st_write: %s\n", err.msg);
    tt_arena_release(&arena);
    return st != TT_OK;
}
