#include <inttypes.h>
#include <string.h>

#include "ckpt/write_private.h"
#include "format/safetensors.h"

static const int64_t zeros[TT_NDIM_MAX];

/* One chunk of one item, on its way into a file. */
struct place {
    uint32_t item, chunk;
};

/* The places of each file, in the recipe's order: those of file f are items[begin[f], begin[f + 1]). */
struct places {
    struct place *items;
    size_t *begin; /* (nfiles + 1) */
};

void tt_write_plan_release(struct write_plan *plan)
{
    tt_copy_free(plan->copy);
    tt_entries_release(&plan->dcp);
    tt_arena_release(&plan->arena);
    *plan = (struct write_plan){ 0 };
}

uint64_t tt_write_plan_file_nbytes(const struct write_plan *plan, uint32_t file)
{
    return plan->clones && plan->clones[file].ckpt ? plan->clones[file].nbytes : tt_copy_file_nbytes(plan->copy, file);
}

static tt_status nomem(const struct write_plan *plan, struct tt_err *err)
{
    return tt_err_nomem(err, plan->arena.used, "the plan of an output");
}

/* --- which file ----------------------------------------------------------------------------------------------------------------- */

static uint32_t nplaced(const struct tt_recipe_item *item) { return item->placed ? item->nplaced : 1; }

static uint32_t file_of(const struct tt_recipe_item *item, uint32_t chunk) { return item->placed ? item->placed[chunk].file : 0; }

/* The box of a chunk of the item. */
static const int64_t *chunk_offsets(const struct tt_recipe_item *item, uint32_t chunk)
{
    return item->placed && item->placed[chunk].offsets ? item->placed[chunk].offsets : zeros;
}

static const int64_t *chunk_sizes(const struct tt_recipe_item *item, uint32_t chunk)
{
    return item->placed && item->placed[chunk].sizes ? item->placed[chunk].sizes : item->output.shape;
}

static tt_status check_places(const struct write_plan *plan, const struct tt_recipe_item *item, struct tt_err *err)
{
    for (uint32_t c = 0; c < nplaced(item); c++) {
        if (file_of(item, c) >= plan->nfiles)
            return tt_err_set(err, TT_EINVAL, "key %s: file %" PRIu32 " of %" PRIu32 " does not exist", item->fqn, file_of(item, c),
                              plan->nfiles);
        if (item->kind == TT_ENTRY_TENSOR) {
            const struct tt_region r = tt_region_make(item->output.ndim, chunk_offsets(item, c), chunk_sizes(item, c));
            if (!tt_region_fits(&r, item->output.shape))
                return tt_err_set(err, TT_EINVAL, "key %s: its chunk %" PRIu32 " does not lie inside it", item->fqn, c);
        }
    }
    return TT_OK;
}

static tt_status sort_places(struct places *out, struct write_plan *plan, struct tt_err *err)
{
    const struct tt_recipe *recipe = plan->recipe;
    size_t n = 0;
    tt_status st = TT_OK;

    out->begin = tt_arena_array(&plan->arena, (size_t)plan->nfiles + 2, sizeof *out->begin);
    if (!out->begin)
        return nomem(plan, err);
    for (size_t i = 0; i < recipe->n && st == TT_OK; i++) {
        st = check_places(plan, &recipe->items[i], err);
        for (uint32_t c = 0; st == TT_OK && c < nplaced(&recipe->items[i]); c++, n++)
            out->begin[file_of(&recipe->items[i], c) + 2]++;
    }
    if (st != TT_OK)
        return st;
    out->items = tt_arena_array(&plan->arena, n, sizeof *out->items);
    if (!out->items)
        return nomem(plan, err);
    for (uint32_t f = 0; f < plan->nfiles; f++) /* begin[f + 1] is where the next place of file f goes; in the end where it ends */
        out->begin[f + 2] += out->begin[f + 1];
    for (uint32_t i = 0; i < recipe->n; i++)
        for (uint32_t c = 0; c < nplaced(&recipe->items[i]); c++)
            out->items[out->begin[file_of(&recipe->items[i], c) + 1]++] = (struct place){ i, c };
    return TT_OK;
}

