#include "ckpt/files.h"

#include <errno.h>
#include <stdlib.h>

struct tt_files_slot {
    struct tt_infile in; /* closed: path NULL */
    unsigned pins;
    uint64_t used; /* the clock when it was pinned last */
};

tt_status tt_files_init(struct tt_files *files, const char *folder, const char *const *names, size_t n, struct tt_err *err)
{
    struct tt_files_slot *slots = calloc(n + 1, sizeof *slots);
    const int rc = slots ? pthread_mutex_init(&files->lock, NULL) : ENOMEM;

    if (rc) {
        free(slots);
        return tt_err_errno(err, rc, "%s: cannot make the list of its files", folder);
    }
    files->folder = folder;
    files->names = names;
    files->n = n;
    files->nopen = 0;
    files->clock = 0;
    files->slots = slots;
    return TT_OK;
}

void tt_files_release(struct tt_files *files)
{
    if (!files->slots)
        return;
    for (size_t i = 0; i < files->n; i++)
        tt_infile_close(&files->slots[i].in);
    pthread_mutex_destroy(&files->lock);
    free(files->slots);
    *files = (struct tt_files){ 0 };
}

/* False: every open file is in use. */
static bool close_oldest(struct tt_files *files)
{
    struct tt_files_slot *oldest = NULL;

    for (size_t i = 0; i < files->n; i++) {
        struct tt_files_slot *slot = &files->slots[i];
        if (slot->in.path && slot->pins == 0 && (!oldest || slot->used < oldest->used))
            oldest = slot;
    }
    if (!oldest)
        return false;
    tt_infile_close(&oldest->in);
    files->nopen--;
    return true;
}

static tt_status open_slot(struct tt_files *files, uint32_t index, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    const char *name = files->names[index];
    const char *path = name[0] ? tt_path_join(&arena, files->folder, name) : files->folder;
    tt_status st = path ? TT_OK : tt_err_nomem(err, 0, files->folder);

    while (files->nopen >= TT_FILES_OPEN_MAX && close_oldest(files))
        ;
    if (st == TT_OK) {
        /* Where the process may open no more, what is open goes first. */
        do {
            errno = 0;
            st = tt_infile_open(&files->slots[index].in, path, err);
        } while (st != TT_OK && (errno == EMFILE || errno == ENFILE) && close_oldest(files));
        files->nopen += st == TT_OK;
    }
    tt_arena_release(&arena);
    return st;
}

tt_status tt_files_pin(struct tt_files *files, uint32_t index, const struct tt_infile **out, struct tt_err *err)
{
    tt_status st = TT_OK;

    if (!files->slots)
        return tt_err_set(err, TT_EINVAL, "a checkpoint that comes through a pipe can only be listed");
    pthread_mutex_lock(&files->lock);
    struct tt_files_slot *slot = &files->slots[index];
    if (!slot->in.path)
        st = open_slot(files, index, err);
    if (st == TT_OK) {
        slot->pins++;
        slot->used = ++files->clock;
        *out = &slot->in;
    }
    pthread_mutex_unlock(&files->lock);
    return st;
}

void tt_files_unpin(struct tt_files *files, uint32_t index)
{
    pthread_mutex_lock(&files->lock);
    files->slots[index].pins--;
    pthread_mutex_unlock(&files->lock);
}
