#include "convert/rename.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/buf.h"
#include "ckpt/keys.h"
#include "convert/passes.h"

enum { MATCH_STEPS_MAX = 1000 * 1000 };

/* --- rules -------------------------------------------------------------------------------------------------------------------- */

struct rule {
    const char *text;
    pcre2_code *code;
    struct tt_buf replacement;
    uint32_t options; /* of pcre2_substitute */
    pcre2_match_data *match;
    pcre2_match_context *context;
    size_t nmatched; /* keys */
};

static void rule_release(struct rule *r)
{
    pcre2_code_free(r->code);
    pcre2_match_data_free(r->match);
    pcre2_match_context_free(r->context);
    tt_buf_release(&r->replacement);
}

static tt_status wrong_rule(const char *text, struct tt_err *err)
{
    return tt_err_set(err, TT_EINVAL, "expected s/PATTERN/REPLACEMENT/, found '%s'", text);
}

/* Up to the next delimiter; a delimiter behind a backslash counts as itself, anything else keeps its backslash. NULL: there is none. */
static const char *take_part(struct tt_buf *out, const char *s, char delimiter)
{
    for (; *s && *s != delimiter; s++) {
        if (*s == '\\' && s[1]) {
            if (s[1] != delimiter)
                tt_buf_byte(out, '\\');
            s++;
        }
        tt_buf_byte(out, (uint8_t)*s);
    }
    return *s ? s + 1 : NULL;
}

static tt_status compile(struct rule *out, struct tt_buf *pattern, bool caseless, struct tt_err *err)
{
    PCRE2_SIZE at = 0;
    PCRE2_UCHAR why[128];
    int code = 0;

    out->code = pcre2_compile((PCRE2_SPTR)tt_buf_cstr(pattern), pattern->len, PCRE2_UTF | (caseless ? PCRE2_CASELESS : 0), &code, &at,
                              NULL);
    if (!out->code) {
        pcre2_get_error_message(code, why, sizeof why);
        return tt_err_set(err, TT_EINVAL, "'%s': byte %zu of the pattern: %s", out->text, (size_t)at, (const char *)why);
    }
    out->match = pcre2_match_data_create_from_pattern(out->code, NULL);
    out->context = pcre2_match_context_create(NULL);
    if (!out->match || !out->context)
        return tt_err_nomem(err, pattern->len, "a pattern");
    pcre2_set_match_limit(out->context, MATCH_STEPS_MAX);
    return TT_OK;
}

static tt_status parse_rule(struct rule *out, const char *text, struct tt_err *err)
{
    struct tt_buf pattern = { 0 };
    bool caseless = false;

    *out = (struct rule){ .text = text, .options = PCRE2_SUBSTITUTE_EXTENDED };
    if (text[0] != 's' || !ispunct((unsigned char)text[1]) || text[1] == '\\')
        return wrong_rule(text, err);
    const char *s = take_part(&pattern, text + 2, text[1]);
    s = s ? take_part(&out->replacement, s, text[1]) : NULL;
    tt_status st = s && pattern.len ? TT_OK : wrong_rule(text, err);
    for (; st == TT_OK && *s; s++) {
        if (*s == 'g')
            out->options |= PCRE2_SUBSTITUTE_GLOBAL;
        else if (*s == 'i')
            caseless = true;
        else
            st = tt_err_set(err, TT_EINVAL, "'%s': expected the flags g and i, found '%c'", text, *s);
    }
    if (st == TT_OK)
        st = tt_buf_check(&out->replacement, "a replacement", err);
    if (st == TT_OK)
        st = compile(out, &pattern, caseless, err);
    tt_buf_release(&pattern);
    return st;
}

/* --- one name ----------------------------------------------------------------------------------------------------------------- */

/* Where the parts of a path end in the name that is being changed. */
struct bounds {
    size_t *dot; /* (n) ascending: the bytes between parts; SIZE_MAX: inside of a match */
    size_t *now; /* (n) the same in the new name */
    size_t n;
};

/* What one match does to them; called in order. */
static int on_match(pcre2_substitute_callout_block *block, void *ctx)
{
    struct bounds *b = ctx;
    const size_t from = block->ovector[0], to = block->ovector[1];
    for (size_t i = 0; i < b->n; i++) {
        if (b->now[i] == SIZE_MAX || b->dot[i] < from)
            continue;
        b->now[i] = b->dot[i] < to ? SIZE_MAX : block->output_offsets[1] + (b->dot[i] - to);
    }
    return 0;
}

/* The name with the rule applied, in the arena: *out, NULL where it does not match. */
static tt_status substitute(struct rule *r, const char *name, size_t n, struct bounds *bounds, struct tt_arena *arena, char **out,
                            struct tt_err *err)
{
    PCRE2_SIZE size = 4 * n + 4096;
    PCRE2_UCHAR why[128], *buf = malloc(size);
    if (!buf)
        return tt_err_nomem(err, size, "a name");
    memcpy(bounds->now, bounds->dot, bounds->n * sizeof *bounds->now);
    pcre2_set_substitute_callout(r->context, on_match, bounds);
    const int rc = pcre2_substitute(r->code, (PCRE2_SPTR)name, n, 0, r->options, r->match, r->context, r->replacement.data,
                                    r->replacement.len, buf, &size);
    tt_status st = TT_OK;
    *out = NULL;
    if (rc > 0 && !(*out = tt_arena_strn(arena, (const char *)buf, size)))
        st = tt_err_nomem(err, size, "a name");
    if (rc < 0) {
        pcre2_get_error_message(rc, why, sizeof why);
        st = tt_err_set(err, TT_EINVAL, "'%s' on key %.*s: %s", r->text, (int)n, name, (const char *)why);
    }
    if (st == TT_OK && *out && strlen(*out) != size)
        st = tt_err_set(err, TT_EINVAL, "'%s' on key %.*s: puts a NUL into the name", r->text, (int)n, name);
    free(buf);
    return st;
}

