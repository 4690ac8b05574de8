#include "train/generate.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "comm/launch.h"
#include "data/tokenizer.h"
#include "model/model.h"
#include "train/checkpoint.h"
#include "train/predictor.h"
#include "train/sampler.h"
#include "train/setup.h"
#include "value/json.h"
#include "value/value.h"

struct generator {
    const struct tt_config *config;
    const struct tt_generate_opts *opts;
    const struct tt_log *log;
    struct tt_arena arena;
    struct tt_pool *pool;

    const struct tt_family *family;
    struct tt_model_args args;
    struct tt_params params;
    struct tt_tokenizer *tokenizer;
    struct tt_predictor *predictor;
    struct tt_sampler sampler;
    uint64_t seed;

    struct tt_tokens prompt;
    struct tt_tokens *made; /* (batch) what each sequence went on with */
    struct tt_decode_stream *stream; /* of the first sequence's */
    struct tt_buf text;
    double seconds;
};

#define INFO(g, ...) tt_log_line((g)->log, TT_LOG_INFO, __VA_ARGS__)

static int64_t batch_of(const struct generator *g) { return g->config->generate.batch_size; }

/* --- the prompt ------------------------------------------------------------------------------------------------------------- */

static tt_status encode_prompt(struct generator *g, struct tt_err *err)
{
    enum { PROMPT_BYTES_MAX = 1 << 28 };
    const char *prompt = g->config->generate.prompt;
    struct tt_encoder *encoder = NULL;
    struct tt_buf text = { 0 };
    tt_status status = TT_OK;

    if (strcmp(prompt, "-") == 0)
        status = tt_file_read_all(&text, "-", PROMPT_BYTES_MAX, err);
    else
        tt_buf_str(&text, prompt);
    if (status == TT_OK)
        status = tt_buf_check(&text, "the prompt", err);
    if (status == TT_OK && text.len == 0)
        tt_log_line(g->log, TT_LOG_WARNING, "The input prompt is empty, model will respond from a empty sequence.");
    if (status == TT_OK)
        status = tt_encoder_new(&encoder, g->tokenizer, err);
    if (status == TT_OK)
        status = tt_encode(encoder, &g->prompt, tt_buf_cstr(&text), text.len, TT_ENCODE_BOS, err);
    if (status == TT_OK && g->prompt.n == 0)
        status = tt_err_set(err, TT_EINVAL, "%s: expected at least one token, but the text is empty and the tokenizer has no BOS",
                            tt_config_where(g->config, "generate.prompt"));
    tt_encoder_free(encoder);
    tt_buf_release(&text);
    return status;
}

/* The cache has no documents: a model that was trained within them sees past their ends here. */
static void warn_of_documents(const struct generator *g)
{
    for (size_t i = 0; tt_model_wants_documents(&g->args) && i + 1 < g->prompt.n; i++)
        if (g->prompt.id[i] == tt_tokenizer_eos(g->tokenizer)) {
            tt_log_line(g->log, TT_LOG_WARNING,
                        "The prompt's token %zu ends a document, past which %s %s saw nothing in training; here it sees all of the prompt.",
                        i + 1, g->config->model.name, g->config->model.flavor);
            return;
        }
}

/* The last token is not read by the model, and so needs no position. */
static tt_status check_prompt(const struct generator *g, struct tt_err *err)
{
    const int64_t n = (int64_t)g->prompt.n, more = g->config->generate.max_new_tokens, seq_len = g->config->training.seq_len;

    if (n > seq_len || more - 1 > seq_len - n)
        return tt_err_set(err, TT_EINVAL,
                          "%s: %" PRId64 " tokens of the prompt and %" PRId64
                          " new ones, the last of which the model does not read, are "
                          "more than training.seq_len, %" PRId64,
                          tt_config_where(g->config, "generate.max_new_tokens"), n, more, seq_len);
    for (int64_t i = 0; i < n; i++)
        if (g->prompt.id[i] < 0 || g->prompt.id[i] >= g->args.vocab_size)
            return tt_err_set(err, TT_EINVAL, "the tokenizer in %s gave token %" PRId32 ", but %s %s has a vocabulary of %" PRId64,
                              g->config->model.hf_assets_path, g->prompt.id[i], g->config->model.name, g->config->model.flavor,
                              g->args.vocab_size);
    return TT_OK;
}

