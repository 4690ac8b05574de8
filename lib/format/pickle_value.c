#include "format/pickle_value.h"

#include <string.h>

/* Shared nodes make trees that are far larger than their pickle (a list of two references to a list of two ...). A node that is
 * reached again is not converted again, but what prints or writes the value walks all of it: so that walk is bounded too. */
enum { VISITS_MAX = 1 << 24 };

static const struct tt_py_global storage = { "torch.storage", "TypedStorage", TT_PY_UNKNOWN, 0, 0 };

static const char repeats[] = "the value repeats itself beyond reason", too_deep[] = "the value is nested too deep";

static tt_status convert(struct tt_py_convert *how, const struct tt_py *node, int depth, struct tt_value **out, struct tt_err *err);

static tt_status bad(const struct tt_py_convert *how, struct tt_err *err, const char *what)
{
    return tt_err_set(err, TT_EFORMAT, "%s: %s", how->where, what);
}

static tt_status nomem(const struct tt_py_convert *how, struct tt_err *err)
{
    return tt_err_nomem(err, how->arena->used, how->where);
}

/* Whether a value that was converted before may stand at this depth too: what walks it there counts. */
static bool fits_again(struct tt_py_convert *how, const struct tt_value *v, int depth)
{
    bool ok = depth <= TT_VALUE_DEPTH_MAX && ++how->nvisited <= VISITS_MAX;

    if (v->kind == TT_V_LIST || v->kind == TT_V_TUPLE)
        for (size_t i = 0; i < v->u.list.n && ok; i++)
            ok = fits_again(how, v->u.list.items[i], depth + 1);
    if (v->kind == TT_V_MAP)
        for (size_t i = 0; i < v->u.map.n && ok; i++)
            ok = fits_again(how, v->u.map.pairs[i].key, depth + 1) && fits_again(how, v->u.map.pairs[i].value, depth + 1);
    if (v->kind == TT_V_OBJECT) {
        const struct tt_pyobj *o = v->u.ref;
        const struct tt_value *const parts[] = { o->callee, o->args, o->items, o->state };
        for (size_t i = 0; i < sizeof parts / sizeof *parts && ok; i++)
            ok = !parts[i] || fits_again(how, parts[i], depth + 1);
    }
    return ok;
}

/* A node that was converted before. */
static tt_status reuse(struct tt_py_convert *how, struct tt_value *value, int depth, struct tt_value **out, struct tt_err *err)
{
    if (!fits_again(how, value, depth))
        return bad(how, err, how->nvisited > VISITS_MAX ? repeats : too_deep);
    *out = value;
    return TT_OK;
}

static tt_status add_items(struct tt_py_convert *how, const struct tt_py_items *seq, int depth, struct tt_value *list,
                           struct tt_err *err)
{
    for (uint32_t i = 0; i < seq->n; i++) {
        struct tt_value *item = NULL;
        const tt_status st = convert(how, &seq->items[i], depth + 1, &item, err);
        if (st != TT_OK)
            return st;
        if (!tt_value_append(how->arena, list, item))
            return nomem(how, err);
    }
    return TT_OK;
}

/* *twice: a key of the map is there twice, a str or an int, or, in a small map, any. False: no memory. */
static bool find_key_twice(const struct tt_value *map, bool *twice)
{
    enum { SMALL = 8 };
    const size_t n = map->u.map.n;
    struct tt_map seen[2] = { 0 }; /* of str, of int */
    bool ok = true;

    *twice = false;
    for (size_t i = 1; n <= SMALL && i < n; i++)
        for (size_t k = 0; k < i; k++)
            *twice |= tt_value_equal(map->u.map.pairs[i].key, map->u.map.pairs[k].key);
    for (size_t i = 0; n > SMALL && i < n && ok && !*twice; i++) {
        const struct tt_value *key = map->u.map.pairs[i].key;
        const bool is_int = key->kind == TT_V_INT;
        bool added = true;
        if (is_int || key->kind == TT_V_STR)
            ok = tt_map_put(&seen[is_int], is_int ? (const char *)&key->u.i : key->u.str.s,
                            is_int ? sizeof key->u.i : key->u.str.nbytes, 0, &added, NULL, NULL) == TT_OK;
        *twice = !added;
    }
    tt_map_release(&seen[0]);
    tt_map_release(&seen[1]);
    return ok;
}

