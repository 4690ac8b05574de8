#include "data/steps.h"

#include <string.h>

#include "base/arena.h"
#include "data/fields.h"

enum { DEPTH_MAX = 16 };

struct walk {
    void *out;
    tt_step_add *add;
    const char *list;
    int n, depth;
};

static tt_status read_one(struct walk *w, const struct tt_value *v, const char *where, struct tt_err *err);

static tt_status read_sequence(struct walk *w, const struct tt_value *v, const char *where, struct tt_err *err)
{
    const struct tt_value *list;
    tt_status st = tt_field_tree(&list, v, w->list, TT_V_LIST, TT_REQUIRED, where, err);
    if (st == TT_OK && w->depth == DEPTH_MAX)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: more than %d sequences inside each other", where, DEPTH_MAX);
    w->depth++;
    for (size_t i = 0; st == TT_OK && i < list->u.list.n; i++) {
        struct tt_arena names = { 0 };
        const char *place = tt_arena_printf(&names, "%s.%s[%zu]", where, w->list, i);
        st = place ? read_one(w, list->u.list.items[i], place, err) : tt_err_nomem(err, 0, "a name");
        tt_arena_release(&names);
    }
    w->depth--;
    return st;
}

static tt_status read_one(struct walk *w, const struct tt_value *v, const char *where, struct tt_err *err)
{
    const char *type = "";
    size_t n = 0;
    const tt_status st = tt_field_str(&type, &n, v, "type", TT_REQUIRED, where, err);
    if (st != TT_OK)
        return st;
    if (strcmp(type, "Sequence") == 0)
        return read_sequence(w, v, where, err);
    if (++w->n > TT_STEPS_MAX)
        return tt_err_set(err, TT_EUNSUPPORTED, "%s: more than %d steps", where, TT_STEPS_MAX);
    return w->add(w->out, type, v, where, err);
}

tt_status tt_steps_read(void *out, tt_step_add *add, const struct tt_value *v, const char *list, const char *where,
                        struct tt_err *err)
{
    struct walk w = { .out = out, .add = add, .list = list };
    return !v || v->kind == TT_V_NULL ? TT_OK : read_one(&w, v, where, err);
}