/* --- DCP ------------------------------------------------------------------------------------------------------------------------ */

/* The item's entry in .metadata; its chunks are filled as they are placed. */
static tt_status add_entry(struct write_plan *plan, const struct tt_recipe_item *item, struct tt_err *err)
{
    struct tt_entry e = { .fqn = item->fqn, .path = item->path, .npath = item->npath, .kind = item->kind,
                          .requires_grad = item->requires_grad, .nchunks = nplaced(item) };

    if (item->kind == TT_ENTRY_VALUE && e.nchunks != 1)
        return tt_err_set(err, TT_EINVAL, "key %s: a value lies in one file", item->fqn);
    if (item->kind == TT_ENTRY_TENSOR) {
        e.dtype = item->output.dtype;
        e.ndim = item->output.ndim;
        e.shape = item->output.shape;
    }
    e.chunks = tt_arena_array(&plan->dcp.arena, e.nchunks, sizeof *e.chunks);
    if (!e.chunks)
        return tt_err_nomem(err, e.nchunks * sizeof *e.chunks, item->fqn);
    for (uint32_t c = 0; item->kind == TT_ENTRY_TENSOR && c < e.nchunks; c++) {
        e.chunks[c].offsets = chunk_offsets(item, c);
        e.chunks[c].sizes = chunk_sizes(item, c);
    }
    const tt_status st = tt_entries_add(&plan->dcp, &e, err);
    return st == TT_OK && item->kind == TT_ENTRY_TENSOR ? tt_entry_check_chunks(&e, plan->target->path, err) : st;
}

/* A value that lies in a DCP folder uncompressed is taken over as the bytes that it is, once it is known to be data. */
static tt_status add_value(struct write_plan *plan, const struct tt_recipe_item *item, struct tt_chunk *chunk, struct tt_err *err)
{
    const struct tt_chunk *from = item->entry && item->entry->nchunks == 1 ? item->entry->chunks : NULL;
    const struct tt_value *value = NULL;
    struct tt_arena scratch = { 0 };
    const bool as_bytes = !item->value && from && from->codec == TT_CODEC_BLOB;
    struct tt_arena *arena = as_bytes ? &scratch : &plan->arena;
    tt_status st = tt_recipe_value(item, plan->opts, arena, &value, err);

    if (as_bytes) {
        tt_arena_release(&scratch);
        chunk->nbytes = from->nbytes;
        return st == TT_OK ? tt_copy_add_run(plan->copy, chunk->file, item->ckpt, from, item->fqn, &chunk->offset, err) : st;
    }
    if (st == TT_OK)
        st = tt_value_own_storages(value, &plan->arena, item->ckpt, item->fqn, err);
    return st == TT_OK ? tt_copy_add_archive(plan->copy, chunk->file, "archive", value, &chunk->offset, &chunk->nbytes, err) : st;
}

static tt_status add_place(struct write_plan *plan, const struct place *place, uint32_t file, enum tt_entry_kind kind,
                           struct tt_err *err)
{
    const struct tt_recipe_item *item = &plan->recipe->items[place->item];
    struct tt_chunk *chunk = &plan->dcp.items[place->item].chunks[place->chunk];

    if (item->kind != kind)
        return TT_OK;
    chunk->codec = TT_CODEC_BLOB;
    chunk->file = file;
    plan->segment_chunk[plan->nsegments++] = chunk;
    if (kind == TT_ENTRY_VALUE)
        return add_value(plan, item, chunk, err);
    const struct tt_output_box box = { &item->output, chunk->offsets, chunk->sizes };
    return tt_copy_add_item(plan->copy, file, &box, &chunk->offset, &chunk->nbytes, err);
}

/* --- an output file that is an input's, byte for byte ---------------------------------------------------------------------------- */

