/* lib/config/config.h: what a run is asked to do: every setting of TorchTitan 0.2.2 under TorchTitan's name, and a few of titan's.
 *
 * A setting "section.key" is the field `section.key` of struct tt_config, nested sections too (training.dataloader.num_workers).
 * One table (lib/config/settings.c) has a row a setting: kind, default, allowed values, help, and whether titan honours it. The
 * readers of TOML, YAML and the command line, --help, titan.toml(5), the completions and the JSON form all come from it.
 *
 * Precedence: command line, then file, then default. */
#ifndef TT_CONFIG_CONFIG_H
#define TT_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "tensor/dtype.h"

/* --- the kinds of values ------------------------------------------------------------------------------------------------- */
struct tt_maybe_int { bool set; int64_t v; };   /* not set: TorchTitan's None */
struct tt_maybe_float { bool set; double v; };
struct tt_strs { size_t n; const char *const *s; };
struct tt_strs_list { bool set; size_t n; const struct tt_strs *list; };
/* A `const char *` below is never NULL unless its comment says "NULL: none". */

enum tt_optimizer_name { TT_ADAMW, TT_ADAM };
enum tt_optimizer_impl { TT_IMPL_FOR_LOOP, TT_IMPL_FOREACH, TT_IMPL_FUSED };
enum tt_decay_type { TT_DECAY_LINEAR, TT_DECAY_SQRT, TT_DECAY_COSINE };
enum tt_reshard { TT_RESHARD_DEFAULT, TT_RESHARD_ALWAYS, TT_RESHARD_NEVER };
enum tt_cp_rotate { TT_ROTATE_ALLGATHER, TT_ROTATE_ALLTOALL };
enum tt_ep_backend { TT_EP_STANDARD, TT_EP_DEEPEP };
enum tt_async_mode { TT_ASYNC_DISABLED, TT_ASYNC, TT_ASYNC_PINNED };
enum tt_ac_mode { TT_AC_NONE, TT_AC_SELECTIVE, TT_AC_FULL, TT_AC_MEMORY_BUDGET };
enum tt_float8_recipe { TT_FLOAT8_NO_RECIPE, TT_FLOAT8_TENSORWISE, TT_FLOAT8_ROWWISE, TT_FLOAT8_ROWWISE_GW_HP };
enum tt_comm_mode { TT_COMM_DEFAULT, TT_COMM_FAKE_BACKEND, TT_COMM_LOCAL_TENSOR };

/* --- the sections -------------------------------------------------------------------------------------------------------- */
struct tt_config_job {
    const char *config_file; /* NULL: none */
    const char *dump_folder, *description;
    bool print_config;
    const char *save_config_file; /* NULL: none */
    const char *custom_config_module;
};

struct tt_config_profiling {
    bool enable_profiling;
    const char *save_traces_folder;
    int64_t profile_freq, profiler_active, profiler_warmup;
    bool enable_memory_snapshot;
    const char *save_memory_snapshot_folder;
};

struct tt_config_metrics {
    int64_t log_freq;
    bool enable_tensorboard, disable_color_printing;
    const char *save_tb_folder;
    bool save_for_all_ranks, enable_wandb;
    const char *save_jsonl; /* titan's own: a file, "-" for stdout; NULL: none */
};

struct tt_config_model {
    const char *name, *flavor, *hf_assets_path; /* hf_assets_path has taken the value of tokenizer_path where that is set */
    const char *tokenizer_path;                 /* NULL: none */
    struct tt_strs converters;
    bool print_after_conversion;
};

struct tt_config_optimizer {
    enum tt_optimizer_name name;
    double lr, beta1, beta2, eps, weight_decay;
    enum tt_optimizer_impl implementation;
    bool early_step_in_backward;
};

struct tt_config_lr_scheduler {
    int64_t warmup_steps;
    struct tt_maybe_int total_steps;
    struct tt_maybe_float decay_ratio;
    enum tt_decay_type decay_type;
    double min_lr_factor;
};

struct tt_config_dataloader {
    int64_t num_workers;
    bool persistent_workers, pin_memory;
    struct tt_maybe_int prefetch_factor;
};

struct tt_config_training {
    const char *dataset;
    const char *dataset_path; /* NULL: none */
    int64_t local_batch_size, global_batch_size /* -1: local times data-parallel degree */, seq_len;
    double max_norm;
    int64_t steps;
    bool enable_cpu_offload;
    enum tt_dtype dtype, mixed_precision_param, mixed_precision_reduce; /* TT_BF16 or TT_F32; reduce is TT_F32 */
    int64_t gc_freq;
    bool gc_debug;
    struct tt_config_dataloader dataloader;
};

