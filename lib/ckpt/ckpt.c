#include "ckpt/ckpt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/ckpt_private.h"
#include "ckpt/unpack.h"
#include "format/metadata.h"
#include "format/pt.h"
#include "format/safetensors.h"

tt_status tt_ckpt_make(struct tt_ckpt **out, const char *path, enum tt_ckpt_format format, struct tt_err *err)
{
    struct tt_ckpt *ckpt = calloc(1, sizeof *ckpt);
    if (!ckpt || !(ckpt->path = strdup(path))) {
        free(ckpt);
        return tt_err_nomem(err, sizeof *ckpt, path);
    }
    ckpt->format = format;
    *out = ckpt;
    return TT_OK;
}

static tt_status open_dcp(struct tt_ckpt *ckpt, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_infile file = { .fd = -1 };
    const char *path = tt_path_join(&arena, ckpt->path, ".metadata");
    tt_status st = path ? tt_infile_open(&file, path, err) : tt_err_nomem(err, 0, ckpt->path);

    if (st == TT_ENOENT)
        st = tt_err_set(err, TT_ENOENT, "%s: a folder without .metadata and without .safetensors files is no finished "
                        "checkpoint", ckpt->path);
    if (st == TT_OK)
        st = tt_metadata_read(&ckpt->entries, &file, ckpt->problems, err);
    if (st == TT_OK)
        st = tt_unpack_new(&ckpt->unpack, err);
    tt_infile_close(&file);
    tt_arena_release(&arena);
    return st;
}

static tt_status open_pt(struct tt_ckpt *ckpt, struct tt_err *err)
{
    struct tt_infile file = { .fd = -1 };
    struct tt_pt pt = { 0 };
    tt_status st = tt_infile_open(&file, ckpt->path, err);
    uint32_t index;

    if (st != TT_OK)
        return st;
    const struct tt_source src = { .file = &file, .nbytes = file.nbytes, .name = ckpt->path };
    st = tt_pt_open(&pt, &ckpt->entries.arena, &src, err);
    if (st == TT_OK)
        st = tt_entries_file(&ckpt->entries, "", &index, err);
    if (st == TT_OK)
        st = tt_flatten(&ckpt->entries, pt.root, ckpt->path, err);
    tt_infile_close(&file);
    return st;
}

/* A zip's first bytes are too large a length for a header. */
static bool looks_like_safetensors(const struct tt_infile *in)
{
    uint8_t head[TT_ST_PREFIX_NBYTES + 1];
    return in->nbytes >= sizeof head && tt_infile_pread(in, head, sizeof head, 0, NULL) == TT_OK && tt_st_is_start(head);
}

bool tt_is_bare_metadata(const struct tt_infile *in)
{
    uint8_t head[TT_ST_PREFIX_NBYTES + 1];
    return in->nbytes >= sizeof head && tt_infile_pread(in, head, sizeof head, 0, NULL) == TT_OK && tt_metadata_is_start(head) &&
           !tt_pt_is_legacy(head, sizeof head);
}

static tt_status find_format(const char *path, enum tt_ckpt_format *format, struct tt_err *err)
{
    struct tt_infile in = { .fd = -1 };

    if (tt_path_is_dir(path)) {
        *format = !tt_ckpt_is_complete(path) && tt_is_hf_folder(path) ? TT_CKPT_HF : TT_CKPT_DCP;
        return TT_OK;
    }
    tt_status st = tt_infile_open(&in, path, err);
    if (st != TT_OK)
        return st;
    if (tt_is_bare_metadata(&in))
        st = tt_err_set(err, TT_EFORMAT, "%s: a .metadata without the files that it tells of: name their folder", path);
    *format = tt_has_suffix(path, ".safetensors") || looks_like_safetensors(&in) ? TT_CKPT_SAFETENSORS : TT_CKPT_PT;
    tt_infile_close(&in);
    return st;
}

