/* kernels_run KERNELS DIR OP [NAME=VALUE]...: one kernel on operands in files, for tests/interop/kernels_vs_torch.py.
 *
 * KERNELS is ref, base, avx2 or avx512. An input x is DIR/x.f32, DIR/x.bf16, DIR/x.i32 or DIR/x.i64 (raw elements; the name says
 * the type). An output y is written the same way, in the type that y=f32 or y=bf16 says (f32 where nothing does); where its file is
 * there already, that is what the kernel finds in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "kernels.h"

static const struct {
    const char *name;
    enum tt_dtype dtype;
} types[] = { { "f32", TT_F32 }, { "bf16", TT_BF16 }, { "i32", TT_I32 }, { "i64", TT_I64 } };
enum { NTYPES = sizeof types / sizeof types[0], OUTPUTS_MAX = 8 };

struct output {
    const char *name;
    struct tt_out out;
    int64_t n;
};

struct run {
    const char *dir;
    char **args;
    int nargs;
    struct output outputs[OUTPUTS_MAX];
    int noutputs;
    struct tt_pool *pool;
    const struct tt_kernels *k;
};

static void die(const char *what, const char *name)
{
    fprintf(stderr, "kernels_run: %s %s\n", what, name);
    exit(1);
}

static const char *arg(const struct run *r, const char *name)
{
    const size_t n = strlen(name);
    for (int i = 0; i < r->nargs; i++)
        if (strncmp(r->args[i], name, n) == 0 && r->args[i][n] == '=')
            return r->args[i] + n + 1;
    return NULL;
}

static int64_t num(const struct run *r, const char *name)
{
    const char *s = arg(r, name);
    return s ? strtoll(s, NULL, 10) : 0;
}

static double real(const struct run *r, const char *name)
{
    const char *s = arg(r, name);
    return s ? strtod(s, NULL) : 0;
}

static FILE *open_type(const struct run *r, const char *name, int type, const char *mode)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", r->dir, name, types[type].name);
    return fopen(path, mode);
}

static void *read_all(FILE *f)
{
    fseek(f, 0, SEEK_END);
    const size_t n = (size_t)ftell(f);
    void *p = malloc(n + 1);
    rewind(f);
    if (!p || fread(p, 1, n, f) != n)
        die("cannot read", "an operand");
    fclose(f);
    return p;
}

/* Memory lives until the program ends. p is NULL where there is no such file. */
static struct tt_in in(const struct run *r, const char *name)
{
    for (int t = 0; t < NTYPES; t++) {
        FILE *f = open_type(r, name, t, "rb");
        if (f)
            return (struct tt_in){ read_all(f), types[t].dtype };
    }
    return (struct tt_in){ NULL, TT_F32 };
}

static struct tt_out out(struct run *r, const char *name, int64_t n)
{
    const struct tt_in there = in(r, name);
    const char *type = arg(r, name);
    struct tt_out y = { (void *)(uintptr_t)there.p, type && strcmp(type, "bf16") == 0 ? TT_BF16 : TT_F32 };
    if (!y.p)
        y.p = calloc((size_t)n, sizeof(float));
    r->outputs[r->noutputs++] = (struct output){ name, y, n };
    return y;
}

static float *out_f32(struct run *r, const char *name, int64_t n) { return out(r, name, n).p; }
static const float *in_f32(const struct run *r, const char *name) { return in(r, name).p; }

static void write_outputs(const struct run *r)
{
    for (int i = 0; i < r->noutputs; i++) {
        const struct output *o = &r->outputs[i];
        FILE *f = open_type(r, o->name, o->out.dtype == TT_BF16 ? 1 : 0, "wb");
        if (!f || fwrite(o->out.p, tt_dtype_nbytes(o->out.dtype), (size_t)o->n, f) != (size_t)o->n || fclose(f) != 0)
            die("cannot write", o->name);
    }
}

static void *room(size_t nbytes) { return aligned_alloc(64, (nbytes + 64) / 64 * 64); }

static void matmul(struct run *r)
{
    struct tt_err err;
    struct tt_matmul op = { .m = num(r, "m"),
                            .n = num(r, "n"),
                            .k = num(r, "k"),
                            .ta = num(r, "ta"),
                            .tb = num(r, "tb"),
                            .a = in(r, "a"),
                            .b = in(r, "b"),
                            .beta = in_f32(r, "beta") };
    op.c = out(r, "c", op.m * op.n);
    op.lda = op.ta ? op.m : op.k;
    op.ldb = op.tb ? op.k : op.n;
    op.ldc = op.n;
    op.scratch = room(tt_matmul_scratch(&op, tt_pool_nthreads(r->pool)));
    if (r->k->matmul(r->pool, &op, &err) != TT_OK)
        die("matmul", err.msg);
}

