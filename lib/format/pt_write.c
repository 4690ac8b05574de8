#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/pt.h"

/* --- data.pkl ----------------------------------------------------------------------------------------------------------------- */

struct encoder {
    struct tt_arena *arena;
    struct tt_pt_storages *storages;
};

static tt_status number_storage(const struct encoder *e, struct tt_pt_storage *s, struct tt_err *err)
{
    struct tt_pt_storages *list = e->storages;

    if (s->number >= 0)
        return TT_OK;
    if (list->n == list->cap) {
        const size_t cap = list->cap ? list->cap * 2 : 16;
        struct tt_pt_storage **items = tt_arena_array(e->arena, cap, sizeof(struct tt_pt_storage *));
        if (!items)
            return tt_err_nomem(err, cap * sizeof *items, "the storages of a torch zip");
        if (list->n)
            memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->cap = cap;
    }
    s->number = (int64_t)list->n;
    list->items[list->n++] = s;
    return TT_OK;
}

static void put_hooks(struct tt_pickler *pk)
{
    tt_pk_global(pk, tt_py_global_id(TT_PY_ORDERED_DICT));
    tt_pk_op(pk, TT_PK_EMPTY_TUPLE);
    tt_pk_op(pk, TT_PK_REDUCE);
}

static void put_persistent_id(struct tt_pickler *pk, const struct tt_pt_storage *s, const struct tt_py_global *cls, size_t unit)
{
    char key[24];
    snprintf(key, sizeof key, "%" PRId64, s->number);
    tt_pk_op(pk, TT_PK_MARK);
    tt_pk_str(pk, "storage");
    tt_pk_global(pk, cls);
    tt_pk_str(pk, key);
    tt_pk_str(pk, "cpu");
    tt_pk_int(pk, (int64_t)(s->nbytes / unit));
    tt_pk_op(pk, TT_PK_TUPLE);
    tt_pk_op(pk, TT_PK_PERSID);
}

static tt_status put_tensor(void *ctx, struct tt_pickler *pk, const void *ref, struct tt_err *err)
{
    const struct encoder *e = ctx;
    const struct tt_pt_tensor *t = ref;
    const struct tt_py_global *typed = tt_py_global_storage(t->dtype); /* without one, v3 names storage and dtype apart */
    const tt_status st = number_storage(e, t->storage, err);

    if (st != TT_OK)
        return st;
    if (t->is_parameter)
        tt_pk_global(pk, tt_py_global_id(TT_PY_REBUILD_PARAMETER));
    tt_pk_global(pk, tt_py_global_id(typed ? TT_PY_REBUILD_TENSOR_V2 : TT_PY_REBUILD_TENSOR_V3));
    tt_pk_op(pk, TT_PK_MARK);
    put_persistent_id(pk, t->storage, typed ? typed : tt_py_global_id(TT_PY_UNTYPED_STORAGE),
                      typed ? tt_dtype_nbytes(t->dtype) : 1);
    tt_pk_int(pk, t->first);
    tt_pk_int_tuple(pk, t->shape, (size_t)t->ndim);
    tt_pk_int_tuple(pk, t->strides, (size_t)t->ndim);
    tt_pk_bool(pk, t->requires_grad && !t->is_parameter);
    put_hooks(pk);
    if (!typed)
        tt_pk_global(pk, tt_py_global_dtype(t->dtype));
    tt_pk_op(pk, TT_PK_TUPLE);
    tt_pk_op(pk, TT_PK_REDUCE);
    if (t->is_parameter) {
        tt_pk_bool(pk, t->requires_grad);
        put_hooks(pk);
        tt_pk_op(pk, TT_PK_TUPLE3);
        tt_pk_op(pk, TT_PK_REDUCE);
    }
    return TT_OK;
}

tt_status tt_pt_encode(struct tt_buf *out, struct tt_pt_storages *storages, struct tt_arena *arena, const struct tt_value *value,
                       struct tt_err *err)
{
    struct encoder e = { arena, storages };
    struct tt_pickler pk;

    tt_pickler_begin(&pk, out);
    const tt_status st = tt_pk_value(&pk, value, put_tensor, &e, err);
    if (st == TT_OK)
        return tt_pickler_end(&pk, err);
    tt_pickler_release(&pk);
    return st;
}

/* --- records ------------------------------------------------------------------------------------------------------------------ */