static tt_status add_pairs(struct tt_py_convert *how, const struct tt_py_items *seq, int depth, struct tt_value *map,
                           struct tt_err *err)
{
    for (uint32_t i = 0; i + 1 < seq->n; i += 2) {
        struct tt_value *key = NULL, *value = NULL;
        tt_status st = convert(how, &seq->items[i], depth + 1, &key, err);
        if (st == TT_OK)
            st = convert(how, &seq->items[i + 1], depth + 1, &value, err);
        if (st != TT_OK)
            return st;
        if (!tt_value_put(how->arena, map, key, value))
            return nomem(how, err);
    }
    bool twice;
    if (!find_key_twice(map, &twice))
        return nomem(how, err);
    return twice ? bad(how, err, "a dict has a key twice") : TT_OK;
}

/* A container; what it became is kept with the node, so that references to one stay one, and a cycle is seen. */
static tt_status convert_seq(struct tt_py_convert *how, struct tt_py_items *seq, struct tt_value *empty, bool pairs, int depth,
                             struct tt_value **out, struct tt_err *err)
{
    if (seq->busy)
        return bad(how, err, "the value contains itself");
    if (seq->value)
        return reuse(how, seq->value, depth, out, err);
    if (!empty)
        return nomem(how, err);
    seq->busy = true;
    const tt_status st = pairs ? add_pairs(how, seq, depth, empty, err) : add_items(how, seq, depth, empty, err);
    seq->busy = false;
    if (st == TT_OK)
        *out = seq->value = empty;
    return st;
}

static tt_status make_object(struct tt_py_convert *how, struct tt_pyobj made, struct tt_value **out, struct tt_err *err)
{
    struct tt_pyobj *o = tt_arena_alloc(how->arena, sizeof *o);
    struct tt_value *v = tt_value_null(how->arena);
    if (!o || !v)
        return nomem(how, err);
    *o = made;
    v->kind = TT_V_OBJECT;
    v->u.ref = o;
    *out = v;
    return TT_OK;
}

static tt_status convert_bigint(struct tt_py_convert *how, const struct tt_py *node, struct tt_value **out, struct tt_err *err)
{
    const char *copy = tt_arena_strn(how->arena, (const char *)node->u.s, node->n);
    if (!copy)
        return nomem(how, err);
    return make_object(how, (struct tt_pyobj){ .kind = TT_PYOBJ_BIGINT, .bytes = (const uint8_t *)copy, .nbytes = node->n }, out, err);
}

/* _codecs.encode(text, "latin1"): text is UTF-8, each of its characters below 256 is a byte. */
static tt_status convert_latin1(struct tt_py_convert *how, const struct tt_py *args, struct tt_value **out, struct tt_err *err)
{
    if (tt_py_len(args) != 2 || tt_py_item(args, 0)->kind != TT_PY_STR ||
        (!tt_py_is_str(tt_py_item(args, 1), "latin1") && !tt_py_is_str(tt_py_item(args, 1), "latin-1")))
        return bad(how, err, "expected _codecs.encode(str, \"latin1\")");
    const struct tt_py *text = tt_py_item(args, 0);
    uint8_t *bytes = tt_arena_alloc(how->arena, (size_t)text->n + 1);
    if (!bytes)
        return nomem(how, err);
    size_t n = 0;
    for (uint32_t i = 0; i < text->n; i++) {
        uint8_t c = text->u.s[i];
        if (c >= 0x80) {
            if ((c != 0xc2 && c != 0xc3) || i + 1 == text->n || (text->u.s[i + 1] & 0xc0) != 0x80)
                return bad(how, err, "expected the latin-1 text of bytes, found a character beyond U+00FF");
            c = (uint8_t)(c << 6 | (text->u.s[++i] & 0x3f));
        }
        bytes[n++] = c;
    }
    struct tt_value *v = tt_value_null(how->arena);
    if (!v)
        return nomem(how, err);
    v->kind = TT_V_BYTES;
    v->u.str.s = (const char *)bytes;
    v->u.str.nbytes = n;
    *out = v;
    return TT_OK;
}