static void embedding(struct run *r)
{
    const int64_t n = num(r, "n"), d = num(r, "d"), vocab = num(r, "vocab");
    r->k->embedding_fwd(r->pool, &(struct tt_embedding_fwd){ n, d, vocab, in(r, "w"), in(r, "id"), out(r, "y", n * d), 0 });
    r->k->embedding_bwd_weight(
        r->pool, &(struct tt_embedding_bwd_weight){ n, d, vocab, in(r, "dy"), in(r, "id"), out(r, "dw", vocab * d), NULL,
                                                    room(tt_embedding_scratch(n, d, vocab, tt_pool_nthreads(r->pool))), 0 });
}

static void rmsnorm(struct run *r)
{
    const int64_t n = num(r, "n"), d = num(r, "d");
    float *rstd = out_f32(r, "rstd", n);
    r->k->rmsnorm_fwd(r->pool,
                      &(struct tt_rmsnorm_fwd){ n, d, (float)real(r, "eps"), in(r, "x"), in(r, "w"), out(r, "y", n * d), rstd });
    r->k->rmsnorm_bwd_input(r->pool, &(struct tt_rmsnorm_bwd_input){ n, d, in(r, "dy"), in(r, "x"), in(r, "w"), in(r, "add"), rstd,
                                                                     out(r, "dx", n * d) });
    r->k->rmsnorm_bwd_weight(r->pool, &(struct tt_rmsnorm_bwd_weight){ n, d, in(r, "dy"), in(r, "x"), rstd, out(r, "dw", d), NULL,
                                                                       room(tt_rmsnorm_scratch(d, tt_pool_nthreads(r->pool))) });
}

static void rope(struct run *r)
{
    const struct tt_rope_scaling scaling = { real(r, "factor"), real(r, "low"), real(r, "high"), num(r, "original") };
    const int64_t b = num(r, "batch"), t = num(r, "t"), h = num(r, "heads"), d = num(r, "dim"), end = num(r, "end");
    float *table = out_f32(r, "table", end * d);
    tt_rope_table(table, d, end, real(r, "theta"), &scaling);
    r->k->rope(r->pool,
               &(struct tt_rope){ b, t, h, d, in(r, "x"), h * d, out(r, "y", b * t * h * d), h * d, table, in(r, "pos").p, false });
    r->k->rope(r->pool, &(struct tt_rope){ b, t, h, d, in(r, "dy"), h * d, out(r, "dx", b * t * h * d), h * d, table,
                                           in(r, "pos").p, true });
}

static void attention(struct run *r)
{
    const struct tt_attn at = { .batch = num(r, "batch"),
                                .tq = num(r, "t"),
                                .tk = num(r, "t"),
                                .heads = num(r, "heads"),
                                .kv_heads = num(r, "kv_heads"),
                                .dim = num(r, "dim"),
                                .dim_v = num(r, "dim"),
                                .scale = (float)real(r, "scale"),
                                .mask = { .causal = num(r, "causal"), .q_doc = in(r, "doc").p, .k_doc = in(r, "doc").p } };
    const int64_t qs = at.heads * at.dim, ks = at.kv_heads * at.dim, nq = at.batch * at.tq * qs, nk = at.batch * at.tk * ks;
    const struct tt_in q = in(r, "q"), k = in(r, "k"), v = in(r, "v");
    const struct tt_out o = out(r, "o", nq);
    float *lse = out_f32(r, "lse", at.batch * at.heads * at.tq);
    const int nthreads = tt_pool_nthreads(r->pool);
    r->k->attn_fwd(r->pool, &(struct tt_attn_fwd){ .at = at,
                                                   .q = q,
                                                   .k = k,
                                                   .v = v,
                                                   .q_stride = qs,
                                                   .k_stride = ks,
                                                   .v_stride = ks,
                                                   .o = o,
                                                   .o_stride = qs,
                                                   .lse = lse,
                                                   .scratch = room(tt_attn_fwd_scratch(&at, nthreads)) });
    r->k->attn_bwd(r->pool, &(struct tt_attn_bwd){ .at = at,
                                                   .q = q,
                                                   .k = k,
                                                   .v = v,
                                                   .o = tt_in_of(o),
                                                   .dout = in(r, "do"),
                                                   .q_stride = qs,
                                                   .k_stride = ks,
                                                   .v_stride = ks,
                                                   .o_stride = qs,
                                                   .dout_stride = qs,
                                                   .lse = lse,
                                                   .dq = out(r, "dq", nq),
                                                   .dk = out(r, "dk", nk),
                                                   .dv = out(r, "dv", nk),
                                                   .dq_stride = qs,
                                                   .dk_stride = ks,
                                                   .dv_stride = ks,
                                                   .scratch = room(tt_attn_bwd_scratch(&at, nthreads)) });
}

