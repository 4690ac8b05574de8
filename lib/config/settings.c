/* The table: a row a setting, in TorchTitan's order. A new row (and its field in config.h) is a whole setting. */
#include <math.h>
#include <stddef.h>

#include "config/config_private.h"

#define FIELD(path) .key = #path, .offset = offsetof(struct tt_config, path)

/* --- allowed values -------------------------------------------------------------------------------------------------------- */

static const struct tt_choice optimizers[] = { { "AdamW", TT_ADAMW }, { "Adam", TT_ADAM }, { 0 } };
static const struct tt_choice impls[] = {
    { "for-loop", TT_IMPL_FOR_LOOP }, { "foreach", TT_IMPL_FOREACH }, { "fused", TT_IMPL_FUSED }, { 0 }
};
static const struct tt_choice decays[] = {
    { "linear", TT_DECAY_LINEAR }, { "sqrt", TT_DECAY_SQRT }, { "cosine", TT_DECAY_COSINE }, { 0 }
};
static const struct tt_choice train_dtypes[] = { { "bfloat16", TT_BF16 }, { "float32", TT_F32 }, { 0 } };
static const struct tt_choice reduce_dtypes[] = { { "float32", TT_F32 }, { 0 } };
static const struct tt_choice export_dtypes[] = { { "float16", TT_F16 }, { "bfloat16", TT_BF16 }, { "float32", TT_F32 }, { 0 } };
static const struct tt_choice reshards[] = {
    { "default", TT_RESHARD_DEFAULT }, { "always", TT_RESHARD_ALWAYS }, { "never", TT_RESHARD_NEVER }, { 0 }
};
static const struct tt_choice rotations[] = { { "allgather", TT_ROTATE_ALLGATHER }, { "alltoall", TT_ROTATE_ALLTOALL }, { 0 } };
static const struct tt_choice ep_backends[] = { { "standard", TT_EP_STANDARD }, { "deepep", TT_EP_DEEPEP }, { 0 } };
static const struct tt_choice async_modes[] = {
    { "disabled", TT_ASYNC_DISABLED }, { "async", TT_ASYNC }, { "async_with_pinned_mem", TT_ASYNC_PINNED }, { 0 }
};
static const struct tt_choice ac_modes[] = { { "selective", TT_AC_SELECTIVE },
                                             { "full", TT_AC_FULL },
                                             { "memory_budget", TT_AC_MEMORY_BUDGET },
                                             { "none", TT_AC_NONE },
                                             { 0 } };
static const struct tt_choice determinism_checks[] = { { "default", 0 }, { "none", 1 }, { 0 } };
static const struct tt_choice float8_recipes[] = { { "None", TT_FLOAT8_NO_RECIPE },
                                                   { "tensorwise", TT_FLOAT8_TENSORWISE },
                                                   { "rowwise", TT_FLOAT8_ROWWISE },
                                                   { "rowwise_with_gw_hp", TT_FLOAT8_ROWWISE_GW_HP },
                                                   { 0 } };
static const struct tt_choice mx_kernels[] = { { "triton", 0 }, { "cuda", 1 }, { "torch", 2 }, { 0 } };
static const struct tt_choice mx_recipes[] = { { "mxfp8", 0 }, { 0 } };
static const struct tt_choice comm_modes[] = {
    { "default", TT_COMM_DEFAULT }, { "fake_backend", TT_COMM_FAKE_BACKEND }, { "local_tensor", TT_COMM_LOCAL_TENSOR }, { 0 }
};

/* --- bounds: a NaN holds none of them -------------------------------------------------------------------------------------- */

static bool from_0(double v) { return v >= 0; }
static bool from_1(double v) { return v >= 1; }
static bool unit(double v) { return v >= 0 && v <= 1; }
static bool below_1(double v) { return v >= 0 && v < 1; }
static bool positive_or_minus_1(double v) { return v >= 1 || v == -1; }
static bool natural_or_minus_1(double v) { return v >= -1; }

static const struct tt_bound at_least_0 = { from_0, "of at least 0" };
static const struct tt_bound at_least_1 = { from_1, "of at least 1" };
static const struct tt_bound from_0_to_1 = { unit, "from 0 to 1" };
static const struct tt_bound from_0_below_1 = { below_1, "of at least 0 and below 1" };
static const struct tt_bound at_least_1_or_minus_1 = { positive_or_minus_1, "of at least 1, or -1" };
static const struct tt_bound at_least_minus_1 = { natural_or_minus_1, "of at least 0, or -1" };

/* --- default lists --------------------------------------------------------------------------------------------------------- */

static const struct tt_strs def_components = { 2, (const char *const[]){ "model", "loss" } };
static const struct tt_strs def_mm_shapes = { 1, (const char *const[]){ "moe.router.gate" } };
static const struct tt_strs def_mx_filter = { 1, (const char *const[]){ "output" } };

