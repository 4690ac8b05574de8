#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "ckpt/unpack.h"
#include "ckpt/write_private.h"

enum { EXPAND_MAX = 100, EXPAND_NBYTES_MIN = 1 << 20 };

/* --- the inputs ----------------------------------------------------------------------------------------------------------------- */

struct input {
    struct tt_ckpt *ckpt;
    uint64_t *file_nbytes; /* (nfiles) what the file has; 0: not looked at so far */
};

struct inputs {
    struct tt_arena *arena;
    struct input *items;
    size_t n;
    struct tt_map counted; /* storages: several views may share one */
    uint64_t stored;       /* bytes of all that is read, each storage once */
    uint64_t decoded;      /* the same, what is compressed decoded */
};

static tt_status find_input(struct inputs *inputs, struct tt_ckpt *ckpt, struct input **out, struct tt_err *err)
{
    for (size_t i = 0; i < inputs->n; i++)
        if (inputs->items[i].ckpt == ckpt) {
            *out = &inputs->items[i];
            return TT_OK;
        }
    struct input *items = realloc(inputs->items, (inputs->n + 1) * sizeof *items);
    uint64_t *nbytes = tt_arena_array(inputs->arena, ckpt->files.n, sizeof *nbytes);
    if (items)
        inputs->items = items;
    if (!items || !nbytes)
        return tt_err_nomem(err, ckpt->files.n * sizeof *nbytes, ckpt->path);
    items[inputs->n] = (struct input){ ckpt, nbytes };
    *out = &items[inputs->n++];
    return TT_OK;
}

static tt_status file_nbytes(struct input *input, uint32_t file, uint64_t *out, struct tt_err *err)
{
    const struct tt_infile *in = NULL;

    if (input->file_nbytes[file] == 0) {
        const tt_status st = tt_files_pin(&input->ckpt->files, file, &in, err);
        if (st != TT_OK)
            return st;
        input->file_nbytes[file] = in->nbytes;
        tt_files_unpin(&input->ckpt->files, file);
    }
    *out = input->file_nbytes[file];
    return TT_OK;
}

/* A chunk lies in its file, all of it. */
static tt_status check_chunk(struct inputs *inputs, struct tt_ckpt *ckpt, const struct tt_entry *entry, const struct tt_chunk *chunk,
                             struct tt_err *err)
{
    struct input *input = NULL;
    uint64_t has = 0;
    tt_status st = TT_OK;
    bool added = true;

    if (chunk->codec == TT_CODEC_MEMORY)
        inputs->decoded += tt_chunk_decoded_nbytes(entry, chunk);
    if (chunk->codec == TT_CODEC_MEMORY || chunk->file == TT_FILE_NONE || !ckpt)
        return TT_OK;
    st = find_input(inputs, ckpt, &input, err);
    if (st == TT_OK)
        st = file_nbytes(input, chunk->file, &has, err);
    if (st != TT_OK)
        return st;
    if (chunk->offset > has || chunk->nbytes > has - chunk->offset) {
        const char *name = ckpt->files.names[chunk->file];
        return tt_err_set(err, TT_EFORMAT, "%s%s%s: key %s: expected its item at offset %" PRIu64 ", %" PRIu64
                          " bytes, found the end of the file at %" PRIu64, ckpt->path, *name ? "/" : "", name, entry->fqn,
                          chunk->offset, chunk->nbytes, has);
    }
    struct { struct tt_ckpt *ckpt; uint64_t offset; uint64_t file; } *key = NULL;
    if (chunk->codec == TT_CODEC_RAW && (chunk->strides || chunk->first)) { /* only views share storages */
        key = tt_arena_alloc(inputs->arena, sizeof *key);
        if (!key)
            return tt_err_nomem(err, sizeof *key, "a list of storages");
        key->ckpt = ckpt;
        key->offset = chunk->offset;
        key->file = chunk->file;
        st = tt_map_put(&inputs->counted, (const char *)key, sizeof *key, 1, &added, NULL, err);
    }
    if (st == TT_OK && added) {
        inputs->stored += chunk->nbytes;
        inputs->decoded += chunk->codec == TT_CODEC_ZSTD ? tt_chunk_decoded_nbytes(entry, chunk) : chunk->nbytes;
    }
    return st;
}

static tt_status check_entry(struct inputs *inputs, struct tt_ckpt *ckpt, const struct tt_entry *entry, struct tt_err *err)
{
    tt_status st = TT_OK;
    for (uint32_t c = 0; entry && c < entry->nchunks && st == TT_OK; c++)
        st = check_chunk(inputs, ckpt, entry, &entry->chunks[c], err);
    return st;
}

static tt_status check_inputs(struct inputs *inputs, const struct tt_recipe *recipe, struct tt_err *err)
{
    tt_status st = TT_OK;

    for (size_t i = 0; i < recipe->n && st == TT_OK; i++) {
        const struct tt_recipe_item *item = &recipe->items[i];
        if (item->kind == TT_ENTRY_VALUE && item->entry)
            st = check_entry(inputs, item->ckpt, item->entry, err);
        for (size_t p = 0; item->kind == TT_ENTRY_TENSOR && p < item->output.nparts && st == TT_OK; p++) {
            st = check_entry(inputs, item->output.parts[p].ckpt, item->output.parts[p].src, err);
            if (st == TT_OK)
                st = check_entry(inputs, item->output.parts[p].ckpt, item->output.parts[p].scales, err);
        }
    }
    return st;
}

