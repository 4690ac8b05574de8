/* titan-reshard: a checkpoint as a job of another shape would have written it. */
#include "convert/rename.h"
#include "convert/reshard.h"

#define FIELD(name) offsetof(struct tt_reshard_opts, name)
#define DEGREE(key, field) .name = key, .also = "parallelism." key, .kind = TT_OPT_STR, .offset = FIELD(field)

static const struct tt_opt opts[] = {
    { DEGREE("data_parallel_replicate_degree", dp_replicate), .arg = "N",
      .text = "Groups of ranks that each hold all weights (default 1)." },
    { DEGREE("data_parallel_shard_degree", dp_shard), .arg = "N",
      .text = "Ranks that FSDP cuts weights over (default 1); -1: as many as --world_size leaves." },
    { DEGREE("tensor_parallel_degree", tp), .arg = "N", .text = "Ranks that share each matrix (default 1)." },
    { DEGREE("pipeline_parallel_degree", pp), .arg = "N",
      .text = "Ranks that the layers are spread over (default 1)." },
    { DEGREE("context_parallel_degree", cp), .arg = "N",
      .text = "Ranks that share each sequence (default 1); FSDP cuts weights over them too." },
    { DEGREE("expert_parallel_degree", ep), .arg = "N",
      .text = "Ranks that the experts are spread over (default 1)." },
    { DEGREE("expert_tensor_parallel_degree", etp), .arg = "N",
      .text = "Ranks that share each expert's matrices (default 1)." },
    { DEGREE("pipeline_parallel_schedule", schedule), .arg = "NAME",
      .text = "The schedule, which says how many stages a rank has and which (default 1F1B)." },
    { DEGREE("pipeline_parallel_layers_per_stage", layers_per_stage), .arg = "N",
      .text = "Layers of a stage (default: one stage a rank, or two where the schedule has several)." },
    { DEGREE("pipeline_parallel_first_stage_less_layers", first_less), .arg = "N",
      .text = "How many layers the first stage has less than others (default 1)." },
    { DEGREE("pipeline_parallel_last_stage_less_layers", last_less), .arg = "N",
      .text = "How many layers the last stage has less than others (default 1)." },
    { .name = "module_fqns_per_model_part", .also = "parallelism.module_fqns_per_model_part", .kind = TT_OPT_LIST,
      .offset = FIELD(parts), .arg = "A,B,...", .text = "The modules of a stage, such as tok_embeddings,layers.0; once a stage." },
    { .name = "model_name", .also = "model.name", .kind = TT_OPT_STR, .offset = FIELD(model_name), .arg = "NAME",
      .text = "The model's family: llama3, qwen3, llama4, deepseek_v3, gpt_oss." },
    { .name = "model_flavor", .also = "model.flavor", .kind = TT_OPT_STR, .offset = FIELD(model_flavor), .arg = "FLAVOR",
      .text = "The model's flavor: a name, or a .yaml file." },
    { .name = "config_file", .also = "job.config_file", .kind = TT_OPT_STR, .offset = FIELD(config_file), .arg = "FILE",
      .text = "A job's configuration (.toml, .yaml), for what no option says of the above." },
    { .name = "world_size", .kind = TT_OPT_INT, .offset = FIELD(world_size), .min = 1, .max = 1 << 20, .arg = "N",
      .text = "Ranks of the job in all, where data_parallel_shard_degree is -1; else only checked." },
    { .name = "like", .kind = TT_OPT_STR, .offset = FIELD(like), .arg = "CHECKPOINT",
      .text = "Cut tensors, and spread them over files, as this DCP checkpoint does." },
    { .name = "single", .kind = TT_OPT_FLAG, .offset = FIELD(single), .text = "Write one file of whole tensors." },
    { .name = "model_only", .kind = TT_OPT_FLAG, .offset = FIELD(model_only),
      .text = "Leave out optimizer, learning rate, data and step." },
    { .name = "rename", .kind = TT_OPT_LIST, .offset = FIELD(rename), .arg = "s/A/B/", .check = tt_rename_check,
      .text = "Rename parameters, in the model and in the optimizer, by a substitution (PCRE2; flags g, i). May be repeated." },
    { .name = "average", .kind = TT_OPT_FLAG, .offset = FIELD(average),
      .text = "Write the average of the models of several checkpoints." },
    { .name = "weights", .kind = TT_OPT_STR, .offset = FIELD(weights), .arg = "A,B,...",
      .text = "What each of them counts in the average (default: all the same); divided by their sum." },
    { .name = "zstd", .kind = TT_OPT_INT, .offset = FIELD(zstd), .min = 1, .max = 22, .arg = "LEVEL", .implied = "3",
      .text = "Compress each item, as PyTorch's extension stream.zstd does. Levels above 14 take more memory than the default." },
    { .name = "hard_link", .kind = TT_OPT_FLAG, .offset = FIELD(hard_link),
      .text = "Make files that are the input's byte for byte hard links to them, not copies." },
    { 0 },
};

static const struct tt_prog prog = {
    .name = "titan-reshard",
    .synopsis = "[options] CHECKPOINT DCP_DIR\n       titan-reshard --average [options] CHECKPOINT... DCP_DIR",
    .about = "write a checkpoint as a job of another shape would have",
    .opts = opts,
    .args_min = 2,
    .shared = tt_tool_rows,
    .shared_rows = TT_TOOL_ALL,
};

int main(int argc, char **argv)
{
    struct tt_reshard_opts how = { 0 };
    struct tt_err err = { 0 };
    int first;

    tt_status st = tt_opt_parse(&prog, argc, argv, &how, &first, &err);
    if (st == TT_OK)
        st = tt_reshard(&prog, &how, argv + first, argc - first, &err);
    tt_opt_release(&prog, &how);
    if (st == TT_EUSAGE)
        return tt_prog_usage(&prog, &err);
    return tt_prog_finish(&prog, st != TT_OK ? tt_prog_report(&prog, &err) : 0);
}
