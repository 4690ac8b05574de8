#include "format/metadata_private.h"

#include <inttypes.h>
#include <string.h>

/* The decoder; the encoder is in metadata_write.c. */

struct decoder {
    struct tt_entries *out;
    const char *where;
    struct tt_py_dims dims; /* in the catalogue's arena */
    const struct tt_py_items *entries; /* state_dict_metadata, once it was read; */
    uint32_t nentries;                 /* then it had so many items */
    const struct tt_py_items *places;  /* storage_data, where its items were taken on their way there */
    size_t likely; /* the entry behind the last one that storage_data named */
    struct tt_py path; /* the last relative_path, and */
    uint32_t file;     /* which file it is */
    struct tt_map chunks; /* by chunk_key, for those whose index is no help; made when first needed */
    struct tt_arena scratch;
    const struct tt_problems *problems;
    struct tt_err *err;
};

static tt_status bad_key(const struct decoder *d, const char *fqn, const char *what)
{
    return tt_err_set(d->err, TT_EFORMAT, "%s: key %s: %s", d->where, fqn, what);
}

static tt_status bad(const struct decoder *d, const char *what, const struct tt_py *found)
{
    char buf[200];
    return tt_err_set(d->err, TT_EFORMAT, "%s: expected %s, found %s", d->where, what, tt_py_kind_name(found, buf, sizeof buf));
}

static tt_status nomem(const struct decoder *d) { return tt_err_nomem(d->err, d->out->arena.used, d->where); }

/* An attribute of an object: its state is a dict. */
static const struct tt_py *attribute(const struct tt_py *object, const char *name)
{
    return object && object->kind == TT_PY_OBJECT ? tt_py_get(&object->u.object->state, name) : NULL;
}

static bool is_none(const struct tt_py *v) { return !v || v->kind == TT_PY_NONE; }

/* A torch.Size((2, 3)), or the plain tuple. ndim -1 takes any number of dimensions and returns it. */
static tt_status read_dims(struct decoder *d, const struct tt_py *v, const char *fqn, const char *what, int32_t *ndim,
                           const int64_t **out)
{
    const struct tt_py *items = v;
    int64_t dims[TT_NDIM_MAX];

    if (v && v->kind == TT_PY_DIMS && (*ndim < 0 || v->n == (uint32_t)*ndim)) {
        *ndim = (int32_t)v->n;
        *out = v->u.dims;
        return TT_OK;
    }
    if (tt_py_is_object(v, TT_PY_SIZE) && tt_py_len(&v->u.object->args) <= 1)
        items = tt_py_len(&v->u.object->args) ? tt_py_item(&v->u.object->args, 0) : &v->u.object->args;
    const bool is_flat = v && v->kind == TT_PY_DIMS;
    if (!is_flat && (!items || (items->kind != TT_PY_TUPLE && items->kind != TT_PY_LIST))) {
        char buf[200];
        return tt_err_set(d->err, TT_EFORMAT, "%s: key %s: expected %s, found %s", d->where, fqn, what,
                          tt_py_kind_name(v, buf, sizeof buf));
    }
    const uint32_t n = is_flat ? v->n : tt_py_len(items);
    if (n > TT_NDIM_MAX)
        return tt_err_set(d->err, TT_EUNSUPPORTED, "%s: key %s: %" PRIu32 " dimensions; titan reads up to %d", d->where, fqn, n,
                          TT_NDIM_MAX);
    if (*ndim >= 0 && n != (uint32_t)*ndim)
        return tt_err_set(d->err, TT_EFORMAT, "%s: key %s: expected %s of %d dimensions, found %" PRIu32, d->where, fqn, what,
                          *ndim, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct tt_py *item = tt_py_item(items, i);
        if (item->kind != TT_PY_INT)
            return bad_key(d, fqn, "expected dimensions that are integers");
        dims[i] = item->u.i;
    }
    *out = tt_py_dims_put(&d->dims, dims, n);
    *ndim = (int32_t)n;
    return *out ? TT_OK : nomem(d);
}

