/* titan-convert-hf: a model between Hugging Face's form and TorchTitan's. */
#include <string.h>

#include "convert/hf_convert.h"

struct options {
    struct tt_tool_opts tool;
    struct tt_hf_convert_opts job;
};

#define FIELD(name) offsetof(struct options, job.name)

static const struct tt_opt opts[] = {
    { .name = "model_name", .kind = TT_OPT_STR, .offset = FIELD(model_name), .arg = "NAME",
      .text = "The family: llama3 (the default), llama4, qwen3, deepseek_v3 or gpt_oss." },
    { .name = "model_flavor", .kind = TT_OPT_STR, .offset = FIELD(model_flavor), .arg = "FLAVOR|FILE.yaml",
      .text = "The flavor, by TorchTitan's name (default: 8B), or a file of model args." },
    { .name = "hf_assets_path", .kind = TT_OPT_STR, .offset = FIELD(assets_path), .arg = "DIR",
      .text = "The folder whose index, config.json, tokenizer and names the output follows." },
    { .name = "max_shard_size", .kind = TT_OPT_SIZE, .offset = FIELD(max_shard_size), .arg = "SIZE",
      .text = "The most that a file of the output holds, such as 5GB, where there is no index to follow (default: 50GB; all in one "
              "file where the assets have one)." },
    { .name = "allow_unused", .kind = TT_OPT_FLAG, .offset = FIELD(allow_unused),
      .text = "Leave out tensors of the input that have no place in the flavor; without it they are an error." },
    { .name = "tt_names", .kind = TT_OPT_FLAG, .offset = FIELD(tt_names),
      .text = "Name the keys as TorchTitan's adapters do, not as transformers: gpt_oss' experts, turned as they are there, and "
              "llama4's language_model." },
    { 0 },
};

static const struct tt_prog prog = {
    .name = "titan-convert-hf", .synopsis = "[options] [from-hf|to-hf] INPUT OUTPUT",
    .about = "convert a model between Hugging Face's form and TorchTitan's",
    .opts = opts, .shared = tt_tool_rows,
    .shared_rows = TT_TOOL_ALL & ~(TT_TOOL_ALLOW_OBJECTS), .args_min = 2, .args_max = 3,
};

static void on_warning(void *ctx, enum tt_log_level level, const char *line)
{
    struct tt_buf text = { 0 };

    (void)ctx;
    (void)level;
    tt_buf_printf(&text, "warning: %s", line);
    tt_prog_say(&prog, tt_buf_cstr(&text));
    tt_buf_release(&text);
}

static tt_status take_args(struct tt_hf_convert_opts *job, int n, char **args, struct tt_err *err)
{
    if (n == 3) {
        if (strcmp(args[0], "from-hf") != 0 && strcmp(args[0], "to-hf") != 0)
            return tt_err_set(err, TT_EUSAGE, "expected from-hf or to-hf, found '%s'", args[0]);
        job->direction = args[0][0] == 'f' ? TT_HF_FROM : TT_HF_TO;
    }
    job->input = args[n - 2];
    job->output = args[n - 1];
    return strcmp(job->output, "-") != 0 ? TT_OK : tt_err_set(err, TT_EUSAGE, "a folder cannot be written to stdout");
}

int main(int argc, char **argv)
{
    const struct tt_log log = { .write = on_warning };
    struct options how = { .job = { .model_name = "llama3", .model_flavor = "8B", .log = &log } };
    struct tt_hf_conversion conversion = { 0 };
    struct tt_err err = { 0 };
    int first;

    tt_status st = tt_opt_parse(&prog, argc, argv, &how, &first, &err);
    if (st == TT_OK)
        st = take_args(&how.job, argc - first, argv + first, &err);
    if (st == TT_OK)
        st = tt_hf_convert_plan(&conversion, &how.job, &how.tool, &err);
    if (st == TT_OK)
        st = tt_tool_write(&prog, &conversion.recipe, &conversion.target, &how.tool, &err);
    tt_hf_convert_release(&conversion);
    tt_opt_release(&prog, &how);
    return st == TT_EUSAGE ? tt_prog_usage(&prog, &err) : tt_prog_finish(&prog, st == TT_OK ? 0 : tt_prog_report(&prog, &err));
}
