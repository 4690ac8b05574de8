#include "ckpt/copy.h"

#include <stdlib.h>
#include <string.h>

#include "ckpt/copy_private.h"

/* The plan. copy_run.c runs it. */

tt_status tt_copy_new(struct tt_copy **out, struct tt_ckpt *src, struct tt_err *err)
{
    struct tt_copy *copy = calloc(1, sizeof *copy);
    if (!copy)
        return tt_err_nomem(err, sizeof *copy, "a copy");
    copy->src = src;
    *out = copy;
    return TT_OK;
}

void tt_copy_free(struct tt_copy *copy)
{
    if (!copy)
        return;
    for (size_t i = 0; i < copy->nsegments; i++)
        if (copy->segments[i].kind == COPY_ARCHIVE || copy->segments[i].kind == COPY_ITEM)
            tt_copy_close_archive(copy->segments[i].u.archive);
    free(copy->data);
    free(copy->segments);
    free(copy->files);
    free(copy->order);
    tt_arena_release(&copy->arena);
    free(copy);
}

uint64_t tt_copy_file_nbytes(const struct tt_copy *copy, uint32_t file) { return file < copy->nfiles ? copy->files[file] : 0; }

static bool grow(void **items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    const size_t bigger = *cap ? *cap + *cap / 2 : 64;
    void *p = realloc(*items, bigger * size);
    if (p) {
        *items = p;
        *cap = bigger;
    }
    return p != NULL;
}

static uint64_t box_nbytes(const struct tt_output_box *box)
{
    const struct tt_region r = tt_output_box_region(box);
    int64_t numel = 0;
    return tt_numel(r.ndim, r.size, &numel) ? (uint64_t)numel * tt_dtype_nbytes(box->output->dtype) : 0;
}

static tt_status add_data(struct tt_copy *copy, const struct tt_output_box *box, struct tt_err *err)
{
    void *items = copy->data;
    const tt_status st = tt_output_check(box->output, err);

    if (st != TT_OK)
        return st;
    const bool ok = grow(&items, copy->ndata, &copy->data_cap, sizeof *copy->data);
    copy->data = items;
    if (!ok)
        return tt_err_nomem(err, copy->data_cap * sizeof *copy->data, "a copy");
    copy->data[copy->ndata++] = (struct copy_data){ .box = *box, .left = box_nbytes(box) };
    return TT_OK;
}

static tt_status add_file(struct tt_copy *copy, uint32_t file, struct tt_err *err)
{
    while (copy->nfiles <= file) {
        void *items = copy->files;
        const bool ok = grow(&items, copy->nfiles, &copy->files_cap, sizeof *copy->files);
        copy->files = items;
        if (!ok)
            return tt_err_nomem(err, copy->files_cap * sizeof *copy->files, "a copy");
        copy->files[copy->nfiles++] = 0;
    }
    return TT_OK;
}

/* Appends the segment behind what its file has so far; its data were added last. */
static tt_status add_segment(struct tt_copy *copy, struct copy_segment *s, uint64_t *offset, struct tt_err *err)
{
    void *items = copy->segments;
    tt_status st = s->kind == COPY_MEMORY ? TT_OK : add_file(copy, s->file, err);
    uint64_t end = 0;

    if (st != TT_OK)
        return st;
    const bool ok = grow(&items, copy->nsegments, &copy->segments_cap, sizeof *copy->segments);
    copy->segments = items;
    if (!ok)
        return tt_err_nomem(err, copy->segments_cap * sizeof *copy->segments, "a copy");
    if (s->kind != COPY_MEMORY) {
        s->offset = copy->files[s->file];
        if (__builtin_add_overflow(s->offset, s->nbytes, &end) || end > INT64_MAX)
            return tt_err_set(err, TT_EINVAL, "an output file would be larger than 2^63 bytes");
        copy->files[s->file] = end;
    }
    copy->segments[copy->nsegments++] = *s;
    if (offset)
        *offset = s->offset;
    return TT_OK;
}

tt_status tt_copy_add_memory(struct tt_copy *copy, const struct tt_output_box *box, void *dst, struct tt_err *err)
{
    struct copy_segment s = { .kind = COPY_MEMORY, .first_data = copy->ndata, .ndata = 1, .u.dst = dst };
    const tt_status st = add_data(copy, box, err);
    return st == TT_OK ? add_segment(copy, &s, NULL, err) : st;
}

tt_status tt_copy_add_elements(struct tt_copy *copy, uint32_t file, const struct tt_output_box *box, struct tt_err *err)
{
    struct copy_segment s = {
        .kind = COPY_ELEMENTS, .file = file, .nbytes = box_nbytes(box), .first_data = copy->ndata, .ndata = 1
    };
    const tt_status st = add_data(copy, box, err);
    return st == TT_OK ? add_segment(copy, &s, NULL, err) : st;
}

tt_status tt_copy_add_bytes(struct tt_copy *copy, uint32_t file, const void *bytes, size_t nbytes, uint64_t *offset,
                            struct tt_err *err)
{
    struct copy_segment s = { .kind = COPY_BYTES, .file = file, .nbytes = nbytes, .u.bytes = bytes };
    return add_segment(copy, &s, offset, err);
}

