#include "data/normalize.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/arena.h"
#include "data/fields.h"
#include "data/steps.h"
#include "data/unicode.h"

static const struct {
    const char *type;
    utf8proc_option_t how;
} forms[] = {
    { "NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE },
    { "NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE },
    { "NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT },
    { "NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT },
};

enum kind { FORM, REPLACE, PREPEND, STRIP };

struct tt_norm_step {
    enum kind kind;
    int form;                          /* FORM: a row of forms */
    struct tt_replacement replacement; /* REPLACE; PREPEND: `by` is put in front */
    bool left, right;                  /* STRIP: at which end */
};

/* --- reading it from JSON ---------------------------------------------------------------------------------------------- */

static tt_status read_replace(struct tt_norm_step *step, const struct tt_value *v, const char *where, struct tt_err *err)
{
    return tt_replacement_read(&step->replacement, v, where, err);
}

static tt_status read_prepend(struct tt_norm_step *step, const struct tt_value *v, const char *where, struct tt_err *err)
{
    return tt_field_copy(&step->replacement.by, &step->replacement.nby, v, "prepend", where, err);
}

static tt_status read_strip(struct tt_norm_step *step, const struct tt_value *v, const char *where, struct tt_err *err)
{
    const tt_status st = tt_field_bool(&step->left, v, "strip_left", TT_REQUIRED, where, err);
    return st == TT_OK ? tt_field_bool(&step->right, v, "strip_right", TT_REQUIRED, where, err) : st;
}

static const struct {
    const char *type;
    enum kind kind;
    tt_status (*read)(struct tt_norm_step *, const struct tt_value *, const char *where, struct tt_err *);
} types[] = {
    { "Replace", REPLACE, read_replace },
    { "Prepend", PREPEND, read_prepend },
    { "Strip", STRIP, read_strip },
};

static tt_status add(void *out, const char *type, const struct tt_value *v, const char *where, struct tt_err *err)
{
    struct tt_normalizer *norm = out;
    for (int i = 0; i < (int)(sizeof forms / sizeof *forms); i++)
        if (strcmp(type, forms[i].type) == 0) {
            norm->steps[norm->n++] = (struct tt_norm_step){ .kind = FORM, .form = i };
            return TT_OK;
        }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i].type) == 0) {
            struct tt_norm_step *step = &norm->steps[norm->n++];
            step->kind = types[i].kind;
            return types[i].read(step, v, where, err);
        }
    return tt_err_set(err, TT_EUNSUPPORTED,
                      "%s: normalizer \"%s\" is not supported (NFC, NFD, NFKC, NFKD, Replace, Prepend, Strip, Sequence are)", where,
                      type);
}

tt_status tt_normalizer_init(struct tt_normalizer *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    struct tt_normalizer norm = { 0 };
    if (v && v->kind != TT_V_NULL) {
        if (!(norm.steps = calloc(TT_STEPS_MAX, sizeof *norm.steps)))
            return tt_err_nomem(err, TT_STEPS_MAX * sizeof *norm.steps, "a normalizer");
        const tt_status st = tt_steps_read(&norm, add, v, "normalizers", where, err);
        if (st != TT_OK) {
            tt_normalizer_release(&norm);
            return st;
        }
    }
    *out = norm;
    return TT_OK;
}

void tt_normalizer_release(struct tt_normalizer *norm)
{
    for (int i = 0; i < norm->n; i++)
        tt_replacement_release(&norm->steps[i].replacement);
    free(norm->steps);
    *norm = (struct tt_normalizer){ 0 };
}

/* --- running it -------------------------------------------------------------------------------------------------------- */

/* A run without inert code points, which are boundaries: nothing before one can join or change places with what follows it. */
static tt_status run(int form, struct tt_buf *out, const char *s, size_t n, struct tt_err *err)
{
    if (tt_ascii_only(s, n)) {
        tt_buf_put(out, s, n);
        return TT_OK;
    }
    utf8proc_uint8_t *normal = NULL;
    const utf8proc_ssize_t len = utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &normal, forms[form].how);
    if (len < 0)
        return len == UTF8PROC_ERROR_NOMEM ? tt_err_nomem(err, n, "a normal form")
                                           : tt_err_set(err, TT_EFORMAT, "normalizing: %s", utf8proc_errmsg(len));
    tt_buf_put(out, normal, (size_t)len);
    free(normal);
    return TT_OK;
}