static char *copy_str(struct decoder *d, const struct tt_py *v)
{
    return memchr(v->u.s, 0, v->n) ? NULL : tt_arena_strn(&d->out->arena, (const char *)v->u.s, v->n);
}

/* --- state_dict_metadata ------------------------------------------------------------------------------------------------------ */

/* (dtype, layout, requires_grad, memory format, pin_memory [, strides]); the last came with 2.15. */
static tt_status read_properties(struct decoder *d, const struct tt_py *v, struct tt_entry *entry)
{
    if (!tt_py_is_object(v, TT_PY_TENSOR_PROPERTIES))
        return bad(d, "TensorProperties", v);
    const struct tt_py *state = &v->u.object->state;
    if (state->kind != TT_PY_TUPLE || tt_py_len(state) < 5)
        return bad_key(d, entry->fqn, "expected a tuple of 5 or 6 tensor properties");
    const struct tt_py *dtype = tt_py_item(state, 0), *grad = tt_py_item(state, 2);
    if (dtype->kind != TT_PY_GLOBAL || dtype->u.global->id != TT_PY_DTYPE)
        return bad(d, "a dtype", dtype);
    const struct tt_py *layout = tt_py_item(state, 1);
    if (!tt_py_is_object(layout, TT_PY_GET_LAYOUT) || tt_py_len(&layout->u.object->args) != 1)
        return bad(d, "a layout", layout);
    if (!tt_py_is_str(tt_py_item(&layout->u.object->args, 0), "torch.strided"))
        return tt_err_set(d->err, TT_EUNSUPPORTED, "%s: key %s: a layout other than torch.strided", d->where, entry->fqn);
    entry->dtype = dtype->u.global->dtype;
    entry->requires_grad = grad->kind == TT_PY_BOOL && grad->u.b;
    return TT_OK;
}

static void init_chunk(struct tt_chunk *chunk) { *chunk = (struct tt_chunk){ .codec = TT_CODEC_BLOB, .file = TT_FILE_NONE }; }

/* Chunks that were read on their way into their list. */
struct taken_chunks {
    struct tt_chunk *chunks;
    uint32_t n, cap;
    uint32_t ndim; /* of all of them */
    bool is_used;  /* by an entry */
};

static struct tt_chunk *get_room(struct decoder *d, struct taken_chunks *t, size_t n)
{
    if (n > t->cap - t->n) {
        const uint32_t cap = t->n ? t->n * 2 + (uint32_t)n : (uint32_t)n; /* most have all at once */
        struct tt_chunk *bigger = tt_arena_array(&d->out->arena, cap, sizeof *bigger);
        if (!bigger)
            return NULL;
        if (t->n)
            memcpy(bigger, t->chunks, t->n * sizeof *bigger);
        t->chunks = bigger;
        t->cap = cap;
    }
    return t->chunks + t->n;
}

static bool are_of_ndim(const struct tt_py *items, size_t n, uint32_t ndim)
{
    for (size_t i = 0; i < n; i++) {
        const struct tt_py *v = &items[i];
        if (v->kind != TT_PY_FLAT || v->n != TT_PY_CHUNK)
            return false;
        const struct tt_py *offsets = &v->u.flat[TT_PY_CHUNK_OFFSETS], *sizes = &v->u.flat[TT_PY_CHUNK_SIZES];
        if (offsets->kind != TT_PY_DIMS || sizes->kind != TT_PY_DIMS || offsets->n != ndim || sizes->n != ndim)
            return false;
    }
    return true;
}

