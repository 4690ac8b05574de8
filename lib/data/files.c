#include "data/files.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/glob.h"
#include "data/card.h"

enum { DEPTH_MAX = 16 };

static bool is_data(const char *name)
{
    static const char *const kinds[] = { ".json", ".jsonl", ".ndjson" };
    static const char *const packed[] = { "", ".gz", ".zst" };
    for (size_t k = 0; k < 3; k++)
        for (size_t p = 0; p < 3; p++) {
            char suffix[16] = "";
            strcat(strcat(suffix, kinds[k]), packed[p]);
            if (tt_has_suffix(name, suffix))
                return true;
        }
    return false;
}

/* --- the tree ---------------------------------------------------------------------------------------------------------------- */

struct list {
    struct tt_arena *arena;
    char **rel; /* paths below the folder */
    size_t n, cap;
};

static tt_status keep(struct list *f, char *rel, struct tt_err *err)
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

/* Files of these names are about the data. */
static bool is_ignored(const char *name)
{
    static const char *const names[] = { "README.md",          "config.json",    "dataset_info.json",
                                         "dataset_infos.json", "dummy_data.zip", "dataset_dict.json" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return name[0] == '.';
}

static tt_status walk(struct list *f, const char *root, const char *below, int depth, struct tt_err *err)
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
        if (is_ignored(names[i]))
            continue;
        if (!tt_path_is_dir(full))
            st = keep(f, rel, err);
        else if (strncmp(names[i], "__", 2) != 0 && depth < DEPTH_MAX)
            st = walk(f, root, rel, depth + 1, err);
    }
    return st;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* --- patterns ---------------------------------------------------------------------------------------------------------------- */

enum { PATTERN_MAX = 1024 };

/* The first component, as a string of its own; *rest behind its slash, NULL where it is the last. False: it is too long. */
static bool component(char out[PATTERN_MAX], const char **rest, const char *path)
{
    const char *slash = strchr(path, '/');
    const size_t n = slash ? (size_t)(slash - path) : strlen(path);
    if (n >= PATTERN_MAX)
        return false;
    memcpy(out, path, n);
    out[n] = '\0';
    *rest = slash ? slash + 1 : NULL;
    return true;
}

static bool matches(const char *pattern, const char *path)
{
    char want[PATTERN_MAX], name[PATTERN_MAX];
    const char *more, *below;
    if (!component(want, &more, pattern) || !component(name, &below, path))
        return false;
    if (strcmp(want, "**") == 0) {
        if (!more)
            return true;
        return matches(more, path) || (below && matches(pattern, below));
    }
    if (!tt_glob_match(want, name) || !more != !below)
        return false;
    return !more || matches(more, below);
}

/* Appends the data files that match; *any: whether some file does. */
static tt_status resolve(struct list *data, bool *any, const struct list *all, const char *pattern, struct tt_err *err)
{
    tt_status st = TT_OK;
    while (strncmp(pattern, "./", 2) == 0)
        pattern += 2;
    for (size_t i = 0; i < all->n && st == TT_OK; i++) {
        if (!matches(pattern, all->rel[i]))
            continue;
        *any = true;
        if (is_data(all->rel[i]))
            st = keep(data, all->rel[i], err);
    }
    return st;
}

/* --- splits without a README ------------------------------------------------------------------------------------------------- */

#define SEP "[-._ 0-9]"
#define N5 "[0-9][0-9][0-9][0-9][0-9]"

static const struct split {
    const char *name, *words[5];
} splits[] = {
    { "train", { "train", "training" } },
    { "validation", { "validation", "valid", "dev", "val" } },
    { "test", { "test", "testing", "eval", "evaluation" } },
};

enum { NSPLITS = sizeof splits / sizeof *splits };

/* Ways to tell splits apart, by patterns around a word (%s). */
static const struct way {
    const char *patterns[5];
    bool by_name;
} ways[] = {
    { { "data/%s-" N5 "-of-" N5 "*.*" }, .by_name = true },
    { { "**/%s/**", "**/%s" SEP "*/**", "**/*" SEP "%s/**", "**/*" SEP "%s" SEP "*/**" }, .by_name = false },
    { { "**/%s" SEP "*", "**/*" SEP "%s" SEP "*" }, .by_name = false },
};

/* A pattern with a word in the place of its %s. */
static tt_status resolve_word(struct list *data, bool *any, const struct list *all, const char *format, const char *word,
                              struct tt_err *err)
{
    const char *place = strstr(format, "%s");
    struct tt_buf pattern = { 0 };

    tt_buf_put(&pattern, format, (size_t)(place - format));
    tt_buf_str(&pattern, word);
    tt_buf_str(&pattern, place + 2);
    tt_status st = tt_buf_check(&pattern, "a pattern", err);
    if (st == TT_OK)
        st = resolve(data, any, all, tt_buf_cstr(&pattern), err);
    tt_buf_release(&pattern);
    return st;
}

/* All patterns of a split in a way, word by word. */
static tt_status resolve_split(struct list *data, bool *any, const struct list *all, const struct way *way,
                               const struct split *split, struct tt_err *err)
{
    const char *const name[] = { split->name, NULL };
    tt_status st = TT_OK;
    for (const char *const *word = way->by_name ? name : split->words; *word; word++)
        for (const char *const *pattern = way->patterns; *pattern && st == TT_OK; pattern++)
            st = resolve_word(data, any, all, *pattern, *word, err);
    return st;
}

