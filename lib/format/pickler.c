#define _GNU_SOURCE
#include "format/pickler.h"

#include <string.h>

#include "base/bytes.h"

enum { MEMO_STR = 's', MEMO_GLOBAL = 'g', MEMO_OBJECT = 'o' };

void tt_pickler_begin(struct tt_pickler *pk, struct tt_buf *out)
{
    *pk = (struct tt_pickler){ .out = out };
    tt_buf_put(out, "\x80\x02", 2);
}

void tt_pickler_release(struct tt_pickler *pk)
{
    tt_map_release(&pk->memo);
    tt_arena_release(&pk->arena);
}

tt_status tt_pickler_end(struct tt_pickler *pk, struct tt_err *err)
{
    tt_buf_byte(pk->out, '.');
    const bool failed = pk->failed;
    tt_pickler_release(pk);
    return failed ? tt_err_nomem(err, pk->out->len, "a pickle") : tt_buf_check(pk->out, "a pickle", err);
}

void tt_pk_op(struct tt_pickler *pk, enum tt_pk_op op) { tt_buf_byte(pk->out, (uint8_t)op); }
void tt_pk_bool(struct tt_pickler *pk, bool b) { tt_pk_op(pk, b ? TT_PK_TRUE : TT_PK_FALSE); }

/* An opcode with a number: one byte wide where it fits, else four. */
static void put_sized(struct tt_pickler *pk, uint8_t narrow, uint8_t wide, uint32_t v)
{
    tt_buf_byte(pk->out, v < 256 ? narrow : wide);
    if (v < 256)
        tt_buf_byte(pk->out, (uint8_t)v);
    else
        tt_buf_le32(pk->out, v);
}

/* True where the memo had it, and a GET was written. Else the caller writes the value, then calls remember. */
static bool recall(struct tt_pickler *pk, char kind, const char *s, size_t n, char **key)
{
    *key = tt_arena_alloc(&pk->arena, n + 1);
    if (!*key) {
        pk->failed = true;
        return false;
    }
    (*key)[0] = kind;
    if (n)
        memcpy(*key + 1, s, n);
    uint64_t slot;
    if (!tt_map_get(&pk->memo, *key, n + 1, &slot))
        return false;
    put_sized(pk, 'h', 'j', (uint32_t)slot);
    return true;
}

static void remember(struct tt_pickler *pk, const char *key, size_t n)
{
    const uint32_t slot = (uint32_t)pk->memo.n;
    if (!key || tt_map_put(&pk->memo, key, n + 1, slot, NULL, NULL, NULL) != TT_OK) {
        pk->failed = true;
        return;
    }
    put_sized(pk, 'q', 'r', slot);
}

void tt_pk_int(struct tt_pickler *pk, int64_t i)
{
    if (i >= 0 && i < 256) {
        tt_buf_put(pk->out, (uint8_t[]){ 'K', (uint8_t)i }, 2);
    } else if (i >= 0 && i < 65536) {
        tt_buf_byte(pk->out, 'M');
        tt_buf_le16(pk->out, (uint16_t)i);
    } else if (i >= INT32_MIN && i <= INT32_MAX) {
        tt_buf_byte(pk->out, 'J');
        tt_buf_le32(pk->out, (uint32_t)(int32_t)i);
    } else {
        uint8_t bytes[8];
        tt_store_le64(bytes, (uint64_t)i);
        size_t n = sizeof bytes;
        /* As short as the sign allows, which is what Python writes. */
        const uint8_t sign = i < 0 ? 0xff : 0;
        while (n > 1 && bytes[n - 1] == sign && (bytes[n - 2] & 0x80) == (sign & 0x80))
            n--;
        tt_pk_bigint(pk, bytes, n);
    }
}

void tt_pk_bigint(struct tt_pickler *pk, const uint8_t *bytes, size_t nbytes)
{
    put_sized(pk, 0x8a, 0x8b, (uint32_t)nbytes);
    tt_buf_put(pk->out, bytes, nbytes);
}

