#include "format/pickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/pickle_private.h"

struct machine {
    struct tt_arena *arena;
    const uint8_t *bytes;
    size_t nbytes, at;
    size_t op_at; /* where the running opcode began, for messages */
    const struct tt_py_how *how;
    struct tt_err *err;
    tt_status status; /* of the first failure */
    struct tt_py *stack; /* malloc'd */
    size_t n, stack_cap;
    struct tt_py_memo memo;
    struct tt_py_flat_reader flat;
    size_t *marks;
    size_t nmarks, marks_cap;
    size_t floor; /* the last mark; 0: none */
};

static bool fail(struct machine *m, const char *what)
{
    m->status = tt_err_set(m->err, TT_EFORMAT, "%s: offset %zu: %s", m->how->where, m->op_at, what);
    return false;
}

static bool fail_nomem(struct machine *m)
{
    m->status = tt_err_nomem(m->err, m->nbytes, m->how->where);
    return false;
}

/* --- the bytes ---------------------------------------------------------------------------------------------------------------- */

static inline const uint8_t *take(struct machine *m, uint64_t n)
{
    if (n > m->nbytes - m->at) {
        fail(m, "the pickle is cut short");
        return NULL;
    }
    const uint8_t *p = m->bytes + m->at;
    m->at += (size_t)n;
    return p;
}

/* A little-endian number of 1, 2, 4 or 8 bytes. */
static inline bool take_number(struct machine *m, size_t width, uint64_t *out)
{
    const uint8_t *p = take(m, width);
    *out = 0;
    if (p)
        memcpy(out, p, width);
    return p != NULL;
}

static const char *take_line(struct machine *m, size_t *n)
{
    const uint8_t *line = m->bytes + m->at;
    const uint8_t *end = m->at < m->nbytes ? memchr(line, '\n', m->nbytes - m->at) : NULL;
    if (!end) {
        fail(m, "the pickle is cut short");
        return NULL;
    }
    *n = (size_t)(end - line);
    m->at += *n + 1;
    return (const char *)line;
}

/* --- the stack ---------------------------------------------------------------------------------------------------------------- */

static bool grow(struct machine *m, void **array, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return true;
    size_t bigger = *cap ? *cap : 64;
    while (bigger < need)
        bigger *= 2; /* need is at most the pickle's length */
    void *p = realloc(*array, bigger * size);
    if (!p)
        return fail_nomem(m);
    *array = p;
    *cap = bigger;
    return true;
}

static bool grow_stack(struct machine *m)
{
    void *stack = m->stack;
    const bool ok = grow(m, &stack, &m->stack_cap, m->n + 1, sizeof *m->stack);
    m->stack = stack;
    return ok;
}

static inline bool push(struct machine *m, struct tt_py v)
{
    if (m->n == m->stack_cap && !grow_stack(m))
        return false;
    m->stack[m->n++] = v;
    return true;
}

/* Below the last mark nothing may be popped. */
static inline bool need(struct machine *m, size_t n)
{
    return m->n - m->floor >= n || fail(m, "the opcode needs more values than the stack has");
}

static void drop_mark(struct machine *m)
{
    m->nmarks--;
    m->floor = m->nmarks ? m->marks[m->nmarks - 1] : 0;
}

static bool push_mark(struct machine *m)
{
    void *marks = m->marks;
    if (!grow(m, &marks, &m->marks_cap, m->nmarks + 1, sizeof *m->marks))
        return false;
    m->marks = marks;
    m->marks[m->nmarks++] = m->floor = m->n;
    return true;
}

/* The values since the last mark; takes the mark off, leaves the values above m->n. */
static bool pop_mark(struct machine *m, struct tt_py **items, size_t *n)
{
    if (m->nmarks == 0)
        return fail(m, "the opcode needs a mark");
    const size_t mark = m->floor;
    drop_mark(m);
    *items = m->stack ? m->stack + mark : NULL; /* NULL + 0 is undefined in C */
    *n = m->n - mark;
    m->n = mark;
    return true;
}

/* --- values ------------------------------------------------------------------------------------------------------------------- */

