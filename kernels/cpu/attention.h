/* kernels/cpu/attention.h: what the forward and the backward of attention share.
 *
 * A tile is TILE queries, one a lane of NV vectors, so that the softmax needs no sum across lanes. Every product is then
 *   C[r, lanes] (+)= sum over k of A[r, k] B[k, lanes]
 * with A read element by element (broadcast) and B by vectors: scores by key, o and dq by dimension (queries are lanes); dk and dv
 * by key (dimensions are lanes). */
#ifndef TT_KERNELS_CPU_ATTENTION_H
#define TT_KERNELS_CPU_ATTENTION_H

#include "attention_private.h"
#include "cpu/cpu.h"

enum { NV = 2, TILE = NV * VL, MR = VL == 16 ? 8 : 4 }; /* MR NV sums stay in registers */
enum { BLOCK = TT_ATTN_BLOCK };

#if defined(__clang__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

struct matrix {
    const float *p;
    int64_t row, col; /* elements from one row, one column, to the next */
};

/* MR rows of C, nv vectors wide. */
INLINE void product_rows(int nv, int64_t nk, struct matrix a, const float *b, int64_t ldb, float *c, int64_t ldc, bool add)
{
    vf sum[MR][NV];
    UNROLL for (int r = 0; r < MR; r++)
        UNROLL for (int v = 0; v < nv; v++)
            sum[r][v] = add ? vf_load(c + r * ldc + v * VL) : vf_zero();
    for (int64_t k = 0; k < nk; k++) {
        vf bk[NV];
        UNROLL for (int v = 0; v < nv; v++)
            bk[v] = vf_load(b + k * ldb + v * VL);
        UNROLL for (int r = 0; r < MR; r++) {
            const vf ark = vf_set(a.p[r * a.row + k * a.col]);
            UNROLL for (int v = 0; v < nv; v++)
                sum[r][v] = vf_fma(ark, bk[v], sum[r][v]);
        }
    }
    UNROLL for (int r = 0; r < MR; r++)
        UNROLL for (int v = 0; v < nv; v++)
            vf_store(c + r * ldc + v * VL, sum[r][v]);
}

/* C (m, TILE) = or += A (m, nk) B (nk, TILE); m a multiple of MR (memory is padded). */
INLINE void product_tile(int64_t m, int64_t nk, struct matrix a, const float *b, float *c, bool add)
{
    for (int64_t r = 0; r < m; r += MR)
        product_rows(NV, nk, (struct matrix){ a.p + r * a.row, a.row, a.col }, b, TILE, c + r * TILE, TILE, add);
}

/* C (m, n) += A (m, nk) B (nk, n), n a multiple of VL, b and c with rows of n. */
INLINE void product_wide(int64_t m, int64_t n, int64_t nk, struct matrix a, const float *b, float *c)
{
    for (int64_t r = 0; r < m; r += MR) {
        const struct matrix ar = { a.p + r * a.row, a.row, a.col };
        int64_t j = 0;
        for (; j + NV * VL <= n; j += NV * VL)
            product_rows(NV, nk, ar, b + j, n, c + r * n + j, n, true);
        for (; j < n; j += VL)
            product_rows(1, nk, ar, b + j, n, c + r * n + j, n, true);
    }
}

/* rows x cols of an operand as float32 (rows_padded, ld), zeros around it. */
INLINE void pack(float *out, int64_t ld, int64_t rows_padded, struct tt_in x, int64_t stride, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < ld; j += VL) {
            vf v = vf_zero();
            if (j < cols)
                v = vf_get_some(x, i * stride + j, cols - j, 0);
            vf_store(out + i * ld + j, v);
        }
    memset(out + rows * ld, 0, (size_t)((rows_padded - rows) * ld) * sizeof *out);
}

INLINE void unpack(struct tt_out y, int64_t stride, const float *in, int64_t ld, int64_t rows, int64_t cols, float scale)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j += VL)
            vf_put_some(y, i * stride + j, cols - j, vf_load(in + i * ld + j) * vf_set(scale));
}