static void swiglu(struct run *r)
{
    const int64_t n = num(r, "n");
    r->k->swiglu_fwd(r->pool, &(struct tt_swiglu_fwd){ n, in(r, "a"), in(r, "b"), out(r, "y", n) });
    r->k->swiglu_bwd(r->pool, &(struct tt_swiglu_bwd){ n, in(r, "dy"), in(r, "a"), in(r, "b"), out(r, "da", n), out(r, "db", n) });
}

static void cross_entropy(struct run *r)
{
    const int64_t n = num(r, "n"), vocab = num(r, "vocab");
    float *lse = out_f32(r, "lse", n);
    r->k->cross_entropy_fwd(r->pool, &(struct tt_cross_entropy_fwd){ .n = n,
                                                                     .vocab = vocab,
                                                                     .z = in(r, "z"),
                                                                     .label = in(r, "label"),
                                                                     .scale = in_f32(r, "scale"),
                                                                     .lse = lse,
                                                                     .loss = out_f32(r, "loss", 1),
                                                                     .row_loss = room((size_t)n * sizeof(double)) });
    r->k->cross_entropy_bwd(r->pool, &(struct tt_cross_entropy_bwd){ n, vocab, in(r, "z"), in(r, "label"), in_f32(r, "scale"), lse,
                                                                     out(r, "dz", n * vocab) });
}

static void adam(struct run *r)
{
    const struct tt_adam_hyper hyper = { real(r, "lr"),  real(r, "beta1"), real(r, "beta2"),
                                         real(r, "eps"), real(r, "wd"),    num(r, "decoupled") };
    const struct tt_adam_scalars scalars = tt_adam_scalars(&hyper, num(r, "step"));
    const int64_t n = num(r, "n");
    r->k->adam(r->pool, &(struct tt_adam){ n, out(r, "p", n), out(r, "m", n), out(r, "v", n), in(r, "g"), tt_adam_consts(&hyper),
                                           &scalars, in_f32(r, "grad_mul") });
}

static void clip(struct run *r)
{
    double sumsq[2], parts[TT_SUMSQ_PARTS];
    r->k->sumsq(r->pool, &(struct tt_sumsq){ num(r, "n"), in(r, "x"), &sumsq[0], parts });
    r->k->sumsq(r->pool, &(struct tt_sumsq){ num(r, "n"), in(r, "y"), &sumsq[1], parts });
    tt_clip_coef(sumsq, 2, real(r, "max_norm"), out_f32(r, "norm", 1), out_f32(r, "coef", 1));
}

static void add(struct run *r)
{
    r->k->add(r->pool, &(struct tt_add){ num(r, "n"), in(r, "a"), in(r, "b"), out(r, "y", num(r, "n")) });
}

static const struct {
    const char *name;
    void (*run)(struct run *);
} ops[] = {
    { "matmul", matmul }, { "embedding", embedding },         { "rmsnorm", rmsnorm }, { "rope", rope }, { "attention", attention },
    { "swiglu", swiglu }, { "cross_entropy", cross_entropy }, { "adam", adam },       { "clip", clip }, { "add", add },
};

int main(int argc, char **argv)
{
    struct tt_err err;
    if (argc < 4)
        die("usage:", "kernels_run KERNELS DIR OP [NAME=VALUE]...");
    struct run r = { .dir = argv[2], .args = argv + 4, .nargs = argc - 4 };
    r.k = strcmp(argv[1], "ref") == 0 ? &tt_kernels_ref : tt_kernels_cpu_isa(argv[1]);
    if (!r.k)
        return 77; /* this machine does not have it */
    if (tt_pool_new(&r.pool, 2, &err) != TT_OK)
        die("pool:", err.msg);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(ops[i].name, argv[3]) == 0) {
            ops[i].run(&r);
            write_outputs(&r);
            tt_pool_free(r.pool);
            return 0;
        }
    die("no such operation:", argv[3]);
}