static bool push_seq(struct machine *m, enum tt_py_kind kind, const struct tt_py *items, size_t n)
{
    if (n > UINT32_MAX)
        return fail(m, "more than 2^32 items");
    struct tt_py_items *seq = NULL;
    if (kind != TT_PY_TUPLE || n > 0) {
        /* The items of a tuple, which never grows, lie behind its head. */
        char *p = tt_arena_alloc(m->arena, sizeof *seq + n * sizeof *items);
        if (!p)
            return fail_nomem(m);
        seq = (struct tt_py_items *)(void *)p;
        seq->items = (struct tt_py *)(void *)(p + sizeof *seq);
        seq->n = seq->cap = (uint32_t)n;
        if (n)
            memcpy(seq->items, items, n * sizeof *items);
    }
    return push(m, (struct tt_py){ .kind = kind, .u.seq = seq });
}

static bool extend(struct machine *m, struct tt_py_items *seq, const struct tt_py *items, size_t n)
{
    if (n > UINT32_MAX / 2 - seq->n)
        return fail(m, "more than 2^31 items");
    if (seq->n + n > seq->cap) {
        const uint32_t twice = seq->cap * 2, exact = seq->n + (uint32_t)n;
        const uint32_t cap = twice > exact ? twice : exact;
        struct tt_py *bigger = tt_arena_array(m->arena, cap, sizeof *bigger);
        if (!bigger)
            return fail_nomem(m);
        if (seq->n)
            memcpy(bigger, seq->items, seq->n * sizeof *bigger);
        seq->items = bigger;
        seq->cap = cap;
    }
    if (n)
        memcpy(seq->items + seq->n, items, n * sizeof *items);
    seq->n += (uint32_t)n;
    return true;
}

static inline bool push_text(struct machine *m, enum tt_py_kind kind, size_t width)
{
    uint64_t n;
    if (!take_number(m, width, &n))
        return false;
    if (n > UINT32_MAX)
        return fail(m, "the pickle is cut short, or holds a string over 4 GiB");
    const uint8_t *s = take(m, n);
    return s && push(m, (struct tt_py){ .kind = kind, .n = (uint32_t)n, .u.s = s });
}

static bool push_int(struct machine *m, int64_t i) { return push(m, (struct tt_py){ .kind = TT_PY_INT, .u.i = i }); }

static inline bool push_unsigned(struct machine *m, size_t width)
{
    uint64_t v;
    return take_number(m, width, &v) && push_int(m, (int64_t)v);
}

static bool push_bigint(struct machine *m, size_t width)
{
    uint64_t n;
    if (!take_number(m, width, &n))
        return false;
    if (n > INT32_MAX)
        return fail(m, "an integer of more than 2^31 bytes");
    const uint8_t *s = take(m, n);
    if (!s)
        return false;
    if (n > 8)
        return push(m, (struct tt_py){ .kind = TT_PY_BIGINT, .n = (uint32_t)n, .u.s = s });
    uint64_t v = n && (s[n - 1] & 0x80) ? UINT64_MAX : 0;
    memcpy(&v, s, n);
    return push_int(m, (int64_t)v);
}

/* A name that GLOBAL can say again. */
static bool is_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)s[i] <= ' ' || s[i] == 0x7f)
            return false;
    return n > 0;
}

/* A row of its own for a name that the table does not have. */
static bool push_unknown(struct machine *m, const char *module, size_t nmodule, const char *name, size_t nname)
{
    struct tt_py_global *g = tt_arena_alloc(m->how->names, sizeof *g);
    if (!g)
        return fail_nomem(m);
    g->id = TT_PY_UNKNOWN;
    g->module = tt_arena_strn(m->how->names, module, nmodule);
    g->name = tt_arena_strn(m->how->names, name, nname);
    return g->module && g->name ? push(m, (struct tt_py){ .kind = TT_PY_GLOBAL, .u.global = g }) : fail_nomem(m);
}