/* The small records, whose content is always the same. */
static const struct literal {
    const char *name, *text;
} before_data[] = { { ".format_version", "1" }, { ".storage_alignment", "64" }, { "byteorder", "little" } },
  version = { "version", "3\n" };

enum { NBEFORE = sizeof before_data / sizeof before_data[0], NAFTER = 2, ID_DIGITS = 40 };
_Static_assert(1 + NBEFORE == TT_PT_DATA0, "data/0 comes behind data.pkl and the small records");

tt_status tt_pt_layout(struct tt_pt_records *out, struct tt_arena *arena, const char *root, const struct tt_buf *data_pkl,
                       const uint64_t *storage_nbytes, size_t nstorages, struct tt_err *err)
{
    const size_t n = TT_PT_DATA0 + nstorages + NAFTER;
    struct tt_zip_record *r = tt_arena_array(arena, n, sizeof *r);
    bool ok = r != NULL;

    if (ok)
        r[0] = (struct tt_zip_record){ .root = root, .name = "data.pkl", .nbytes = data_pkl->len };
    for (size_t i = 0; ok && i < NBEFORE; i++)
        r[1 + i] = (struct tt_zip_record){ .root = root, .name = before_data[i].name, .nbytes = strlen(before_data[i].text) };
    for (size_t i = 0; ok && i < nstorages; i++) {
        struct tt_zip_record *data = &r[TT_PT_DATA0 + i];
        *data = (struct tt_zip_record){ .root = root, .nbytes = storage_nbytes[i] };
        data->name = tt_arena_printf(arena, "data/%zu", i);
        ok = data->name != NULL;
    }
    if (!ok)
        return tt_err_nomem(err, n * sizeof *r, "the records of a torch zip");
    r[n - 2] = (struct tt_zip_record){ .root = root, .name = version.name, .nbytes = strlen(version.text) };
    r[n - 1] = (struct tt_zip_record){ .root = root, .name = ".data/serialization_id", .nbytes = ID_DIGITS };
    *out = (struct tt_pt_records){ .items = r, .n = n, .ndata = nstorages };
    out->tail_offset = tt_zip_layout(r, n);
    out->nbytes = out->tail_offset + tt_zip_tail_nbytes(r, n);
    return TT_OK;
}

static void put_literal(struct tt_buf *out, struct tt_zip_record *r, const void *bytes)
{
    r->crc = tt_crc32(0, bytes, (size_t)r->nbytes);
    tt_zip_put_header(out, r);
    tt_buf_put(out, bytes, (size_t)r->nbytes);
    tt_zip_put_descriptor(out, r);
}

void tt_pt_put_head(struct tt_buf *out, struct tt_pt_records *records, const struct tt_buf *data_pkl)
{
    put_literal(out, &records->items[0], data_pkl->data);
    for (size_t i = 0; i < NBEFORE; i++)
        put_literal(out, &records->items[1 + i], before_data[i].text);
    if (records->ndata)
        tt_zip_put_header(out, &records->items[TT_PT_DATA0]);
}

void tt_pt_put_between(struct tt_buf *out, const struct tt_pt_records *records, size_t i)
{
    tt_zip_put_descriptor(out, &records->items[TT_PT_DATA0 + i]);
    tt_zip_put_header(out, &records->items[TT_PT_DATA0 + i + 1]);
}

/* 20 digits for the names and 20 for the content, as PyTorch has them; what they are computed from is nobody's concern. */
static void serialization_id(char id[ID_DIGITS + 1], const struct tt_pt_records *records)
{
    uint64_t names = 0, content = 0;

    for (size_t i = 0; i + 1 < records->n; i++) {
        const struct tt_zip_record *r = &records->items[i];
        names = names * 31 + tt_hash_bytes(r->name, strlen(r->name));
        content = content * 31 + tt_hash_bytes(&r->crc, sizeof r->crc);
    }
    snprintf(id, ID_DIGITS + 1, "%020" PRIu64 "%020" PRIu64, names, content);
}

void tt_pt_put_tail(struct tt_buf *out, struct tt_pt_records *records)
{
    char id[ID_DIGITS + 1];

    if (records->ndata)
        tt_zip_put_descriptor(out, &records->items[TT_PT_DATA0 + records->ndata - 1]);
    put_literal(out, &records->items[records->n - 2], version.text);
    serialization_id(id, records);
    put_literal(out, &records->items[records->n - 1], id);
    tt_zip_put_tail(out, records->items, records->n);
}
