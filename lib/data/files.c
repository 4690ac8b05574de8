#include "data/files.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { DEPTH_MAX = 16 };

static bool is_data(const char *name)
{
    static const char *const kinds[] = { ".json", ".jsonl", ".ndjson" };
    static const char *const packed[] = { "", ".gz", ".zst" };
    static const char *const others[] = { "config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(name, others[i]) == 0)
            return false;
    for (size_t k = 0; k < 3; k++)
        for (size_t p = 0; p < 3; p++) {
            char suffix[16] = "";
            strcat(strcat(suffix, kinds[k]), packed[p]);
            if (tt_has_suffix(name, suffix))
                return true;
        }
    return false;
}

/* --- the tree ---------------------------------------------------------------------------------------------------------- */

struct found {
    struct tt_arena *arena;
    char **rel; /* paths below the folder */
    size_t n, cap;
};

static tt_status keep(struct found *f, char *rel, struct tt_err *err)
{
    if (f->n == f->cap) {
        const size_t cap = f->cap ? 2 * f->cap : 64;
        char **bigger = tt_arena_array(f->arena, cap, sizeof *bigger);
        if (!bigger)
            return tt_err_nomem(err, cap * sizeof *bigger, "names of files");
        if (f->n)
            memcpy(bigger, f->rel, f->n * sizeof *bigger);
        f->rel = bigger;
        f->cap = cap;
    }
    f->rel[f->n++] = rel;
    return TT_OK;
}

static tt_status walk(struct found *f, const char *root, const char *below, int depth, struct tt_err *err)
{
    char **names;
    size_t n = 0;
    const char *dir = tt_path_join(f->arena, root, below);
    tt_status st = dir ? tt_dir_list(f->arena, *below ? dir : root, &names, &n, err) : tt_err_nomem(err, 0, "a path");
    for (size_t i = 0; st == TT_OK && i < n; i++) {
        char *rel = *below ? tt_path_join(f->arena, below, names[i]) : names[i];
        const char *full = rel ? tt_path_join(f->arena, root, rel) : NULL;
        if (!full)
            return tt_err_nomem(err, 0, "a path");
        if (names[i][0] == '.')
            continue;
        if (tt_path_is_dir(full))
            st = strncmp(names[i], "__", 2) == 0 || depth == DEPTH_MAX ? TT_OK : walk(f, root, rel, depth + 1, err);
        else if (is_data(names[i]))
            st = keep(f, rel, err);
    }
    return st;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* --- splits ------------------------------------------------------------------------------------------------------------ */

enum split { NO_SPLIT, TRAIN, OTHER };

static const struct { const char *word; enum split split; } words[] = {
    { "train", TRAIN },      { "training", TRAIN }, { "validation", OTHER }, { "valid", OTHER }, { "dev", OTHER },
    { "val", OTHER },        { "test", OTHER },     { "testing", OTHER },    { "eval", OTHER },  { "evaluation", OTHER },
};

static bool separates(char c) { return c != '\0' && strchr("-._ 0123456789", c) != NULL; }

/* Whether a name (n bytes, one component) has the word between separators; the end counts as one in a folder's name only. */
static bool has_word(const char *name, size_t n, const char *word, bool folder)
{
    const size_t len = strlen(word);
    for (size_t i = 0; i + len <= n; i++)
        if (memcmp(name + i, word, len) == 0 && (i == 0 || separates(name[i - 1])) &&
            (i + len == n ? folder : separates(name[i + len])))
            return true;
    return false;
}

/* Training wins over another split, as a file may match both. */
static enum split split_of_name(const char *name, size_t n, bool folder)
{
    enum split found = NO_SPLIT;
    for (size_t i = 0; i < sizeof words / sizeof *words && found != TRAIN; i++)
        if (has_word(name, n, words[i].word, folder))
            found = words[i].split;
    return found;
}

static enum split split_of(const char *rel, bool folders)
{
    if (!folders)
        return split_of_name(tt_path_base(rel), strlen(tt_path_base(rel)), false);
    enum split found = NO_SPLIT;
    for (const char *slash; found != TRAIN && (slash = strchr(rel, '/')) != NULL; rel = slash + 1) {
        const enum split s = split_of_name(rel, (size_t)(slash - rel), true);
        found = s != NO_SPLIT ? s : found;
    }
    return found;
}

/* Keeps the training split where this kind of name tells splits apart; *told: whether it does. */
static void select_train(struct found *f, bool folders, bool *told)
{
    *told = false;
    for (size_t i = 0; i < f->n; i++)
        *told |= split_of(f->rel[i], folders) != NO_SPLIT;
    size_t n = 0;
    for (size_t i = 0; *told && i < f->n; i++)
        if (split_of(f->rel[i], folders) == TRAIN)
            f->rel[n++] = f->rel[i];
    if (*told)
        f->n = n;
}

tt_status tt_data_files(struct tt_arena *arena, const char *dir, char ***paths, size_t *n, struct tt_err *err)
{
    struct found f = { .arena = arena };
    tt_status st = walk(&f, dir, "", 0, err);
    if (st != TT_OK)
        return st;
    if (f.n == 0)
        return tt_err_set(err, TT_ENOENT, "%s: no data files (.json, .jsonl, .ndjson; plain, .gz or .zst)", dir);
    qsort(f.rel, f.n, sizeof *f.rel, by_name);
    bool told;
    select_train(&f, true, &told);
    if (!told)
        select_train(&f, false, &told);
    if (f.n == 0)
        return tt_err_set(err, TT_ENOENT, "%s: the names tell splits apart, and none is \"train\"", dir);
    for (size_t i = 0; i < f.n; i++)
        if (!(f.rel[i] = tt_path_join(arena, dir, f.rel[i])))
            return tt_err_nomem(err, 0, "a path");
    *paths = f.rel;
    *n = f.n;
    return TT_OK;
}