/* What a large job has most of becomes chunks of the catalogue at once. */
static tt_status take_chunks(struct decoder *d, const struct tt_py *list, const struct tt_py *items, size_t n, bool *taken)
{
    struct taken_chunks *t = list->u.seq->taken;
    const uint32_t ndim = t ? t->ndim : items[0].u.flat[TT_PY_CHUNK_OFFSETS].n;

    if (list->u.seq->n || n > UINT32_MAX / 4 || !are_of_ndim(items, n, ndim) || (t && t->n > UINT32_MAX / 4))
        return TT_OK;
    if (!t && !(t = tt_arena_alloc(&d->scratch, sizeof *t)))
        return nomem(d);
    struct tt_chunk *chunks = get_room(d, t, n);
    if (!chunks)
        return nomem(d);
    for (size_t i = 0; i < n; i++) {
        init_chunk(&chunks[i]);
        chunks[i].offsets = items[i].u.flat[TT_PY_CHUNK_OFFSETS].u.dims;
        chunks[i].sizes = items[i].u.flat[TT_PY_CHUNK_SIZES].u.dims;
    }
    t->n += (uint32_t)n;
    t->ndim = ndim;
    list->u.seq->taken = t;
    *taken = true;
    return TT_OK;
}

/* Of those the list has still. */
static tt_status read_chunk(struct decoder *d, const struct tt_entry *entry, const struct tt_py *v, struct tt_chunk *chunk)
{
    struct tt_py own[TT_PY_NATTRS_MAX];
    const struct tt_py *a = tt_py_attributes(v, TT_PY_CHUNK, own);
    int32_t ndim = entry->ndim;

    if (!a)
        return bad(d, "ChunkStorageMetadata", v);
    init_chunk(chunk);
    const tt_status st = read_dims(d, &a[TT_PY_CHUNK_OFFSETS], entry->fqn, "chunk offsets", &ndim, &chunk->offsets);
    return st == TT_OK ? read_dims(d, &a[TT_PY_CHUNK_SIZES], entry->fqn, "chunk sizes", &ndim, &chunk->sizes) : st;
}

static tt_status read_chunks(struct decoder *d, const struct tt_py *list, struct tt_entry *entry)
{
    if (!list || list->kind != TT_PY_LIST)
        return bad(d, "a list of chunks", list);
    struct taken_chunks *t = list->u.seq->taken;
    const uint32_t ntaken = t ? t->n : 0, nkept = tt_py_len(list);
    if (t && t->ndim != (uint32_t)entry->ndim)
        return tt_err_set(d->err, TT_EFORMAT, "%s: key %s: expected chunk offsets of %d dimensions, found %" PRIu32, d->where,
                          entry->fqn, entry->ndim, t->ndim);
    entry->nchunks = ntaken + nkept;
    if (t && !t->is_used && !nkept) {
        entry->chunks = t->chunks;
        t->is_used = true;
        return TT_OK;
    }
    entry->chunks = tt_arena_array(&d->out->arena, entry->nchunks, sizeof *entry->chunks);
    if (!entry->chunks)
        return nomem(d);
    if (ntaken)
        memcpy(entry->chunks, t->chunks, ntaken * sizeof *t->chunks);
    for (uint32_t i = 0; i < nkept; i++) {
        const tt_status st = read_chunk(d, entry, tt_py_item(list, i), &entry->chunks[ntaken + i]);
        if (st != TT_OK)
            return st;
    }
    return TT_OK;
}

/* Where somebody keeps a list of what is wrong, the decoding goes on. */
static tt_status forgive(const struct decoder *d, tt_status st)
{
    return st == TT_EFORMAT && d->problems ? d->problems->note(d->problems->ctx, d->err->msg) : st;
}