static bool push_global(struct machine *m, const char *module, size_t nmodule, const char *name, size_t nname)
{
    const struct tt_py_global *g = tt_py_global_find(module, nmodule, name, nname);
    if (g && (g->allow & m->how->allow))
        return push(m, (struct tt_py){ .kind = TT_PY_GLOBAL, .u.global = g });
    if (m->how->names && is_name(module, nmodule) && is_name(name, nname))
        return push_unknown(m, module, nmodule, name, nname);
    char shown_module[100], shown_name[100];
    tt_py_show(shown_module, sizeof shown_module, module, nmodule);
    tt_py_show(shown_name, sizeof shown_name, name, nname);
    m->status = tt_err_set(m->err, TT_EFORMAT, "%s: offset %zu: refused: the pickle names %s.%s, which is not among the plain data "
                           "that titan reads", m->how->where, m->op_at, shown_module, shown_name);
    return false;
}

static bool op_global(struct machine *m)
{
    size_t nmodule, nname;
    const char *module = take_line(m, &nmodule);
    const char *name = module ? take_line(m, &nname) : NULL;
    return name && push_global(m, module, nmodule, name, nname);
}

static bool op_stack_global(struct machine *m)
{
    if (!need(m, 2))
        return false;
    const struct tt_py *v = &m->stack[m->n -= 2];
    if (v[0].kind != TT_PY_STR || v[1].kind != TT_PY_STR)
        return fail(m, "STACK_GLOBAL needs two strings");
    return push_global(m, (const char *)v[0].u.s, v[0].n, (const char *)v[1].u.s, v[1].n);
}

/* Of a call whose callable is itself the result of one. */
static const struct tt_py_global result = { .module = "", .name = "the result of a call", .id = TT_PY_UNKNOWN };

/* getattr(module.Outer, "Inner") is how protocol 2 says module.Outer.Inner: then that name takes the place of call and
 * arguments. */
static bool is_inner_class(const struct machine *m, const struct tt_py *cls, const struct tt_py *args)
{
    enum { NAME_NBYTES_MAX = 500 }; /* of each: names of names of names do not grow without end */

    if (!m->how->names || cls->kind != TT_PY_GLOBAL || strcmp(cls->u.global->name, "getattr") != 0 ||
        (strcmp(cls->u.global->module, "__builtin__") != 0 && strcmp(cls->u.global->module, "builtins") != 0) ||
        args->kind != TT_PY_TUPLE || tt_py_len(args) != 2)
        return false;
    const struct tt_py *outer = tt_py_item(args, 0), *inner = tt_py_item(args, 1);
    return outer->kind == TT_PY_GLOBAL && strlen(outer->u.global->name) < NAME_NBYTES_MAX && inner->kind == TT_PY_STR &&
           inner->n < NAME_NBYTES_MAX && is_name((const char *)inner->u.s, inner->n);
}

static bool push_inner_class(struct machine *m, const struct tt_py *args)
{
    const struct tt_py_global *outer = tt_py_item(args, 0)->u.global;
    const struct tt_py *inner = tt_py_item(args, 1);
    const char *name = tt_arena_printf(m->how->names, "%s.%.*s", outer->name, (int)inner->n, (const char *)inner->u.s);
    m->n -= 2;
    return name ? push_unknown(m, outer->module, strlen(outer->module), name, strlen(name)) : fail_nomem(m);
}

static bool op_call(struct machine *m, bool is_new)
{
    if (!need(m, 2))
        return false;
    const struct tt_py cls = m->stack[m->n - 2], args = m->stack[m->n - 1];
    if (!is_new && is_inner_class(m, &cls, &args))
        return push_inner_class(m, &args);
    if (cls.kind != TT_PY_GLOBAL && (!m->how->names || cls.kind != TT_PY_OBJECT))
        return fail(m, "expected a class or function to call");
    if (args.kind != TT_PY_TUPLE)
        return fail(m, "expected a tuple of arguments");
    struct tt_py_object *o = tt_arena_alloc(m->arena, sizeof *o);
    if (!o)
        return fail_nomem(m);
    *o = (struct tt_py_object){ .cls = &result, .is_new = is_new, .args = args };
    if (cls.kind == TT_PY_GLOBAL)
        o->cls = cls.u.global;
    else
        o->callee = cls;
    m->n -= 2;
    return push(m, (struct tt_py){ .kind = TT_PY_OBJECT, .u.object = o });
}

