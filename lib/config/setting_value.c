/* A setting's value: from the text of an argument, from a value of a file, and back. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_private.h"
#include "value/json.h"

static void *field_of(const struct tt_setting *s, struct tt_config *config) { return (char *)config + s->offset; }

/* --- messages -------------------------------------------------------------------------------------------------------------- */

static const char *const kind_texts[] = {
    [TT_SET_BOOL] = "true or false",
    [TT_SET_INT] = "an integer",
    [TT_SET_FLOAT] = "a number",
    [TT_SET_STR] = "a string",
    [TT_SET_MAYBE_INT] = "None or an integer",
    [TT_SET_MAYBE_FLOAT] = "None or a number",
    [TT_SET_MAYBE_STR] = "None or a string",
    [TT_SET_STRS] = "a list of strings",
    [TT_SET_STRS_LIST] = "None or a list of lists of strings",
};

void tt_setting_expected(struct tt_buf *out, const struct tt_setting *s)
{
    if (s->choices) {
        tt_buf_str(out, "one of ");
        for (const struct tt_choice *c = s->choices; c->name; c++)
            tt_buf_printf(out, "%s%s", c == s->choices ? "" : ", ", c->name);
        return;
    }
    tt_buf_str(out, kind_texts[s->kind]);
    if (s->bound)
        tt_buf_printf(out, " %s", s->bound->text);
    if (s->not_empty)
        tt_buf_str(out, " that is not empty");
}

static tt_status wrong(const struct tt_setting *s, const char *where, const char *found, struct tt_err *err)
{
    struct tt_buf expected = { 0 };
    tt_setting_expected(&expected, s);
    tt_err_set(err, TT_EINVAL, "%s: expected %s, found %s", where, tt_buf_cstr(&expected), found);
    tt_buf_release(&expected);
    return TT_EINVAL;
}

static tt_status wrong_text(const struct tt_setting *s, const char *where, const char *text, struct tt_err *err)
{
    struct tt_buf found = { 0 };
    tt_buf_printf(&found, "'%s'", text);
    wrong(s, where, tt_buf_cstr(&found), err);
    tt_buf_release(&found);
    return TT_EINVAL;
}

/* As the file has it, but for strings that could be taken for something else: the quotes tell. */
static tt_status wrong_value(const struct tt_setting *s, const char *where, const struct tt_value *v, struct tt_err *err)
{
    if (v->kind == TT_V_MAP)
        return wrong(s, where, "a table", err);
    struct tt_buf found = { 0 };
    tt_json_write(&found, v, 0);
    wrong(s, where, tt_buf_cstr(&found), err);
    tt_buf_release(&found);
    return TT_EINVAL;
}

static tt_status nomem(const char *where, struct tt_err *err) { return tt_err_set(err, TT_ENOMEM, "%s: out of memory", where); }

/* --- numbers as Python reads them: blanks around, single underscores between digits ----------------------------------------- */

enum { NUMBER_LEN_MAX = 400 };

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Without blanks and underscores; false where it cannot be a number for them or for its length. */
static bool bare_number(char out[NUMBER_LEN_MAX], const char *text)
{
    static const char blanks[] = " \t\n\r\f\v";
    text += strspn(text, blanks);
    size_t n = strlen(text), len = 0;
    while (n && strchr(blanks, text[n - 1]))
        n--;
    if (n == 0 || n >= NUMBER_LEN_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '_')
            out[len++] = text[i];
        else if (i == 0 || i + 1 == n || !is_digit(text[i - 1]) || !is_digit(text[i + 1]))
            return false;
    }
    out[len] = 0;
    return true;
}

static bool read_int(const char *text, int64_t *out)
{
    char digits[NUMBER_LEN_MAX], *end;
    if (!bare_number(digits, text) || strspn(digits, "+-0123456789") != strlen(digits))
        return false;
    errno = 0;
    const int64_t v = strtoll(digits, &end, 10);
    if (end == digits || *end || errno == ERANGE)
        return false;
    *out = v;
    return true;
}

static bool read_float(const char *text, double *out)
{
    char digits[NUMBER_LEN_MAX], *end;
    if (!bare_number(digits, text) || strpbrk(digits, "xXpP(")) /* strtod reads more than Python: 0x1p3, nan(1) */
        return false;
    const double v = strtod(digits, &end);
    if (end == digits || *end)
        return false;
    *out = v;
    return true;
}