static tt_status read_entry(struct decoder *d, const struct tt_py *key, const struct tt_py *v)
{
    struct tt_entry entry = { .ndim = -1 };

    if (key->kind != TT_PY_STR)
        return bad(d, "a key that is a str", key);
    entry.fqn = copy_str(d, key);
    if (!entry.fqn)
        return bad(d, "a key without NUL bytes", key);
    if (tt_py_is_object(v, TT_PY_TENSOR_METADATA)) {
        entry.kind = TT_ENTRY_TENSOR;
        tt_status st = read_properties(d, attribute(v, "properties"), &entry);
        if (st == TT_OK)
            st = read_dims(d, attribute(v, "size"), entry.fqn, "a size", &entry.ndim, &entry.shape);
        if (st == TT_OK)
            st = read_chunks(d, attribute(v, "chunks"), &entry);
        if (st == TT_OK)
            st = forgive(d, tt_entry_check_chunks(&entry, d->where, d->err));
        if (st == TT_OK)
            st = tt_chunks_sort(&entry, &d->out->arena, d->err);
        if (st != TT_OK)
            return st;
    } else if (tt_py_is_object(v, TT_PY_BYTES_METADATA)) {
        entry.kind = TT_ENTRY_VALUE;
        entry.ndim = 0;
        entry.nchunks = 1;
        entry.chunks = tt_arena_alloc(&d->out->arena, sizeof *entry.chunks);
        if (!entry.chunks)
            return nomem(d);
        init_chunk(entry.chunks);
    } else {
        return bad(d, "TensorStorageMetadata or BytesStorageMetadata", v);
    }
    const tt_status st = tt_entries_add(d->out, &entry, d->err);
    return st == TT_EFORMAT ? bad_key(d, entry.fqn, "it is there twice") : st;
}

/* --- planner_data ------------------------------------------------------------------------------------------------------------- */

static tt_status read_path(struct decoder *d, struct tt_entry *entry, const struct tt_py *path)
{
    const uint32_t n = path->kind == TT_PY_TUPLE || path->kind == TT_PY_LIST ? tt_py_len(path) : 0;
    struct tt_path_part *parts = tt_arena_array(&d->out->arena, n, sizeof *parts);
    if (!parts)
        return nomem(d);
    if (n == 0)
        return bad(d, "a path in planner_data", path);
    for (uint32_t i = 0; i < n; i++) {
        const struct tt_py *part = tt_py_item(path, i);
        if (part->kind == TT_PY_STR && part->n == strlen(entry->fqn) && memcmp(part->u.s, entry->fqn, part->n) == 0)
            parts[i].key = entry->fqn;
        else if (part->kind == TT_PY_STR)
            parts[i].key = copy_str(d, part);
        else if (part->kind == TT_PY_INT && part->u.i >= 0)
            parts[i].index = part->u.i;
        else
            return bad(d, "a str or an int in a path of planner_data", part);
        if (part->kind == TT_PY_STR && !parts[i].key)
            return bad_key(d, entry->fqn, "its path has a NUL byte");
    }
    entry->path = parts;
    entry->npath = n;
    return TT_OK;
}

/* Both dicts that name keys most often do so in the order of the first. */
static struct tt_entry *find(struct decoder *d, const struct tt_py *fqn)
{
    uint64_t i = d->likely;

    if (fqn->kind != TT_PY_STR)
        return NULL;
    if (i >= d->out->n || strncmp(d->out->items[i].fqn, (const char *)fqn->u.s, fqn->n) != 0 || d->out->items[i].fqn[fqn->n] != 0)
        if (!tt_map_get(&d->out->by_fqn, (const char *)fqn->u.s, fqn->n, &i))
            return NULL;
    d->likely = i + 1;
    return &d->out->items[i];
}

static tt_status read_planner_data(struct decoder *d, const struct tt_py *dict)
{
    if (is_none(dict))
        return TT_OK;
    if (dict->kind != TT_PY_DICT)
        return bad(d, "a dict of planner_data", dict);
    for (uint32_t i = 0; i + 1 < tt_py_len(dict); i += 2) {
        struct tt_entry *entry = find(d, tt_py_item(dict, i));
        if (entry && entry->npath)
            return bad_key(d, entry->fqn, "it is in planner_data twice");
        const tt_status st = entry ? read_path(d, entry, tt_py_item(dict, i + 1)) : TT_OK;
        if (st != TT_OK)
            return st;
    }
    return TT_OK;
}