static bool op_tuple(struct machine *m, size_t n)
{
    if (!need(m, n))
        return false;
    m->n -= n;
    return push_seq(m, TT_PY_TUPLE, m->stack + m->n, n);
}

/* cls.__new__(cls, *args, **kwargs), which protocol 2 writes as a call of copyreg's. */
static bool op_newobj_ex(struct machine *m)
{
    static const char module[] = "copyreg", name[] = "__newobj_ex__";
    if (!need(m, 3) || !push_global(m, module, sizeof module - 1, name, sizeof name - 1))
        return false;
    const struct tt_py function = m->stack[m->n - 1];
    memmove(m->stack + m->n - 3, m->stack + m->n - 4, 3 * sizeof *m->stack);
    m->stack[m->n - 4] = function;
    return op_tuple(m, 3) && op_call(m, false);
}

static bool op_build(struct machine *m)
{
    if (!need(m, 2))
        return false;
    const struct tt_py state = m->stack[--m->n];
    struct tt_py *v = &m->stack[m->n - 1];
    if (v->kind != TT_PY_OBJECT)
        return fail(m, "BUILD needs an object");
    if (v->u.object->state.kind != TT_PY_NONE)
        return fail(m, "BUILD of an object that has a state already");
    v->u.object->state = state;
    return true;
}

/* Whether somebody takes the values on their way into the list or dict on top of the stack. */
static bool hand_over(struct machine *m, const struct tt_py *items, size_t n, bool *taken)
{
    const struct tt_py_taker *taker = m->how->taker;
    const size_t top = m->n - 1;

    m->status = taker->take(taker->ctx, &m->stack[top], m->stack + m->floor, top - m->floor, items, n, taken);
    if (m->status == TT_OK && *taken)
        tt_py_flat_drop(&m->flat, items, n);
    return m->status == TT_OK;
}

static bool is_for_taker(const struct machine *m, const struct tt_py *items, size_t n, bool pairs)
{
    return m->how->taker && n && items[0].kind == TT_PY_FLAT && items[0].n == (pairs ? TT_PY_INDEX : TT_PY_CHUNK);
}

static bool add_items(struct machine *m, const struct tt_py *items, size_t n, bool pairs)
{
    if (!need(m, 1))
        return false;
    const struct tt_py *v = &m->stack[m->n - 1];
    if (pairs && n % 2)
        return fail(m, "a key without a value");
    if (v->kind == TT_PY_OBJECT) {
        if (v->u.object->items.n && v->u.object->is_mapping != pairs)
            return fail(m, "an object with items both of a list and of a dict");
        v->u.object->is_mapping = pairs;
        return extend(m, &v->u.object->items, items, n);
    }
    if (pairs ? v->kind != TT_PY_DICT : v->kind != TT_PY_LIST && v->kind != TT_PY_SETS)
        return fail(m, pairs ? "expected a dict to put items in" : "expected a list or a set to put items in");
    bool taken = false;
    if (is_for_taker(m, items, n, pairs) && !hand_over(m, items, n, &taken))
        return false;
    return taken || extend(m, v->u.seq, items, n);
}

/* SETITEM and APPEND: the last one or two values go into the one below. */
static bool op_add(struct machine *m, size_t n)
{
    if (!need(m, n + 1))
        return false;
    m->n -= n;
    return add_items(m, m->stack + m->n, n, n == 2);
}

static bool op_add_marked(struct machine *m, bool pairs)
{
    struct tt_py *items;
    size_t n;
    return pop_mark(m, &items, &n) && add_items(m, items, n, pairs);
}

static bool op_additems(struct machine *m)
{
    if (m->nmarks && m->floor && m->stack[m->floor - 1].kind != TT_PY_SETS)
        return fail(m, "expected a set to put items in");
    return op_add_marked(m, false);
}

static bool op_marked_seq(struct machine *m, enum tt_py_kind kind)
{
    struct tt_py *items;
    size_t n;
    if (!pop_mark(m, &items, &n))
        return false;
    if (kind == TT_PY_DICT && n % 2)
        return fail(m, "a key without a value");
    return push_seq(m, kind, items, n);
}

