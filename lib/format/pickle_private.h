/* lib/format/pickle_private.h: what the files of the pickle decoder share: opcodes, the memo, and the shortcut for the objects
 * that a large .metadata is made of. */
#ifndef TT_FORMAT_PICKLE_PRIVATE_H
#define TT_FORMAT_PICKLE_PRIVATE_H

#include "format/pickle.h"

enum tt_py_op {
    OP_MARK = '(', OP_STOP = '.', OP_POP = '0', OP_POP_MARK = '1', OP_DUP = '2', OP_BINFLOAT = 'G', OP_BININT = 'J',
    OP_BININT1 = 'K', OP_BININT2 = 'M', OP_NONE = 'N', OP_BINPERSID = 'Q', OP_REDUCE = 'R', OP_BINSTRING = 'T',
    OP_SHORT_BINSTRING = 'U', OP_BINUNICODE = 'X', OP_APPEND = 'a', OP_BUILD = 'b', OP_GLOBAL = 'c', OP_DICT = 'd',
    OP_APPENDS = 'e', OP_BINGET = 'h', OP_LONG_BINGET = 'j', OP_LIST = 'l', OP_EMPTY_LIST = ']', OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r', OP_SETITEM = 's', OP_TUPLE = 't', OP_EMPTY_TUPLE = ')', OP_SETITEMS = 'u', OP_EMPTY_DICT = '}',
    OP_PROTO = 0x80, OP_NEWOBJ = 0x81, OP_TUPLE1 = 0x85, OP_TUPLE2 = 0x86, OP_TUPLE3 = 0x87, OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89, OP_LONG1 = 0x8a, OP_LONG4 = 0x8b, OP_BINBYTES = 'B', OP_SHORT_BINBYTES = 'C',
    OP_SHORT_BINUNICODE = 0x8c, OP_BINUNICODE8 = 0x8d, OP_BINBYTES8 = 0x8e, OP_EMPTY_SET = 0x8f, OP_ADDITEMS = 0x90,
    OP_FROZENSET = 0x91, OP_NEWOBJ_EX = 0x92, OP_STACK_GLOBAL = 0x93, OP_MEMOIZE = 0x94, OP_FRAME = 0x95, OP_BYTEARRAY8 = 0x96,
};

/* --- the memo ----------------------------------------------------------------------------------------------------------------- */

/* Python puts nearly every value into the memo and fetches few of them. Only the values in slots that a GET may name are kept,
 * and what is in no such slot has no second reference. */
struct tt_py_memo {
    struct tt_arena arena;  /* holds slots and kept */
    uint32_t *slots;        /* (gets.n) ascending */
    struct tt_py *kept;     /* (gets.n) their values; kind UNSET: never put */
    uint32_t at;            /* slots[at] is the first that is not below `next` */
    struct tt_py_gets gets; /* the same slots */
    uint64_t next; /* the slot of the next MEMOIZE */
};

enum { TT_PY_UNSET = UINT8_MAX };

/* `known` of these bytes; NULL: it is found here. False: no memory. */
bool tt_py_memo_init(struct tt_py_memo *memo, const uint8_t *bytes, size_t nbytes, const struct tt_py_gets *known);
void tt_py_memo_release(struct tt_py_memo *memo);

/* Where the slot is, or would be. */
static inline struct tt_py_slot *tt_py_gets_find(const struct tt_py_gets *gets, uint32_t slot)
{
    for (uint64_t i = slot * UINT64_C(0x9e3779b97f4a7c15) >> 32;; i++) {
        struct tt_py_slot *s = &gets->found[i & (gets->nfound - 1)];
        if (!s->i || s->slot == slot)
            return s;
    }
}

/* Where the slot's value is kept; NULL: no GET names the slot. */
static inline struct tt_py *tt_py_memo_slot(const struct tt_py_memo *memo, uint64_t slot)
{
    const struct tt_py_slot *s = slot > UINT32_MAX ? NULL : tt_py_gets_find(&memo->gets, (uint32_t)slot);
    return s && s->i ? &memo->kept[s->i - 1] : NULL;
}

/* Whether a GET may name one of the next n slots. */
static inline bool tt_py_memo_wants(struct tt_py_memo *memo, uint64_t n)
{
    while (memo->at < memo->gets.n && memo->slots[memo->at] < memo->next)
        memo->at++;
    return memo->at < memo->gets.n && memo->slots[memo->at] - memo->next < n;
}

/* --- flat objects ------------------------------------------------------------------------------------------------------------- */

/* Reads objects without running the pickle opcode by opcode. */
struct tt_py_flat_reader {
    struct tt_arena *arena;
    struct tt_py_memo *memo;
    struct tt_py_dims *dims;
    struct tt_py *rooms, *room; /* attributes lie in the arena's rooms[0 ...]; room (room_left) are free */
    uint32_t room_left;
    bool is_shared; /* a FLAT has a second reference */
    /* Where the classes, torch.Size and the names of attributes were found in the memo last; UINT64_MAX: nowhere so far. */
    uint64_t class_slots[TT_PY_NSHAPES], size_slot, name_slots[TT_PY_NSHAPES][TT_PY_NATTRS_MAX];
    struct tt_py list; /* the last */
    struct tt_py_dims_slot last_dims[TT_PY_NATTRS_MAX]; /* of an attribute */
};

void tt_py_flat_init(struct tt_py_flat_reader *r, struct tt_arena *arena, struct tt_py_memo *memo, struct tt_py_dims *dims);

/* A class of this shape was read, `at` is behind it, `end` that of the pickle. Where what follows is an object of it in the form
 * that Python's pickler gives it, and nothing in it is wanted from the memo: reads it, and returns what is behind its BUILD.
 * NULL: it has another form, or there is no memory; nothing has changed. */
const uint8_t *tt_py_read_flat(struct tt_py_flat_reader *r, enum tt_py_shape shape, const uint8_t *at, const uint8_t *end,
                               struct tt_py *out);

/* Nobody needs these n values any more: where they are all that was read since the first, others take their place. */
void tt_py_flat_drop(struct tt_py_flat_reader *r, const struct tt_py *values, size_t n);

enum tt_py_id tt_py_flat_id(const struct tt_py *v); /* of a FLAT */

#endif
