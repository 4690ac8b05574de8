#include <stdlib.h>
#include <string.h>

#include "ckpt/ckpt_private.h"
#include "format/hf_index.h"
#include "format/safetensors.h"

/* A tensor as one file has it. */
struct piece {
    const struct tt_st_tensor *tensor;
    uint32_t file;
};

struct opener {
    struct tt_ckpt *ckpt;
    struct tt_arena scratch; /* what the files' headers say */
    struct piece *pieces;
    size_t n, cap;
    struct tt_hf_index index;
    const char *index_path;
    const char **found; /* (index.n) the file that an item was found in; NULL: none so far */
    struct tt_map by_tensor;
    struct tt_err *err;
};

static tt_status nomem(const struct opener *o) { return tt_err_nomem(o->err, o->scratch.used, o->ckpt->path); }

/* --- from pieces to entries --------------------------------------------------------------------------------------------------- */

/* The first piece of its name. */
static tt_status add_entry(struct opener *o, const struct tt_st_tensor *t)
{
    struct tt_arena *arena = &o->ckpt->entries.arena;
    struct tt_entry entry = { .kind = TT_ENTRY_TENSOR, .dtype = t->dtype, .ndim = t->ndim, .nchunks = 1 };
    int64_t *shape = tt_arena_array(arena, (size_t)t->ndim, sizeof *shape);

    entry.fqn = tt_arena_str(arena, t->name);
    if (!entry.fqn || !shape)
        return nomem(o);
    for (int d = 0; d < t->ndim; d++)
        shape[d] = t->shape[d] + (t->saved_offsets ? t->saved_offsets[d] : 0);
    entry.shape = shape;
    return tt_entries_add(&o->ckpt->entries, &entry, o->err);
}

/* Another piece of an entry. */
static tt_status grow_entry(struct opener *o, struct tt_entry *e, const struct piece *p)
{
    const struct tt_st_tensor *t = p->tensor;
    const char *file = o->ckpt->entries.files[p->file];

    if (!t->saved_offsets)
        return tt_err_set(o->err, TT_EFORMAT, "%s: tensor %s: %s has it as another file does, and does not say where in the tensor "
                          "it belongs", o->ckpt->path, e->fqn, file);
    if (t->dtype != e->dtype || t->ndim != e->ndim)
        return tt_err_set(o->err, TT_EFORMAT, "%s: tensor %s: expected torch.%s of %d dimensions, as in another file, found torch.%s "
                          "of %d in %s", o->ckpt->path, e->fqn, tt_dtype_name(e->dtype), e->ndim, tt_dtype_name(t->dtype), t->ndim,
                          file);
    for (int d = 0; d < t->ndim; d++)
        if (e->shape[d] < t->saved_offsets[d] + t->shape[d])
            ((int64_t *)(uintptr_t)e->shape)[d] = t->saved_offsets[d] + t->shape[d]; /* made in add_entry */
    e->nchunks++;
    return TT_OK;
}

static tt_status put_chunk(struct opener *o, struct tt_entry *e, const struct piece *p, const int64_t *zeros)
{
    struct tt_arena *arena = &o->ckpt->entries.arena;
    const struct tt_st_tensor *t = p->tensor;
    const bool is_whole = !t->saved_offsets;
    int64_t *dims = is_whole ? NULL : tt_arena_array(arena, 2 * (size_t)t->ndim, sizeof *dims);

    if (!is_whole && !dims)
        return nomem(o);
    if (dims && t->ndim) {
        memcpy(dims, t->saved_offsets, (size_t)t->ndim * sizeof *dims);
        memcpy(dims + t->ndim, t->shape, (size_t)t->ndim * sizeof *dims);
    }
    e->chunks[e->nchunks++] = (struct tt_chunk){
        .offsets = is_whole ? zeros : dims, .sizes = is_whole ? e->shape : dims + t->ndim, .codec = TT_CODEC_RAW,
        .offset = t->offset, .nbytes = t->nbytes, .file = p->file,
    };
    return TT_OK;
}

static tt_status check_chunks(const struct opener *o, const struct tt_entry *e)
{
    const tt_status st = tt_entry_check_chunks(e, o->ckpt->path, o->err);
    const struct tt_problems *problems = o->ckpt->problems;
    return st == TT_EFORMAT && problems ? problems->note(problems->ctx, o->err->msg) : st;
}