/* --- storage_data ------------------------------------------------------------------------------------------------------------- */

/* Which chunk: its entry, and its offsets, of which equal ones are one and the same. */
struct chunk_key {
    size_t entry;
    const int64_t *offsets;
};

static tt_status index_chunks(struct decoder *d)
{
    for (size_t e = 0; e < d->out->n; e++) {
        const struct tt_entry *entry = &d->out->items[e];
        for (uint32_t i = 0; entry->kind == TT_ENTRY_TENSOR && i < entry->nchunks; i++) {
            struct chunk_key *key = tt_arena_alloc(&d->scratch, sizeof *key);
            if (!key)
                return nomem(d);
            *key = (struct chunk_key){ e, entry->chunks[i].offsets };
            const tt_status st = tt_map_put(&d->chunks, (const char *)key, sizeof *key, i, NULL, NULL, d->err);
            if (st != TT_OK)
                return st;
        }
    }
    return TT_OK;
}

/* The chunk at these offsets; `index` says where it likely is, but only the offsets count. *out stays NULL where there is none. */
static tt_status find_chunk(struct decoder *d, struct tt_entry *entry, const struct tt_py *offset, const struct tt_py *index,
                            struct tt_chunk **out)
{
    struct chunk_key key = { .entry = (size_t)(entry - d->out->items) };
    int32_t ndim = entry->ndim;
    uint64_t i;
    tt_status st = read_dims(d, offset, entry->fqn, "the offsets of a chunk in storage_data", &ndim, &key.offsets);

    if (st != TT_OK)
        return st;
    if (index->kind == TT_PY_INT && index->u.i >= 0 && index->u.i < entry->nchunks &&
        entry->chunks[index->u.i].offsets == key.offsets) {
        *out = &entry->chunks[index->u.i];
        return TT_OK;
    }
    st = d->chunks.n == 0 ? index_chunks(d) : TT_OK;
    if (st == TT_OK && tt_map_get(&d->chunks, (const char *)&key, sizeof key, &i))
        *out = &entry->chunks[i];
    return st;
}

/* The name of a file in the folder: one component, and nothing that a terminal would obey. */
static bool is_file_name(const char *name, size_t n)
{
    if (strlen(name) != n || n == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        const uint8_t c = (uint8_t)name[i];
        if (c == '/' || c < ' ' || c == 0x7f || (c == 0xc2 && (uint8_t)name[i + 1] >= 0x80 && (uint8_t)name[i + 1] < 0xa0))
            return false;
    }
    return true;
}

static bool starts_with(const struct tt_py *str, const char *s)
{
    const size_t n = strlen(s);
    return str->n >= n && memcmp(str->u.s, s, n) == 0;
}

/* ["stream.zstd/1"]: name and version. Whatever reads version 1 reads 1.2 too, as PyTorch has it. */
static tt_status read_transforms(struct decoder *d, struct tt_entry *entry, const struct tt_py *list, struct tt_chunk *chunk)
{
    static const char name[] = "stream.zstd";
    char shown[64];

    if (list->kind != TT_PY_LIST && list->kind != TT_PY_TUPLE)
        return bad(d, "a list of transform_descriptors", list);
    if (tt_py_len(list) == 0)
        return TT_OK;
    const struct tt_py *t = tt_py_item(list, 0);
    if (t->kind != TT_PY_STR)
        return bad(d, "a str in transform_descriptors", t);
    tt_py_show(shown, sizeof shown, (const char *)t->u.s, t->n);
    if (tt_py_len(list) > 1)
        return tt_err_set(d->err, TT_EUNSUPPORTED, "%s: key %s: its item went through %" PRIu32 " transforms; titan reads one", d->where,
                          entry->fqn, tt_py_len(list));
    if (!starts_with(t, name) || (t->n > sizeof name - 1 && t->u.s[sizeof name - 1] != '/'))
        return tt_err_set(d->err, TT_EUNSUPPORTED, "%s: key %s: its item went through the transform \"%s\"; titan knows %s alone",
                          d->where, entry->fqn, shown, name);
    if (!starts_with(t, "stream.zstd/1") || (t->n > sizeof name + 1 && t->u.s[sizeof name + 1] != '.'))
        return tt_err_set(d->err, TT_EUNSUPPORTED, "%s: key %s: its item went through \"%s\"; of %s titan reads version 1 alone",
                          d->where, entry->fqn, shown, name);
    chunk->codec = TT_CODEC_ZSTD;
    entry->is_packed = true;
    return TT_OK;
}

