/* ckpt_save STEP_DIR [EXPORT_DTYPE]: saves a checkpoint with every dtype, uneven chunks and values of every plain kind, as a
 * trainer would. tests/interop/ckpt_vs_torch.py knows the content. With TITAN_FILL=N every byte of the tensors is N more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/save.h"
#include "format/pickle_value.h"

enum { NBYTES = 15 * 16, NVALUES = 12 };

static const int64_t shape[] = { 5, 3 }, top[] = { 0, 0 }, top_size[] = { 2, 3 }, rest[] = { 2, 0 }, rest_size[] = { 3, 3 };
static const int64_t none[] = { 0, 4 };
static const struct tt_path_part nested[] = { { "optimizer", 0 }, { "state.w.step", 0 } };
static const struct tt_path_part in_list[] = { { "list", 0 }, { NULL, 0 }, { "k", 0 } };

static struct tt_value *inner_pickle(struct tt_arena *arena)
{
    struct tt_value *map = tt_value_map(arena), *tokens = tt_value_list(arena);
    struct tt_buf bytes = { 0 };
    bool ok = true;
    for (int i = 0; i < 2500; i++)
        ok &= tt_value_append(arena, tokens, tt_value_int(arena, i * 37));
    ok &= tt_value_set(arena, map, "token_buffer", tokens) && tt_value_set(arena, map, "ended", tt_value_bool(arena, false)) &&
          tt_pickle_from_value(&bytes, map, NULL) == TT_OK;
    struct tt_value *v = ok ? tt_value_bytes(arena, bytes.data, bytes.len) : NULL;
    tt_buf_release(&bytes);
    return v;
}

static size_t put_values(struct tt_arena *arena, struct tt_save_item *items)
{
    struct tt_value *betas = tt_value_tuple(arena);
    const bool ok =
        tt_value_append(arena, betas, tt_value_float(arena, 0.9)) && tt_value_append(arena, betas, tt_value_float(arena, 0.95));
    const struct { const char *fqn; struct tt_value *v; } values[] = {
        { "v.int", tt_value_int(arena, 5) },
        { "v.negative", tt_value_int(arena, -300) },
        { "v.large", tt_value_int(arena, INT64_MIN) },
        { "v.lr", tt_value_float(arena, 0.0008) },
        { "v.true", tt_value_bool(arena, true) },
        { "v.none", tt_value_null(arena) },
        { "v.text", tt_value_str(arena, "caf\xc3\xa9") },
        { "v.betas", ok ? betas : NULL },
        { "v.state", inner_pickle(arena) },
        { "v.bytes", tt_value_bytes(arena, "\x00\x7f\x80\xff", 4) },
        { "v.no_bytes", tt_value_bytes(arena, "", 0) },
    };
    const size_t n = sizeof values / sizeof values[0];
    for (size_t i = 0; i < n; i++) {
        if (!values[i].v)
            abort();
        items[i] = (struct tt_save_item){ .fqn = values[i].fqn, .value = values[i].v };
    }
    return n;
}

int main(int argc, char **argv)
{
    static uint8_t bytes[NBYTES];
    char names[TT_NDTYPE][40];
    struct tt_save_item items[TT_NDTYPE + NVALUES + 8] = { { 0 } };
    struct tt_arena arena = { 0 };
    struct tt_save_opts opts = { 0 };
    struct tt_err err;

    if (argc < 2)
        return 2;
    const int more = getenv("TITAN_FILL") ? atoi(getenv("TITAN_FILL")) : 0;
    for (int i = 0; i < NBYTES; i++)
        bytes[i] = (uint8_t)(i * 37 % 119 + more);
    opts.cast = argc > 2 && tt_dtype_from_torch(argv[2], &opts.cast_dtype);
    size_t n = put_values(&arena, items);
    for (int d = 0; d < TT_NDTYPE; d++) {
        if (d == TT_C32 || d == TT_F8_E8M0FNU || d == TT_F4_E2M1FN_X2 || d == TT_BOOL)
            continue;
        snprintf(names[d], sizeof names[d], "t.%s", tt_dtype_name((enum tt_dtype)d));
        items[n++] = (struct tt_save_item){ .fqn = names[d], .dtype = (enum tt_dtype)d, .ndim = 2, .shape = shape, .data = bytes };
    }
    const uint8_t *chunked = bytes;
    items[n++] = (struct tt_save_item){ .fqn = "chunked", .dtype = TT_F32, .ndim = 2, .shape = shape, .offsets = rest,
                                        .sizes = rest_size, .data = chunked + 6 * 4 };
    items[n++] = (struct tt_save_item){ .fqn = "chunked", .dtype = TT_F32, .ndim = 2, .shape = shape, .offsets = top,
                                        .sizes = top_size, .data = chunked };
    items[n++] = (struct tt_save_item){ .fqn = "empty", .dtype = TT_F32, .ndim = 2, .shape = none, .data = bytes };
    items[n++] =
        (struct tt_save_item){ .fqn = "optimizer.state.w.step", .path = nested, .npath = 2, .dtype = TT_F32, .data = bytes };
    items[n++] = (struct tt_save_item){ .fqn = "list.0.k", .path = in_list, .npath = 3, .dtype = TT_F32, .data = bytes };
    const tt_status st = tt_dcp_save(argv[1], items, n, &opts, &err);
    tt_arena_release(&arena);
    if (st != TT_OK)
        fprintf(stderr, "ckpt_save: %s\n", err.msg);
    return st != TT_OK;
}