static tt_status make_entries(struct opener *o)
{
    struct tt_entries *entries = &o->ckpt->entries;
    const int64_t *zeros = tt_arena_array(&entries->arena, TT_NDIM_MAX, sizeof *zeros);
    tt_status st = zeros ? TT_OK : nomem(o);

    for (size_t i = 0; i < o->n && st == TT_OK; i++) {
        struct tt_entry *e = tt_entries_find(entries, o->pieces[i].tensor->name);
        st = e ? grow_entry(o, e, &o->pieces[i]) : add_entry(o, o->pieces[i].tensor);
    }
    for (size_t i = 0; i < entries->n && st == TT_OK; i++) {
        struct tt_entry *e = &entries->items[i];
        e->chunks = tt_arena_array(&entries->arena, e->nchunks, sizeof *e->chunks);
        e->nchunks = 0; /* counted again below */
        st = e->chunks ? TT_OK : nomem(o);
    }
    for (size_t i = 0; i < o->n && st == TT_OK; i++)
        st = put_chunk(o, tt_entries_find(entries, o->pieces[i].tensor->name), &o->pieces[i], zeros);
    for (size_t i = 0; i < entries->n && st == TT_OK; i++)
        st = check_chunks(o, &entries->items[i]);
    return st;
}

/* --- files -------------------------------------------------------------------------------------------------------------------- */

/* Where the index has another file for the tensor, this one's is left out. */
static bool is_wanted(struct opener *o, const char *tensor, const char *file)
{
    uint64_t i;

    if (!tt_map_get(&o->by_tensor, tensor, strlen(tensor), &i))
        return true;
    const bool is = strcmp(o->index.items[i].file, file) == 0;
    if (is || !o->found[i])
        o->found[i] = file;
    return is;
}

static tt_status add_pieces(struct opener *o, const struct tt_st_file *f, uint32_t file)
{
    if (o->n + f->n > o->cap) {
        const size_t cap = 2 * o->cap + f->n;
        struct piece *pieces = realloc(o->pieces, cap * sizeof *pieces);
        if (!pieces)
            return tt_err_nomem(o->err, cap * sizeof *pieces, o->ckpt->path);
        o->pieces = pieces;
        o->cap = cap;
    }
    for (size_t i = 0; i < f->n; i++)
        if (is_wanted(o, f->tensors[i].name, o->ckpt->entries.files[file]))
            o->pieces[o->n++] = (struct piece){ &f->tensors[i], file };
    return TT_OK;
}

static tt_status read_header(struct opener *o, const struct tt_source *src, const char *name, struct tt_st_file *f)
{
    uint32_t file = 0;
    tt_status st = tt_st_decode(f, &o->scratch, src, o->err);
    if (st == TT_OK)
        st = tt_entries_file(&o->ckpt->entries, name, &file, o->err);
    return st == TT_OK ? add_pieces(o, f, file) : st;
}

static tt_status read_file(struct opener *o, const char *name)
{
    const char *path = tt_path_join(&o->scratch, o->ckpt->path, name);
    struct tt_infile in = { .fd = -1 };
    struct tt_st_file f = { 0 };
    tt_status st = path ? tt_infile_open(&in, path, o->err) : nomem(o);

    if (st != TT_OK)
        return st;
    const struct tt_source src = { .file = &in, .nbytes = in.nbytes, .name = path };
    st = read_header(o, &src, name, &f);
    tt_infile_close(&in);
    return st;
}

static void opener_release(struct opener *o)
{
    tt_map_release(&o->by_tensor);
    free(o->pieces);
    tt_arena_release(&o->scratch);
}

tt_status tt_fill_safetensors(struct tt_ckpt *ckpt, const struct tt_source *src, struct tt_err *err)
{
    struct opener o = { .ckpt = ckpt, .err = err };
    struct tt_st_file f = { 0 };
    tt_status st = read_header(&o, src, "", &f); /* "": the checkpoint itself is the file */

    for (size_t i = 0; i < f.n; i++)
        f.tensors[i].saved_offsets = NULL; /* a shard by itself: the rest of the tensor is elsewhere */
    if (st == TT_OK)
        st = make_entries(&o);
    opener_release(&o);
    return st;
}

tt_status tt_open_safetensors(struct tt_ckpt *ckpt, struct tt_err *err)
{
    struct tt_infile in = { .fd = -1 };
    tt_status st = tt_infile_open(&in, ckpt->path, err);

    if (st != TT_OK)
        return st;
    const struct tt_source src = { .file = &in, .nbytes = in.nbytes, .name = ckpt->path };
    st = tt_fill_safetensors(ckpt, &src, err);
    tt_infile_close(&in);
    return st;
}

