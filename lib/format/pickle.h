/* lib/format/pickle.h: Python's pickles, read without Python: nothing is executed, imported or called.
 *
 * A pickle is a program for a stack machine. Decoding runs it on inert nodes: a GLOBAL (a class or a function) becomes its name,
 * a call becomes an OBJECT that keeps callable and arguments. Whoever knows the class gives it meaning (pickle_value.c, pt.c,
 * metadata.c). A GLOBAL that is not in the table of pickle_global.c, or not allowed in this place, is refused by name, or kept as
 * that name and nothing more, for those who show it, leave it out, or write it again as it was.
 *
 * Memory is linear in the pickle's length (at most about 64 bytes a byte), and there is no recursion: nodes may be shared
 * and even cyclic, as in Python; those who walk them bound their depth.
 *
 * Protocols 2 to 5. Source: Lib/pickletools.py of CPython, which describes each opcode. */
#ifndef TT_FORMAT_PICKLE_H
#define TT_FORMAT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "tensor/dtype.h"
#include "value/value.h"

/* --- what a pickle may name ------------------------------------------------------------------------------------------------- */

/* The places where a pickle is read; a GLOBAL is allowed in some of them. */
enum tt_py_allow {
    TT_PY_ALLOW_VALUE = 1,    /* plain data */
    TT_PY_ALLOW_TENSOR = 2,   /* tensors: the data.pkl of a torch zip */
    TT_PY_ALLOW_METADATA = 4, /* .metadata of DCP */
    TT_PY_ALLOW_TORCH = 8,    /* plain data that torch.load(weights_only=True) takes too */
};

enum tt_py_id {
    TT_PY_INERT, /* plain data that titan keeps and writes back without looking into it */
    TT_PY_UNKNOWN, /* not in the table: a name, and nothing is known of what it stands for */
    TT_PY_DTYPE, /* torch.float32 ...: see dtype */
    TT_PY_STORAGE, /* torch.FloatStorage ...: see dtype */
    TT_PY_UNTYPED_STORAGE,
    TT_PY_ORDERED_DICT,
    TT_PY_CODECS_ENCODE,
    TT_PY_SIZE,
    TT_PY_SET,
    TT_PY_BYTES_TYPE,
    TT_PY_BYTEARRAY_TYPE,
    TT_PY_FROZENSET,
    TT_PY_TENSOR_TYPE, /* torch.Tensor, torch.nn.parameter.Parameter ... */
    TT_PY_REBUILD_TENSOR,
    TT_PY_REBUILD_TENSOR_V2,
    TT_PY_REBUILD_TENSOR_V3,
    TT_PY_REBUILD_PARAMETER,
    TT_PY_REBUILD_PARAMETER_STATE,
    TT_PY_REBUILD_FROM_TYPE,
    TT_PY_GET_LAYOUT,
    TT_PY_METADATA,
    TT_PY_TENSOR_METADATA,
    TT_PY_BYTES_METADATA,
    TT_PY_CHUNK_METADATA, /* this one and the next two in the order of tt_py_shape */
    TT_PY_METADATA_INDEX,
    TT_PY_STORAGE_INFO,
    TT_PY_TENSOR_PROPERTIES,
    TT_PY_MEMORY_FORMAT,
    TT_PY_STORAGE_META,
    TT_PY_PATH,
};

struct tt_py_global {
    const char *module, *name;
    enum tt_py_id id;
    unsigned allow; /* of tt_py_allow */
    enum tt_dtype dtype;
};

/* The row of a name, or NULL. Pointers to rows are compared and kept: they live as long as the program. */
const struct tt_py_global *tt_py_global_find(const char *module, size_t nmodule, const char *name, size_t nname);
const struct tt_py_global *tt_py_global_dtype(enum tt_dtype dtype);
const struct tt_py_global *tt_py_global_storage(enum tt_dtype dtype); /* NULL: the dtype has no typed storage */
/* The first row of an id. */
const struct tt_py_global *tt_py_global_id(enum tt_py_id id);