/* --- into the field -------------------------------------------------------------------------------------------------------- */

static bool in_bounds(const struct tt_setting *s, double v) { return !s->bound || s->bound->holds(v); }

/* Each of these: false where that is not a value of the setting. */
static bool put_bool(const struct tt_setting *s, void *field, bool b)
{
    if (s->kind == TT_SET_BOOL)
        *(bool *)field = b;
    return s->kind == TT_SET_BOOL;
}

static bool put_int(const struct tt_setting *s, void *field, int64_t i)
{
    if (!in_bounds(s, (double)i))
        return false;
    switch (s->kind) {
    case TT_SET_INT:
        *(int64_t *)field = i;
        return true;
    case TT_SET_FLOAT:
        *(double *)field = (double)i;
        return true;
    case TT_SET_MAYBE_INT:
        *(struct tt_maybe_int *)field = (struct tt_maybe_int){ true, i };
        return true;
    case TT_SET_MAYBE_FLOAT:
        *(struct tt_maybe_float *)field = (struct tt_maybe_float){ true, (double)i };
        return true;
    default:
        return false;
    }
}

static bool put_float(const struct tt_setting *s, void *field, double f)
{
    if (!in_bounds(s, f))
        return false;
    switch (s->kind) {
    case TT_SET_FLOAT:
        *(double *)field = f;
        return true;
    case TT_SET_MAYBE_FLOAT:
        *(struct tt_maybe_float *)field = (struct tt_maybe_float){ true, f };
        return true;
    default:
        return false;
    }
}

static bool put_str(const struct tt_setting *s, void *field, const char *text);

static bool put_none(const struct tt_setting *s, void *field)
{
    switch (s->kind) {
    case TT_SET_CHOICE:
        return put_str(s, field, "None");
    case TT_SET_MAYBE_INT:
        *(struct tt_maybe_int *)field = (struct tt_maybe_int){ 0 };
        return true;
    case TT_SET_MAYBE_FLOAT:
        *(struct tt_maybe_float *)field = (struct tt_maybe_float){ 0 };
        return true;
    case TT_SET_MAYBE_STR:
        *(const char **)field = NULL;
        return true;
    case TT_SET_STRS_LIST:
        *(struct tt_strs_list *)field = (struct tt_strs_list){ 0 };
        return true;
    default:
        return false;
    }
}

static const struct tt_choice *choice_of(const struct tt_setting *s, const char *name)
{
    const struct tt_choice *c = s->choices;
    while (c->name && strcmp(c->name, name) != 0)
        c++;
    return c->name ? c : NULL;
}

static bool put_str(const struct tt_setting *s, void *field, const char *text)
{
    const struct tt_choice *c = s->choices ? choice_of(s, text) : NULL;
    if ((s->choices && !c) || (s->not_empty && !*text))
        return false;
    if (s->kind == TT_SET_CHOICE)
        memcpy(field, &c->value, sizeof c->value); /* enums are ints here: all that is held is small and not negative */
    else
        *(const char **)field = text;
    return true;
}

/* "a,b,c"; as TorchTitan has it, an empty text is one empty string. */
static tt_status split_commas(struct tt_strs *out, struct tt_arena *arena, const char *text)
{
    size_t n = 1, len;
    for (const char *p = text; *p; p++)
        n += *p == ',';
    const char **words = tt_arena_array(arena, n, sizeof *words);
    for (size_t i = 0; words && i < n; i++, text += len + 1) {
        len = strcspn(text, ",");
        if (!(words[i] = tt_arena_strn(arena, text, len)))
            return TT_ENOMEM;
    }
    *out = (struct tt_strs){ n, words };
    return words ? TT_OK : TT_ENOMEM;
}

/* --- from an argument ------------------------------------------------------------------------------------------------------ */

static bool allows_none(const struct tt_setting *s)
{
    return s->kind == TT_SET_MAYBE_INT || s->kind == TT_SET_MAYBE_FLOAT || s->kind == TT_SET_MAYBE_STR ||
           s->kind == TT_SET_STRS_LIST;
}