tt_status tt_copy_add_run(struct tt_copy *copy, uint32_t file, struct tt_ckpt *ckpt, const struct tt_chunk *run, const char *fqn,
                          uint64_t *offset, struct tt_err *err)
{
    struct copy_source *source = tt_arena_alloc(&copy->arena, sizeof *source);
    struct copy_segment s = { .kind = COPY_RUN, .file = file, .nbytes = run->nbytes, .u.run = source };

    if (!source)
        return tt_err_nomem(err, sizeof *source, fqn);
    *source = (struct copy_source){ ckpt, run->file, run->offset, fqn };
    return add_segment(copy, &s, offset, err);
}

/* --- archives ----------------------------------------------------------------------------------------------------------------- */

void tt_copy_close_archive(struct copy_archive *a)
{
    if (!a)
        return;
    tt_buf_release(&a->pickle);
    tt_arena_release(&a->arena);
    free(a);
}

static tt_status open_archive(struct copy_archive **out, const char *root, const struct tt_value *value, struct tt_err *err)
{
    struct copy_archive *a = calloc(1, sizeof *a);
    tt_status st = a ? tt_pt_encode(&a->pickle, &a->storages, &a->arena, value, err) : tt_err_nomem(err, sizeof *a, "a torch zip");
    uint64_t *nbytes = st == TT_OK ? tt_arena_array(&a->arena, a->storages.n, sizeof *nbytes) : NULL;

    if (st == TT_OK && !nbytes)
        st = tt_err_nomem(err, a->storages.n * sizeof *nbytes, "a torch zip");
    for (size_t i = 0; st == TT_OK && i < a->storages.n; i++)
        nbytes[i] = a->storages.items[i]->nbytes;
    if (st == TT_OK) {
        a->left = 1 + a->storages.n;
        st = tt_pt_layout(&a->records, &a->arena, root, &a->pickle, nbytes, a->storages.n, err);
    }
    if (st == TT_OK)
        *out = a;
    else
        tt_copy_close_archive(a);
    return st;
}

tt_status tt_copy_add_archive(struct tt_copy *copy, uint32_t file, const char *root, const struct tt_value *value, uint64_t *offset,
                              uint64_t *nbytes, struct tt_err *err)
{
    struct copy_segment s = { .kind = COPY_ARCHIVE, .file = file, .first_data = copy->ndata };
    tt_status st = open_archive(&s.u.archive, root, value, err);

    if (st != TT_OK)
        return st;
    s.ndata = (uint32_t)s.u.archive->storages.n;
    s.nbytes = s.u.archive->records.nbytes;
    for (size_t i = 0; i < s.ndata && st == TT_OK; i++)
        st = add_data(copy, s.u.archive->storages.items[i]->owner, err);
    if (st == TT_OK)
        st = add_segment(copy, &s, offset, err);
    if (st != TT_OK)
        tt_copy_close_archive(s.u.archive);
    else if (nbytes)
        *nbytes = s.nbytes;
    return st;
}

tt_status tt_copy_open_item(struct copy_archive **out, const struct tt_output_box *box, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    const struct tt_value *value = tt_copy_tensor(&arena, box);
    const tt_status st = value ? open_archive(out, "archive", value, err) : tt_err_nomem(err, arena.used, box->output->fqn);

    tt_arena_release(&arena);
    return st;
}

tt_status tt_copy_add_item(struct tt_copy *copy, uint32_t file, const struct tt_output_box *box, uint64_t *offset, uint64_t *nbytes,
                           struct tt_err *err)
{
    struct copy_segment s = { .kind = COPY_ITEM, .file = file, .first_data = copy->ndata, .ndata = 1 };
    struct copy_archive *a = NULL;
    tt_status st = tt_copy_open_item(&a, box, err);

    if (st != TT_OK)
        return st;
    s.nbytes = a->records.nbytes;
    tt_copy_close_archive(a); /* a checkpoint has many: only those that are being written are laid out */
    st = add_data(copy, box, err);
    if (st == TT_OK)
        st = add_segment(copy, &s, offset, err);
    if (st == TT_OK && nbytes)
        *nbytes = s.nbytes;
    return st;
}

struct tt_value *tt_copy_tensor(struct tt_arena *arena, const struct tt_output_box *box)
{
    const struct tt_region region = tt_output_box_region(box);
    struct tt_value *v = tt_value_null(arena);
    struct tt_pt_tensor *t = tt_arena_alloc(arena, sizeof *t);
    struct tt_pt_storage *s = tt_arena_alloc(arena, sizeof *s);
    int64_t *dims = tt_arena_array(arena, 2 * (size_t)region.ndim, sizeof *dims);

    if (!v || !t || !s || !dims)
        return NULL;
    if (region.ndim)
        memcpy(dims, region.size, (size_t)region.ndim * sizeof *dims);
    tt_strides_row_major(dims + region.ndim, region.ndim, dims);
    *s = (struct tt_pt_storage){ .dtype = box->output->dtype, .nbytes = box_nbytes(box), .owner = box, .number = -1 };
    *t = (struct tt_pt_tensor){
        .dtype = box->output->dtype, .ndim = region.ndim, .shape = dims, .strides = dims + region.ndim, .storage = s
    };
    v->kind = TT_V_TENSOR;
    v->u.ref = t;
    return v;
}