/* --- one key ------------------------------------------------------------------------------------------------------------------ */

static size_t part_len(const struct tt_path_part *part)
{
    char digits[32];
    return part->key ? strlen(part->key) : (size_t)snprintf(digits, sizeof digits, "%" PRId64, part->index);
}

/* Where the parts end, in the whole key. */
static tt_status find_bounds(struct bounds *out, const struct tt_recipe_item *item, struct tt_arena *arena, struct tt_err *err)
{
    const size_t n = item->npath ? item->npath - 1 : 0;
    size_t at = 0;

    *out = (struct bounds){ tt_arena_array(arena, n, sizeof(size_t)), tt_arena_array(arena, n, sizeof(size_t)), n };
    if (!out->dot || !out->now)
        return tt_err_nomem(err, n * sizeof(size_t), "a path");
    for (size_t i = 0; i < n; i++) {
        at += part_len(&item->path[i]);
        out->dot[i] = at++;
    }
    return TT_OK;
}

/* The path of the new key: what lies between the dots that are left. A part that did not change stays what it was, be it a list
 * position. */
static tt_status new_path(struct tt_recipe_item *item, const char *fqn, const struct bounds *b, struct tt_arena *arena,
                          struct tt_err *err)
{
    struct tt_path_part *path = tt_arena_array(arena, item->npath, sizeof *path);
    uint32_t npath = 0;
    size_t begin = 0;

    if (!path)
        return tt_err_nomem(err, item->npath * sizeof *path, fqn);
    for (size_t i = 0; i <= b->n; i++) {
        const size_t end = i < b->n ? b->now[i] : strlen(fqn);
        if (end == SIZE_MAX)
            continue;
        const struct tt_path_part *old = &item->path[i];
        char digits[32];
        snprintf(digits, sizeof digits, "%" PRId64, old->index);
        path[npath].key = tt_arena_strn(arena, fqn + begin, end - begin);
        if (!path[npath].key)
            return tt_err_nomem(err, end - begin, fqn);
        if (!old->key && strcmp(path[npath].key, digits) == 0 && npath > 0)
            path[npath] = *old;
        npath++;
        begin = end + 1;
    }
    item->path = path;
    item->npath = npath;
    return TT_OK;
}

/* Only the name of a parameter changes in an optimizer's key, between what stands before and behind it. */
static tt_status rename_item(struct tt_recipe *recipe, struct tt_recipe_item *item, struct rule *r, struct tt_arena *scratch,
                             struct tt_err *err)
{
    const struct tt_key key = tt_key_of(item->fqn);
    struct bounds all, inner;
    char *name = NULL;

    if (!key.param)
        return TT_OK;
    const size_t before = (size_t)(key.param - item->fqn), old_end = before + key.nparam;
    tt_status st = find_bounds(&all, item, scratch, err);
    if (st != TT_OK)
        return st;
    size_t first = 0, last = 0; /* the dots inside of the parameter's name */
    while (first < all.n && all.dot[first] < before)
        first++;
    for (last = first; last < all.n && all.dot[last] < old_end; last++)
        all.dot[last] -= before;
    inner = (struct bounds){ all.dot + first, all.now + first, last - first };
    st = substitute(r, key.param, key.nparam, &inner, scratch, &name, err);
    if (st != TT_OK || !name)
        return st;
    r->nmatched++;
    const char *fqn = tt_arena_printf(&recipe->arena, "%.*s%s%s", (int)before, item->fqn, name, item->fqn + old_end);
    if (!fqn)
        return tt_err_nomem(err, strlen(name), "a name");
    if (!*name)
        return tt_err_set(err, TT_EINVAL, "'%s' leaves no name of key %s", r->text, item->fqn);
    for (size_t i = 0; i < all.n; i++) {
        if (i < first)
            all.now[i] = all.dot[i];
        else if (i >= last)
            all.now[i] = all.dot[i] - key.nparam + strlen(name);
        else if (all.now[i] != SIZE_MAX)
            all.now[i] += before;
    }
    if (item->npath)
        st = new_path(item, fqn, &all, &recipe->arena, err);
    if (st == TT_OK)
        tt_recipe_item_set_fqn(item, fqn);
    return st;
}

static tt_status apply(struct tt_recipe *recipe, struct rule *r, struct tt_err *err)
{
    struct tt_arena scratch = { 0 };
    tt_status st = TT_OK;

    for (size_t i = 0; i < recipe->n && st == TT_OK; i++) {
        st = rename_item(recipe, &recipe->items[i], r, &scratch, err);
        tt_arena_release(&scratch);
    }
    if (st == TT_OK && r->nmatched == 0)
        return tt_err_set(err, TT_EINVAL, "no key matches '%s'", r->text);
    return st == TT_OK ? tt_recipe_reindex(recipe, err) : st;
}

tt_status tt_rename_check(const char *text, struct tt_err *err)
{
    struct rule r;
    const tt_status st = parse_rule(&r, text, err);
    rule_release(&r);
    return st;
}

tt_status tt_recipe_rename(struct tt_recipe *recipe, const char *const *rules, size_t nrules, struct tt_err *err)
{
    tt_status st = TT_OK;
    for (size_t i = 0; i < nrules && st == TT_OK; i++) {
        struct rule r;
        st = parse_rule(&r, rules[i], err);
        if (st == TT_OK)
            st = apply(recipe, &r, err);
        rule_release(&r);
    }
    return st;
}