tt_status tt_ckpt_open(struct tt_ckpt **out, const char *path, struct tt_err *err)
{
    return tt_ckpt_open_noting(out, path, NULL, err);
}

tt_status tt_ckpt_open_noting(struct tt_ckpt **out, const char *path, const struct tt_problems *problems, struct tt_err *err)
{
    static tt_status (*const open_format[])(struct tt_ckpt *ckpt, struct tt_err *err) = {
        [TT_CKPT_DCP] = open_dcp, [TT_CKPT_PT] = open_pt, [TT_CKPT_SAFETENSORS] = tt_open_safetensors, [TT_CKPT_HF] = tt_open_hf,
    };
    enum tt_ckpt_format format = TT_CKPT_DCP;
    struct tt_ckpt *ckpt = NULL;
    tt_status st = find_format(path, &format, err);

    if (st == TT_OK)
        st = tt_ckpt_make(&ckpt, path, format, err);
    if (st != TT_OK)
        return st;
    ckpt->problems = problems;
    st = open_format[format](ckpt, err);
    ckpt->problems = NULL;
    if (st == TT_OK)
        st = tt_files_init(&ckpt->files, ckpt->path, ckpt->entries.files, ckpt->entries.nfiles, err);
    if (st == TT_OK)
        *out = ckpt;
    else
        tt_ckpt_close(ckpt);
    return st;
}

tt_status tt_ckpt_memory(struct tt_ckpt **out, struct tt_err *err) { return tt_ckpt_make(out, "memory", TT_CKPT_MEMORY, err); }

void tt_ckpt_close(struct tt_ckpt *ckpt)
{
    if (!ckpt)
        return;
    tt_unpack_free(ckpt->unpack, &ckpt->files);
    tt_files_release(&ckpt->files);
    tt_entries_release(&ckpt->entries);
    free((char *)ckpt->path);
    free(ckpt);
}

bool tt_ckpt_is_complete(const char *dir)
{
    struct tt_arena arena = { 0 };
    const char *path = tt_path_join(&arena, dir, ".metadata");
    const bool is = path && tt_path_exists(path);
    tt_arena_release(&arena);
    return is;
}

const char *tt_ckpt_common(struct tt_arena *arena, const char *path)
{
    const char *common = tt_path_join(arena, path, "common.pt"), *config = tt_path_join(arena, path, "metadata.json");
    return common && config && tt_path_exists(common) && tt_path_exists(config) && tt_ckpt_is_complete(path) ? common : NULL;
}

tt_status tt_item_source(struct tt_source *out, struct tt_arena *arena, struct tt_ckpt *ckpt, const struct tt_entry *entry,
                         const struct tt_chunk *chunk, struct tt_err *err)
{
    const struct tt_infile *file = NULL;
    tt_status st = tt_files_pin(&ckpt->files, chunk->file, &file, err);
    if (st != TT_OK)
        return st;
    if (chunk->offset > file->nbytes || chunk->nbytes > file->nbytes - chunk->offset)
        st = tt_err_set(err, TT_EFORMAT, "%s: key %s: expected its item at offset %" PRIu64 ", %" PRIu64
                          " bytes, found the end of the file at %" PRIu64, file->path, entry->fqn, chunk->offset, chunk->nbytes,
                          file->nbytes);
    char *name = tt_arena_printf(arena, "%s: key %s: item at %" PRIu64, file->path, entry->fqn, chunk->offset);
    if (st == TT_OK && !name)
        st = tt_err_nomem(err, strlen(file->path), "a path");
    if (st == TT_OK)
        *out = (struct tt_source){ .file = file, .offset = chunk->offset, .nbytes = chunk->nbytes, .name = name };
    else
        tt_files_unpin(&ckpt->files, chunk->file);
    return st;
}