static bool op_persid(struct machine *m)
{
    if (!need(m, 1))
        return false;
    struct tt_py *pid = tt_arena_alloc(m->arena, sizeof *pid);
    if (!pid)
        return fail_nomem(m);
    *pid = m->stack[--m->n];
    return push(m, (struct tt_py){ .kind = TT_PY_PERSID, .u.persid = pid });
}

static inline bool put_memo(struct machine *m, uint64_t i)
{
    if (!need(m, 1))
        return false;
    /* Python numbers memo slots from 0 and spends at least a byte on each: a higher number is no honest pickle. */
    if (i > m->nbytes)
        return fail(m, "a memo slot beyond the pickle's length");
    struct tt_py *slot = tt_py_memo_slot(&m->memo, i);
    if (slot && slot->kind != TT_PY_UNSET) /* what the shortcut knows by its slot may be another thing now */
        tt_py_flat_init(&m->flat, m->arena, &m->memo, NULL);
    if (slot) {
        *slot = m->stack[m->n - 1];
        m->flat.is_shared |= slot->kind == TT_PY_FLAT;
    }
    if (i >= m->memo.next)
        m->memo.next = i + 1;
    return true;
}

static inline bool op_put(struct machine *m, size_t width)
{
    uint64_t i;
    return take_number(m, width, &i) && put_memo(m, i);
}

/* Of the classes that a large .metadata has many objects of, a whole object where one follows. */
static inline bool get_flat(struct machine *m, uint64_t slot)
{
    if (m->n == m->stack_cap && !grow_stack(m))
        return false;
    for (unsigned shape = 0; shape < TT_PY_NSHAPES; shape++) {
        if (slot != m->flat.class_slots[shape])
            continue;
        const uint8_t *behind = tt_py_read_flat(&m->flat, shape, m->bytes + m->at, m->bytes + m->nbytes, &m->stack[m->n]);
        if (!behind)
            return false;
        m->at = (size_t)(behind - m->bytes);
        m->n++;
        return true;
    }
    return false;
}

static void note_class(struct machine *m, uint64_t slot, enum tt_py_id id)
{
    const unsigned shape = (unsigned)id - TT_PY_CHUNK_METADATA;
    if (m->flat.dims && shape < TT_PY_NSHAPES)
        m->flat.class_slots[shape] = slot;
}

static inline bool get_memo(struct machine *m, uint64_t i)
{
    if (get_flat(m, i))
        return true;
    const struct tt_py *slot = tt_py_memo_slot(&m->memo, i);
    if (!slot || slot->kind == TT_PY_UNSET)
        return fail(m, "a memo slot that was never filled");
    if (slot->kind == TT_PY_GLOBAL)
        note_class(m, i, slot->u.global->id);
    return push(m, *slot);
}

static bool op_get(struct machine *m)
{
    const uint8_t *p = take(m, 1);
    return p && get_memo(m, *p);
}

static bool op_long_get(struct machine *m)
{
    const uint8_t *p = take(m, 4);
    return p && get_memo(m, tt_load_le32(p));
}

static bool op_proto(struct machine *m)
{
    const uint8_t *p = take(m, 1);
    return p && (*p <= 5 || fail(m, "expected pickle protocol 2 to 5, found a later one"));
}

static bool op_float(struct machine *m)
{
    const uint8_t *p = take(m, 8);
    if (!p)
        return false;
    const uint64_t bits = tt_load_be64(p);
    struct tt_py v = { .kind = TT_PY_FLOAT };
    memcpy(&v.u.f, &bits, sizeof bits);
    return push(m, v);
}

static bool op_binint(struct machine *m)
{
    uint64_t v;
    return take_number(m, 4, &v) && push_int(m, (int32_t)(uint32_t)v);
}

static bool op_pop(struct machine *m)
{
    /* As CPython: POP right behind a MARK takes the mark. */
    if (m->nmarks && m->floor == m->n) {
        drop_mark(m);
        return true;
    }
    if (!need(m, 1))
        return false;
    m->n--;
    return true;
}

static bool op_pop_mark(struct machine *m)
{
    struct tt_py *items;
    size_t n;
    return pop_mark(m, &items, &n);
}

