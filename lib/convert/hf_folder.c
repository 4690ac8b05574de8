#include "convert/hf_folder.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "convert/hf_config.h"
#include "format/hf_index.h"

#define ONE_FILE "model.safetensors"
static const uint64_t shard_nbytes_default = 50ull * 1000 * 1000 * 1000;

struct plan {
    struct tt_recipe *recipe;
    struct tt_arena *arena; /* the recipe's */
    const struct tt_hf_opts *hf;
    const struct tt_hf_folder_opts *opts;
    bool has_index; /* the assets' */
    struct tt_hf_index index;
    uint32_t *file_of;  /* (recipe->n) */
    const char **files; /* (nfiles) */
    size_t nfiles;
    struct tt_extra *extras;
    size_t nextras;
};

static tt_status nomem(struct tt_err *err) { return tt_err_nomem(err, 0, "the plan of a Hugging Face folder"); }

/* --- the assets ------------------------------------------------------------------------------------------------------------ */

static tt_status read_index(struct tt_hf_index *out, bool *found, struct tt_arena *arena, const char *folder, struct tt_err *err)
{
    const char *path = tt_path_join(arena, folder, TT_HF_INDEX_NAME);
    struct tt_buf text = { 0 };
    tt_status st = path ? TT_OK : nomem(err);

    *found = path && tt_path_exists(path);
    if (*found)
        st = tt_file_read_all(&text, path, TT_HF_INDEX_NBYTES_MAX, err);
    if (st == TT_OK && *found)
        st = tt_hf_index_decode(out, arena, text.data, text.len, path, err);
    tt_buf_release(&text);
    return st;
}

static bool has_file(struct tt_arena *arena, const char *folder, const char *name)
{
    const char *path = folder ? tt_path_join(arena, folder, name) : NULL;
    return path && tt_path_exists(path);
}

/* A checkpoint of names: what it has, and nothing about it but whether it is packed, which X_blocks with X_scales are. */
static tt_status open_names(struct tt_ckpt **out, const struct tt_hf_index *index, struct tt_err *err)
{
    struct tt_ckpt *ckpt = NULL;
    tt_status st = tt_ckpt_memory(&ckpt, err);

    for (size_t i = 0; i < index->n && st == TT_OK; i++) {
        const struct tt_entry entry = {
            .fqn = tt_arena_str(&ckpt->entries.arena, index->items[i].tensor), .kind = TT_ENTRY_TENSOR, .dtype = TT_F32
        };
        st = entry.fqn ? tt_entries_add(&ckpt->entries, &entry, err) : nomem(err);
    }
    for (size_t i = 0; i < index->n && st == TT_OK; i++) {
        struct tt_entry *entry = &ckpt->entries.items[i];
        const size_t stem = strlen(entry->fqn) - (tt_has_suffix(entry->fqn, "_blocks") ? strlen("_blocks") : 0);
        const char *scales = tt_arena_printf(&ckpt->entries.arena, "%.*s_scales", (int)stem, entry->fqn);
        if (!scales)
            st = nomem(err);
        else if (entry->fqn[stem] && tt_entries_find(&ckpt->entries, scales))
            entry->dtype = TT_U8;
    }
    if (st != TT_OK)
        tt_ckpt_close(ckpt);
    else
        *out = ckpt;
    return st;
}

tt_status tt_hf_assets_open(struct tt_ckpt **out, const char *path, bool like, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_hf_index index = { 0 };
    bool has_index = false;
    tt_status st = like ? TT_OK : read_index(&index, &has_index, &arena, path, err);

    *out = NULL;
    if (st == TT_OK && has_index)
        st = open_names(out, &index, err);
    else if (st == TT_OK && (like || has_file(&arena, path, ONE_FILE)))
        st = tt_ckpt_open(out, path, err);
    tt_arena_release(&arena);
    return st;
}

/* --- files ----------------------------------------------------------------------------------------------------------------- */