static tt_status no_split(const char *dir, const char *split, struct tt_err *err)
{
    return tt_err_set(err, TT_ENOENT, "%s: expected files of split \"%s\", found those of others only", dir, split);
}

/* Where a way tells splits apart (*told), those of ours, and the first split's. */
static tt_status split_by(struct list *ours, struct list *first, bool *told, const struct list *all, const struct way *way,
                          const char *split, struct tt_err *err)
{
    tt_status st = TT_OK;
    *told = false;
    for (size_t s = 0; s < NSPLITS && st == TT_OK; s++) {
        bool any = false;
        struct list data = { .arena = all->arena };
        st = resolve_split(&data, &any, all, way, &splits[s], err);
        if (any && !*told)
            *first = data;
        *told |= any;
        if (strcmp(splits[s].name, split) == 0)
            *ours = data;
    }
    return st;
}

static tt_status by_names(struct list *ours, struct list *first, const struct list *all, const char *dir, const char *split,
                          struct tt_err *err)
{
    bool any = false;
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        bool told;
        const tt_status st = split_by(ours, first, &told, all, &ways[w], split, err);
        if (st != TT_OK)
            return st;
        if (told)
            return ours->n ? TT_OK : no_split(dir, split, err);
    }
    const tt_status st = resolve(first, &any, all, "**", err);
    if (st == TT_OK && first->n && strcmp(split, "train") != 0)
        return no_split(dir, split, err);
    *ours = *first;
    return st;
}

/* --- splits that a README names ----------------------------------------------------------------------------------------------- */

static tt_status by_card_split(struct list *data, const struct list *all, const struct tt_card *card, const char *split,
                               struct tt_err *err)
{
    const char *pattern;
    tt_status st = TT_OK;
    for (size_t i = 0; (pattern = tt_card_pattern(card, split, i)) != NULL && st == TT_OK; i++) {
        const size_t before = data->n;
        bool any = false;
        st = resolve(data, &any, all, pattern, err);
        if (st == TT_OK && data->n == before && !strpbrk(pattern, "*?["))
            st = tt_err_set(err, TT_ENOENT, "%s: data_files: expected a data file %s", card->path, pattern);
    }
    return st;
}

static tt_status by_card(struct list *ours, struct list *first, const struct list *all, const struct tt_card *card,
                         const char *split, struct tt_err *err)
{
    const char *first_split = tt_card_split(card, 0);
    if (!tt_card_pattern(card, split, 0))
        return tt_err_set(err, TT_ENOENT, "%s: data_files: expected a split \"%s\", found none", card->path, split);
    tt_status st = by_card_split(ours, all, card, split, err);
    if (st == TT_OK)
        st = by_card_split(first, all, card, first_split, err);
    if (st == TT_OK && ours->n == 0)
        st = tt_err_set(err, TT_ENOENT, "%s: data_files: %s matches no data file", card->path, tt_card_pattern(card, split, 0));
    return st;
}

static tt_status of_folder(struct tt_data_files *out, struct tt_arena *arena, const char *dir, const char *config,
                           const char *split, struct tt_err *err)
{
    struct list all = { .arena = arena }, ours = all, first = all;
    struct tt_card card = { .data_dir = "" };
    bool has_card;

    tt_status st = tt_card_read(&card, &has_card, arena, dir, config, err);
    if (st == TT_OK && *card.data_dir && !card.data_files && !(dir = tt_path_join(arena, dir, card.data_dir)))
        st = tt_err_nomem(err, 0, "a path");
    if (st == TT_OK)
        st = walk(&all, dir, "", 0, err);
    if (st != TT_OK)
        return st;
    if (all.n > 1)
        qsort(all.rel, all.n, sizeof *all.rel, by_name);
    st = card.data_files ? by_card(&ours, &first, &all, &card, split, err) : by_names(&ours, &first, &all, dir, split, err);
    if (st == TT_OK && ours.n == 0)
        st = tt_err_set(err, TT_ENOENT, "%s: no data files (.json, .jsonl, .ndjson; plain, .gz or .zst)", dir);
    if (st != TT_OK)
        return st;
    const struct tt_data_files files = { .paths = tt_arena_array(arena, ours.n, sizeof *files.paths),
                                         .n = ours.n,
                                         .first = tt_path_join(arena, dir, first.n ? first.rel[0] : ours.rel[0]),
                                         .has_features = card.has_features };
    for (size_t i = 0; files.paths && i < ours.n; i++)
        if (!(files.paths[i] = tt_path_join(arena, dir, ours.rel[i])))
            return tt_err_nomem(err, 0, "a path");
    if (!files.paths || !files.first)
        return tt_err_nomem(err, ours.n * sizeof *files.paths, "names of files");
    *out = files;
    return TT_OK;
}

tt_status tt_data_files(struct tt_data_files *out, struct tt_arena *arena, const char *path, const char *config, const char *split,
                        struct tt_err *err)
{
    if (tt_path_is_dir(path))
        return of_folder(out, arena, path, config, split, err);
    if (strcmp(path, "-") != 0 && !tt_path_exists(path))
        return tt_err_set(err, TT_ENOENT, "%s: no such file or folder (dataset_path)", path);
    *out = (struct tt_data_files){ .paths = tt_arena_array(arena, 1, sizeof *out->paths), .n = 1 };
    if (!out->paths || !(out->first = out->paths[0] = tt_arena_str(arena, path)))
        return tt_err_nomem(err, 0, "a path");
    return TT_OK;
}
