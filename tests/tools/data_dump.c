/* data_dump TOKENIZER PATH SEQ_LEN BATCH RANK WORLD INFINITE N[,N...] [STATE.json [DATASET [NAHEAD]]]: batches as text, for
 * tests/interop/data_batches.py. Each batch is a line of its inputs, sequence by sequence, and a line of its labels; after the first N
 * of them, and so on, comes a line with the position as JSON. With STATE.json, if not "", the loader starts at that position, its own or that of any number of ranks. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "data/loader.h"
#include "value/json.h"

static void stderr_line(void *ctx, enum tt_log_level level, const char *line)
{
    (void)ctx, (void)level;
    fprintf(stderr, "%s\n", line);
}

static void print(const int32_t *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        printf("%s%d", i ? " " : "", x[i]);
    putchar('\n');
}

static tt_status restore(struct tt_loader *l, struct tt_arena *arena, const char *path, struct tt_err *err)
{
    struct tt_buf bytes = { 0 };
    struct tt_value *v;
    tt_status st = tt_file_read_all(&bytes, path, 1 << 30, err);
    if (st == TT_OK)
        st = tt_json_parse(&v, arena, bytes.data, bytes.len, path, err);
    if (st == TT_OK)
        st = tt_value_get(v, "ranks") ? tt_loader_restore_rest(l, v, path, err) : tt_loader_restore(l, v, path, err);
    tt_buf_release(&bytes);
    return st;
}

static tt_status print_state(const struct tt_loader *l, struct tt_arena *arena, struct tt_err *err)
{
    struct tt_value *state;
    struct tt_buf json = { 0 };
    const tt_status st = tt_loader_state(l, arena, &state, err);
    if (st == TT_OK) {
        tt_json_write(&json, state, 0);
        puts(tt_buf_cstr(&json));
    }
    tt_buf_release(&json);
    return st;
}

static tt_status batches(struct tt_loader *l, const struct tt_loader_opts *o, int64_t n, struct tt_err *err)
{
    const size_t size = (size_t)(o->local_batch * o->seq_len);
    int32_t *input = calloc(size, sizeof *input), *labels = calloc(size, sizeof *labels);
    tt_status st = input && labels ? TT_OK : tt_err_nomem(err, size, "a batch");
    for (int64_t i = 0, nseq = 1; st == TT_OK && i < n && nseq > 0; i++) {
        st = tt_loader_next(l, input, labels, &nseq, err);
        if (st == TT_OK && nseq > 0) {
            print(input, nseq * o->seq_len);
            print(labels, nseq * o->seq_len);
        }
    }
    free(input);
    free(labels);
    return st;
}

int main(int argc, char **argv)
{
    struct tt_err err = { 0 };
    struct tt_arena arena = { 0 };
    struct tt_tokenizer *tok = NULL;
    struct tt_loader *loader = NULL;
    const struct tt_log log = { .write = stderr_line };
    if (argc < 9)
        return 2;
    const struct tt_loader_opts o = { .dataset = argc > 10 ? argv[10] : "c4_test",
                                      .path = argv[2],
                                      .seq_len = atoll(argv[3]),
                                      .local_batch = atoll(argv[4]),
                                      .dp_rank = atoi(argv[5]),
                                      .dp_world = atoi(argv[6]),
                                      .nahead = argc > 11 ? atoll(argv[11]) : 0,
                                      .infinite = atoi(argv[7]),
                                      .log = &log };
    tt_status st = tt_tokenizer_open(&tok, argv[1], &err);
    if (st == TT_OK)
        st = tt_loader_new(&loader, tok, &o, &err);
    if (st == TT_OK && argc > 9 && *argv[9])
        st = restore(loader, &arena, argv[9], &err);
    int64_t done = 0;
    for (char *count = argv[8]; st == TT_OK && *count; count += *count == ',') {
        const int64_t n = strtoll(count, &count, 10);
        st = batches(loader, &o, n - done, &err);
        if (st == TT_OK)
            st = print_state(loader, &arena, &err);
        done = n;
    }
    if (st != TT_OK)
        fprintf(stderr, "data_dump: %s\n", err.msg);
    tt_loader_free(loader);
    tt_tokenizer_free(tok);
    tt_arena_release(&arena);
    return st != TT_OK;
}