/* The files that come along are there, and can be read. */
static tt_status check_extras(const struct tt_target *target, struct tt_write_stats *stats, struct tt_err *err)
{
    tt_status st = TT_OK;

    for (size_t i = 0; i < target->nextras && st == TT_OK; i++) {
        struct tt_infile in = { .fd = -1 };
        if (!target->extras[i].copy_of)
            continue;
        st = tt_infile_open(&in, target->extras[i].copy_of, err);
        if (st == TT_OK && in.nbytes > TT_EXTRA_NBYTES_MAX)
            st = tt_err_set(err, TT_EFORMAT, "%s: expected at most %d bytes, found %" PRIu64, in.path, TT_EXTRA_NBYTES_MAX,
                            in.nbytes);
        if (st == TT_OK) {
            stats->read_nbytes += in.nbytes;
            stats->written_nbytes += in.nbytes;
        }
        tt_infile_close(&in);
    }
    return st;
}

/* --- the output ----------------------------------------------------------------------------------------------------------------- */

/* The path with every link and ".." resolved, as far as it exists. In the arena; NULL without memory. */
static const char *real_path(struct tt_arena *arena, const char *path)
{
    char *real = realpath(path, NULL);
    if (real) {
        const char *copy = tt_arena_str(arena, real);
        free(real);
        return copy;
    }
    const char *dir = tt_path_dir(arena, path), *base = tt_path_base(path);
    const char *above = dir && strcmp(dir, path) != 0 ? real_path(arena, dir) : dir;
    return above ? tt_path_join(arena, above, base) : NULL;
}