static tt_status read_place(struct decoder *d, struct tt_entry *entry, const struct tt_py *v, struct tt_chunk *chunk)
{
    struct tt_py own[TT_PY_NATTRS_MAX];
    const struct tt_py *a = tt_py_attributes(v, TT_PY_PLACE, own);

    if (!a)
        return bad(d, "_StorageInfo", v);
    const struct tt_py *path = &a[TT_PY_PLACE_PATH], *offset = &a[TT_PY_PLACE_OFFSET], *nbytes = &a[TT_PY_PLACE_LENGTH];
    const struct tt_py *transforms = &a[TT_PY_PLACE_TRANSFORMS];
    if (path->kind != TT_PY_STR || offset->kind != TT_PY_INT || nbytes->kind != TT_PY_INT)
        return bad_key(d, entry->fqn, "expected relative_path, offset and length in its _StorageInfo");
    if (offset->u.i < 0 || nbytes->u.i < 0)
        return bad_key(d, entry->fqn, "a negative offset or length in its _StorageInfo");
    const tt_status known = is_none(transforms) ? TT_OK : read_transforms(d, entry, transforms, chunk);
    if (known != TT_OK)
        return known;
    if (chunk->file != TT_FILE_NONE)
        return bad_key(d, entry->fqn, "storage_data has two places for the same chunk of it");
    chunk->offset = (uint64_t)offset->u.i;
    chunk->nbytes = (uint64_t)nbytes->u.i;
    /* One file has many items, and most often its name is one string. */
    if (d->path.kind == TT_PY_STR && d->path.n == path->n && d->path.u.s == path->u.s) {
        chunk->file = d->file;
        return TT_OK;
    }
    char *name = tt_arena_strn(&d->scratch, (const char *)path->u.s, path->n);
    if (!name)
        return nomem(d);
    if (!is_file_name(name, path->n)) {
        char shown[100];
        return tt_err_set(d->err, TT_EFORMAT, "%s: key %s: refused: its relative_path \"%s\" is not the name of a file in the checkpoint's "
                          "folder", d->where, entry->fqn, tt_py_show(shown, sizeof shown, (const char *)path->u.s, path->n));
    }
    const tt_status st = tt_entries_file(d->out, name, &chunk->file, d->err);
    if (st == TT_OK) {
        d->path = *path;
        d->file = chunk->file;
    }
    return st;
}

/* Each rank's items name the keys in the same order, and the chunk of each by the rank: those of the next keys lie far apart. */
static void prefetch(const struct decoder *d, const struct tt_py *index)
{
    enum { AHEAD = 12 };
    const size_t e = d->likely + AHEAD;

    if (e >= d->out->n || index->kind != TT_PY_INT || index->u.i < 0 || index->u.i >= d->out->items[e].nchunks)
        return;
    const struct tt_chunk *chunk = &d->out->items[e].chunks[index->u.i];
    __builtin_prefetch(&chunk->offsets, 1);
    __builtin_prefetch(&chunk->file, 1); /* often on the next line */
}

