/* lib/format/pickler.h: pickles written piece by piece, protocol 2, which every Python and torch.load(weights_only=True) reads.
 *
 * Strings and GLOBALs that come again are memo references; nothing else is. Failures (memory) are kept and asked for once, by
 * tt_pickler_end. */
#ifndef TT_FORMAT_PICKLER_H
#define TT_FORMAT_PICKLER_H

#include "base/buf.h"
#include "base/map.h"
#include "format/pickle.h"

struct tt_pickler {
    struct tt_buf *out;    /* borrowed */
    struct tt_arena arena; /* the memo's keys */
    struct tt_map memo;
    bool failed;
};

/* Opcodes with no argument. */
enum tt_pk_op {
    TT_PK_MARK = '(',
    TT_PK_NONE = 'N',
    TT_PK_TRUE = 0x88,
    TT_PK_FALSE = 0x89,
    TT_PK_EMPTY_TUPLE = ')',
    TT_PK_TUPLE1 = 0x85,
    TT_PK_TUPLE2 = 0x86,
    TT_PK_TUPLE3 = 0x87,
    TT_PK_TUPLE = 't',
    TT_PK_EMPTY_LIST = ']',
    TT_PK_APPENDS = 'e',
    TT_PK_EMPTY_DICT = '}',
    TT_PK_SETITEMS = 'u',
    TT_PK_REDUCE = 'R',
    TT_PK_NEWOBJ = 0x81,
    TT_PK_BUILD = 'b',
    TT_PK_PERSID = 'Q',
};

void tt_pickler_begin(struct tt_pickler *pk, struct tt_buf *out); /* writes PROTO */
/* Writes STOP and releases pk (the buffer stays the caller's). TT_ENOMEM where anything failed. */
TT_MUST_CHECK tt_status tt_pickler_end(struct tt_pickler *pk, struct tt_err *err);
void tt_pickler_release(struct tt_pickler *pk); /* for the error path; fine after tt_pickler_end */

void tt_pk_op(struct tt_pickler *pk, enum tt_pk_op op);
void tt_pk_bool(struct tt_pickler *pk, bool b);
void tt_pk_int(struct tt_pickler *pk, int64_t i);
void tt_pk_bigint(struct tt_pickler *pk, const uint8_t *bytes, size_t nbytes); /* two's complement, little-endian */
void tt_pk_float(struct tt_pickler *pk, double f);
void tt_pk_strn(struct tt_pickler *pk, const char *s, size_t n);
void tt_pk_str(struct tt_pickler *pk, const char *s);
void tt_pk_bytes(struct tt_pickler *pk, const uint8_t *bytes,
                 size_t n); /* _codecs.encode(text, "latin1"): the form that protocol 2 has */
void tt_pk_global(struct tt_pickler *pk, const struct tt_py_global *g);
/* True where the object was written before, and a reference to it was written now; else it is written, then remembered. */
bool tt_pk_recall(struct tt_pickler *pk, const void *object);
void tt_pk_remember(struct tt_pickler *pk, const void *object);
void tt_pk_int_tuple(struct tt_pickler *pk, const int64_t *v, size_t n);

#endif