/* --- reasons that several rows share --------------------------------------------------------------------------------------- */

static const char no_pipeline[] = "titan does not have pipeline parallelism";
static const char no_context[] = "titan does not have context parallelism";
static const char no_experts[] = "titan does not have expert parallelism";
static const char no_moe[] = "no family that titan trains has experts";
static const char no_modules[] = "titan loads no Python modules";
static const char no_pinned[] = "a CPU needs no pinned memory";
static const char no_workers[] = "batches are made by the program itself, not by worker processes";

const struct tt_setting tt_settings[] = {
    /* job */
    { FIELD(job.config_file), TT_SET_MAYBE_STR, .def = "None",
      .text = "The file to read settings from, TOML or (.yaml, .yml) YAML." },
    { FIELD(job.dump_folder), TT_SET_STR, .def = "./outputs", .text = "The folder that everything a run writes goes below." },
    { FIELD(job.description), TT_SET_STR, .def = "default job", .text = "What this run is, for the log." },
    { FIELD(job.print_config), TT_SET_BOOL, .def = "False", .text = "Log all settings as JSON at the start." },
    { FIELD(job.save_config_file), TT_SET_MAYBE_STR, .def = "None",
      .text = "A file below job.dump_folder to write all settings to, as JSON." },
    { FIELD(job.custom_config_module), TT_SET_STR, .def = "", .honour = TT_REFUSED, .off = "", .why = no_modules,
      .text = "A Python module with further settings." },

    /* profiling */
    { FIELD(profiling.enable_profiling), TT_SET_BOOL, .def = "False", .text = "Record traces of some steps." },
    { FIELD(profiling.save_traces_folder), TT_SET_STR, .def = "profile_traces",
      .text = "The folder for traces, below job.dump_folder." },
    { FIELD(profiling.profile_freq), TT_SET_INT, .def = "10", .bound = &at_least_1,
      .text = "Steps from one trace to the next; at least profiling.profiler_active and profiling.profiler_warmup together." },
    { FIELD(profiling.profiler_active), TT_SET_INT, .def = "1", .bound = &at_least_0, .text = "Steps that a trace records." },
    { FIELD(profiling.profiler_warmup), TT_SET_INT, .def = "3", .bound = &at_least_0,
      .text = "Steps that PyTorch's profiler runs for before it records; titan's needs none, but they count in "
              "profiling.profile_freq." },
    { FIELD(profiling.enable_memory_snapshot), TT_SET_BOOL, .def = "False",
      .text = "Write where the memory of a step goes, every profiling.profile_freq steps." },
    { FIELD(profiling.save_memory_snapshot_folder), TT_SET_STR, .def = "memory_snapshot",
      .text = "The folder for memory snapshots, below job.dump_folder." },

    /* metrics */
    { FIELD(metrics.log_freq), TT_SET_INT, .def = "10", .bound = &at_least_1,
      .text = "Steps from one line of metrics to the next." },
    { FIELD(metrics.enable_tensorboard), TT_SET_BOOL, .def = "False", .text = "Write metrics for TensorBoard." },
    { FIELD(metrics.disable_color_printing), TT_SET_BOOL, .def = "False", .text = "Log without colours even on a terminal." },
    { FIELD(metrics.save_tb_folder), TT_SET_STR, .def = "tb", .text = "The folder for TensorBoard files, below job.dump_folder." },
    { FIELD(metrics.save_for_all_ranks), TT_SET_BOOL, .def = "False",
      .text = "Write TensorBoard and Weights & Biases metrics of every rank, not of one." },
    { FIELD(metrics.enable_wandb), TT_SET_BOOL, .def = "False", .honour = TT_REFUSED,
      .why = "titan sends nothing to Weights & Biases; metrics.enable_tensorboard writes the same numbers",
      .text = "Send metrics to Weights & Biases." },
    { FIELD(metrics.save_jsonl), TT_SET_MAYBE_STR, .def = "None", .not_empty = true,
      .text =
          "A file for the metrics of every step as JSON, one object a line, or - for the standard output (titan's own setting)." },

    /* model */
    { FIELD(model.name), TT_SET_STR, .def = "llama3", .text = "The family of the model." },
    { FIELD(model.flavor), TT_SET_STR, .def = "debugmodel",
      .text = "The size of the model: the name of one of the family's flavors, or the path of a flavor file (.yaml)." },
    { FIELD(model.hf_assets_path), TT_SET_STR, .def = "./tests/assets/tokenizer",
      .text = "The folder with the tokenizer's files, as Hugging Face has them." },
    { FIELD(model.tokenizer_path), TT_SET_MAYBE_STR, .def = "None",
      .text = "The old name of model.hf_assets_path, which it replaces." },
    { FIELD(model.converters), TT_SET_STRS, .honour = TT_REFUSED, .off = "", .why = "titan trains in float32 and bfloat16",
      .text = "Changes to make to the model before training, such as float8." },
    { FIELD(model.print_after_conversion), TT_SET_BOOL, .def = "False", .honour = TT_REFUSED,
      .why = "there are no PyTorch modules to print", .text = "Print the model after its conversion." },

    /* optimizer */
    { FIELD(optimizer.name), TT_SET_CHOICE, .def = "AdamW", .choices = optimizers, .text = "The optimizer." },
    { FIELD(optimizer.lr), TT_SET_FLOAT, .def = "8e-4", .bound = &at_least_0,
      .text = "The learning rate at the height of its schedule." },
    { FIELD(optimizer.beta1), TT_SET_FLOAT, .def = "0.9", .bound = &from_0_below_1,
      .text = "The decay of the mean of the gradients." },
    { FIELD(optimizer.beta2), TT_SET_FLOAT, .def = "0.95", .bound = &from_0_below_1,
      .text = "The decay of the mean of their squares." },
    { FIELD(optimizer.eps), TT_SET_FLOAT, .def = "1e-8", .bound = &at_least_0,
      .text = "What is added to the root of the second mean." },
    { FIELD(optimizer.weight_decay), TT_SET_FLOAT, .def = "0.1", .bound = &at_least_0, .text = "The weight decay." },
    { FIELD(optimizer.implementation), TT_SET_CHOICE, .def = "fused", .choices = impls, .honour = TT_IGNORED, .off = "fused",
      .why = "titan has one implementation, which rounds as PyTorch's fused one", .text = "How PyTorch would run the optimizer." },
    { FIELD(optimizer.early_step_in_backward), TT_SET_BOOL, .def = "False",
      .text =
          "Update each parameter in the backward pass, once its gradient is complete. Gradients take no memory of their own then; "
          "they are not clipped, grad_norm is 0, and every microbatch is a step of the optimizer. TorchTitan's checkpoints of such "
          "runs "
          "lack most of the optimizer's state: exclude_from_loading optimizer goes on from them." },

    /* lr_scheduler */
    { FIELD(lr_scheduler.warmup_steps), TT_SET_INT, .def = "200", .bound = &at_least_0,
      .text = "Steps in which the learning rate rises to its height." },
    { FIELD(lr_scheduler.total_steps), TT_SET_MAYBE_INT, .def = "None", .bound = &at_least_1,
      .text = "Steps of the whole schedule, training.steps where None." },
    { FIELD(lr_scheduler.decay_ratio), TT_SET_MAYBE_FLOAT, .def = "None", .bound = &from_0_to_1,
      .text = "The part of the steps, at their end, in which the learning rate falls; where None it falls from the end of the "
              "warm-up." },
    { FIELD(lr_scheduler.decay_type), TT_SET_CHOICE, .def = "linear", .choices = decays, .text = "The curve that it falls by." },
    { FIELD(lr_scheduler.min_lr_factor), TT_SET_FLOAT, .def = "0.0", .bound = &at_least_0,
      .text = "The part of optimizer.lr that it falls to." },

    /* training */
    { FIELD(training.dataset), TT_SET_STR, .def = "c4_test",
      .text = "The name of the dataset: c4_test is read whole; c4 and c4_validation are streamed, config en, from a local copy." },
    { FIELD(training.dataset_path), TT_SET_MAYBE_STR, .def = "None",
      .text =
          "Where the dataset is: a folder as Hugging Face datasets loads it, or a file, of JSON lines or a JSON array (plain, .gz, "
          ".zst), or - for lines on the standard input, which one process alone can read: several ranks need a file." },
    { FIELD(training.local_batch_size), TT_SET_INT, .def = "8", .bound = &at_least_1,
      .text = "Sequences that a rank takes at a time." },
    { FIELD(training.global_batch_size), TT_SET_INT, .def = "-1", .bound = &at_least_1_or_minus_1,
      .text =
          "Sequences in a step, gradients being accumulated; -1 for training.local_batch_size times the data-parallel degree." },
    { FIELD(training.seq_len), TT_SET_INT, .def = "2048", .bound = &at_least_1, .text = "Tokens in a sequence." },
    { FIELD(training.max_norm), TT_SET_FLOAT, .def = "1.0", .bound = &at_least_0,
      .text = "The norm that gradients are clipped to." },
    { FIELD(training.steps), TT_SET_INT, .def = "10000", .bound = &at_least_0, .text = "Steps to train." },
    { FIELD(training.enable_cpu_offload), TT_SET_BOOL, .def = "False", .honour = TT_IGNORED,
      .why = "on a CPU everything is in its memory",
      .text = "Keep parameters, gradients and optimizer state in the memory of the CPU." },
    { FIELD(training.dtype), TT_SET_CHOICE, .def = "float32", .choices = train_dtypes,
      .text = "The type of parameters, gradients and optimizer state." },
    { FIELD(training.mixed_precision_param), TT_SET_CHOICE, .def = "bfloat16", .choices = train_dtypes,
      .text =
          "The type that FSDP and HSDP gather parameters in. On one rank and under DDP bfloat16 is autocast, and float32 leaves "
          "parameters as they are stored; under tensor parallelism alone it has no effect." },
    { FIELD(training.mixed_precision_reduce), TT_SET_CHOICE, .def = "float32", .choices = reduce_dtypes,
      .text = "The type that gradients are summed over ranks in." },
    { FIELD(training.gc_freq), TT_SET_INT, .def = "50", .bound = &at_least_1, .honour = TT_IGNORED,
      .why = "there is no garbage to collect", .text = "Steps between runs of Python's garbage collector." },
    { FIELD(training.gc_debug), TT_SET_BOOL, .def = "False", .honour = TT_IGNORED, .why = "there is no garbage to collect",
      .text = "Look for cycles of garbage." },
    { FIELD(training.dataloader.num_workers), TT_SET_INT, .def = "0", .bound = &at_least_0,
      .text =
          "With 1 or more, a thread makes batches ahead, this many times training.dataloader.prefetch_factor. They are those of 0 "
          "workers; TorchTitan gives each of them this many times, or, streamed, divides a rank's files between as many "
          "processes." },
    { FIELD(training.dataloader.persistent_workers), TT_SET_BOOL, .def = "False", .honour = TT_IGNORED,
      .why = "the thread that makes batches ahead lasts as long as the run", .text = "Keep worker processes after an epoch." },
    { FIELD(training.dataloader.pin_memory), TT_SET_BOOL, .def = "False", .honour = TT_IGNORED, .why = no_pinned,
      .text = "Put batches into pinned memory." },
    { FIELD(training.dataloader.prefetch_factor), TT_SET_MAYBE_INT, .def = "None", .bound = &at_least_1,
      .text = "Batches made ahead for each worker, 2 where None; nothing without workers." },

    /* parallelism */
    { FIELD(parallelism.data_parallel_replicate_degree), TT_SET_INT, .def = "1",
      .text = "Groups of ranks that each hold all weights." },
    { FIELD(parallelism.data_parallel_shard_degree), TT_SET_INT, .def = "-1",
      .text = "Ranks that share the weights of a group; -1 for all that the other degrees leave." },
    { FIELD(parallelism.fsdp_reshard_after_forward), TT_SET_CHOICE, .def = "default", .choices = reshards,
      .text = "Whether gathered weights are given back after the forward pass." },
    { FIELD(parallelism.tensor_parallel_degree), TT_SET_INT, .def = "1", .text = "Ranks that share each matrix." },
    { FIELD(parallelism.disable_loss_parallel), TT_SET_BOOL, .def = "False", .text = "Gather the logits before the loss." },
    { FIELD(parallelism.enable_async_tensor_parallel), TT_SET_BOOL, .def = "False",
      .text = "Overlap the communication of tensor parallelism with products, which gains time over a network: copies between "
              "processes of one "
              "machine take the same cores. TorchTitan asks for a compiled model; titan does not." },
    { FIELD(parallelism.pipeline_parallel_degree), TT_SET_INT, .def = "1", .honour = TT_ONE, .why = no_pipeline,
      .text = "Ranks that the layers are spread over." },
    { FIELD(parallelism.module_fqns_per_model_part), TT_SET_STRS_LIST, .honour = TT_GOES_WITH, .def = "None",
      .with = "parallelism.pipeline_parallel_degree", .text = "The modules of each stage: a list of lists of names." },
    { FIELD(parallelism.pipeline_parallel_first_stage_less_layers), TT_SET_INT, .def = "1", .honour = TT_GOES_WITH,
      .with = "parallelism.pipeline_parallel_degree", .text = "Layers that the first stage has less, for its embedding." },
    { FIELD(parallelism.pipeline_parallel_last_stage_less_layers), TT_SET_INT, .def = "1", .honour = TT_GOES_WITH,
      .with = "parallelism.pipeline_parallel_degree", .text = "Layers that the last stage has less, for its output." },
    { FIELD(parallelism.pipeline_parallel_layers_per_stage), TT_SET_MAYBE_INT, .def = "None", .honour = TT_GOES_WITH,
      .with = "parallelism.pipeline_parallel_degree", .text = "Layers of a stage." },
    { FIELD(parallelism.pipeline_parallel_schedule), TT_SET_STR, .def = "1F1B", .honour = TT_GOES_WITH,
      .with = "parallelism.pipeline_parallel_degree", .text = "The schedule of the pipeline." },
    { FIELD(parallelism.pipeline_parallel_schedule_csv), TT_SET_MAYBE_STR, .def = "", .honour = TT_GOES_WITH,
      .with = "parallelism.pipeline_parallel_degree", .text = "A file with the schedule." },
    { FIELD(parallelism.pipeline_parallel_microbatch_size), TT_SET_INT, .def = "1", .honour = TT_GOES_WITH,
      .with = "parallelism.pipeline_parallel_degree", .text = "Sequences of a microbatch." },
    { FIELD(parallelism.pipeline_parallel_expert_parallel_overlap), TT_SET_BOOL, .def = "True", .honour = TT_GOES_WITH,
      .with = "parallelism.pipeline_parallel_degree", .text = "Overlap the communication of experts with the pipeline's." },
    { FIELD(parallelism.context_parallel_degree), TT_SET_INT, .def = "1", .honour = TT_ONE, .why = no_context,
      .text = "Ranks that share each sequence." },
    { FIELD(parallelism.context_parallel_load_balancer), TT_SET_MAYBE_STR, .def = "headtail", .not_empty = true,
      .honour = TT_GOES_WITH, .with = "parallelism.context_parallel_degree",
      .text = "How a sequence is cut so that ranks have the same work." },
    { FIELD(parallelism.context_parallel_rotate_method), TT_SET_CHOICE, .def = "allgather", .choices = rotations,
      .honour = TT_GOES_WITH, .with = "parallelism.context_parallel_degree", .text = "How keys and values go round." },
    { FIELD(parallelism.expert_parallel_degree), TT_SET_INT, .def = "1", .honour = TT_ONE, .why = no_experts,
      .text = "Ranks that the experts are spread over." },
    { FIELD(parallelism.expert_tensor_parallel_degree), TT_SET_INT, .def = "1", .honour = TT_ONE, .why = no_experts,
      .text = "Ranks that share each expert's matrices." },
    { FIELD(parallelism.expert_parallel_comm_backend), TT_SET_CHOICE, .def = "standard", .choices = ep_backends,
      .honour = TT_GOES_WITH, .with = "parallelism.expert_parallel_degree", .text = "What carries tokens to experts." },

    /* checkpoint */
    { FIELD(checkpoint.enable), TT_SET_BOOL, .def = "False", .text = "Save checkpoints, and resume from the latest at the start." },
    { FIELD(checkpoint.enable_ft_dataloader_checkpoints), TT_SET_BOOL, .def = "True", .honour = TT_GOES_WITH,
      .with = "fault_tolerance.enable", .text = "Save the position in the data of every replica." },
    { FIELD(checkpoint.folder), TT_SET_STR, .def = "checkpoint", .text = "The folder of the checkpoints, below job.dump_folder." },
    { FIELD(checkpoint.interval), TT_SET_INT, .def = "500", .bound = &at_least_1,
      .text = "Steps from one checkpoint to the next." },
    { FIELD(checkpoint.initial_load_path), TT_SET_MAYBE_STR, .def = "None",
      .text = "A checkpoint to start from where checkpoint.folder has none." },
    { FIELD(checkpoint.initial_load_model_only), TT_SET_BOOL, .def = "True", .text = "Take only the model from it." },
    { FIELD(checkpoint.initial_load_in_hf), TT_SET_BOOL, .def = "False",
      .text = "It is a Hugging Face checkpoint; that of model.hf_assets_path where there is no initial_load_path." },
    { FIELD(checkpoint.initial_load_in_hf_quantized), TT_SET_BOOL, .def = "False",
      .text = "Its weights are quantized, which titan sees by itself." },
    { FIELD(checkpoint.last_save_model_only), TT_SET_BOOL, .def = "True",
      .text = "Save only the model at the last step, as checkpoint.export_dtype." },
    { FIELD(checkpoint.last_save_in_hf), TT_SET_BOOL, .def = "False",
      .text = "Save that in Hugging Face's form, its files and tokenizer as in model.hf_assets_path." },
    { FIELD(checkpoint.export_dtype), TT_SET_CHOICE, .def = "float32", .choices = export_dtypes,
      .text = "The type of a last step that has only the model; float32 leaves it in training.dtype." },
    { FIELD(checkpoint.async_mode), TT_SET_CHOICE, .def = "disabled", .choices = async_modes,
      .text = "Save while training goes on, from a copy of the state; both ways of it are one in titan." },
    { FIELD(checkpoint.keep_latest_k), TT_SET_INT, .def = "10",
      .text = "After each save but that of the last step, complete steps beyond this many of the latest are removed, though never "
              "the one "
              "just saved; 0 or less keeps all, and 1 is an error." },
    { FIELD(checkpoint.load_step), TT_SET_INT, .def = "-1", .bound = &at_least_minus_1,
      .text = "The step to resume from, where checkpoint.folder is there; -1 for the latest." },
    { FIELD(checkpoint.exclude_from_loading), TT_SET_STRS,
      .text = "What not to take from a checkpoint: model, optimizer, lr_scheduler, dataloader, train_state. Of what is loaded as "
              "the model "
              "alone, a seed or initial_load_path, nothing is left out." },
    { FIELD(checkpoint.enable_first_step_checkpoint), TT_SET_BOOL, .def = "False",
      .text = "Save a checkpoint after the first step too." },
    { FIELD(checkpoint.create_seed_checkpoint), TT_SET_BOOL, .def = "False",
      .text = "Save the initial weights as step 0 and stop, as titan-seed does." },
    { FIELD(checkpoint.load_only), TT_SET_BOOL, .def = "False", .text = "Resume, but save nothing." },

    /* activation_checkpoint */
    { FIELD(activation_checkpoint.mode), TT_SET_CHOICE, .def = "selective", .choices = ac_modes,
      .text =
          "Which activations to compute again in the backward pass instead of keeping them; the numbers are the same whichever." },
    { FIELD(activation_checkpoint.selective_ac_option), TT_SET_STR, .def = "2",
      .text = "In mode selective: a number, of layers of which the last is computed again whole (0 as 1: every layer), or op, all "
              "layers "
              "but for attention and every second matrix product." },
    { FIELD(activation_checkpoint.per_op_sac_force_recompute_mm_shapes_by_fqns), TT_SET_STRS, .def_strs = &def_mm_shapes,
      .text =
          "With selective_ac_option op: parts of names of linear modules; a product whose weight has the shape of one of theirs is "
          "computed again, and not counted among the second ones." },
    { FIELD(activation_checkpoint.early_stop), TT_SET_BOOL, .def = "False", .honour = TT_IGNORED,
      .why = "nothing is ever computed again that is not needed", .text = "Stop computing again where nothing more is needed." },
    { FIELD(activation_checkpoint.memory_budget), TT_SET_FLOAT, .def = "0.5", .bound = &from_0_to_1,
      .text =
          "In mode memory_budget: from 0, keep what mode full keeps, to 1, keep what mode none keeps; in between what takes most "
          "operations a byte is kept first. TorchTitan asks for a compiled model; titan does not." },
    { FIELD(activation_checkpoint.visualize_memory_budget_pareto), TT_SET_BOOL, .def = "False", .honour = TT_REFUSED,
      .why = "titan draws no such picture; comm.mode fake_backend says what a step of a budget takes",
      .text = "Draw memory against time for a range of budgets." },
    { FIELD(activation_checkpoint.preserve_rng_state), TT_SET_BOOL, .def = "True", .honour = TT_IGNORED,
      .why = "no operation draws random numbers", .text = "Draw the same random numbers again." },
    { FIELD(activation_checkpoint.determinism_check), TT_SET_STR, .def = "default", .choices = determinism_checks,
      .honour = TT_IGNORED, .off = "default", .why = "what is computed again is the same operation on the same bytes",
      .text = "How to compare what is computed again with the first time." },
    { FIELD(activation_checkpoint.debug), TT_SET_BOOL, .def = "False", .honour = TT_IGNORED,
      .why = "profiling.enable_profiling records what is computed again", .text = "Record what is computed again." },

    /* compile */
    { FIELD(compile.enable), TT_SET_BOOL, .def = "False", .honour = TT_IGNORED, .why = "titan is compiled",
      .text = "Use torch.compile." },
    { FIELD(compile.components), TT_SET_STRS, .def_strs = &def_components, .honour = TT_GOES_WITH, .with = "compile.enable",
      .text = "What to compile." },
    { FIELD(compile.backend), TT_SET_STR, .def = "inductor", .honour = TT_GOES_WITH, .with = "compile.enable",
      .text = "What compiles." },

    /* quantize */
    { FIELD(quantize.linear.float8.enable_fsdp_float8_all_gather), TT_SET_BOOL, .def = "False", .honour = TT_GOES_WITH,
      .with = "model.converters", .text = "Gather weights in float8." },
    { FIELD(quantize.linear.float8.precompute_float8_dynamic_scale_for_fsdp), TT_SET_BOOL, .def = "False", .honour = TT_GOES_WITH,
      .with = "model.converters", .text = "Compute the scales of all weights at once." },
    { FIELD(quantize.linear.float8.recipe_name), TT_SET_CHOICE, .def = "None", .choices = float8_recipes, .honour = TT_GOES_WITH,
      .with = "model.converters", .text = "What has a scale of its own." },
    { FIELD(quantize.linear.float8.filter_fqns), TT_SET_STRS, .honour = TT_GOES_WITH, .with = "model.converters",
      .text = "Modules to leave as they are." },
    { FIELD(quantize.linear.float8.emulate), TT_SET_BOOL, .def = "False", .honour = TT_GOES_WITH, .with = "model.converters",
      .text = "Emulate float8 products." },
    { FIELD(quantize.linear.mx.mxfp8_dim1_cast_kernel_choice), TT_SET_STR, .def = "triton", .choices = mx_kernels,
      .honour = TT_GOES_WITH, .with = "model.converters", .text = "What casts along the first dimension." },
    { FIELD(quantize.linear.mx.recipe_name), TT_SET_STR, .def = "mxfp8_cublas", .honour = TT_GOES_WITH, .with = "model.converters",
      .text = "The MX recipe." },
    { FIELD(quantize.linear.mx.filter_fqns), TT_SET_STRS, .def_strs = &def_mx_filter, .honour = TT_GOES_WITH,
      .with = "model.converters", .text = "Modules to leave as they are." },
    { FIELD(quantize.grouped_mm.float8.fqns), TT_SET_STRS, .or_str = true, .honour = TT_GOES_WITH, .with = "model.converters",
      .text = "Expert modules to convert." },
    { FIELD(quantize.grouped_mm.mx.recipe_name), TT_SET_STR, .def = "mxfp8", .choices = mx_recipes, .honour = TT_GOES_WITH,
      .with = "model.converters", .text = "The MX recipe of experts." },
    { FIELD(quantize.grouped_mm.mx.fqns), TT_SET_STRS, .or_str = true, .honour = TT_GOES_WITH, .with = "model.converters",
      .text = "Expert modules to convert." },

    /* comm */
    { FIELD(comm.init_timeout_seconds), TT_SET_INT, .def = "300", .bound = &at_least_1,
      .text = "How long a collective may take until the first step is done." },
    { FIELD(comm.train_timeout_seconds), TT_SET_INT, .def = "100", .bound = &at_least_1,
      .text = "How long it may take afterwards." },
    { FIELD(comm.trace_buf_size), TT_SET_INT, .def = "20000", .bound = &at_least_0,
      .text = "Collectives that the flight recorder remembers; 0 for none." },
    { FIELD(comm.save_traces_folder), TT_SET_STR, .def = "comm_traces",
      .text = "The folder for its records, below job.dump_folder." },
    { FIELD(comm.save_traces_file_prefix), TT_SET_STR, .def = "rank_", .text = "How the names of its files start." },
    { FIELD(comm.mode), TT_SET_CHOICE, .def = "default", .choices = comm_modes,
      .text =
          "Train; say what memory and operations a step takes without training; or train with $NGPU ranks in this one process." },

    /* memory_estimation */
    { FIELD(memory_estimation.enable), TT_SET_BOOL, .def = "False", .honour = TT_IGNORED,
      .why = "TorchTitan's training does not look at it either", .text = "Estimate the memory that training takes." },
    { FIELD(memory_estimation.disable_fake_mode), TT_SET_BOOL, .def = "False", .honour = TT_GOES_WITH,
      .with = "memory_estimation.enable", .text = "Estimate with real tensors." },

    /* fault_tolerance */
    { FIELD(fault_tolerance.enable), TT_SET_BOOL, .def = "False", .honour = TT_REFUSED, .why = "titan has no replica groups",
      .text = "Train in replica groups that may come and go." },
    { FIELD(fault_tolerance.process_group), TT_SET_STR, .def = "gloo", .honour = TT_GOES_WITH, .with = "fault_tolerance.enable",
      .text = "What carries their communication." },
    { FIELD(fault_tolerance.process_group_timeout_ms), TT_SET_INT, .def = "10000", .honour = TT_GOES_WITH,
      .with = "fault_tolerance.enable", .text = "How long it may take." },
    { FIELD(fault_tolerance.replica_id), TT_SET_INT, .def = "0", .honour = TT_GOES_WITH, .with = "fault_tolerance.enable",
      .text = "Which replica group this is." },
    { FIELD(fault_tolerance.group_size), TT_SET_INT, .def = "0", .honour = TT_GOES_WITH, .with = "fault_tolerance.enable",
      .text = "How many there are at most." },
    { FIELD(fault_tolerance.min_replica_size), TT_SET_INT, .def = "1", .honour = TT_GOES_WITH, .with = "fault_tolerance.enable",
      .text = "How many a step needs." },
    { FIELD(fault_tolerance.semi_sync_method), TT_SET_MAYBE_STR, .def = "None", .honour = TT_GOES_WITH,
      .with = "fault_tolerance.enable", .text = "How they agree between steps." },

    /* experimental */
    { FIELD(experimental.custom_import), TT_SET_STR, .def = "", .honour = TT_REFUSED, .off = "", .why = no_modules,
      .text = "A Python module to import." },
    { FIELD(experimental.custom_args_module), TT_SET_STR, .def = "", .honour = TT_REFUSED, .off = "", .why = no_modules,
      .text = "The old name of job.custom_config_module." },

    /* validation */
    { FIELD(validation.enable), TT_SET_BOOL, .def = "False", .text = "Compute the loss on a second dataset from time to time." },
    { FIELD(validation.dataset), TT_SET_STR, .def = "c4_validation", .text = "The name of that dataset." },
    { FIELD(validation.dataset_path), TT_SET_MAYBE_STR, .def = "None",
      .text = "Where it is: a file or folder of JSON lines (plain, .gz, .zst)." },
    { FIELD(validation.local_batch_size), TT_SET_INT, .def = "8", .bound = &at_least_1,
      .text = "Sequences that a rank takes at a time." },
    { FIELD(validation.seq_len), TT_SET_INT, .def = "2048", .bound = &at_least_1,
      .text = "Tokens in a sequence, at most training.seq_len." },
    { FIELD(validation.freq), TT_SET_INT, .def = "10", .bound = &at_least_1,
      .text = "Steps from one validation to the next; there is one after step 1 too." },
    { FIELD(validation.steps), TT_SET_INT, .def = "-1", .bound = &at_least_1_or_minus_1,
      .text = "Batches of a validation; -1 for all of the dataset." },
    { FIELD(validation.dataloader.num_workers), TT_SET_INT, .def = "0", .bound = &at_least_0, .honour = TT_IGNORED, .off = "0",
      .when = "validation.enable", .why = "batches are made when they are used; TorchTitan would give each of them that many times",
      .text = "Processes that make batches." },
    { FIELD(validation.dataloader.persistent_workers), TT_SET_BOOL, .def = "False", .honour = TT_IGNORED,
      .when = "validation.enable", .why = no_workers, .text = "Keep those processes after an epoch." },
    { FIELD(validation.dataloader.pin_memory), TT_SET_BOOL, .def = "False", .honour = TT_IGNORED, .when = "validation.enable",
      .why = no_pinned, .text = "Put batches into pinned memory." },
    { FIELD(validation.dataloader.prefetch_factor), TT_SET_MAYBE_INT, .def = "None", .bound = &at_least_1, .honour = TT_IGNORED,
      .off = "None", .when = "validation.enable", .why = no_workers, .text = "Batches that a worker makes ahead." },

    /* debug */
    { FIELD(debug.seed), TT_SET_MAYBE_INT, .def = "None",
      .text = "The seed of the initial weights; one from the system where None." },
    { FIELD(debug.deterministic), TT_SET_BOOL, .def = "False",
      .text = "Give the same numbers again in every run; with as many threads, titan always does." },
    { FIELD(debug.deterministic_warn_only), TT_SET_BOOL, .def = "False",
      .text = "Only warn about operations that cannot; titan has none of those." },
    { FIELD(debug.moe_force_load_balance), TT_SET_BOOL, .def = "False", .honour = TT_REFUSED, .why = no_moe,
      .text = "Give all experts the same number of tokens." },

    /* generate: the arguments of TorchTitan's scripts/generate/test_generate.py. What they go with (model, checkpoint, seq_len, dtype)
     * are settings, and so are they; an option like --plot could not stand in a file beside those. */
    { FIELD(generate.prompt), TT_SET_MAYBE_STR, .def = "None",
      .text = "Train nothing; print how the model goes on from this text, or from the standard input where it is - (titan's own "
              "setting, as are all of generate)." },
    { FIELD(generate.max_new_tokens), TT_SET_INT, .def = "32", .bound = &at_least_1, .text = "Tokens that it goes on by." },
    { FIELD(generate.temperature), TT_SET_FLOAT, .def = "1.0", .bound = &at_least_0,
      .text = "What logits are divided by; 0 for the most likely token each time." },
    { FIELD(generate.top_k), TT_SET_MAYBE_INT, .def = "None", .bound = &at_least_1,
      .text = "Draw from that many of the most likely tokens; from all where None." },
    { FIELD(generate.seed), TT_SET_MAYBE_INT, .def = "None", .text = "The seed of the drawing; one from the system where None." },
    { FIELD(generate.batch_size), TT_SET_INT, .def = "1", .bound = &at_least_1, .text = "Sequences that go on from the prompt." },
    { FIELD(generate.out), TT_SET_BOOL, .def = "False", .text = "Print a report in JSON instead of the text." },
};

const size_t tt_nsettings = sizeof tt_settings / sizeof *tt_settings;