static tt_status read_storage(struct decoder *d, const struct tt_py *key, const struct tt_py *v)
{
    struct tt_py own[TT_PY_NATTRS_MAX];
    const struct tt_py *a = tt_py_attributes(key, TT_PY_INDEX, own);
    struct tt_chunk *chunk = NULL;

    if (!a)
        return bad(d, "MetadataIndex", key);
    struct tt_entry *entry = find(d, &a[TT_PY_INDEX_FQN]);
    prefetch(d, &a[TT_PY_INDEX_INDEX]);
    if (!entry)
        return TT_OK; /* nobody can ask for it */
    if (entry->kind == TT_ENTRY_VALUE) {
        chunk = is_none(&a[TT_PY_INDEX_OFFSET]) ? entry->chunks : NULL;
    } else {
        const tt_status st = find_chunk(d, entry, &a[TT_PY_INDEX_OFFSET], &a[TT_PY_INDEX_INDEX], &chunk);
        if (st != TT_OK)
            return st;
    }
    return chunk ? read_place(d, entry, v, chunk) : TT_OK;
}

static tt_status read_pairs(struct decoder *d, const struct tt_py *pairs, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        const tt_status st = read_storage(d, &pairs[i], &pairs[i + 1]);
        if (st != TT_OK)
            return st;
    }
    return TT_OK;
}

static tt_status read_storage_data(struct decoder *d, const struct tt_py *dict)
{
    if (!dict || dict->kind != TT_PY_DICT || (d->places && d->places != dict->u.seq))
        return bad(d, "a dict of storage_data", dict);
    return tt_py_len(dict) ? read_pairs(d, dict->u.seq->items, dict->u.seq->n) : TT_OK;
}

/* Empty chunks may have none: several of them can share an offset, and a dict keeps one. */
static tt_status check_places(struct decoder *d)
{
    tt_status st = TT_OK;

    for (size_t e = 0; e < d->out->n; e++) {
        const struct tt_entry *entry = &d->out->items[e];
        for (uint32_t i = 0; i < entry->nchunks && st == TT_OK; i++) {
            const struct tt_chunk *c = &entry->chunks[i];
            char buf[200];
            if (c->file != TT_FILE_NONE)
                continue;
            const struct tt_region r = tt_region_make(entry->ndim, c->offsets, c->sizes);
            if (entry->kind == TT_ENTRY_VALUE)
                st = forgive(d, bad_key(d, entry->fqn, "there is no storage_data for it"));
            else if (!tt_region_is_empty(&r))
                st = forgive(d, tt_err_set(d->err, TT_EFORMAT, "%s: key %s: there is no storage_data for its chunk at %s", d->where,
                                           entry->fqn, tt_dims_text(buf, sizeof buf, entry->ndim, c->offsets)));
        }
    }
    return st;
}

static tt_status read_entries(struct decoder *d, const struct tt_py *dict)
{
    if (!dict || dict->kind != TT_PY_DICT)
        return bad(d, "a dict of state_dict_metadata", dict);
    d->entries = dict->u.seq;
    d->nentries = tt_py_len(dict);
    tt_status st = tt_entries_expect(d->out, d->nentries / 2, d->err);
    for (uint32_t i = 0; i + 1 < d->nentries && st == TT_OK; i += 2)
        st = read_entry(d, tt_py_item(dict, i), tt_py_item(dict, i + 1));
    return st;
}

/* Python's pickle has state_dict_metadata before storage_data, among the attributes of the same object. */
static tt_status take_places(struct decoder *d, const struct tt_py *dict, const struct tt_py *siblings, size_t nsiblings,
                             const struct tt_py *pairs, size_t n, bool *taken)
{
    tt_status st = TT_OK;

    if (!d->entries && nsiblings % 2 == 1 && tt_py_is_str(&siblings[nsiblings - 1], "storage_data"))
        for (size_t i = 0; i + 1 < nsiblings && !d->entries && st == TT_OK; i += 2)
            if (tt_py_is_str(&siblings[i], "state_dict_metadata")) {
                d->places = dict->u.seq;
                st = read_entries(d, &siblings[i + 1]);
            }
    *taken = d->entries && d->places == dict->u.seq;
    return st == TT_OK && *taken ? read_pairs(d, pairs, n) : st;
}