/* --- folders ------------------------------------------------------------------------------------------------------------------ */

static tt_status read_index(struct opener *o)
{
    struct tt_buf bytes = { 0 };
    tt_status st = tt_file_read_all(&bytes, o->index_path, TT_HF_INDEX_NBYTES_MAX, o->err);

    if (st != TT_OK)
        return st;
    st = tt_hf_index_decode(&o->index, &o->scratch, bytes.data, bytes.len, o->index_path, o->err);
    tt_buf_release(&bytes);
    if (st != TT_OK)
        return st;
    o->found = tt_arena_array(&o->scratch, o->index.n, sizeof *o->found);
    if (!o->found)
        return nomem(o);
    for (size_t i = 0; i < o->index.n && st == TT_OK; i++)
        st = tt_map_put(&o->by_tensor, o->index.items[i].tensor, strlen(o->index.items[i].tensor), i, NULL, NULL, o->err);
    return st;
}

static bool is_safetensors_name(const char *name) { return tt_has_suffix(name, ".safetensors"); }

bool tt_is_hf_folder(const char *path)
{
    struct tt_arena arena = { 0 };
    char **names = NULL;
    size_t n = 0;
    bool is = false;

    if (tt_dir_list(&arena, path, &names, &n, NULL) == TT_OK)
        for (size_t i = 0; i < n && !is; i++)
            is = is_safetensors_name(names[i]) || strcmp(names[i], TT_HF_INDEX_NAME) == 0;
    tt_arena_release(&arena);
    return is;
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The index's files, each once, by name. */
static tt_status index_files(struct opener *o, const char ***names, size_t *n)
{
    const char **all = tt_arena_array(&o->scratch, o->index.n, sizeof *all);
    if (!all)
        return nomem(o);
    for (size_t i = 0; i < o->index.n; i++)
        all[i] = o->index.items[i].file;
    qsort(all, o->index.n, sizeof *all, by_name);
    *n = 0;
    for (size_t i = 0; i < o->index.n; i++)
        if (*n == 0 || strcmp(all[*n - 1], all[i]) != 0)
            all[(*n)++] = all[i];
    *names = all;
    return TT_OK;
}

static tt_status folder_files(struct opener *o, const char ***names, size_t *n)
{
    char **all = NULL;
    size_t nall = 0;
    const tt_status st = tt_dir_list(&o->scratch, o->ckpt->path, &all, &nall, o->err);
    const char **kept = st == TT_OK ? tt_arena_array(&o->scratch, nall, sizeof *kept) : NULL;

    if (st != TT_OK || !kept)
        return st != TT_OK ? st : nomem(o);
    *n = 0;
    for (size_t i = 0; i < nall; i++)
        if (is_safetensors_name(all[i]))
            kept[(*n)++] = all[i];
    *names = kept;
    return TT_OK;
}

static tt_status check_index(const struct opener *o)
{
    for (size_t i = 0; i < o->index.n; i++) {
        const struct tt_hf_index_item *item = &o->index.items[i];
        if (!o->found[i] || strcmp(o->found[i], item->file) != 0)
            return tt_err_set(o->err, TT_EFORMAT, "%s: weight_map: %s: expected it in %s, found it in %s", o->index_path, item->tensor,
                              item->file, o->found[i] ? o->found[i] : "none of the index's files");
    }
    return TT_OK;
}

tt_status tt_open_hf(struct tt_ckpt *ckpt, struct tt_err *err)
{
    struct opener o = { .ckpt = ckpt, .err = err };
    const char **names = NULL;
    size_t n = 0;

    o.index_path = tt_path_join(&o.scratch, ckpt->path, TT_HF_INDEX_NAME);
    const bool has_index = o.index_path && tt_path_exists(o.index_path);
    tt_status st = !o.index_path ? nomem(&o) : has_index ? read_index(&o) : TT_OK;
    if (st == TT_OK)
        st = has_index ? index_files(&o, &names, &n) : folder_files(&o, &names, &n);
    for (size_t i = 0; i < n && st == TT_OK; i++) {
        st = read_file(&o, names[i]);
        if (st == TT_ENOENT && has_index)
            st = tt_err_set(err, TT_ENOENT, "%s: weight_map names the file %s, which is missing", o.index_path, names[i]);
    }
    if (st == TT_OK)
        st = check_index(&o);
    if (st == TT_OK)
        st = make_entries(&o);
    opener_release(&o);
    return st;
}