/* out (cols, rows) = scale in (rows, cols), both whole vectors wide or tall. */
INLINE void transpose(float *out, const float *in, int64_t rows, int64_t cols, float scale)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            out[j * rows + i] = in[i * cols + j] * scale;
}

/* What a tile's queries see. A query that is past the last one repeats it: its lane is computed and dropped. */
struct tile {
    int64_t b, i0, n;     /* n <= TILE queries from i0 */
    int32_t limit[TILE];  /* the last key that a query sees by position; -1: none */
    int32_t doc[TILE];
    int32_t limit_min, limit_max, doc_min, doc_max;
};

/* The last key that query i sees by its position; -1: none. */
INLINE int32_t last_key(const struct tt_attn *at, int64_t b, int64_t i)
{
    const int64_t pos = at->mask.q_pos ? at->mask.q_pos[b * at->tq + i] : i;
    return (int32_t)(at->mask.causal ? max64(min64(at->tk - 1, pos), -1) : at->tk - 1);
}

INLINE void tile_init(struct tile *t, const struct tt_attn *at, int64_t b, int64_t i0)
{
    t->b = b;
    t->i0 = i0;
    t->n = min64(TILE, at->tq - i0);
    t->limit_min = t->doc_min = INT32_MAX;
    t->limit_max = t->doc_max = INT32_MIN;
    for (int64_t l = 0; l < TILE; l++) {
        const int64_t i = i0 + min64(l, t->n - 1);
        t->limit[l] = last_key(at, b, i);
        t->doc[l] = at->mask.q_doc ? at->mask.q_doc[b * at->tq + i] : 0;
        t->limit_min = t->limit[l] < t->limit_min ? t->limit[l] : t->limit_min;
        t->limit_max = t->limit[l] > t->limit_max ? t->limit[l] : t->limit_max;
        t->doc_min = t->doc[l] < t->doc_min ? t->doc[l] : t->doc_min;
        t->doc_max = t->doc[l] > t->doc_max ? t->doc[l] : t->doc_max;
    }
}

/* A block of keys as a tile sees it: n of them from j0, n a multiple of MR. */
struct block {
    int64_t j0, n;
    bool none, masked;    /* nothing is seen; something may not be */
    const int32_t *doc;   /* of key j0; NULL: no documents */
};

INLINE struct block block_at(const struct tt_attn *at, const struct tile *t, int64_t j0)
{
    struct block b = { .j0 = j0, .n = round_up(min64(BLOCK, t->limit_max + 1 - j0), MR) };
    b.masked = j0 + b.n - 1 > t->limit_min;
    if (!at->mask.q_doc)
        return b;

    const int64_t n = min64(b.n, at->tk - j0);
    int32_t low = INT32_MAX, high = INT32_MIN;
    b.doc = at->mask.k_doc + t->b * at->tk + j0;
    for (int64_t j = 0; j < n; j++) {
        low = b.doc[j] < low ? b.doc[j] : low;
        high = b.doc[j] > high ? b.doc[j] : high;
    }
    b.none = low > t->doc_max || high < t->doc_min;
    b.masked |= low != high || t->doc_min != t->doc_max;
    return b;
}

/* The lanes of vector v that do not see key j of the block. */
INLINE vm hidden(const struct tile *t, const struct block *b, int64_t j, int v)
{
    const vm late = vi_gt(vi_set((int32_t)(b->j0 + j)), vi_load(t->limit + v * VL));
    if (!b->doc || b->j0 + j > t->limit_max) /* a key past the last has no document */
        return late;
    return vm_or(late, vi_ne(vi_set(b->doc[j]), vi_load(t->doc + v * VL)));
}

/* The forward for a few queries (attention_few.c). */
void TT_FN(tt_attn_few)(struct tt_pool *, const struct tt_attn_fwd *);

#define LOG2E 1.4426950408889634f
#define LN2 0.6931471805599453f

#endif