static uint64_t item_nbytes(const struct tt_recipe_item *item)
{
    uint64_t n = tt_dtype_nbytes(item->output.dtype);
    for (int d = 0; d < item->output.ndim; d++)
        n *= (uint64_t)item->output.shape[d];
    return n;
}

enum { OPEN = UINT32_MAX }; /* the number of the file that is being filled, which it gets when it is full */

static void close_file(struct plan *p, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        if (p->file_of[i] == OPEN)
            p->file_of[i] = (uint32_t)p->nfiles;
    p->nfiles++;
}

static void fill_greedily(struct plan *p, uint64_t max)
{
    uint64_t used = 0;
    size_t begin = 0; /* of the open file, which has something */
    bool open = false;

    for (size_t i = 0; i < p->recipe->n; i++) {
        const uint64_t nbytes = item_nbytes(&p->recipe->items[i]);
        if (nbytes > max) { /* beside the open file, which goes on after it */
            p->file_of[i] = (uint32_t)p->nfiles++;
            continue;
        }
        if (open && used + nbytes > max) {
            close_file(p, begin, i);
            open = false;
        }
        if (!open) {
            begin = i;
            used = 0;
        }
        open = true;
        p->file_of[i] = OPEN;
        used += nbytes;
    }
    if (open)
        close_file(p, begin, p->recipe->n);
}