struct tt_config_parallelism {
    int64_t data_parallel_replicate_degree, data_parallel_shard_degree /* -1: what is left */;
    enum tt_reshard fsdp_reshard_after_forward;
    int64_t tensor_parallel_degree;
    bool disable_loss_parallel, enable_async_tensor_parallel;
    int64_t pipeline_parallel_degree;
    struct tt_strs_list module_fqns_per_model_part;
    int64_t pipeline_parallel_first_stage_less_layers, pipeline_parallel_last_stage_less_layers;
    struct tt_maybe_int pipeline_parallel_layers_per_stage;
    const char *pipeline_parallel_schedule;
    const char *pipeline_parallel_schedule_csv; /* NULL: none */
    int64_t pipeline_parallel_microbatch_size;
    bool pipeline_parallel_expert_parallel_overlap;
    int64_t context_parallel_degree;
    const char *context_parallel_load_balancer; /* NULL: none */
    enum tt_cp_rotate context_parallel_rotate_method;
    int64_t expert_parallel_degree, expert_tensor_parallel_degree;
    enum tt_ep_backend expert_parallel_comm_backend;
};

struct tt_config_checkpoint {
    bool enable, enable_ft_dataloader_checkpoints;
    const char *folder; /* below job.dump_folder */
    int64_t interval;
    const char *initial_load_path; /* NULL: none */
    bool initial_load_model_only, initial_load_in_hf, initial_load_in_hf_quantized, last_save_model_only, last_save_in_hf;
    enum tt_dtype export_dtype; /* TT_F16, TT_BF16, TT_F32 */
    enum tt_async_mode async_mode;
    int64_t keep_latest_k; /* 0: all */
    int64_t load_step;     /* -1: the latest */
    struct tt_strs exclude_from_loading; /* state names as the checkpoint has them: "data_loader" arrives as "dataloader" */
    bool enable_first_step_checkpoint, create_seed_checkpoint, load_only;
};

struct tt_config_activation_checkpoint {
    enum tt_ac_mode mode;
    const char *selective_ac_option;
    struct tt_strs per_op_sac_force_recompute_mm_shapes_by_fqns;
    bool early_stop;
    double memory_budget;
    bool visualize_memory_budget_pareto, preserve_rng_state;
    const char *determinism_check;
    bool debug;
};

struct tt_config_compile {
    bool enable;
    struct tt_strs components;
    const char *backend;
};

struct tt_config_quantize {
    struct {
        struct {
            bool enable_fsdp_float8_all_gather, precompute_float8_dynamic_scale_for_fsdp;
            enum tt_float8_recipe recipe_name;
            struct tt_strs filter_fqns;
            bool emulate;
        } float8;
        struct {
            const char *mxfp8_dim1_cast_kernel_choice, *recipe_name;
            struct tt_strs filter_fqns;
        } mx;
    } linear;
    struct {
        struct { struct tt_strs fqns; } float8;
        struct { const char *recipe_name; struct tt_strs fqns; } mx;
    } grouped_mm;
};

struct tt_config_comm {
    int64_t init_timeout_seconds, train_timeout_seconds, trace_buf_size;
    const char *save_traces_folder, *save_traces_file_prefix;
    enum tt_comm_mode mode;
};

struct tt_config_memory_estimation { bool enable, disable_fake_mode; };

struct tt_config_fault_tolerance {
    bool enable;
    const char *process_group;
    int64_t process_group_timeout_ms, replica_id, group_size, min_replica_size;
    const char *semi_sync_method; /* NULL: none */
};

struct tt_config_experimental { const char *custom_import, *custom_args_module; };

struct tt_config_validation {
    bool enable;
    const char *dataset;
    const char *dataset_path; /* NULL: none */
    int64_t local_batch_size, seq_len, freq, steps;
    struct tt_config_dataloader dataloader;
};

struct tt_config_debug {
    struct tt_maybe_int seed;
    bool deterministic, deterministic_warn_only, moe_force_load_balance;
};

/* titan's own, all of it: TorchTitan has a script beside its trainer. */
struct tt_config_generate {
    const char *prompt; /* NULL: nothing is to be generated */
    int64_t max_new_tokens;
    double temperature;
    struct tt_maybe_int top_k, seed;
    int64_t batch_size;
    bool out;
};