/* --- the model -------------------------------------------------------------------------------------------------------------- */

static tt_status make_predictor(struct generator *g, struct tt_err *err)
{
    const struct tt_predictor_opts opts = {
        .family = g->family,
        .args = &g->args,
        .params = &g->params,
        .dtype = g->config->training.dtype,
        .batch = batch_of(g),
        .capacity = (int64_t)g->prompt.n + g->config->generate.max_new_tokens - 1,
        .pool = g->pool,
    };
    return tt_predictor_new(&g->predictor, &opts, err);
}

static tt_status load_weights(struct generator *g, struct tt_err *err)
{
    struct tt_config config = *g->config; /* as a run that only loads */
    struct tt_state_tensor *tensors = tt_arena_array(&g->arena, (size_t)g->params.n, sizeof *tensors);
    struct tt_train_state state = { .tensors = tensors, .ntensors = (size_t)g->params.n };
    struct tt_checkpointer checkpointer;
    unsigned loaded = 0;

    if (!tensors)
        return tt_err_nomem(err, (size_t)g->params.n * sizeof *tensors, "the list of parameters");
    for (int i = 0; i < g->params.n; i++) {
        const struct tt_param *p = &g->params.p[i];
        tensors[i] = (struct tt_state_tensor){
            .fqn = p->fqn, .dtype = config.training.dtype, .ndim = p->ndim, .shape = p->size, .weight = tt_predictor_param(g->predictor, i),
        };
    }
    config.checkpoint.enable = config.checkpoint.load_only = true;
    tt_status status = tt_checkpointer_init(&checkpointer, &config, &state, NULL, g->log, g->pool, err);
    checkpointer.read_only = true;
    checkpointer.exclude = TT_STATE_ALL & ~(unsigned)TT_STATE_MODEL;
    if (status == TT_OK)
        status = tt_checkpointer_load(&checkpointer, &state, &loaded, err);
    if (status == TT_OK && !(loaded & TT_STATE_MODEL))
        status = tt_err_set(err, TT_ENOENT, "%s: expected a complete step to load the model from, or checkpoint.initial_load_path, found none",
                            checkpointer.folder);
    tt_checkpointer_release(&checkpointer);
    return status;
}

static tt_status make_sampler(struct generator *g, struct tt_err *err)
{
    const struct tt_config_generate *config = &g->config->generate;

    g->seed = (uint64_t)config->seed.v;
    if (!config->seed.set && config->temperature > 0) {
        const tt_status status = tt_random_seed(&g->seed, err);
        if (status != TT_OK)
            return status;
        g->seed &= UINT32_MAX; /* all that the generator takes */
        INFO(g, "No generate.seed: tokens from random seed %" PRIu64, g->seed);
    }
    return tt_sampler_init(&g->sampler, g->args.vocab_size, config->temperature, config->top_k.set ? config->top_k.v : 0, g->seed, err);
}

static tt_status build(struct generator *g, struct tt_err *err)
{
    const struct tt_config *config = g->config;

    g->made = tt_arena_array(&g->arena, (size_t)batch_of(g), sizeof *g->made);
    if (!g->made)
        return tt_err_nomem(err, (size_t)batch_of(g) * sizeof *g->made, "the sequences");
    memset(g->made, 0, (size_t)batch_of(g) * sizeof *g->made);
    tt_status status = tt_pool_new(&g->pool, g->opts->threads, err);
    if (status == TT_OK)
        status = tt_tokenizer_open(&g->tokenizer, config->model.hf_assets_path, err);
    if (status != TT_OK)
        return status;
    INFO(g, "Loading tokenizer from %s", tt_tokenizer_source(g->tokenizer));
    status = tt_decode_stream_new(&g->stream, g->tokenizer, true, err);
    if (status == TT_OK)
        status = tt_setup_model(&g->family, &g->args, &g->params, &g->arena, config, g->log, err);
    if (status == TT_OK)
        status = encode_prompt(g, err);
    if (status == TT_OK)
        status = check_prompt(g, err);
    if (status == TT_OK) {
        warn_of_documents(g);
        status = make_predictor(g, err);
    }
    if (status == TT_OK)
        status = load_weights(g, err);
    return status == TT_OK ? make_sampler(g, err) : status;
}