static bool op_unknown(struct machine *m, uint8_t op)
{
    m->status = tt_err_set(m->err, TT_EFORMAT, "%s: offset %zu: opcode 0x%02x is not one of those that titan reads", m->how->where,
                           m->op_at, op);
    return false;
}

static bool step(struct machine *m, uint8_t op)
{
    switch (op) {
    case OP_PROTO: return op_proto(m);
    case OP_FRAME: return take(m, 8) != NULL;
    case OP_MARK: return push_mark(m);
    case OP_POP: return op_pop(m);
    case OP_POP_MARK: return op_pop_mark(m);
    case OP_DUP: return need(m, 1) && push(m, m->stack[m->n - 1]);
    case OP_NONE: return push(m, (struct tt_py){ .kind = TT_PY_NONE });
    case OP_NEWTRUE: return push(m, (struct tt_py){ .kind = TT_PY_BOOL, .u.b = true });
    case OP_NEWFALSE: return push(m, (struct tt_py){ .kind = TT_PY_BOOL, .u.b = false });
    case OP_BININT: return op_binint(m);
    case OP_BININT1: return push_unsigned(m, 1);
    case OP_BININT2: return push_unsigned(m, 2);
    case OP_LONG1: return push_bigint(m, 1);
    case OP_LONG4: return push_bigint(m, 4);
    case OP_BINFLOAT: return op_float(m);
    case OP_SHORT_BINSTRING: /* Python 2's str: text, as torch's unpickler takes it */
    case OP_SHORT_BINUNICODE: return push_text(m, TT_PY_STR, 1);
    case OP_BINSTRING:
    case OP_BINUNICODE: return push_text(m, TT_PY_STR, 4);
    case OP_BINUNICODE8: return push_text(m, TT_PY_STR, 8);
    case OP_SHORT_BINBYTES: return push_text(m, TT_PY_BYTES, 1);
    case OP_BINBYTES: return push_text(m, TT_PY_BYTES, 4);
    case OP_BINBYTES8: return push_text(m, TT_PY_BYTES, 8);
    case OP_BYTEARRAY8: return push_text(m, TT_PY_BYTEARRAY, 8);
    case OP_EMPTY_TUPLE: return push_seq(m, TT_PY_TUPLE, NULL, 0);
    case OP_EMPTY_LIST: return push_seq(m, TT_PY_LIST, NULL, 0);
    case OP_EMPTY_DICT: return push_seq(m, TT_PY_DICT, NULL, 0);
    case OP_EMPTY_SET: return push_seq(m, TT_PY_SETS, NULL, 0);
    case OP_TUPLE1: return op_tuple(m, 1);
    case OP_TUPLE2: return op_tuple(m, 2);
    case OP_TUPLE3: return op_tuple(m, 3);
    case OP_TUPLE: return op_marked_seq(m, TT_PY_TUPLE);
    case OP_LIST: return op_marked_seq(m, TT_PY_LIST);
    case OP_DICT: return op_marked_seq(m, TT_PY_DICT);
    case OP_FROZENSET: return op_marked_seq(m, TT_PY_FROZEN);
    case OP_APPEND: return op_add(m, 1);
    case OP_SETITEM: return op_add(m, 2);
    case OP_APPENDS: return op_add_marked(m, false);
    case OP_ADDITEMS: return op_additems(m);
    case OP_SETITEMS: return op_add_marked(m, true);
    case OP_GLOBAL: return op_global(m);
    case OP_STACK_GLOBAL: return op_stack_global(m);
    case OP_REDUCE: return op_call(m, false);
    case OP_NEWOBJ: return op_call(m, true);
    case OP_NEWOBJ_EX: return op_newobj_ex(m);
    case OP_BUILD: return op_build(m);
    case OP_BINPERSID: return op_persid(m);
    case OP_BINPUT: return op_put(m, 1);
    case OP_LONG_BINPUT: return op_put(m, 4);
    case OP_MEMOIZE: return put_memo(m, m->memo.next);
    case OP_BINGET: return op_get(m);
    case OP_LONG_BINGET: return op_long_get(m);
    default: return op_unknown(m, op);
    }
}