static tt_status apply_form(int form, struct tt_buf *out, const char *s, size_t n, struct tt_err *err)
{
    if (tt_ascii_only(s, n)) {
        tt_buf_put(out, s, n);
        return TT_OK;
    }
    size_t begin = 0, len = 1;
    for (size_t i = 0; i < n; i += len) {
        const uint32_t cp = tt_utf8_get(s + i, &len);
        if (cp < 0x80 || !tt_unicode_inert(cp))
            continue;
        const tt_status st = run(form, out, s + begin, i - begin, err);
        if (st != TT_OK)
            return st;
        tt_buf_put(out, s + i, len);
        begin = i + len;
    }
    return run(form, out, s + begin, n - begin, err);
}

/* Every step turns *head (pieces.h) of s into that of what it appends. */
static void strip(const struct tt_norm_step *step, struct tt_buf *out, const char *s, size_t n, size_t *head)
{
    size_t at = 0, len = 0, end = n;
    while (step->left && at < n && tt_unicode_is_white(tt_utf8_get(s + at, &len)))
        at += len;
    for (size_t i = n; step->right && end > at; end = i) {
        while (--i > at && ((unsigned char)s[i] & 0xc0) == 0x80)
            ;
        if (!tt_unicode_is_white(tt_utf8_get(s + i, &len)))
            break;
    }
    tt_buf_put(out, s + at, end - at);
    *head = (*head < end ? *head : end) - (*head < at ? *head : at);
}

/* The form of the head alone is as long as what the head becomes, give or take what joins it. */
static tt_status form(const struct tt_norm_step *step, struct tt_buf *out, const char *s, size_t n, size_t *head,
                      struct tt_err *err)
{
    const size_t from = out->len;
    tt_status st = apply_form(step->form, out, s, *head, err);
    size_t end = out->len - from;
    out->len = from;
    if (st == TT_OK)
        st = apply_form(step->form, out, s, n, err);
    while (from + end < out->len && (out->data[from + end] & 0xc0) == 0x80)
        end++;
    *head = from + end < out->len ? end : out->len - from;
    return st;
}

static tt_status apply(const struct tt_norm_step *step, struct tt_regex_scratch *scratch, struct tt_buf *out, const char *s,
                       size_t n, size_t *head, struct tt_err *err)
{
    switch (step->kind) {
    case FORM: return form(step, out, s, n, head, err);
    case REPLACE: return tt_replace(&step->replacement, scratch, out, s, n, head, err);
    case STRIP: strip(step, out, s, n, head); return TT_OK;
    default: /* PREPEND */
        if (n > 0)
            tt_buf_put(out, step->replacement.by, step->replacement.nby);
        tt_buf_put(out, s, n);
        if (n > 0 && *head > 0)
            *head += step->replacement.nby;
        return TT_OK;
    }
}

static tt_status normalize(const struct tt_normalizer *norm, struct tt_regex_scratch *scratch, struct tt_buf *out, const char *s,
                           size_t n, size_t *head, struct tt_err *err)
{
    struct tt_buf step[2] = { { 0 }, { 0 } };
    tt_status st = TT_OK;
    for (int i = 0; i < norm->n && st == TT_OK; i++) {
        struct tt_buf *to = i == norm->n - 1 ? out : &step[i & 1];
        if (to != out)
            tt_buf_clear(to);
        st = apply(&norm->steps[i], scratch, to, s, n, head, err);
        s = (const char *)to->data;
        n = to->len;
    }
    if (norm->n == 0)
        tt_buf_put(out, s, n);
    tt_buf_release(&step[0]);
    tt_buf_release(&step[1]);
    return st;
}

tt_status tt_normalize(const struct tt_normalizer *norm, struct tt_regex_scratch *scratch, struct tt_buf *out, const char *s,
                       size_t n, struct tt_err *err)
{
    size_t head = 0;
    return normalize(norm, scratch, out, s, n, &head, err);
}

tt_status tt_normalize_pieces(const struct tt_normalizer *norm, struct tt_regex_scratch *scratch, struct tt_pieces *ps,
                              struct tt_err *err)
{
    if (norm->n == 0)
        return TT_OK;
    struct tt_buf *out = tt_pieces_rewrite(ps);
    for (size_t i = 0; i < ps->n; i++) {
        const struct tt_piece *p = &ps->p[i];
        const size_t at = out->len;
        size_t head = p->at == 0 ? ps->head : 0;
        tt_status st = TT_OK;
        if (p->id == TT_NO_TOKEN)
            st = normalize(norm, scratch, out, ps->text + p->at, p->n, &head, err);
        else
            tt_buf_put(out, ps->text + p->at, p->n);
        if (p->at == 0)
            ps->head = head;
        if (st == TT_OK)
            st = tt_pieces_emit(ps, at, out->len - at, p->id, err);
        if (st != TT_OK)
            return st;
    }
    return tt_pieces_turn_text(ps, err);
}