/* The input's item that this place is, unchanged; NULL: it is made anew. *ckpt is whose. */
static const struct tt_chunk *unchanged(const struct tt_recipe_item *item, uint32_t chunk, struct tt_ckpt **ckpt)
{
    const struct tt_output *o = &item->output;
    const struct tt_part *p = o->parts;

    if (item->kind == TT_ENTRY_VALUE) {
        *ckpt = item->ckpt;
        return item->entry && item->entry->nchunks == 1 && item->entry->chunks->codec == TT_CODEC_BLOB ? item->entry->chunks : NULL;
    }
    if (o->nparts != 1 || o->weights || !tt_part_is_plain(o, p) || p->from || p->to || p->sizes || !p->ckpt ||
        p->src->dtype != o->dtype)
        return NULL;
    *ckpt = p->ckpt;
    const struct tt_chunk *from = tt_chunk_find(p->src, chunk_offsets(item, chunk), chunk_sizes(item, chunk));
    return from && from->codec == TT_CODEC_BLOB ? from : NULL;
}

/* Items of each file of an input. */
static tt_status count_items(const struct tt_ckpt *ckpt, struct tt_arena *arena, size_t **out, struct tt_err *err)
{
    size_t *count = tt_arena_array(arena, ckpt->files.n, sizeof *count);

    if (!count)
        return tt_err_nomem(err, ckpt->files.n * sizeof *count, "a plan");
    for (size_t i = 0; i < ckpt->entries.n; i++)
        for (uint32_t c = 0; c < ckpt->entries.items[i].nchunks; c++)
            if (ckpt->entries.items[i].chunks[c].file < ckpt->files.n)
                count[ckpt->entries.items[i].chunks[c].file]++;
    *out = count;
    return TT_OK;
}

/* The input's file that has just the items of these places, unchanged. */
static bool find_clone(const struct write_plan *plan, const struct place *places, size_t n, struct write_clone *out)
{
    struct tt_ckpt *ckpt = NULL;

    *out = (struct write_clone){ 0 };
    for (size_t i = 0; i < n; i++) {
        const struct tt_chunk *from = unchanged(&plan->recipe->items[places[i].item], places[i].chunk, &ckpt);
        if (!from || (i > 0 && (ckpt != out->ckpt || from->file != out->file)))
            return false;
        out->ckpt = ckpt;
        out->file = from->file;
    }
    return n > 0 && out->ckpt->format == TT_CKPT_DCP && out->file != TT_FILE_NONE;
}

/* Takes file f over as it is where that is possible: *done. */
static tt_status try_clone(struct write_plan *plan, uint32_t f, const struct place *places, size_t n, bool *done, struct tt_err *err)
{
    struct write_clone *clone = &plan->clones[f];
    struct tt_arena scratch = { 0 };
    const struct tt_infile *in = NULL;
    size_t *count = NULL;
    tt_status st = TT_OK;

    *done = false;
    if (plan->target->zstd_level || !find_clone(plan, places, n, clone)) {
        clone->ckpt = NULL;
        return TT_OK;
    }
    st = count_items(clone->ckpt, &scratch, &count, err);
    if (st == TT_OK && count[clone->file] == n)
        st = tt_files_pin(&clone->ckpt->files, clone->file, &in, err);
    tt_arena_release(&scratch);
    if (st != TT_OK || !in) {
        clone->ckpt = NULL;
        return st;
    }
    clone->nbytes = in->nbytes;
    tt_files_unpin(&clone->ckpt->files, clone->file);
    for (size_t i = 0; i < n; i++) {
        struct tt_ckpt *ckpt;
        const struct tt_chunk *from = unchanged(&plan->recipe->items[places[i].item], places[i].chunk, &ckpt);
        struct tt_chunk *to = &plan->dcp.items[places[i].item].chunks[places[i].chunk];
        *to = (struct tt_chunk){ .offsets = to->offsets, .sizes = to->sizes, .codec = from->codec, .offset = from->offset,
                                 .nbytes = from->nbytes, .file = f };
    }
    *done = true;
    return TT_OK;
}

/* Values in a file that is taken over whole are looked at like all others. */
static tt_status check_values(struct write_plan *plan, const struct place *places, size_t n, struct tt_err *err)
{
    tt_status st = TT_OK;

    for (size_t i = 0; i < n && st == TT_OK; i++) {
        const struct tt_recipe_item *item = &plan->recipe->items[places[i].item];
        struct tt_arena scratch = { 0 };
        const struct tt_value *value = NULL;
        if (item->kind == TT_ENTRY_VALUE)
            st = tt_recipe_value(item, plan->opts, &scratch, &value, err);
        tt_arena_release(&scratch);
    }
    return st;
}