static void release(struct generator *g)
{
    tt_sampler_release(&g->sampler);
    tt_predictor_free(g->predictor);
    for (int64_t b = 0; g->made && b < batch_of(g); b++)
        tt_tokens_release(&g->made[b]);
    tt_tokens_release(&g->prompt);
    tt_buf_release(&g->text);
    tt_decode_stream_free(g->stream);
    tt_tokenizer_free(g->tokenizer);
    tt_pool_free(g->pool);
    tt_arena_release(&g->arena);
}

/* --- text ------------------------------------------------------------------------------------------------------------------- */

static tt_status put(const struct generator *g, const void *text, size_t nbytes, struct tt_err *err)
{
    return nbytes ? g->opts->put(g->opts->ctx, text, nbytes, err) : TT_OK;
}

/* What the first sequence's last token adds to its text. */
static tt_status put_new(struct generator *g, bool last, struct tt_err *err)
{
    const struct tt_tokens *made = &g->made[0];

    tt_buf_clear(&g->text);
    tt_status status = tt_decode_stream_put(g->stream, &g->text, made->id[made->n - 1], err);
    if (status == TT_OK && last)
        status = tt_decode_stream_end(g->stream, &g->text, err);
    return status == TT_OK ? put(g, g->text.data, g->text.len, err) : status;
}

static tt_status put_others(struct generator *g, struct tt_err *err)
{
    tt_status status = put(g, "\n", 1, err);
    for (int64_t b = 1; status == TT_OK && b < batch_of(g); b++) {
        tt_buf_clear(&g->text);
        status = tt_decode(g->tokenizer, &g->text, g->made[b].id, g->made[b].n, true, err);
        if (status == TT_OK)
            status = put(g, g->text.data, g->text.len, err);
        if (status == TT_OK)
            status = put(g, "\n", 1, err);
    }
    return status;
}

/* --- tokens ----------------------------------------------------------------------------------------------------------------- */

/* The next token of each sequence, into next (batch) and behind what was made. */
static tt_status sample(struct generator *g, int32_t *next, const void *logits, struct tt_err *err)
{
    const enum tt_dtype dtype = g->config->training.dtype;
    const size_t row = (size_t)g->args.vocab_size * tt_dtype_nbytes(dtype);
    tt_status status = TT_OK;

    for (int64_t b = 0; status == TT_OK && b < batch_of(g); b++) {
        next[b] = tt_sampler_next(&g->sampler, (const char *)logits + (size_t)b * row, dtype);
        status = tt_tokens_append(&g->made[b], &next[b], 1, err);
    }
    return status;
}

static tt_status run(struct generator *g, struct tt_err *err)
{
    const int64_t batch = batch_of(g), n = (int64_t)g->prompt.n, more = g->config->generate.max_new_tokens;
    int32_t *tokens = tt_arena_array(&g->arena, (size_t)(batch * n), sizeof *tokens);
    const double start = tt_seconds();
    const void *logits;

    if (!tokens)
        return tt_err_nomem(err, (size_t)(batch * n) * sizeof *tokens, "the prompts");
    for (int64_t i = 0; i < batch * n; i++)
        tokens[i] = g->prompt.id[i % n];
    tt_status status = tt_predictor_put(&logits, g->predictor, tokens, n, err);
    const double first = tt_seconds();
    for (int64_t i = 1; status == TT_OK && i <= more; i++) {
        status = sample(g, tokens, logits, err);
        if (status == TT_OK && !g->config->generate.out)
            status = put_new(g, i == more, err);
        if (status == TT_OK && i < more)
            status = tt_predictor_put(&logits, g->predictor, tokens, 1, err);
    }
    const double end = tt_seconds();
    g->seconds = end - start;
    if (status == TT_OK && !g->config->generate.out)
        status = put_others(g, err);
    if (status == TT_OK)
        INFO(g, "Generation completed in %.2f seconds: the prompt's %" PRId64 " tokens in %.2f seconds, then %.1f tokens a second.",
             g->seconds, n, first - start, (double)(batch * more) / (end - first));
    return status;
}

/* --- the report ------------------------------------------------------------------------------------------------------------- */

