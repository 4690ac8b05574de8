#include "train/step_dirs.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "ckpt/ckpt.h"

const char tt_staged_model[] = ".titan-model";

/* The N of "step-N", exactly as titan and TorchTitan write it; -1 for any other name. */
static int64_t step_of(const char *name)
{
    static const char prefix[] = "step-";
    const char *digits = name + strlen(prefix);
    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return -1;
    const size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 18 || digits[n] != 0 || (n > 1 && digits[0] == '0'))
        return -1;
    return strtoll(digits, NULL, 10);
}

static int by_step(const void *a, const void *b)
{
    const int64_t x = ((const struct tt_step_dir *)a)->step, y = ((const struct tt_step_dir *)b)->step;
    return (x > y) - (x < y);
}

tt_status tt_step_dirs_list(struct tt_step_dirs *out, struct tt_arena *arena, const char *folder, struct tt_err *err)
{
    char **names;
    size_t n;

    *out = (struct tt_step_dirs){ 0 };
    if (!tt_path_is_dir(folder))
        return TT_OK;
    const tt_status status = tt_dir_list(arena, folder, &names, &n, err);
    if (status != TT_OK)
        return status;
    out->dir = tt_arena_array(arena, n, sizeof *out->dir);
    for (size_t i = 0; i < n && out->dir; i++) {
        const int64_t step = step_of(names[i]);
        char *path = tt_path_join(arena, folder, names[i]);
        if (!path || step < 0)
            continue;
        const bool is_dcp = tt_ckpt_is_complete(path), is_hf = !is_dcp && tt_is_hf_folder(path);
        out->dir[out->n++] = (struct tt_step_dir){ step, path, is_dcp || is_hf, is_hf };
    }
    if (!out->dir)
        return tt_err_nomem(err, n * sizeof *out->dir, "the list of checkpoints");
    qsort(out->dir, out->n, sizeof *out->dir, by_step);
    return TT_OK;
}

const struct tt_step_dir *tt_step_dirs_newest(const struct tt_step_dirs *steps)
{
    for (size_t i = steps->n; i-- > 0;)
        if (steps->dir[i].complete)
            return &steps->dir[i];
    return NULL;
}

const struct tt_step_dir *tt_step_dirs_find(const struct tt_step_dirs *steps, int64_t step)
{
    for (size_t i = 0; i < steps->n; i++)
        if (steps->dir[i].step == step && steps->dir[i].complete)
            return &steps->dir[i];
    return NULL;
}

/* .metadata goes first: what a kill in between leaves is no checkpoint. Of a step that is a link only the link goes: what it leads
 * to was put elsewhere to be kept. */
static tt_status remove_step(struct tt_arena *arena, const char *path, struct tt_err *err)
{
    if (tt_path_is_link(path))
        return tt_remove_all(path, err);
    char *metadata = tt_path_join(arena, path, ".metadata");
    if (!metadata)
        return tt_err_nomem(err, strlen(path), "a file's name");
    const tt_status status = tt_remove_all(metadata, err);
    return status == TT_OK ? tt_remove_all(path, err) : status;
}

tt_status tt_step_dirs_retain(const char *folder, int64_t keep, int64_t saved, const struct tt_log *log, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_step_dirs steps;
    int64_t ncomplete = 0;

    tt_status status = tt_step_dirs_list(&steps, &arena, folder, err);
    for (size_t i = steps.n; status == TT_OK && i-- > 0;) {
        const char *path = steps.dir[i].path;
        if (!steps.dir[i].complete || ++ncomplete <= keep || steps.dir[i].step == saved)
            continue;
        const double start = tt_seconds();
        tt_log_line(log, TT_LOG_INFO, "Checkpointer is deleting %s.", path);
        status = remove_step(&arena, path, err);
        if (status == TT_OK)
            tt_log_line(log, TT_LOG_INFO, "Checkpointer deleted %s in %.2f seconds.", path, tt_seconds() - start);
    }
    tt_arena_release(&arena);
    return status;
}