/* Values first, then tensors, as PyTorch's writer has them. */
static tt_status plan_dcp(struct write_plan *plan, const struct places *places, struct tt_err *err)
{
    tt_status st = TT_OK;
    uint32_t index;

    plan->clones = tt_arena_array(&plan->arena, plan->nfiles, sizeof *plan->clones);
    plan->segment_chunk = tt_arena_array(&plan->arena, places->begin[plan->nfiles], sizeof(struct tt_chunk *));
    if (!plan->clones || !plan->segment_chunk)
        return nomem(plan, err);
    for (uint32_t f = 0; f < plan->nfiles && st == TT_OK; f++)
        st = tt_entries_file(&plan->dcp, plan->files[f], &index, err);
    for (size_t i = 0; i < plan->recipe->n && st == TT_OK; i++)
        st = add_entry(plan, &plan->recipe->items[i], err);
    for (uint32_t f = 0; f < plan->nfiles && st == TT_OK; f++) {
        const struct place *items = places->items + places->begin[f];
        const size_t n = places->begin[f + 1] - places->begin[f];
        bool done = false;
        st = try_clone(plan, f, items, n, &done, err);
        if (st == TT_OK && done)
            st = check_values(plan, items, n, err);
        for (size_t i = 0; i < n && st == TT_OK && !done; i++)
            st = add_place(plan, &items[i], f, TT_ENTRY_VALUE, err);
        for (size_t i = 0; i < n && st == TT_OK && !done; i++)
            st = add_place(plan, &items[i], f, TT_ENTRY_TENSOR, err);
    }
    return st;
}

/* --- safetensors ---------------------------------------------------------------------------------------------------------------- */

/* The tensors of a file, for its header. */
static tt_status list_tensors(struct write_plan *plan, const struct place *places, size_t n, struct tt_st_tensor **out,
                              struct tt_err *err)
{
    struct tt_st_tensor *tensors = tt_arena_array(&plan->arena, n, sizeof *tensors);

    if (!tensors)
        return nomem(plan, err);
    for (size_t i = 0; i < n; i++) {
        const struct tt_recipe_item *item = &plan->recipe->items[places[i].item];
        const bool whole = !item->placed || !item->placed[places[i].chunk].offsets;
        if (item->kind != TT_ENTRY_TENSOR)
            return tt_err_set(err, TT_EUNSUPPORTED, "key %s: safetensors holds tensors alone, and this is none", item->fqn);
        tensors[i] = (struct tt_st_tensor){ .name = item->fqn, .dtype = item->output.dtype, .ndim = item->output.ndim,
                                            .shape = chunk_sizes(item, places[i].chunk),
                                            .saved_offsets = whole ? NULL : chunk_offsets(item, places[i].chunk) };
    }
    *out = tensors;
    return TT_OK;
}

static tt_status add_header(struct write_plan *plan, uint32_t f, struct tt_st_tensor *tensors, size_t n, struct tt_err *err)
{
    struct tt_value *metadata = tt_value_map(&plan->arena);
    struct tt_buf text = { 0 };
    tt_status st = metadata && tt_value_set(&plan->arena, metadata, "format", tt_value_str(&plan->arena, "pt")) ? TT_OK
                                                                                                               : nomem(plan, err);
    if (st == TT_OK)
        st = tt_st_encode(&text, tensors, n, metadata, err);
    char *bytes = st == TT_OK ? tt_arena_strn(&plan->arena, (const char *)text.data, text.len) : NULL;
    if (st == TT_OK)
        st = bytes ? tt_copy_add_bytes(plan->copy, f, bytes, text.len, NULL, err) : nomem(plan, err);
    tt_buf_release(&text);
    return st;
}

/* The wide elements first, else in their order: so each tensor begins at a multiple of its element, as readers that do not copy
 * need it, and as the format's own writer has it. */