/* --- what a pickle is made of ------------------------------------------------------------------------------------------------ */

enum tt_py_kind {
    TT_PY_NONE,
    TT_PY_BOOL,
    TT_PY_INT,
    TT_PY_BIGINT, /* beyond int64: two's complement bytes, little-endian */
    TT_PY_FLOAT,
    TT_PY_STR,    /* UTF-8 as Python writes it; not checked here */
    TT_PY_BYTES,
    TT_PY_BYTEARRAY,
    TT_PY_TUPLE,
    TT_PY_LIST,
    TT_PY_SETS,
    TT_PY_FROZEN, /* a frozenset */
    TT_PY_DICT,
    TT_PY_GLOBAL,
    TT_PY_OBJECT, /* the result of a call or of NEWOBJ */
    TT_PY_PERSID, /* torch: a storage */
    TT_PY_FLAT,   /* an object of one of the shapes below, in little memory; asked with tt_py_attributes */
    TT_PY_DIMS,   /* a torch.Size of ints, within a FLAT */
};

struct tt_py_items {
    struct tt_py *items; /* DICT: key, value, key, value ... */
    uint32_t n, cap;
    union {
        struct tt_value *value; /* for those who convert: what this became */
        void *taken;            /* for those who take: what they made of items that are not here */
    };
    bool busy; /* those who convert are inside */
};

struct tt_py {
    uint32_t kind;
    uint32_t n; /* STR, BYTES, BYTEARRAY, BIGINT: bytes; DIMS: how many; FLAT: which shape */
    union {
        bool b;
        int64_t i;
        double f;
        const uint8_t *s; /* borrowed from the pickle's bytes */
        struct tt_py_items *seq; /* TUPLE, LIST, SETS, FROZEN, DICT; NULL: the empty tuple */
        const struct tt_py_global *global;
        struct tt_py_object *object;
        struct tt_py *persid;
        const struct tt_py *flat; /* (TT_PY_NATTRS_MAX at most) */
        const int64_t *dims;
    } u;
};

struct tt_py_object {
    const struct tt_py_global *cls;
    struct tt_py callee; /* what is called where it is no GLOBAL, but made by another call; then cls is UNKNOWN, else this NONE */
    bool is_new; /* made by NEWOBJ: cls.__new__(cls, *args); else by REDUCE: cls(*args) */
    struct tt_py args;  /* a TUPLE */
    struct tt_py state; /* what BUILD gave it; NONE: nothing */
    struct tt_py_items items; /* what SETITEMS or APPENDS put in; key, value ... after SETITEMS */
    bool is_mapping;
};

/* Dimensions, each once however often it comes. */
struct tt_py_dims {
    struct tt_arena *arena; /* where they lie */
    struct tt_py_dims_slot { const int64_t *dims; uint32_t n; } *slots;
    size_t n, nslots;
};

void tt_py_dims_release(struct tt_py_dims *pool); /* the table; the dimensions are the arena's */
const int64_t *tt_py_dims_put(struct tt_py_dims *pool, const int64_t *dims, uint32_t n); /* (n); NULL: no memory */

/* The memo slots that a GET may name: every byte that could be one is looked at, before the pickle runs. Whoever reads a large
 * one can do that a piece at a time, on several threads. A zeroed struct is empty. */
struct tt_py_gets {
    struct tt_py_slot {
        uint32_t slot, i; /* i: within the decoder; 0: free */
    } * found;            /* (nfound, 0 or a power of two) by their hash */
    uint64_t nfound;
    uint32_t n;
    uint32_t seen[1024]; /* the last of each remainder */
};

/* Of opcodes that begin in bytes[begin, end), of a pickle of nbytes, of which 4 bytes behind `end` are there too if there are so
 * many. False: no memory. */
bool tt_py_gets_scan(struct tt_py_gets *gets, const uint8_t *bytes, size_t nbytes, size_t begin, size_t end);
bool tt_py_gets_join(struct tt_py_gets *gets, const struct tt_py_gets *other); /* false: no memory */
void tt_py_gets_release(struct tt_py_gets *gets);

