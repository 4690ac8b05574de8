/* layout NRANKS --section.key value ...: who holds what of every parameter of a job, a JSON line each; what tests/interop/layouts.py
 * compares with the real TorchTitan. Settings are those of titan-train. Exit 1 with a message where there is no such job. */
#include <stdio.h>
#include <stdlib.h>

#include "convert/job.h"

static void put_dims(const int64_t *dims, int ndim)
{
    printf("[");
    for (int d = 0; d < ndim; d++)
        printf("%s%lld", d ? "," : "", (long long)dims[d]);
    printf("]");
}

static void put_ranks(const struct tt_holders *h, const struct tt_shard *s)
{
    const char *comma = "";
    printf("[");
    for (uint32_t b = 0; b < h->nbases; b++)
        for (uint32_t r = 0; r < s->nranks; r++, comma = ",")
            printf("%s%u", comma, h->bases[b] + s->ranks[r]);
    printf("]");
}

static tt_status put_param(struct tt_job *job, const struct tt_param *p, struct tt_err *err)
{
    struct tt_holders h;
    const tt_status st = tt_job_find(&h, job, p->fqn, p->ndim, p->size, err);
    if (st != TT_OK)
        return st;
    printf("[\"%s\",[", p->fqn);
    for (uint32_t i = 0; i < h.shards->n; i++) {
        printf("%s[", i ? "," : "");
        put_dims(h.shards->s[i].offsets, p->ndim);
        printf(",");
        put_dims(h.shards->s[i].sizes, p->ndim);
        printf(",");
        put_ranks(&h, &h.shards->s[i]);
        printf("]");
    }
    printf("]]\n");
    return TT_OK;
}

int main(int argc, char **argv)
{
    struct tt_arena arena = { 0 };
    struct tt_config config;
    struct tt_job job = { 0 };
    struct tt_err err = { 0 };
    tt_status st = TT_OK;

    if (argc < 2) {
        fprintf(stderr, "usage: layout NRANKS --section.key value ...\n");
        return 2;
    }
    st = tt_config_read(&config, &arena, argc - 1, argv + 1, &err);
    if (st == TT_OK)
        st = tt_job_open(&job, &config, atoll(argv[1]), &err);
    for (int i = 0; st == TT_OK && i < job.params.n; i++)
        st = put_param(&job, &job.params.p[i], &err);
    if (st != TT_OK)
        fprintf(stderr, "%s\n", err.msg);
    tt_job_close(&job);
    tt_arena_release(&arena);
    return st == TT_OK ? 0 : 1;
}