static tt_status widest_first(struct write_plan *plan, struct place *places, size_t n, struct tt_err *err)
{
    struct place *sorted = tt_arena_array(&plan->arena, n, sizeof *sorted);
    size_t k = 0;

    if (!sorted)
        return nomem(plan, err);
    for (uint64_t nbytes = tt_dtype_nbytes(TT_C128); nbytes; nbytes /= 2)
        for (size_t i = 0; i < n; i++)
            if (tt_dtype_nbytes(plan->recipe->items[places[i].item].output.dtype) == nbytes)
                sorted[k++] = places[i];
    memcpy(places, sorted, k * sizeof *places);
    return TT_OK;
}

static tt_status plan_safetensors(struct write_plan *plan, const struct places *places, struct tt_err *err)
{
    tt_status st = TT_OK;

    for (uint32_t f = 0; f < plan->nfiles && st == TT_OK; f++) {
        struct place *items = places->items + places->begin[f];
        const size_t n = places->begin[f + 1] - places->begin[f];
        struct tt_st_tensor *tensors = NULL;
        st = widest_first(plan, items, n, err);
        if (st == TT_OK)
            st = list_tensors(plan, items, n, &tensors, err);
        if (st == TT_OK)
            st = add_header(plan, f, tensors, n, err);
        for (size_t i = 0; i < n && st == TT_OK; i++) {
            const struct tt_recipe_item *item = &plan->recipe->items[items[i].item];
            const struct tt_output_box box = { &item->output, chunk_offsets(item, items[i].chunk),
                                               chunk_sizes(item, items[i].chunk) };
            st = tt_copy_add_elements(plan->copy, f, &box, err);
        }
    }
    return st;
}

/* --- pt ------------------------------------------------------------------------------------------------------------------------- */

/* The folder inside the zip is the file's name without its last extension, as torch.save has it; "archive" for a stream and where
 * the name is not plain ASCII. */
static const char *root_name(struct tt_arena *arena, const char *path)
{
    const char *base = tt_path_base(path);
    const char *dot = strrchr(base, '.');
    const size_t n = dot ? (size_t)(dot - base) : strlen(base);

    for (size_t i = 0; i < n; i++)
        if ((uint8_t)base[i] < ' ' || (uint8_t)base[i] >= 0x7f)
            return "archive";
    return n == 0 || n > 200 || strcmp(path, "-") == 0 ? "archive" : tt_arena_strn(arena, base, n);
}

static tt_status plan_pt(struct write_plan *plan, struct tt_err *err)
{
    const char *name = root_name(&plan->arena, plan->target->path);
    struct tt_value *root = NULL;
    tt_status st = name ? tt_recipe_nest(plan->recipe, plan->opts, plan->target->flat, &plan->arena, &root, err) : nomem(plan, err);

    return st == TT_OK ? tt_copy_add_archive(plan->copy, 0, name, root, NULL, NULL, err) : st;
}

/* --- all ------------------------------------------------------------------------------------------------------------------------- */

tt_status tt_write_plan_make(struct write_plan *plan, struct tt_err *err)
{
    static const char *const dcp_file[] = { "__0_0.distcp" }, *const hf_file[] = { "model.safetensors" };
    const struct tt_target *target = plan->target;
    const bool is_folder = target->format == TT_CKPT_DCP || target->format == TT_CKPT_HF;
    struct places places = { 0 };
    tt_status st = tt_copy_new(&plan->copy, NULL, err);

    plan->files = is_folder && target->files ? target->files : target->format == TT_CKPT_HF ? hf_file : dcp_file;
    plan->nfiles = is_folder && target->files ? (uint32_t)target->nfiles : 1;
    if (st == TT_OK && target->format != TT_CKPT_PT)
        st = sort_places(&places, plan, err);
    if (st != TT_OK)
        return st;
    switch (target->format) {
    case TT_CKPT_DCP: st = plan_dcp(plan, &places, err); break;
    case TT_CKPT_PT: st = plan_pt(plan, err); break;
    case TT_CKPT_SAFETENSORS:
    case TT_CKPT_HF: st = plan_safetensors(plan, &places, err); break;
    case TT_CKPT_MEMORY: st = tt_err_set(err, TT_EINVAL, "%s: not a format that is written", target->path); break;
    }
    return st == TT_OK ? tt_copy_arrange(plan->copy, target->zstd_level || strcmp(target->path, "-") == 0, err) : st;
}