void tt_pk_float(struct tt_pickler *pk, double f)
{
    uint64_t bits;
    uint8_t bytes[8];
    memcpy(&bits, &f, sizeof bits);
    tt_store_be64(bytes, bits);
    tt_buf_byte(pk->out, 'G');
    tt_buf_put(pk->out, bytes, sizeof bytes);
}

static void put_str(struct tt_pickler *pk, const char *s, size_t n)
{
    if (n > UINT32_MAX) {
        pk->failed = true;
        return;
    }
    tt_buf_byte(pk->out, 'X');
    tt_buf_le32(pk->out, (uint32_t)n);
    tt_buf_put(pk->out, s, n);
}

void tt_pk_strn(struct tt_pickler *pk, const char *s, size_t n)
{
    char *key;
    if (recall(pk, MEMO_STR, s, n, &key))
        return;
    put_str(pk, s, n);
    remember(pk, key, n);
}

void tt_pk_str(struct tt_pickler *pk, const char *s) { tt_pk_strn(pk, s, strlen(s)); }

void tt_pk_bytes(struct tt_pickler *pk, const uint8_t *bytes, size_t n)
{
    struct tt_buf text = { 0 };

    for (size_t i = 0; i < n; i++) {
        if (bytes[i] >= 0x80)
            tt_buf_byte(&text, (uint8_t)(0xc0 | bytes[i] >> 6));
        tt_buf_byte(&text, bytes[i] < 0x80 ? bytes[i] : (uint8_t)(0x80 | (bytes[i] & 0x3f)));
    }
    pk->failed |= text.failed;
    tt_pk_global(pk, tt_py_global_id(TT_PY_CODECS_ENCODE));
    put_str(pk, (const char *)text.data, text.len);
    tt_pk_str(pk, "latin1");
    tt_pk_op(pk, TT_PK_TUPLE2);
    tt_pk_op(pk, TT_PK_REDUCE);
    tt_buf_release(&text);
}

/* Protocol 2 has no dots in names: a class within a class is an attribute of it. */
static void put_global(struct tt_pickler *pk, const char *module, const char *name, size_t n)
{
    const char *dot = memrchr(name, '.', n);

    if (dot && dot > name && dot + 1 < name + n) {
        tt_buf_str(pk->out, "c__builtin__\ngetattr\n");
        put_global(pk, module, name, (size_t)(dot - name));
        put_str(pk, dot + 1, (size_t)(name + n - dot - 1));
        tt_pk_op(pk, TT_PK_TUPLE2);
        tt_pk_op(pk, TT_PK_REDUCE);
        return;
    }
    tt_buf_byte(pk->out, 'c');
    tt_buf_str(pk->out, module);
    tt_buf_byte(pk->out, '\n');
    tt_buf_put(pk->out, name, n);
    tt_buf_byte(pk->out, '\n');
}

void tt_pk_global(struct tt_pickler *pk, const struct tt_py_global *g)
{
    /* Rows live as long as what is written: their address names them. */
    char *key;
    if (recall(pk, MEMO_GLOBAL, (const char *)&g, sizeof(g), &key))
        return;
    put_global(pk, g->module, g->name, strlen(g->name));
    remember(pk, key, sizeof(g));
}

bool tt_pk_recall(struct tt_pickler *pk, const void *object)
{
    char *key;
    return recall(pk, MEMO_OBJECT, (const char *)&object, sizeof(object), &key);
}

void tt_pk_remember(struct tt_pickler *pk, const void *object)
{
    char *key;
    if (!recall(pk, MEMO_OBJECT, (const char *)&object, sizeof(object), &key))
        remember(pk, key, sizeof(object));
}

void tt_pk_int_tuple(struct tt_pickler *pk, const int64_t *v, size_t n)
{
    static const enum tt_pk_op close[] = { TT_PK_EMPTY_TUPLE, TT_PK_TUPLE1, TT_PK_TUPLE2, TT_PK_TUPLE3 };

    if (n > 3)
        tt_pk_op(pk, TT_PK_MARK);
    for (size_t i = 0; i < n; i++)
        tt_pk_int(pk, v[i]);
    tt_pk_op(pk, n > 3 ? TT_PK_TUPLE : close[n]);
}