static bool is_inside(const char *path, const char *folder)
{
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static tt_status check_apart(const struct inputs *inputs, const struct tt_target *target, struct tt_err *err)
{
    const char *path = target->path, *out = real_path(inputs->arena, path);
    const char *beside = target->also_read ? real_path(inputs->arena, target->also_read) : NULL;

    if (!out || (target->also_read && !beside))
        return tt_err_nomem(err, strlen(path), path);
    for (size_t i = 0; i < inputs->n; i++) {
        const char *in = real_path(inputs->arena, inputs->items[i].ckpt->path);
        if (!in)
            return tt_err_nomem(err, strlen(path), path);
        if (is_inside(out, in))
            return tt_err_set(err, TT_EINVAL, "%s: %s the checkpoint that it is made of; write it elsewhere", path,
                              strcmp(out, in) == 0 ? "is" : "lies inside");
        if (is_inside(in, out))
            return tt_err_set(err, TT_EINVAL, "%s: contains %s, which it is made of; write it elsewhere", path,
                              inputs->items[i].ckpt->path);
    }
    if (beside && is_inside(beside, out))
        return tt_err_set(err, TT_EINVAL, "%s: would replace %s, which is read for it; write it elsewhere", path, target->also_read);
    return TT_OK;
}

static bool is_empty_folder(const char *path)
{
    struct tt_arena arena = { 0 };
    char **names;
    size_t n = 1;
    const bool empty = tt_path_is_dir(path) && tt_dir_list(&arena, path, &names, &n, NULL) == TT_OK && n == 0;
    tt_arena_release(&arena);
    return empty;
}

/* What a folder of a checkpoint, or of a model on the Hub, holds; leftovers of a run that was killed too. */
static bool belongs(const char *name)
{
    static const char *const endings[] = { ".distcp", ".safetensors", ".json", ".jinja", ".model", ".txt", ".tiktoken", ".md" };
    static const char *const beginnings[] = { ".metadata", ".gitattributes", "common.pt", "LICENSE", "USE_POLICY", "NOTICE", TT_TMP_PREFIX };

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (tt_has_suffix(name, endings[i]))
            return true;
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

/* Whatever else is there would be lost with it. */
static tt_status check_no_others(const char *path, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    char **names = NULL;
    size_t n = 0;
    tt_status st = tt_dir_list(&arena, path, &names, &n, err);

    for (size_t i = 0; i < n && st == TT_OK; i++) {
        const char *inside = tt_path_join(&arena, path, names[i]);
        if (!inside)
            st = tt_err_nomem(err, strlen(path), path);
        else if (tt_path_is_dir(inside) && !tt_path_is_link(inside))
            st = tt_err_set(err, TT_EINVAL, "%s: holds the folder %s, which is no part of a checkpoint; it is not replaced", path,
                            names[i]);
        else if (!belongs(names[i]))
            st = tt_err_set(err, TT_EINVAL, "%s: holds %s, which is no part of a checkpoint; it is not replaced", path, names[i]);
    }
    tt_arena_release(&arena);
    return st;
}

/* Whether what is there would be a loss only of a checkpoint: --force replaces nothing else. */
static tt_status check_checkpoint(const char *path, struct tt_err *err)
{
    struct tt_ckpt *ckpt = NULL;
    struct tt_err why = { 0 };

    if (tt_ckpt_open(&ckpt, path, &why) != TT_OK)
        return tt_err_set(err, TT_EINVAL, "%s: is no checkpoint that titan knows, and is not replaced (%s)", path, why.msg);
    tt_ckpt_close(ckpt);
    return tt_path_is_dir(path) ? check_no_others(path, err) : TT_OK;
}

/* Without a slash at the end, through which a link is what it leads to. */
static bool is_link(const char *path)
{
    struct tt_arena arena = { 0 };
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    const char *name = tt_arena_strn(&arena, path, n);
    const bool is = name && tt_path_is_link(name);
    tt_arena_release(&arena);
    return is;
}

static tt_status check_absent(struct write_plan *plan, struct tt_err *err)
{
    const char *path = plan->target->path;
    const bool is_folder = plan->target->format == TT_CKPT_DCP || plan->target->format == TT_CKPT_HF;

    if (!tt_path_exists(path) && !is_link(path))
        return TT_OK;
    if (is_folder && is_empty_folder(path) && !is_link(path))
        return TT_OK;
    if (is_folder != tt_path_is_dir(path))
        return tt_err_set(err, TT_EINVAL, "%s: is there already, and is %s folder", path, is_folder ? "no" : "a");
    if (!plan->opts->force)
        return tt_err_set(err, TT_EINVAL, "%s: is there already; --force replaces it", path);
    plan->replaces = true;
    return check_checkpoint(path, err);
}

/* The folder that the output will lie in, or the first above it that is there already. In the arena; NULL without memory. */
static const char *folder_of(struct tt_arena *arena, const char *path)
{
    return tt_path_existing_dir(arena, tt_path_dir(arena, path));
}

/* What has to be decoded into a temporary is decoded beside the output, where there is one. */
static tt_status plan_spill(const struct inputs *inputs, const char *folder, struct tt_write_stats *stats, struct tt_err *err)
{
    tt_status st = TT_OK;

    for (size_t i = 0; i < inputs->n && st == TT_OK; i++) {
        stats->spill_nbytes += tt_unpack_spill_nbytes(inputs->items[i].ckpt);
        if (folder)
            st = tt_files_spill_into(&inputs->items[i].ckpt->files, folder, err);
    }
    return st;
}

/* What of the output takes no room, because it is to be hard links of files on the same file system. */
static uint64_t linked_nbytes(const struct write_plan *plan, const char *folder)
{
    struct stat in, out;
    uint64_t nbytes = 0;

    for (uint32_t f = 0; plan->target->link && plan->clones && f < plan->nfiles; f++) {
        const struct write_clone *clone = &plan->clones[f];
        if (clone->ckpt && stat(clone->ckpt->path, &in) == 0 && stat(folder, &out) == 0 && in.st_dev == out.st_dev)
            nbytes += clone->nbytes;
    }
    return nbytes;
}

static tt_status check_space(const struct write_plan *plan, struct tt_write_stats *stats, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct statvfs fs;
    const char *dir = folder_of(&arena, plan->target->path);
    tt_status st = TT_OK;

    if (dir && statvfs(dir, &fs) == 0) {
        const uint64_t needed = stats->written_nbytes + stats->spill_nbytes - linked_nbytes(plan, dir);
        stats->free_nbytes = (uint64_t)fs.f_bavail * fs.f_frsize;
        if (needed > stats->free_nbytes)
            st = tt_err_set(err, TT_EIO, "%s: needs %" PRIu64 " bytes, and there are %" PRIu64 " free", plan->target->path, needed,
                            stats->free_nbytes);
    }
    tt_arena_release(&arena);
    return st;
}

tt_status tt_write_check(struct write_plan *plan, struct tt_write_stats *stats, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct inputs inputs = { .arena = &arena };
    const bool to_stdout = strcmp(plan->target->path, "-") == 0;
    tt_status st = check_inputs(&inputs, plan->recipe, err);

    stats->read_nbytes = inputs.stored;
    if (st == TT_OK)
        st = check_extras(plan->target, stats, err);
    if (st == TT_OK && stats->written_nbytes > EXPAND_NBYTES_MIN && !plan->opts->allow_expand &&
        stats->written_nbytes / EXPAND_MAX > inputs.decoded)
        st = tt_err_set(err, TT_EINVAL, "%s: would have %" PRIu64 " bytes, made of %" PRIu64
                        " stored ones; more than %d times as many need --allow_expand", plan->target->path, stats->written_nbytes,
                        inputs.decoded, EXPAND_MAX);
    if (st == TT_OK)
        st = plan_spill(&inputs, to_stdout ? NULL : folder_of(&arena, plan->target->path), stats, err);
    if (st == TT_OK && !to_stdout)
        st = check_apart(&inputs, plan->target, err);
    if (st == TT_OK && !to_stdout)
        st = check_absent(plan, err);
    if (st == TT_OK && !to_stdout)
        st = check_space(plan, stats, err);
    free(inputs.items);
    tt_map_release(&inputs.counted);
    tt_arena_release(&arena);
    return st;
}