/* A call with one argument, as protocol 2 writes what later protocols have opcodes for. */
static tt_status make_call1(struct tt_py_convert *how, const struct tt_py_global *cls, struct tt_value *arg, struct tt_value **out,
                            struct tt_err *err)
{
    struct tt_value *args = tt_value_tuple(how->arena);
    if (!tt_value_append(how->arena, args, arg))
        return nomem(how, err);
    return make_object(how, (struct tt_pyobj){ .kind = TT_PYOBJ_CALL, .cls = cls, .args = args }, out, err);
}

/* The parts of a call. What is put into the object afterwards has no plain form, so that plain data is without. */
static tt_status convert_call(struct tt_py_convert *how, struct tt_py_object *object, bool plain, int depth, struct tt_value **out,
                              struct tt_err *err)
{
    struct tt_value *callee = NULL, *args = NULL, *state = NULL, *items = NULL;
    tt_status st = TT_OK;

    if (plain && object->items.n)
        return tt_err_set(err, TT_EFORMAT, "%s: refused: a %s.%s with items", how->where, object->cls->module, object->cls->name);
    if (object->callee.kind != TT_PY_NONE)
        st = convert(how, &object->callee, depth + 1, &callee, err);
    if (st == TT_OK)
        st = convert(how, &object->args, depth + 1, &args, err);
    if (st == TT_OK && object->items.n) {
        items = object->is_mapping ? tt_value_map(how->arena) : tt_value_list(how->arena);
        st = !items ? nomem(how, err)
             : object->is_mapping ? add_pairs(how, &object->items, depth + 1, items, err)
                                  : add_items(how, &object->items, depth + 1, items, err);
    }
    if (st == TT_OK && object->state.kind != TT_PY_NONE)
        st = convert(how, &object->state, depth + 1, &state, err);
    const struct tt_pyobj made = { .kind = object->is_new ? TT_PYOBJ_NEW : TT_PYOBJ_CALL, .cls = object->cls, .callee = callee,
                                   .args = args, .state = state, .items = items };
    return st == TT_OK ? make_object(how, made, out, err) : st;
}

static tt_status make_opaque(struct tt_py_convert *how, const struct tt_py_global *cls, const char *why, struct tt_value **out,
                             struct tt_err *err)
{
    const size_t n = strlen(how->where);
    const bool named = strncmp(why, how->where, n) == 0 && strncmp(why + n, ": ", 2) == 0; /* whoever shows it says where, too */
    const char *copy = tt_arena_str(how->arena, named ? why + n + 2 : why);
    return copy ? make_object(how, (struct tt_pyobj){ .kind = TT_PYOBJ_OPAQUE, .cls = cls, .why = copy }, out, err) : nomem(how, err);
}

/* A call that is kept with the node, so that a second reference finds it, and a cycle is seen. */
static tt_status convert_once(struct tt_py_convert *how, struct tt_py_object *object, bool plain, int depth, struct tt_value **out,
                              struct tt_err *err)
{
    struct tt_err inner = { .msg = "" };

    if (object->items.busy)
        return bad(how, err, "the value contains itself");
    if (object->items.value)
        return reuse(how, object->items.value, depth, out, err);
    object->items.busy = true;
    tt_status st = convert_call(how, object, plain, depth, out, &inner);
    object->items.busy = false;
    /* Of an object that nobody can do anything with but leave it out, what is wrong inside matters only to who wants to write it. */
    if (!plain && (st == TT_EFORMAT || st == TT_EUNSUPPORTED) && how->nvisited <= VISITS_MAX)
        return make_opaque(how, object->cls, inner.msg, out, err);
    if (st != TT_OK)
        return tt_err_set(err, st, "%s", inner.msg);
    object->items.value = *out;
    return TT_OK;
}

