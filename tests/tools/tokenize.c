/* tokenize DIR MODE: lines of standard input through the tokenizer in DIR, for what tests/interop compares with the reference.
 *   N          a JSON string to its ids; N is a number of enum tt_encode_flags. With "decode" behind it, their text on the next line
 *   id         a JSON string to the id of that token, -1 where there is none
 *   text       ids to their text, a JSON string; textskip: without special tokens
 *   stream     ids to the text that each completes and what is left, a JSON string each; "error" behind the last where one changes
 *              what has gone out; streamskip likewise
 *   info       prints bos, eos, the vocabulary's size; reads nothing */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "data/tokenizer.h"
#include "value/json.h"

struct job {
    struct tt_tokenizer *tok;
    struct tt_encoder *enc;
    const char *mode;
    bool decode, skip; /* "decode" is there; the mode ends with "skip" */
};

static void print_json(struct tt_buf *text, char end)
{
    struct tt_buf quoted = { 0 };
    tt_json_write_str(&quoted, (const char *)text->data, text->len);
    printf("%s%c", tt_buf_cstr(&quoted), end);
    tt_buf_clear(text);
    tt_buf_release(&quoted);
}

static tt_status encode(const struct job *job, const char *s, size_t n, struct tt_err *err)
{
    struct tt_tokens ids = { 0 };
    struct tt_buf text = { 0 };
    tt_status st = tt_encode(job->enc, &ids, s, n, atoi(job->mode), err);
    for (size_t i = 0; st == TT_OK && i < ids.n; i++)
        printf("%s%d", i ? " " : "", ids.id[i]);
    if (st == TT_OK)
        putchar('\n');
    if (st == TT_OK && job->decode && (st = tt_decode(job->tok, &text, ids.id, ids.n, true, err)) == TT_OK)
        print_json(&text, '\n');
    tt_buf_release(&text);
    tt_tokens_release(&ids);
    return st;
}

static tt_status from_text(const struct job *job, const char *line, size_t n, struct tt_err *err)
{
    struct tt_arena arena = { 0 };
    struct tt_value *v;
    tt_status st = tt_json_parse(&v, &arena, line, n, "stdin", err);
    if (st == TT_OK && v->kind != TT_V_STR)
        st = tt_err_set(err, TT_EFORMAT, "stdin: expected a string");
    if (st == TT_OK && strcmp(job->mode, "id") == 0)
        printf("%d\n", tt_tokenizer_id(job->tok, v->u.str.s, v->u.str.nbytes));
    else if (st == TT_OK)
        st = encode(job, v->u.str.s, v->u.str.nbytes, err);
    tt_arena_release(&arena);
    return st;
}

static tt_status stream(const struct job *job, const struct tt_tokens *ids, struct tt_err *err)
{
    struct tt_decode_stream *s;
    struct tt_buf text = { 0 };
    tt_status st = tt_decode_stream_new(&s, job->tok, job->skip, err);
    if (st != TT_OK)
        return st;
    for (size_t i = 0; st == TT_OK && i < ids->n; i++)
        if ((st = tt_decode_stream_put(s, &text, ids->id[i], err)) == TT_OK)
            print_json(&text, '\t');
    if (st == TT_OK && (st = tt_decode_stream_end(s, &text, err)) == TT_OK)
        print_json(&text, '\n');
    if (st == TT_EUNSUPPORTED) {
        puts("\"error\"");
        st = TT_OK;
    }
    tt_buf_release(&text);
    tt_decode_stream_free(s);
    return st;
}

static tt_status from_ids(const struct job *job, const char *line, struct tt_err *err)
{
    struct tt_tokens ids = { 0 };
    struct tt_buf text = { 0 };
    tt_status st = TT_OK;
    char *end;
    for (const char *s = line; st == TT_OK; s = end) {
        const int32_t id = (int32_t)strtol(s, &end, 10);
        if (end == s)
            break;
        st = tt_tokens_append(&ids, &id, 1, err);
    }
    if (st == TT_OK && strncmp(job->mode, "stream", 6) == 0)
        st = stream(job, &ids, err);
    else if (st == TT_OK && (st = tt_decode(job->tok, &text, ids.id, ids.n, job->skip, err)) == TT_OK)
        print_json(&text, '\n');
    tt_buf_release(&text);
    tt_tokens_release(&ids);
    return st;
}

int main(int argc, char **argv)
{
    struct tt_err err = { 0 };
    char *line = NULL;
    size_t cap = 0;
    if (argc < 3)
        return 2;
    struct job job = { .mode = argv[2], .decode = argc > 3, .skip = strstr(argv[2], "skip") != NULL };
    tt_status st = tt_tokenizer_open(&job.tok, argv[1], &err);
    if (st == TT_OK && strcmp(job.mode, "info") == 0) {
        printf("%d %d %lld\n", tt_tokenizer_bos(job.tok), tt_tokenizer_eos(job.tok), (long long)tt_tokenizer_nvocab(job.tok));
    } else if (st == TT_OK && (st = tt_encoder_new(&job.enc, job.tok, &err)) == TT_OK) {
        const bool ids = job.mode[0] == 't' || job.mode[0] == 's';
        for (ssize_t n; st == TT_OK && (n = getline(&line, &cap, stdin)) > 0;)
            st = ids ? from_ids(&job, line, &err) : from_text(&job, line, (size_t)n, &err);
    }
    if (st != TT_OK)
        fprintf(stderr, "tokenize: %s\n", err.msg);
    free(line);
    tt_encoder_free(job.enc);
    tt_tokenizer_free(job.tok);
    return st != TT_OK;
}