static tt_status text_value(struct tt_value **out, struct generator *g, const struct tt_tokens *tokens, struct tt_err *err)
{
    tt_buf_clear(&g->text);
    const tt_status status = tt_decode(g->tokenizer, &g->text, tokens->id, tokens->n, true, err);
    if (status == TT_OK)
        *out = tt_value_strn(&g->arena, tt_buf_cstr(&g->text), g->text.len);
    return status;
}

static bool add_metadata(struct generator *g, struct tt_value *map)
{
    struct tt_arena *a = &g->arena;
    const int64_t batch = batch_of(g), more = g->config->generate.max_new_tokens, n = (int64_t)g->prompt.n;
    const bool seeded = g->config->generate.temperature > 0;
    const time_t now = time(NULL);
    struct tm utc;
    char stamp[32] = "";

    if (gmtime_r(&now, &utc))
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    return tt_value_set(a, map, "generated_n_tokens", tt_value_int(a, more)) &&
           tt_value_set(a, map, "input_n_tokens", tt_value_int(a, n)) &&
           tt_value_set(a, map, "generation_time_sec", tt_value_float(a, g->seconds)) &&
           tt_value_set(a, map, "tokens_per_sec", tt_value_float(a, (double)(batch * (n + more)) / g->seconds)) &&
           tt_value_set(a, map, "batch_size", tt_value_int(a, batch)) &&
           tt_value_set(a, map, "seed", seeded ? tt_value_int(a, (int64_t)g->seed) : tt_value_null(a)) &&
           tt_value_set(a, map, "timestamp", tt_value_str(a, stamp)) && tt_value_set(a, map, "world_size", tt_value_int(a, 1));
}

static tt_status add_response(struct generator *g, struct tt_value *list, int64_t b, struct tt_err *err)
{
    struct tt_arena *a = &g->arena;
    struct tt_value *response = tt_value_map(a), *input, *output;

    tt_status status = text_value(&input, g, &g->prompt, err);
    if (status == TT_OK)
        status = text_value(&output, g, &g->made[b], err);
    if (status != TT_OK)
        return status;
    const bool ok = tt_value_set(a, response, "response_idx", tt_value_int(a, b)) &&
                    tt_value_set(a, response, "input_text", input) && tt_value_set(a, response, "output_text", output) &&
                    tt_value_append(a, list, response);
    return ok ? TT_OK : tt_err_nomem(err, 0, "the report");
}

static tt_status report(struct generator *g, struct tt_err *err)
{
    struct tt_arena *a = &g->arena;
    struct tt_value *root = tt_value_map(a), *metadata = tt_value_map(a), *responses = tt_value_list(a);
    struct tt_buf json = { 0 };
    tt_status status = TT_OK;

    if (!tt_value_set(a, root, "metadata", metadata) || !tt_value_set(a, root, "responses", responses) || !add_metadata(g, metadata))
        return tt_err_nomem(err, 0, "the report");
    for (int64_t b = 0; status == TT_OK && b < batch_of(g); b++)
        status = add_response(g, responses, b, err);
    if (status != TT_OK)
        return status;
    tt_json_write(&json, root, 4);
    tt_buf_byte(&json, '\n');
    status = tt_buf_check(&json, "the report", err);
    if (status == TT_OK)
        status = put(g, json.data, json.len, err);
    tt_buf_release(&json);
    return status;
}

tt_status tt_generate(const struct tt_config *config, const struct tt_generate_opts *opts, struct tt_err *err)
{
    struct generator g = { .config = config, .opts = opts, .log = opts->log };

    if (config->comm.mode == TT_COMM_FAKE_BACKEND)
        return tt_err_set(err, TT_EINVAL, "%s: fake_backend says what a step of training takes, generate.prompt trains nothing",
                          tt_config_where(config, "comm.mode"));
    if (tt_launch_nranks() > 1)
        return tt_err_set(err, TT_EINVAL, "%s: one process makes the text, and a launcher started %" PRId64,
                          tt_config_where(config, "generate.prompt"), tt_launch_nranks());
    tt_status status = build(&g, err);
    if (status == TT_OK && opts->dry_run)
        INFO(&g, "Would go on from the prompt's %zu tokens by %" PRId64, g.prompt.n, config->generate.max_new_tokens);
    else if (status == TT_OK)
        status = run(&g, err);
    if (status == TT_OK && !opts->dry_run && config->generate.out)
        status = report(&g, err);
    release(&g);
    return status;
}