static tt_status convert_object(struct tt_py_convert *how, struct tt_py_object *object, int depth, struct tt_value **out,
                                struct tt_err *err)
{
    switch (object->cls->id) {
    case TT_PY_BYTES_TYPE: /* how protocol 2 writes b"" */
        if (tt_py_len(&object->args) != 0)
            return bad(how, err, "expected bytes() without arguments");
        *out = tt_value_bytes(how->arena, "", 0);
        return *out ? TT_OK : nomem(how, err);
    case TT_PY_CODECS_ENCODE: return convert_latin1(how, &object->args, out, err);
    case TT_PY_ORDERED_DICT:
        if (tt_py_len(&object->args) != 0 || (object->items.n && !object->is_mapping))
            return bad(how, err, "expected an OrderedDict filled by its items");
        return convert_seq(how, &object->items, tt_value_map(how->arena), true, depth, out, err);
    case TT_PY_INERT:
    case TT_PY_BYTEARRAY_TYPE:
    case TT_PY_SIZE:
    case TT_PY_SET:
    case TT_PY_FROZENSET:
    case TT_PY_GET_LAYOUT: return convert_once(how, object, true, depth, out, err);
    default: break;
    }
    if (!how->tensor)
        return tt_err_set(err, TT_EFORMAT, "%s: refused: a call of %s.%s within a value", how->where, object->cls->module,
                          object->cls->name);
    struct tt_value *tensor = NULL;
    struct tt_err inner = { .msg = "" };
    const tt_status st = how->tensor(how->ctx, object, &tensor, &inner);
    if (st == TT_EUNSUPPORTED)
        return make_opaque(how, object->cls, inner.msg, out, err);
    if (st != TT_OK)
        return tt_err_set(err, st, "%s", inner.msg);
    if (!tensor)
        return convert_once(how, object, false, depth, out, err);
    *out = tensor;
    return TT_OK;
}

static tt_status convert_set(struct tt_py_convert *how, const struct tt_py *node, int depth, struct tt_value **out,
                             struct tt_err *err)
{
    const enum tt_py_id cls = node->kind == TT_PY_FROZEN ? TT_PY_FROZENSET : TT_PY_SET;
    struct tt_value *list = NULL;
    /* below the object and its arguments */
    const tt_status st = convert_seq(how, node->u.seq, tt_value_list(how->arena), false, depth + 2, &list, err);
    return st != TT_OK ? st : make_call1(how, tt_py_global_id(cls), list, out, err);
}