/* As it lies in the file; what is compressed, decoded. Whoever calls unpins *file. */
static tt_status open_item(struct tt_ckpt *ckpt, const struct tt_entry *entry, struct tt_arena *arena, struct tt_source *src,
                           uint32_t *file, struct tt_err *err)
{
    const struct tt_chunk *chunk = entry->chunks;

    if (chunk->codec == TT_CODEC_ZSTD)
        return tt_unpack_item(ckpt, entry, chunk, arena, src, file, err);
    *file = chunk->file;
    return tt_item_source(src, arena, ckpt, entry, chunk, err);
}

/* A decoded item that lay in memory goes into the spill file where tensors are read from it later. */
static tt_status keep_storages(struct tt_ckpt *ckpt, const struct tt_source *src, const struct tt_pt *pt, uint32_t file,
                               struct tt_err *err)
{
    uint64_t base = 0;
    tt_status st = TT_OK;

    if (pt->nstorages && file == TT_FILE_NONE) {
        st = tt_files_spill_take(&ckpt->files, src->nbytes, &base, err);
        if (st == TT_OK)
            st = tt_files_spill_write(&ckpt->files, src->data, (size_t)src->nbytes, base, err);
        file = (uint32_t)ckpt->files.n;
    }
    for (size_t i = 0; i < pt->nstorages; i++) {
        pt->storages[i]->file = file;
        pt->storages[i]->offset += base;
    }
    return st;
}

tt_status tt_ckpt_read_object(struct tt_ckpt *ckpt, const struct tt_entry *entry, struct tt_arena *arena,
                              const struct tt_value **out, struct tt_err *err)
{
    struct tt_arena bytes = { 0 };
    struct tt_source src;
    struct tt_pt pt = { 0 };
    uint32_t file = TT_FILE_NONE;

    if (entry->kind != TT_ENTRY_VALUE)
        return tt_err_set(err, TT_EINVAL, "%s: key %s is a tensor, not a value", ckpt->path, entry->fqn);
    if (entry->value) {
        *out = entry->value;
        return TT_OK;
    }
    tt_status st = open_item(ckpt, entry, &bytes, &src, &file, err);
    if (st == TT_OK) {
        st = tt_pt_open(&pt, arena, &src, err);
        if (st == TT_OK)
            st = keep_storages(ckpt, &src, &pt, file, err);
        if (file != TT_FILE_NONE)
            tt_files_unpin(&ckpt->files, file);
    }
    tt_arena_release(&bytes);
    if (st == TT_OK)
        *out = pt.root;
    return st;
}

tt_status tt_ckpt_read_value(struct tt_ckpt *ckpt, const struct tt_entry *entry, struct tt_arena *arena,
                             const struct tt_value **out, struct tt_err *err)
{
    const struct tt_value *v = NULL;
    const tt_status st = tt_ckpt_read_object(ckpt, entry, arena, &v, err);
    const char *why = NULL;
    const struct tt_py_global *g = st == TT_OK ? tt_value_unknown(v, &why) : NULL;
    char module[100], name[100];

    if (why)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: key %s: refused: %s", ckpt->path, entry->fqn, why);
    if (g)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: key %s: refused: the pickle names %s.%s, which is not among the plain data that "
                          "titan reads", ckpt->path, entry->fqn, tt_py_show(module, sizeof module, g->module, strlen(g->module)),
                          tt_py_show(name, sizeof name, g->name, strlen(g->name)));
    if (st == TT_OK)
        *out = v;
    return st;
}

tt_status tt_ckpt_value(struct tt_ckpt *ckpt, const char *fqn, const struct tt_value **out, struct tt_err *err)
{
    struct tt_entry *entry = tt_entries_find(&ckpt->entries, fqn);
    if (!entry)
        return tt_err_set(err, TT_ENOENT, "%s: there is no key %s", ckpt->path, fqn);
    const tt_status st = tt_ckpt_read_value(ckpt, entry, &ckpt->entries.arena, &entry->value, err);
    if (st == TT_OK)
        *out = entry->value;
    return st;
}