static tt_status place_by_size(struct plan *p, struct tt_err *err)
{
    const bool one = p->opts->max_shard_size == 0 && has_file(p->arena, p->opts->assets_path, ONE_FILE);
    const uint64_t max = one ? UINT64_MAX : p->opts->max_shard_size ? p->opts->max_shard_size : shard_nbytes_default;

    fill_greedily(p, max);
    p->files = tt_arena_array(p->arena, p->nfiles, sizeof *p->files);
    for (size_t i = 0; p->files && i < p->nfiles; i++) {
        p->files[i] = p->nfiles == 1 ? ONE_FILE : tt_arena_printf(p->arena, "model-%05zu-of-%05zu.safetensors", i + 1, p->nfiles);
        if (!p->files[i])
            return nomem(err);
    }
    return p->files ? TT_OK : nomem(err);
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The index's file names, each once, in byte order. */
static tt_status list_index_files(struct plan *p, const char ***out, size_t *n, struct tt_err *err)
{
    const char **files = tt_arena_array(p->arena, p->index.n, sizeof *files);

    *n = 0;
    for (size_t i = 0; files && i < p->index.n; i++) {
        const char *file = p->index.items[i].file;
        if (!tt_has_suffix(file, ".safetensors"))
            return tt_err_set(err, TT_EFORMAT, "%s/%s: weight_map: %s: expected a .safetensors file, found %s", p->opts->assets_path,
                              TT_HF_INDEX_NAME, p->index.items[i].tensor, file);
        if (i == 0 || file != p->index.items[i - 1].file) /* neighbours share the string */
            files[(*n)++] = file;
    }
    if (!files)
        return nomem(err);
    qsort(files, *n, sizeof *files, by_text);
    size_t distinct = 0;
    for (size_t i = 0; i < *n; i++)
        if (i == 0 || strcmp(files[i], files[distinct - 1]) != 0)
            files[distinct++] = files[i];
    *n = distinct;
    *out = files;
    return TT_OK;
}

/* The index's item of a tensor; index.n where it has none. */
static size_t find_tensor(const struct plan *p, const struct tt_map *by_tensor, const char *fqn)
{
    uint64_t i;
    if (tt_map_get(by_tensor, fqn, strlen(fqn), &i))
        return i;
    const char *blocks = tt_arena_printf(p->arena, "%s_blocks", fqn);
    return blocks && tt_map_get(by_tensor, blocks, strlen(blocks), &i) ? i : p->index.n;
}

static size_t find_file(const char *const *files, size_t n, const char *file)
{
    const char *const *at = bsearch(&file, files, n, sizeof *files, by_text);
    return (size_t)(at - files);
}

/* Gives each item the file that the index has it in, of the names in `all`; then drops the files that are left without one. */
static tt_status follow_index(struct plan *p, const struct tt_map *by_tensor, const char *const *all, size_t nall, struct tt_err *err)
{
    uint32_t *number = tt_arena_array(p->arena, nall, sizeof *number); /* of a file among those that are written, from 1 */

    p->files = tt_arena_array(p->arena, nall, sizeof *p->files);
    if (!number || !p->files)
        return nomem(err);
    for (size_t i = 0; i < p->recipe->n; i++) {
        const size_t at = find_tensor(p, by_tensor, p->recipe->items[i].fqn);
        p->file_of[i] = (uint32_t)(at < p->index.n ? find_file(all, nall, p->index.items[at].file) : nall - 1);
        number[p->file_of[i]] = 1;
    }
    for (size_t f = 0; f < nall; f++)
        if (number[f]) {
            p->files[p->nfiles++] = all[f];
            number[f] = (uint32_t)p->nfiles;
        }
    for (size_t i = 0; i < p->recipe->n; i++)
        p->file_of[i] = number[p->file_of[i]] - 1;
    return TT_OK;
}

static tt_status place_by_index(struct plan *p, struct tt_err *err)
{
    const char **all = NULL;
    size_t nall = 0;
    struct tt_map by_tensor = { 0 };
    tt_status st = list_index_files(p, &all, &nall, err);

    for (size_t i = 0; i < p->index.n && st == TT_OK; i++)
        st = tt_map_put(&by_tensor, p->index.items[i].tensor, strlen(p->index.items[i].tensor), i, NULL, NULL, err);
    if (st == TT_OK)
        st = follow_index(p, &by_tensor, all, nall, err);
    tt_map_release(&by_tensor);
    return st;
}

static tt_status place(struct plan *p, struct tt_err *err)
{
    struct tt_placed *placed = tt_arena_array(p->arena, p->recipe->n, sizeof *placed);

    p->file_of = tt_arena_array(p->arena, p->recipe->n, sizeof *p->file_of);
    if (!placed || !p->file_of)
        return nomem(err);
    const tt_status st = p->has_index && p->index.n ? place_by_index(p, err) : place_by_size(p, err);
    for (size_t i = 0; i < p->recipe->n && st == TT_OK; i++) {
        placed[i] = (struct tt_placed){ .file = p->file_of[i] };
        p->recipe->items[i].placed = &placed[i];
        p->recipe->items[i].nplaced = 1;
    }
    return st;
}

/* --- what lies beside them ------------------------------------------------------------------------------------------------- */

/* By name, in the assets' folder. */
static const char *const copied[] = {
    "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "chat_template.*", "*.model", "*.tiktoken", "*.py", /* what auto_map names */
};

static bool is_copied(const char *name)
{
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++)
        if (fnmatch(copied[i], name, FNM_PERIOD) == 0)
            return true;
    return false;
}

/* The text becomes an extra file's. */
static tt_status add_text(struct plan *p, const char *name, struct tt_buf *text, struct tt_err *err)
{
    tt_status st = tt_buf_check(text, name, err);
    const char *bytes = st == TT_OK ? tt_arena_strn(p->arena, (const char *)text->data, text->len) : NULL;

    if (bytes)
        p->extras[p->nextras++] = (struct tt_extra){ .name = name, .bytes = bytes, .nbytes = text->len };
    else if (st == TT_OK)
        st = nomem(err);
    tt_buf_release(text);
    return st;
}

static int by_tensor_name(const void *a, const void *b)
{
    return strcmp(((const struct tt_hf_index_item *)a)->tensor, ((const struct tt_hf_index_item *)b)->tensor);
}