static tt_status convert(struct tt_py_convert *how, const struct tt_py *node, int depth, struct tt_value **out, struct tt_err *err)
{
    struct tt_value *v = NULL;

    if (depth > TT_VALUE_DEPTH_MAX)
        return bad(how, err, too_deep);
    if (++how->nvisited > VISITS_MAX)
        return bad(how, err, repeats);
    switch ((enum tt_py_kind)node->kind) {
    case TT_PY_NONE: v = tt_value_null(how->arena); break;
    case TT_PY_BOOL: v = tt_value_bool(how->arena, node->u.b); break;
    case TT_PY_INT: v = tt_value_int(how->arena, node->u.i); break;
    case TT_PY_FLOAT: v = tt_value_float(how->arena, node->u.f); break;
    case TT_PY_STR: v = tt_value_strn(how->arena, (const char *)node->u.s, node->n); break;
    case TT_PY_BYTES: v = tt_value_bytes(how->arena, node->u.s, node->n); break;
    case TT_PY_BIGINT: return convert_bigint(how, node, out, err);
    case TT_PY_BYTEARRAY:
        return make_call1(how, tt_py_global_id(TT_PY_BYTEARRAY_TYPE), tt_value_bytes(how->arena, node->u.s, node->n), out, err);
    case TT_PY_TUPLE:
        if (!node->u.seq) {
            v = tt_value_tuple(how->arena);
            break;
        }
        return convert_seq(how, node->u.seq, tt_value_tuple(how->arena), false, depth, out, err);
    case TT_PY_LIST: return convert_seq(how, node->u.seq, tt_value_list(how->arena), false, depth, out, err);
    case TT_PY_DICT: return convert_seq(how, node->u.seq, tt_value_map(how->arena), true, depth, out, err);
    case TT_PY_SETS:
    case TT_PY_FROZEN: return convert_set(how, node, depth, out, err);
    case TT_PY_GLOBAL: return make_object(how, (struct tt_pyobj){ .kind = TT_PYOBJ_GLOBAL, .cls = node->u.global }, out, err);
    case TT_PY_OBJECT: return convert_object(how, node->u.object, depth, out, err);
    case TT_PY_PERSID:
        return how->tensor ? make_opaque(how, &storage, "a storage outside a tensor", out, err)
                           : bad(how, err, "refused: a storage outside a tensor");
    case TT_PY_FLAT:
    case TT_PY_DIMS: return bad(how, err, "refused: an object of a .metadata within a value");
    }
    if (!v)
        return nomem(how, err);
    *out = v;
    return TT_OK;
}

tt_status tt_py_to_value(struct tt_py_convert *how, const struct tt_py *node, struct tt_value **out, struct tt_err *err)
{
    return convert(how, node, 0, out, err);
}

tt_status tt_pickle_to_value(struct tt_arena *arena, const void *bytes, size_t nbytes, const char *where,
                             const struct tt_value **out, struct tt_err *err)
{
    struct tt_arena nodes = { 0 };
    struct tt_py root;
    struct tt_value *v = NULL;
    const struct tt_py_how how = { .allow = TT_PY_ALLOW_VALUE, .where = where };
    tt_status st = tt_pickle_decode(&nodes, &root, bytes, nbytes, &how, err);

    if (st == TT_OK) {
        struct tt_py_convert convert_how = { .arena = arena, .where = where };
        st = tt_py_to_value(&convert_how, &root, &v, err);
    }
    tt_arena_release(&nodes);
    if (st == TT_OK)
        *out = v;
    return st;
}

/* --- what is no plain data ------------------------------------------------------------------------------------------------------ */

static bool is_plain_call(enum tt_py_id id)
{
    return id == TT_PY_INERT || id == TT_PY_BYTEARRAY_TYPE || id == TT_PY_SIZE || id == TT_PY_SET || id == TT_PY_FROZENSET ||
           id == TT_PY_GET_LAYOUT;
}

typedef const struct tt_py_global *find_fn(const struct tt_pyobj *object, const char **why);

/* What `find` says of the first object in the value of which it says anything. */
static const struct tt_py_global *find_in(const struct tt_value *v, find_fn *find, const char **why)
{
    const struct tt_py_global *g = NULL;

    if (v->kind == TT_V_LIST || v->kind == TT_V_TUPLE)
        for (size_t i = 0; i < v->u.list.n && !g; i++)
            g = find_in(v->u.list.items[i], find, why);
    if (v->kind == TT_V_MAP)
        for (size_t i = 0; i < v->u.map.n && !g; i++) {
            g = find_in(v->u.map.pairs[i].key, find, why);
            g = g ? g : find_in(v->u.map.pairs[i].value, find, why);
        }
    return v->kind == TT_V_OBJECT ? find(v->u.ref, why) : g;
}

static const struct tt_py_global *find_in_parts(const struct tt_pyobj *o, find_fn *find, const char **why)
{
    const struct tt_value *const parts[] = { o->callee, o->args, o->items, o->state };
    const struct tt_py_global *g = NULL;

    for (size_t i = 0; i < sizeof parts / sizeof *parts && !g; i++)
        g = parts[i] ? find_in(parts[i], find, why) : NULL;
    return g;
}