/* Takes FLATs on their way into a list or dict, n values, before it is whole: nothing is kept of them then, and they may not be
 * looked at later. `siblings` stand before `into` since the last mark: keys and values of the dict that it goes into itself.
 * *taken false: they go into it. A failure ends the decoding. */
struct tt_py_taker {
    tt_status (*take)(void *ctx, const struct tt_py *into, const struct tt_py *siblings, size_t nsiblings,
                      const struct tt_py *items, size_t n, bool *taken);
    void *ctx;
};

struct tt_py_how {
    unsigned allow;          /* of tt_py_allow */
    const char *where;       /* starts the messages: "<where>: offset 312: ..." */
    struct tt_arena *names;  /* where rows of GLOBALs that are not allowed are made (UNKNOWN); NULL: these are refused */
    struct tt_py_dims *dims; /* objects of the shapes below become FLAT; NULL: none do */
    const struct tt_py_gets *gets;   /* of the whole pickle; NULL: they are looked for first */
    const struct tt_py_taker *taker; /* of CHUNKs, and of what INDEXs are the keys of; NULL: nobody */
};

/* Runs the pickle in bytes[0, nbytes), which must end with its STOP. Nodes live in the arena, their strings in bytes. */
TT_MUST_CHECK tt_status tt_pickle_decode(struct tt_arena *arena, struct tt_py *root, const uint8_t *bytes, size_t nbytes,
                                         const struct tt_py_how *how, struct tt_err *err);

static inline uint32_t tt_py_len(const struct tt_py *v) { return v->u.seq ? v->u.seq->n : 0; }
static inline const struct tt_py *tt_py_item(const struct tt_py *v, uint32_t i) { return &v->u.seq->items[i]; }
bool tt_py_is_str(const struct tt_py *v, const char *s);
bool tt_py_is_object(const struct tt_py *v, enum tt_py_id id);

/* The objects that a .metadata has hundreds of thousands of: of most, an array of their attributes is all that is kept. */
enum tt_py_shape { TT_PY_CHUNK, TT_PY_INDEX, TT_PY_PLACE, TT_PY_NSHAPES };
enum { TT_PY_CHUNK_OFFSETS, TT_PY_CHUNK_SIZES };                                           /* ChunkStorageMetadata */
enum { TT_PY_INDEX_FQN, TT_PY_INDEX_INDEX, TT_PY_INDEX_OFFSET };                           /* MetadataIndex */
enum { TT_PY_PLACE_PATH, TT_PY_PLACE_OFFSET, TT_PY_PLACE_LENGTH, TT_PY_PLACE_TRANSFORMS }; /* _StorageInfo */
enum { TT_PY_NATTRS_MAX = 4 };

const struct tt_py *tt_py_object_attributes(const struct tt_py *v, enum tt_py_shape shape, struct tt_py own[TT_PY_NATTRS_MAX]);
/* The attributes, whether of a FLAT or an OBJECT (then in `own`); what is missing is a NONE. NULL: v is no object of that class. */
static inline const struct tt_py *tt_py_attributes(const struct tt_py *v, enum tt_py_shape shape,
                                                   struct tt_py own[TT_PY_NATTRS_MAX])
{
    return v->kind == TT_PY_FLAT && v->n == shape ? v->u.flat : tt_py_object_attributes(v, shape, own);
}

/* The value of a string key of a DICT; NULL: none. */
const struct tt_py *tt_py_get(const struct tt_py *dict, const char *key);
/* A name from a file on its way to a terminal: what no Python name can hold becomes '?', and what buf has no room for is left
 * out. */
const char *tt_py_show(char *buf, size_t nbuf, const char *s, size_t n);
/* "None", "a bool", "a torch.Size object" ... for messages; in buf. */
const char *tt_py_kind_name(const struct tt_py *v, char *buf, size_t nbuf);

#endif