static bool run(struct machine *m, struct tt_py *root)
{
    for (;;) {
        m->op_at = m->at;
        if (m->at == m->nbytes)
            return fail(m, "the pickle is cut short: no STOP");
        const uint8_t op = m->bytes[m->at++];
        if (op == OP_STOP)
            break;
        if (!step(m, op))
            return false;
    }
    if (m->n != 1 || m->nmarks != 0)
        return fail(m, "STOP, but the stack does not hold exactly one value");
    if (m->at != m->nbytes) {
        m->op_at = m->at;
        return fail(m, "bytes after the end of the pickle");
    }
    *root = m->stack[0];
    return true;
}

tt_status tt_pickle_decode(struct tt_arena *arena, struct tt_py *root, const uint8_t *bytes, size_t nbytes,
                           const struct tt_py_how *how, struct tt_err *err)
{
    struct machine m = { .arena = arena, .bytes = bytes, .nbytes = nbytes, .how = how, .err = err };

    if (tt_py_memo_init(&m.memo, bytes, nbytes, how->gets)) {
        tt_py_flat_init(&m.flat, arena, &m.memo, how->dims);
        run(&m, root);
    } else {
        fail_nomem(&m);
    }
    free(m.stack);
    tt_py_memo_release(&m.memo);
    free(m.marks);
    return m.status;
}

const char *tt_py_show(char *buf, size_t nbuf, const char *s, size_t n)
{
    size_t i = 0;

    for (; i < n && i + 1 < nbuf; i++)
        buf[i] = (uint8_t)s[i] <= ' ' || (uint8_t)s[i] >= 0x7f ? '?' : s[i];
    buf[i] = 0;
    return buf;
}

bool tt_py_is_str(const struct tt_py *v, const char *s)
{
    return v && v->kind == TT_PY_STR && v->n == strlen(s) && memcmp(v->u.s, s, v->n) == 0;
}

bool tt_py_is_object(const struct tt_py *v, enum tt_py_id id)
{
    return v && ((v->kind == TT_PY_OBJECT && v->u.object->cls->id == id) || (v->kind == TT_PY_FLAT && tt_py_flat_id(v) == id));
}

const struct tt_py *tt_py_get(const struct tt_py *dict, const char *key)
{
    if (!dict || dict->kind != TT_PY_DICT)
        return NULL;
    const size_t n = strlen(key);
    /* From the end: of two equal keys Python keeps the later value. */
    for (uint32_t i = tt_py_len(dict); i >= 2; i -= 2) {
        const struct tt_py *k = tt_py_item(dict, i - 2);
        if (k->kind == TT_PY_STR && k->n == n && memcmp(k->u.s, key, n) == 0)
            return tt_py_item(dict, i - 1);
    }
    return NULL;
}

const char *tt_py_kind_name(const struct tt_py *v, char *buf, size_t nbuf)
{
    static const char *const names[] = {
        [TT_PY_NONE] = "None",    [TT_PY_BOOL] = "a bool",   [TT_PY_INT] = "an int",     [TT_PY_BIGINT] = "a large int",
        [TT_PY_FLOAT] = "a float", [TT_PY_STR] = "a str",     [TT_PY_BYTES] = "bytes",    [TT_PY_BYTEARRAY] = "a bytearray",
        [TT_PY_TUPLE] = "a tuple", [TT_PY_LIST] = "a list",   [TT_PY_SETS] = "a set",     [TT_PY_DICT] = "a dict",
        [TT_PY_FROZEN] = "a frozenset", [TT_PY_PERSID] = "a storage", [TT_PY_DIMS] = "a torch.Size object",
    };
    if (!v)
        return "nothing";
    if (v->kind == TT_PY_GLOBAL) {
        snprintf(buf, nbuf, "%s.%s", v->u.global->module, v->u.global->name);
        return buf;
    }
    if (v->kind != TT_PY_OBJECT && v->kind != TT_PY_FLAT)
        return names[v->kind];
    const struct tt_py_global *cls = v->kind == TT_PY_FLAT ? tt_py_global_id(tt_py_flat_id(v)) : v->u.object->cls;
    if (cls == &result)
        return cls->name;
    snprintf(buf, nbuf, "a %s.%s object", cls->module, cls->name);
    return buf;
}