static const struct tt_py_global *unknown_object(const struct tt_pyobj *o, const char **why)
{
    if (o->kind == TT_PYOBJ_BIGINT)
        return NULL;
    if (why)
        *why = o->kind == TT_PYOBJ_OPAQUE ? o->why : NULL;
    if (o->kind == TT_PYOBJ_GLOBAL || o->kind == TT_PYOBJ_OPAQUE)
        return o->kind == TT_PYOBJ_OPAQUE || o->cls->id == TT_PY_UNKNOWN ? o->cls : NULL;
    if (o->cls->id == TT_PY_UNKNOWN && !o->callee)
        return o->cls;
    const struct tt_py_global *g = find_in_parts(o, unknown_object, why);
    return g || is_plain_call(o->cls->id) ? g : o->cls;
}

const struct tt_py_global *tt_value_unknown(const struct tt_value *v, const char **why) { return find_in(v, unknown_object, why); }

static const struct tt_py_global *refused_object(const struct tt_pyobj *o, const char **why)
{
    if (o->kind == TT_PYOBJ_BIGINT)
        return NULL;
    return o->cls->allow & TT_PY_ALLOW_TORCH ? find_in_parts(o, refused_object, why) : o->cls;
}

const struct tt_py_global *tt_value_refused_by_torch(const struct tt_value *v) { return find_in(v, refused_object, NULL); }

/* --- writing ------------------------------------------------------------------------------------------------------------------ */

enum { BATCH = 1000 }; /* items per SETITEMS or APPENDS, as Python's pickler has it */

struct writer {
    struct tt_pickler *pk;
    tt_pk_tensor_fn *tensor;
    void *ctx;
    struct tt_err *err;
    int inside; /* objects that are no plain data: nobody here knows whether two references to one thing may become two things */
};

static tt_status write_value(struct writer *w, const struct tt_value *v, int depth);

static tt_status write_tuple(struct writer *w, const struct tt_value *v, int depth)
{
    static const enum tt_pk_op close[] = { TT_PK_EMPTY_TUPLE, TT_PK_TUPLE1, TT_PK_TUPLE2, TT_PK_TUPLE3 };
    tt_status st = TT_OK;

    if (v->u.list.n > 3)
        tt_pk_op(w->pk, TT_PK_MARK);
    for (size_t i = 0; i < v->u.list.n && st == TT_OK; i++)
        st = write_value(w, v->u.list.items[i], depth + 1);
    tt_pk_op(w->pk, v->u.list.n > 3 ? TT_PK_TUPLE : close[v->u.list.n]);
    return st;
}

/* The items of a list or a dict, or of an object that is like one. */
static tt_status write_items(struct writer *w, const struct tt_value *v, int depth)
{
    const bool is_map = v->kind == TT_V_MAP;
    const size_t n = is_map ? v->u.map.n : v->u.list.n;
    tt_status st = TT_OK;

    for (size_t i = 0; i < n && st == TT_OK; i++) {
        if (i % BATCH == 0)
            tt_pk_op(w->pk, TT_PK_MARK);
        st = write_value(w, is_map ? v->u.map.pairs[i].key : v->u.list.items[i], depth + 1);
        if (st == TT_OK && is_map)
            st = write_value(w, v->u.map.pairs[i].value, depth + 1);
        if (i % BATCH == BATCH - 1 || i + 1 == n)
            tt_pk_op(w->pk, is_map ? TT_PK_SETITEMS : TT_PK_APPENDS);
    }
    return st;
}

static tt_status write_container(struct writer *w, const struct tt_value *v, int depth)
{
    if (w->inside && tt_pk_recall(w->pk, v))
        return TT_OK;
    tt_pk_op(w->pk, v->kind == TT_V_MAP ? TT_PK_EMPTY_DICT : TT_PK_EMPTY_LIST);
    if (w->inside)
        tt_pk_remember(w->pk, v);
    return write_items(w, v, depth);
}

