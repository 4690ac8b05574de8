#include <string.h>

#include "format/metadata.h"
#include "format/pickler.h"
#include "format/zstd.h"

static void put_object(struct tt_pickler *pk, enum tt_py_id id)
{
    tt_pk_global(pk, tt_py_global_id(id));
    tt_pk_op(pk, TT_PK_EMPTY_TUPLE);
    tt_pk_op(pk, TT_PK_NEWOBJ);
}

/* The state of an object: a dict of attributes, given by the calls between begin and end. */
static void begin_state(struct tt_pickler *pk)
{
    tt_pk_op(pk, TT_PK_EMPTY_DICT);
    tt_pk_op(pk, TT_PK_MARK);
}

static void end_state(struct tt_pickler *pk)
{
    tt_pk_op(pk, TT_PK_SETITEMS);
    tt_pk_op(pk, TT_PK_BUILD);
}

static void put_size(struct tt_pickler *pk, int ndim, const int64_t *dims)
{
    tt_pk_global(pk, tt_py_global_id(TT_PY_SIZE));
    tt_pk_int_tuple(pk, dims, (size_t)ndim);
    tt_pk_op(pk, TT_PK_TUPLE1);
    tt_pk_op(pk, TT_PK_REDUCE);
}

/* (dtype, layout, requires_grad, memory format, pin_memory): the form that every version reads. */
static void put_properties(struct tt_pickler *pk, const struct tt_entry *entry)
{
    put_object(pk, TT_PY_TENSOR_PROPERTIES);
    tt_pk_op(pk, TT_PK_MARK);
    tt_pk_global(pk, tt_py_global_dtype(entry->dtype));
    tt_pk_global(pk, tt_py_global_id(TT_PY_GET_LAYOUT));
    tt_pk_str(pk, "torch.strided");
    tt_pk_op(pk, TT_PK_TUPLE1);
    tt_pk_op(pk, TT_PK_REDUCE);
    tt_pk_bool(pk, entry->requires_grad);
    tt_pk_global(pk, tt_py_global_id(TT_PY_MEMORY_FORMAT));
    tt_pk_int(pk, 0); /* torch.contiguous_format */
    tt_pk_op(pk, TT_PK_TUPLE1);
    tt_pk_op(pk, TT_PK_REDUCE);
    tt_pk_bool(pk, false);
    tt_pk_op(pk, TT_PK_TUPLE);
    tt_pk_op(pk, TT_PK_BUILD);
}

static void put_tensor(struct tt_pickler *pk, const struct tt_entry *entry)
{
    put_object(pk, TT_PY_TENSOR_METADATA);
    begin_state(pk);
    tt_pk_str(pk, "properties");
    put_properties(pk, entry);
    tt_pk_str(pk, "size");
    put_size(pk, entry->ndim, entry->shape);
    tt_pk_str(pk, "chunks");
    tt_pk_op(pk, TT_PK_EMPTY_LIST);
    tt_pk_op(pk, TT_PK_MARK);
    for (uint32_t i = 0; i < entry->nchunks; i++) {
        put_object(pk, TT_PY_CHUNK_METADATA);
        begin_state(pk);
        tt_pk_str(pk, "offsets");
        put_size(pk, entry->ndim, entry->chunks[i].offsets);
        tt_pk_str(pk, "sizes");
        put_size(pk, entry->ndim, entry->chunks[i].sizes);
        end_state(pk);
    }
    tt_pk_op(pk, TT_PK_APPENDS);
    end_state(pk);
}

static void put_path(struct tt_pickler *pk, const struct tt_entry *entry)
{
    tt_pk_op(pk, TT_PK_MARK);
    if (entry->npath == 0)
        tt_pk_str(pk, entry->fqn);
    for (uint32_t i = 0; i < entry->npath; i++)
        if (entry->path[i].key)
            tt_pk_str(pk, entry->path[i].key);
        else
            tt_pk_int(pk, entry->path[i].index);
    tt_pk_op(pk, TT_PK_TUPLE);
}