struct tt_config_origin; /* where a value came from; config_private.h */

struct tt_config {
    struct tt_config_job job;
    struct tt_config_profiling profiling;
    struct tt_config_metrics metrics;
    struct tt_config_model model;
    struct tt_config_optimizer optimizer;
    struct tt_config_lr_scheduler lr_scheduler;
    struct tt_config_training training;
    struct tt_config_parallelism parallelism;
    struct tt_config_checkpoint checkpoint;
    struct tt_config_activation_checkpoint activation_checkpoint;
    struct tt_config_compile compile;
    struct tt_config_quantize quantize;
    struct tt_config_comm comm;
    struct tt_config_memory_estimation memory_estimation;
    struct tt_config_fault_tolerance fault_tolerance;
    struct tt_config_experimental experimental;
    struct tt_config_validation validation;
    struct tt_config_debug debug;
    struct tt_config_generate generate;

    const struct tt_config_origin *origin; /* an entry a setting; NULL: all are defaults */
};

/* Every setting at its default. Strings and lists are constants of the program. */
void tt_config_init(struct tt_config *out);

/* Defaults, then the file that the arguments name (--job.config_file FILE, or a plain argument that ends in .toml, .yaml or
 * .yml), then the arguments argv[1 .. argc). What they hold is copied into the arena, which must outlive *out.
 *
 * TT_EUSAGE: a wrong argument. TT_EINVAL: a wrong key, type or value in the file, or a setting that titan does not honour and
 * whose absence could change the results. TT_EFORMAT, TT_ENOENT, TT_EIO: the file itself. Every message names the file and line
 * or the option, the value, what was expected, and the nearest known name.
 * Settings that are switched on and ignored without effect on the results are a warning each in the log (which may be NULL). */
TT_MUST_CHECK tt_status tt_config_load(struct tt_config *out, struct tt_arena *arena, int argc, char *const *argv,
                                       const struct tt_log *log, struct tt_err *err);

/* The same of a job that titan does not run: nothing is said about what it does not honour. */
TT_MUST_CHECK tt_status tt_config_read(struct tt_config *out, struct tt_arena *arena, int argc, char *const *argv,
                                       struct tt_err *err);

/* TorchTitan's rule: dp_replicate * dp_shard * cp * tp * pp is the number of processes, and a dp_shard of -1 takes what is left.
 * A sequence divides over tp and twice cp. TT_EINVAL with its message, or for a degree that titan does not have. */
TT_MUST_CHECK tt_status tt_config_check_ranks(const struct tt_config *config, int64_t nranks, struct tt_err *err);

/* Where a setting got its value, as the head of a message: "debug.toml:12: training.seq_len", "--training.seq_len" or
 * "training.seq_len" (its default). key must be a setting's. Borrowed from the config's arena. */
const char *tt_config_where(const struct tt_config *config, const char *key);

/* True where the file or the command line has the setting (be it with its default value). */
bool tt_config_given(const struct tt_config *config, const char *key);

/* All settings as JSON, in TorchTitan's order, indented by 2: what --job.print_config shows after "Running with configs: ". */
TT_MUST_CHECK tt_status tt_config_json(struct tt_buf *out, const struct tt_config *config, struct tt_err *err);

/* Each setting on a line of its own, "SECTION.KEY\tVALUE\n", the value as JSON. */
TT_MUST_CHECK tt_status tt_config_lines(struct tt_buf *out, const struct tt_config *config, struct tt_err *err);

/* What job.print_config and job.save_config_file ask for: the JSON in the log, one record of many lines behind the words above; and
 * in the file, below job.dump_folder, with a line that says so. Does nothing where neither is set. */
TT_MUST_CHECK tt_status tt_config_report(const struct tt_config *config, const struct tt_log *log, struct tt_err *err);

/* The settings as the option rows of a program (lib/cli/opt.h), ended by a zeroed row; NULL where the arena has no memory:
 *     struct tt_prog prog = { "titan-train", "[--section.key value ...] [FILE.toml]", "...", .opts = tt_config_opts(&arena) };
 *     tt_prog_answer(&prog, argc, argv);      --help, --version and the like print and exit here
 *     tt_config_load(&config, &arena, argc, argv, &log, &err); */
struct tt_opt;
const struct tt_opt *tt_config_opts(struct tt_arena *arena);

#endif
