#include "data/normalize.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/arena.h"
#include "data/fields.h"
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

static tt_status add(struct tt_normalizer *out, const struct tt_value *v, const char *where, int depth, struct tt_err *err);

static tt_status add_sequence(struct tt_normalizer *out, const struct tt_value *v, const char *where, int depth,
                              struct tt_err *err)
{
    const struct tt_value *list;
    const tt_status st = tt_field_tree(&list, v, "normalizers", TT_V_LIST, TT_REQUIRED, where, err);
    if (st != TT_OK)
        return st;
    for (size_t i = 0; i < list->u.list.n; i++) {
        struct tt_arena names = { 0 };
        const char *place = tt_arena_printf(&names, "%s.normalizers[%zu]", where, i);
        const tt_status each = place ? add(out, list->u.list.items[i], place, depth + 1, err) : tt_err_nomem(err, 0, "a name");
        tt_arena_release(&names);
        if (each != TT_OK)
            return each;
    }
    return TT_OK;
}

static tt_status add(struct tt_normalizer *out, const struct tt_value *v, const char *where, int depth, struct tt_err *err)
{
    const char *type = "";
    size_t ntype = 0;
    const tt_status st = tt_field_str(&type, &ntype, v, "type", TT_REQUIRED, where, err);
    if (st != TT_OK)
        return st;
    if (strcmp(type, "Sequence") == 0 && depth < TT_NORMALIZERS_MAX)
        return add_sequence(out, v, where, depth, err);
    for (int i = 0; i < (int)(sizeof forms / sizeof *forms); i++) {
        if (strcmp(type, forms[i].type) != 0)
            continue;
        if (out->n == TT_NORMALIZERS_MAX)
            return tt_err_set(err, TT_EUNSUPPORTED, "%s: more than %d normalizers", where, TT_NORMALIZERS_MAX);
        out->form[out->n++] = i;
        return TT_OK;
    }
    return tt_err_set(err, TT_EUNSUPPORTED, "%s: normalizer \"%s\" is not supported (NFC, NFD, NFKC, NFKD, Sequence are)", where,
                      type);
}

tt_status tt_normalizer_init(struct tt_normalizer *out, const struct tt_value *v, const char *where, struct tt_err *err)
{
    struct tt_normalizer norm = { 0 };
    if (v && v->kind != TT_V_NULL) {
        const tt_status st = add(&norm, v, where, 0, err);
        if (st != TT_OK)
            return st;
    }
    *out = norm;
    return TT_OK;
}

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

static tt_status apply(int form, struct tt_buf *out, const char *s, size_t n, struct tt_err *err)
{
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

tt_status tt_normalize(const struct tt_normalizer *norm, struct tt_buf *out, const char *s, size_t n, struct tt_err *err)
{
    if (norm->n == 0 || tt_ascii_only(s, n)) {
        tt_buf_put(out, s, n);
        return TT_OK;
    }
    struct tt_buf step[2] = { { 0 }, { 0 } };
    tt_status st = TT_OK;
    for (int i = 0; i < norm->n && st == TT_OK; i++) {
        struct tt_buf *to = i == norm->n - 1 ? out : &step[i & 1];
        if (to != out)
            tt_buf_clear(to);
        st = apply(norm->form[i], to, s, n, err);
        s = (const char *)to->data;
        n = to->len;
    }
    tt_buf_release(&step[0]);
    tt_buf_release(&step[1]);
    return st;
}

tt_status tt_normalize_pieces(const struct tt_normalizer *norm, struct tt_pieces *ps, struct tt_err *err)
{
    if (norm->n == 0)
        return TT_OK;
    struct tt_buf *out = tt_pieces_rewrite(ps);
    for (size_t i = 0; i < ps->n; i++) {
        const struct tt_piece *p = &ps->p[i];
        const size_t at = out->len;
        tt_status st = TT_OK;
        if (p->id == TT_NO_TOKEN)
            st = tt_normalize(norm, out, ps->text + p->at, p->n, err);
        else
            tt_buf_put(out, ps->text + p->at, p->n);
        if (st == TT_OK)
            st = tt_pieces_emit(ps, at, out->len - at, p->id, err);
        if (st != TT_OK)
            return st;
    }
    return tt_pieces_turn_text(ps, err);
}
