# fish completion for titan-seed: made by 'titan-seed --help-completion=fish'
complete -c titan-seed -l job.config_file -r -d 'The file to read settings from, TOML or (.yaml, .yml) YAML'
complete -c titan-seed -l job.dump_folder -r -d 'The folder that everything a run writes goes below'
complete -c titan-seed -l job.description -r -d 'What this run is, for the log'
complete -c titan-seed -l job.print_config -d 'Log all settings as JSON at the start'
complete -c titan-seed -l job.no_print_config
complete -c titan-seed -l job.save_config_file -r -d 'A file below job.dump_folder to write all settings to, as JSON'
complete -c titan-seed -l job.custom_config_module -r -d 'A Python module with further settings'
complete -c titan-seed -l profiling.enable_profiling -d 'Record traces of some steps'
complete -c titan-seed -l profiling.no_enable_profiling
complete -c titan-seed -l profiling.save_traces_folder -r -d 'The folder for traces, below job.dump_folder'
complete -c titan-seed -l profiling.profile_freq -x -d 'Steps from one trace to the next; at least profiling.profiler_active and profiling.profiler_warmup together'
complete -c titan-seed -l profiling.profiler_active -x -d 'Steps that a trace records'
complete -c titan-seed -l profiling.profiler_warmup -x -d 'Steps that PyTorch\'s profiler runs for before it records; titan\'s needs none, but they count in profiling.profile_freq'
complete -c titan-seed -l profiling.enable_memory_snapshot -d 'Write where the memory of a step goes, every profiling.profile_freq steps'
complete -c titan-seed -l profiling.no_enable_memory_snapshot
complete -c titan-seed -l profiling.save_memory_snapshot_folder -r -d 'The folder for memory snapshots, below job.dump_folder'
complete -c titan-seed -l metrics.log_freq -x -d 'Steps from one line of metrics to the next'
complete -c titan-seed -l metrics.enable_tensorboard -d 'Write metrics for TensorBoard'
complete -c titan-seed -l metrics.no_enable_tensorboard
complete -c titan-seed -l metrics.disable_color_printing -d 'Log without colours even on a terminal'
complete -c titan-seed -l metrics.no_disable_color_printing
complete -c titan-seed -l metrics.save_tb_folder -r -d 'The folder for TensorBoard files, below job.dump_folder'
complete -c titan-seed -l metrics.save_for_all_ranks -d 'Write TensorBoard and Weights & Biases metrics of every rank, not of one'
complete -c titan-seed -l metrics.no_save_for_all_ranks
complete -c titan-seed -l metrics.enable_wandb -d 'Send metrics to Weights & Biases'
complete -c titan-seed -l metrics.no_enable_wandb
complete -c titan-seed -l metrics.save_jsonl -r -d 'A file for the metrics of every step as JSON, one object a line, or - for the standard output (titan\'s own setting)'
complete -c titan-seed -l model.name -r -d 'The family of the model'
complete -c titan-seed -l model.flavor -r -d 'The size of the model: the name of one of the family\'s flavors, or the path of a flavor file (.yaml)'
complete -c titan-seed -l model.hf_assets_path -r -d 'The folder with the tokenizer\'s files, as Hugging Face has them'
complete -c titan-seed -l model.tokenizer_path -r -d 'The old name of model.hf_assets_path, which it replaces'
complete -c titan-seed -l model.converters -r -d 'Changes to make to the model before training, such as float8'
complete -c titan-seed -l model.print_after_conversion -d 'Print the model after its conversion'
complete -c titan-seed -l model.no_print_after_conversion
complete -c titan-seed -l optimizer.name -x -a 'AdamW Adam' -d 'The optimizer'
complete -c titan-seed -l optimizer.lr -x -d 'The learning rate at the height of its schedule'
complete -c titan-seed -l optimizer.beta1 -x -d 'The decay of the mean of the gradients'
complete -c titan-seed -l optimizer.beta2 -x -d 'The decay of the mean of their squares'
complete -c titan-seed -l optimizer.eps -x -d 'What is added to the root of the second mean'
complete -c titan-seed -l optimizer.weight_decay -x -d 'The weight decay'
complete -c titan-seed -l optimizer.implementation -x -a 'for-loop foreach fused' -d 'How PyTorch would run the optimizer'
complete -c titan-seed -l optimizer.early_step_in_backward -d 'Update each parameter in the backward pass, once its gradient is complete'
complete -c titan-seed -l optimizer.no_early_step_in_backward
complete -c titan-seed -l lr_scheduler.warmup_steps -x -d 'Steps in which the learning rate rises to its height'
complete -c titan-seed -l lr_scheduler.total_steps -x -d 'Steps of the whole schedule, training.steps where None'
complete -c titan-seed -l lr_scheduler.decay_ratio -x -d 'The part of the steps, at their end, in which the learning rate falls; where None it falls from the end of the warm-up'
complete -c titan-seed -l lr_scheduler.decay_type -x -a 'linear sqrt cosine' -d 'The curve that it falls by'
complete -c titan-seed -l lr_scheduler.min_lr_factor -x -d 'The part of optimizer.lr that it falls to'
complete -c titan-seed -l training.dataset -r -d 'The name of the dataset: c4_test is read whole; c4 and c4_validation are streamed, config en, from a local copy'
complete -c titan-seed -l training.dataset_path -r -d 'Where the dataset is: a folder as Hugging Face datasets loads it, or a file, of JSON lines or a JSON array (plain, .gz, .zst), or - for lines on the standard input, which one process alone can read: several ranks need a file'
complete -c titan-seed -l training.local_batch_size -x -d 'Sequences that a rank takes at a time'
complete -c titan-seed -l training.global_batch_size -x -d 'Sequences in a step, gradients being accumulated; -1 for training.local_batch_size times the data-parallel degree'
complete -c titan-seed -l training.seq_len -x -d 'Tokens in a sequence'
complete -c titan-seed -l training.max_norm -x -d 'The norm that gradients are clipped to'
complete -c titan-seed -l training.steps -x -d 'Steps to train'
complete -c titan-seed -l training.enable_cpu_offload -d 'Keep parameters, gradients and optimizer state in the memory of the CPU'
complete -c titan-seed -l training.no_enable_cpu_offload
complete -c titan-seed -l training.dtype -x -a 'bfloat16 float32' -d 'The type of parameters, gradients and optimizer state'
complete -c titan-seed -l training.mixed_precision_param -x -a 'bfloat16 float32' -d 'The type that FSDP and HSDP gather parameters in'
complete -c titan-seed -l training.mixed_precision_reduce -x -a 'float32' -d 'The type that gradients are summed over ranks in'
complete -c titan-seed -l training.gc_freq -x -d 'Steps between runs of Python\'s garbage collector'
complete -c titan-seed -l training.gc_debug -d 'Look for cycles of garbage'
complete -c titan-seed -l training.no_gc_debug
complete -c titan-seed -l training.dataloader.num_workers -x -d 'With 1 or more, a thread makes batches ahead, this many times training.dataloader.prefetch_factor'
complete -c titan-seed -l training.dataloader.persistent_workers -d 'Keep worker processes after an epoch'
complete -c titan-seed -l training.dataloader.no_persistent_workers
complete -c titan-seed -l training.dataloader.pin_memory -d 'Put batches into pinned memory'
complete -c titan-seed -l training.dataloader.no_pin_memory
complete -c titan-seed -l training.dataloader.prefetch_factor -x -d 'Batches made ahead for each worker, 2 where None; nothing without workers'
complete -c titan-seed -l parallelism.data_parallel_replicate_degree -x -d 'Groups of ranks that each hold all weights'
complete -c titan-seed -l parallelism.data_parallel_shard_degree -x -d 'Ranks that share the weights of a group; -1 for all that the other degrees leave'
complete -c titan-seed -l parallelism.fsdp_reshard_after_forward -x -a 'default always never' -d 'Whether gathered weights are given back after the forward pass'
complete -c titan-seed -l parallelism.tensor_parallel_degree -x -d 'Ranks that share each matrix'
complete -c titan-seed -l parallelism.disable_loss_parallel -d 'Gather the logits before the loss'
complete -c titan-seed -l parallelism.no_disable_loss_parallel
complete -c titan-seed -l parallelism.enable_async_tensor_parallel -d 'Overlap the communication of tensor parallelism with products, which gains time over a network: copies between processes of one machine take the same cores'
complete -c titan-seed -l parallelism.no_enable_async_tensor_parallel
complete -c titan-seed -l parallelism.pipeline_parallel_degree -x -d 'Ranks that the layers are spread over'
complete -c titan-seed -l parallelism.module_fqns_per_model_part -r -d 'The modules of each stage: a list of lists of names'
complete -c titan-seed -l parallelism.pipeline_parallel_first_stage_less_layers -x -d 'Layers that the first stage has less, for its embedding'
complete -c titan-seed -l parallelism.pipeline_parallel_last_stage_less_layers -x -d 'Layers that the last stage has less, for its output'
complete -c titan-seed -l parallelism.pipeline_parallel_layers_per_stage -x -d 'Layers of a stage'
complete -c titan-seed -l parallelism.pipeline_parallel_schedule -r -d 'The schedule of the pipeline'
complete -c titan-seed -l parallelism.pipeline_parallel_schedule_csv -r -d 'A file with the schedule'
complete -c titan-seed -l parallelism.pipeline_parallel_microbatch_size -x -d 'Sequences of a microbatch'
complete -c titan-seed -l parallelism.pipeline_parallel_expert_parallel_overlap -d 'Overlap the communication of experts with the pipeline\'s'
complete -c titan-seed -l parallelism.no_pipeline_parallel_expert_parallel_overlap
complete -c titan-seed -l parallelism.context_parallel_degree -x -d 'Ranks that share each sequence'
complete -c titan-seed -l parallelism.context_parallel_load_balancer -r -d 'How a sequence is cut so that ranks have the same work'
complete -c titan-seed -l parallelism.context_parallel_rotate_method -x -a 'allgather alltoall' -d 'How keys and values go round'
complete -c titan-seed -l parallelism.expert_parallel_degree -x -d 'Ranks that the experts are spread over'
complete -c titan-seed -l parallelism.expert_tensor_parallel_degree -x -d 'Ranks that share each expert\'s matrices'
complete -c titan-seed -l parallelism.expert_parallel_comm_backend -x -a 'standard deepep' -d 'What carries tokens to experts'
complete -c titan-seed -l checkpoint.enable -d 'Save checkpoints, and resume from the latest at the start'
complete -c titan-seed -l checkpoint.no_enable
complete -c titan-seed -l checkpoint.enable_ft_dataloader_checkpoints -d 'Save the position in the data of every replica'
complete -c titan-seed -l checkpoint.no_enable_ft_dataloader_checkpoints
complete -c titan-seed -l checkpoint.folder -r -d 'The folder of the checkpoints, below job.dump_folder'
complete -c titan-seed -l checkpoint.interval -x -d 'Steps from one checkpoint to the next'
complete -c titan-seed -l checkpoint.initial_load_path -r -d 'A checkpoint to start from where checkpoint.folder has none'
complete -c titan-seed -l checkpoint.initial_load_model_only -d 'Take only the model from it'
complete -c titan-seed -l checkpoint.no_initial_load_model_only
complete -c titan-seed -l checkpoint.initial_load_in_hf -d 'It is a Hugging Face checkpoint; that of model.hf_assets_path where there is no initial_load_path'
complete -c titan-seed -l checkpoint.no_initial_load_in_hf
complete -c titan-seed -l checkpoint.initial_load_in_hf_quantized -d 'Its weights are quantized, which titan sees by itself'
complete -c titan-seed -l checkpoint.no_initial_load_in_hf_quantized
complete -c titan-seed -l checkpoint.last_save_model_only -d 'Save only the model at the last step, as checkpoint.export_dtype'
complete -c titan-seed -l checkpoint.no_last_save_model_only
complete -c titan-seed -l checkpoint.last_save_in_hf -d 'Save that in Hugging Face\'s form, its files and tokenizer as in model.hf_assets_path'
complete -c titan-seed -l checkpoint.no_last_save_in_hf
complete -c titan-seed -l checkpoint.export_dtype -x -a 'float16 bfloat16 float32' -d 'The type of a last step that has only the model; float32 leaves it in training.dtype'
complete -c titan-seed -l checkpoint.async_mode -x -a 'disabled async async_with_pinned_mem' -d 'Save while training goes on, from a copy of the state; both ways of it are one in titan'
complete -c titan-seed -l checkpoint.keep_latest_k -x -d 'After each save but that of the last step, complete steps beyond this many of the latest are removed, though never the one just saved; 0 or less keeps all, and 1 is an error'
complete -c titan-seed -l checkpoint.load_step -x -d 'The step to resume from, where checkpoint.folder is there; -1 for the latest'
complete -c titan-seed -l checkpoint.exclude_from_loading -r -d 'What not to take from a checkpoint: model, optimizer, lr_scheduler, dataloader, train_state'
complete -c titan-seed -l checkpoint.enable_first_step_checkpoint -d 'Save a checkpoint after the first step too'
complete -c titan-seed -l checkpoint.no_enable_first_step_checkpoint
complete -c titan-seed -l checkpoint.create_seed_checkpoint -d 'Save the initial weights as step 0 and stop, as titan-seed does'
complete -c titan-seed -l checkpoint.no_create_seed_checkpoint
complete -c titan-seed -l checkpoint.load_only -d 'Resume, but save nothing'
complete -c titan-seed -l checkpoint.no_load_only
complete -c titan-seed -l activation_checkpoint.mode -x -a 'selective full memory_budget none' -d 'Which activations to compute again in the backward pass instead of keeping them; the numbers are the same whichever'
complete -c titan-seed -l activation_checkpoint.selective_ac_option -r -d 'In mode selective: a number, of layers of which the last is computed again whole (0 as 1: every layer), or op, all layers but for attention and every second matrix product'
complete -c titan-seed -l activation_checkpoint.per_op_sac_force_recompute_mm_shapes_by_fqns -r -d 'With selective_ac_option op: parts of names of linear modules; a product whose weight has the shape of one of theirs is computed again, and not counted among the second ones'
complete -c titan-seed -l activation_checkpoint.early_stop -d 'Stop computing again where nothing more is needed'
complete -c titan-seed -l activation_checkpoint.no_early_stop
complete -c titan-seed -l activation_checkpoint.memory_budget -x -d 'In mode memory_budget: from 0, keep what mode full keeps, to 1, keep what mode none keeps; in between what takes most operations a byte is kept first'
complete -c titan-seed -l activation_checkpoint.visualize_memory_budget_pareto -d 'Draw memory against time for a range of budgets'
complete -c titan-seed -l activation_checkpoint.no_visualize_memory_budget_pareto
complete -c titan-seed -l activation_checkpoint.preserve_rng_state -d 'Draw the same random numbers again'
complete -c titan-seed -l activation_checkpoint.no_preserve_rng_state
complete -c titan-seed -l activation_checkpoint.determinism_check -x -a 'default none' -d 'How to compare what is computed again with the first time'
complete -c titan-seed -l activation_checkpoint.debug -d 'Record what is computed again'
complete -c titan-seed -l activation_checkpoint.no_debug
complete -c titan-seed -l compile.enable -d 'Use torch.compile'
complete -c titan-seed -l compile.no_enable
complete -c titan-seed -l compile.components -r -d 'What to compile'
complete -c titan-seed -l compile.backend -r -d 'What compiles'
complete -c titan-seed -l quantize.linear.float8.enable_fsdp_float8_all_gather -d 'Gather weights in float8'
complete -c titan-seed -l quantize.linear.float8.no_enable_fsdp_float8_all_gather
complete -c titan-seed -l quantize.linear.float8.precompute_float8_dynamic_scale_for_fsdp -d 'Compute the scales of all weights at once'
complete -c titan-seed -l quantize.linear.float8.no_precompute_float8_dynamic_scale_for_fsdp
complete -c titan-seed -l quantize.linear.float8.recipe_name -x -a 'None tensorwise rowwise rowwise_with_gw_hp' -d 'What has a scale of its own'
complete -c titan-seed -l quantize.linear.float8.filter_fqns -r -d 'Modules to leave as they are'
complete -c titan-seed -l quantize.linear.float8.emulate -d 'Emulate float8 products'
complete -c titan-seed -l quantize.linear.float8.no_emulate
complete -c titan-seed -l quantize.linear.mx.mxfp8_dim1_cast_kernel_choice -x -a 'triton cuda torch' -d 'What casts along the first dimension'
complete -c titan-seed -l quantize.linear.mx.recipe_name -r -d 'The MX recipe'
complete -c titan-seed -l quantize.linear.mx.filter_fqns -r -d 'Modules to leave as they are'
complete -c titan-seed -l quantize.grouped_mm.float8.fqns -r -d 'Expert modules to convert'
complete -c titan-seed -l quantize.grouped_mm.mx.recipe_name -x -a 'mxfp8' -d 'The MX recipe of experts'
complete -c titan-seed -l quantize.grouped_mm.mx.fqns -r -d 'Expert modules to convert'
complete -c titan-seed -l comm.init_timeout_seconds -x -d 'How long a collective may take until the first step is done'
complete -c titan-seed -l comm.train_timeout_seconds -x -d 'How long it may take afterwards'
complete -c titan-seed -l comm.trace_buf_size -x -d 'Collectives that the flight recorder remembers; 0 for none'
complete -c titan-seed -l comm.save_traces_folder -r -d 'The folder for its records, below job.dump_folder'
complete -c titan-seed -l comm.save_traces_file_prefix -r -d 'How the names of its files start'
complete -c titan-seed -l comm.mode -x -a 'default fake_backend local_tensor' -d 'Train; say what memory and operations a step takes without training; or train with $NGPU ranks in this one process'
complete -c titan-seed -l memory_estimation.enable -d 'Estimate the memory that training takes'
complete -c titan-seed -l memory_estimation.no_enable
complete -c titan-seed -l memory_estimation.disable_fake_mode -d 'Estimate with real tensors'
complete -c titan-seed -l memory_estimation.no_disable_fake_mode
complete -c titan-seed -l fault_tolerance.enable -d 'Train in replica groups that may come and go'
complete -c titan-seed -l fault_tolerance.no_enable
complete -c titan-seed -l fault_tolerance.process_group -r -d 'What carries their communication'
complete -c titan-seed -l fault_tolerance.process_group_timeout_ms -x -d 'How long it may take'
complete -c titan-seed -l fault_tolerance.replica_id -x -d 'Which replica group this is'
complete -c titan-seed -l fault_tolerance.group_size -x -d 'How many there are at most'
complete -c titan-seed -l fault_tolerance.min_replica_size -x -d 'How many a step needs'
complete -c titan-seed -l fault_tolerance.semi_sync_method -r -d 'How they agree between steps'
complete -c titan-seed -l experimental.custom_import -r -d 'A Python module to import'
complete -c titan-seed -l experimental.custom_args_module -r -d 'The old name of job.custom_config_module'
complete -c titan-seed -l validation.enable -d 'Compute the loss on a second dataset from time to time'
complete -c titan-seed -l validation.no_enable
complete -c titan-seed -l validation.dataset -r -d 'The name of that dataset'
complete -c titan-seed -l validation.dataset_path -r -d 'Where it is: a file or folder of JSON lines (plain, .gz, .zst)'
complete -c titan-seed -l validation.local_batch_size -x -d 'Sequences that a rank takes at a time'
complete -c titan-seed -l validation.seq_len -x -d 'Tokens in a sequence, at most training.seq_len'
complete -c titan-seed -l validation.freq -x -d 'Steps from one validation to the next; there is one after step 1 too'
complete -c titan-seed -l validation.steps -x -d 'Batches of a validation; -1 for all of the dataset'
complete -c titan-seed -l validation.dataloader.num_workers -x -d 'Processes that make batches'
complete -c titan-seed -l validation.dataloader.persistent_workers -d 'Keep those processes after an epoch'
complete -c titan-seed -l validation.dataloader.no_persistent_workers
complete -c titan-seed -l validation.dataloader.pin_memory -d 'Put batches into pinned memory'
complete -c titan-seed -l validation.dataloader.no_pin_memory
complete -c titan-seed -l validation.dataloader.prefetch_factor -x -d 'Batches that a worker makes ahead'
complete -c titan-seed -l debug.seed -x -d 'The seed of the initial weights; one from the system where None'
complete -c titan-seed -l debug.deterministic -d 'Give the same numbers again in every run; with as many threads, titan always does'
complete -c titan-seed -l debug.no_deterministic
complete -c titan-seed -l debug.deterministic_warn_only -d 'Only warn about operations that cannot; titan has none of those'
complete -c titan-seed -l debug.no_deterministic_warn_only
complete -c titan-seed -l debug.moe_force_load_balance -d 'Give all experts the same number of tokens'
complete -c titan-seed -l debug.no_moe_force_load_balance
complete -c titan-seed -l generate.prompt -r -d 'Train nothing; print how the model goes on from this text, or from the standard input where it is - (titan\'s own setting, as are all of generate)'
complete -c titan-seed -l generate.max_new_tokens -x -d 'Tokens that it goes on by'
complete -c titan-seed -l generate.temperature -x -d 'What logits are divided by; 0 for the most likely token each time'
complete -c titan-seed -l generate.top_k -x -d 'Draw from that many of the most likely tokens; from all where None'
complete -c titan-seed -l generate.seed -x -d 'The seed of the drawing; one from the system where None'
complete -c titan-seed -l generate.batch_size -x -d 'Sequences that go on from the prompt'
complete -c titan-seed -l generate.out -d 'Print a report in JSON instead of the text'
complete -c titan-seed -l generate.no_out
complete -c titan-seed -l threads -x -d 'Use N threads (default: one a core; to copy, at most 4)'
complete -c titan-seed -l dry_run -d 'Write nothing; say what would be done, and exit as the run would'
complete -c titan-seed -l quiet -d 'Print errors and warnings only'
complete -c titan-seed -l help -d 'Print this help and exit'
complete -c titan-seed -l version -d 'Print the version and exit'
complete -c titan-seed -l help-man -a 'options settings' -d 'Print the options, or the settings, as a manual page has them and exit'
complete -c titan-seed -l help-completion -x -a 'bash zsh fish' -d 'Print the completion rules for a shell and exit'