/* There is a chunk and its place for each item of a large job. They are read as they come, 1000 at most at a time: kept, they
 * would take more memory than what is made of them. */
static tt_status take(void *ctx, const struct tt_py *into, const struct tt_py *siblings, size_t nsiblings,
                      const struct tt_py *items, size_t n, bool *taken)
{
    struct decoder *d = ctx;
    return into->kind == TT_PY_LIST   ? take_chunks(d, into, items, n, taken)
           : into->kind == TT_PY_DICT ? take_places(d, into, siblings, nsiblings, items, n, taken)
                                      : TT_OK;
}

static tt_status read_root(struct decoder *d, const struct tt_py *root)
{
    if (!tt_py_is_object(root, TT_PY_METADATA))
        return bad(d, "a pickle of torch.distributed.checkpoint.metadata.Metadata", root);
    const struct tt_py *dict = attribute(root, "state_dict_metadata");
    tt_status st = TT_OK;
    if (!d->entries)
        st = read_entries(d, dict);
    else if (!dict || dict->kind != TT_PY_DICT || dict->u.seq != d->entries || tt_py_len(dict) != d->nentries)
        st = tt_err_set(d->err, TT_EFORMAT, "%s: expected state_dict_metadata whole before storage_data", d->where);
    if (st == TT_OK)
        st = read_planner_data(d, attribute(root, "planner_data"));
    if (st == TT_OK)
        st = read_storage_data(d, attribute(root, "storage_data"));
    return st == TT_OK ? check_places(d) : st;
}

tt_status tt_metadata_decode(struct tt_entries *out, const uint8_t *bytes, size_t nbytes, const char *where, struct tt_err *err)
{
    return tt_metadata_decode_all(out, bytes, nbytes, where, NULL, NULL, err);
}

static tt_status forgive_all(void *ctx, const char *message)
{
    (void)ctx;
    (void)message;
    return TT_OK;
}

tt_status tt_metadata_decode_part(struct tt_entries *out, const uint8_t *bytes, size_t nbytes, const char *where,
                                  struct tt_err *err)
{
    static const struct tt_problems problems = { .note = forgive_all };
    struct tt_err why; /* what is forgiven is told there */
    const tt_status st = tt_metadata_decode_all(out, bytes, nbytes, where, NULL, &problems, &why);
    return st == TT_OK ? TT_OK : tt_err_set(err, st, "%s", why.msg);
}

tt_status tt_metadata_decode_all(struct tt_entries *out, const uint8_t *bytes, size_t nbytes, const char *where,
                                 const struct tt_py_gets *gets, const struct tt_problems *problems, struct tt_err *err)
{
    struct decoder d = { .out = out, .where = where, .problems = problems, .err = err };
    struct tt_arena nodes = { 0 };
    struct tt_py root;
    d.dims.arena = &out->arena;
    const struct tt_py_taker taker = { take, &d };
    const struct tt_py_how how = { .allow = TT_PY_ALLOW_METADATA, .where = where, .dims = &d.dims, .gets = gets, .taker = &taker };
    tt_arena_expect(&nodes, nbytes / 4);
    tt_arena_expect(&out->arena, nbytes / 2);
    tt_status st = tt_pickle_decode(&nodes, &root, bytes, nbytes, &how, err);

    if (st == TT_OK)
        st = read_root(&d, &root);
    tt_arena_release(&nodes);
    tt_arena_release(&d.scratch);
    tt_map_release(&d.chunks);
    tt_py_dims_release(&d.dims);
    if (st != TT_OK)
        tt_entries_release(out);
    return st;
}