static void put_index(struct tt_pickler *pk, const struct tt_entry *entry, uint32_t i)
{
    put_object(pk, TT_PY_METADATA_INDEX);
    begin_state(pk);
    tt_pk_str(pk, "fqn");
    tt_pk_str(pk, entry->fqn);
    tt_pk_str(pk, "index");
    if (entry->kind == TT_ENTRY_TENSOR) {
        tt_pk_int(pk, i);
        tt_pk_str(pk, "offset");
        put_size(pk, entry->ndim, entry->chunks[i].offsets);
    } else {
        tt_pk_op(pk, TT_PK_NONE);
    }
    end_state(pk);
}

static void put_place(struct tt_pickler *pk, const struct tt_chunk *chunk, const char *file)
{
    put_object(pk, TT_PY_STORAGE_INFO);
    begin_state(pk);
    tt_pk_str(pk, "relative_path");
    tt_pk_str(pk, file);
    tt_pk_str(pk, "offset");
    tt_pk_int(pk, (int64_t)chunk->offset);
    tt_pk_str(pk, "length");
    tt_pk_int(pk, (int64_t)chunk->nbytes);
    if (chunk->codec == TT_CODEC_ZSTD) {
        tt_pk_str(pk, "transform_descriptors");
        tt_pk_op(pk, TT_PK_EMPTY_LIST);
        tt_pk_op(pk, TT_PK_MARK);
        tt_pk_str(pk, TT_ZSTD_TRANSFORM);
        tt_pk_op(pk, TT_PK_APPENDS);
    }
    end_state(pk);
}

/* The items of a dict, in batches as Python has them, so that no reader needs a stack for all. */
struct dict {
    struct tt_pickler *pk;
    uint32_t n; /* in the batch */
};

static void begin_item(struct dict *dict)
{
    enum { BATCH = 1000 };

    if (dict->n == BATCH) {
        tt_pk_op(dict->pk, TT_PK_SETITEMS);
        dict->n = 0;
    }
    if (dict->n++ == 0)
        tt_pk_op(dict->pk, TT_PK_MARK);
}

typedef void put_fn(struct dict *dict, const struct tt_entries *entries, const struct tt_entry *entry);

static void put_dict(struct tt_pickler *pk, const char *name, const struct tt_entries *entries, put_fn *put)
{
    struct dict dict = { .pk = pk };

    tt_pk_str(pk, name);
    tt_pk_op(pk, TT_PK_EMPTY_DICT);
    for (size_t i = 0; i < entries->n; i++)
        put(&dict, entries, &entries->items[i]);
    if (dict.n)
        tt_pk_op(pk, TT_PK_SETITEMS);
}

static void put_entry(struct dict *dict, const struct tt_entries *entries, const struct tt_entry *entry)
{
    (void)entries;
    begin_item(dict);
    tt_pk_str(dict->pk, entry->fqn);
    if (entry->kind == TT_ENTRY_TENSOR)
        put_tensor(dict->pk, entry);
    else
        put_object(dict->pk, TT_PY_BYTES_METADATA);
}

static void put_planner_path(struct dict *dict, const struct tt_entries *entries, const struct tt_entry *entry)
{
    (void)entries;
    begin_item(dict);
    tt_pk_str(dict->pk, entry->fqn);
    put_path(dict->pk, entry);
}

static void put_storage(struct dict *dict, const struct tt_entries *entries, const struct tt_entry *entry)
{
    for (uint32_t i = 0; i < entry->nchunks; i++)
        if (entry->chunks[i].file != TT_FILE_NONE) {
            begin_item(dict);
            put_index(dict->pk, entry, i);
            put_place(dict->pk, &entry->chunks[i], entries->files[entry->chunks[i].file]);
        }
}

tt_status tt_metadata_encode(struct tt_buf *out, const struct tt_entries *entries, struct tt_err *err)
{
    struct tt_pickler pk;

    tt_pickler_begin(&pk, out);
    put_object(&pk, TT_PY_METADATA);
    begin_state(&pk);
    put_dict(&pk, "state_dict_metadata", entries, put_entry);
    put_dict(&pk, "planner_data", entries, put_planner_path);
    put_dict(&pk, "storage_data", entries, put_storage);
    tt_pk_str(&pk, "storage_meta");
    tt_pk_op(&pk, TT_PK_NONE);
    tt_pk_str(&pk, "version");
    tt_pk_str(&pk, "1.0.0");
    end_state(&pk);
    return tt_pickler_end(&pk, err);
}