static tt_status add_index(struct plan *p, struct tt_err *err)
{
    struct tt_hf_index index = { tt_arena_array(p->arena, p->recipe->n, sizeof *index.items), p->recipe->n };
    uint64_t total = 0;
    struct tt_buf text = { 0 };

    if (p->nfiles == 1 && strcmp(p->files[0], ONE_FILE) == 0)
        return TT_OK;
    if (!index.items)
        return nomem(err);
    for (size_t i = 0; i < index.n; i++) {
        index.items[i] = (struct tt_hf_index_item){ p->recipe->items[i].fqn, p->files[p->file_of[i]] };
        total += item_nbytes(&p->recipe->items[i]);
    }
    qsort(index.items, index.n, sizeof *index.items, by_tensor_name);
    tt_hf_index_encode(&text, &index, total);
    return add_text(p, TT_HF_INDEX_NAME, &text, err);
}

static bool writes_head(const struct tt_recipe *recipe)
{
    for (size_t i = 0; i < recipe->n; i++)
        if (tt_has_suffix(recipe->items[i].fqn, "lm_head.weight"))
            return true;
    return false;
}

/* What the weights are in: with `like`, what the first of them, the embedding, is in. */
static enum tt_dtype weights_dtype(const struct plan *p)
{
    return p->hf->like && p->recipe->n ? p->recipe->items[0].output.dtype : p->hf->dtype;
}

static tt_status add_config(struct plan *p, struct tt_err *err)
{
    struct tt_hf_config config = { 0 };
    struct tt_buf text = { 0 };
    tt_status st = p->opts->assets_path ? tt_hf_config_read(&config, p->arena, p->opts->assets_path, err) : TT_OK;
    const bool found = config.value != NULL;

    if (st == TT_OK && found)
        st = tt_hf_config_check(&config, p->hf->family, p->hf->args, false, p->opts->log, err);
    else if (st == TT_OK)
        st = tt_hf_config_make(&config, p->arena, p->hf->family, p->hf->args, p->opts->log, err);
    if (st == TT_OK)
        st = tt_hf_config_set(&config, p->arena, weights_dtype(p), p->hf->like, !writes_head(p->recipe), err);
    if (st != TT_OK)
        return st;
    tt_hf_config_write(&text, &config);
    return add_text(p, TT_HF_CONFIG_NAME, &text, err);
}

static tt_status add_extras(struct plan *p, struct tt_err *err)
{
    enum { NMADE = 2 }; /* the index and config.json */
    char **names = NULL;
    size_t n = 0;
    tt_status st = p->opts->assets_path ? tt_dir_list(p->arena, p->opts->assets_path, &names, &n, err) : TT_OK;

    if (st != TT_OK)
        return st;
    p->extras = tt_arena_array(p->arena, n + NMADE, sizeof *p->extras);
    if (!p->extras)
        return nomem(err);
    st = add_index(p, err);
    if (st == TT_OK)
        st = add_config(p, err);
    for (size_t i = 0; i < n && st == TT_OK; i++) {
        const char *path = is_copied(names[i]) ? tt_path_join(p->arena, p->opts->assets_path, names[i]) : NULL;
        if (is_copied(names[i]) && !path)
            return nomem(err);
        if (path && !tt_path_is_dir(path))
            p->extras[p->nextras++] = (struct tt_extra){ .name = names[i], .copy_of = path };
    }
    return st;
}

tt_status tt_hf_folder_plan(struct tt_target *target, struct tt_recipe *recipe, const struct tt_hf_opts *hf,
                            const struct tt_hf_folder_opts *opts, struct tt_err *err)
{
    struct plan p = { .recipe = recipe, .arena = &recipe->arena, .hf = hf, .opts = opts };
    tt_status st = opts->assets_path ? read_index(&p.index, &p.has_index, p.arena, opts->assets_path, err) : TT_OK;

    if (st == TT_OK)
        st = place(&p, err);
    if (st == TT_OK)
        st = add_extras(&p, err);
    if (st != TT_OK)
        return st;
    target->files = p.files;
    target->nfiles = p.nfiles;
    target->extras = p.extras;
    target->nextras = p.nextras;
    return TT_OK;
}