/* Everything but lists. text lives as long as the field. */
static bool put_text(const struct tt_setting *s, void *field, const char *text)
{
    int64_t i;
    double f;

    if (allows_none(s) && strcmp(text, "None") == 0)
        return put_none(s, field);
    switch (s->kind) {
    case TT_SET_BOOL:
        return (strcmp(text, "True") == 0 || strcmp(text, "False") == 0) && put_bool(s, field, text[0] == 'T');
    case TT_SET_INT:
    case TT_SET_MAYBE_INT:
        return read_int(text, &i) && put_int(s, field, i);
    case TT_SET_FLOAT:
    case TT_SET_MAYBE_FLOAT:
        return read_float(text, &f) && put_float(s, field, f);
    default:
        return put_str(s, field, text);
    }
}

void tt_setting_default(const struct tt_setting *s, struct tt_config *config)
{
    void *field = field_of(s, config);
    bool ok = true;
    if (s->kind == TT_SET_STRS)
        *(struct tt_strs *)field = s->def_strs ? *s->def_strs : (struct tt_strs){ 0 };
    else
        ok = put_text(s, field, s->def);
    assert(ok && "a row's default is a value of its kind");
    (void)ok;
}

tt_status tt_setting_from_words(const struct tt_setting *s, struct tt_config *config, struct tt_arena *arena, char *const *words,
                                size_t n, const char *where, struct tt_err *err)
{
    struct tt_strs_list *field = field_of(s, config);
    if (n == 1 && strcmp(words[0], "None") == 0) {
        put_none(s, field);
        return TT_OK;
    }
    struct tt_strs *list = tt_arena_array(arena, n, sizeof *list);
    if (!list)
        return nomem(where, err);
    for (size_t i = 0; i < n; i++)
        if (split_commas(&list[i], arena, words[i]) != TT_OK)
            return nomem(where, err);
    *field = (struct tt_strs_list){ true, n, list };
    return TT_OK;
}

tt_status tt_setting_from_text(const struct tt_setting *s, struct tt_config *config, struct tt_arena *arena, const char *text,
                               const char *where, struct tt_err *err)
{
    void *field = field_of(s, config);
    if (s->kind == TT_SET_STRS_LIST)
        return tt_setting_from_words(s, config, arena, &(char *){ (char *)(uintptr_t)text }, 1, where, err);
    if (s->kind == TT_SET_STRS)
        return split_commas(field, arena, text) == TT_OK ? TT_OK : nomem(where, err);
    const char *copy = tt_arena_str(arena, text);
    if (!copy)
        return nomem(where, err);
    return put_text(s, field, copy) ? TT_OK : wrong_text(s, where, text, err);
}

/* --- from a file ----------------------------------------------------------------------------------------------------------- */

static bool is_text(const struct tt_value *v) { return v->kind == TT_V_STR && strlen(v->u.str.s) == v->u.str.nbytes; }

static bool all_text(const struct tt_value *v)
{
    if (v->kind != TT_V_LIST)
        return false;
    for (size_t i = 0; i < v->u.list.n; i++)
        if (!is_text(v->u.list.items[i]))
            return false;
    return true;
}

/* v is a list of text. */
static tt_status strs_of(struct tt_strs *out, struct tt_arena *arena, const struct tt_value *v)
{
    const char **words = tt_arena_array(arena, v->u.list.n, sizeof *words);
    for (size_t i = 0; words && i < v->u.list.n; i++)
        if (!(words[i] = tt_arena_str(arena, v->u.list.items[i]->u.str.s)))
            return TT_ENOMEM;
    *out = (struct tt_strs){ v->u.list.n, words };
    return words ? TT_OK : TT_ENOMEM;
}

static tt_status strs_list_from_value(const struct tt_setting *s, struct tt_strs_list *field, struct tt_arena *arena,
                                      const struct tt_value *v, const char *where, struct tt_err *err)
{
    if (v->kind != TT_V_LIST)
        return wrong_value(s, where, v, err);
    struct tt_strs *list = tt_arena_array(arena, v->u.list.n, sizeof *list);
    if (!list)
        return nomem(where, err);
    for (size_t i = 0; i < v->u.list.n; i++) {
        if (!all_text(v->u.list.items[i]))
            return wrong_value(s, where, v, err);
        if (strs_of(&list[i], arena, v->u.list.items[i]) != TT_OK)
            return nomem(where, err);
    }
    *field = (struct tt_strs_list){ true, v->u.list.n, list };
    return TT_OK;
}