static tt_status write_call(struct writer *w, const struct tt_value *v, int depth)
{
    const struct tt_pyobj *o = v->u.ref;
    const bool plain = is_plain_call(o->cls->id);
    tt_status st = TT_OK;

    if (!plain && tt_pk_recall(w->pk, v))
        return TT_OK;
    w->inside += !plain;
    if (o->callee)
        st = write_value(w, o->callee, depth + 1);
    else
        tt_pk_global(w->pk, o->cls);
    if (st == TT_OK)
        st = write_value(w, o->args, depth + 1);
    tt_pk_op(w->pk, o->kind == TT_PYOBJ_NEW ? TT_PK_NEWOBJ : TT_PK_REDUCE);
    if (!plain)
        tt_pk_remember(w->pk, v);
    if (st == TT_OK && o->items)
        st = write_items(w, o->items, depth + 1);
    if (st == TT_OK && o->state) {
        st = write_value(w, o->state, depth + 1);
        tt_pk_op(w->pk, TT_PK_BUILD);
    }
    w->inside -= !plain;
    return st;
}

static tt_status write_object(struct writer *w, const struct tt_value *v, int depth)
{
    const struct tt_pyobj *o = v->u.ref;

    switch (o->kind) {
    case TT_PYOBJ_BIGINT: tt_pk_bigint(w->pk, o->bytes, o->nbytes); return TT_OK;
    case TT_PYOBJ_GLOBAL: tt_pk_global(w->pk, o->cls); return TT_OK;
    case TT_PYOBJ_OPAQUE: break;
    default: return write_call(w, v, depth);
    }
    return tt_err_set(w->err, TT_EUNSUPPORTED, "an object of %s.%s cannot be written again: %s", o->cls->module, o->cls->name, o->why);
}

static tt_status write_value(struct writer *w, const struct tt_value *v, int depth)
{
    if (depth > TT_VALUE_DEPTH_MAX)
        return tt_err_set(w->err, TT_EINVAL, "a value is nested more than %d deep", TT_VALUE_DEPTH_MAX);
    switch (v->kind) {
    case TT_V_NULL: tt_pk_op(w->pk, TT_PK_NONE); return TT_OK;
    case TT_V_BOOL: tt_pk_bool(w->pk, v->u.b); return TT_OK;
    case TT_V_INT: tt_pk_int(w->pk, v->u.i); return TT_OK;
    case TT_V_FLOAT: tt_pk_float(w->pk, v->u.f); return TT_OK;
    case TT_V_STR: tt_pk_strn(w->pk, v->u.str.s, v->u.str.nbytes); return TT_OK;
    case TT_V_BYTES: tt_pk_bytes(w->pk, (const uint8_t *)v->u.str.s, v->u.str.nbytes); return TT_OK;
    case TT_V_LIST:
    case TT_V_MAP: return write_container(w, v, depth);
    case TT_V_TUPLE: return write_tuple(w, v, depth);
    case TT_V_OBJECT: return write_object(w, v, depth);
    case TT_V_TENSOR:
        if (w->tensor)
            return w->tensor(w->ctx, w->pk, v->u.ref, w->err);
        break;
    }
    return tt_err_set(w->err, TT_EUNSUPPORTED, "a tensor inside a value cannot be written here");
}

tt_status tt_pk_value(struct tt_pickler *pk, const struct tt_value *value, tt_pk_tensor_fn *tensor, void *ctx, struct tt_err *err)
{
    struct writer w = { pk, tensor, ctx, err, 0 };
    return write_value(&w, value, 0);
}

tt_status tt_pickle_from_value(struct tt_buf *out, const struct tt_value *value, struct tt_err *err)
{
    struct tt_pickler pk;

    tt_pickler_begin(&pk, out);
    const tt_status st = tt_pk_value(&pk, value, NULL, NULL, err);
    if (st == TT_OK)
        return tt_pickler_end(&pk, err);
    tt_pickler_release(&pk);
    return st;
}