static tt_status strs_from_value(const struct tt_setting *s, struct tt_strs *field, struct tt_arena *arena,
                                 const struct tt_value *v, const char *where, struct tt_err *err)
{
    if (s->or_str && is_text(v))
        return split_commas(field, arena, v->u.str.s) == TT_OK ? TT_OK : nomem(where, err);
    if (!all_text(v))
        return wrong_value(s, where, v, err);
    return strs_of(field, arena, v) == TT_OK ? TT_OK : nomem(where, err);
}

static bool takes_text(const struct tt_setting *s)
{
    return s->kind == TT_SET_STR || s->kind == TT_SET_MAYBE_STR || s->kind == TT_SET_CHOICE;
}

tt_status tt_setting_from_value(const struct tt_setting *s, struct tt_config *config, struct tt_arena *arena,
                                const struct tt_value *value, const char *where, struct tt_err *err)
{
    void *field = field_of(s, config);
    bool ok = false;

    if (value->kind == TT_V_NULL && put_none(s, field))
        return TT_OK;
    if (s->kind == TT_SET_STRS)
        return strs_from_value(s, field, arena, value, where, err);
    if (s->kind == TT_SET_STRS_LIST)
        return strs_list_from_value(s, field, arena, value, where, err);
    if (value->kind == TT_V_BOOL)
        ok = put_bool(s, field, value->u.b);
    else if (value->kind == TT_V_INT)
        ok = put_int(s, field, value->u.i);
    else if (value->kind == TT_V_FLOAT)
        ok = put_float(s, field, value->u.f);
    else if (is_text(value) && takes_text(s)) {
        const char *copy = tt_arena_str(arena, value->u.str.s);
        if (!copy)
            return nomem(where, err);
        ok = put_str(s, field, copy);
    }
    return ok ? TT_OK : wrong_value(s, where, value, err);
}

/* --- back ------------------------------------------------------------------------------------------------------------------ */

static struct tt_value *strs_value(const struct tt_strs *strs, struct tt_arena *arena)
{
    struct tt_value *list = tt_value_list(arena);
    for (size_t i = 0; i < strs->n; i++)
        if (!tt_value_append(arena, list, tt_value_str(arena, strs->s[i])))
            return NULL;
    return list;
}

static struct tt_value *strs_list_value(const struct tt_strs_list *lists, struct tt_arena *arena)
{
    if (!lists->set)
        return tt_value_null(arena);
    struct tt_value *list = tt_value_list(arena);
    for (size_t i = 0; i < lists->n; i++)
        if (!tt_value_append(arena, list, strs_value(&lists->list[i], arena)))
            return NULL;
    return list;
}

static struct tt_value *choice_value(const struct tt_setting *s, const void *field, struct tt_arena *arena)
{
    int v;
    memcpy(&v, field, sizeof v);
    const struct tt_choice *c = s->choices;
    while (c->name && c->value != v)
        c++;
    return !c->name || strcmp(c->name, "None") == 0 ? tt_value_null(arena) : tt_value_str(arena, c->name);
}

struct tt_value *tt_setting_value(const struct tt_setting *s, const struct tt_config *config, struct tt_arena *arena)
{
    const void *field = (const char *)config + s->offset;
    const struct tt_maybe_int *i = field;
    const struct tt_maybe_float *f = field;
    const char *const *text = field;

    switch (s->kind) {
    case TT_SET_BOOL:
        return tt_value_bool(arena, *(const bool *)field);
    case TT_SET_INT:
        return tt_value_int(arena, *(const int64_t *)field);
    case TT_SET_FLOAT:
        return tt_value_float(arena, *(const double *)field);
    case TT_SET_CHOICE:
        return choice_value(s, field, arena);
    case TT_SET_MAYBE_INT:
        return i->set ? tt_value_int(arena, i->v) : tt_value_null(arena);
    case TT_SET_MAYBE_FLOAT:
        return f->set ? tt_value_float(arena, f->v) : tt_value_null(arena);
    case TT_SET_STR:
    case TT_SET_MAYBE_STR:
        return *text ? tt_value_str(arena, *text) : tt_value_null(arena);
    case TT_SET_STRS:
        return strs_value(field, arena);
    case TT_SET_STRS_LIST:
        return strs_list_value(field, arena);
    }
    return NULL;
}
